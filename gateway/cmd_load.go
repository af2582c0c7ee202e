package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bridgehead/gateway/load"
)

func loadCommand() *cobra.Command {
	o := load.Options{}
	var bind, echo string
	cmd := &cobra.Command{Use: "load URI...", Short: "Make many calls at once and measure what each of them hears",
		Long: "Calls sip:, sips: and h323: addresses in turn, or has browsers join a meeting by its link\n" +
			"(https://host/join/NUMBER, with NUMBER**PASSCODE if it has a passcode). Has some of the calls speak a\n" +
			"tone, some browsers send video, and prints one JSON report: calls set up, packets, losses,\n" +
			"gaps, whether every call heard the speakers and not itself, and, with --pid, what it cost the\n" +
			"server.",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			o.To = args
			if bind != "" {
				if o.Bind, err = netip.ParseAddr(bind); err != nil {
					return fmt.Errorf("load: --bind %s: write an IP address", bind)
				}
			}
			if echo != "" {
				if o.Echo, err = netip.ParseAddrPort(echo); err != nil {
					return fmt.Errorf("load: --echo %s: write address:port", echo)
				}
			}
			if len(args) == 0 && echo == "" && o.Janus == "" {
				return fmt.Errorf("load: name at least one address to call")
			}
			o.Progress = func(s string) { fmt.Fprintln(os.Stderr, s) }
			r, err := load.Run(ctx, o)
			if r != nil {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				_ = e.Encode(r)
			}
			return err
		}}
	f := cmd.Flags()
	f.IntVar(&o.Calls, "calls", 10, "number of calls")
	f.Float64Var(&o.PerSec, "rate", 20, "calls set up a second")
	f.IntVar(&o.Speakers, "speakers", 3, "how many calls of each address speak, up to 3 (browsers: 10)")
	f.IntVar(&o.Cameras, "cameras", 0, "how many browsers send video, 1.5 Mbit/s each")
	f.IntVar(&o.Watch, "watch", 1, "how many cameras each browser looks at")
	f.BoolVar(&o.Bursts, "bursts", false, "the first call speaks in bursts, to measure the delay of the bridge")
	f.DurationVar(&o.Settle, "settle", 3*time.Second, "time between the last call's answer and the measurement")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "time measured")
	f.StringVar(&o.Codec, "codec", "PCMU", "PCMU, PCMA, G722 or opus; tones are verified with PCMU and PCMA")
	f.BoolVar(&o.Clear, "clear", false, "allow calls without encryption")
	f.BoolVar(&o.Churn, "churn", false, "hang each call up as soon as it is answered")
	f.IntVar(&o.Connections, "connections", 0, "spread the calls over so many ends with connections of their own")
	f.StringSliceVar(&o.Suites, "suites", nil, "SRTP suites to offer; empty: all")
	f.StringVar(&bind, "bind", "", "local address")
	f.IntVar(&o.PID, "pid", 0, "process of the server, to measure its CPU time and memory")
	f.StringVar(&o.Janus, "janus", "", "API socket of a Janus; join room 1 of its AudioBridge by plain RTP in place of calls")
	f.StringVar(&echo, "echo", "", "send raw RTP to this echo in place of calls")
	cmd.AddCommand(echoCommand(), answerCommand(), benchCommand(), soakCommand())
	return cmd
}

func echoCommand() *cobra.Command {
	var listen, suite string
	var every time.Duration
	cmd := &cobra.Command{Use: "echo", Short: "Answer every datagram with itself: the least that a bridge can cost", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return load.Echo(ctx, listen, every, suite, func(at netip.AddrPort) { fmt.Fprintln(cmd.OutOrStdout(), at) })
		}}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address")
	cmd.Flags().DurationVar(&every, "every", 0, "look only so often, and answer in batches; 0: each packet as it comes")
	cmd.Flags().StringVar(&suite, "suite", "", "SRTP suite to decrypt and encrypt with, of AES-GCM, by the keys that the load has with --echo and --suites; empty: none")
	return cmd
}

func answerCommand() *cobra.Command {
	var listen string
	var secure bool
	cmd := &cobra.Command{Use: "answer", Short: "Answer every SIP call with a fixed SDP: the least that setting one up can cost", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return load.Answer(ctx, listen, secure, func(at netip.AddrPort) { fmt.Fprintln(cmd.OutOrStdout(), at) })
		}}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address")
	cmd.Flags().BoolVar(&secure, "tls", false, "over TLS, with SRTP; else over UDP, in clear")
	return cmd
}

func benchCommand() *cobra.Command {
	var quick bool
	var out string
	var only []string
	cmd := &cobra.Command{Use: "bench", Short: "Measure gateways started for the purpose, and print docs/performance.md", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			program, err := os.Executable()
			if err != nil {
				return err
			}
			r, err := load.Bench(ctx, load.BenchOptions{Program: program, Quick: quick, Only: only, Progress: func(s string) { fmt.Fprintln(os.Stderr, s) }})
			if err != nil {
				return err
			}
			var text bytes.Buffer
			if err := r.Write(&text); err != nil {
				return err
			}
			if out != "" {
				if err := os.WriteFile(out, text.Bytes(), 0o644); err != nil {
					return err
				}
				if err := r.WritePlots(strings.TrimSuffix(out, filepath.Ext(out))); err != nil {
					return err
				}
			}
			_, err = cmd.OutOrStdout().Write(text.Bytes())
			return err
		}}
	cmd.Flags().BoolVar(&quick, "quick", false, "one short round: figures for a glance")
	cmd.Flags().StringSliceVar(&only, "only", nil, "parts to measure: "+strings.Join(load.BenchParts, ", ")+"; empty: all")
	cmd.Flags().StringVar(&out, "out", "", "file to write the document to, too; its plots go into a folder of that name")
	return cmd
}

func soakCommand() *cobra.Command {
	o := load.SoakOptions{}
	cmd := &cobra.Command{Use: "soak", Short: "Run a gateway for hours under drifting clocks, loss, jitter and churn, and print what went wrong", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if o.Program, err = os.Executable(); err != nil {
				return err
			}
			o.Progress = func(s string) { fmt.Fprintln(os.Stderr, s) }
			r, err := load.Soak(ctx, o)
			if err != nil {
				return err
			}
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			_ = e.Encode(r)
			if len(r.Verdict) > 0 {
				return fmt.Errorf("soak: %s", strings.Join(r.Verdict, "; "))
			}
			return nil
		}}
	f := cmd.Flags()
	f.DurationVar(&o.Duration, "duration", 2*time.Hour, "how long")
	f.DurationVar(&o.Every, "every", time.Minute, "length of a line of the report")
	f.Float64Var(&o.Drift, "drift", 200, "by how much the senders' clocks are wrong, in ppm, half of them each way")
	f.DurationVar(&o.Jitter, "jitter", 30*time.Millisecond, "how late packets may be")
	f.Float64Var(&o.Loss, "loss", 1, "% of the packets of browsers lost; as many come in the wrong order")
	return cmd
}
