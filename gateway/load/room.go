package load

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/h264"
)

// clip is H.264 in the payloads of RFC 6184, packetization mode 1, sent over and
// over; all that send it share it.
type clip struct {
	pictures []clipPicture
	number   map[string]int // of a payload, by what it is
}

type clipPicture struct {
	payloads [][]byte
	numbers  []int // of each; those that are alike have one
	key      bool
}

const (
	clipMTU    = 1200 // bytes of payload
	maxFlashes = 1000
)

// newClip reads a byte stream (H.264 Annex B) that begins with a keyframe.
func newClip(stream []byte) (*clip, error) {
	c := &clip{number: map[string]int{}}
	for _, nals := range h264.Pictures(h264.Split(stream)) {
		var p clipPicture
		for _, n := range nals {
			p.key = p.key || n[0]&0x1f == h264.IDR
			err := h264.Payloads(n, 1, clipMTU, func(b []byte) { p.payloads = append(p.payloads, bytes.Clone(b)) })
			if err != nil {
				return nil, err
			}
		}
		for _, b := range p.payloads {
			n, ok := c.number[string(b)]
			if !ok {
				n = len(c.number)
				c.number[string(b)] = n
			}
			p.numbers = append(p.numbers, n)
		}
		c.pictures = append(c.pictures, p)
	}
	if len(c.pictures) == 0 || !c.pictures[0].key {
		return nil, errors.New("load: no H.264 that begins with a keyframe")
	}
	return c, nil
}

// room is a room system: a telephone with a camera and a screen.
type room struct {
	*Party
	clip *clip // its camera's; nil: it sends no picture
	of   *room // whose camera it must be sent unchanged; nil: it sees what is composed

	stage  atomic.Pointer[core.Sink]
	renew  atomic.Bool // somebody asks for a keyframe
	at     int         // in the clip
	frame  core.Packet
	sent   []atomic.Int64 // when each payload left last, on the media clock; 0: while not measured
	filmed atomic.Uint64  // packets, while measured
	// flashed is when each picture that begins a film anew, or a flash, left.
	flashed []time.Duration
	screen  screen
}

func newRoom(c *clip, of *room) (*room, error) {
	p, err := newParty(listener, 0, core.Codec{Name: "PCMU"}, nil)
	if err != nil {
		return nil, err
	}
	r := &room{Party: p, clip: c, of: of}
	r.screen.room = r
	if c != nil {
		r.sent = make([]atomic.Int64, len(c.number))
	}
	return r, nil
}

// Join implements core.Room.
func (r *room) Join(_ context.Context, leg core.Leg) error {
	r.leg = leg
	leg.Sit(r)
	if err := r.open(); err != nil {
		return err
	}
	close(r.joined)
	return nil
}

// open opens what goes to the bridge.
func (r *room) open() error {
	info := r.leg.Info()
	sink, err := r.leg.Subscribe(core.Track{Source: core.Mix, Codec: info.Audio})
	if err != nil {
		return err
	}
	r.out.Store(&sink)
	if r.clip == nil || len(info.Video) == 0 {
		return nil
	}
	picture, err := r.leg.Subscribe(core.Track{Source: core.Stage, Codec: info.Video[0]})
	if err == nil {
		r.stage.Store(&picture)
	}
	return err
}

// Publish implements core.Seat.
func (r *room) Publish(t core.Track) (core.Sink, error) {
	switch t.Source.Kind() {
	case core.Video:
		return &r.screen, nil
	case core.Audio:
		return r.Party, nil
	}
	return core.Discard, nil
}

// Signal implements core.Seat.
func (r *room) Signal(e core.Event) {
	switch e.(type) {
	case core.NeedKeyframe:
		r.renew.Store(true)
	case core.Changed:
		_ = r.open()
	}
}

// show sends the next picture.
func (r *room) show(int) {
	sink := r.stage.Load()
	if sink == nil {
		return
	}
	if r.renew.Swap(false) {
		for !r.clip.pictures[r.at].key {
			r.at = (r.at + 1) % len(r.clip.pictures)
		}
	}
	measured := r.active.Load() // for the whole picture
	p := &r.clip.pictures[r.at]
	r.at = (r.at + 1) % len(r.clip.pictures)
	if p.key && len(r.flashed) < maxFlashes {
		r.flashed = append(r.flashed, core.Now())
	}
	h := &r.frame.Header
	h.Version = 2
	h.Timestamp += uint32(picturePeriod * 90000 / time.Second)
	for i, b := range p.payloads {
		h.SequenceNumber++
		h.Marker = i == len(p.payloads)-1
		r.frame.Payload, r.frame.Kept = b, b
		left := int64(0)
		if measured {
			left = int64(core.Now())
			r.filmed.Add(1)
		}
		r.sent[p.numbers[i]].Store(left)
		_ = (*sink).Write(&r.frame)
	}
}

// screen is what a room system is shown. Written to from one goroutine.
type screen struct {
	room *room
	arrivals
	pictures uint64
	strange  uint64 // packets that the camera did not send
	delays   []time.Duration

	// Of a composed picture, from the first keyframe on.
	units  h264.Units
	size   h264.Picture
	whole  bool // it has begun
	keeps  bool
	stream []byte          // as a byte stream, if it keeps it
	kept   int             // octets of it that are whole pictures
	shown  []time.Duration // when each of its pictures was whole
}

// reset begins to measure.
func (s *screen) reset() {
	s.arrivals, s.pictures, s.strange, s.delays = arrivals{}, 0, 0, s.delays[:0]
}

// Write implements core.Sink.
func (s *screen) Write(p *core.Packet) error {
	counts := s.room.active.Load()
	if of := s.room.of; of != nil {
		counts = s.match(of, p, counts)
	} else {
		s.read(p)
	}
	if counts {
		s.note(p.Header.SequenceNumber, p.Arrival)
		if p.Header.Marker {
			s.pictures++
		}
	}
	return nil
}

// match finds the packet among what the camera sent, and when, and tells whether it
// counts: if it left while the camera was measured, whenever it comes.
func (s *screen) match(of *room, p *core.Packet, measured bool) bool {
	if n, ok := of.clip.number[string(p.Payload)]; ok {
		left := time.Duration(of.sent[n].Load())
		if d := p.Arrival - left; left > 0 && d >= 0 {
			s.delays = append(s.delays, d)
		}
		return left > 0
	}
	again := len(p.Payload) > 0 && (p.Payload[0]&0x1f == h264.SPS || p.Payload[0]&0x1f == h264.PPS) // the bridge may say these again
	if measured && !again {
		s.strange++
	}
	return measured
}

// read follows a composed picture.
func (s *screen) read(p *core.Packet) {
	err := s.units.Push(p.Payload, func(nal []byte) {
		if nal[0]&0x1f == h264.SPS {
			if size, err := h264.ParseSPS(nal); err == nil {
				s.size, s.whole = size, true
			}
		}
		if s.whole && s.keeps {
			s.stream = append(append(s.stream, 0, 0, 0, 1), nal...)
		}
	})
	if err != nil {
		s.strange++
	}
	if p.Header.Marker && s.whole && s.keeps {
		s.shown, s.kept = append(s.shown, p.Arrival), len(s.stream)
	}
}

// Close implements core.Sink.
func (s *screen) Close() error { return nil }
