package stir

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shop publishes certificates on loopback.
type shop struct {
	*httptest.Server
	asked atomic.Int64
}

func newShop(t *testing.T, serve http.HandlerFunc) *shop {
	s := &shop{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		serve(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// fetcher may reach the shop; its clock stands still.
func (s *shop) fetcher(clock *atomic.Int64) *Fetcher {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return NewFetcher(FetchOptions{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, TLS: &tls.Config{RootCAs: roots},
		Now: func() time.Time { return now.Add(time.Duration(clock.Load())) }})
}

func TestCertificateIsKeptAsLongAsItsServerSays(t *testing.T) {
	chain, _ := newAuthority(t, nil).pem(t)
	for control, want := range map[string]time.Duration{
		"": time.Hour, "max-age=600": 10 * time.Minute, "public, max-age=7200": 2 * time.Hour, "max-age=5": time.Minute, "no-store": time.Minute, "max-age=99999999": 24 * time.Hour, "max-age=-1": time.Hour,
	} {
		s := newShop(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", control)
			w.Write(chain)
		})
		var clock atomic.Int64
		f := s.fetcher(&clock)
		for _, step := range []struct {
			at    time.Duration
			asked int64
		}{{0, 1}, {want - time.Second, 1}, {want, 2}} {
			clock.Store(int64(step.at))
			got, err := f.Get(context.Background(), s.URL+"/x.pem")
			if err != nil || len(got) != 2 || s.asked.Load() != step.asked {
				t.Errorf("%q after %v: %d certificates, %v, asked %d times", control, step.at, len(got), err, s.asked.Load())
			}
		}
	}
}

func TestFailureIsNotTriedAgainAtOnce(t *testing.T) {
	s := newShop(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	var clock atomic.Int64
	f := s.fetcher(&clock)
	for range 3 {
		if _, err := f.Get(context.Background(), s.URL); err == nil {
			t.Error("500 is taken")
		}
	}
	clock.Store(int64(keptFailed))
	f.Get(context.Background(), s.URL)
	if s.asked.Load() != 2 {
		t.Errorf("asked %d times", s.asked.Load())
	}
}

// One fetch serves all who wait for it, goes on without them, and there are
// only so many.
func TestFetchesAreFew(t *testing.T) {
	chain, _ := newAuthority(t, nil).pem(t)
	answer := make(chan struct{})
	s := newShop(t, func(w http.ResponseWriter, _ *http.Request) {
		<-answer
		w.Write(chain)
	})
	var clock atomic.Int64
	f := s.fetcher(&clock)
	gone, leave := context.WithCancel(context.Background())
	leave()
	if _, err := f.Get(gone, s.URL+"/0"); err == nil {
		t.Error("who has gone is given something")
	}
	for i := 1; i < maxFetches; i++ {
		f.Get(gone, fmt.Sprint(s.URL, "/", i))
	}
	if _, err := f.Get(context.Background(), s.URL+"/one-more"); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("one more: %v", err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got, err := f.Get(context.Background(), s.URL+"/0"); err != nil || len(got) != 2 {
				t.Errorf("%d certificates, %v", len(got), err)
			}
		})
	}
	close(answer)
	all.Wait()
	if n := s.asked.Load(); n > maxFetches {
		t.Errorf("asked %d times", n)
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	f := NewFetcher(FetchOptions{})
	for i := range maxKept {
		f.kept[fmt.Sprint(i)] = &entry{until: now.Add(time.Hour)}
	}
	if f.makeRoom(now); len(f.kept) != maxKept-1 {
		t.Errorf("%d are kept", len(f.kept))
	}
	if f.kept["more"] = (&entry{}); len(f.kept) != maxKept {
		t.Fatal(len(f.kept))
	}
	if f.makeRoom(now.Add(2 * time.Hour)); len(f.kept) != 1 || f.kept["more"] == nil {
		t.Errorf("%d are kept of those that are over", len(f.kept))
	}
}

// Whoever calls chooses the URL: it leads nowhere else than to a public web
// server, whatever its name resolves to.
func TestNothingPrivateIsReached(t *testing.T) {
	f := NewFetcher(FetchOptions{})
	for address, public := range map[string]bool{
		"8.8.8.8:443": true, "8.8.8.8:8443": true, "[2606:4700::1]:443": true,
		"8.8.8.8:80": false, "8.8.8.8:22": false, "127.0.0.1:443": false, "10.1.2.3:443": false, "192.168.0.1:443": false, "172.16.0.1:443": false, "169.254.169.254:443": false, "100.64.1.1:443": false,
		"0.0.0.0:443": false, "255.255.255.255:443": false, "224.0.0.1:443": false, "192.0.2.1:443": false, "198.18.0.1:443": false, "240.0.0.1:443": false,
		"[::1]:443": false, "[::]:443": false, "[fe80::1%eth0]:443": false, "[fd00::1]:443": false, "[ff02::1]:443": false, "[::ffff:127.0.0.1]:443": false, "[::ffff:10.0.0.1]:443": false,
		"[64:ff9b::7f00:1]:443": false, "[2002:7f00:1::]:443": false, "[2001:0:1::]:443": false, "[2001:db8::1]:443": false,
	} {
		if err := f.mayReach(address); (err == nil) != public {
			t.Errorf("%s: %v", address, err)
		}
	}
	s := newShop(t, func(http.ResponseWriter, *http.Request) {})
	for _, at := range []string{s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1)} {
		if _, err := f.Get(context.Background(), at); err == nil || !strings.Contains(err.Error(), "public") {
			t.Errorf("%s: %v", at, err)
		}
	}
	if s.asked.Load() != 0 {
		t.Error("loopback is asked")
	}
}

func TestHostileServers(t *testing.T) {
	other := newShop(t, func(http.ResponseWriter, *http.Request) {})
	chain, _ := newAuthority(t, nil).pem(t)
	s := newShop(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/elsewhere":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/long":
			w.Write(chain)
			w.Write(make([]byte, maxBody))
		case "/rubbish":
			w.Write([]byte("no certificate"))
		case "/broken":
			w.Write([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
		}
	})
	var clock atomic.Int64
	f := s.fetcher(&clock)
	for _, at := range []string{s.URL + "/elsewhere", s.URL + "/long", s.URL + "/rubbish", s.URL + "/broken", s.URL + "/empty",
		strings.Replace(s.URL, "https", "http", 1), "https://user@127.0.0.1/", "https:///x", "file:///etc/passwd", s.URL + "/" + strings.Repeat("x", maxURL), "https://127.0.0.1/#x"} {
		if got, err := f.Get(context.Background(), at); err == nil {
			t.Errorf("%.60s gives %d certificates", at, len(got))
		}
	}
	if other.asked.Load() != 0 {
		t.Error("a redirection is followed")
	}
	if _, err := NewFetcher(FetchOptions{Allow: f.opt.Allow}).Get(context.Background(), s.URL); err == nil {
		t.Error("a server that nobody vouches for is taken")
	}
}
