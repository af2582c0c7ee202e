package sip

import (
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/core/rtpio"
	"bridgehead/sip/bfcp"
	"bridgehead/sip/sdp"
)

// content is what is presented beside the picture: an RTP session of its own,
// and the floor, by BFCP, that says who presents. All is touched by the box only.
type content struct {
	edge.Content
	media   session
	agreed  *sdp.Agreed
	floor   *sdp.Floor
	cancel  func() // waits no more for the peer's connection
	conn    *bfcp.Conn
	session *bfcp.Session
	theirs  bool // the peer presents
	asking  bool // the room is asked for the peer's sake
	sink    core.Sink
	out     *screen
	asked   time.Time
}

// screen is where a room writes what is presented to the party, from when this
// end has the floor.
type screen struct {
	l     *leg
	track core.Track
	to    atomic.Pointer[core.Sink]
	over  atomic.Bool
}

// Write implements [core.Sink].
func (s *screen) Write(p *core.Packet) error {
	if s.over.Load() {
		return errStale
	}
	if to := s.to.Load(); to != nil {
		return (*to).Write(p)
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

// openContent readies for content beside the picture, as the peer offers it or,
// with client, in the role of a room system.
func (l *leg) openContent(client bool) {
	if l.e.floor == nil || l.content.media != nil || l.video.media == nil {
		return
	}
	s, err := l.e.openVideo()
	if err != nil {
		l.log.Warn("SIP call goes on without content", "error", err)
		return
	}
	l.content.media = s
	l.agent.ContentPort = s.Port()
	l.agent.Floor = &sdp.FloorControl{Port: int(l.e.floor.Addr().Port()), Fingerprint: l.e.floor.Fingerprint(),
		Conference: rand.Uint32N(1<<31-1) + 1, User: uint16(rand.UintN(1<<14) + 1), Client: client}
}

// agreeContent adopts what was agreed on about content.
func (l *leg) agreeContent() {
	c := &l.content
	g := l.agreed.Content
	if c.media == nil || g == c.agreed {
		return
	}
	c.agreed = g
	if err := c.media.Start(pictureFlow(g, l.contentFeedback, nil)); err != nil {
		l.log.Warn("SIP call goes on without content", "error", err)
		g, c.agreed = nil, nil
	}
	if floor := l.agreed.Floor; g == nil || c.floor == nil || !sameFloor(floor, c.floor) {
		l.endFloor()
		if g != nil {
			l.beginFloor(floor)
		}
	}
	l.presentable()
}

func sameFloor(a, b *sdp.Floor) bool {
	return a.Transport == b.Transport && a.Remote == b.Remote && a.Conference == b.Conference && slices.Equal(a.Fingerprints, b.Fingerprints)
}

// beginFloor connects to the peer, or waits for it.
func (l *leg) beginFloor(f *sdp.Floor) {
	transport, ok := bfcp.TransportNamed(f.Transport)
	if !ok {
		return
	}
	c := &l.content
	c.floor = f
	post := func(conn *bfcp.Conn, first *bfcp.Message) {
		l.box.Post(func() { l.floorConnected(f, transport, conn, first) })
	}
	if !f.Active {
		c.cancel = l.e.floor.Expect(bfcp.Call{Conference: f.Conference, Secure: l.agreed.Suite != "", Fingerprints: f.Fingerprints, From: f.Remote.Addr(),
			Take: func(conn *bfcp.Conn, first bfcp.Message) { post(conn, &first) }})
		return
	}
	go func() {
		conn, err := l.e.floor.Dial(l.e.ctx, transport, f.Remote, f.Fingerprints)
		if err != nil {
			l.log.Warn("SIP call goes on without content", "error", err)
			return
		}
		post(conn, nil)
	}()
}

func (l *leg) endFloor() {
	l.content.disconnect()
	l.Theirs(false)
	l.Ours(false)
}

// floorConnected begins the session over a connection, one at a time.
func (l *leg) floorConnected(f *sdp.Floor, t bfcp.Transport, conn *bfcp.Conn, first *bfcp.Message) {
	c := &l.content
	if l.state == over || c.floor != f {
		conn.Close()
		return
	}
	if c.conn != nil { // the peer has connected anew
		c.session.Close()
		c.conn.Close()
	}
	c.conn = conn
	c.session = bfcp.NewSession(bfcp.Options{Server: f.Server, Datagrams: t.Datagrams(), Conference: f.Conference, User: f.User, Floor: f.ID,
		Send: conn.Send, After: l.after, On: l})
	if first != nil {
		c.session.Receive(*first)
	}
	go func() {
		for {
			m, err := conn.Read()
			l.box.Post(func() {
				switch {
				case c.conn != conn:
				case err != nil:
					l.Gone()
				default:
					c.session.Receive(m)
				}
			})
			if err != nil {
				conn.Close()
				return
			}
		}
	}()
	l.presentable()
}

// presentable tells the room whether the party can be shown content.
func (l *leg) presentable() {
	c := &l.content
	var takes []core.Codec
	if c.session != nil && c.agreed != nil && c.agreed.Send.Name != "" {
		takes = []core.Codec{c.agreed.Send}
	}
	changed := false
	l.update(func(i *core.Info) {
		changed = !slices.Equal(i.Content, takes)
		i.Content = takes
	})
	if changed && l.seat != nil {
		l.seat.Signal(core.Changed{Video: true})
	}
	l.look()
}

// Asked implements [bfcp.Events]: the room decides.
func (l *leg) Asked() {
	if l.seat == nil {
		l.content.session.Decide(false)
		return
	}
	l.content.asking = true
	l.seat.Signal(core.Floor{On: true})
}

// floorTold is the room's word about what the party presents.
func (l *leg) floorTold(e core.Floor) {
	c := &l.content
	switch {
	case c.session == nil:
	case c.asking:
		c.asking = false
		c.session.Decide(e.On)
	case !e.On && c.floor.Server:
		c.session.Revoke()
	}
}

// Theirs implements [bfcp.Events].
func (l *leg) Theirs(on bool) {
	c := &l.content
	if c.theirs == on {
		return
	}
	c.theirs = on
	l.publishContent()
	if !on && l.seat != nil {
		l.seat.Signal(core.Floor{})
	}
	l.look()
}

// publishContent offers what the party presents to the seat, anew.
func (l *leg) publishContent() {
	c := &l.content
	if c.media == nil {
		return
	}
	old := c.sink
	c.sink = nil
	if c.theirs && l.seat != nil && c.agreed != nil && len(c.agreed.Receive) > 0 {
		sink, err := l.seat.Publish(core.Track{Party: l.info.ID, Source: core.Screen, Codec: c.agreed.Receive[0]})
		if err != nil {
			l.log.Debug("seat takes no content", "error", err)
		}
		c.sink = sink
	}
	c.media.Receive(c.sink)
	if old != nil {
		old.Close()
	}
}

// Ours implements [bfcp.Events]: what the room presents can be shown, or not.
func (l *leg) Ours(on bool) {
	c := &l.content
	switch s := c.out; {
	case s == nil:
	case on:
		to := core.Sink(c.media)
		s.to.Store(&to)
		if l.seat != nil {
			if c.agreed.MaxRate > 0 {
				l.seat.Signal(core.Bitrate{BitsPerSec: c.agreed.MaxRate})
			}
			l.seat.Signal(core.NeedKeyframe{Track: s.track})
		}
	default:
		if !c.theirs {
			c.Refuse(s.track.Party)
		}
		s.over.Store(true)
		s.to.Store(nil)
		c.out = nil
		l.look()
	}
}

// Gone implements [bfcp.Events].
func (l *leg) Gone() {
	f := l.content.floor
	l.endFloor()
	if f != nil && !f.Active && l.state != over {
		l.beginFloor(f) // it may come back
	}
	l.presentable()
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
	l.box.Post(func() { l.offerScreen(s) })
	return s, nil
}

// offerScreen asks for the floor on the room's behalf. One screen at a time is
// shown.
func (l *leg) offerScreen(s *screen) {
	c := &l.content
	if s.over.Load() {
		return
	}
	if l.state == over || c.session == nil || c.theirs {
		s.over.Store(true)
		return
	}
	if before := c.out; before != nil {
		before.over.Store(true)
		s.to.Store(before.to.Load())
		c.out = s
		l.renewScreen()
		return
	}
	c.out = s
	c.session.Ask()
}

func (l *leg) withdraw(s *screen) {
	if c := &l.content; c.out == s {
		c.out = nil
		if c.session != nil {
			c.session.Release()
		}
	}
}

// look asks the room for the screen that the party can be shown now.
func (l *leg) look() {
	c := &l.content
	if l.seat == nil || l.state == over {
		return
	}
	if v, changed := c.Look(c.session != nil && c.agreed != nil && c.agreed.Send.Name != "" && !c.theirs && !l.held); changed {
		l.seat.Signal(v)
	}
}

// contentFeedback is the peer's by RTCP, on the media clock.
func (l *leg) contentFeedback(p rtcp.Packet) {
	switch p.(type) {
	case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
		l.box.Post(l.renewScreen)
	}
}

func (l *leg) renewScreen() {
	if s := l.content.out; s != nil && l.seat != nil && l.state != over {
		l.seat.Signal(core.NeedKeyframe{Track: s.track})
	}
}

// askContent asks the party for a whole picture of what it presents.
func (l *leg) askContent() {
	c := &l.content
	if c.agreed == nil || time.Since(c.asked) < askAgain {
		return
	}
	c.asked = time.Now()
	c.media.AskPicture(!c.agreed.PLI && c.agreed.FIR)
}

// disconnect ends floor control, and waits for no connection any more.
func (c *content) disconnect() {
	if c.cancel != nil {
		c.cancel()
	}
	if c.session != nil {
		c.session.Close()
	}
	if c.conn != nil {
		c.conn.Close()
	}
	c.cancel, c.session, c.conn, c.floor, c.asking = nil, nil, nil, nil, false
}

func (c *content) close() {
	c.disconnect()
	if c.out != nil {
		c.out.over.Store(true)
	}
	if c.media != nil {
		c.media.Receive(nil)
		c.media.Close()
	}
	if c.sink != nil {
		c.sink.Close()
		c.sink = nil
	}
}

// pictureFlow is how pictures agreed on flow; nil: not at all.
func pictureFlow(g *sdp.Agreed, feedback func(rtcp.Packet), rate func(int)) rtpio.Flow {
	f := rtpio.Flow{}
	if g == nil {
		return f
	}
	f = rtpio.Flow{Remote: g.Remote, RemoteRTCP: g.RemoteRTCP, Mux: g.Mux, Send: g.Send, Receive: g.Receive, OnFeedback: feedback, OnRate: rate}
	if g.Suite != "" {
		suite, _ := rtpio.SuiteNamed(g.Suite)
		f.Keys = &rtpio.Keys{Suite: suite, Local: g.LocalKey, Remote: g.RemoteKey}
	} else {
		f.Symmetric = true
	}
	return f
}
