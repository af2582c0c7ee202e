package caller

import (
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/core/h264"
)

// Video is what was seen, and what of ours was sent.
type Video struct {
	Codec     string `json:"codec"`
	Width     int    `json:"width"`
	Height    int    `json:"height"`
	Pictures  int    `json:"pictures"`
	Keyframes int    `json:"keyframes"`
	// FPS is from the first whole picture to the last.
	FPS float64 `json:"fps"`
	// FirstPictureMS is from the answer to the first whole picture.
	FirstPictureMS float64 `json:"first_picture_ms"`
	// LongestGapMS is the longest time from one whole picture to the next.
	LongestGapMS float64 `json:"longest_gap_ms"`
	// PictureMS is when each whole picture came, from the answer on, where what
	// is seen is kept.
	PictureMS       []float64 `json:"picture_ms,omitempty"`
	PacketsReceived int       `json:"packets_received"`
	PacketsLost     int       `json:"packets_lost"`
	PicturesSent    int       `json:"pictures_sent"`
	// KeyframesAsked counts the far end's requests for a whole picture.
	KeyframesAsked int `json:"keyframes_asked"`
}

const (
	maxSeen  = 256 << 20 // bytes that are kept
	askEvery = time.Second
)

// screen puts together the pictures of the far end: those that are whole, from
// a keyframe on. A packet out of order is lost.
type screen struct {
	ask      func() // for a keyframe
	answered time.Duration

	mu      sync.Mutex
	stats   Video
	units   h264.Units
	nals    [][]byte // of the picture that is coming in
	broken  bool     // some of it is missing
	waiting bool     // for a keyframe
	asked   time.Duration
	began   bool
	next    uint16
	stamp   uint32
	first   time.Duration
	last    time.Duration
	keep    bool
	seen    []byte
}

func newScreen(codec core.Codec, answered time.Duration, keep bool, ask func()) *screen {
	return &screen{ask: ask, answered: answered, keep: keep, waiting: true, stats: Video{Codec: codec.Name}}
}

// Write implements core.Sink.
func (s *screen) Write(p *core.Packet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &p.Header
	s.stats.PacketsReceived++
	if gap := int16(h.SequenceNumber - s.next); s.began && gap != 0 {
		if gap < 0 {
			return nil
		}
		s.stats.PacketsLost += int(gap)
		s.units.Lost()
		s.broken = true
	}
	if s.began && h.Timestamp != s.stamp && len(s.nals) > 0 {
		s.picture()
	}
	s.began, s.next, s.stamp = true, h.SequenceNumber+1, h.Timestamp
	if len(p.Payload) > 0 && s.units.Push(p.Payload, s.nal) != nil {
		s.broken = true
	}
	if h.Marker {
		s.picture()
	}
	return nil
}

// restart: the numbers begin anew.
func (s *screen) restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.units.Lost()
	s.nals, s.began, s.waiting = nil, false, true
}

func (s *screen) nal(b []byte) { s.nals = append(s.nals, append([]byte(nil), b...)) }

// picture ends one.
func (s *screen) picture() {
	nals, broken := s.nals, s.broken || len(s.nals) == 0
	s.nals, s.broken = nil, false
	key := !broken && isKeyframe(nals)
	if broken || s.waiting && !key {
		s.waiting = true
		s.renew()
		return
	}
	s.waiting = false
	now := core.Now()
	v := &s.stats
	if v.Pictures++; v.Pictures == 1 {
		s.first = now
		v.FirstPictureMS = float64((now - s.answered).Microseconds()) / 1000
	} else {
		v.LongestGapMS = max(v.LongestGapMS, float64((now-s.last).Microseconds())/1000)
		v.FPS = float64(v.Pictures-1) / (now - s.first).Seconds()
	}
	s.last = now
	if s.keep && len(s.seen) < maxSeen {
		v.PictureMS = append(v.PictureMS, float64((now-s.answered).Microseconds())/1000)
	}
	if key {
		v.Keyframes++
	}
	for _, n := range nals {
		if n[0]&0x1f == h264.SPS {
			if p, err := h264.ParseSPS(n); err == nil {
				v.Width, v.Height = p.Width, p.Height
			}
		}
		if s.keep && len(s.seen) < maxSeen {
			s.seen = append(append(s.seen, 0, 0, 0, 1), n...)
		}
	}
}

// renew asks for a whole picture where there is none to go on from.
func (s *screen) renew() {
	if now := core.Now(); s.asked == 0 || now-s.asked > askEvery {
		s.asked = now
		go s.ask() // the leg's business, not the media clock's
	}
}

// Close implements core.Sink.
func (s *screen) Close() error { return nil }
