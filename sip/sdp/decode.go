package sdp

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"

	"bridgehead/core"
)

// static payload types of RFC 3551 that need no rtpmap.
var static = map[uint8]core.Codec{
	0:  {Name: "PCMU", ClockRate: 8000, Channels: 1},
	3:  {Name: "GSM", ClockRate: 8000, Channels: 1},
	4:  {Name: "G723", ClockRate: 8000, Channels: 1},
	8:  {Name: "PCMA", ClockRate: 8000, Channels: 1},
	9:  {Name: "G722", ClockRate: 8000, Channels: 1},
	13: {Name: "CN", ClockRate: 8000, Channels: 1},
	15: {Name: "G728", ClockRate: 8000, Channels: 1},
	18: {Name: "G729", ClockRate: 8000, Channels: 1},
	31: {Name: "H261", ClockRate: 90000},
	34: {Name: "H263", ClockRate: 90000},
}

// decoder carries the state of one Decode: the part being read and the
// session's defaults.
type decoder struct {
	s         *Session
	m         *Media // nil in the session part
	lines     int    // in this part
	direction Direction
	codecs    map[uint8]*core.Codec
}

// Decode reads a description. The result shares no memory with b. Every error
// is a *SyntaxError.
func Decode(b []byte) (*Session, error) {
	if len(b) > MaxSize {
		return nil, &SyntaxError{Text: "longer than " + strconv.Itoa(MaxSize) + " bytes"}
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return nil, &SyntaxError{Line: bytes.Count(b[:i], []byte("\n")) + 1, Text: "NUL byte"}
	}
	d := decoder{s: &Session{}}
	rest := strings.TrimRight(string(b), "\r\n ")
	for n := 1; rest != ""; n++ {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		if text := d.line(n, strings.TrimSuffix(line, "\r")); text != "" {
			return nil, &SyntaxError{Line: n, Text: text}
		}
	}
	if d.lines == 0 && d.m == nil {
		return nil, &SyntaxError{Text: "empty"}
	}
	d.endMedia()
	return d.s, nil
}

// line reads one line and returns what is wrong with it.
func (d *decoder) line(n int, l string) string {
	if n == 1 {
		d.lines++
		if l != "v=0" {
			return "no v=0"
		}
		return ""
	}
	if len(l) < 2 || l[1] != '=' || l[0] < 'a' || l[0] > 'z' {
		return "not of the form type=value"
	}
	if d.lines++; d.lines > MaxLines {
		return "too many lines"
	}
	v := l[2:]
	switch l[0] {
	case 'v':
		return "second v="
	case 'o':
		return d.origin(v)
	case 's':
		if d.m == nil {
			d.s.Name = v
		}
	case 'c':
		return d.connection(v)
	case 'b':
		if d.m != nil {
			d.m.Bandwidth = append(d.m.Bandwidth, v)
		} else {
			d.s.Bandwidth = append(d.s.Bandwidth, v)
		}
	case 'm':
		return d.media(v)
	case 'a':
		return d.attribute(v)
	}
	return "" // t=, i=, u=, e=, p=, r=, z=, k= say nothing to a bridge
}

func (d *decoder) origin(v string) string {
	f := strings.Fields(v)
	if len(f) != 6 || d.m != nil {
		return "o= must have six fields"
	}
	id, err1 := strconv.ParseUint(f[1], 10, 64)
	ver, err2 := strconv.ParseUint(f[2], 10, 64)
	if err1 != nil || err2 != nil {
		return "o= id or version is no number"
	}
	addr, _ := netip.ParseAddr(f[5]) // a host name is legal here and unused
	d.s.Origin = Origin{User: f[0], ID: id, Version: ver, Addr: addr}
	return ""
}

func (d *decoder) connection(v string) string {
	f := strings.Fields(v)
	if len(f) != 3 || f[0] != "IN" || f[1] != "IP4" && f[1] != "IP6" {
		return "c= must be IN IP4 or IN IP6 and an address"
	}
	host, _, _ := strings.Cut(f[2], "/")
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return "c= must give an IP address"
	}
	if addr.Is4() != (f[1] == "IP4") || addr.IsMulticast() || addr.Zone() != "" {
		return "c= must give a unicast address of the named family"
	}
	if d.m != nil {
		d.m.Addr = addr
	} else {
		d.s.Addr = addr
	}
	return ""
}

func (d *decoder) media(v string) string {
	d.endMedia()
	f := strings.Fields(v)
	if len(f) < 4 {
		return "m= must have a kind, a port, a protocol and formats"
	}
	if len(d.s.Media) == MaxMedia {
		return "too many m= lines"
	}
	if len(f)-3 > maxFormats {
		return "too many formats"
	}
	first, _, _ := strings.Cut(f[1], "/")
	port, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		return "bad port"
	}
	d.s.Media = append(d.s.Media, Media{Kind: f[0], Port: int(port), Proto: f[2], Formats: f[3:], Addr: d.s.Addr, Direction: d.direction})
	d.m, d.lines = &d.s.Media[len(d.s.Media)-1], 1
	d.codecs = nil
	if !d.m.rtp() {
		return ""
	}
	d.codecs = make(map[uint8]*core.Codec, len(f)-3)
	for _, x := range d.m.Formats {
		pt, err := strconv.ParseUint(x, 10, 7)
		if err != nil {
			return "payload type is not 0 to 127"
		}
		c := static[uint8(pt)]
		c.PayloadType = uint8(pt)
		d.codecs[uint8(pt)] = &c
	}
	return ""
}

func (m *Media) rtp() bool {
	return strings.HasSuffix(m.Proto, "AVP") || strings.HasSuffix(m.Proto, "AVPF")
}

// endMedia lists the codecs once all rtpmap and fmtp lines are read.
func (d *decoder) endMedia() {
	if d.m == nil {
		return
	}
	for _, x := range d.m.Formats {
		pt, _ := strconv.ParseUint(x, 10, 7)
		if c := d.codecs[uint8(pt)]; c != nil {
			d.m.Codecs = append(d.m.Codecs, *c)
			delete(d.codecs, uint8(pt)) // a type listed twice counts once
		}
	}
	d.m = nil
}

func (d *decoder) attribute(v string) string {
	name, value, _ := strings.Cut(v, ":")
	if dir, ok := directions[name]; ok {
		if d.m != nil {
			d.m.Direction = dir
		} else {
			d.direction = dir
		}
		return ""
	}
	if d.m == nil {
		d.s.Attributes = append(d.s.Attributes, v)
		return ""
	}
	switch name {
	case "rtpmap":
		return d.rtpmap(value)
	case "fmtp":
		return d.fmtp(value)
	case "ptime":
		d.m.Ptime = millis(value)
	case "maxptime":
		d.m.MaxPtime = millis(value)
	case "rtcp-mux":
		d.m.Mux = true
	case "rtcp":
		return d.rtcp(value)
	case "crypto":
		if len(d.m.Crypto) == maxCrypto {
			return "too many crypto lines"
		}
		c, text := crypto(value)
		if text != "" {
			return text
		}
		d.m.Crypto = append(d.m.Crypto, c)
	default:
		d.m.Attributes = append(d.m.Attributes, v)
	}
	return ""
}

var directions = map[string]Direction{"sendrecv": SendRecv, "sendonly": SendOnly, "recvonly": RecvOnly, "inactive": Inactive}

// millis reads a packet time. Some write 20.0; what is no sensible time is as
// good as absent.
func millis(v string) int {
	whole, _, _ := strings.Cut(strings.TrimSpace(v), ".")
	n, err := strconv.ParseUint(whole, 10, 16)
	if err != nil || n > 1000 {
		return 0
	}
	return int(n)
}

// payload splits "PT rest" and finds the format it speaks of; nil when the m=
// line does not list it.
func (d *decoder) payload(v string) (*core.Codec, string, bool) {
	first, rest, ok := strings.Cut(v, " ")
	pt, err := strconv.ParseUint(first, 10, 7)
	if err != nil || !ok {
		return nil, "", false
	}
	return d.codecs[uint8(pt)], strings.TrimSpace(rest), true
}

func (d *decoder) rtpmap(v string) string {
	c, rest, ok := d.payload(v)
	f := strings.Split(rest, "/")
	if !ok || len(f) > 3 || f[0] == "" {
		return "rtpmap must be a payload type and name/rate"
	}
	if len(f) == 1 {
		return "" // some leave out the rate (so do RFC 4475's examples): a format of no use
	}
	rate, err := strconv.ParseUint(f[1], 10, 31)
	channels := uint64(1)
	if err == nil && len(f) == 3 {
		channels, err = strconv.ParseUint(f[2], 10, 8)
	}
	if err != nil || rate == 0 || channels == 0 {
		return "rtpmap rate or channels is no number"
	}
	if c != nil {
		c.Name, c.ClockRate, c.Channels = f[0], int(rate), int(channels)
		if d.m.Kind != "audio" {
			c.Channels = 0
		}
	}
	return ""
}

func (d *decoder) fmtp(v string) string {
	c, rest, ok := d.payload(v)
	if !ok {
		return "" // some formats that are not RTP have no number here
	}
	if c != nil {
		c.Fmtp = rest
	}
	return ""
}

func (d *decoder) rtcp(v string) string {
	f := strings.Fields(v)
	if len(f) == 0 {
		return "rtcp without a port"
	}
	port, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil {
		return "rtcp port is no port"
	}
	d.m.RTCPPort = int(port)
	if len(f) == 4 && f[1] == "IN" {
		d.m.RTCPAddr, _ = netip.ParseAddr(f[3])
	}
	return ""
}

// crypto reads RFC 4568's tag, suite, key parameters and session parameters.
// A line whose meaning is clear but not ours is kept and marked.
func crypto(v string) (Crypto, string) {
	f := strings.Fields(v)
	if len(f) < 3 {
		return Crypto{}, "crypto must have a tag, a suite and a key"
	}
	tag, err := strconv.ParseUint(f[0], 10, 30)
	if err != nil || len(f[0]) > 9 {
		return Crypto{}, "crypto tag is no number"
	}
	c := Crypto{Tag: int(tag), Suite: f[1], Params: strings.Join(f[3:], " ")}
	inline, ok := strings.CutPrefix(f[2], "inline:")
	if !ok {
		c.Unusable = "key method is not inline"
		return c, ""
	}
	if strings.Contains(inline, ";") {
		c.Unusable = "more than one key"
		inline, _, _ = strings.Cut(inline, ";")
	}
	key, rest, more := strings.Cut(inline, "|")
	if more {
		c.Rest = "|" + rest
	}
	if c.Key, err = base64.StdEncoding.DecodeString(key); err != nil {
		if c.Key, err = base64.RawStdEncoding.DecodeString(key); err != nil {
			return Crypto{}, "crypto key is not base64"
		}
	}
	if c.Unusable == "" {
		c.Unusable = unusable(rest, f[3:])
	}
	return c, ""
}

// unusable judges a key's lifetime and MKI and the session parameters.
func unusable(rest string, params []string) string {
	for _, x := range strings.Split(rest, "|") {
		switch {
		case x == "":
		case strings.Contains(x, ":"):
			return "master key identifiers are not supported"
		case !lifetime(x):
			return "bad key lifetime"
		}
	}
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		switch {
		case strings.HasPrefix(name, "-"), name == "WSH", name == "KDR" && value == "0":
		case strings.HasPrefix(name, "UNENCRYPTED_"), strings.HasPrefix(name, "UNAUTHENTICATED_"):
			return name + " would switch protection off"
		default:
			return "session parameter " + name + " is not supported"
		}
	}
	return ""
}

// lifetime: 2^n or a number of packets; one too short for a call is refused
// rather than rekeyed.
func lifetime(s string) bool {
	if exp, ok := strings.CutPrefix(s, "2^"); ok {
		n, err := strconv.ParseUint(exp, 10, 8)
		return err == nil && n >= 20 && n <= 48
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return err == nil && n >= 1<<20
}
