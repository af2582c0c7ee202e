package rtpio

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"bridgehead/core"
)

var loopback = netip.MustParseAddr("127.0.0.1")

func newPorts(t testing.TB) *Ports {
	t.Helper()
	p, err := New(Options{Bind: loopback})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func open(t testing.TB, p *Ports) *Session {
	t.Helper()
	s, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func step(p *Ports) {
	for _, x := range p.Pollers() {
		x.Step(core.Now())
	}
}

func at(s *Session) netip.AddrPort { return netip.AddrPortFrom(loopback, uint16(s.Port())) }

var pcmu = core.Codec{Name: "PCMU", ClockRate: 8000, Channels: 1}
var events = core.Codec{Name: "telephone-event", ClockRate: 8000, PayloadType: 101}

// flowTo is a plain G.711 flow.
func flowTo(to netip.AddrPort) Flow {
	return Flow{Remote: to, Send: pcmu, Receive: []core.Codec{pcmu}, DigitsIn: []core.Codec{events}, DigitsOut: events}
}

type heard struct {
	packets [][]byte
	stamps  []uint32
}

func (h *heard) Write(p *core.Packet) error {
	h.packets = append(h.packets, bytes.Clone(p.Payload))
	h.stamps = append(h.stamps, p.Header.Timestamp)
	return nil
}
func (*heard) Close() error { return nil }

func start(t testing.TB, s *Session, f Flow) {
	t.Helper()
	if err := s.Start(f); err != nil {
		t.Fatal(err)
	}
}

// say writes frames of 20 ms.
func say(s *Session, from uint32, frames ...string) {
	for i, f := range frames {
		p := core.Packet{Payload: []byte(f)}
		p.Header.Timestamp = from + uint32(160*i)
		_ = s.Write(&p)
	}
}

// pair is two sessions that talk to each other.
func pair(t testing.TB, change func(a, b *Flow)) (p *Ports, a, b *Session, fromA, fromB *heard) {
	p = newPorts(t)
	a, b = open(t, p), open(t, p)
	fa, fb := flowTo(at(b)), flowTo(at(a))
	if change != nil {
		change(&fa, &fb)
	}
	start(t, a, fa)
	start(t, b, fb)
	fromA, fromB = &heard{}, &heard{}
	a.Receive(fromB)
	b.Receive(fromA)
	return
}

func TestEverySuiteCarriesSoundBothWays(t *testing.T) {
	for _, suite := range append(Suites(), Suite{}) {
		t.Run(suite.Name, func(t *testing.T) {
			ka, kb := bytes.Repeat([]byte{1}, suite.KeyLen), bytes.Repeat([]byte{2}, suite.KeyLen)
			p, a, b, fromA, fromB := pair(t, func(fa, fb *Flow) {
				if suite.Name != "" {
					fa.Keys, fb.Keys = &Keys{suite, ka, kb}, &Keys{suite, kb, ka}
				}
			})
			say(a, 1000, "one", "two")
			say(b, 7000, "three")
			step(p)
			if len(fromA.packets) != 2 || string(fromA.packets[1]) != "two" || len(fromB.packets) != 1 || string(fromB.packets[0]) != "three" {
				t.Fatalf("heard %q and %q", fromA.packets, fromB.packets)
			}
			if d := fromA.stamps[1] - fromA.stamps[0]; d != 160 {
				t.Errorf("timestamps step by %d, want 160", d)
			}
		})
	}
}

func TestWrongKeyIsHeardByNobody(t *testing.T) {
	suite := Suites()[0]
	p, a, b, fromA, _ := pair(t, func(fa, fb *Flow) {
		fa.Keys = &Keys{suite, bytes.Repeat([]byte{1}, suite.KeyLen), bytes.Repeat([]byte{2}, suite.KeyLen)}
		fb.Keys = &Keys{suite, bytes.Repeat([]byte{2}, suite.KeyLen), bytes.Repeat([]byte{9}, suite.KeyLen)}
	})
	say(a, 0, "secret")
	step(p)
	if len(fromA.packets) != 0 || b.Refused() != 1 {
		t.Fatalf("heard %q, refused %d", fromA.packets, b.Refused())
	}
}

func TestReplayIsRefusedAlsoAfterRenegotiation(t *testing.T) {
	suite := Suites()[0]
	k1, k2 := bytes.Repeat([]byte{1}, suite.KeyLen), bytes.Repeat([]byte{2}, suite.KeyLen)
	p := newPorts(t)
	b := open(t, p)
	tap, from := listen(t)
	a := open(t, p)
	fa := flowTo(from)
	fa.Keys = &Keys{suite, k1, k2}
	start(t, a, fa)
	fb := flowTo(at(a))
	fb.Keys = &Keys{suite, k2, k1}
	start(t, b, fb)
	var h heard
	b.Receive(&h)
	say(a, 0, "hello")
	wire := readFrom(t, tap)
	deliver(t, tap, wire, at(b))
	step(p)
	start(t, b, fb) // re-INVITE with the same keys
	deliver(t, tap, wire, at(b))
	step(p)
	if len(h.packets) != 1 || b.Refused() != 1 {
		t.Fatalf("heard %d times, refused %d; want once and once", len(h.packets), b.Refused())
	}
}

func listen(t testing.TB) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func readFrom(t testing.TB, c *net.UDPConn) []byte {
	t.Helper()
	b := make([]byte, 2048)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func deliver(t testing.TB, c *net.UDPConn, b []byte, to netip.AddrPort) {
	t.Helper()
	if _, err := c.WriteToUDPAddrPort(b, to); err != nil {
		t.Fatal(err)
	}
}

// rtpPacket is a plain G.711 packet.
func rtpPacket(seq uint16, stamp uint32, payload string) []byte {
	b := make([]byte, 12, 12+len(payload))
	b[0] = 0x80
	b[2], b[3] = byte(seq>>8), byte(seq)
	b[6], b[7] = byte(stamp>>8), byte(stamp)
	b[11] = 7
	return append(b, payload...)
}

func TestSymmetricLearnsASteadyStreamOnceAndLocksIt(t *testing.T) {
	p := newPorts(t)
	s := open(t, p)
	signalled, there := listen(t)
	natted, _ := listen(t)
	stranger, _ := listen(t)
	f := flowTo(there)
	f.Symmetric = true
	start(t, s, f)
	var h heard
	s.Receive(&h)
	for i := range 8 { // 8 packets, 20 ms apart on our clock
		fl := s.flow.Load()
		fl.latch.since -= 20 * time.Millisecond
		deliver(t, natted, rtpPacket(uint16(i), uint32(160*i), "behind NAT"), at(s))
		step(p)
	}
	if len(h.packets) == 0 {
		t.Fatal("the stream from behind NAT was never believed")
	}
	got := len(h.packets)
	say(s, 0, "to you")
	if b := readFrom(t, natted); string(b[12:]) != "to you" {
		t.Fatalf("sent %q", b)
	}
	deliver(t, stranger, rtpPacket(20, 3200, "bleed"), at(s))
	deliver(t, signalled, rtpPacket(21, 3360, "late owner"), at(s))
	step(p)
	if len(h.packets) != got {
		t.Fatal("a second address was heard after the first was locked")
	}
}

func TestSignalledAddressWins(t *testing.T) {
	p := newPorts(t)
	s := open(t, p)
	signalled, there := listen(t)
	other, _ := listen(t)
	f := flowTo(there)
	f.Symmetric = true
	start(t, s, f)
	var h heard
	s.Receive(&h)
	deliver(t, other, rtpPacket(0, 0, "stranger"), at(s))
	deliver(t, signalled, rtpPacket(0, 0, "owner"), at(s))
	for i := range 10 {
		deliver(t, other, rtpPacket(uint16(i), 0, "stranger"), at(s))
		step(p)
	}
	if len(h.packets) != 1 || string(h.packets[0]) != "owner" {
		t.Fatalf("heard %q", h.packets)
	}
}

func TestDigits(t *testing.T) {
	var got []byte
	p, a, b, fromA, _ := pair(t, func(fa, fb *Flow) {
		fb.OnDigit = func(k byte) { got = append(got, k) }
	})
	_ = b
	if err := a.SendDigits("15#d"); err != nil {
		t.Fatal(err)
	}
	for i := range 80 {
		say(a, uint32(160*i), "x")
		step(p)
	}
	if string(got) != "15#D" {
		t.Fatalf("got digits %q, want 15#D", got)
	}
	if len(fromA.packets) < 40 {
		t.Errorf("only %d sound packets came around the digits", len(fromA.packets))
	}
}

func TestDigitsSurviveLossReorderingAndSloppyPeers(t *testing.T) {
	type pkt struct {
		stamp uint32
		event byte
		end   bool
	}
	for name, c := range map[string]struct {
		in   []pkt
		want string
	}{
		"no marker needed":       {[]pkt{{100, 1, false}, {100, 1, true}}, "1"},
		"only the end arrives":   {[]pkt{{100, 1, true}}, "1"},
		"ends repeated":          {[]pkt{{100, 1, false}, {100, 1, true}, {100, 1, true}, {100, 1, true}}, "1"},
		"same key twice":         {[]pkt{{100, 1, false}, {100, 1, true}, {1000, 1, false}, {1000, 1, true}}, "11"},
		"timestamp moves":        {[]pkt{{100, 4, false}, {260, 4, false}, {420, 4, false}, {580, 4, true}}, "4"},
		"late packet of old key": {[]pkt{{100, 1, true}, {900, 2, false}, {100, 1, true}, {900, 2, true}}, "12"},
		"flash is no key":        {[]pkt{{100, 16, false}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPorts(t)
			s := open(t, p)
			peer, there := listen(t)
			f := flowTo(there)
			var got []byte
			f.OnDigit = func(k byte) { got = append(got, k) }
			start(t, s, f)
			for i, x := range c.in {
				b := rtpPacket(uint16(i), x.stamp, string([]byte{x.event, 10, 0, 160}))
				b[1] = events.PayloadType
				if x.end {
					b[13] |= 0x80
				}
				deliver(t, peer, b, at(s))
				step(p)
			}
			if string(got) != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLossAndJitterAreCounted(t *testing.T) {
	p := newPorts(t)
	s := open(t, p)
	peer, there := listen(t)
	start(t, s, flowTo(there))
	for _, seq := range []uint16{65533, 65534, 65535, 0, 3, 2, 4} { // 1 is lost
		deliver(t, peer, rtpPacket(seq, 160*uint32(seq+3), "x"), at(s))
	}
	step(p)
	if st := s.Stats(); st.PacketsReceived != 7 || st.PacketsLost != 1 {
		t.Fatalf("received %d lost %d, want 7 and 1", st.PacketsReceived, st.PacketsLost)
	}
}

func TestReportsMeasureTheRoundTrip(t *testing.T) {
	for _, mux := range []bool{false, true} {
		p, a, b, _, _ := pair(t, func(fa, fb *Flow) { fa.Mux, fb.Mux = mux, mux })
		say(a, 0, "x")
		say(b, 0, "x")
		for range 3 {
			for i := range rtcpEvery {
				_ = i
				step(p)
			}
			a.in.nextRR, b.in.nextRR = 0, 0
		}
		if a.RTT() <= 0 || a.RTT() > time.Second {
			t.Errorf("mux %v: round trip %v", mux, a.RTT())
		}
	}
}

func TestSilenceIsReportedOnce(t *testing.T) {
	p := newPorts(t)
	s := open(t, p)
	_, there := listen(t)
	f := flowTo(there)
	calls := 0
	f.Timeout, f.OnTimeout = time.Minute, func() { calls++ }
	start(t, s, f)
	for _, after := range []time.Duration{59 * time.Second, 61 * time.Second, 62 * time.Second} {
		for range rtcpEvery {
			for _, x := range p.Pollers() {
				x.Step(s.flow.Load().started + after)
			}
		}
	}
	if calls != 1 {
		t.Fatalf("time-out reported %d times, want once", calls)
	}
}

func TestGarbageIsCountedAndHarmless(t *testing.T) {
	p := newPorts(t)
	s := open(t, p)
	peer, there := listen(t)
	start(t, s, flowTo(there))
	var h heard
	s.Receive(&h)
	bad := [][]byte{
		{}, {0x80}, bytes.Repeat([]byte{0}, 12), bytes.Repeat([]byte{0xff}, 1400),
		append([]byte{0x8f, 0}, make([]byte, 10)...),                       // 15 CSRCs, none there
		append([]byte{0x90, 0}, make([]byte, 10)...),                       // extension, none there
		append([]byte{0xa0, 0}, append(make([]byte, 10), 0)...),            // padding of 0
		append([]byte{0xa0, 0}, append(make([]byte, 10), 9)...),            // padding longer than payload
		{0x80, 200, 0, 1, 0, 0, 0, 1}, {0x81, 203, 0xff, 0xff, 0, 0, 0, 1}, // RTCP, short
	}
	for _, b := range bad {
		deliver(t, peer, b, at(s))
	}
	deliver(t, peer, rtpPacket(5, 5, "fine"), at(s))
	step(p)
	if len(h.packets) != 1 {
		t.Fatalf("heard %d packets, want the good one", len(h.packets))
	}
}

func FuzzDatagram(f *testing.F) {
	f.Add(rtpPacket(1, 160, "sound"), false)
	f.Add([]byte{0x81, 201, 0, 7, 0, 0, 0, 1}, true)
	f.Add([]byte{0x80, 101, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 5, 0x8a, 3, 0x20}, false)
	s := open(f, newPorts(f))
	from := netip.AddrPortFrom(loopback, 9)
	flow := flowTo(from)
	flow.Mux, flow.OnDigit, flow.OnFeedback = true, func(byte) {}, func(rtcp.Packet) {}
	start(f, s, flow)
	var n counter
	s.Receive(&n)
	f.Fuzz(func(t *testing.T, b []byte, mux bool) {
		if mux {
			s.control(s.flow.Load(), b, from, core.Now())
			return
		}
		s.datagram(newIntake(), s.flow.Load(), b, from, core.Now())
	})
}

func TestPacketPathDoesNotAllocate(t *testing.T) {
	for _, suite := range append(Suites(), Suite{}) {
		ka, kb := bytes.Repeat([]byte{1}, suite.KeyLen), bytes.Repeat([]byte{2}, suite.KeyLen)
		p, a, b, _, _ := pair(t, func(fa, fb *Flow) {
			if suite.Name != "" {
				fa.Keys, fb.Keys = &Keys{suite, ka, kb}, &Keys{suite, kb, ka}
			}
		})
		var n counter
		b.Receive(&n)
		pkt := core.Packet{Payload: make([]byte, 160)}
		step(p)
		got := testing.AllocsPerRun(200, func() {
			pkt.Header.Timestamp += 160
			_ = a.Write(&pkt)
			_ = b
			p.Pollers()[0].Step(core.Now())
			p.Pollers()[1].Step(core.Now())
		})
		if n == 0 {
			t.Errorf("%s: nothing was heard", suite.Name)
		}
		limit := 0.0
		if !suite.Lean() {
			limit = 1 // the library's counter mode makes one
		}
		if got > limit {
			t.Errorf("%s: %v allocations a packet, want at most %v", suite.Name, got, limit)
		}
	}
}

type counter int

func (c *counter) Write(*core.Packet) error { *c++; return nil }
func (*counter) Close() error               { return nil }

func TestPortsAreEvenAndReused(t *testing.T) {
	p, err := New(Options{Bind: netip.MustParseAddr("127.0.0.31"), First: 31001, Last: 31007}) // where nobody else has ports
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s := open(t, p)
		if s.Port()%2 != 0 || s.Port() < 31002 || s.Port() > 31006 {
			t.Errorf("port %d", s.Port())
		}
	}
	if _, err := p.Open(); core.ReasonOf(err).Code != core.Overload {
		t.Errorf("a full range gives %v, want overload", err)
	}
	if _, err := New(Options{First: 70000, Last: 70010}); err == nil {
		t.Error("a range above 65535 was taken")
	}
}

func TestPLIReachesTheLeg(t *testing.T) {
	var got []rtcp.Packet
	p, a, _, _, _ := pair(t, func(fa, fb *Flow) { fb.OnFeedback = func(p rtcp.Packet) { got = append(got, p) } })
	a.SendFeedback(&rtcp.PictureLossIndication{MediaSSRC: 5})
	for range rtcpEvery {
		step(p)
	}
	if len(got) != 1 {
		t.Fatalf("got %v", got)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, suite := range append([]Suite{{}}, Suites()...) {
		name := suite.Name
		if name == "" {
			name = "clear"
		}
		b.Run(name, func(b *testing.B) {
			ka, kb := bytes.Repeat([]byte{1}, suite.KeyLen), bytes.Repeat([]byte{2}, suite.KeyLen)
			p, s, r, _, _ := pair(b, func(fa, fb *Flow) {
				if suite.Name != "" {
					fa.Keys, fb.Keys = &Keys{suite, ka, kb}, &Keys{suite, kb, ka}
				}
			})
			var n counter
			r.Receive(&n)
			pkt := core.Packet{Payload: make([]byte, 160)}
			b.ReportAllocs()
			for b.Loop() {
				pkt.Header.Timestamp += 160
				_ = s.Write(&pkt)
				p.pollers[0].Step(core.Now())
				p.pollers[1].Step(core.Now())
			}
		})
	}
}

func TestPicturesKeepTheirGaps(t *testing.T) {
	var o order
	for i, c := range []struct {
		seq  uint16
		step int
		ok   bool
	}{
		{65534, 0, true}, {65535, 0, true}, {2, 2, true}, // 0 and 1 are missing
		{1, -2, true}, {1, 0, false}, {2, 0, false}, {0, -3, true},
		{65533, 0, false}, // before this writer began: its number may be another's
		{3, 0, true},
		{30000, 0, true}, {29999, 0, false}, // another writer
	} {
		if step, ok := o.step(c.seq); step != c.step || ok != c.ok {
			t.Errorf("%d: packet %d: step %d, %v; want %d, %v", i, c.seq, step, ok, c.step, c.ok)
		}
	}
}

func TestWhoOpensTheFirstSessionHasItRead(t *testing.T) {
	own := func(t *testing.T, p *Ports) *Session { return open(t, p) }
	shared := func(t *testing.T, p *Ports) *Session {
		_, from := listen(t)
		return openFor(t, p, from)
	}
	for name, openOne := range map[string]func(*testing.T, *Ports) *Session{"own ports": own, "shared": shared} {
		t.Run(name, func(t *testing.T) {
			p, woken := sharingPorts(t), 0
			for _, x := range p.Pollers() {
				x.Wakes(func() { woken++ })
			}
			for range 2 {
				before := woken
				first := openOne(t, p)
				if p.pollers[0].Idle() && p.pollers[len(p.pollers)-1].Idle() {
					t.Fatal("nobody has anything to read")
				}
				if woken == before {
					t.Fatal("nobody was woken")
				}
				var more []*Session
				for range 8 {
					more = append(more, openOne(t, p))
				}
				if woken > before+len(p.pollers)+len(p.pairs) {
					t.Errorf("woken %d times", woken-before)
				}
				for _, s := range append(more, first) {
					s.Close()
				}
			}
		})
	}
}
