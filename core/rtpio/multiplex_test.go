package rtpio

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/pion/rtcp"

	"bridgehead/core"
)

func openMultiplexed(t testing.TB, p *Ports) *Session {
	t.Helper()
	s, err := p.OpenMultiplexed()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func withID(id uint32, b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, id), b...) }

func after(at netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(at.Addr(), at.Port()+1) }

// walled is a flow to an endpoint behind a firewall that signals from host and
// has told a place of no use.
func walled(host netip.Addr) Flow {
	f := flowTo(netip.MustParseAddrPort("192.0.2.7:5000"))
	f.Traversal, f.Host, f.KeepAlive, f.Symmetric = true, host, 127, true
	return f
}

func keepAlivePacket(pt byte) []byte {
	b := rtpPacket(1, 0, "")
	b[1] = 0x80 | pt
	return b
}

func TestTwoSessionsOnOnePort(t *testing.T) {
	p := newPorts(t)
	a, b := openMultiplexed(t, p), openMultiplexed(t, p)
	if a.Port() != b.Port() || a.ID() == b.ID() || a.ID() == 0 || p.InUse() != 2 {
		t.Fatalf("ports %d %d, IDs %08x %08x, in use %d", a.Port(), b.Port(), a.ID(), b.ID(), p.InUse())
	}
	fa, fb := flowTo(at(b)), flowTo(at(a))
	fa.Traversal, fa.MultiplexID, fb.Traversal, fb.MultiplexID = true, b.ID(), true, a.ID()
	start(t, a, fa)
	start(t, b, fb)
	var fromA, fromB heard
	a.Receive(&fromB)
	b.Receive(&fromA)
	say(a, 0, "one", "two")
	say(b, 0, "three")
	step(p)
	if len(fromA.packets) != 2 || string(fromA.packets[1]) != "two" || len(fromB.packets) != 1 || string(fromB.packets[0]) != "three" || p.Strangers() != 0 {
		t.Fatalf("heard %q and %q, strangers %d", fromA.packets, fromB.packets, p.Strangers())
	}
}

func TestMultiplexIDIsTheWireOfBothPorts(t *testing.T) {
	p := newPorts(t)
	s := openMultiplexed(t, p)
	c, _ := listen(t)
	reports, _ := listen(t)
	f := walled(netip.MustParseAddr("198.51.100.1")) // another host than it signals from: the ID tells
	f.MultiplexID = 0xa1b2c3d4
	start(t, s, f)
	var h heard
	s.Receive(&h)
	deliver(t, c, withID(s.ID(), keepAlivePacket(127)), at(s))
	report, _ := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: 7}})
	deliver(t, reports, withID(s.ID(), report), after(at(s)))
	for range rtcpEvery {
		step(p)
	}
	say(s, 0, "to you")
	if b := readFrom(t, c); !bytes.HasPrefix(b, []byte{0xa1, 0xb2, 0xc3, 0xd4, 0x80}) || string(b[16:]) != "to you" {
		t.Fatalf("sent %x", b)
	}
	s.SendFeedback(&rtcp.PictureLossIndication{MediaSSRC: 7})
	b := readFrom(t, reports) // of the clock, or this one
	if !bytes.HasPrefix(b, []byte{0xa1, 0xb2, 0xc3, 0xd4}) {
		t.Fatalf("reported %x", b)
	}
	if _, err := rtcp.Unmarshal(b[4:]); err != nil {
		t.Fatal(err)
	}
	if len(h.packets) != 0 || s.Refused() != 0 {
		t.Fatalf("the keep-alive was heard as %q, refused %d", h.packets, s.Refused())
	}
}

func TestStrangersToTheSharedPort(t *testing.T) {
	p := newPorts(t)
	s := openMultiplexed(t, p)
	peer, there := listen(t)
	f := flowTo(there)
	f.Traversal = true
	start(t, s, f)
	var h heard
	s.Receive(&h)
	for _, b := range [][]byte{{}, {1, 2, 3}, rtpPacket(1, 0, "no ID"), withID(s.ID()+1, rtpPacket(1, 0, "another ID")), withID(0, rtpPacket(1, 0, "no session's"))} {
		deliver(t, peer, b, at(s))
	}
	deliver(t, peer, withID(s.ID(), nil), at(s)) // its own, but no packet
	step(p)
	if len(h.packets) != 0 || p.Strangers() != 5 || s.Refused() != 1 {
		t.Fatalf("heard %q, strangers %d, refused %d", h.packets, p.Strangers(), s.Refused())
	}
	id, to := s.ID(), at(s)
	s.Close()
	other := openMultiplexed(t, p)
	if other.ID() == id {
		t.Fatal("an ID was given again")
	}
	deliver(t, peer, withID(id, rtpPacket(1, 0, "late")), to)
	step(p)
	if p.Strangers() != 6 || p.InUse() != 1 {
		t.Errorf("a closed session's ID: strangers %d, in use %d", p.Strangers(), p.InUse())
	}
}

func TestFirstKeepAliveTellsWhereTheEndpointIs(t *testing.T) {
	for name, first := range map[string][]byte{"its payload type": append(keepAlivePacket(127), 0), "empty": keepAlivePacket(96), "sound": rtpPacket(1, 0, "hello")} {
		t.Run(name, func(t *testing.T) {
			p := newPorts(t)
			s := open(t, p)
			start(t, s, walled(loopback))
			c, from := listen(t)
			stranger, _ := listen(t)
			deliver(t, c, first, at(s))
			step(p)
			say(s, 0, "found")
			if b := readFrom(t, c); string(b[12:]) != "found" {
				t.Fatalf("sent %q", b)
			}
			var h heard
			s.Receive(&h)
			deliver(t, stranger, rtpPacket(2, 0, "bleed"), at(s))
			deliver(t, c, rtpPacket(3, 0, "mine"), at(s))
			step(p)
			if len(h.packets) != 1 || string(h.packets[0]) != "mine" {
				t.Fatalf("heard %q", h.packets)
			}
			start(t, s, walled(loopback)) // the other direction opens
			say(s, 160, "still there")
			if b := readFrom(t, c); string(b[12:]) != "still there" {
				t.Fatalf("sent %q; found was %v", b, from)
			}
		})
	}
}

func TestKeepAliveOfAnotherHostIsNotBelieved(t *testing.T) {
	p := newPorts(t)
	s := open(t, p)
	f := walled(netip.MustParseAddr("198.51.100.1"))
	f.Remote = netip.AddrPort{}
	start(t, s, f)
	stranger, _ := listen(t)
	deliver(t, stranger, keepAlivePacket(127), at(s))
	deliver(t, stranger, rtpPacket(1, 0, "hello"), at(s))
	report, _ := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 7}})
	deliver(t, stranger, report, after(at(s)))
	for range rtcpEvery {
		step(p)
	}
	fl := s.flow.Load()
	if fl.rtpTo.Load() != nil || fl.rtcpTo.Load() != nil || s.Refused() != 2 {
		t.Fatalf("sends to %v and %v, refused %d", fl.rtpTo.Load(), fl.rtcpTo.Load(), s.Refused())
	}
}

func TestMultiplexedPathDoesNotAllocate(t *testing.T) {
	p, a, b := multiplexedPair(t)
	var n counter
	b.Receive(&n)
	pkt := core.Packet{Payload: make([]byte, 160)}
	step(p)
	got := testing.AllocsPerRun(200, func() {
		pkt.Header.Timestamp += 160
		_ = a.Write(&pkt)
		p.Pollers()[0].Step(core.Now())
	})
	if got != 0 || n < 200 {
		t.Errorf("%v allocations a packet, %d heard", got, n)
	}
}

func multiplexedPair(t testing.TB) (p *Ports, a, b *Session) {
	p = newPorts(t)
	a, b = openMultiplexed(t, p), openMultiplexed(t, p)
	fa, fb := flowTo(at(b)), flowTo(at(a))
	fa.Traversal, fa.MultiplexID, fb.Traversal, fb.MultiplexID = true, b.ID(), true, a.ID()
	start(t, a, fa)
	start(t, b, fb)
	return p, a, b
}

func BenchmarkMultiplexed(b *testing.B) {
	p, s, r := multiplexedPair(b)
	var n counter
	r.Receive(&n)
	pkt := core.Packet{Payload: make([]byte, 160)}
	b.ReportAllocs()
	for b.Loop() {
		pkt.Header.Timestamp += 160
		_ = s.Write(&pkt)
		p.pollers[0].Step(core.Now())
	}
}

// FuzzMultiplexed gives the shared port any datagram, with the right ID or not.
func FuzzMultiplexed(f *testing.F) {
	p := newPorts(f)
	s := openMultiplexed(f, p)
	start(f, s, walled(loopback))
	c, _ := listen(f)
	to := at(s)
	f.Add(rtpPacket(1, 0, "hello"), true, false)
	f.Add(keepAlivePacket(127), true, false)
	f.Add([]byte{0x80, 200, 0, 1, 0, 0, 0, 7}, true, true)
	f.Add([]byte{}, false, false)
	f.Fuzz(func(t *testing.T, b []byte, known, report bool) {
		if len(b) > 1400 {
			b = b[:1400]
		}
		if known {
			b = withID(s.ID(), b)
		}
		dest := to
		if report {
			dest = after(to)
		}
		c.WriteToUDPAddrPort(b, dest)
		for range rtcpEvery {
			step(p)
		}
	})
}

// BenchmarkSilentSessions is one step of 200 sessions to which nothing comes.
func BenchmarkSilentSessions(b *testing.B) {
	for name, open := range map[string]func(testing.TB, *Ports) *Session{"own ports": open, "multiplexed": openMultiplexed} {
		b.Run(name, func(b *testing.B) {
			p := newPorts(b)
			for range 200 {
				start(b, open(b, p), walled(loopback))
			}
			b.ReportAllocs()
			for b.Loop() {
				step(p)
			}
		})
	}
}
