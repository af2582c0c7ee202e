package h323

import (
	"io"
	"sync/atomic"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/h323/control"
)

// content is what the party is shown by H.239. What it shows itself comes as
// any other medium, of [core.Screen].
type content struct {
	edge.Content
	takes  core.Codec // of the peer; zero: none
	theirs bool       // the peer presents, or is about to
	out    *screen    // what the room sends
}

// screen is where a room writes what is presented to the party. Until the peer
// has agreed, it goes nowhere; once it comes to nothing, it says so.
type screen struct {
	l       *leg
	track   core.Track
	to      atomic.Pointer[medium]
	over    atomic.Bool
	stopped atomic.Bool // by the peer's flow control
}

// present is a subscription to a screen. It may come from any goroutine.
func (l *leg) present(t core.Track) (core.Sink, error) {
	l.mu.Lock()
	takes := l.info.Content
	l.mu.Unlock()
	if err := edge.TakesContent(takes, t.Codec); err != nil {
		return nil, err
	}
	s := &screen{l: l, track: t}
	l.box.Post(func() { l.offer(s) })
	return s, nil
}

// Write implements [core.Sink].
func (s *screen) Write(p *core.Packet) error {
	if s.over.Load() {
		return errStale
	}
	if m := s.to.Load(); m != nil && !s.stopped.Load() {
		return m.session.Write(p)
	}
	return nil
}

// Close implements [core.Sink].
func (s *screen) Close() error {
	if s.over.Swap(true) {
		return io.ErrClosedPipe
	}
	s.to.Store(nil)
	s.l.box.Post(func() { s.l.withdraw(s) })
	return nil
}

// offer asks the peer to take what the room sends. One at a time is shown.
func (l *leg) offer(s *screen) {
	c := &l.content
	switch {
	case s.over.Load():
		return
	case l.state == over || c.theirs || c.takes.Name == "":
		s.over.Store(true)
		return
	case c.out != nil:
		c.out.over.Store(true)
	}
	c.out = s
	if m := l.media[core.Screen]; m != nil && m.out != nil {
		l.show(m)
		return
	}
	l.machine.Present()
}

func (l *leg) withdraw(s *screen) {
	if l.content.out == s {
		l.content.out = nil
		l.machine.Withdraw()
	}
}

// show begins to send, with a whole picture.
func (l *leg) show(m *medium) {
	s := l.content.out
	if s == nil {
		return
	}
	s.to.Store(m)
	if l.seat != nil {
		l.limit(core.Screen, m.out.BitRate)
		l.seat.Signal(core.NeedKeyframe{Track: s.track})
	}
}

// limit tells the room what a channel takes, in bit/s; 0: not said.
func (l *leg) limit(of core.Source, bps int) {
	if of == core.Screen {
		of = "" // with its view
	}
	if bps > 0 && l.seat != nil {
		l.seat.Signal(core.Bitrate{Source: of, BitsPerSec: bps})
	}
}

// projected follows our channel for content.
func (l *leg) projected(m *medium) {
	switch s := l.content.out; {
	case m.out != nil:
		l.show(m)
	case s != nil:
		s.to.Store(nil)
	}
}

// presentable: the peer takes content, or no more.
func (l *leg) presentable(codec core.Codec) {
	l.content.takes = codec
	l.update(func(i *core.Info) {
		i.Content = nil
		if codec.Name != "" {
			i.Content = []core.Codec{codec}
		}
	})
	if l.seat != nil {
		l.seat.Signal(core.Changed{Video: true})
	}
	l.look()
}

// token: who presents has changed. Where neither does, our wish was refused.
func (l *leg) token(t control.Token) {
	c := &l.content
	was := c.theirs
	c.theirs = t.Theirs
	switch {
	case t.Ours:
		return
	case !t.Theirs && was:
		c.Refuse("")
	case !t.Theirs && c.out != nil:
		c.Refuse(c.out.track.Party)
	}
	l.unproject()
	l.look()
}

// unproject ends what the room sends: it has come to nothing.
func (l *leg) unproject() {
	if s := l.content.out; s != nil {
		s.over.Store(true)
		s.to.Store(nil)
		l.content.out = nil
	}
}

// roster looks for a screen that is shared.
func (l *leg) roster(list []core.Party) {
	l.content.Roster(l.info.ID, list)
	l.look()
}

// look asks the room for the screen that the peer can be shown now.
func (l *leg) look() {
	c := &l.content
	if l.seat == nil || l.state == over {
		return
	}
	if v, changed := c.Look(c.takes.Name != "" && !c.theirs && !l.held); changed {
		l.seat.Signal(v)
	}
}

// fastUpdate: the peer wants a whole picture.
func (l *leg) fastUpdate(c *control.Channel) { l.renew(c.Source) }

// renew asks the room for a whole picture of what the party is sent.
func (l *leg) renew(source core.Source) {
	switch s := l.content.out; {
	case l.seat == nil || l.state == over:
	case source == core.Camera:
		l.seat.Signal(core.NeedKeyframe{Track: core.Track{Source: core.Stage}})
	case source == core.Screen && s != nil:
		l.seat.Signal(core.NeedKeyframe{Track: s.track})
	}
}

// limited: the peer's flow control of what it is sent.
func (l *leg) limited(c *control.Channel, bps int) {
	if bps == 0 {
		bps = c.BitRate
	}
	if c.Source == core.Camera {
		if was := l.stopped.Swap(bps == control.Stopped); was && bps != control.Stopped {
			l.renew(core.Camera)
		}
		l.limit(core.Stage, bps)
		return
	}
	s := l.content.out
	if s == nil || c.Source != core.Screen {
		return
	}
	if was := s.stopped.Swap(bps == control.Stopped); was && bps != control.Stopped {
		l.fastUpdate(c)
	}
	l.limit(core.Screen, bps)
}
