package mail

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"
)

// office is a mail server of a few commands that keeps what it is given.
type office struct {
	t        *testing.T
	at       string
	trust    *tls.Config
	own      *tls.Config
	starttls bool
	letters  chan string
}

func open(t *testing.T, starttls bool) *office {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	o := &office{t: t, at: l.Addr().String(), starttls: starttls, letters: make(chan string, 8)}
	o.certify()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go o.serve(c)
		}
	}()
	return o
}

func (o *office) certify() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		o.t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		o.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		o.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(made)
	o.own = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	o.trust = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

func (o *office) serve(c net.Conn) {
	defer func() { c.Close() }()
	in, secure := bufio.NewReader(c), false
	say := func(s string) { fmt.Fprintf(c, "%s\r\n", s) }
	say("220 office")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch word := strings.ToUpper(strings.Fields(line + " x")[0]); word {
		case "EHLO":
			if o.starttls && !secure {
				say("250-office")
				say("250 STARTTLS")
			} else if secure {
				say("250-office")
				say("250 AUTH PLAIN")
			} else {
				say("250 office")
			}
		case "STARTTLS":
			say("220 go on")
			c = tls.Server(c, o.own)
			in, secure = bufio.NewReader(c), true
		case "AUTH":
			if strings.TrimSpace(line) != "AUTH PLAIN AGdhdGUAc2VjcmV0" { // \0gate\0secret
				say("535 no")
				return
			}
			say("235 welcome")
		case "DATA":
			say("354 go on")
			var letter strings.Builder
			for {
				if line, err = in.ReadString('\n'); err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				letter.WriteString(line)
			}
			o.letters <- letter.String()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 fine")
		}
	}
}

func TestInvitationGoesToEachAloneEncrypted(t *testing.T) {
	o := open(t, true)
	s, err := New(Options{Server: o.at, Security: "starttls", User: "gate", Password: "secret", From: "Bridgehead <meet@example.org>", TLS: o.trust})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Send(t.Context(), Letter{To: []string{"ann@example.org", "bob@example.org"}, ReplyTo: "host@example.org", Subject: "Täglich\r\nBcc: x@example.org", Text: "come", HTML: "<p>come</p>", ICal: "BEGIN:VCALENDAR\r\n"})
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"ann@example.org", "bob@example.org"} {
		m, err := mail.ReadMessage(strings.NewReader(<-o.letters))
		if err != nil {
			t.Fatal(err)
		}
		h := m.Header
		subject, _ := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
		if h.Get("To") != "<"+to+">" || h.Get("Bcc") != "" || subject != "Täglich Bcc: x@example.org" || h.Get("Reply-To") != "<host@example.org>" || h.Get("From") != `"Bridgehead" <meet@example.org>` {
			t.Errorf("%v", h)
		}
		if kinds := parts(t, h.Get("Content-Type"), m.Body); kinds != "text/plain text/html text/calendar" {
			t.Errorf("parts %s", kinds)
		}
	}
}

// parts are the types in a message, from outside to inside.
func parts(t *testing.T, contentType string, body io.Reader) string {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return kind
	}
	var list []string
	r := multipart.NewReader(body, params["boundary"])
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			return strings.Join(list, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, parts(t, p.Header.Get("Content-Type"), p))
	}
}

func TestMailIsNotSentInClearUnlessToldSo(t *testing.T) {
	o := open(t, false)
	s, err := New(Options{Server: o.at, Security: "starttls", From: "meet@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), Letter{To: []string{"ann@example.org"}, Subject: "x", Text: "x"}); err == nil {
		t.Error("sent to a server without STARTTLS")
	}
	if s, err = New(Options{Server: o.at, Security: "none", From: "meet@example.org"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), Letter{To: []string{"ann@example.org"}, Subject: "x", Text: "x"}); err != nil {
		t.Error(err)
	}
	if _, err := New(Options{Server: o.at, Security: "none", From: "meet@example.org", User: "gate", Password: "secret"}); err == nil {
		t.Error("a password would be sent in clear")
	}
}

func TestServerThatIsNotTrustedGetsNothing(t *testing.T) {
	o := open(t, true)
	s, err := New(Options{Server: o.at, Security: "starttls", From: "meet@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), Letter{To: []string{"ann@example.org"}, Subject: "x", Text: "x"}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("sent to a stranger: %v", err)
	}
}

func TestAddressCannotSmuggle(t *testing.T) {
	o := open(t, false)
	s, _ := New(Options{Server: o.at, Security: "none", From: "meet@example.org"})
	for _, to := range []string{"ann@example.org\r\nRCPT TO:<x@example.org>", "ann", "", "<ann@example.org> x", "a@b, c@d"} {
		if err := s.Send(t.Context(), Letter{To: []string{to}, Subject: "x", Text: "x"}); err == nil {
			t.Errorf("sent to %q", to)
		}
	}
}
