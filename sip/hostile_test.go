package sip

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/sip/sdp"
)

// torture says what becomes of each message of RFC 4475: "" when it is read,
// else a part of the error. A note tells where that is not what the RFC says.
var torture = map[string]struct{ err, note string }{
	"wsinv":      {"", ""},
	"intmeth":    {"NUL byte", "valid by RFC 4475 3.1.1.2, for an escaped NUL in a display name; a NUL is refused everywhere here"},
	"esc01":      {"", ""},
	"escnull":    {"", ""},
	"esc02":      {"", ""},
	"lwsdisp":    {"", ""},
	"longreq":    {"", ""},
	"dblreq":     {"", "the second request in the datagram is left over, as 3.1.1.8 wants"},
	"semiuri":    {"", ""},
	"transports": {"", ""},
	"mpart01":    {"", ""},
	"unreason":   {"", ""},
	"noreason":   {"", ""},
	"badinv01":   {"line 7", ""},
	"clerr":      {"body incomplete", ""},
	"ncl":        {"line 10", ""},
	"scalar02":   {"line 5", ""},
	"scalarlg":   {"line 5", ""},
	"quotbal":    {"line 2", ""},
	"ltgtruri":   {"line 1", ""},
	"lwsruri":    {"line 1", ""},
	"lwsstart":   {"line 1", ""},
	"trws":       {"line 1", ""},
	"escruri":    {"", "3.1.2.11 allows to ignore the headers of the URI; they are"},
	"baddate":    {"", "the Date is not looked at"},
	"regbadct":   {"", "the Contact's parameters are taken as the header's; 3.1.2.13 allows it"},
	"badaspec":   {"line 5", ""},
	"baddn":      {"no empty line", "this copy of the message ends early"},
	"badvers":    {"version not supported", ""},
	"mismatch01": {"CSeq method", ""},
	"mismatch02": {"CSeq method", ""},
	"bigcode":    {"line 1", ""},
	"badbranch":  {"", "3.2.1: matched in the way of RFC 2543"},
	"insuf":      {"no From", ""},
	"unkscm":     {"", "answered 416"},
	"novelsc":    {"line 1", "answered 400 where 3.3.3 suggests 416"},
	"unksm2":     {"", ""},
	"bext01":     {"", "answered 420"},
	"invut":      {"", "answered 415"},
	"regaut01":   {"", "challenged anew"},
	"multi01":    {"more than one", ""},
	"mcl01":      {"more than one", ""},
	"bcast":      {"", "a response whose Via is not ours finds no transaction"},
	"zeromf":     {"", ""},
	"cparam01":   {"", ""},
	"cparam02":   {"", ""},
	"regescrt":   {"", ""},
	"sdp01":      {"", ""},
	"inv2543":    {"From without tag", "3.3.16 allows to refuse RFC 2543's requests"},
}

func TestTorture(t *testing.T) {
	files, _ := filepath.Glob("../testdata/sip/torture/*.dat")
	if len(files) != len(torture) {
		t.Fatalf("%d files, %d expectations", len(files), len(torture))
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".dat")
		want, ok := torture[name]
		b, err := os.ReadFile(f)
		if !ok || err != nil {
			t.Fatal(name, err)
		}
		_, err = Decode(b)
		if want.err == "" && err != nil || want.err != "" && (err == nil || !strings.Contains(err.Error(), want.err)) {
			t.Errorf("%s: %v (%s)", name, err, want.note)
		}
	}
}

// bareEdge handles messages with no network around it.
func bareEdge(t testing.TB, r *testRoom) (*Edge, *atomic.Int64) {
	e, err := New(Options{Log: slog.New(slog.DiscardHandler), Legacy: true, Domain: "bridge.example", Devices: &testDevices{}, Trace: func(edge.TraceEvent) {}})
	if err != nil {
		t.Fatal(err)
	}
	e.open = func(netip.AddrPort) (session, error) { return &fakeSession{port: 20000}, nil }
	e.plan = r
	return e, new(atomic.Int64)
}

// countPacket counts the bytes that are sent.
type countPacket struct {
	memPacket
	out *atomic.Int64
}

func (p *countPacket) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	p.out.Add(int64(len(b)))
	return len(b), nil
}

func TestTortureIntake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, out := bareEdge(t, &testRoom{hold: true})
		files, _ := filepath.Glob("../testdata/sip/torture/*.dat")
		f := &flow{e: e, network: "udp", remote: netip.MustParseAddrPort("192.0.2.9:5060"), local: netip.MustParseAddrPort("192.0.2.1:5060"), udp: &countPacket{out: out}}
		for _, name := range files {
			b, _ := os.ReadFile(name)
			out.Store(0)
			e.take(b, f)
			synctest.Wait()
			if e.counters.Panics.Load() != 0 {
				t.Fatal(name)
			}
			if bytes.HasPrefix(b, []byte("SIP/2.0")) && out.Load() != 0 {
				t.Errorf("%s: a response was answered", name)
			}
		}
		for _, l := range e.stop() {
			l.Hangup(core.Reason{Code: core.Shutdown})
		}
	})
}

func FuzzIntake(f *testing.F) {
	files, _ := filepath.Glob("../testdata/sip/torture/*.dat")
	for _, name := range files {
		b, _ := os.ReadFile(name)
		f.Add(b)
	}
	for _, i := range []inviteText{{branch: "1", body: sdpBody("30000", "sendrecv")}, {method: "BYE", branch: "2", toTag: "x"}, {method: "CANCEL", branch: "1"}, {method: "REGISTER", branch: "3", extra: "Authorization: Digest username=\"alice\", realm=\"bridge.example\", nonce=\"x\", uri=\"sip:x\", response=\"y\", qop=auth, nc=1, cnonce=\"z\"\n"}} {
		f.Add([]byte(strings.ReplaceAll(i.String(), "\n", "\r\n")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, out := bareEdge(t, &testRoom{hold: true})
		fl := &flow{e: e, network: "udp", remote: netip.MustParseAddrPort("192.0.2.9:5060"), local: netip.MustParseAddrPort("192.0.2.1:5060"), udp: &countPacket{out: out}}
		e.take(b, fl)
		for _, l := range e.stop() {
			done := make(chan struct{})
			l.Hangup(core.Reason{Code: core.Shutdown})
			l.box.Post(func() { close(done) })
			<-done
		}
		if n := e.counters.Panics.Load(); n != 0 {
			t.Fatal("panic")
		}
		if d, err := Decode(b); err == nil {
			if _, err := parse(d.(*Decoded).Bytes()); err != nil {
				var s *SyntaxError
				if !errors.As(err, &s) {
					t.Fatal(err)
				}
			}
		} else {
			var s *SyntaxError
			var d *sdp.SyntaxError
			if !errors.As(err, &s) && !errors.As(err, &d) && !errors.Is(err, errVersion) {
				t.Fatalf("error without position: %T", err)
			}
		}
	})
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte("\r\n\r\nOPTIONS sip:x SIP/2.0\r\nContent-Length: 3\r\n\r\nabcOPT"), 7)
	f.Add([]byte("\r\n\r\n\r\n\r\r\n\r\n"), 6)
	f.Add([]byte("\r\n\rX\r\n\r\n"), 3)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		for _, client := range []bool{true, false} {
			s := &stream{Conn: memConn{Conn: &duplex{bufferedPipe(), bufferedPipe()}}, flow: &flow{client: client}}
			var e *Edge
			whole := frames(e, s, [][]byte{b})
			if cut > 0 && cut < len(b) {
				if parts := frames(e, s, [][]byte{b[:cut], b[cut:]}); parts != whole {
					t.Fatalf("client %v, cut at %d: %q, whole: %q", client, cut, parts, whole)
				}
			}
		}
	})
}

func frames(e *Edge, s *stream, chunks [][]byte) string {
	var in []byte
	out := ""
	for _, c := range chunks {
		in = append(in, c...)
		for {
			msg, rest, err := e.frame(s, in)
			if err != nil {
				return out + "|error"
			}
			in = rest
			if msg == nil {
				break
			}
			out += "|" + string(msg)
		}
	}
	return out
}

func FuzzDigest(f *testing.F) {
	f.Add(`Digest realm="a", nonce="b", algorithm=SHA-256, qop="auth,auth-int"`)
	f.Fuzz(func(t *testing.T, v string) {
		c, ok := parseDigest(v)
		if ok && len(c) > 32 {
			t.Fatal("too many parameters")
		}
		res := siplib.NewResponse(401, "")
		set(res, "WWW-Authenticate", v)
		req := siplib.NewRequest(siplib.REGISTER, uri{Scheme: "sip", Host: "x"})
		(&login{user: "u", password: "p"}).authorize(req, res)
	})
}

func TestSmuggling(t *testing.T) {
	base := strings.ReplaceAll(inviteText{branch: "1"}.String(), "\n", "\r\n")
	for name, text := range map[string]string{
		"bare LF":       strings.Replace(base, "Max-Forwards: 70\r\n", "Subject: a\nX: b\r\nMax-Forwards: 70\r\n", 1),
		"bare CR":       strings.Replace(base, "Max-Forwards: 70\r\n", "Subject: a\rX: b\r\nMax-Forwards: 70\r\n", 1),
		"NUL":           strings.Replace(base, "Alice", "Al\x00ice", 1),
		"no To":         strings.Replace(base, "To:", "Xo:", 1),
		"CSeq too long": strings.Replace(base, "CSeq: 1 ", "CSeq: "+strings.Repeat("1", 500)+" ", 1),
		"huge Call-ID":  strings.Replace(base, "call-1", strings.Repeat("c", 10000), 1),
		"huge tag":      strings.Replace(base, "peertag", strings.Repeat("c", 300), 1),
		"many lines":    strings.Replace(base, "Max-Forwards", strings.Repeat("Accept: x\r\n", 300)+"Max-Forwards", 1),
	} {
		if _, err := Decode([]byte(text)); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	if _, err := Decode([]byte(base)); err != nil {
		t.Error(err)
	}
}

func TestMask(t *testing.T) {
	in := "INVITE sip:7001**4711@h SIP/2.0\r\nTo: <sip:7001%2A%2A4711@h>\r\nAuthorization: Digest response=\"abc\"\r\nproxy-authorization:xyz\r\nContent-Type: application/sdp\r\n\r\na=crypto:1 X inline:SECRET|2^31\r\na=x\r\n"
	out := string(mask([]byte(in)))
	for _, secret := range []string{"4711", "abc", "xyz", "SECRET"} {
		if strings.Contains(out, secret) {
			t.Errorf("%q is shown in\n%s", secret, out)
		}
	}
	if !strings.Contains(out, "a=x\r\n") || !strings.Contains(out, "sip:7001**") {
		t.Error(out)
	}
	if edge.MaskPasscode("7001**4711") != "7001*****" || edge.MaskPasscode("7001") != "7001" {
		t.Error(edge.MaskPasscode("7001**4711"))
	}
}

func TestMultipart(t *testing.T) {
	req := siplib.NewRequest(siplib.INVITE, uri{Host: "x"})
	set(req, "Content-Type", `multipart/mixed;boundary="b"`)
	req.SetBody([]byte("--b\r\nContent-Type: application/isup\r\n\r\nxx\r\n--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--\r\n"))
	if got := bodyOf(req, "application/sdp"); string(got) != "v=0" {
		t.Errorf("%q", got)
	}
	for _, ct := range []string{"multipart/mixed", "multipart/mixed;boundary=", "multipart/mixed;boundary=" + strings.Repeat("x", 100)} {
		r := siplib.NewRequest(siplib.INVITE, uri{Host: "x"})
		set(r, "Content-Type", ct)
		r.SetBody([]byte("----"))
		if bodyOf(r, "application/sdp") != nil {
			t.Error(ct)
		}
	}
}

// TestFloodFromUnlisted: 100,000 INVITEs of an unlisted source leave nothing.
func TestFloodFromUnlisted(t *testing.T) {
	e, _ := bareEdge(t, &testRoom{})
	e.guard.open = false
	a := netip.MustParseAddr("203.0.113.5")
	if n := testing.AllocsPerRun(1000, func() { e.guard.admit(a, false) }); n != 0 {
		t.Errorf("%v allocations for a dropped datagram", n)
	}
	if len(e.guard.buckets) != 0 {
		t.Error("an unlisted source is remembered")
	}
}

func TestSourceRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := bareEdge(t, &testRoom{})
		a := netip.MustParseAddr("203.0.113.5")
		let, strangers := 0, int(strangerSeconds*e.guard.rate)
		for range 1000 {
			if e.guard.admit(a, false) {
				let++
			}
		}
		if let != strangers {
			t.Errorf("%d of 1000 at once", let)
		}
		time.Sleep(time.Second)
		if !e.guard.admit(a, false) {
			t.Error("still refused a second later")
		}
		for i := range 3 * edge.MaxBuckets {
			e.guard.admit(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), false)
		}
		if n := len(e.guard.buckets); n > edge.MaxBuckets {
			t.Errorf("%d buckets", n)
		}
	})
}

// A server that this end calls answers all calls over one connection.
func TestCalledServerIsNoStranger(t *testing.T) {
	e, _ := bareEdge(t, &testRoom{})
	for _, client := range []bool{false, true} {
		in := &flow{e: e, network: "tls", remote: netip.MustParseAddrPort("203.0.113.5:5061"), client: client}
		let, strangers := 0, int(strangerSeconds*e.guard.rate)
		for range trunkBurst {
			if e.guard.spend(in) {
				let++
			}
		}
		if want := map[bool]int{false: strangers, true: trunkBurst}[client]; let < want-1 || let > want+trunkRate {
			t.Errorf("client %v: %d messages at once, want about %d", client, let, want)
		}
		clear(e.guard.buckets)
	}
}

func TestConnectionLimits(t *testing.T) {
	e, _ := bareEdge(t, &testRoom{})
	a := netip.MustParseAddr("203.0.113.5")
	n := 0
	for range 1000 {
		if e.guard.connect(a, true) {
			n++
		}
	}
	if n != maxPerSource {
		t.Errorf("%d connections of one source", n)
	}
	for range n {
		e.guard.disconnect(a)
	}
	if len(e.guard.streams) != 0 || e.guard.total != 0 {
		t.Error("not given back")
	}
}

// TestManyCallsLeaveNothing: tables are empty after calls of every fate, and
// (synctest sees to that) no goroutine stays.
func TestManyCallsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ra, rb := &testRoom{}, &testRoom{}
		ea, eb := pair(w, ra, rb, "optional")
		line, _ := ea.Line("b")
		for i := range 60 {
			rb.route = nil
			if i%3 == 0 {
				rb.route = core.Reason{Code: core.NotFound}
			}
			l, err := line.Dial(t.Context(), "+15550100", "+15550199", ra)
			if (err != nil) != (i%3 == 0) {
				t.Fatal(i, err)
			}
			time.Sleep(time.Second)
			if l != nil {
				l.Hangup(core.Reason{Code: core.Normal})
			}
		}
		time.Sleep(2 * time.Minute)
		for _, e := range []*testEdge{ea, eb} {
			e.tx.mu.Lock()
			if n := len(e.tx.servers) + len(e.tx.clients); n != 0 {
				t.Errorf("%d transactions left", n)
			}
			e.tx.mu.Unlock()
			e.legsMu.Lock()
			legs, merged := len(e.legs), len(e.merged)
			e.legsMu.Unlock()
			e.guard.mu.Lock()
			peers := len(e.guard.peers)
			e.guard.mu.Unlock()
			if legs+merged != 0 || peers != 0 {
				t.Errorf("%d legs, %d merged, %d peers left", legs, merged, peers)
			}
			e.stop()
		}
	})
}
