package sip

import (
	"io"
	"slices"
	"sync/atomic"
	"time"

	siplib "github.com/emiago/sipgo/sip"
	"github.com/pion/rtcp"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/sip/sdp"
)

// video is the picture of a call: one RTP session, in which the party's camera
// comes and the room's stage goes. All but media is touched by the box only.
type video struct {
	media   session // guarded by leg.mu; once set, constant
	sink    core.Sink
	asked   time.Time
	started *sdp.Agreed
	rate    int  // what the peer takes, by RTCP; 0: not said
	deaf    bool // the peer has refused an INFO that asks for a picture
}

func (v *video) hush() {
	if v.media != nil {
		v.media.Receive(nil)
	}
}

func (v *video) close() {
	if v.media != nil {
		v.media.Receive(nil)
		v.media.Close()
	}
	if v.sink != nil {
		v.sink.Close()
		v.sink = nil
	}
}

// invited readies for pictures if the peer offers them, or leaves the offer to
// this end.
func (l *leg) invited(offer *sdp.Session) {
	if offer == nil || offer.HasVideo() {
		l.openVideo()
	}
	if offer != nil && offer.HasContent() {
		l.openContent(false)
	}
}

// openVideo takes a port pair for pictures. Without one the call has only sound.
func (l *leg) openVideo() {
	if l.video.media != nil {
		return
	}
	s, err := l.e.openVideo()
	if err != nil {
		l.log.Warn("SIP call goes on without pictures", "error", err)
		return
	}
	l.mu.Lock()
	l.video.media = s
	l.mu.Unlock()
	l.agent.VideoPort = s.Port()
}

// agreeVideo adopts what was agreed on about pictures, once media may flow.
func (l *leg) agreeVideo() {
	v := &l.video
	g := l.agreed.Video
	if v.media == nil || g == v.started || !l.incall.started && !l.out {
		return
	}
	v.started = g
	if err := v.media.Start(pictureFlow(g, l.feedback, l.carried)); err != nil {
		l.log.Warn("SIP call goes on without pictures", "error", err)
		g = nil
	}
	var takes []core.Codec
	if g != nil && g.Send.Name != "" {
		takes = []core.Codec{g.Send}
	}
	changed := false
	l.update(func(i *core.Info) {
		changed = !slices.Equal(i.Video, takes)
		i.Video = takes
	})
	if l.seat == nil {
		return
	}
	l.publishCamera()
	if changed {
		l.seat.Signal(core.Changed{Video: true})
		l.limit()
		l.renewStage()
	}
}

// limit tells the room what the peer takes: by its description (b=AS, b=TIAS),
// and by RTCP.
func (l *leg) limit() {
	if g := l.agreed.Video; g != nil && l.seat != nil {
		if bps := edge.Least(g.MaxRate, l.video.rate); bps > 0 {
			l.seat.Signal(core.Bitrate{Source: core.Stage, BitsPerSec: bps})
		}
	}
}

// carried is what the peer takes by RTCP, on the media clock.
func (l *leg) carried(bps int) {
	if bps == 0 {
		bps = edge.Unlimited
	}
	l.box.Post(func() {
		if l.video.rate = bps; l.state != over && l.agreed != nil {
			l.limit()
		}
	})
}

// publishCamera offers the party's picture to the seat, anew.
func (l *leg) publishCamera() {
	v := &l.video
	g := l.agreed.Video
	if v.media == nil {
		return
	}
	old := v.sink
	v.sink = nil
	if g != nil && len(g.Receive) > 0 {
		sink, err := l.seat.Publish(core.Track{Party: l.info.ID, Source: core.Camera, Codec: g.Receive[0]})
		if err != nil {
			l.log.Debug("seat takes no picture", "error", err)
		}
		v.sink = sink
	}
	v.media.Receive(v.sink)
	if old != nil {
		old.Close()
	}
	if g != nil {
		l.limit()
	}
}

// display is where a room writes what the party sees.
type display struct {
	media  session
	closed atomic.Bool
}

func (l *leg) display(c core.Codec) (core.Sink, error) {
	l.mu.Lock()
	takes, media := l.info.Video, l.video.media
	l.mu.Unlock()
	if media == nil || !slices.Contains(takes, c) {
		return nil, core.Reason{Code: core.Incompatible, Detail: "sip: the party takes no such picture now"}
	}
	return &display{media: media}, nil
}

// Write implements [core.Sink].
func (d *display) Write(p *core.Packet) error {
	if d.closed.Load() {
		return io.ErrClosedPipe
	}
	return d.media.Write(p)
}

// Close implements [core.Sink].
func (d *display) Close() error {
	d.closed.Store(true)
	return nil
}

// feedback is the peer's by RTCP, on the media clock.
func (l *leg) feedback(p rtcp.Packet) {
	switch p.(type) {
	case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
		l.box.Post(l.renewStage)
	}
}

// renewStage asks the room for a whole picture.
func (l *leg) renewStage() {
	if l.seat != nil && l.state != over {
		l.seat.Signal(core.NeedKeyframe{Track: core.Track{Source: core.Stage}})
	}
}

// askAgain bounds how often a peer is asked for a whole picture.
const askAgain = 300 * time.Millisecond

// askPicture asks the party for a whole picture in the way that it knows: PLI,
// FIR, or INFO (RFC 5168).
func (l *leg) askPicture() {
	v := &l.video
	if l.state == over || l.agreed == nil || l.agreed.Video == nil || v.media == nil || time.Since(v.asked) < askAgain {
		return
	}
	v.asked = time.Now()
	switch g := l.agreed.Video; {
	case g.PLI:
		v.media.AskPicture(false)
	case g.FIR:
		v.media.AskPicture(true)
	case !v.deaf && l.state == confirmed:
		req := l.newRequest(siplib.INFO)
		set(req, "Content-Type", "application/media_control+xml")
		req.SetBody([]byte(fastUpdate))
		l.send(req, func(res *response) { v.deaf = res.StatusCode >= 400 }, func(error) {})
	}
}

// fastUpdate is the body of RFC 5168 §7.1.
const fastUpdate = `<?xml version="1.0" encoding="utf-8"?>
<media_control><vc_primitive><to_encoder><picture_fast_update/></to_encoder></vc_primitive></media_control>
`
