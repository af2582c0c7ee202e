package load

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"

	"bridgehead/core"
	"bridgehead/core/clock"
)

// link leads into a meeting by browser.
type link struct {
	socket            string // URL of the signalling
	meeting, passcode string
	loopback          bool
}

var errLink = errors.New("load: a meeting's link is https://host/join/NUMBER, with NUMBER**PASSCODE if it has a passcode")

func parseLink(s string) (l link, err error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || path.Dir(u.Path) != "/join" {
		return l, errLink
	}
	l.meeting, l.passcode, _ = strings.Cut(path.Base(u.Path), "**")
	l.socket = "wss://" + u.Host + "/ws"
	ip, err := netip.ParseAddr(u.Hostname())
	l.loopback = u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	return l, nil
}

// isLink tells a browser's address from a telephone's.
func isLink(s string) bool { return strings.HasPrefix(s, "https:") }

// browserOptions is what all browsers of a run have in common.
type browserOptions struct {
	certificate webrtc.Certificate
	pictures    int // that each can receive; 0: neither these nor a camera are offered
	loopback    bool
}

// api is the library as one browser uses it: on the loopback alone if that is
// where the server is, without interceptors, and with what it decrypts handed
// straight to the browser.
func (o browserOptions) api(b *browser) (*webrtc.API, error) {
	s := webrtc.SettingEngine{LoggerFactory: &logging.DefaultLoggerFactory{Writer: nowhere{}}}
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetHostAcceptanceMinWait(0)
	if o.loopback {
		s.SetIncludeLoopbackCandidate(true)
		s.SetIPFilter(net.IP.IsLoopback)
	}
	s.BufferFactory = b.buffer
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	for uri, kind := range map[string]webrtc.RTPCodecType{levelURI: webrtc.RTPCodecTypeAudio, twccURI: webrtc.RTPCodecTypeVideo} {
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind); err != nil {
			return nil, err
		}
	}
	m.RegisterFeedback(webrtc.RTCPFeedback{Type: webrtc.TypeRTCPFBTransportCC}, webrtc.RTPCodecTypeVideo)
	return webrtc.NewAPI(webrtc.WithSettingEngine(s), webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(&interceptor.Registry{})), nil
}

// browsers is a run of WebRTC parties.
type browsers struct {
	Options
	to       link
	opt      browserOptions
	sounds   paced
	pictures paced
	list     []*browser
	turns    *turns // of the speakers; nil: all at once
	report   *Report
	mu       sync.Mutex
	setups   []time.Duration
	in       []*browser // connected
}

// runBrowsers has browsers join the meeting of a link.
func runBrowsers(ctx context.Context, o Options) (*Report, error) {
	to, err := parseLink(o.To[0])
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := webrtc.GenerateCertificate(key) // one for all: making it is no part of what is measured
	if err != nil {
		return nil, err
	}
	r := &browsers{Options: o, to: to, sounds: o.pacer(clock.Frame), pictures: o.pacer(picturePeriod),
		opt:    browserOptions{certificate: *cert, loopback: to.loopback},
		report: &Report{Calls: o.Calls, Failed: map[string]int{}, Codec: "opus"}}
	if o.Cameras > 0 {
		r.opt.pictures = max(1, o.Watch)
	}
	if err := r.make(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	background(ctx, cancel, r.sounds.run, r.pictures.run)
	go r.feedback(ctx)
	defer r.leave()
	if err := r.joinAll(ctx); err != nil || o.Churn {
		return r.report, err
	}
	if err := r.begin(ctx); err != nil {
		return r.report, err
	}
	return r.report, r.measure(ctx)
}

// make makes the browsers: the first ones speak, or send pictures, or both.
func (r *browsers) make() error {
	clips := make([][][]byte, min(r.Speakers, len(voices)))
	for i := range clips {
		var err error
		if clips[i], err = opusTone(voices[i]); err != nil {
			return err
		}
	}
	if r.Turns {
		var err error
		if r.turns, err = newTurns(clips); err != nil {
			return err
		}
	}
	for n := range r.Calls {
		var voice [][]byte
		if n < r.Speakers {
			voice = clips[n%len(clips)]
		}
		b := newBrowser(n, voice, n < r.Cameras)
		b.turns, b.line.loss = r.turns, r.Loss/100
		r.list = append(r.list, b)
	}
	return nil
}

// joinAll has the browsers join at the pace asked for, and waits for each.
func (r *browsers) joinAll(ctx context.Context) error {
	before, began := cpuTime(r.PID), time.Now()
	var all sync.WaitGroup
	for n, b := range r.list {
		due := time.Duration(float64(n) / max(r.PerSec, 0.1) * float64(time.Second))
		if err := sleep(ctx, due-time.Since(began)); err != nil {
			return err
		}
		all.Go(func() { r.joinOne(ctx, b) })
	}
	all.Wait()
	took := time.Since(began).Seconds()
	r.report.Connected = len(r.setups)
	r.report.SetupMS = quantiles(r.setups)
	r.report.SetupRate = float64(len(r.setups)) / took
	if r.PID != 0 && len(r.setups) > 0 {
		r.report.SetupCPU = (cpuTime(r.PID) - before).Seconds() * 1000 / float64(len(r.setups))
	}
	r.Progress(fmt.Sprintf("%d of %d browsers connected", r.report.Connected, r.Calls))
	if r.report.Connected == 0 {
		return fmt.Errorf("no browser was connected: %v", r.report.Failed)
	}
	return nil
}

func (r *browsers) joinOne(ctx context.Context, b *browser) {
	ctx, cancel := context.WithTimeout(ctx, setupLimit)
	defer cancel()
	began := time.Now()
	opt := r.opt
	if !b.camera && !r.watches(b) {
		opt.pictures = 0
	}
	err := b.join(ctx, r.to, opt)
	took := time.Since(began)
	if err == nil && r.Churn {
		b.leave(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.report.Failed[core.ReasonOf(err).Error()]++
		return
	}
	r.setups = append(r.setups, took)
	if !r.Churn {
		r.in = append(r.in, b)
	}
}

// begin has all that are connected say, show and watch.
func (r *browsers) begin(ctx context.Context) error {
	var cameras []*browser
	for _, b := range r.in {
		if b.camera {
			cameras = append(cameras, b)
		}
	}
	for _, b := range r.in {
		if err := b.watch(ctx, r.watched(b, cameras)); err != nil {
			return err
		}
		if b.voice != nil {
			r.sounds.add(b.n, b.speak)
		}
		if b.camera {
			r.pictures.add(b.n, b.show)
		}
	}
	return nil
}

// watches tells whether a browser looks at cameras.
func (r *browsers) watches(b *browser) bool {
	return r.Watchers == 0 || b.n >= r.Cameras && b.n < r.Cameras+r.Watchers
}

// watched are the cameras that a browser looks at: the next ones after itself.
func (r *browsers) watched(b *browser, cameras []*browser) (list []*browser) {
	if !r.watches(b) {
		return nil
	}
	for i := range cameras {
		c := cameras[(b.n+1+i)%len(cameras)]
		if c != b && len(list) < max(1, r.Watch) {
			list = append(list, c)
		}
	}
	return list
}

const (
	feedbackEvery = 100 * time.Millisecond
	reportsEvery  = 10 // feedbacks
)

// feedback has every browser report on what it receives.
func (r *browsers) feedback(ctx context.Context) {
	t := time.NewTicker(feedbackEvery)
	defer t.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		r.mu.Lock()
		list := r.in
		r.mu.Unlock()
		for _, b := range list {
			b.report(n%reportsEvery == b.n%reportsEvery)
		}
	}
}

func (r *browsers) measure(ctx context.Context) error {
	if err := sleep(ctx, r.Settle); err != nil {
		return err
	}
	return r.windows(ctx, r.window)
}

// window measures from now on, for d.
func (r *browsers) window(ctx context.Context, d time.Duration) (Report, error) {
	r.report.fresh()
	filmed := make(map[*browser]uint64)
	for _, b := range r.in {
		for _, s := range b.streams {
			s.arrivals, s.voiced, s.pictures, s.skipped, s.at = arrivals{}, voiced{}, 0, 0, 0
		}
		b.measures.Store(true)
		filmed[b] = b.filmed.Load()
	}
	before, began, said := cpuTime(r.PID), time.Now(), r.spoken()
	if err := sleep(ctx, d); err != nil {
		return Report{}, err
	}
	took, cpu := time.Since(began), cpuTime(r.PID)-before
	for k, n := range r.spoken() {
		said[k] = n - said[k]
	}
	for _, b := range r.in {
		b.measures.Store(false)
		filmed[b] = b.filmed.Load() - filmed[b]
	}
	time.Sleep(2 * clock.Frame) // what had begun is done with
	r.tally(took, cpu, filmed, said)
	return *r.report, nil
}

// tally counts what came of the packets filmed by each camera, and said by each
// speaker where they take turns.
func (r *browsers) tally(took, cpu time.Duration, filmed map[*browser]uint64, said []uint64) {
	rep := r.report
	rep.Seconds = took.Seconds()
	if suite := r.in[0].suite.Load(); suite != nil {
		rep.Suite = *suite
	}
	var cameras []*browser
	for _, b := range r.in {
		if b.camera {
			cameras = append(cameras, b)
		}
	}
	if len(cameras) > 0 {
		rep.Video = &Flow{}
	}
	if r.turns == nil {
		heard := min(r.Speakers, speakerSlots)
		rep.Sent = uint64(max(0, len(r.in)*heard-heard)) * uint64(took/clock.Frame)
	}
	for _, b := range r.in {
		due := uint64(0)
		for _, c := range r.watched(b, cameras) {
			due += filmed[c]
		}
		rep.of(b, due)
		wrong := r.hears(b, said)
		if wrong == "" {
			wrong = b.sees(due)
		}
		if wrong == "" {
			rep.Right++
		} else {
			rep.Wrong, rep.Example = rep.Wrong+1, wrong
		}
	}
	if r.PID != 0 {
		rep.CPU, rep.Memory = cpu.Seconds(), memory(r.PID)
		rep.CPUCaller = cpu.Seconds() * 1000 / (float64(rep.Connected) * took.Seconds())
	}
}

// hears is what is wrong with what a browser hears; it counts what it was due
// where speakers take turns.
func (r *browsers) hears(b *browser, said []uint64) (wrong string) {
	if r.turns == nil {
		return b.hears(min(r.Speakers, len(voices)))
	}
	due, wrong := r.turns.heard(b, said)
	r.report.Sent += due
	return wrong
}

// of counts what a browser got, of due packets of video.
func (rep *Report) of(b *browser, due uint64) {
	if rep.Video != nil {
		rep.Video.Sent += due
	}
	for _, s := range b.streams {
		switch {
		case s.video && rep.Video != nil:
			rep.Video.add(&s.arrivals)
		case s.mix:
			rep.Mixed += s.packets
		case !s.video:
			rep.Received, rep.Lost = rep.Received+s.packets, rep.Lost+s.lost
			rep.gap(s.maxGap)
		}
	}
}

// sees is what is wrong with what the browser sees: all pictures must have come
// whole and in their order.
func (b *browser) sees(due uint64) (wrong string) {
	var got, pictures, skipped uint64
	for _, s := range b.streams {
		if s.video {
			got, pictures, skipped = got+s.packets, pictures+s.pictures, skipped+s.skipped
		}
	}
	switch {
	case skipped > 0:
		return fmt.Sprintf("browser %d: %d of %d pictures not whole", b.n, skipped, pictures)
	case float64(got) < whole*float64(due):
		return fmt.Sprintf("browser %d: %d of %d packets of video", b.n, got, due)
	}
	return ""
}

// hears is what is wrong with what the browser hears: it must hear as many
// voices as there are slots, each in one of them alone, and never its own.
func (b *browser) hears(speakers int) (wrong string) {
	found := map[int]int{}
	for _, s := range b.streams {
		if s.video || s.mix || s.at < window {
			continue
		}
		frames := append(s.last[s.at%window:len(s.last):len(s.last)], s.last[:s.at%window]...)
		levels, err := tonesIn(frames)
		if err != nil {
			return fmt.Sprintf("browser %d: %v", b.n, err)
		}
		for k, l := range levels {
			if l > present {
				found[k]++
			} else if l > absent {
				return fmt.Sprintf("browser %d: %.0f Hz at %.0f dBov", b.n, voices[k], l)
			}
		}
	}
	want := min(speakers, speakerSlots)
	least := want
	if b.voice != nil {
		least-- // it does not hear itself
		if speakers <= speakerSlots {
			want--
		}
	}
	for k, n := range found {
		if n > 1 || k >= speakers || b.voice != nil && k == b.n%len(voices) {
			return fmt.Sprintf("browser %d: hears %.0f Hz in %d slots", b.n, voices[k], n)
		}
	}
	if len(found) < least || len(found) > want {
		return fmt.Sprintf("browser %d: hears %d voices, not %d", b.n, len(found), want)
	}
	return ""
}

func (r *browsers) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var all sync.WaitGroup
	turn := make(chan struct{}, 8)
	for _, b := range r.list {
		all.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			b.leave(ctx)
		})
	}
	all.Wait()
}
