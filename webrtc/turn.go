package webrtc

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" // the TURN REST convention; as HMAC it is not broken
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/turn/v5"
)

// relay is the embedded TURN server (RFC 8656), for clients whose network lets
// only TCP or TLS out. It relays to the edge's own media socket and to nothing
// else, so it is of no use as a proxy.
type relay struct {
	server *turn.Server
	secret []byte
	udp    net.PacketConn
	tcp    net.Listener
	tls    net.Listener
}

const (
	turnRealm       = "bridgehead"
	credentialLife  = 12 * time.Hour
	maxRelayPerUser = 4
)

func newRelay(o Options, e *Edge) (_ *relay, err error) {
	r := &relay{secret: make([]byte, 32)}
	_, _ = rand.Read(r.secret)
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	gen := &relayAddresses{edge: e}
	quota := &relayQuota{used: map[string]int{}}
	cfg := turn.ServerConfig{
		Realm: turnRealm, AuthHandler: r.auth, LoggerFactory: logFactory{e.log}, QuotaHandler: quota.take,
		EventHandler: turn.EventHandler{OnAllocationDeleted: quota.giveBack},
	}
	if o.TURN != "" {
		if err := r.listen(o.TURN); err != nil {
			return nil, err
		}
		gen.ip = hostOf(r.udp.LocalAddr())
		cfg.PacketConnConfigs = []turn.PacketConnConfig{{PacketConn: r.udp, RelayAddressGenerator: gen, PermissionHandler: gen.permit}}
		cfg.ListenerConfigs = []turn.ListenerConfig{{Listener: bounded(r.tcp, 2*o.MaxLegs, 2*o.MaxPerSource), RelayAddressGenerator: gen, PermissionHandler: gen.permit}}
	}
	if o.TURNS != "" {
		if o.TLS == nil {
			return nil, errors.New("webrtc: TURN over TLS needs a certificate")
		}
		if r.tls, err = tls.Listen("tcp", o.TURNS, o.TLS); err != nil {
			return nil, fmt.Errorf("webrtc: turns: %w", err)
		}
		if gen.ip == nil {
			gen.ip = hostOf(r.tls.Addr())
		}
		cfg.ListenerConfigs = append(cfg.ListenerConfigs, turn.ListenerConfig{
			Listener: bounded(r.tls, 2*o.MaxLegs, 2*o.MaxPerSource), RelayAddressGenerator: gen, PermissionHandler: gen.permit})
	}
	if r.server, err = turn.NewServer(cfg); err != nil {
		return nil, fmt.Errorf("webrtc: turn: %w", err)
	}
	return r, nil
}

// listen opens the same port for UDP and TCP.
func (r *relay) listen(addr string) (err error) {
	if r.udp, err = net.ListenPacket("udp", addr); err != nil {
		return fmt.Errorf("webrtc: turn: %w", err)
	}
	if r.tcp, err = net.Listen("tcp", r.udp.LocalAddr().String()); err != nil {
		return fmt.Errorf("webrtc: turn: %w", err)
	}
	return nil
}

func hostOf(a net.Addr) net.IP {
	p, _ := netip.ParseAddrPort(a.String())
	return net.IP(p.Addr().AsSlice())
}

func (r *relay) addresses(a map[string]string) {
	if r.udp != nil {
		a["turn"] = r.udp.LocalAddr().String()
	}
	if r.tls != nil {
		a["turns"] = r.tls.Addr().String()
	}
}

func (r *relay) close() {
	if r.server != nil {
		_ = r.server.Close()
		return
	}
	if r.udp != nil {
		_ = r.udp.Close()
	}
	for _, l := range []net.Listener{r.tcp, r.tls} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// credentials are good for a while and for one user (the TURN REST convention).
func (r *relay) credentials(user string, now time.Time) (name, password string) {
	name = strconv.FormatInt(now.Add(credentialLife).Unix(), 10) + ":" + user
	return name, r.password(name)
}

func (r *relay) password(name string) string {
	mac := hmac.New(sha1.New, r.secret)
	mac.Write([]byte(name))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (r *relay) auth(a *turn.RequestAttributes) (string, []byte, bool) {
	until, user, ok := strings.Cut(a.Username, ":")
	t, err := strconv.ParseInt(until, 10, 64)
	if !ok || err != nil || t < time.Now().Unix() {
		return "", nil, false
	}
	return user, turn.GenerateAuthKey(a.Username, a.Realm, r.password(a.Username)), true
}

// relayQuota bounds the allocations of one user.
type relayQuota struct {
	mu   sync.Mutex
	used map[string]int
}

func (q *relayQuota) take(user, _ string, _ net.Addr) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.used[user] >= maxRelayPerUser {
		return false
	}
	q.used[user]++
	return true
}

func (q *relayQuota) giveBack(_, _ net.Addr, _, user, _ string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.used[user]--; q.used[user] <= 0 {
		delete(q.used, user)
	}
}

// relayAddresses makes the relay sockets, which speak to the media socket only.
type relayAddresses struct {
	ip   net.IP
	edge *Edge
}

func (g *relayAddresses) Validate() error { return nil }

func (g *relayAddresses) AllocatePacketConn(c turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	conn, err := net.ListenPacket(c.Network, net.JoinHostPort(g.ip.String(), "0"))
	if err != nil {
		return nil, nil, err
	}
	told := *conn.LocalAddr().(*net.UDPAddr)
	if own := g.edge.o.Advertise; len(own) > 0 {
		told.IP = net.IP(own[0].AsSlice())
	}
	return &relayConn{conn, g.edge.mediaAddr}, &told, nil
}

func (g *relayAddresses) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errors.New("webrtc: TCP is not relayed")
}

func (g *relayAddresses) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) {
	return nil, errors.New("webrtc: TCP is not relayed")
}

// permit refuses every peer but this server; relayConn then looks at the port.
func (g *relayAddresses) permit(_ net.Addr, peer net.IP) bool {
	a, ok := netip.AddrFromSlice(peer)
	return ok && g.edge.host(a)
}

// relayConn drops what does not go to or come from the media socket.
type relayConn struct {
	net.PacketConn
	allowed func(netip.AddrPort) bool
}

func (c *relayConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if a, ok := to.(*net.UDPAddr); !ok || !c.allowed(a.AddrPort()) {
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, to)
}

func (c *relayConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(b)
		if err != nil {
			return n, from, err
		}
		if a, ok := from.(*net.UDPAddr); ok && c.allowed(a.AddrPort()) {
			return n, from, nil
		}
	}
}

// iceServers are what a client uses beside the host candidates of the answer.
func (e *Edge) iceServers(user string) []iceServer {
	if e.relay == nil {
		return nil
	}
	host := e.o.PublicHost
	if host == "" {
		if len(e.hosts) > 0 {
			host = e.hosts[0].String()
		}
	}
	a := map[string]string{}
	e.relay.addresses(a)
	var s iceServer
	if _, port, err := net.SplitHostPort(a["turn"]); err == nil {
		at := net.JoinHostPort(host, port)
		s.URLs = append(s.URLs, "turn:"+at+"?transport=udp", "turn:"+at+"?transport=tcp")
	}
	if _, port, err := net.SplitHostPort(a["turns"]); err == nil {
		s.URLs = append(s.URLs, "turns:"+net.JoinHostPort(host, port)+"?transport=tcp")
	}
	s.Username, s.Credential = e.relay.credentials(user, time.Now())
	return []iceServer{s}
}
