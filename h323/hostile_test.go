package h323

import (
	"bytes"
	"encoding/hex"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/h323/internal/vectors"
	"bridgehead/h323/q931"
)

// recorded are the call signalling messages of public peers.
func recorded(t testing.TB) (list [][]byte) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(vectors.Dir(), "*.q931.hex"))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatal(f, err)
		}
		list = append(list, b)
	}
	if len(list) < 20 {
		t.Fatalf("only %d messages", len(list))
	}
	return list
}

// said is a connection of which all that comes is known.
type said struct{ *bytes.Reader }

func (said) Write(b []byte) (int, error)      { return len(b), nil }
func (said) Close() error                     { return nil }
func (said) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1720} }
func (said) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000} }
func (said) SetDeadline(time.Time) error      { return nil }
func (said) SetReadDeadline(time.Time) error  { return nil }
func (said) SetWriteDeadline(time.Time) error { return nil }

// hears has an edge without ports take a connection's bytes.
func hears(t testing.TB, b []byte) *Edge {
	t.Helper()
	e, err := New(Options{Legacy: true, SetupsPerSource: 1 << 20, CallsPerSource: 1 << 20, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	e.newStream(said{bytes.NewReader(b)}, "tcp", addrPort(said{}.RemoteAddr())).read()
	eventually(t, "the calls end with their connection", func() bool { return e.Calls() == 0 })
	if n := e.Counters().Panics.Load(); n != 0 {
		t.Errorf("%d faults by %x", n, b)
	}
	return e
}

func TestTruncatedAndTurned(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, b := range recorded(t) {
		var all []byte
		for n := range len(b) {
			all = append(all, tpkt(b[:n])...)
			if n%100 == 99 { // as many as a connection may say at once
				hears(t, all)
				all = nil
			}
		}
		hears(t, all)
		all = nil
		for range 100 {
			c := bytes.Clone(b)
			for range 1 + r.IntN(6) {
				c[r.IntN(len(c))] ^= 1 << r.IntN(8)
			}
			all = append(all, tpkt(withoutAddresses(c))...)
		}
		hears(t, all)
	}
}

// withoutAddresses leaves out what would have the edge connect somewhere.
func withoutAddresses(b []byte) []byte {
	m, err := parse(b)
	if err != nil {
		return b
	}
	if m.common().h245Address != nil {
		return b[:len(b)/2]
	}
	return b
}

// The lengths of PROTOS c07-h2250v4.
func TestBadLengths(t *testing.T) {
	setup := recorded(t)[0]
	for _, head := range [][]byte{{3, 0, 0, 0}, {3, 0, 0, 1}, {3, 0, 0, 3}, {3, 0, 0xff, 0xff}, {3, 0, 0x7f, 0xff}, {4, 0, 0, 9}, {0xff, 0xff, 0xff, 0xff}} {
		if e := hears(t, append(head, setup...)); e.Counters().Malformed.Load() == 0 {
			t.Errorf("a connection that begins %x is not malformed", head)
		}
	}
	q, err := q931.Parse(setup)
	if err != nil {
		t.Fatal(err)
	}
	for i := range q.IEs {
		at := q.IEs[i].Offset()
		for _, n := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			b := bytes.Clone(setup)
			if at > 0 && at <= len(b) {
				b[at-1] = n
			}
			hears(t, tpkt(withoutAddresses(b)))
		}
	}
	for range 200 {
		hears(t, tpkt(append(setup[:min(40, len(setup))], bytes.Repeat([]byte{0xff}, 200)...)))
	}
}

// Strangers that say nothing, or only slowly, are let go, and one source has
// so many connections only.
func TestStrangersAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := New(Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		from := addrPort(said{}.RemoteAddr())
		var open []net.Conn
		refused := 0
		for range 1000 {
			if !e.guard.connect(from.Addr()) {
				refused++
				continue
			}
			a, b := net.Pipe()
			go e.accepted(b, "tcp", from)
			open = append(open, a)
		}
		if len(open) != maxPerSource || refused != 1000-maxPerSource || e.Counters().Throttled.Load() != uint64(refused) {
			t.Errorf("%d connections are open, %d refused", len(open), refused)
		}
		slow := make(chan struct{})
		go func() {
			defer close(slow)
			for _, b := range []byte{3, 0, 1, 0, 8, 2, 0, 1, 5, 4, 3, 2, 1, 0} {
				if _, err := open[0].Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}()
		time.Sleep(strangerTime - time.Millisecond)
		synctest.Wait()
		streams := func() int {
			e.streamsMu.Lock()
			defer e.streamsMu.Unlock()
			return len(e.streams)
		}
		if n := streams(); n != maxPerSource {
			t.Errorf("%d are there before their time is over", n)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		e.guard.mu.Lock()
		counted := e.guard.total
		e.guard.mu.Unlock()
		if n := streams(); n != 0 || counted != 0 {
			t.Errorf("%d are there after it, %d are counted", n, counted)
		}
		if n := e.Counters().HalfOpen.Load(); n != maxPerSource {
			t.Errorf("%d are counted", n)
		}
		for _, c := range open {
			if _, err := c.Read(make([]byte, 1)); err != io.EOF {
				t.Error("a stranger's connection is open")
			}
			c.Close()
		}
		<-slow
	})
}

// Endless messages end their connection, and a flood of calls is refused; who
// talks meanwhile is not harmed.
func TestFloods(t *testing.T) {
	noLeak(t)
	a, b := newSite(t, Options{SetupsPerSource: 10}), newSite(t, Options{Legacy: true, SetupsPerSource: 10})
	c := dial(t, a, b, b.address("7001"), DialOptions{})
	c.talk()
	start := time.Now()
	for _, typ := range []q931.Type{q931.Facility, q931.Setup, q931.Information, q931.StatusInquiry} {
		w := wireTo(t, b, "127.0.0.3")
		go io.Copy(io.Discard, w.Conn)
		m := w.message(typ)
		if typ == q931.Setup {
			m = w.setup("7001")
		}
		before := b.Counters().Throttled.Load()
		for i := 0; i < 5*messageBurst; i++ {
			m.q.CallReference = uint16(1 + i)
			bytes, err := m.encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(tpkt(bytes)); err != nil {
				break
			}
		}
		eventually(t, "the flood is cut off", func() bool { return b.Counters().Throttled.Load() > before })
		w.Close()
	}
	eventually(t, "only the talk is left", func() bool { return b.Calls() == 1 })
	if n, most := b.Counters().Calls.Load(), 1+20+10*time.Since(start).Seconds()+1; float64(n) > most {
		t.Errorf("%d calls were made of the flood, more than %.0f", n, most)
	}
	c.talk()
	c.hangup(c.a)
}

// A connection's bytes harm nobody, whatever they are.
func FuzzSignalling(f *testing.F) {
	for _, b := range recorded(f) {
		f.Add(tpkt(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		for {
			m, err := q931.ReadTPKT(in, nil)
			if err != nil {
				break
			}
			if p, err := parse(m); err == nil && p.common().h245Address != nil {
				return // it would connect to somewhere
			}
		}
		hears(t, b)
	})
}
