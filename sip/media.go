package sip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/core/rtpio"
	"bridgehead/sip/sdp"
)

// How long a call goes on in silence, and when to say that there is none.
const (
	silentFor   = 60 * time.Second
	heldFor     = 300 * time.Second
	firstPacket = 3 * time.Second
)

func sameCodec(a, b core.Codec) bool {
	return strings.EqualFold(a.Name, b.Name) && a.ClockRate == b.ClockRate
}

// openMedia takes a port pair, for media from remote if that is known, and
// readies the agent.
func (l *leg) openMedia(f *flow, p sdp.Policy, codecs []core.Codec, remote netip.AddrPort) error {
	own := TrunkConfig{}
	suites := l.e.suites
	if t := l.trunk; t != nil {
		own = t.config
		if own.Suites != nil {
			suites = t.suites
		}
	}
	if own.DSCP != 0 {
		remote = netip.AddrPort{} // a mark of its own takes ports of its own
	}
	s, err := l.e.open(remote)
	if err != nil {
		return err
	}
	s.Mark(own.DSCP)
	l.media = s
	if l.out && !f.reliable() {
		// An INVITE is to fit a datagram (RFC 3261 18.1.1): the strongest
		// suite and the most common one.
		suites = slices.DeleteFunc(slices.Clone(suites), func(s sdp.Suite) bool {
			return s.Name != suites[0].Name && s.Name != "AES_CM_128_HMAC_SHA1_80"
		})
	}
	l.agent = sdp.Agent{Addr: l.e.hostFor(f), Port: s.Port(), Codecs: codecs, Ptime: own.Ptime, Digits: l.trunk.takes("rfc4733"), Policy: p, Suites: suites, Lines: l.e.opt.Lines}
	return nil
}

// agree adopts the outcome of an offer and answer. Before the call's media
// runs it only notes it.
func (l *leg) agree(g *sdp.Agreed) {
	first := l.agreed == nil
	changed := !first && (!sameCodec(l.agreed.Codec, g.Codec) || l.agreed.Codec.Ptime != g.Codec.Ptime || l.agreed.Suite != g.Suite)
	if first || changed {
		l.outdate()
	}
	l.agreed = g
	// A peer that hears nothing holds the call; what it sends meanwhile is
	// music that no meeting wants.
	held := !g.Direction.Sends()
	turned := held != l.held
	l.held = held
	l.update(func(i *core.Info) {
		i.Audio = g.Codec
		if held {
			i.Audio = core.Codec{}
		}
		i.InbandDigits = len(g.DigitsIn) == 0 && l.trunk.takes("inband")
		i.Security.Media, i.Security.Suite = "clear", ""
		if g.Suite != "" {
			i.Security.Media, i.Security.Suite = "sdes-srtp", g.Suite
		}
	})
	if l.incall.started || l.out {
		l.startFlow()
	}
	l.agreeVideo()
	if l.content.media != nil && (l.incall.started || l.out) {
		l.agreeContent()
	}
	if l.seat == nil {
		return
	}
	if changed {
		l.publish()
	}
	if turned {
		l.seat.Signal(core.Hold{On: held})
	}
	if changed || turned {
		l.seat.Signal(core.Changed{})
	}
}

// startMedia begins the media of an incoming call, for early media or with
// the answer.
func (l *leg) startMedia() {
	if !l.incall.started {
		l.incall.started = true
		if l.agreed != nil {
			l.startFlow()
			l.agreeVideo()
			l.agreeContent()
		}
	}
}

func (l *leg) startFlow() {
	g := l.agreed
	f := rtpio.Flow{
		Remote: g.Remote, RemoteRTCP: g.RemoteRTCP, Mux: g.Mux,
		Send: g.Send, Receive: g.Receive, DigitsIn: g.DigitsIn, DigitsOut: g.DigitsOut,
		OnDigit: l.pressed, OnTimeout: l.silent,
	}
	var holdTimeout time.Duration
	f.Timeout, holdTimeout = l.timeouts()
	if l.held {
		f.Receive = nil
	}
	if l.held || !g.Direction.Receives() {
		f.Timeout = holdTimeout
	}
	if g.Suite != "" {
		suite, _ := rtpio.SuiteNamed(g.Suite)
		f.Keys = &rtpio.Keys{Suite: suite, Local: g.LocalKey, Remote: g.RemoteKey}
	} else {
		f.Symmetric = true
	}
	if err := l.media.Start(f); err != nil {
		l.hangup(core.Reason{Code: core.Failure, Detail: err.Error()})
	}
}

// pressed and silent are called on the media clock.
func (l *leg) pressed(key byte) { l.digit(key, "rfc4733") }

func (l *leg) digit(key byte, via string) {
	l.box.Post(func() {
		if l.seat != nil && l.state != over {
			l.seat.Signal(core.Digit{Key: key, Via: via})
		}
	})
}

func (l *leg) silent() {
	l.Hangup(core.Reason{Code: core.MediaTimeout, Say: "No sound arrives from you.", Detail: fmt.Sprintf("no media received on port %d", l.media.Port())})
}

// watchMedia raises an alarm when nothing has come soon after the answer.
func (l *leg) watchMedia() {
	l.after(firstPacket, func() {
		if !l.held && l.media.Stats().PacketsReceived == 0 {
			l.alarm(fmt.Sprintf("no media received on UDP port %d within %v of the answer: is the port open, and the advertised address %v right?", l.media.Port(), firstPacket, l.agent.Addr))
		}
	})
}
