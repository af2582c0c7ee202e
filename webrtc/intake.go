package webrtc

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/core/srtp"
	"bridgehead/core/udp"
)

// intake is the media socket as the library reads it. RTP and RTCP of clients
// who are connected and have agreed on AES-GCM are dealt with right where they
// are read: on the library's way a packet is handed on by five goroutines, each
// of which has to wake up for it. Their streams begin there, though: it says
// what they are.
type intake struct {
	*udp.Conn
	spare [udp.MaxPacket]byte

	mu    sync.RWMutex
	peers map[netip.AddrPort]*peer // by where they send from
}

func newIntake(c *udp.Conn) *intake { return &intake{Conn: c, peers: map[netip.AddrPort]*peer{}} }

// ReadFromAddrPort returns the next packet that is for the library. One
// goroutine reads.
func (t *intake) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := t.Conn.ReadFromAddrPort(b)
		if err != nil || !t.take(b[:n], from) {
			return n, from, err
		}
	}
}

// ReadFrom is ReadFromAddrPort for those who want a net.Addr.
func (t *intake) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := t.ReadFromAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteToAddrPort sends media with what else is sent at the time, and anything
// else at once: of STUN and DTLS there is little, and its sender waits for the
// answer.
func (t *intake) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if len(b) > 0 && isMedia(b) {
		return t.Conn.WriteToAddrPort(b, to)
	}
	return t.WriteToUDPAddrPort(b, to)
}

// WriteTo is WriteToAddrPort for those who have a net.Addr.
func (t *intake) WriteTo(b []byte, to net.Addr) (int, error) {
	if a, ok := to.(*net.UDPAddr); ok {
		return t.WriteToAddrPort(b, a.AddrPort())
	}
	return t.Conn.WriteTo(b, to)
}

// isMedia tells RTP and RTCP from STUN and DTLS (RFC 7983).
func isMedia(b []byte) bool { return b[0]>>6 == 2 }

// isRTCP tells RTCP from RTP (RFC 5761, section 4).
func isRTCP(b []byte) bool { return b[1] >= 192 && b[1] < 224 }

// follow has what comes from an address taken in for a peer.
func (t *intake) follow(from netip.AddrPort, p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peers[unmapped(from)] = p
}

// leave ends that, unless another peer has the address by now.
func (t *intake) leave(from netip.AddrPort, p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.peers[unmapped(from)] == p {
		delete(t.peers, unmapped(from))
	}
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// take deals with a packet; false: it is for the library.
func (t *intake) take(b []byte, from netip.AddrPort) (mine bool) {
	if len(b) < 12 || !isMedia(b) {
		return false
	}
	t.mu.RLock()
	p := t.peers[unmapped(from)]
	t.mu.RUnlock()
	if p == nil {
		return false
	}
	defer func() { // all browsers' packets come by here
		if r := recover(); r != nil {
			p.leg.log.Error("fault in a browser's packet", "panic", r, "stack", string(debug.Stack()))
			mine = true
		}
	}()
	var in *inbound
	in, mine = p.taker.take(b, t.spare[:], core.Now(), p.direct.theirs.Load())
	if in != nil && in.source.Kind() == core.Video {
		t.Linger() // the picture's other packets are about to come
	}
	return mine
}

// taker decrypts what comes from one client.
type taker struct {
	peer *peer

	// Owned by the socket's reader.
	keys    *[]byte
	rtp     *srtp.GCM
	rtx     *srtp.GCM // made with the first repeated packet
	rtcp    *srtp.RTCP
	rtcpDue time.Duration

	mu      sync.Mutex
	streams []*inbound
}

// Every so often a packet goes the library's way too, whose ICE agent is to know
// that the client is there, and whose SRTP context is to keep up with the
// roll-over of sequence numbers.
const libraryEvery = time.Second

// maxTaken streams are taken: as many as one key is good for.
const maxTaken = 8

// add has a stream taken from now on, which has come to a number.
func (t *taker) add(in *inbound) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.streams) < maxTaken {
		t.streams = append(t.streams, in)
	}
}

func (t *taker) remove(in *inbound) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, x := range t.streams {
		if x == in {
			t.streams = append(t.streams[:i], t.streams[i+1:]...)
			return
		}
	}
}

func (t *taker) stream(is func(*inbound) bool) *inbound {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, in := range t.streams {
		if is(in) {
			return in
		}
	}
	return nil
}

// take deals with a packet, in its place, and tells what stream it was of;
// mine: the library is not to have it.
func (t *taker) take(b, spare []byte, now time.Duration, keys *[]byte) (in *inbound, mine bool) {
	if keys == nil || !t.ready(keys) {
		return nil, false
	}
	if isRTCP(b) {
		return nil, t.takeRTCP(b, spare, now)
	}
	ssrc := binary.BigEndian.Uint32(b[8:])
	in = t.stream(func(in *inbound) bool { return in.ssrc == ssrc })
	head, hidden := headerSize(b)
	if in == nil && head > 0 {
		in = t.stream(func(in *inbound) bool { return uint32(in.remote.RtxSSRC()) == ssrc })
		return in, in != nil && t.takeRTX(in, b, head, hidden, now)
	}
	if in == nil || head == 0 || in.source.Kind() == core.Video && b[1]&0x7f != in.payloadType() {
		return nil, false // of another format the library tells what it is
	}
	mine = now < in.libraryDue
	if !mine {
		in.libraryDue = now + libraryEvery
		b = spare[:copy(spare, b)]
	}
	t.rtp.Follow(in.ssrc, in.index())
	plain, err := t.rtp.Open(b, head)
	if err != nil {
		return nil, mine || !errors.Is(err, srtp.ErrSources)
	}
	if hidden {
		reveal(plain[12:])
	}
	t.peer.arrivals.note(in.ssrc, plain)
	in.process(plain, now)
	return in, mine
}

// takeRTX takes a packet that is sent again (RFC 4588): the library would hand it
// on only with the stream's next own packet.
func (t *taker) takeRTX(in *inbound, b []byte, head int, hidden bool, now time.Duration) bool {
	if t.rtx == nil {
		t.rtx, _ = srtp.NewGCM(*t.keys) // which have made one before
	}
	plain, err := t.rtx.Open(b, head)
	if err != nil {
		return !errors.Is(err, srtp.ErrSources)
	}
	if hidden {
		reveal(plain[12:])
		head += 4 * int(binary.BigEndian.Uint16(plain[14:]))
	}
	t.peer.arrivals.note(binary.BigEndian.Uint32(plain[8:]), plain)
	padding := 0
	if plain[0]&0x20 != 0 {
		padding = int(plain[len(plain)-1])
	}
	if len(plain)-padding < head+2 {
		return true // nothing but padding, to probe the path
	}
	seq := binary.BigEndian.Uint16(plain[head:])
	copy(plain[2:], plain[:head])
	plain = plain[2:]
	plain[1] = plain[1]&0x80 | in.payloadType()
	binary.BigEndian.PutUint16(plain[2:], seq)
	binary.BigEndian.PutUint32(plain[8:], in.ssrc)
	in.process(plain, now)
	return true
}

// ready makes the contexts of new keys.
func (t *taker) ready(keys *[]byte) bool {
	if t.keys == keys {
		return t.rtp != nil
	}
	t.keys, t.rtp, t.rtx = keys, nil, nil
	in, err := srtp.NewGCM(*keys)
	control, err2 := srtp.NewRTCP(*keys)
	if err == nil && err2 == nil {
		t.rtp, t.rtcp = in, control
	}
	return t.rtp != nil
}

func (t *taker) takeRTCP(b, spare []byte, now time.Duration) bool {
	mine := now < t.rtcpDue
	if !mine {
		b = spare[:copy(spare, b)]
	}
	plain, err := t.rtcp.Open(b)
	if errors.Is(err, srtp.ErrSources) {
		return false
	}
	if err != nil {
		return true
	}
	if !mine {
		t.rtcpDue = now + libraryEvery
		return false // which has it dealt with, too
	}
	t.peer.control(plain, 0)
	return true
}

// The profiles of header extensions that are encrypted too (RFC 9335), with
// elements of one byte's header and of two.
const (
	cryptexOne = 0xc0de
	cryptexTwo = 0xc2de
)

// reveal gives an extension's profile its usual value (RFC 8285).
func reveal(extension []byte) {
	profile := uint16(0xbede)
	if binary.BigEndian.Uint16(extension) == cryptexTwo {
		profile = 0x1000
	}
	binary.BigEndian.PutUint16(extension, profile)
}

// headerSize is how much of an RTP packet (RFC 3550, section 5.1) is in clear; 0
// if it is malformed, or better left to the library. hidden: the extension's
// elements are not in it.
func headerSize(b []byte) (n int, hidden bool) {
	n = 12 + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 {
		if len(b) < n+4 {
			return 0, false
		}
		profile := binary.BigEndian.Uint16(b[n:])
		hidden = profile == cryptexOne || profile == cryptexTwo
		if hidden && n > 12 {
			return 0, false // the CSRCs are encrypted too, and must be moved for it
		}
		if !hidden {
			n += 4 * int(binary.BigEndian.Uint16(b[n+2:]))
		}
		n += 4
	}
	if len(b) < n+srtp.TagLen {
		return 0, false
	}
	return n, hidden
}
