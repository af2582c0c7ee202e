package capture

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/store"
)

const invite = "INVITE sip:7001@meet.example.org SIP/2.0\r\nVia: SIP/2.0/TLS 203.0.113.7:5061;branch=z9hG4bK1\r\nFrom: <sip:ann@example.org>;tag=1\r\n" +
	"To: <sip:7001@meet.example.org>\r\nCall-ID: one@example.org\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"

var (
	noon   = time.Date(2026, 3, 5, 12, 0, 0, 123456789, time.UTC)
	ladder = []store.Step{
		{At: noon, From: "203.0.113.7:40122", To: "192.0.2.1:5061", Network: "tls", What: "INVITE sip:7001@meet.example.org SIP/2.0", Text: invite},
		{At: noon, What: "routed", Text: "7001"},
		{At: noon.Add(time.Second), From: "[2001:db8::1]:5061", To: "[2001:db8::2]:5061", Network: "tls", What: "SIP/2.0 100 Trying", Text: strings.Replace(invite, "INVITE sip:7001@meet.example.org SIP/2.0", "SIP/2.0 100 Trying", 1)},
		{At: noon, From: "nobody", To: "192.0.2.1:5061", Text: "no address"},
	}
)

func pcap(t *testing.T, steps []store.Step) []byte {
	t.Helper()
	b, err := PCAP(steps)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shark dissects a capture.
func shark(t *testing.T, pcap []byte, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("tshark")
	if err != nil {
		t.Fatal("no tshark: make setup-test installs it")
	}
	file := filepath.Join(t.TempDir(), "call.pcap")
	if err := os.WriteFile(file, pcap, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"-r", file, "-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=|"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.Bytes())
	}
	return string(out)
}

func TestWiresharkReadsACall(t *testing.T) {
	got := shark(t, pcap(t, ladder), "-e", "frame.time_epoch", "-e", "ip.src", "-e", "ipv6.src", "-e", "udp.srcport", "-e", "sip.Request-Line", "-e", "sip.Status-Line", "-e", "sip.Call-ID",
		"-e", "udp.checksum.status", "-e", "ip.checksum.status")
	want := "1772712000.123456789|203.0.113.7||40122|INVITE sip:7001@meet.example.org SIP/2.0||one@example.org|1|1\n" +
		"1772712001.123456789||2001:db8::1|5061||SIP/2.0 100 Trying|one@example.org|1|\n"
	if got != want {
		t.Errorf("Wireshark reads\n%swant\n%s", got, want)
	}
}

// A call of H.323 as it was recorded: its messages are TPKTs in a TCP stream.
func TestWiresharkReadsAnH323Call(t *testing.T) {
	b, err := os.ReadFile("../../testdata/calls/H.323-without-encryption.json")
	if err != nil {
		t.Fatal(err)
	}
	var r struct{ Ladder struct{ Steps []store.Step } }
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(shark(t, pcap(t, r.Ladder.Steps), "-e", "q931.message_type", "-e", "h225.h323_message_body", "-e", "h225.guid", "-e", "tcp.checksum.status", "-e", "_ws.malformed")), "\n")
	if len(got) < 2 || !strings.HasPrefix(got[0], "0x05|0|") || !strings.HasPrefix(got[len(got)-1], "0x5a|5|") {
		t.Errorf("Wireshark reads %q, want SETUP and, last, RELEASE COMPLETE", got)
	}
	for _, line := range got {
		if f := strings.Split(line, "|"); f[4] != "" || f[2] != strings.Split(got[0], "|")[2] {
			t.Errorf("Wireshark reads %q", line)
		}
	}
}

func TestLongMessagesAndNoneMakeACapture(t *testing.T) {
	if b := pcap(t, nil); len(b) != 24 {
		t.Errorf("an empty capture has %d octets", len(b))
	}
	for _, s := range []store.Step{{Text: strings.Repeat("x", 100_000)}, {Wire: make([]byte, 100_000)}} {
		for _, ends := range [][2]string{{"192.0.2.1:1", "192.0.2.2:2"}, {"[2001:db8::1]:1", "[2001:db8::2]:2"}} {
			s.From, s.To = ends[0], ends[1]
			if n := len(pcap(t, []store.Step{s})); n < 24+16+65000 || n > 24+16+65535 {
				t.Errorf("a packet of %d octets", n-24-16)
			}
		}
	}
}

func TestHomerReadsAMessage(t *testing.T) {
	homer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer homer.Close()
	e, err := NewExporter(homer.LocalAddr().String(), 2026, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	m := Meta{At: noon, From: netip.MustParseAddrPort("203.0.113.7:40122"), To: netip.MustParseAddrPort("192.0.2.1:5061"), Network: "tls", Kind: SIP, Call: "leg1"}
	e.Send(m, []byte(invite))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 65536)
	n, err := homer.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if string(b[:4]) != "HEP3" || int(binary.BigEndian.Uint16(b[4:])) != n {
		t.Fatalf("header %x, of %d octets", b[:6], n)
	}
	got := map[uint16]string{}
	for at := 6; at < n; { // vendor, type, length with this header
		kind, length := binary.BigEndian.Uint16(b[at+2:]), int(binary.BigEndian.Uint16(b[at+4:]))
		got[kind] = string(b[at+6 : at+length])
		at += length
	}
	want := map[uint16]string{1: "\x02", 2: "\x06", 3: "\xcb\x00\x71\x07", 4: "\xc0\x00\x02\x01", 7: "\x9c\xba", 8: "\x13\xc5", 9: "\x69\xa9\x70\x40", 10: "\x00\x01\xe2\x40",
		11: "\x01", 12: "\x00\x00\x07\xea", 15: invite, 17: "leg1"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// What Kamailio's siptrace sent of a message is, to the octet, what we send of it.
func TestHEPIsKamailios(t *testing.T) {
	theirs, err := os.ReadFile("../../testdata/hep/kamailio-5.6.bin")
	if err != nil {
		t.Fatal(err)
	}
	chunks, be := map[uint16][]byte{}, binary.BigEndian
	for at := 6; at < len(theirs); at += int(be.Uint16(theirs[at+4:])) {
		chunks[be.Uint16(theirs[at+2:])] = theirs[at+6 : at+int(be.Uint16(theirs[at+4:]))]
	}
	place := func(ip, port uint16) netip.AddrPort {
		a, _ := netip.AddrFromSlice(chunks[ip])
		return netip.AddrPortFrom(a, be.Uint16(chunks[port]))
	}
	m := Meta{At: time.Unix(int64(be.Uint32(chunks[9])), int64(be.Uint32(chunks[10]))*1000), From: place(3, 7), To: place(4, 8), Network: "udp", Kind: SIP, Agent: 2026}
	if ours := HEP(m, chunks[15]); !bytes.Equal(ours, theirs) {
		t.Errorf("ours   %q\ntheirs %q", ours, theirs)
	}
}

// A Homer that is away holds nobody up.
func TestExportNeverWaits(t *testing.T) {
	e := &Exporter{queue: make(chan []byte, 1)}
	m := Meta{From: netip.MustParseAddrPort("203.0.113.7:1"), To: netip.MustParseAddrPort("192.0.2.1:2")}
	for range 10 {
		e.Send(m, []byte("x"))
	}
	if n := e.Lost.Load(); n != 9 {
		t.Errorf("%d lost", n)
	}
}

// The names, and what they mean, are those of RTCP in HEP (payload type 5).
func TestReportsAreHomers(t *testing.T) {
	st := core.Stats{SSRC: 1, PeerSSRC: 2, Octets: 80000, ClockRate: 8000, Jitter: 20 * time.Millisecond, RemoteJitter: 5 * time.Millisecond}
	before, now := store.Sample{Received: 100, Lost: 5, Sent: 250, RemoteLost: 0}, store.Sample{At: noon, Received: 325, Lost: 30, Sent: 500, RemoteLost: 125}
	for _, c := range []struct {
		name         string
		st           core.Stats
		rtt          time.Duration
		before, now  store.Sample
		ours, theirs string
	}{
		{"both", st, 80 * time.Millisecond, before, now,
			`{"type":200,"ssrc":1,"report_count":1,"sender_information":{"ntp_timestamp_sec":3981700800,"ntp_timestamp_usec":530242871,"packets":500,"octets":80000},` +
				`"report_blocks":[{"source_ssrc":2,"fraction_lost":25,"packets_lost":30,"ia_jitter":160,"lsr":0,"dlsr":0}],"report_blocks_xr":{"round_trip_delay":80}}`,
			`{"type":201,"ssrc":2,"report_count":1,"report_blocks":[{"source_ssrc":1,"fraction_lost":128,"packets_lost":125,"ia_jitter":40,"lsr":0,"dlsr":0}]}`},
		{"a peer without RTCP, to whom nothing is sent", core.Stats{SSRC: 1, PeerSSRC: 2, ClockRate: 8000}, 0, store.Sample{}, store.Sample{At: noon, Received: 250},
			`{"type":201,"ssrc":1,"report_count":1,"report_blocks":[{"source_ssrc":2,"fraction_lost":0,"packets_lost":0,"ia_jitter":0,"lsr":0,"dlsr":0}]}`, ""},
		{"lost packets that came late", core.Stats{SSRC: 1, PeerSSRC: 2}, 0, store.Sample{Received: 100, Lost: 10}, store.Sample{At: noon, Received: 110, Lost: 5},
			`{"type":201,"ssrc":1,"report_count":1,"report_blocks":[{"source_ssrc":2,"fraction_lost":0,"packets_lost":5,"ia_jitter":0,"lsr":0,"dlsr":0}]}`, ""},
	} {
		if ours, theirs := Reports(c.st, c.rtt, c.before, c.now); string(ours) != c.ours || string(theirs) != c.theirs {
			t.Errorf("%s:\nours   %s\nwant   %s\ntheirs %s\nwant   %s", c.name, ours, c.ours, theirs, c.theirs)
		}
	}
}
