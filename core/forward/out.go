package forward

import (
	"sync"
	"sync/atomic"

	"bridgehead/core"
)

// out is one picture as one subscriber gets it: a single RTP stream, whichever
// layer it comes from.
type out struct {
	// target is the layer that Step wants sent; nil pauses. The switch to it
	// happens at its next keyframe.
	target atomic.Pointer[layer]
	// current is the layer being sent, for Step to report.
	current atomic.Pointer[layer]
	// tid and sid are the highest temporal and spatial layers let through.
	tid, sid atomic.Int32
	gone     *atomic.Bool // the subscriber is closed

	attached []*layer // whose packets come here; owned by Step

	// mu serialises the goroutines of the old and the new layer at a switch,
	// and Close. It is held by nobody else and the sink does not block.
	mu     sync.Mutex
	sink   core.Sink
	epoch  uint32
	sidNow int32
	num    numbering
	pic    pictures
	pkt    core.Packet
}

// write sends the packet on if it is of the layer sent, or begins one that may
// be switched to.
func (o *out) write(l *layer, p *core.Packet, d *desc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sink == nil || o.gone.Load() || !o.choose(l, p, d) {
		return
	}
	if !o.lets(d, len(p.Payload)) {
		o.num.skip(p.Header.SequenceNumber)
		o.pic.skip(d)
		return
	}
	seq, ok := o.num.next(p.Header.SequenceNumber)
	if !ok {
		return
	}
	o.pkt = *p
	h := &o.pkt.Header
	h.Extension, h.Extensions, h.CSRC = false, nil, nil
	h.SequenceNumber, h.Timestamp = seq, o.num.timestamp(p)
	// The last packet of the highest spatial layer sent ends the picture.
	h.Marker = h.Marker || d.end && int32(d.sid) == o.sidNow
	o.pic.rewrite(d, p.Payload)
	_ = o.sink.Write(&o.pkt) // the sink counts its own errors
}

// choose tells whether packets of l are sent now, switching to it if it is the
// target and can be entered here.
func (o *out) choose(l *layer, p *core.Packet, d *desc) bool {
	target := o.target.Load()
	if target == nil {
		o.current.Store(nil)
		return false
	}
	if o.current.Load() == l && o.epoch == l.epoch {
		if d.keyframe {
			o.sidNow = o.sid.Load() // a keyframe carries every spatial layer
		}
		return true
	}
	if target != l || !d.keyframe {
		return false
	}
	o.current.Store(l)
	o.epoch = l.epoch
	o.sidNow = o.sid.Load()
	o.num.join(p, 90000)
	o.pic.join(d)
	return true
}

// lets tells whether a packet passes the limits on temporal and spatial layers.
// Down is possible at the start of any frame, up only where the stream says so.
func (o *out) lets(d *desc, size int) bool {
	if size == 0 {
		return false // padding only (RFC 3550, section 5.1)
	}
	if s := o.sid.Load(); s < o.sidNow && d.start && d.sid == 0 {
		o.sidNow = s
	}
	if int32(d.sid) > o.sidNow {
		return false
	}
	return o.pic.temporal(d, o.tid.Load())
}

func (o *out) needKeyframe() {
	if l := o.target.Load(); l != nil {
		l.need.Store(true)
	}
}

func (o *out) close() {
	o.mu.Lock()
	sink := o.sink
	o.sink = nil
	o.mu.Unlock()
	if sink != nil {
		_ = sink.Close()
	}
}

// pictures makes the VP8 and VP9 picture ids, and VP8's TL0PICIDX, continuous
// over switches and thinning (RFC 7741, section 4.2; RFC 9628, section 4.2).
type pictures struct {
	begun    bool
	idOff    uint16 // taken off the picture id
	tl0Off   uint8
	lastID   uint16 // sent
	lastTL0  uint8
	dropping bool  // the present frame is left out
	tidNow   int32 // highest temporal layer let through
}

func (n *pictures) join(d *desc) {
	if d.pid >= 0 {
		n.idOff = 0
		if n.begun {
			n.idOff = uint16(d.pid) - (n.lastID + 1)
		}
	}
	if d.tl0 >= 0 {
		n.tl0Off = 0
		if n.begun {
			n.tl0Off = uint8(d.tl0) - (n.lastTL0 + 1)
		}
	}
	n.begun, n.dropping, n.tidNow = true, false, maxTID
}

// temporal tells whether a frame passes the limit.
func (n *pictures) temporal(d *desc, limit int32) bool {
	if limit < n.tidNow {
		n.tidNow = limit
	}
	if limit > n.tidNow && d.start && (d.tid == 0 || d.upswitch && int32(d.tid) <= limit) {
		n.tidNow = limit
	}
	return int32(d.tid) <= n.tidNow
}

// skip closes the gap that a VP8 frame left out makes in the picture ids; in
// VP9 the group of pictures tells which are missing (RFC 9628, section 4.2).
func (n *pictures) skip(d *desc) {
	if d.vp8 && d.start && d.pid >= 0 {
		n.idOff++
	}
}

func (n *pictures) rewrite(d *desc, b []byte) {
	if d.pid >= 0 {
		id := uint16(d.pid) - n.idOff
		n.lastID = id
		d.putPID(b, id)
	}
	if d.tl0 >= 0 {
		tl0 := uint8(d.tl0) - n.tl0Off
		n.lastTL0 = tl0
		b[d.tl0At] = tl0
	}
}
