package rtpio

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/srtp"
)

// sharingPorts knows the loopback's host for one that keeps its word.
func sharingPorts(t testing.TB) *Ports {
	t.Helper()
	p, err := New(Options{Bind: loopback, Share: true})
	if err != nil {
		t.Fatal(err)
	}
	p.hosts.note(loopback, true)
	return p
}

func openFor(t testing.TB, p *Ports, remote netip.AddrPort) *Session {
	t.Helper()
	s, err := p.OpenFor(remote)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// phone is a socket that a session talks to.
func phone(t testing.TB, p *Ports, change func(*Flow)) (*net.UDPConn, *Session, *heard) {
	t.Helper()
	c, from := listen(t)
	s, h := openFor(t, p, from), &heard{}
	s.Receive(h)
	f := flowTo(from)
	f.Symmetric = true
	if change != nil {
		change(&f)
	}
	start(t, s, f)
	return c, s, h
}

func flush(p *Ports) {
	for _, s := range p.Senders() {
		s.Step(core.Now())
	}
}

func words(h *heard) (all string) {
	for _, p := range h.packets {
		all += string(p) + " "
	}
	return all
}

func TestManySessionsShareAPortPair(t *testing.T) {
	p := sharingPorts(t)
	const phones = 40
	var conns [phones]*net.UDPConn
	var sessions [phones]*Session
	var hear [phones]*heard
	ports := map[int]bool{}
	for i := range phones {
		conns[i], sessions[i], hear[i] = phone(t, p, nil)
		ports[sessions[i].Port()] = true
	}
	if len(ports) > len(p.pairs) || p.InUse() != phones {
		t.Fatalf("%d ports, %d pairs, %d sessions in use", len(ports), len(p.pairs), p.InUse())
	}
	for i, c := range conns {
		deliver(t, c, rtpPacket(uint16(i), 160, string(rune('A'+i))), at(sessions[i]))
		say(sessions[i], 160, string(rune('a'+i)))
	}
	step(p)
	flush(p)
	for i, c := range conns {
		if got := words(hear[i]); got != string(rune('A'+i))+" " {
			t.Errorf("session %d heard %q", i, got)
		}
		if got := readFrom(t, c); string(got[12:]) != string(rune('a'+i)) {
			t.Errorf("phone %d got %q", i, got)
		}
	}
	// Those who leave are heard no more; the others are.
	sessions[0].Close()
	deliver(t, conns[0], rtpPacket(100, 320, "late"), at(sessions[0]))
	deliver(t, conns[1], rtpPacket(100, 320, "more"), at(sessions[1]))
	step(p)
	if words(hear[0]) != "A " || words(hear[1]) != "B more " || p.InUse() != phones-1 {
		t.Errorf("after a leave: %q, %q, %d in use", words(hear[0]), words(hear[1]), p.InUse())
	}
}

// Who shares must have proved itself: by a call on ports of its own whose sound
// came from where it was to come from.
func TestHostsProveThemselves(t *testing.T) {
	p, err := New(Options{Bind: loopback, Share: true})
	if err != nil {
		t.Fatal(err)
	}
	knows := func() bool { return p.hosts.honest(loopback) }
	c, s, _ := phone(t, p, nil)
	if s.shared != nil {
		t.Fatal("an unknown host shares")
	}
	deliver(t, c, rtpPacket(1, 160, "x"), at(s))
	step(p)
	for !knows() { // noted beside the clock
		time.Sleep(time.Millisecond)
	}
	_, s, _ = phone(t, p, nil)
	if s.shared == nil {
		t.Error("a host that has proved itself does not share")
	}
	// Two calls of one place cannot be told apart.
	c, first, _ := phone(t, p, nil)
	place := c.LocalAddr().(*net.UDPAddr).AddrPort()
	for range len(p.pairs) {
		openFor(t, p, place)
	}
	if other := openFor(t, p, place); other.shared != nil || first.shared == nil {
		t.Error("two sessions of one place share a pair")
	}
	p.hosts.note(loopback, false)
	p.hosts.note(loopback, true)
	if knows() {
		t.Error("a host that was found elsewhere is believed again at once")
	}
	for i := range maxHosts + 10 {
		p.hosts.note(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), true)
	}
	if len(p.hosts.saw) > maxHosts {
		t.Errorf("%d hosts are remembered", len(p.hosts.saw))
	}
}

// A peer that does not send from where it said, although its host used to.
func TestStrangersToASharedPair(t *testing.T) {
	p := sharingPorts(t)
	c, s, h := phone(t, p, nil)
	elsewhere, _ := listen(t)
	stream := func(from *net.UDPConn, ssrc byte, n int) {
		for i := range n {
			b := rtpPacket(uint16(i), uint32(160*i), "x")
			b[11] = ssrc
			deliver(t, from, b, at(s))
			step(p)
			time.Sleep(latchAfter / 4)
		}
	}
	stream(elsewhere, 1, 2*latchPackets)
	if len(h.packets) == 0 || s.Found() != elsewhere.LocalAddr().(*net.UDPAddr).AddrPort() {
		t.Fatalf("a session that alone is not heard was not found: %d packets, %v", len(h.packets), s.Found())
	}
	heardOnce := len(h.packets)
	stream(c, 2, 2) // the place signalled, once another is locked
	if len(h.packets) != heardOnce {
		t.Error("a stranger is heard beside the one found")
	}
	// Two that are not heard: no guess.
	_, a, ha := phone(t, p, nil)
	_, b, hb := phone(t, p, nil)
	if a.rtp.Port() != b.rtp.Port() {
		_, b, hb = phone(t, p, nil)
	}
	s = a
	other, _ := listen(t)
	stream(other, 3, 2*latchPackets)
	if a.rtp.Port() == b.rtp.Port() && len(ha.packets)+len(hb.packets) != 0 {
		t.Error("a guess was made where there is doubt")
	}
	if p.Strangers() == 0 {
		t.Error("strangers are not counted")
	}
}

// With keys there is no doubt, wherever packets come from and however often
// that changes.
func TestKeysTellWhoseAPacketIs(t *testing.T) {
	p := sharingPorts(t)
	suite := Suites()[0]
	keys := func(b byte) []byte {
		k := make([]byte, suite.KeyLen)
		k[0] = b
		return k
	}
	var sessions [6]*Session
	var hear [6]*heard
	for i := range sessions {
		_, sessions[i], hear[i] = phone(t, p, func(f *Flow) {
			f.Symmetric = false
			f.Keys = &Keys{Suite: suite, Local: keys(100), Remote: keys(byte(i))}
		})
	}
	for i, s := range sessions {
		out := sealer(t, keys(byte(i)))
		for n, word := range []string{"one", "two"} {
			from, _ := listen(t) // another one each time
			wire, _ := out.Seal(append(make([]byte, 0, 100), rtpPacket(uint16(n), 160, word)...), 12)
			s.in.last -= 2 * quiet // it was not heard for a while
			deliver(t, from, wire, at(s))
			step(p)
		}
	}
	for i, h := range hear {
		if words(h) != "one two " {
			t.Errorf("session %d heard %q", i, words(h))
		}
	}
}

func sealer(t *testing.T, master []byte) *srtp.GCM {
	t.Helper()
	g, err := srtp.NewGCM(master)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestSharedPathDoesNotAllocate(t *testing.T) {
	p := sharingPorts(t)
	c, s, _ := phone(t, p, nil)
	var n counter
	s.Receive(&n)
	out := core.Packet{Payload: make([]byte, 160)}
	one := func() {
		out.Header.Timestamp += 160
		_ = s.Write(&out)
		deliver(t, c, rtpPacket(uint16(n), 160*uint32(n), "x"), at(s))
		step(p)
		flush(p)
	}
	one()
	if a := testing.AllocsPerRun(200, one); a > 3 { // the test's own packet
		t.Errorf("%v allocations a packet", a)
	}
	if n < 200 {
		t.Errorf("%d packets heard", n)
	}
}

// A flood of strangers: the session under it is heard, and the guesses are
// bounded.
func TestFloodOfAStrangerOnASharedPair(t *testing.T) {
	p := sharingPorts(t)
	c, s, h := phone(t, p, nil)
	phone(t, p, nil)
	flood, _ := listen(t)
	for i := range 100 {
		deliver(t, flood, rtpPacket(uint16(i), 1, "flood"), at(s))
	}
	deliver(t, c, rtpPacket(1, 160, "sound"), at(s))
	step(p)
	if words(h) != "sound " {
		t.Errorf("heard %q", words(h))
	}
}

func BenchmarkSharedSessions(b *testing.B) {
	for _, share := range []bool{false, true} {
		b.Run(map[bool]string{false: "own ports", true: "shared"}[share], func(b *testing.B) {
			p, _ := New(Options{Bind: loopback, Share: share})
			p.hosts.note(loopback, true)
			const phones = 100
			var conns [phones]*net.UDPConn
			var sessions [phones]*Session
			var n counter
			for i := range phones {
				conns[i], sessions[i], _ = phone(b, p, nil)
				sessions[i].Receive(&n)
			}
			in, out := rtpPacket(1, 160, string(make([]byte, 160))), core.Packet{Payload: make([]byte, 160)}
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				for i := range conns {
					deliver(b, conns[i], in, at(sessions[i]))
				}
				b.StartTimer()
				step(p)
				for _, s := range sessions {
					_ = s.Write(&out)
				}
				flush(p)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*phones), "ns/caller-frame")
		})
	}
}
