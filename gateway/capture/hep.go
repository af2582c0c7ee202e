package capture

import (
	"encoding/binary"
	"log/slog"
	"net"
	"sync/atomic"
)

// HEP encodes a message as HEPv3 has it (github.com/sipcapture/HEP, rev. 12): a
// header, and chunks of vendor, type, length and value.
func HEP(m Meta, payload []byte) []byte {
	be := binary.BigEndian
	out := append(make([]byte, 0, 128+len(payload)), "HEP3\x00\x00"...)
	chunk := func(kind uint16, value []byte) {
		out = be.AppendUint16(be.AppendUint16(be.AppendUint16(out, 0), kind), uint16(6+len(value)))
		out = append(out, value...)
	}
	from, to := m.From.Addr().Unmap(), m.To.Addr().Unmap()
	family, src, dst := byte(2), uint16(3), uint16(4)
	if !from.Is4() {
		family, src, dst = 10, 5, 6
	}
	transport := byte(17)
	if m.Network != "udp" {
		transport = 6
	}
	chunk(1, []byte{family})
	chunk(2, []byte{transport})
	chunk(src, from.AsSlice())
	chunk(dst, to.AsSlice())
	chunk(7, be.AppendUint16(nil, m.From.Port()))
	chunk(8, be.AppendUint16(nil, m.To.Port()))
	chunk(9, be.AppendUint32(nil, uint32(m.At.Unix())))
	chunk(10, be.AppendUint32(nil, uint32(m.At.Nanosecond()/1000)))
	chunk(11, []byte{byte(m.Kind)})
	chunk(12, be.AppendUint32(nil, m.Agent))
	if m.Call != "" {
		chunk(17, []byte(m.Call[:min(len(m.Call), 256)]))
	}
	chunk(15, payload[:min(len(payload), mostHEP)])
	be.PutUint16(out[4:], uint16(len(out)))
	return out
}

// mostHEP is what a datagram has room for, with the chunks before it.
const mostHEP = 65000 - 512

// Exporter sends messages to a Homer by UDP. What does not go out at once is
// left: calls do not wait for it.
type Exporter struct {
	conn  net.Conn
	agent uint32
	queue chan []byte
	// Lost counts messages that were not sent.
	Lost       atomic.Uint64
	stop, done chan struct{}
}

// exportQueue is how many messages may wait to be sent.
const exportQueue = 1024

// NewExporter sends to host:port, as the capture agent with that number.
func NewExporter(to string, agent uint32, log *slog.Logger) (*Exporter, error) {
	conn, err := net.Dial("udp", to)
	if err != nil {
		return nil, err
	}
	e := &Exporter{conn: conn, agent: agent, queue: make(chan []byte, exportQueue), stop: make(chan struct{}), done: make(chan struct{})}
	go e.run(log)
	return e, nil
}

func (e *Exporter) run(log *slog.Logger) {
	defer close(e.done)
	send := func(b []byte) {
		if _, err := e.conn.Write(b); err != nil && e.Lost.Add(1) == 1 {
			log.Warn("a message for Homer was not sent", "to", e.conn.RemoteAddr(), "error", err)
		}
	}
	for {
		select {
		case b := <-e.queue:
			send(b)
		case <-e.stop:
			for range len(e.queue) {
				send(<-e.queue)
			}
			return
		}
	}
}

// Send queues a message.
func (e *Exporter) Send(m Meta, payload []byte) {
	m.Agent = e.agent
	if !m.From.IsValid() || !m.To.IsValid() || m.From.Addr().Unmap().Is4() != m.To.Addr().Unmap().Is4() {
		return
	}
	select {
	case e.queue <- HEP(m, payload):
	default:
		e.Lost.Add(1)
	}
}

// Close sends what waits, and ends; what comes later is left.
func (e *Exporter) Close() error {
	close(e.stop)
	<-e.done
	return e.conn.Close()
}
