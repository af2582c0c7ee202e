package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/core/clock"
	"bridgehead/core/edge"
	"bridgehead/core/mix"
	"bridgehead/core/rtpio"
	"bridgehead/gateway/caller"
	"bridgehead/gateway/records"
	"bridgehead/h323"
	"bridgehead/h323/ras"
	"bridgehead/sip"
	"bridgehead/sip/bfcp"
)

// callOptions are the flags of `bridgehead call`.
type callOptions struct {
	from, user, password, dtmf, play, record, video, recordVideo string
	present, recordScreen                                        string
	name, bind, tone                                             string
	codecs                                                       []string
	duration, ring                                               time.Duration
	asJSON, insecure, clear, verbose                             bool
	gatekeeper                                                   string
	lines                                                        int
	slow, separate, plain                                        bool
}

func callCommand() *cobra.Command {
	var o callOptions
	cmd := &cobra.Command{Use: "call URI", Args: cobra.ExactArgs(1),
		Short: "Place a test call to a sip:, sips: or h323: address and measure it",
		Long: "Places a real call to any server's address, plays a sound, presses keys, records what is heard,\n" +
			"and prints set-up time, codec, encryption, loss, jitter and the tones heard with their levels.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return call(cmd.Context(), cmd.OutOrStdout(), args[0], o)
		}}
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "address of the caller")
	f.StringVar(&o.name, "name", "", "name of the caller")
	f.StringVar(&o.user, "user", "", "user name, if the server asks")
	f.StringVar(&o.password, "password", "", "its password")
	f.StringVar(&o.dtmf, "dtmf", "", `keys to press once answered; "," waits a second`)
	f.StringVar(&o.play, "play", "", "WAV file to play, over and over")
	f.StringVar(&o.tone, "tone", "", "tone to play instead, such as 440 (Hz)")
	f.StringVar(&o.record, "record", "", "WAV file to write what is heard to")
	f.StringVar(&o.video, "video", "", "send video: test (a moving pattern), or an H.264 byte stream in a file")
	f.IntVar(&o.lines, "lines", 720, "sip: height of the largest pictures taken: 720, 1080 or 2160")
	f.StringVar(&o.present, "present", "", "present beside the video: test, or an H.264 byte stream in a file")
	f.StringVar(&o.recordScreen, "record-screen", "", "file to write the H.264 that is presented to")
	f.StringVar(&o.recordVideo, "record-video", "", "file to write the H.264 that is seen to")
	f.StringVar(&o.bind, "bind", "", "local address")
	f.StringSliceVar(&o.codecs, "codecs", nil, "opus, G722, PCMA, PCMU in order of preference (no opus on h323:)")
	f.DurationVar(&o.duration, "duration", 10*time.Second, "length of the call once answered")
	f.DurationVar(&o.ring, "ring", time.Minute, "how long to let it ring")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	f.BoolVar(&o.insecure, "insecure", false, "do not check the server's certificate")
	f.BoolVar(&o.clear, "clear", false, "allow a call without encryption to a sip: or h323: address")
	f.StringVar(&o.gatekeeper, "gatekeeper", "", "h323: register at this gatekeeper (host or host:port), as --user or --from, and call through it")
	f.BoolVar(&o.slow, "slow", false, "h323: no fast connect")
	f.BoolVar(&o.separate, "separate", false, "h323: H.245 on a connection of its own, not tunnelled")
	f.BoolVar(&o.plain, "no-h235", false, "h323: do not offer encryption of media (H.235); needs --clear")
	f.BoolVar(&o.verbose, "verbose", false, "log what happens")
	return cmd
}

// callReport is what a test call has shown.
type callReport struct {
	To        string        `json:"to"`
	Answered  bool          `json:"answered"`
	Code      string        `json:"code"`
	Reason    string        `json:"reason,omitempty"`
	SetupMS   float64       `json:"setup_ms"`
	DurationS float64       `json:"duration_s"`
	Security  core.Security `json:"security"`
	Audio     records.Stats `json:"audio"`
	MOS       float64       `json:"mos"`
	LevelDBov int           `json:"level_dbov"`
	Hears     []caller.Tone `json:"hears"`
	Video     *caller.Video `json:"video,omitempty"`
	Screen    *caller.Video `json:"screen,omitempty"`
}

// pictures: the call has them.
func (o callOptions) pictures() bool { return o.video != "" || o.recordVideo != "" || o.presents() }

// presents: it has content beside them.
func (o callOptions) presents() bool { return o.present != "" || o.recordScreen != "" }

func call(ctx context.Context, out io.Writer, to string, o callOptions) error {
	if scheme, _, _ := strings.Cut(to, ":"); scheme == "tel" {
		return fmt.Errorf("call: tel: addresses are not in this version yet; write a sip:, sips: or h323: address")
	}
	play, err := o.sound()
	if err != nil {
		return err
	}
	shown, err := filmOf("--video", o.video)
	if err != nil {
		return err
	}
	slides, err := filmOf("--present", o.present)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	party := caller.New(caller.Options{Play: play, Film: shown, Slides: slides, Watch: o.recordVideo != "" || o.recordScreen != "", Digits: o.dtmf, Keep: o.duration + time.Second})
	defer party.Close()
	phone, err := o.phone(ctx, to, party)
	if err != nil {
		return err
	}
	go phone.media.Run(ctx)
	served := make(chan struct{})
	go func() { defer close(served); _ = phone.edge.Serve(ctx, nobody{}) }()
	defer func() { cancel(); phone.edge.Close(); <-served }()
	until, forget := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM) // to hang up and report; a second one kills
	defer context.AfterFunc(until, forget)()
	r := place(until, phone, party, to, o)
	if o.record != "" {
		if err := writeWAV(o.record, party.Heard()); err != nil {
			return err
		}
	}
	for _, kept := range []struct {
		flag, file string
		seen       func() (*caller.Video, []byte)
	}{{"--record-video", o.recordVideo, party.Seen}, {"--record-screen", o.recordScreen, party.Presented}} {
		if kept.file == "" {
			continue
		}
		_, stream := kept.seen()
		if err := os.WriteFile(kept.file, stream, 0o644); err != nil {
			return fmt.Errorf("call: %s: %w", kept.flag, err)
		}
	}
	if err := r.print(out, o.asJSON); err != nil {
		return err
	}
	if !r.Answered {
		return exitCode(1)
	}
	return nil
}

// phone is an edge that only calls, and how to call with it.
type phone struct {
	edge interface {
		core.Edge
		Close() error
	}
	media *clock.Clock
	dial  func(ctx context.Context, to string, into core.Room) (core.Leg, error)
}

// phone is of the protocol that the address names.
func (o callOptions) phone(ctx context.Context, to string, party *caller.Caller) (*phone, error) {
	log := slog.New(slog.DiscardHandler)
	if o.verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	var bind netip.Addr
	if o.bind != "" {
		var err error
		if bind, err = netip.ParseAddr(o.bind); err != nil {
			return nil, fmt.Errorf("call: --bind %s: write an IP address", o.bind)
		}
	}
	ports, err := rtpio.New(rtpio.Options{Bind: bind, Log: log})
	if err != nil {
		return nil, err
	}
	p := &phone{media: clock.New(log)}
	for _, x := range ports.Pollers() {
		p.media.Read(x)
	}
	p.media.Mix(party)
	if strings.HasPrefix(strings.ToLower(to), "h323:") {
		return p, o.h323(ctx, p, ports, bind, log)
	}
	var floor *bfcp.Port
	if o.presents() {
		if floor, err = bfcp.Listen(net.JoinHostPort(o.bind, "0"), log); err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, floor.Close)
	}
	e, err := sip.New(sip.Options{Ports: ports, Floor: floor, Lines: o.lines, Legacy: true, Advertise: bind, Log: log})
	if err != nil {
		return nil, err
	}
	opt := sip.DialOptions{From: o.from, Name: o.name, User: o.user, Password: o.password, Codecs: o.codecs, Video: o.pictures(), Presents: o.presents(), Clear: o.clear, TLS: o.tls()}
	p.edge = e
	p.dial = func(ctx context.Context, to string, into core.Room) (core.Leg, error) {
		return e.DialWith(ctx, to, into, opt)
	}
	return p, e.Listen()
}

// h323 makes the phone an H.323 terminal, registered at a gatekeeper if one is
// named.
func (o callOptions) h323(ctx context.Context, p *phone, ports *rtpio.Ports, bind netip.Addr, log *slog.Logger) error {
	if o.plain && !o.clear {
		return fmt.Errorf("call: --no-h235 calls in clear: say so with --clear")
	}
	at := h323.Options{Terminal: true, Legacy: o.clear, Advertise: bind, Ports: ports, Log: log}
	if o.gatekeeper != "" {
		at.Listen = net.JoinHostPort(o.bind, "0") // a gatekeeper registers who can be called
	}
	e, err := h323.New(at)
	if err != nil {
		return err
	}
	opt := h323.DialOptions{From: cmp.Or(o.from, o.user), Name: o.name, Codecs: o.h323Codecs(), Slow: o.slow, Separate: o.separate, Clear: o.clear, Plain: o.plain, TLS: o.tls()}
	p.edge = e
	p.dial = func(ctx context.Context, to string, into core.Room) (core.Leg, error) {
		return e.DialWith(ctx, to, into, opt)
	}
	if err := e.Listen(); err != nil || o.gatekeeper == "" {
		return err
	}
	opt.Gatekeeper, err = o.registered(ctx, e, log)
	return err
}

// h323Codecs declares pictures only where they are wanted.
func (o callOptions) h323Codecs() []string {
	list := o.codecs
	if list == nil {
		list = []string{"G722", "PCMA", "PCMU"}
	}
	if o.pictures() {
		list = append(slices.Clone(list), "H264")
	}
	return list
}

// registered registers the phone at the gatekeeper.
func (o callOptions) registered(ctx context.Context, e *h323.Edge, log *slog.Logger) (*ras.Client, error) {
	g, err := gatekeeperAddress(o.gatekeeper)
	if err != nil {
		return nil, fmt.Errorf("call: --gatekeeper: %w", err)
	}
	alias := cmp.Or(o.from, o.user, "bridgehead-call")
	c, err := ras.NewClient(ras.ClientOptions{Gatekeeper: g.String(), Aliases: []string{alias}, User: o.user, Password: o.password, Signalling: e.Signalling(g), Log: log})
	if err != nil {
		return nil, err
	}
	go c.Run(ctx)
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		switch s := c.State(); {
		case s.Registered:
			return c, nil
		case ctx.Err() != nil, time.Since(began) > registerWait:
			return nil, fmt.Errorf("call: not registered at %s: %s", o.gatekeeper, cmp.Or(s.Err, "no answer"))
		}
	}
}

const registerWait = 10 * time.Second

// tls verifies nobody where asked to; nil: as usual.
func (o callOptions) tls() *tls.Config {
	if !o.insecure {
		return nil
	}
	return &tls.Config{InsecureSkipVerify: true}
}

// nobody is the dial plan of an edge that only calls.
type nobody struct{}

func (nobody) Route(context.Context, core.Call) (core.Room, error) {
	return nil, core.Reason{Code: core.NotFound}
}

// place calls, and hangs up after the call's duration or at the end of ctx.
func place(ctx context.Context, p *phone, party *caller.Caller, to string, o callOptions) callReport {
	r := callReport{To: edge.MaskPasscode(to), LevelDBov: -audio.Silence, Hears: []caller.Tone{}}
	ringing, stop := context.WithTimeout(ctx, o.ring)
	defer stop()
	began := time.Now()
	leg, err := p.dial(ringing, to, party)
	if err != nil {
		return r.failed(core.ReasonOf(err))
	}
	select {
	case <-party.Answered():
	case <-party.Over():
		return r.failed(party.Reason())
	case <-ringing.Done():
		leg.Hangup(core.Reason{Code: core.NoAnswer})
		return r.failed(core.Reason{Code: core.NoAnswer, Detail: "nobody answered"})
	}
	r.Answered, r.SetupMS = true, float64(time.Since(began).Microseconds())/1000
	answered := time.Now()
	var info core.Info // as it is before the end
	enough, done := context.WithTimeout(ctx, o.duration)
	defer done()
	select {
	case <-enough.Done():
		info = leg.Info()
		leg.Hangup(core.Reason{Code: core.Normal})
		select {
		case <-party.Over():
		case <-time.After(5 * time.Second):
		}
	case <-party.Over():
		info = leg.Info()
	}
	r.DurationS = time.Since(answered).Seconds()
	r.measure(info, party)
	return r
}

func (r callReport) failed(why core.Reason) callReport {
	r.Code, r.Reason = string(why.Code), cmp.Or(why.Detail, why.Say)
	return r
}

func (r *callReport) measure(info core.Info, party *caller.Caller) {
	r.Code, r.Reason = string(party.Reason().Code), party.Reason().Detail
	r.Security, r.Audio, r.MOS = info.Security, records.Media(info.AudioStats, info.RTT), rtpio.MOS(info.AudioStats, info.RTT)
	heard := party.Heard()
	if len(heard) > 0 {
		r.LevelDBov = -int(audio.Level(heard))
	}
	r.Video, _ = party.Seen()
	r.Screen, _ = party.Presented()
	if tones := caller.Tones(heard, caller.Rate); tones != nil {
		r.Hears = tones
	}
}

func (r callReport) print(out io.Writer, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	if !r.Answered {
		_, err := fmt.Fprintf(out, "%s: not answered: %s %s\n", r.To, r.Code, r.Reason)
		return err
	}
	var hears []string
	for _, t := range r.Hears {
		hears = append(hears, t.String())
	}
	if hears == nil {
		hears = []string{"no steady tone"}
	}
	suite := cmp.Or(r.Security.Suite, r.Security.Media)
	_, err := fmt.Fprintf(out, "%s: answered after %.0f ms, %.1f s long, ended: %s %s\n  codec %s, signalling %s, media %s\n"+
		"  received %d packets, lost %d, jitter %.1f ms, round trip %.1f ms, MOS %.2f\n  level %d dBov; hears %s\n",
		r.To, r.SetupMS, r.DurationS, r.Code, r.Reason, r.Audio.Codec, r.Security.Signalling, suite,
		r.Audio.PacketsReceived, r.Audio.PacketsLost, r.Audio.JitterMS, r.Audio.RTTMS, r.MOS, r.LevelDBov, strings.Join(hears, ", "))
	for i, v := range []*caller.Video{r.Video, r.Screen} {
		if v == nil || err != nil {
			continue
		}
		_, err = fmt.Fprintf(out, "  "+[]string{"sees", "is presented"}[i]+" %s %dx%d, %d pictures, %.1f a second, the first after %.0f ms, %d packets of %d lost; %d pictures sent\n",
			cmp.Or(v.Codec, "nothing"), v.Width, v.Height, v.Pictures, v.FPS, v.FirstPictureMS, v.PacketsLost, v.PacketsReceived+v.PacketsLost, v.PicturesSent)
	}
	return err
}

// filmOf is what a flag says to show.
func filmOf(flag, from string) (*caller.Film, error) {
	switch from {
	case "":
		return nil, nil
	case "test":
		return caller.TestFilm(), nil
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, fmt.Errorf("call: %s: %w", flag, err)
	}
	defer f.Close()
	film, err := caller.ReadFilm(f)
	if err != nil {
		return nil, fmt.Errorf("call: %s %s: %w", flag, from, err)
	}
	return film, nil
}

// sound is what to play.
func (o callOptions) sound() (*mix.Clip, error) {
	if o.tone != "" {
		var hz float64
		if _, err := fmt.Sscanf(o.tone, "%f", &hz); err != nil || hz < 20 || hz > 20000 {
			return nil, fmt.Errorf("call: --tone %s: write a frequency in Hz from 20 to 20000", o.tone)
		}
		return caller.Steady(-18, hz), nil
	}
	if o.play == "" {
		return nil, nil
	}
	f, err := os.Open(o.play)
	if err != nil {
		return nil, fmt.Errorf("call: --play: %w", err)
	}
	defer f.Close()
	clip, err := mix.ReadClip(f)
	if err != nil {
		return nil, fmt.Errorf("call: --play %s: %w", o.play, err)
	}
	return clip, nil
}

func writeWAV(file string, pcm []int16) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("call: --record: %w", err)
	}
	w := audio.WAV{Rate: caller.Rate, Channels: 1, PCM: pcm}
	_, err = w.WriteTo(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
