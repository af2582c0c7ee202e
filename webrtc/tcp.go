package webrtc

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"bridgehead/core/udp"
)

// stream is a connection of ICE-TCP (RFC 6544), on which each packet has its
// length before it (RFC 4571).
type stream struct {
	conn net.Conn
	wake chan struct{}

	mu     sync.Mutex
	queue  []byte // framed, to be written
	closed bool
}

// maxBehind octets may wait for a slow connection; what is more is dropped, so
// that media never waits.
const maxBehind = 512 << 10

// Timeouts of a connection: until its first check, and between packets.
const (
	tcpFirst = 5 * time.Second
	tcpIdle  = 30 * time.Second
)

// serveTCP takes connections in until the listener is closed.
func (t *port) serveTCP(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go t.serveStream(conn)
	}
}

// serveStream reads a connection, which must begin with a check.
func (t *port) serveStream(conn net.Conn) {
	s := &stream{conn: conn, wake: make(chan struct{}, 1)}
	defer s.close()
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return
	}
	go s.send()
	w := &way{from: netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), tcp: s}
	var c checker
	r := bufio.NewReaderSize(conn, 4096)
	buf := make([]byte, udp.MaxPacket)
	_ = conn.SetReadDeadline(time.Now().Add(tcpFirst))
	for {
		b, err := readFrame(r, buf)
		if err != nil || len(b) == 0 {
			return
		}
		switch {
		case b[0] < 4:
			t.checkStream(&c, w, b)
		case w.peer != nil:
			w.take(b)
		}
		if w.peer == nil {
			return // a stranger
		}
		_ = conn.SetReadDeadline(time.Now().Add(tcpIdle))
	}
}

// checkStream answers a check; the first makes the connection its peer's.
func (t *port) checkStream(c *checker, w *way, b []byte) {
	a, response := c.answer(b, w.from, t.agent)
	if response != nil {
		w.tcp.write(response)
	}
	if a == nil || w.peer != nil && w.peer != a.peer {
		return
	}
	if w.peer == nil {
		w.peer = a.peer
		t.drop(a.peer.addWay(w))
		if a.peer.isClosed() {
			w.tcp.close()
		}
	}
	nominated, priority := c.wish()
	a.peer.checked(w, a, nominated, priority)
}

// readFrame reads a packet into buf.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(r, buf[:2]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(buf))
	if n > len(buf) {
		return nil, io.ErrShortBuffer
	}
	_, err := io.ReadFull(r, buf[:n])
	return buf[:n], err
}

// write queues a packet. It neither waits nor tells what becomes of it.
func (s *stream) write(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.queue)+len(b) > maxBehind {
		return
	}
	s.queue = append(binary.BigEndian.AppendUint16(s.queue, uint16(len(b))), b...)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// send writes what is queued, until the stream is closed.
func (s *stream) send() {
	var out []byte
	for range s.wake {
		s.mu.Lock()
		out, s.queue = s.queue, out[:0]
		s.mu.Unlock()
		_ = s.conn.SetWriteDeadline(time.Now().Add(tcpIdle))
		if _, err := s.conn.Write(out); err != nil {
			s.close()
		}
	}
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.wake)
		_ = s.conn.Close()
	}
}
