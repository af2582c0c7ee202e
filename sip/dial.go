package sip

import (
	"context"
	"crypto/tls"
	"strings"
	"time"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/sip/sdp"
)

// DialOptions change how one call is placed.
type DialOptions struct {
	From           string // sip URI of the caller; "" this bridge
	Name           string // shown with it
	User, Password string // for a digest challenge
	Realm          string // the only one to answer; "" any
	Codecs         []string
	// TLS verifies the server in its own way; nil: Options.Roots.
	TLS *tls.Config
	// Clear allows a call without TLS, to a sip: address; its media is then
	// encrypted only if the peer wants.
	Clear bool
	// Plain offers RTP/AVP without keys, for a peer that does not understand
	// them; with Clear only.
	Plain bool
	// Video offers pictures, too.
	Video bool
	// Presents offers to present, too, in the role of a room system: to take
	// part in the floor's control (RFC 8856), not to decide.
	Presents bool
	// Proxy is a URI to send the call to in place of the address's host.
	Proxy string
}

// spec is a call to place.
type spec struct {
	uri       uri
	from, to  party
	flows     []*flow // known already: a registered device's
	host      string  // where to look for servers
	port      int
	network   string
	secure    bool
	trunk     *trunk
	tls       *tls.Config
	policy    sdp.Policy
	codecs    []core.Codec
	video     bool
	presents  bool // as a room system
	login     *login
	headers   [][2]string
	signs     func(now time.Time) (headers [][2]string) // nil: nobody
	info      core.Info                                 // Name, Address, Phone, User …
	protocol  core.Protocol
	targetURI []uri // one for each of flows
}

// Dial implements [core.Edge]. Addresses are sip:USER@HOST and
// sips:USER@HOST; at host "local", or this bridge's domain, USER is a
// registered device or its extension. It returns once the call rings; an error
// is a [core.Reason]. A call that fails after that is told to a [core.Watcher].
func (e *Edge) Dial(ctx context.Context, to string, into core.Room) (core.Leg, error) {
	return e.DialWith(ctx, to, into, DialOptions{Clear: e.opt.Legacy, Video: true})
}

// DialWith is Dial with options.
func (e *Edge) DialWith(ctx context.Context, to string, into core.Room, opt DialOptions) (core.Leg, error) {
	s, err := e.specOf(to, opt)
	if err != nil {
		if s == nil {
			s = &spec{protocol: core.SIP, uri: uri{User: to}}
		}
		return nil, e.unplaced(s, core.ReasonOf(err))
	}
	s.info.Request = core.RequestOf(ctx)
	leg, err := e.place(ctx, s, into)
	if err != nil {
		return nil, edge.InWords(core.ReasonOf(err))
	}
	return leg, nil
}

func badAddress(to, why string) error {
	return core.Reason{Code: core.NotFound, Say: "That is not an address to call.", Detail: "sip: " + edge.Clean(to, 128) + ": " + why}
}

func (e *Edge) specOf(to string, opt DialOptions) (*spec, error) {
	if !strings.Contains(to, ":") || !strings.HasPrefix(strings.ToLower(to), "sip") {
		to = "sip:" + to
	}
	s := &spec{login: &login{user: opt.User, password: opt.Password, realm: opt.Realm}, tls: opt.TLS, codecs: e.codecs,
		video: opt.Video, presents: opt.Presents, protocol: core.SIP}
	if strings.ContainsAny(to, " \r\n\t<>\"") || siplib.ParseUri(to, &s.uri) != nil || s.uri.Host == "" || s.uri.Scheme != "sip" && s.uri.Scheme != "sips" {
		return nil, badAddress(to, "no SIP URI")
	}
	s.uri.Headers, s.uri.Password = nil, ""
	s.to = party{uri: uri{Scheme: s.uri.Scheme, User: s.uri.User, Host: s.uri.Host, Port: s.uri.Port}}
	s.info.Name, s.info.Address = unescape(s.uri.User), hostPortUser(s.uri)
	if opt.Codecs != nil {
		var err error
		if s.codecs, err = sdp.Codecs(opt.Codecs...); err != nil {
			return nil, core.Reason{Code: core.Failure, Detail: err.Error()}
		}
	}
	s.from = party{name: opt.Name, uri: uri{Scheme: "sip", User: "bridge", Host: e.domain()}}
	if opt.From != "" && siplib.ParseUri(opt.From, &s.from.uri) != nil {
		return nil, badAddress(opt.From, "no SIP URI")
	}
	if strings.EqualFold(s.uri.Host, "local") || e.opt.Domain != "" && strings.EqualFold(s.uri.Host, e.opt.Domain) {
		return s, e.registrar.aim(s)
	}
	return s, s.route(opt)
}

// route settles the host to look for and whether it must be TLS.
func (s *spec) route(opt DialOptions) error {
	at := s.uri
	if opt.Proxy != "" {
		at = uri{}
		if siplib.ParseUri(opt.Proxy, &at) != nil || at.Host == "" {
			return badAddress(opt.Proxy, "no SIP URI")
		}
	}
	s.host, s.port = at.Host, at.Port
	s.network = networkOf(param(at.UriParams, "transport"))
	s.secure = s.uri.Scheme == "sips" || at.Scheme == "sips" || s.network == "tls" || !opt.Clear
	if s.secure {
		s.policy, s.network = sdp.Required, "tls"
		return nil
	}
	s.policy = sdp.Optional
	if opt.Plain {
		s.policy = sdp.Never
	}
	return nil
}
