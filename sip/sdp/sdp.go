// Package sdp reads, writes and negotiates session descriptions for SIP:
// RFC 8866 (the format), RFC 3264 (offer and answer), RFC 4568 and 7714 (keys
// for SRTP), RFC 3605 and 5761 (where RTCP goes), RFC 4733 (keys pressed) and
// RFC 7587 (Opus). What comes in is hostile: it is bounded in every direction
// and a malformed line is an error that tells its number.
package sdp

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"bridgehead/core"
)

// Bounds of what is read. Real descriptions, browsers' included, stay far
// below them.
const (
	MaxSize    = 64 << 10 // bytes
	MaxMedia   = 32       // m= lines
	MaxLines   = 128      // lines in the session part and in each media part
	maxFormats = 64       // payload types in one m= line
	maxCrypto  = 16       // a=crypto lines in one media part
)

// Session is one session description.
type Session struct {
	Origin Origin `json:"origin"`
	Name   string `json:"session_name,omitempty"`
	// Addr is the session's c= line; zero when each media part has its own.
	Addr       netip.Addr `json:"connection,omitzero"`
	Bandwidth  []string   `json:"bandwidth,omitempty"`  // b= lines as they came
	Attributes []string   `json:"attributes,omitempty"` // a= lines not understood here
	Media      []Media    `json:"media"`
}

// Origin is the o= line.
type Origin struct {
	User    string     `json:"username"`
	ID      uint64     `json:"sess_id"`
	Version uint64     `json:"sess_version"`
	Addr    netip.Addr `json:"unicast_address,omitzero"`
}

// Media is one m= line and what follows it.
type Media struct {
	Kind    string   `json:"media"` // audio, video, application …
	Port    int      `json:"port"`  // 0: refused
	Proto   string   `json:"proto"`
	Formats []string `json:"fmt"`
	// Addr is where to send: this part's c= line or the session's.
	Addr netip.Addr `json:"connection,omitzero"`
	// Codecs are the formats with their rtpmap and fmtp, in order.
	Codecs    []core.Codec `json:"rtpmap,omitempty"`
	Direction Direction    `json:"direction"`
	Ptime     int          `json:"ptime,omitempty"`    // ms
	MaxPtime  int          `json:"maxptime,omitempty"` // ms
	Mux       bool         `json:"rtcp_mux,omitempty"`
	// RTCP is the a=rtcp address; its port alone when no address came.
	RTCPPort   int        `json:"rtcp_port,omitempty"`
	RTCPAddr   netip.Addr `json:"rtcp_addr,omitzero"`
	Crypto     []Crypto   `json:"crypto,omitempty"`
	Bandwidth  []string   `json:"bandwidth,omitempty"`
	Attributes []string   `json:"attributes,omitempty"`
}

// Direction is what the describing side does with a stream.
type Direction uint8

// The directions; the zero value is RFC 3264's default.
const (
	SendRecv Direction = iota
	SendOnly
	RecvOnly
	Inactive
)

func (d Direction) String() string {
	return [...]string{"sendrecv", "sendonly", "recvonly", "inactive"}[d&3]
}

// MarshalText writes the attribute's name.
func (d Direction) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Sends and Receives tell the two halves apart.
func (d Direction) Sends() bool    { return d == SendRecv || d == SendOnly }
func (d Direction) Receives() bool { return d == SendRecv || d == RecvOnly }

func direction(sends, receives bool) Direction {
	switch {
	case sends && receives:
		return SendRecv
	case sends:
		return SendOnly
	case receives:
		return RecvOnly
	}
	return Inactive
}

// Crypto is an a=crypto line (RFC 4568). Key is master key and salt.
type Crypto struct {
	Tag    int    `json:"tag"`
	Suite  string `json:"crypto_suite"`
	Key    []byte `json:"-"`
	Rest   string `json:"lifetime_mki,omitempty"` // of the key, as it came
	Params string `json:"session_params,omitempty"`
	// Unusable says why this line can't be agreed to; empty when it can.
	Unusable string `json:"unusable,omitempty"`
}

// SyntaxError is what Decode returns.
type SyntaxError struct {
	Line int // from 1; 0: the description as a whole
	Text string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return "sdp: " + e.Text
	}
	return "sdp: line " + strconv.Itoa(e.Line) + ": " + e.Text
}

// Marshal writes the description with CRLF line ends.
func (s *Session) Marshal() []byte {
	b := make([]byte, 0, 512)
	name := s.Name
	if name == "" {
		name = "-"
	}
	b = fmt.Appendf(b, "v=0\r\no=%s %d %d IN %s\r\ns=%s\r\n", orDash(s.Origin.User), s.Origin.ID, s.Origin.Version, address(s.Origin.Addr), name)
	if s.Addr.IsValid() {
		b = fmt.Appendf(b, "c=IN %s\r\n", address(s.Addr))
	}
	for _, l := range s.Bandwidth {
		b = append(b, "b="+l+"\r\n"...)
	}
	b = append(b, "t=0 0\r\n"...)
	for _, a := range s.Attributes {
		b = append(b, "a="+a+"\r\n"...)
	}
	for i := range s.Media {
		b = s.Media[i].append(b, s.Addr)
	}
	return b
}

func (m *Media) append(b []byte, session netip.Addr) []byte {
	b = fmt.Appendf(b, "m=%s %d %s %s\r\n", m.Kind, m.Port, m.Proto, strings.Join(m.Formats, " "))
	if m.Addr.IsValid() && m.Addr != session {
		b = fmt.Appendf(b, "c=IN %s\r\n", address(m.Addr))
	}
	for _, l := range m.Bandwidth {
		b = append(b, "b="+l+"\r\n"...)
	}
	if m.Port == 0 && len(m.Codecs) == 0 {
		return b
	}
	for _, c := range m.Codecs {
		b = appendCodec(b, c)
	}
	b = appendTimes(b, m)
	if m.Mux {
		b = append(b, "a=rtcp-mux\r\n"...)
	}
	for _, c := range m.Crypto {
		b = fmt.Appendf(b, "a=crypto:%d %s inline:%s%s%s\r\n", c.Tag, c.Suite, base64.StdEncoding.EncodeToString(c.Key), c.Rest, space(c.Params))
	}
	for _, a := range m.Attributes {
		b = append(b, "a="+a+"\r\n"...)
	}
	return append(b, "a="+m.Direction.String()+"\r\n"...)
}

func appendTimes(b []byte, m *Media) []byte {
	if m.Ptime > 0 {
		b = fmt.Appendf(b, "a=ptime:%d\r\n", m.Ptime)
	}
	if m.MaxPtime > 0 {
		b = fmt.Appendf(b, "a=maxptime:%d\r\n", m.MaxPtime)
	}
	switch {
	case m.RTCPPort > 0 && m.RTCPAddr.IsValid():
		b = fmt.Appendf(b, "a=rtcp:%d IN %s\r\n", m.RTCPPort, address(m.RTCPAddr))
	case m.RTCPPort > 0:
		b = fmt.Appendf(b, "a=rtcp:%d\r\n", m.RTCPPort)
	}
	return b
}

func appendCodec(b []byte, c core.Codec) []byte {
	if c.Name != "" {
		b = fmt.Appendf(b, "a=rtpmap:%d %s/%d", c.PayloadType, c.Name, c.ClockRate)
		if c.Channels > 1 {
			b = fmt.Appendf(b, "/%d", c.Channels)
		}
		b = append(b, "\r\n"...)
	}
	if c.Fmtp != "" {
		b = fmt.Appendf(b, "a=fmtp:%d %s\r\n", c.PayloadType, c.Fmtp)
	}
	return b
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return "IP4 0.0.0.0"
	}
	if a.Is4() || a.Is4In6() {
		return "IP4 " + a.Unmap().String()
	}
	return "IP6 " + a.WithZone("").String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func space(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}
