package api

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"bridgehead/core/edge"
	"bridgehead/gateway/store"
)

var here = netip.MustParseAddr("127.0.0.1")

// Who guesses passwords is blocked in the end, as the console shows; being
// refused for having tried too much counts too.
func TestGuessingAtSignInIsBlocked(t *testing.T) {
	d := newDesk(t)
	d.blocks.Set(edge.BlockOptions{Strikes: wrongPerSource + 5, Window: time.Hour, Length: time.Hour})
	for i := range wrongPerSource + 4 {
		d.do("", "POST", "/api/v1/login", fmt.Sprintf(`{"user":"nobody%d@example.org","password":"guessed"}`, i))
	}
	if l := d.blocks.List(); len(l) > 0 {
		t.Errorf("too early: %+v", l)
	}
	d.do("", "POST", "/api/v1/login", `{"user":"nobody@example.org","password":"guessed"}`)
	_, text := d.do(store.RoleAdministrator, "GET", "/api/v1/blocks", "")
	if !strings.Contains(text, "127.0.0.1/32") || !strings.Contains(text, fmt.Sprintf("sent %d wrong passwords", wrongPerSource)) || !strings.Contains(text, `"transport":"tcp"`) {
		t.Errorf("blocks: %s", text)
	}
}

// The HTTPS port is closed to a blocked source before TLS, but not to one where
// somebody was signed in, nor to one that is allowed.
func TestBlockedSourcesReachNoHTTPS(t *testing.T) {
	blocks := edge.NewBlocks(edge.BlockOptions{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t)
	s := Server(http.NotFoundHandler(), d.server.TLS, slog.New(slog.DiscardHandler))
	go func() { _ = s.ServeTLS(Listener(l, blocks), "", "") }()
	defer s.Close()
	reaches := func(want bool, when string) {
		t.Helper()
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			c.Close()
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", when, err)
		}
	}
	o := edge.BlockOptions{Strikes: 1, Window: time.Hour, Length: time.Hour}
	blocks.Set(o)
	reaches(true, "at first")
	blocks.Strike(here, true, edge.Malformed)
	reaches(true, "blocked for datagrams")
	blocks.Strike(here, false, edge.WrongNumber)
	reaches(false, "blocked")
	o.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	blocks.Set(o)
	reaches(true, "allowed")
	o.Allow = nil
	blocks.Set(o)
	blocks.Strike(here, false, edge.WrongNumber)
	reaches(false, "blocked again")
	blocks.Proved(here)
	reaches(true, "where somebody was signed in")
}

// Only a request that proves who sends it keeps the port open.
func TestSigningInProves(t *testing.T) {
	d := newDesk(t)
	d.blocks.Set(edge.BlockOptions{Strikes: 1, Window: time.Hour, Length: time.Hour})
	d.blocks.Strike(here, false, edge.WrongNumber)
	d.do("", "GET", "/api/v1/brand", "")
	d.do("", "GET", "/api/v1/me", "")
	if !d.blocks.Refuses(here) {
		t.Error("a stranger keeps the port open")
	}
	d.do(store.RoleUser, "GET", "/api/v1/me", "")
	if d.blocks.Refuses(here) {
		t.Error("the port is closed to one who is signed in")
	}
}
