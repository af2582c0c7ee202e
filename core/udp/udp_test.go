package udp

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

func listen(t testing.TB) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func open(t testing.TB) Socket {
	t.Helper()
	c, at := listen(t)
	c.Close()
	s, err := Open(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Datagrams of all kinds of sizes to three places, in batches smaller than what
// is written: each place gets its own, whole and in order, grouped or not.
func TestOutboxDeliversInOrder(t *testing.T) {
	for _, segments := range []bool{false, true} {
		s := open(t)
		o := NewOutbox(s, Size{Datagrams: 50, Octets: 40 << 10, Segments: segments})
		var got [3]*net.UDPConn
		var to [3]Address
		for i := range got {
			c, at := listen(t)
			_ = c.SetReadBuffer(1 << 20)
			got[i], to[i] = c, s.Address(at)
		}
		packet := func(i int) []byte {
			size := []int{1200, 1200, 1200, 1199, 1200, 30, 1300, 1300}[i%8]
			return append([]byte(fmt.Sprintf("%05d", i)), bytes.Repeat([]byte{byte(i)}, size-5)...)
		}
		const each = 120
		for i := range each {
			for _, a := range to {
				o.End(copy(o.Begin()[:MaxPacket], packet(i)), &a)
			}
		}
		o.Begin()
		o.End(0, nil) // nothing came of it
		o.Flush()
		o.Flush() // there is nothing
		for place, c := range got {
			buf := make([]byte, MaxPacket)
			for i := range each {
				n, err := c.Read(buf)
				if err != nil || !bytes.Equal(buf[:n], packet(i)) {
					t.Fatalf("segments %v, place %d: datagram %d is %q… of %d octets (%v)", segments, place, i, buf[:min(n, 5)], n, err)
				}
			}
		}
	}
}

func TestGroupsAreWhatTheKernelTakes(t *testing.T) {
	c := newCrate(Size{Datagrams: 1000, Octets: 1 << 20, Segments: true})
	put := func(place byte, sizes ...int) {
		for _, n := range sizes {
			c.iovecs[c.n].SetLen(n)
			c.names[c.n].raw[0] = place
			c.n++
		}
	}
	put(1, 100, 100)
	put(2, 50)
	put(1, 90, 100)  // 90 ends the first message, 100 begins the second
	put(1, 101, 101) // longer: a third
	for range 70 {
		put(3, 10) // 64 at most
	}
	for range 60 {
		put(4, 1300) // 65000 octets at most
	}
	if n := c.group(); n != len(c.messages) {
		t.Fatal(n)
	}
	want := []string{"1: 100 ×3", "2: 50 ×1", "1: 100 ×1", "1: 101 ×2", "3: 10 ×64", "3: 10 ×6", "4: 1300 ×50", "4: 1300 ×10"}
	for i, m := range c.messages {
		h := c.headers[i].hdr
		got := fmt.Sprintf("%d: %d ×%d", *h.Name, m.size, h.Iovlen)
		if i >= len(want) || got != want[i] || (m.count > 1) != (h.Control != nil) || m.filled != m.count {
			t.Errorf("message %d: %s, %+v", i, got, m)
		}
	}
}

// What the card will not segment goes out one by one, and after a few times is
// not tried any more.
func TestRefusedSegments(t *testing.T) {
	s := open(t)
	o := NewOutbox(s, Size{Datagrams: 8, Octets: 64 << 10, Segments: true})
	c, at := listen(t)
	to := s.Address(at)
	for round := range maxFails + 1 {
		for range 2 {
			o.End(copy(o.Begin()[:MaxPacket], "sound"), &to)
		}
		box := o.fill
		if round < maxFails {
			box.post = func(fd int) {
				box.segments = true
				box.group()
				box.refused = true // as sendmmsg would say
				box.apart(fd, 0)
				box.n, box.used = 0, 0
			}
		} else {
			box.post = box.send
		}
		o.Flush()
		if round == maxFails && box.segments {
			t.Error("segmentation is still tried")
		}
		buf := make([]byte, 100)
		for range 2 {
			if n, err := c.Read(buf); err != nil || string(buf[:n]) != "sound" {
				t.Fatalf("%q (%v)", buf[:n], err)
			}
		}
	}
}

func newConn(t testing.TB) (*Conn, netip.AddrPort) {
	t.Helper()
	c, at := listen(t)
	u, err := NewConn(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u, at
}

func TestConnReadsAndWrites(t *testing.T) {
	a, atA := newConn(t)
	b, atB := newConn(t)
	to := a.Address(atB)
	write := func(p []byte) { a.End(copy(a.Begin()[:MaxPacket], p), &to) }
	for i := range 200 {
		write([]byte{byte(i >> 8), byte(i)})
	}
	for i := range 200 {
		p, from, err := b.Next()
		if err != nil || len(p) != 2 || int(p[0])<<8+int(p[1]) != i || from != atA {
			t.Fatalf("%d: %x from %v (%v)", i, p, from, err)
		}
	}
	if _, err := a.WriteToUDPAddrPort(make([]byte, 5000), atB); err != nil {
		t.Error(err)
	}
	if p, from, err := b.Next(); err != nil || len(p) != MaxPacket || from != atA {
		t.Error(len(p), from, err)
	}
	b.Close()
	if _, _, err := b.Next(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed one gives datagrams: %v", err)
	}
}

func TestConnDoesNotAllocate(t *testing.T) {
	a, _ := newConn(t)
	b, atB := newConn(t)
	to := a.Address(atB)
	one := func() {
		a.End(len(a.Begin()[:1000]), &to)
		_, _, _ = b.Next()
	}
	one()
	if n := testing.AllocsPerRun(200, one); n >= 1 {
		t.Errorf("%v allocations a datagram", n)
	}
}

// A frame of six packets to each of a hundred: by one call each, in batches, and
// in segments.
func BenchmarkFanOut(b *testing.B) {
	const places, packets = 100, 6
	for _, way := range []string{"single", "batches", "segments"} {
		b.Run(way, func(b *testing.B) {
			c, _ := listen(b)
			c.Close()
			s := open(b)
			o := NewOutbox(s, Size{Datagrams: 1024, Octets: 1 << 20, Segments: way == "segments"})
			var to [places]Address
			for i := range to {
				_, at := listen(b)
				to[i] = s.Address(at)
			}
			payload := make([]byte, 1200)
			for b.Loop() {
				for range packets {
					for i := range to {
						if way == "single" {
							_ = s.Send(payload, &to[i])
							continue
						}
						o.End(copy(o.Begin()[:MaxPacket], payload), &to[i])
					}
				}
				o.Flush()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*places*packets), "ns/datagram")
		})
	}
}
