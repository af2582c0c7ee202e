package sip

import (
	"bytes"
	"errors"
	"iter"
	"net/netip"
	"strconv"
	"strings"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/sip/sdp"
)

type (
	request  = siplib.Request
	response = siplib.Response
	message  = siplib.Message
	uri      = siplib.Uri
)

// Bounds of one message. A SIP message of a room system with all its codecs
// has some 6 kB and 40 header lines.
const (
	maxMessage = 64 << 10
	maxHeader  = 32 << 10
	maxLines   = 256
)

var parser = siplib.NewParser()

// SyntaxError tells where a message is malformed.
type SyntaxError struct {
	Line int // from 1; 0: the message as a whole
	Text string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return "sip: " + e.Text
	}
	return "sip: line " + strconv.Itoa(e.Line) + ": " + e.Text
}

// parse reads one whole message. With an error the message may be non-nil: as
// much of it as could be read, enough perhaps to answer 400.
func parse(b []byte) (message, error) {
	if err := precheck(b); err != nil {
		return nil, err
	}
	m, err := parser.ParseSIP(b)
	if err != nil {
		if line := badLine(b); line > 0 {
			err = &SyntaxError{line, err.Error()}
		} else {
			err = &SyntaxError{0, err.Error()}
		}
		return m, err
	}
	return m, validate(m)
}

// precheck refuses what must not get into the parser or out again: a line end
// other than CRLF lets a header line hide in another (CVE-2020-28361).
func precheck(b []byte) error {
	if len(b) > maxMessage {
		return &SyntaxError{0, "longer than " + strconv.Itoa(maxMessage) + " bytes"}
	}
	head, _, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		return &SyntaxError{0, "no empty line after the header"}
	}
	if len(head) > maxHeader {
		return &SyntaxError{0, "header too long"}
	}
	line := 1
	for i, c := range head {
		switch {
		case c == '\n' && (i == 0 || head[i-1] != '\r'), c == '\r' && (i+1 == len(head) || head[i+1] != '\n'):
			return &SyntaxError{line, "line ends without CRLF"}
		case c == 0:
			return &SyntaxError{line, "NUL byte"}
		case c == '\n':
			line++
		}
	}
	if line > maxLines {
		return &SyntaxError{0, "too many header lines"}
	}
	return nil
}

// badLine finds the first line that does not parse on its own.
func badLine(b []byte) int {
	head, _, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	lines := bytes.Split(head, []byte("\r\n"))
	if _, err := parser.ParseSIP(append(bytes.Clone(lines[0]), "\r\n\r\n"...)); err != nil {
		return 1
	}
	headers := siplib.HeadersParser(siplib.DefaultHeadersParser())
	for i := 1; i < len(lines); i++ {
		line, first := lines[i], i
		for i+1 < len(lines) && len(lines[i+1]) > 0 && (lines[i+1][0] == ' ' || lines[i+1][0] == '\t') {
			i++
			line = append(append(bytes.Clone(line), ' '), bytes.TrimSpace(lines[i])...)
		}
		if _, err := headers.ParseHeader(nil, line); err != nil {
			return first + 1
		}
	}
	return 0
}

// validate checks what RFC 3261 8.1.1 makes mandatory, and what the rest of
// this package relies on: one of each, sane sizes, a method that agrees.
func validate(m message) error {
	bad := func(text string) error { return &SyntaxError{0, text} }
	via, from, to, id, seq := m.Via(), m.From(), m.To(), m.CallID(), m.CSeq()
	switch {
	case via == nil || via.Host == "":
		return bad("no usable Via")
	case from == nil:
		return bad("no From")
	case to == nil:
		return bad("no To")
	case id == nil || len(*id) > 256:
		return bad("no Call-ID, or one too long")
	case seq == nil:
		return bad("no CSeq")
	case len(param(via.Params, "branch")) > 256, len(param(from.Params, "tag")) > 256, len(param(to.Params, "tag")) > 256:
		return bad("branch or tag too long")
	}
	for _, name := range []string{"From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length"} {
		if count(m, name) > 1 {
			return bad("more than one " + name)
		}
	}
	seq.MethodName = siplib.RequestMethod(strings.TrimSpace(string(seq.MethodName)))
	if r, ok := m.(*request); ok {
		if seq.MethodName != r.Method {
			return bad("CSeq method differs from the request's")
		}
		if r.SipVersion != "SIP/2.0" {
			return errVersion
		}
		if param(from.Params, "tag") == "" {
			return bad("From without tag")
		}
	} else if r := m.(*response); r.StatusCode < 100 || r.StatusCode > 699 {
		return bad("no such status code")
	}
	if cl := m.ContentLength(); cl != nil && int(*cl) != len(m.Body()) {
		return bad("Content-Length does not fit the body")
	}
	return nil
}

var errVersion = errors.New("sip: version not supported")

// Decoded is a message as [Decode] shows it.
type Decoded struct {
	Method  string       `json:"method,omitempty"`
	URI     string       `json:"request_uri,omitempty"`
	Status  int          `json:"status_code,omitempty"`
	Phrase  string       `json:"reason_phrase,omitempty"`
	Version string       `json:"sip_version"`
	Headers []Header     `json:"headers"`
	Body    string       `json:"body,omitempty"`
	SDP     *sdp.Session `json:"sdp,omitempty"`
	text    []byte
}

// Header is one header line.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Bytes encodes the message again.
func (d *Decoded) Bytes() []byte { return d.text }

// Decode reads one SIP message for people to look at. The error of malformed
// input is a *SyntaxError (of this package or of sdp).
func Decode(b []byte) (any, error) {
	m, err := parse(b)
	if err != nil {
		return nil, err
	}
	d := &Decoded{Body: string(m.Body()), text: []byte(m.String())}
	var list []siplib.Header
	switch m := m.(type) {
	case *request:
		d.Method, d.URI, d.Version, list = string(m.Method), m.Recipient.String(), m.SipVersion, m.Headers()
	case *response:
		d.Status, d.Phrase, d.Version, list = m.StatusCode, m.Reason, m.SipVersion, m.Headers()
	}
	for _, h := range list {
		d.Headers = append(d.Headers, Header{h.Name(), h.Value()})
	}
	if body := bodyOf(m, "application/sdp"); body != nil {
		if d.SDP, err = sdp.Decode(body); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// compact forms of the names that are looked up here.
var compact = map[string]string{"From": "f", "To": "t", "Call-ID": "i", "Content-Length": "l", "Supported": "k", "Session-Expires": "x", "Via": "v", "Contact": "m", "Content-Type": "c", "Content-Encoding": "e", "Identity": "y"}

func headersOf(m message) []siplib.Header {
	switch m := m.(type) {
	case *request:
		return m.Headers()
	case *response:
		return m.Headers()
	}
	return nil
}

// each is every header of a name, in both of its forms.
func each(m message, name string) iter.Seq[siplib.Header] {
	short := compact[name]
	return func(yield func(siplib.Header) bool) {
		for _, h := range headersOf(m) {
			if n := h.Name(); (strings.EqualFold(n, name) || short != "" && strings.EqualFold(n, short)) && !yield(h) {
				return
			}
		}
	}
}

// all is every value of a header.
func all(m message, name string) (list []string) {
	for h := range each(m, name) {
		list = append(list, h.Value())
	}
	return list
}

func count(m message, name string) (n int) {
	for range each(m, name) {
		n++
	}
	return n
}

// first value of a header, "" if there is none.
func first(m message, name string) string {
	for h := range each(m, name) {
		return h.Value()
	}
	return ""
}

// tokens are the comma-separated members of a header such as Supported.
func tokens(m message, name string) []string {
	var list []string
	for _, v := range all(m, name) {
		for _, t := range strings.Split(v, ",") {
			if t = strings.TrimSpace(t); t != "" && len(list) < 64 {
				list = append(list, strings.ToLower(t))
			}
		}
	}
	return list
}

func has(m message, name, token string) bool {
	for _, t := range tokens(m, name) {
		if strings.EqualFold(t, token) {
			return true
		}
	}
	return false
}

// param finds a parameter, whose name knows no case (RFC 3261 7.3.1).
func param(p siplib.HeaderParams, name string) string {
	for _, kv := range p {
		if strings.EqualFold(strings.TrimSpace(kv.K), name) {
			return strings.Trim(strings.TrimSpace(kv.V), `"`)
		}
	}
	return ""
}

func hasParam(p siplib.HeaderParams, name string) bool {
	for _, kv := range p {
		if strings.EqualFold(strings.TrimSpace(kv.K), name) {
			return true
		}
	}
	return false
}

// bodyOf is the part of the body that has the content type, looking into
// multipart bodies (RFC 5621) one level deep and 8 parts wide.
func bodyOf(m message, want string) []byte {
	kind, params, _ := strings.Cut(first(m, "Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if kind == want && len(m.Body()) > 0 {
		return m.Body()
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return nil
	}
	boundary := ""
	for _, p := range strings.Split(params, ";") {
		if k, v, _ := strings.Cut(strings.TrimSpace(p), "="); strings.EqualFold(k, "boundary") {
			boundary = strings.Trim(v, `"`)
		}
	}
	if boundary == "" || len(boundary) > 70 {
		return nil
	}
	parts := bytes.SplitN(m.Body(), []byte("--"+boundary), 10)
	for _, p := range parts[1:] {
		head, body, ok := bytes.Cut(bytes.TrimPrefix(p, []byte("\r\n")), []byte("\r\n\r\n"))
		if ok && bytes.Contains(bytes.ToLower(head), []byte("content-type: "+want)) {
			return bytes.TrimSuffix(body, []byte("\r\n"))
		}
	}
	return nil
}

// phrases of the status codes that leave this bridge.
var phrases = map[int]string{
	100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK",
	400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
	408: "Request Timeout", 415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required",
	422: "Session Interval Too Small", 423: "Interval Too Brief", 428: "Use Identity Header", 436: "Bad Identity Info", 437: "Unsupported Credential",
	438: "Invalid Identity Header", 480: "Temporarily Unavailable",
	481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops", 486: "Busy Here",
	487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending", 494: "Security Agreement Required",
	500: "Server Internal Error", 501: "Not Implemented", 503: "Service Unavailable", 504: "Server Time-out",
	505: "Version Not Supported", 513: "Message Too Large", 600: "Busy Everywhere", 603: "Decline",
}

// reply builds a response (RFC 3261 8.2.6). tag goes into To unless one is
// there or the code is 100.
func reply(req *request, status int, tag string) *response {
	res := siplib.NewResponse(status, phrases[status])
	for _, h := range req.Headers() {
		switch h.(type) {
		case *siplib.ViaHeader:
			res.AppendHeader(siplib.HeaderClone(h))
		case *siplib.RecordRouteHeader:
			if status > 100 && status < 300 {
				res.AppendHeader(siplib.HeaderClone(h))
			}
		}
	}
	if from := req.From(); from != nil {
		res.AppendHeader(siplib.HeaderClone(from))
	}
	if to := req.To(); to != nil {
		t := siplib.HeaderClone(to).(*siplib.ToHeader)
		if status > 100 && tag != "" && param(t.Params, "tag") == "" {
			t.Params.Add("tag", tag)
		}
		res.AppendHeader(t)
	}
	if id := req.CallID(); id != nil {
		res.AppendHeader(id)
	}
	if seq := req.CSeq(); seq != nil {
		res.AppendHeader(seq)
	}
	if ts := first(req, "Timestamp"); ts != "" && status == 100 {
		set(res, "Timestamp", ts)
	}
	return res
}

func set(m message, name, value string) { m.AppendHeader(siplib.NewHeader(name, value)) }

func newTag() string { return siplib.GenerateTagN(16) }

// sourceRoute is where a response to this Via goes over UDP: to the source
// address; to its port when the peer asks for that (RFC 3581), else to the
// port of the Via (RFC 3261 18.2.2).
func sourceRoute(via *siplib.ViaHeader, from netip.AddrPort) netip.AddrPort {
	if hasParam(via.Params, "rport") {
		return from
	}
	port := via.Port
	if port <= 0 || port > 65535 {
		port = 5060
	}
	return netip.AddrPortFrom(from.Addr(), uint16(port))
}

// markVia notes where the request really came from (RFC 3261 18.2.1, RFC 3581).
func markVia(via *siplib.ViaHeader, from netip.AddrPort) {
	rport := hasParam(via.Params, "rport")
	if rport {
		via.Params.Add("rport", strconv.Itoa(int(from.Port())))
	}
	if addr, err := netip.ParseAddr(strings.Trim(via.Host, "[]")); rport || err != nil || addr.Unmap() != from.Addr() {
		via.Params.Add("received", from.Addr().String())
	}
}
