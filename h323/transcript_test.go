package h323

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
)

// transcript is a call between this edge and a real peer, as it went over the
// wire: headers, then every message in its order.
type transcript struct {
	header map[string]string
	lines  []line
}

type line struct {
	ours bool
	via  string // call, or h245 for a connection of its own
	b    []byte
}

func readTranscript(t *testing.T, file string) *transcript {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tr := &transcript{header: map[string]string{}}
	for n, s := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if key, value, ok := strings.Cut(s, ": "); ok {
			tr.header[key] = value
			continue
		}
		f := strings.Fields(s)
		if len(f) != 3 {
			t.Fatalf("%s:%d: no line of a transcript", file, n+1)
		}
		b, err := hex.DecodeString(f[2])
		if err != nil {
			t.Fatalf("%s:%d: %v", file, n+1, err)
		}
		tr.lines = append(tr.lines, line{f[0] == "ours", f[1], b})
	}
	return tr
}

// told is what of a message of ours must not change. Addresses, identifiers,
// keys and numbers drawn by lot are left out.
func told(t *testing.T, via string, b []byte) string {
	t.Helper()
	if via == "h245" {
		return toldControl(t, b)
	}
	m, err := parse(b)
	if err != nil {
		t.Fatalf("a message of ours: %v", err)
	}
	text, c := typeNames[m.q.Type], m.common()
	if m.q.Type == q931.ReleaseComplete {
		for _, ie := range m.q.IEs {
			if ie.ID == q931.CauseIE {
				text += fmt.Sprintf(" cause %x", ie.Value)
			}
		}
	}
	if m.q.Type == q931.Setup { // of an offer, what it is; its answer tells the rest
		return fmt.Sprintf("%s tokens=%v fastStart=%v", text, len(c.tokens) > 0, len(c.fastStart) > 0)
	}
	for _, k := range c.tokens {
		text += " token " + string(k.TokenOID)
	}
	for _, f := range c.fastStart {
		var olc h245.OpenLogicalChannel
		if _, err := per.Decode(f, &olc); err != nil {
			t.Fatalf("fastStart of ours: %v", err)
		}
		text += " fastStart " + toldChannel(&olc)
	}
	for _, h := range m.pdu().H245Control {
		text += " (" + toldControl(t, h) + ")"
	}
	if c.h245Address != nil {
		text += " h245Address"
	}
	return text
}

func toldControl(t *testing.T, b []byte) string {
	t.Helper()
	var m h245.MultimediaSystemControlMessage
	if _, err := per.Decode(b, &m); err != nil {
		t.Fatalf("H.245 of ours: %v", err)
	}
	name, _ := controlText(b)
	switch q, r := m.Request, m.Response; {
	case q != nil && q.TerminalCapabilitySet != nil:
		for _, e := range q.TerminalCapabilitySet.CapabilityTable {
			if e.Capability != nil && e.Capability.H235SecurityCapability != nil {
				return name + " with H.235"
			}
		}
		return fmt.Sprintf("%s empty=%v", name, len(q.TerminalCapabilitySet.CapabilityTable) == 0)
	case q != nil && q.OpenLogicalChannel != nil:
		return name + " " + toldChannel(q.OpenLogicalChannel)
	case q != nil && q.CloseLogicalChannel != nil:
		return fmt.Sprintf("%s %d", name, q.CloseLogicalChannel.ForwardLogicalChannelNumber)
	case r != nil && r.OpenLogicalChannelAck != nil:
		a := r.OpenLogicalChannelAck
		p := a.ForwardMultiplexAckParameters.H2250LogicalChannelAckParameters
		return fmt.Sprintf("%s %d session=%s type=%s key=%v media=%v", name, a.ForwardLogicalChannelNumber, jsonOf(p.SessionID), jsonOf(p.DynamicRTPPayloadType), a.EncryptionSync != nil, p.MediaChannel != nil)
	case r != nil:
		return name + " " + string(jsonOf(r)) // decisions, sequence numbers, causes
	}
	return name
}

func toldChannel(olc *h245.OpenLogicalChannel) string {
	f := &olc.ForwardLogicalChannelParameters
	media := &f.DataType
	p := f.MultiplexParameters.H2250LogicalChannelParameters
	text := fmt.Sprintf("%d", olc.ForwardLogicalChannelNumber)
	if r := olc.ReverseLogicalChannelParameters; r != nil {
		media = &r.DataType
		text += " reverse"
		if x := r.MultiplexParameters; x != nil && x.H2250LogicalChannelParameters != nil {
			p = x.H2250LogicalChannelParameters
		}
	}
	if p != nil {
		text += fmt.Sprintf(" session=%d media=%v", p.SessionID, p.MediaChannel != nil)
	}
	return text + fmt.Sprintf(" key=%v %s", olc.EncryptionSync != nil, jsonOf(media))
}

// replay plays the peer of a transcript.
type replay struct {
	t     *testing.T
	tr    *transcript
	s     *site
	conns map[string]net.Conn
	came  chan arrival
	// want and got count what is to come from our side, and what has.
	want, got map[string]int
	ended     bool
	seat      *seat
	control   *net.TCPListener // where the peer listens for H.245
	at        netip.AddrPort   // where our side does
	change    []string         // pairs: octets of the recorded call, and of this one
	ref       []byte
}

type arrival struct {
	via string
	b   []byte
}

// read passes on what comes over a connection, until it ends.
func (r *replay) read(via string, c net.Conn) {
	r.conns[via] = c
	r.t.Cleanup(func() { c.Close() })
	in := bufio.NewReader(c)
	go func() {
		for {
			b, err := q931.ReadTPKT(in, nil)
			if err != nil {
				return
			}
			r.came <- arrival{via: via, b: b}
		}
	}()
}

// await waits until all that has to have come has come.
func (r *replay) await(before string) {
	r.t.Helper()
	missing := func() (list []string) {
		for k, n := range r.want {
			if r.got[k] < n {
				list = append(list, k)
			}
		}
		return list
	}
	end := time.After(patience)
	for len(missing()) > 0 {
		select {
		case a := <-r.came:
			r.take(a)
		case <-end:
			r.t.Fatalf("%s our side has not said\n\t%s\nbut\n\t%s", before, strings.Join(missing(), "\n\t"), strings.Join(r.surplus(), "\n\t"))
		}
	}
}

func (r *replay) take(a arrival) {
	if r.ended && r.tr.hangup() < 0 && (line{via: a.via, b: a.b}).ends() {
		return // which of the peer's connections was first to end decides whether it is said
	}
	r.got[a.via+" "+told(r.t, a.via, a.b)]++
	if a.via != "call" {
		return
	}
	m, _ := parse(a.b)
	if at, ok := addressOf(m.common().h245Address); ok {
		r.at = at
	}
}

// surplus is what our side has said beyond the transcript.
func (r *replay) surplus() (list []string) {
	for k, n := range r.got {
		if n > r.want[k] {
			list = append(list, k)
		}
	}
	slices.Sort(list)
	return list
}

// say sends a message of the peer, with this call's reference, identifiers and
// H.245 port in the place of the recorded ones.
func (r *replay) say(l line) {
	r.t.Helper()
	b := bytes.Clone(l.b)
	for i := 0; i < len(r.change); i += 2 {
		b = bytes.ReplaceAll(b, []byte(r.change[i]), []byte(r.change[i+1]))
	}
	if l.via == "call" && r.ref != nil {
		copy(b[2:4], []byte{r.ref[0] | b[2]&0x80, r.ref[1]})
	}
	if r.conns[l.via] == nil {
		r.connect(l.via)
	}
	p, err := q931.AppendTPKT(nil, b)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.conns[l.via].Write(p); err != nil && !r.ended { // after the end it may come too late
		r.t.Fatalf("our side has ended the connection: %v", err)
	}
}

// connect opens the H.245 connection, from the side that did.
func (r *replay) connect(via string) {
	r.t.Helper()
	if r.control != nil {
		r.control.SetDeadline(time.Now().Add(patience))
		c, err := r.control.Accept()
		if err != nil {
			r.t.Fatalf("our side does not connect for H.245: %v", err)
		}
		r.read(via, c)
		return
	}
	c, err := net.Dial("tcp", r.at.String())
	if err != nil {
		r.t.Fatalf("H.245: %v", err)
	}
	r.read(via, c)
}

// ends tells whether a message ends the call.
func (l line) ends() bool {
	if l.says("endSessionCommand") {
		return true
	}
	m, err := parse(l.b)
	return l.via == "call" && err == nil && m.q.Type == q931.ReleaseComplete
}

// hangup is the line with which our side ends the call; -1: the peer does.
func (tr *transcript) hangup() int {
	n := slices.IndexFunc(tr.lines, line.ends)
	if n < 0 || !tr.lines[n].ours || tr.header["media"] == "none" {
		return -1
	}
	for tr.lines[n-1].ours && tr.lines[n-1].says("closeLogicalChannel") {
		n--
	}
	return n
}

// says tells whether a message is, or carries, one of H.245 with the name.
func (l line) says(name string) bool {
	list := []per.OctetString{l.b}
	if l.via == "call" {
		m, err := parse(l.b)
		if err != nil {
			return false
		}
		list = m.pdu().H245Control
	}
	return slices.ContainsFunc(list, func(b per.OctetString) bool {
		n, _ := controlText(b)
		return n == name
	})
}

// run plays the transcript to its end.
func (r *replay) run() {
	r.t.Helper()
	hangup := r.tr.hangup()
	for n, l := range r.tr.lines {
		if n == hangup {
			r.await("before our side hangs up")
			r.ended = true
			r.seated()
			r.seat.leg.Hangup(core.Reason{Code: core.Normal})
		}
		if l.ours {
			if l.via != "call" && r.conns[l.via] == nil {
				r.await(fmt.Sprintf("before line %d", n))
				r.connect(l.via)
			}
			if !r.ended || hangup >= 0 || !l.ends() {
				r.want[l.via+" "+told(r.t, l.via, l.b)]++
			}
			continue
		}
		r.await(fmt.Sprintf("before message %d, of the peer,", n))
		switch {
		case l.says("userInput"):
			r.sits() // a key before that is nobody's
		case !r.ended && l.ends():
			r.ended = true
			r.seated()
		}
		r.say(l)
	}
	r.await("at the end")
	r.s.quiet()
	for _, c := range r.conns {
		c.Close()
	}
	for {
		select {
		case a := <-r.came:
			r.take(a)
			continue
		default:
		}
		break
	}
	if more := r.surplus(); len(more) > 0 {
		r.t.Errorf("our side has also said\n\t%s", strings.Join(more, "\n\t"))
	}
	if n := r.s.Counters().Malformed.Load(); n != 0 {
		r.t.Errorf("%d messages of the peer are taken for malformed", n)
	}
}

// seated checks what the room has of the call: its media and keys pressed.
func (r *replay) seated() {
	r.t.Helper()
	if r.tr.header["media"] == "none" {
		return
	}
	s := r.sits()
	eventually(r.t, "the call has "+r.tr.header["media"], func() bool {
		i := s.leg.Info()
		return strings.Join(strings.Fields(fmt.Sprint(i.Security.Media, " ", i.Security.Suite, " ", i.Audio.Name)), " ") == r.tr.header["media"]
	})
	for _, k := range []byte(r.tr.header["digits"]) {
		if d := receive(r.t, "the key", s.digits); d.Key != k {
			r.t.Errorf("the key is %q, not %q", d.Key, k)
		}
	}
	for _, on := range strings.Fields(r.tr.header["holds"]) {
		if h := receive(r.t, "the hold", s.holds); strconv.FormatBool(h) != on {
			r.t.Errorf("hold is %v, not %s", h, on)
		}
	}
}

// sits waits for the call's seat in the room.
func (r *replay) sits() *seat {
	r.t.Helper()
	if r.seat == nil {
		r.seat = receive(r.t, "the seat", r.s.room.seats)
	}
	return r.seat
}

func newReplay(t *testing.T, tr *transcript) *replay {
	s := newSite(t, Options{Legacy: tr.header["listener"] == "legacy"})
	r := &replay{t: t, tr: tr, s: s, conns: map[string]net.Conn{}, came: make(chan arrival, 100),
		want: map[string]int{}, got: map[string]int{}}
	if port, ok := strings.CutPrefix(tr.header["h245 listener"], "peer "); ok {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		r.control = l.(*net.TCPListener)
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			t.Fatal(err)
		}
		r.change = append(r.change, wireAddress(uint16(n)), wireAddress(addrPort(l.Addr()).Port()))
	}
	return r
}

func wireAddress(port uint16) string {
	return string(binary.BigEndian.AppendUint16([]byte{127, 0, 0, 1}, port))
}

// The peers that were recorded would find this edge today as they found it
// then: told the same in the same places, and led to the same media.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("../testdata/h323/transcripts/*.txt")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d transcripts: %v", len(files), err)
	}
	for _, f := range files {
		tr := readTranscript(t, f)
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			r := newReplay(t, tr)
			if tr.header["way"] == "the peer calls" {
				c, err := net.Dial("tcp", r.s.Addresses()["h323"].String())
				if err != nil {
					t.Fatal(err)
				}
				r.read("call", c)
				r.run()
				return
			}
			r.called()
		})
	}
}

// called has our side call the peer.
func (r *replay) called() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dialled := make(chan error, 1)
	go func() {
		_, err := r.s.DialWith(ctx, "h323:bob@"+l.Addr().String(), r.s.room, DialOptions{Clear: r.s.opt.Legacy})
		dialled <- err
	}()
	c, err := l.Accept()
	if err != nil {
		r.t.Fatal(err)
	}
	r.read("call", c)
	setup := receive(r.t, "SETUP", r.came)
	r.take(setup)
	was, now := r.tr.lines[0].b, setup.b
	r.ref = now[2:4]
	before, err1 := parse(was)
	after, err2 := parse(now)
	if err1 != nil || err2 != nil {
		r.t.Fatal(err1, err2)
	}
	r.change = append(r.change, string(before.common().callID), string(after.common().callID),
		string(before.body().Setup.ConferenceID), string(after.body().Setup.ConferenceID))
	r.run()
	if err := <-dialled; err != nil && r.tr.header["refused"] == "" {
		r.t.Errorf("the call failed: %v", err)
	} else if code := r.tr.header["refused"]; code != "" && err != nil && string(core.ReasonOf(err).Code) != code {
		r.t.Errorf("the call failed with %v, not %s", err, code)
	}
}
