package load

import (
	"bytes"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
	"golang.org/x/sys/unix"

	"bridgehead/core/rtpio"
)

// peer is the far end of an encrypting echo, by another implementation.
func peer(t *testing.T, suite rtpio.Suite, profile srtp.ProtectionProfile) (out, in *srtp.Context) {
	t.Helper()
	keys := echoKeys(suite, false)
	context := func(master []byte) *srtp.Context {
		cut := len(master) - ivSize
		c, err := srtp.CreateContext(master[:cut], master[cut:], profile)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return context(keys.Local), context(keys.Remote)
}

func TestTheEncryptingEchoAnswersWhatItGot(t *testing.T) {
	for name, profile := range map[string]srtp.ProtectionProfile{
		"AEAD_AES_256_GCM": srtp.ProtectionProfileAeadAes256Gcm, "AEAD_AES_128_GCM": srtp.ProtectionProfileAeadAes128Gcm,
	} {
		suite, ok := rtpio.SuiteNamed(name)
		if !ok {
			t.Fatal(name)
		}
		out, in := peer(t, suite, profile)
		echo := &echoPeers{suite, map[unix.RawSockaddrInet4]*echoPeer{}}
		from := unix.RawSockaddrInet4{Port: 4000}
		for i := range 200 { // over the end of the numbers, so that the roll-over counter counts
			packet, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(65500 + i), Timestamp: uint32(160 * i), SSRC: 7}, Payload: []byte("sound, 20 ms of it")}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := out.EncryptRTP(nil, packet, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := in.DecryptRTP(nil, echo.answer(sealed, from), nil)
			if err != nil || !bytes.Equal(got, packet) {
				t.Fatalf("%s, packet %d: %v", name, i, err)
			}
		}
		if len(echo.known) != 1 {
			t.Errorf("%d peers, want 1", len(echo.known))
		}
	}
}

func TestTheEncryptingEchoDoesNotAllocate(t *testing.T) {
	suite, _ := rtpio.SuiteNamed(byGCM)
	out, _ := peer(t, suite, srtp.ProtectionProfileAeadAes256Gcm)
	packet, _ := (&rtp.Packet{Header: rtp.Header{Version: 2, SSRC: 7}, Payload: make([]byte, 160)}).Marshal()
	sealed, err := out.EncryptRTP(nil, packet, nil)
	if err != nil {
		t.Fatal(err)
	}
	echo := &echoPeers{suite, map[unix.RawSockaddrInet4]*echoPeer{}}
	buf := make([]byte, len(sealed))
	if n := testing.AllocsPerRun(100, func() {
		copy(buf, sealed)
		if echo.answer(buf, unix.RawSockaddrInet4{Port: 1}) == nil {
			t.Fatal("not answered")
		}
	}); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func FuzzEncryptingEcho(f *testing.F) {
	f.Add([]byte{0x80, 0, 0, 1})
	f.Add(append([]byte{0x80, 0}, make([]byte, 40)...))
	f.Add(append([]byte{0x80, 200}, make([]byte, 40)...))
	suite, _ := rtpio.SuiteNamed(byGCM)
	f.Fuzz(func(t *testing.T, packet []byte) {
		echo := &echoPeers{suite, map[unix.RawSockaddrInet4]*echoPeer{}}
		if got := echo.answer(packet, unix.RawSockaddrInet4{}); got != nil {
			t.Errorf("what nobody encrypted was answered: %x", got)
		}
	})
}
