package stir

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Bounds of what a caller's URL can cost: whoever calls chooses it.
const (
	maxURL      = 1024
	maxBody     = 64 << 10
	maxFetches  = 16 // at one time
	maxKept     = 1000
	fetchTime   = 5 * time.Second
	keptUnsaid  = time.Hour        // when the server says nothing
	keptLeast   = time.Minute      // as long as a token is fresh
	keptLongest = 24 * time.Hour   // so that a new certificate is seen
	keptFailed  = 30 * time.Second // before a failure is tried again
)

// FetchOptions of [NewFetcher].
type FetchOptions struct {
	// Allow are networks that certificates may be fetched from beside the public
	// Internet.
	Allow []netip.Prefix
	// TLS verifies the servers; nil: by the system's roots.
	TLS *tls.Config
	// Now is the clock; nil: the wall's.
	Now func() time.Time
}

// Fetcher gets signers' certificates from where they are published, and keeps
// them for as long as the server says, a minute at least and a day at most. It
// connects by https to public addresses only, follows no redirection, and takes
// no more than 64 kB in 5 s. It is safe for use from any goroutine.
type Fetcher struct {
	opt    FetchOptions
	client *http.Client

	mu      sync.Mutex
	kept    map[string]*entry
	fetches int // under way
}

// entry is one URL's certificate.
type entry struct {
	done  chan struct{} // closed once the rest is there
	chain []*x509.Certificate
	err   error
	until time.Time
}

// NewFetcher makes a Fetcher.
func NewFetcher(opt FetchOptions) *Fetcher {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	f := &Fetcher{opt: opt, kept: map[string]*entry{}}
	// What is connected to is looked at after its name has been resolved: a name
	// may lead anywhere, and to another place the next time.
	d := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error { return f.mayReach(address) }}
	f.client = &http.Client{
		Timeout:       fetchTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: d.DialContext, TLSClientConfig: opt.TLS, DisableKeepAlives: true, DisableCompression: true,
			MaxResponseHeaderBytes: 16 << 10},
	}
	return f
}

// Get gives the certificates at a URL, leaf first. It waits until ctx ends; the
// fetch then goes on, for the next call.
func (f *Fetcher) Get(ctx context.Context, at string) ([]*x509.Certificate, error) {
	if u, err := url.Parse(at); err != nil || len(at) > maxURL || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, errors.New("not a plain https URL")
	}
	e, err := f.entry(at)
	if err != nil {
		return nil, err
	}
	select {
	case <-e.done:
		return e.chain, e.err
	case <-ctx.Done():
		return nil, errors.New("its server did not answer in time")
	}
}

// entry finds what is kept of a URL, or begins to fetch it.
func (f *Fetcher) entry(at string) (*entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.opt.Now()
	if e := f.kept[at]; e != nil && (e.until.IsZero() || now.Before(e.until)) {
		return e, nil
	}
	if f.fetches >= maxFetches {
		return nil, errors.New("too many certificates are being fetched")
	}
	f.makeRoom(now)
	f.fetches++
	e := &entry{done: make(chan struct{})}
	f.kept[at] = e
	go f.fill(e, at)
	return e, nil
}

// makeRoom drops what is over and, if all is well, any one that is not under way.
func (f *Fetcher) makeRoom(now time.Time) {
	if len(f.kept) < maxKept {
		return
	}
	victim := ""
	for at, e := range f.kept {
		switch {
		case e.until.IsZero():
		case now.After(e.until):
			delete(f.kept, at)
		default:
			victim = at
		}
	}
	if len(f.kept) >= maxKept {
		delete(f.kept, victim)
	}
}

func (f *Fetcher) fill(e *entry, at string) {
	chain, keep, err := f.fetch(at)
	f.mu.Lock()
	e.chain, e.err, e.until = chain, err, f.opt.Now().Add(keep)
	f.fetches--
	f.mu.Unlock()
	close(e.done)
}

func (f *Fetcher) fetch(at string) (chain []*x509.Certificate, keep time.Duration, err error) {
	defer func() {
		if r := recover(); r != nil { // of a parser: a stranger's certificate ends no other's calls
			chain, keep, err = nil, keptFailed, fmt.Errorf("%v", r)
		}
	}()
	res, err := f.client.Get(at)
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		err = failed.Err // without the URL, which is known
	}
	if err != nil {
		return nil, keptFailed, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, keptFailed, fmt.Errorf("its server answers %d", res.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, keptFailed, err
	case len(text) > maxBody:
		return nil, keptFailed, errors.New("it is too long")
	}
	if chain, err = ParseChain(text); err != nil {
		return nil, keptFailed, err
	}
	return chain, keptFor(res.Header.Get("Cache-Control")), nil
}

// keptFor reads how long an answer may be kept (RFC 9111 5.2.2).
func keptFor(control string) time.Duration {
	keep := keptUnsaid
	for _, d := range strings.Split(strings.ToLower(control), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		switch name {
		case "no-store", "no-cache":
			return keptLeast
		case "max-age":
			if n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				keep = time.Duration(n) * time.Second
			}
		}
	}
	return min(max(keep, keptLeast), keptLongest)
}

// mayReach tells whether an address may be connected to: whoever calls us
// must not have us look into networks that it can't reach itself.
func (f *Fetcher) mayReach(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap().WithZone("")
	if contains(f.opt.Allow, ip) {
		return nil
	}
	// The ports that ATIS-1000074 names.
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || contains(special, ip) || at.Port() != 443 && at.Port() != 8443 {
		return fmt.Errorf("%v is no public web server", at)
	}
	return nil
}

func contains(list []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// special are networks that are not public though they look so (RFC 6890), and
// those in whose addresses others hide.
var special = func() (list []netip.Prefix) {
	for _, p := range strings.Fields(`0.0.0.0/8 100.64.0.0/10 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 240.0.0.0/4
		64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 fec0::/10`) {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}()
