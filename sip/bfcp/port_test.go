package bfcp

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"
)

func listen(t *testing.T) *Port {
	p, err := Listen("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Two ports reach each other in every transport, and say what they mean.
func TestTransports(t *testing.T) {
	for _, transport := range []Transport{TCP, TLS, UDP, DTLS} {
		t.Run(transport.String(), func(t *testing.T) {
			server, client := listen(t), listen(t)
			met := make(chan *Conn, 1)
			cancel := server.Expect(Call{Conference: 7, Secure: transport.Secure(), Fingerprints: []string{client.Fingerprint()}, From: netip.MustParseAddr("127.0.0.1"),
				Take: func(c *Conn, m Message) {
					if m.Primitive != Hello {
						t.Errorf("the first message is %+v", m)
					}
					c.Send(Message{Version: m.Version, Response: true, Primitive: HelloAck, Conference: 7, Transaction: m.Transaction, User: m.User})
					met <- c
				}})
			defer cancel()
			conn, err := client.Dial(context.Background(), transport, server.Addr(), []string{server.Fingerprint()})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			version := uint8(1)
			if transport.Datagrams() {
				version = 2
			}
			conn.Send(Message{Version: version, Primitive: Hello, Conference: 7, Transaction: 1, User: 3})
			m, err := conn.Read()
			if err != nil || m.Primitive != HelloAck {
				t.Fatalf("%+v, %v", m, err)
			}
			(<-met).Close()
		})
	}
}

// Nobody gets in who shows another certificate than the call's, comes in clear
// where that is not allowed, or names a conference that is not there.
func TestStrangersAreKeptOut(t *testing.T) {
	server, client := listen(t), listen(t)
	take := func(*Conn, Message) { t.Error("a stranger got in") }
	here := netip.MustParseAddr("127.0.0.1")
	defer server.Expect(Call{Conference: 7, Secure: true, Fingerprints: []string{server.Fingerprint()}, From: here, Take: take})()
	defer server.Expect(Call{Conference: 8, From: netip.MustParseAddr("127.0.0.9"), Take: take})()
	for _, c := range []struct {
		transport  Transport
		conference uint32
	}{{TLS, 7}, {DTLS, 7}, {TCP, 7}, {TCP, 8}, {TCP, 9}} {
		conn, err := client.Dial(context.Background(), c.transport, server.Addr(), []string{server.Fingerprint()})
		if err != nil {
			continue // refused in the handshake
		}
		conn.Send(Message{Version: 1, Primitive: Hello, Conference: c.conference, Transaction: 1})
		if m, err := conn.Read(); err == nil {
			t.Errorf("%v, conference %d: %+v", c.transport, c.conference, m)
		}
		conn.Close()
	}
	if _, err := client.Dial(context.Background(), TLS, server.Addr(), []string{client.Fingerprint()}); err == nil {
		t.Error("a server with another certificate is taken")
	}
}

// Garbage ends at most what sent it.
func TestGarbage(t *testing.T) {
	server, client := listen(t), listen(t)
	for _, b := range []string{"\x16\x03\x01\xff\xff", "\x20\x01\xff\xff", "GET / HTTP/1.1\r\n\r\n", "\x00"} {
		c, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(b))
		c.Close()
		u, err := net.Dial("udp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = u.Write([]byte(b))
		u.Close()
	}
	met := make(chan bool, 1)
	defer server.Expect(Call{Conference: 7, From: netip.MustParseAddr("127.0.0.1"), Take: func(c *Conn, _ Message) { c.Close(); met <- true }})()
	conn, err := client.Dial(context.Background(), UDP, server.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Send(Message{Version: 2, Primitive: Hello, Conference: 7, Transaction: 1})
	select {
	case <-met:
	case <-time.After(10 * time.Second):
		t.Fatal("after garbage nobody is let in")
	}
}
