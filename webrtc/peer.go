package webrtc

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/srtp"
	"bridgehead/core/udp"

	"github.com/pion/dtls/v3"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// peer is one peer connection of a leg; a leg whose page was reloaded gets a
// new one.
type peer struct {
	leg *Leg

	// Guarded by leg.mu.
	slots        []*slot      // in the order of the SDP
	pictures     []core.Codec // that the client takes, best first; never changed
	in           []*inbound
	sources      map[string]core.Source // of the client's sending mids
	fingerprints []fingerprint
	remote       string // the client's user fragment
	conn         *dtls.Conn
	closed       bool
	answers      int
	up           bool // there is a way, and keys
	suite        string

	way    atomic.Pointer[way]  // to send by; nil: none
	keys   atomic.Pointer[keys] // nil: before the end of the handshake
	ids    atomic.Pointer[extensions]
	waysMu sync.Mutex
	ways   []*way
	ice    []*agent // the present generation and the one before

	// taking is held for a packet that has come.
	taking   sync.Mutex
	records  *records
	early    [][]byte // came before the keys
	begun    bool     // there have been keys
	streams  map[uint32]bound
	declared map[uint32]string
	contact  opener // of SSRCs not known yet

	arrivals arrivals
}

func (e *Edge) newPeer(l *Leg) *peer {
	p := &peer{leg: l}
	p.ids.Store(&extensions{})
	return p
}

// judge tells the leg when the connection is up, and when it no longer is.
func (p *peer) judge() { p.leg.media(p, p.way.Load() != nil && p.keys.Load() != nil) }

// gone says that the client has closed its side.
func (p *peer) gone() {
	if p.keys.Swap(nil) != nil {
		p.judge()
	}
}

// from is where the client is, as far as is known.
func (p *peer) from() netip.AddrPort {
	if w := p.way.Load(); w != nil {
		return w.from
	}
	return netip.AddrPort{}
}

// agent is that of the present generation; nil: there is none yet.
func (p *peer) agent() *agent {
	if all := p.agents(); len(all) > 0 {
		return all[0]
	}
	return nil
}

func (p *peer) agents() []*agent {
	p.waysMu.Lock()
	defer p.waysMu.Unlock()
	return slices.Clone(p.ice)
}

func (p *peer) allWays() []*way {
	p.waysMu.Lock()
	defer p.waysMu.Unlock()
	return slices.Clone(p.ways)
}

// restart makes new credentials, beside which those before are good until the
// next restart: the client may be checking by them still.
func (p *peer) restart() {
	a := newAgent(p)
	p.waysMu.Lock()
	p.ice = append([]*agent{a}, p.ice[:min(len(p.ice), 1)]...)
	p.waysMu.Unlock()
	p.leg.edge.port.listen(a)
}

// answer carries out an offer.
func (p *peer) answer(o *offer, sources map[string]string) (string, error) {
	p.leg.mu.Lock()
	if p.closed {
		p.leg.mu.Unlock()
		return "", core.Reason{Code: core.Normal}
	}
	fresh := p.remote != o.user
	if p.remote != "" && !slices.EqualFunc(p.fingerprints, o.fingerprints, fingerprint.equal) {
		p.leg.mu.Unlock()
		return "", errNewCertificate
	}
	p.remote, p.fingerprints = o.user, o.fingerprints
	p.sources = name(o.sections, sources)
	p.leg.mu.Unlock()
	if fresh {
		p.restart()
	}
	p.ids.Store(&o.ids)
	p.listen(o.sections)
	p.arrange(o)
	return p.describe(o), nil
}

// name tells what the client sends in each section: as it says, or by order.
func name(sections []section, sources map[string]string) map[string]core.Source {
	named := map[string]core.Source{}
	cameras := 0
	for _, s := range sections {
		if !s.sends || !s.agreed() {
			continue
		}
		src := core.Source(sources[s.mid])
		if known := src == core.Microphone || src == core.Camera || src == core.Screen; !known || src.Kind() != s.kind {
			src = core.Microphone
			if s.kind == core.Video {
				src = core.Camera
				if cameras > 0 {
					src = core.Screen
				}
			}
		}
		if s.kind == core.Video {
			cameras++
		}
		named[s.mid] = src
	}
	return named
}

// listen makes the streams in which the client sends, and ends those in which it
// no longer does.
func (p *peer) listen(sections []section) {
	p.leg.mu.Lock()
	had := p.in
	var now []*inbound
	for i := range sections {
		s := &sections[i]
		if !s.sends || !s.agreed() {
			continue
		}
		for _, layer := range s.layers() {
			at := slices.IndexFunc(had, func(in *inbound) bool {
				return in.mid == s.mid && in.layer == layer && in.source == p.sources[s.mid]
			})
			if at < 0 && len(now) < maxInbound {
				now = append(now, newInbound(p.leg, s, layer, p.sources[s.mid]))
			} else if at >= 0 {
				had[at].agree(s)
				now = append(now, had[at])
				had = slices.Concat(had[:at], had[at+1:])
			}
		}
	}
	p.in = now
	p.leg.mu.Unlock()
	p.taking.Lock()
	p.declared = map[uint32]string{}
	for i := range sections {
		for _, ssrc := range sections[i].ssrcs {
			p.declared[ssrc] = sections[i].mid
		}
	}
	for ssrc, to := range p.streams { // which may be known now, or no longer
		if to.in == nil || slices.Contains(had, to.in) {
			delete(p.streams, ssrc)
		}
	}
	p.taking.Unlock()
	for _, in := range had {
		in.end()
	}
}

// arrange gives each section in which the client receives its slot.
func (p *peer) arrange(o *offer) {
	p.leg.mu.Lock()
	defer p.leg.mu.Unlock()
	had := p.slots
	p.slots = nil
	for i := range o.sections {
		sec := &o.sections[i]
		if !sec.takes || !sec.agreed() {
			continue
		}
		at := slices.IndexFunc(had, func(s *slot) bool { return s.mid == sec.mid && s.kind == sec.kind })
		var s *slot
		if at >= 0 {
			s = had[at]
			had = slices.Concat(had[:at], had[at+1:])
		} else {
			s = &slot{leg: p.leg, peer: p, mid: sec.mid, kind: sec.kind}
		}
		s.bind(sec, &o.ids)
		p.slots = append(p.slots, s)
	}
	for _, s := range had {
		s.bound.Store(nil)
	}
	p.pictures = p.video()
}

// video lists the codecs that the client takes, best first.
func (p *peer) video() []core.Codec {
	var list []core.Codec
	for _, s := range p.slots {
		b := s.bound.Load()
		if s.kind != core.Video || b == nil {
			continue
		}
		for _, f := range b.formats {
			if f.name != rtx {
				list = append(list, f.codec())
			}
		}
		return list
	}
	return nil
}

// forwarded tells whether the client takes microphones unmixed. One that has a
// single section for sound wants everything mixed in it.
func (p *peer) forwarded() bool {
	n := 0
	for _, s := range p.slots {
		if s.kind == core.Audio {
			n++
		}
	}
	return n != 1
}

// audio is the codec of sound that the client takes; zero if none.
func (p *peer) audio() core.Codec {
	for _, s := range p.slots {
		b := s.bound.Load()
		if s.kind != core.Audio || b == nil {
			continue
		}
		for _, f := range b.formats {
			if strings.EqualFold(f.name, "opus") {
				codec := f.codec()
				codec.Ptime = 20 * time.Millisecond
				return codec
			}
		}
	}
	return core.Codec{}
}

func (p *peer) isClosed() bool {
	p.leg.mu.Lock()
	defer p.leg.mu.Unlock()
	return p.closed
}

func (p *peer) close() {
	p.leg.mu.Lock()
	p.closed = true
	in, conn := p.in, p.conn
	p.in = nil
	for _, s := range p.slots {
		if s.sink != nil {
			s.sink.hold.Store(nil)
			s.sink = nil
		}
	}
	p.leg.mu.Unlock()
	for _, i := range in {
		i.end()
	}
	if conn != nil {
		_ = conn.Close() // says so to the client
	}
	p.taking.Lock()
	r := p.records
	p.taking.Unlock()
	if r != nil {
		_ = r.Close()
	}
	p.leg.edge.port.forget(p)
	p.way.Store(nil)
}

// writeRTCP sends reports and feedback.
func (p *peer) writeRTCP(packets []rtcp.Packet) {
	w, k := p.way.Load(), p.keys.Load()
	if w == nil || k == nil {
		return
	}
	plain, err := rtcp.Marshal(packets)
	if err != nil || len(plain) > udp.MaxPacket-srtp.TagLen-8 {
		return
	}
	if w.tcp != nil {
		if b, err := k.sealRTCP(append(make([]byte, 0, len(plain)+srtp.TagLen+8), plain...)); err == nil {
			w.tcp.write(b)
		}
		return
	}
	port := p.leg.edge.port
	b, err := k.sealRTCP(append(port.Begin(), plain...))
	if err != nil {
		b = nil
	}
	port.End(len(b), &w.udp)
}

// send encrypts and sends a packet of the slot, whose lock is held: in its place
// in the batch that goes out.
func (s *slot) send(h *rtp.Header, payload []byte) error {
	w, k := s.peer.way.Load(), s.peer.keys.Load()
	if w == nil || k == nil || h.MarshalSize()+len(payload)+srtp.TagLen > udp.MaxPacket {
		return nil // not connected
	}
	if seal := s.seal.Load(); seal == nil || seal.keys != k {
		sealer, err := k.sealer()
		if err != nil {
			return err
		}
		s.seal.Store(&sealing{sealer, k})
	}
	if w.tcp != nil {
		if s.wire == nil {
			s.wire = make([]byte, 0, udp.MaxPacket)
		}
		b, err := s.packet(s.wire, h, payload)
		if err == nil {
			w.tcp.write(b)
		}
		return err
	}
	port := s.leg.edge.port
	b, err := s.packet(port.Begin(), h, payload)
	port.End(len(b), &w.udp)
	return err
}

// packet makes one in b, which is empty and has room for it.
func (s *slot) packet(b []byte, h *rtp.Header, payload []byte) ([]byte, error) {
	b = b[:h.MarshalSize()+len(payload)]
	n, err := h.MarshalTo(b)
	if err != nil {
		return nil, err
	}
	copy(b[n:], payload)
	return s.seal.Load().Seal(b, n)
}
