//go:build e2e

package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// rogue is the other end of a trunk, or a telephone, that misbehaves as it is
// told: it speaks raw SIP over UDP or TLS, and sends what RTP the test likes.
type rogue struct {
	t     testing.TB
	to    string
	conn  net.PacketConn // UDP
	tls   net.Conn
	rtp   *net.UDPConn
	heard chan string // responses
	// invited answers the gateway's INVITEs: the statuses to send, one after the other.
	invited func(number string) []string
	tags    atomic.Int32
}

func newRogue(t testing.TB, to string) *rogue {
	t.Helper()
	l := rogueOf(t, to)
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.conn = conn
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			l.take(string(b[:n]), func(m string) { _, _ = conn.WriteTo([]byte(m), from) })
		}
	}()
	return l
}

// newTLSRogue is a telephone that calls over TLS.
func newTLSRogue(t testing.TB, to string) *rogue {
	t.Helper()
	l := rogueOf(t, to)
	conn, err := tls.Dial("tcp", to, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	l.tls = conn
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 65536)
		for {
			n, err := conn.Read(b) // a message of these tests comes in one piece
			if err != nil {
				return
			}
			l.take(string(b[:n]), func(m string) { _, _ = io.WriteString(conn, m) })
		}
	}()
	return l
}

func rogueOf(t testing.TB, to string) *rogue {
	t.Helper()
	rtp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: freePort(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rtp.Close() })
	return &rogue{t: t, to: to, rtp: rtp, heard: make(chan string, 100)}
}

func (l *rogue) addr() string {
	if l.tls != nil {
		return l.tls.LocalAddr().String()
	}
	return l.conn.LocalAddr().String()
}

func (l *rogue) rtpPort() int { return l.rtp.LocalAddr().(*net.UDPAddr).Port }

// field of a SIP message.
func field(m, name string) string {
	for h := range strings.Lines(m) {
		if k, v, ok := strings.Cut(h, ":"); ok && strings.EqualFold(k, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// take handles a message of the gateway's.
func (l *rogue) take(m string, answer func(string)) {
	method, rest, _ := strings.Cut(m, " ")
	if method == "SIP/2.0" {
		l.heard <- m
		return
	}
	reply := func(status string) {
		var b strings.Builder
		fmt.Fprintf(&b, "SIP/2.0 %s\r\n", status)
		for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
			v := field(m, name)
			if name == "To" && !strings.Contains(v, "tag=") && !strings.HasPrefix(status, "100") {
				v += ";tag=line"
			}
			fmt.Fprintf(&b, "%s: %s\r\n", name, v)
		}
		fmt.Fprintf(&b, "Contact: <sip:line@%s>\r\nContent-Length: 0\r\n\r\n", l.addr())
		answer(b.String())
	}
	switch method {
	case "INVITE":
		number, _, _ := strings.Cut(strings.TrimPrefix(rest, "sip:"), "@")
		reply("100 Trying")
		if l.invited != nil {
			for _, status := range l.invited(number) {
				reply(status)
			}
		}
	case "ACK":
	default:
		reply("200 OK")
	}
}

// offer is a session description of G.711 at the line's RTP port; changes are
// pairs of what to replace in it by what.
func (l *rogue) offer(changes ...string) string {
	sdp := fmt.Sprintf("v=0\r\no=line 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 0 101\r\n"+
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n", l.rtpPort())
	return strings.NewReplacer(changes...).Replace(sdp)
}

// dialog is a call of the line's.
type dialog struct {
	*rogue
	number, id, tag, peer string
	cseq                  int
	sdp                   string // of the gateway's answer
	rtpTo                 *net.UDPAddr
}

func (l *rogue) dialog(number string) *dialog {
	n := l.tags.Add(1)
	return &dialog{rogue: l, number: number, id: fmt.Sprintf("%s-%d@%s", number, n, l.addr()), tag: fmt.Sprint("t", n)}
}

func (d *dialog) send(method, sdp string, more ...string) {
	transport, scheme := "UDP", "sip"
	if d.tls != nil {
		transport, scheme = "TLS", "sips"
	}
	if method != "ACK" && method != "CANCEL" {
		d.cseq++
	}
	to := fmt.Sprintf("<%s:%s@127.0.0.1>", scheme, d.number)
	if d.peer != "" && method != "CANCEL" {
		to += ";tag=" + d.peer
	}
	m := fmt.Sprintf("%s %s:%s@%s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s%d%s\r\nFrom: <%s:+15550199@127.0.0.1>;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <%s:line@%s>\r\nMax-Forwards: 70\r\n",
		method, scheme, d.number, d.to, transport, d.addr(), d.tag, d.cseq, map[bool]string{true: "a"}[method == "ACK" && d.sdp != ""], scheme, d.tag, to, d.id, d.cseq, method, scheme, d.addr())
	for _, h := range more {
		m += h + "\r\n"
	}
	if sdp != "" && !strings.Contains(m, "Content-Type") {
		m += "Content-Type: application/sdp\r\n"
	}
	m += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(sdp), sdp)
	if d.tls != nil {
		_, _ = io.WriteString(d.tls, m)
		return
	}
	at, err := net.ResolveUDPAddr("udp4", d.to)
	if err == nil {
		_, err = d.conn.WriteTo([]byte(m), at)
	}
	if err != nil {
		d.t.Error(err)
	}
}

// final waits for the final response to what was sent last, and gives its status.
func (d *dialog) final(method string) string {
	late := time.After(40 * time.Second)
	for {
		select {
		case m := <-d.heard:
			if !strings.Contains(field(m, "Call-ID"), d.id) || field(m, "CSeq") != fmt.Sprintf("%d %s", d.cseq, method) {
				continue // another's, or repeated
			}
			if _, body, ok := strings.Cut(m, "\r\n\r\n"); ok && strings.Contains(body, "m=audio") {
				d.answeredWith(body)
			}
			status := m[8:11]
			if status < "200" {
				continue
			}
			if _, tag, ok := strings.Cut(field(m, "To"), "tag="); ok {
				d.peer = tag
			}
			return status
		case <-late:
			d.t.Errorf("no final response to %s of %s", method, d.number)
			return ""
		}
	}
}

func (d *dialog) answeredWith(sdp string) {
	d.sdp = sdp
	for l := range strings.Lines(sdp) {
		var port int
		if n, _ := fmt.Sscanf(l, "m=audio %d", &port); n == 1 {
			d.rtpTo = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
		}
	}
}

// call sends an INVITE with the description and confirms what comes of it.
func (d *dialog) call(sdp string) (status string) {
	d.send("INVITE", sdp)
	status = d.final("INVITE")
	d.send("ACK", "")
	return status
}

func (d *dialog) bye() {
	d.send("BYE", "")
	d.final("BYE")
}

// press sends keys by INFO, with a pause for who listens.
func (d *dialog) press(keys string) {
	for _, k := range keys {
		if k == ',' {
			time.Sleep(time.Second)
			continue
		}
		d.send("INFO", fmt.Sprintf("Signal=%c\r\nDuration=160\r\n", k), "Content-Type: application/dtmf-relay")
		d.final("INFO")
	}
}

// rtpStream says what is sent for how long, in packets of 20 ms of µ-law.
type rtpStream struct {
	length  time.Duration
	payload byte // type
	sound   byte // each sample; 0xff is silence, 0x80 and 0x00 full scale
	square  bool // the sound alternates with its negative
	skip    int  // every skip-th packet is lost
	bursts  int  // so many packets come at once
	from    *net.UDPConn
	restart bool // each packet is of a source of its own
}

func (d *dialog) talk(s rtpStream) {
	conn := s.from
	if conn == nil {
		conn = d.rtp
	}
	b := make([]byte, 172)
	b[0], b[1] = 0x80, s.payload
	copy(b[8:], "LINE")
	for i := range b[12:] {
		b[12+i] = s.sound
		if s.square && i/8%2 == 1 {
			b[12+i] ^= 0x80
		}
	}
	begun := time.Now()
	for i := range int(s.length / (20 * time.Millisecond)) {
		if n := max(1, s.bursts); i%n == 0 {
			time.Sleep(time.Until(begun.Add(time.Duration(i) * 20 * time.Millisecond)))
		}
		b[2], b[3] = byte(i>>8), byte(i)
		stamp := uint32(160 * i)
		b[4], b[5], b[6], b[7] = byte(stamp>>24), byte(stamp>>16), byte(stamp>>8), byte(stamp)
		if s.restart {
			b[8] = byte(i)
		}
		if s.skip > 0 && i%s.skip == 0 {
			continue
		}
		_, _ = conn.WriteToUDP(b, d.rtpTo)
	}
}
