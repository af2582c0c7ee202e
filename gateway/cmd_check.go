package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"bridgehead/config"
	"bridgehead/gateway/store"
)

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "check", Short: "Check configuration, ports, certificate, DNS and trunks", Args: cobra.NoArgs,
		Long: "Validates all that can be validated without starting: each fault is printed with file, key, value and remedy.\nExit status 1 on any fault."}
	load := configured(cmd)
	sample := cmd.Flags().Bool("sample", false, "print a configuration file with every key at its default, and stop")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		out := cmd.OutOrStdout()
		if *sample {
			fmt.Fprint(out, config.Sample())
			return nil
		}
		cfg, file, err := load()
		if err != nil {
			return err
		}
		var faults []error
		say := func(what string, err error) {
			if err != nil {
				faults = append(faults, err)
				return
			}
			fmt.Fprintf(out, "ok   %s\n", what)
		}
		say("configuration "+cmp.Or(file, "(defaults)"), nil)
		say("data directory "+cfg.Data, checkData(cfg, file))
		lock, err := lockData(cfg.Data)
		running := errors.Is(err, errRunning)
		if running {
			fmt.Fprintf(out, "ok   a gateway runs on this data directory: its ports are its own\n")
		} else {
			lock.Close()
			for _, l := range listeners(cfg) {
				say(l.key+" "+l.value, l.check(file))
			}
		}
		say("certificate", checkCertificate(cfg, file))
		if cfg.Stir.Roots != "" {
			_, err := stiRoots(cfg, file)
			say("certification authorities of callers' numbers", err)
		}
		say("name "+cmp.Or(cfg.Domain, "(none set)"), checkDomain(cmd.Context(), cfg, file))
		for _, t := range trunksIn(cmd.Context(), cfg, say) {
			say("trunk "+t.Name, checkLine(cmd.Context(), t, running))
		}
		return errors.Join(faults...)
	}
	return cmd
}

func checkData(cfg *config.Config, file string) error {
	fault := func(err error) error {
		return config.Fault{File: file, Key: "data", Value: cfg.Data, Why: err.Error(), Remedy: "name a directory that this user may write to"}
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return fault(err)
	}
	f, err := os.CreateTemp(cfg.Data, ".check")
	if err != nil {
		return fault(err)
	}
	f.Close()
	return os.Remove(f.Name())
}

// listener is one port to try.
type listener struct{ key, value, network string }

func listeners(cfg *config.Config) (list []listener) {
	l := cfg.Listen
	for _, x := range []listener{
		{"listen.https", l.HTTPS, "tcp"}, {"listen.webrtc", l.WebRTC, "udp"}, {"listen.webrtc_tcp", l.WebRTCTCP, "tcp"},
		{"listen.sips", l.SIPS, "tcp"}, {"listen.sip", l.SIP, "udp"}, {"listen.sip", l.SIP, "tcp"},
		{"listen.bfcp", l.BFCP, "tcp"}, {"listen.bfcp", l.BFCP, "udp"},
		{"listen.h323", l.H323, "tcp"}, {"listen.h323_tls", l.H323TLS, "tcp"}, {"listen.ras", l.RAS, "udp"},
		{"listen.turn", l.TURN, "udp"}, {"listen.turn", l.TURN, "tcp"}, {"listen.turns", l.TURNS, "tcp"},
	} {
		if x.value != "" {
			list = append(list, x)
		}
	}
	return list
}

func (l listener) check(file string) error {
	var err error
	var c interface{ Close() error }
	if l.network == "udp" {
		c, err = net.ListenPacket("udp", l.value)
	} else {
		c, err = net.Listen("tcp", l.value)
	}
	if err != nil {
		return config.Fault{File: file, Key: l.key, Value: l.value, Why: err.Error(), Remedy: "stop the program that has the port, choose another, or leave the key empty to turn the listener off"}
	}
	return c.Close()
}

func checkCertificate(cfg *config.Config, file string) error {
	if cfg.TLS.Certificate == "" {
		return nil // self-signed, made at the start
	}
	fault := func(why, remedy string) error {
		return config.Fault{File: file, Key: "tls.certificate", Value: cfg.TLS.Certificate, Why: why, Remedy: remedy}
	}
	pair, err := tls.LoadX509KeyPair(cfg.TLS.Certificate, cfg.TLS.Key)
	if err != nil {
		return fault(err.Error(), "give the PEM files of a certificate chain and of its own private key")
	}
	switch now := time.Now(); {
	case now.After(pair.Leaf.NotAfter):
		return fault("it ran out on "+pair.Leaf.NotAfter.Format(time.DateOnly), "renew it")
	case now.Before(pair.Leaf.NotBefore):
		return fault("it is not valid before "+pair.Leaf.NotBefore.Format(time.DateOnly), "check this machine's clock")
	case cfg.Domain != "" && pair.Leaf.VerifyHostname(cfg.Domain) != nil:
		return fault("it is not for "+cfg.Domain, "get one with this name in it, or correct domain")
	}
	return nil
}

// trunksIn are the enabled trunks that are kept.
func trunksIn(ctx context.Context, cfg *config.Config, say func(string, error)) []store.Trunk {
	if _, err := os.Stat(filepath.Join(cfg.Data, "bridgehead.db")); err != nil {
		return nil // the first start makes it
	}
	s, err := store.OpenAsIs(ctx, cfg.Data)
	switch {
	case errors.Is(err, store.ErrOutdated):
		say("trunks are not tried: the start brings the database up to date", nil)
		return nil
	case err != nil:
		say("trunks", err)
		return nil
	}
	defer s.Close()
	list, err := s.Trunks(ctx)
	if err != nil {
		say("trunks", err)
	}
	return slices.DeleteFunc(list, func(t store.Trunk) bool { return !t.Enabled })
}

// checkLine tries a trunk from this process.
func checkLine(ctx context.Context, t store.Trunk, running bool) error {
	list, err := tryTrunk(ctx, t, running)
	for _, l := range list {
		if !l.OK {
			err = errors.Join(err, fmt.Errorf("trunk %s: %s: %s. %s", t.Name, l.What, l.Detail, l.Remedy))
		}
	}
	return err
}

func checkDomain(ctx context.Context, cfg *config.Config, file string) error {
	if cfg.Domain == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := net.DefaultResolver.LookupHost(ctx, cfg.Domain); err != nil {
		return config.Fault{File: file, Key: "domain", Value: cfg.Domain, Why: err.Error(), Remedy: "publish an A or AAAA record for it, or leave it empty"}
	}
	return nil
}
