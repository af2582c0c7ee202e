package rtpio

import (
	"bytes"
	"net"
	"testing"

	"bridgehead/core"
)

// blocks is a cipher that shows whether its padding and numbers are kept: it
// adds the packet's number to each octet, in blocks of 16.
type blocks struct{}

func (blocks) Encrypt(dst, payload []byte, seq uint16, ts uint32) ([]byte, bool) {
	pad := -len(payload) & 15
	for _, b := range payload {
		dst = append(dst, b+byte(seq)+byte(ts))
	}
	for i := range pad {
		b := byte(0)
		if i == pad-1 {
			b = byte(pad)
		}
		dst = append(dst, b+byte(seq)+byte(ts))
	}
	return dst, pad > 0
}

func (blocks) Warm() {}

func (blocks) Decrypt(dst, payload []byte, seq uint16, ts uint32, padded bool) ([]byte, error) {
	if len(payload)&15 != 0 || len(payload) == 0 {
		return nil, net.ErrClosed
	}
	at := len(dst)
	for _, b := range payload {
		dst = append(dst, b-byte(seq)-byte(ts))
	}
	if padded {
		dst = dst[:len(dst)-int(dst[len(dst)-1])]
	}
	return dst[at:], nil
}

func ciphered(f Flow) Flow {
	f.CipherIn, f.CipherOut = blocks{}, blocks{}
	return f
}

func TestPayloadsAreEncryptedAndHeadersAreNot(t *testing.T) {
	p := newPorts(t)
	a, b := open(t, p), open(t, p)
	start(t, a, ciphered(flowTo(at(b))))
	start(t, b, ciphered(flowTo(at(a))))
	h := &heard{}
	b.Receive(h)
	whole := bytes.Repeat([]byte("sixteen octets.."), 2)
	say(a, 0, "seven octets short", string(whole))
	step(p)
	if len(h.packets) != 2 || string(h.packets[0]) != "seven octets short" || !bytes.Equal(h.packets[1], whole) {
		t.Fatalf("heard %q", h.packets)
	}
}

func TestWireOfAnEncryptedPayload(t *testing.T) {
	p := newPorts(t)
	a := open(t, p)
	peer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback.AsSlice()})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	start(t, a, ciphered(flowTo(peer.LocalAddr().(*net.UDPAddr).AddrPort())))
	say(a, 0, "clear words")
	b := make([]byte, 100)
	n, err := peer.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if n != 12+16 || b[0] != 0xa0 || bytes.Contains(b[:n], []byte("clear")) {
		t.Fatalf("sent %x", b[:n])
	}
}

func TestKeysInClearBesideCiphertextAreHeard(t *testing.T) {
	p := newPorts(t)
	a, b := open(t, p), open(t, p)
	var pressed []byte
	f := ciphered(flowTo(at(a)))
	f.OnDigit = func(k byte) { pressed = append(pressed, k) }
	start(t, a, flowTo(at(b)))
	start(t, b, f)
	if err := a.SendDigits("5"); err != nil {
		t.Fatal(err)
	}
	say(a, 0, "xxxxxxxxxxxxxxxx")
	step(p)
	if string(pressed) != "5" {
		t.Fatalf("pressed %q", pressed)
	}
}

func TestCiphersDoNotAllocate(t *testing.T) {
	p := newPorts(t)
	a, b := open(t, p), open(t, p)
	start(t, a, ciphered(flowTo(at(b))))
	start(t, b, ciphered(flowTo(at(a))))
	b.Receive(core.Discard)
	pkt := &core.Packet{Payload: make([]byte, 150)}
	send := func() {
		pkt.Header.Timestamp += 160
		_ = a.Write(pkt)
		step(p)
	}
	send()
	if n := testing.AllocsPerRun(200, send); n > 0 {
		t.Fatalf("%v allocations a packet", n)
	}
}
