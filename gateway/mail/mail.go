// Package mail sends mail through the operator's own server by SMTP submission
// (RFC 6409), over TLS (RFC 8314) or STARTTLS (RFC 3207).
package mail

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	smtp "github.com/wneessen/go-mail"
)

// Options of [New].
type Options struct {
	Server   string // host:port
	Security string // tls, starttls or none
	User     string // empty: no sign-in
	Password string
	From     string // address, or name and address
	Host     string // of this gateway, as it greets
	// TLS replaces the system's trust, for tests; nil: as usual.
	TLS *tls.Config
}

// Sender sends mail. A nil Sender has no server.
type Sender struct {
	opt  Options
	host string
	port int
}

// Letter is a mail. ICal is a calendar to attach; it may be empty.
type Letter struct {
	To      []string // addresses; none sees the others
	ReplyTo string
	Subject string
	Text    string
	HTML    string
	ICal    string
}

// timeout is for the whole of a delivery.
const timeout = 30 * time.Second

// New checks the options; an empty Server gives nil.
func New(o Options) (*Sender, error) {
	if o.Server == "" {
		return nil, nil
	}
	host, port, err := net.SplitHostPort(o.Server)
	if err != nil {
		return nil, fmt.Errorf("mail.server: %w", err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("mail.server: port %s is no number", port)
	}
	if err := smtp.NewMsg().From(o.From); err != nil {
		return nil, fmt.Errorf("mail.from: %w", err)
	}
	if o.Security == "none" && o.User != "" {
		return nil, fmt.Errorf("mail.security: a password is never sent in clear; choose tls or starttls, or no mail.user")
	}
	return &Sender{opt: o, host: host, port: n}, nil
}

// Func is Send; nil for a nil Sender.
func (s *Sender) Func() func(context.Context, Letter) error {
	if s == nil {
		return nil
	}
	return s.Send
}

// Send delivers the letter to the server, to all or to nobody.
func (s *Sender) Send(ctx context.Context, l Letter) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var messages []*smtp.Msg
	for _, to := range l.To {
		m, err := s.message(l, to)
		if err != nil {
			return err
		}
		messages = append(messages, m)
	}
	client, err := smtp.NewClient(s.host, s.options()...)
	if err != nil {
		return err
	}
	return client.DialAndSendWithContext(ctx, messages...)
}

func (s *Sender) options() []smtp.Option {
	list := []smtp.Option{smtp.WithPort(s.port), smtp.WithTimeout(timeout)}
	if s.opt.Host != "" {
		list = append(list, smtp.WithHELO(s.opt.Host))
	}
	if s.opt.TLS != nil {
		list = append(list, smtp.WithTLSConfig(s.opt.TLS))
	}
	switch s.opt.Security {
	case "tls":
		list = append(list, smtp.WithSSL())
	case "none":
		list = append(list, smtp.WithTLSPolicy(smtp.NoTLS))
	default:
		list = append(list, smtp.WithTLSPolicy(smtp.TLSMandatory))
	}
	if s.opt.User != "" {
		list = append(list, smtp.WithSMTPAuth(smtp.SMTPAuthAutoDiscover), smtp.WithUsername(s.opt.User), smtp.WithPassword(s.opt.Password))
	}
	return list
}

func (s *Sender) message(l Letter, to string) (*smtp.Msg, error) {
	m := smtp.NewMsg()
	if err := m.From(s.opt.From); err != nil {
		return nil, err
	}
	if err := m.To(to); err != nil {
		return nil, fmt.Errorf("address %q: %w", to, err)
	}
	if l.ReplyTo != "" {
		if err := m.ReplyTo(l.ReplyTo); err != nil {
			return nil, err
		}
	}
	m.Subject(strings.Join(strings.Fields(l.Subject), " "))
	m.SetDate()
	m.SetMessageID()
	m.SetBodyString(smtp.TypeTextPlain, l.Text)
	if l.HTML != "" {
		m.AddAlternativeString(smtp.TypeTextHTML, l.HTML)
	}
	if l.ICal != "" {
		if err := m.AttachReader("meeting.ics", strings.NewReader(l.ICal), smtp.WithFileContentType("text/calendar; charset=utf-8; method=PUBLISH")); err != nil {
			return nil, err
		}
	}
	return m, nil
}
