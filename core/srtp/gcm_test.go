package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"reflect"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// Both ways against another implementation, over the roll-over of sequence
// numbers, with reordering, CSRCs and extensions.
func TestGCMAgainstAnotherImplementation(t *testing.T) {
	for cut, profile := range map[int]srtp.ProtectionProfile{16: srtp.ProtectionProfileAeadAes128Gcm, 32: srtp.ProtectionProfileAeadAes256Gcm} {
		master := make([]byte, cut+SaltLen)
		_, _ = rand.Read(master)
		other, err := srtp.CreateContext(master[:cut], master[cut:], profile)
		if err != nil {
			t.Fatal(err)
		}
		in, out := mustGCM(t, master), mustGCM(t, master)
		seq := uint16(65500)
		for i := range 200 {
			h := rtp.Header{Version: 2, SequenceNumber: seq + uint16(i^1), SSRC: 0x01020304, Timestamp: uint32(i), PayloadType: 8}
			if i%3 == 0 {
				h.CSRC = []uint32{1, 2}
				_ = h.SetExtension(1, []byte{1, 2, 3})
			}
			packet := rtp.Packet{Header: h, Payload: bytes.Repeat([]byte{byte(i)}, i)}
			plain, _ := packet.Marshal()
			theirs, err := other.EncryptRTP(nil, plain, &h)
			if err != nil {
				t.Fatal(err)
			}
			n := len(plain) - len(packet.Payload)
			ours, err := out.Seal(append(make([]byte, 0, 2048), plain...), n)
			if err != nil || !bytes.Equal(ours, theirs) {
				t.Fatalf("%s, packet %d: %x, theirs %x (%v)", profile, i, ours, theirs, err)
			}
			back, err := in.Open(theirs, n)
			if err != nil || !bytes.Equal(back, plain) {
				t.Fatalf("%s, packet %d: %x, wanted %x (%v)", profile, i, back, plain, err)
			}
		}
	}
}

// What is fetched of a key is all that the library keeps of it, and no more.
func TestKeyScheduleIsFetched(t *testing.T) {
	g := mustGCM(t, make([]byte, 44))
	kept := reflect.TypeOf(g.aead)
	if kept.Kind() != reflect.Pointer || kept.Elem().Size() > keySchedule || kept.Elem().Size()+64 < keySchedule {
		t.Errorf("%v, of %d octets", kept, kept.Elem().Size())
	}
	if n := testing.AllocsPerRun(100, g.Warm); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The vector of RFC 7714 §16.1.1 gives session keys, not master keys.
func TestGCMVectorOfTheRFC(t *testing.T) {
	unhex := func(s string) []byte { b, _ := hex.DecodeString(s); return b }
	g := mustGCM(t, make([]byte, 28))
	session := unhex("000102030405060708090a0b0c0d0e0f")
	g.aead = mustAEAD(t, session)
	copy(g.salt[:], unhex("517569642070726f2071756f"))
	plain := append(unhex("8040f17b8041f8d35501a0b2"), unhex("47616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573")...)
	wire, err := g.Seal(append(make([]byte, 0, 100), plain...), 12)
	want := unhex("8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce")
	if err != nil || !bytes.Equal(wire, want) {
		t.Errorf("%x, wanted %x (%v)", wire, want, err)
	}
}

func TestGCMRefusesReplaysAndForgeries(t *testing.T) {
	master := make([]byte, 44)
	in, out := mustGCM(t, master), mustGCM(t, master)
	send := func(seq uint16, ssrc uint32) []byte {
		b := make([]byte, 20, 60)
		b[0] = 0x80
		binary.BigEndian.PutUint16(b[2:], seq)
		binary.BigEndian.PutUint32(b[8:], ssrc)
		wire, err := out.Seal(b, 12)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(wire)
	}
	taken := func(b []byte) bool { _, err := in.Open(bytes.Clone(b), 12); return err == nil }
	var sent [400][]byte
	for i := range sent {
		sent[i] = send(uint16(i), 1)
	}
	for i := 0; i < 300; i += 3 { // with holes
		if !taken(sent[i]) {
			t.Fatal(i)
		}
	}
	for i := range 300 { // the last is 297
		within, came := 297-i < replayWindow, i%3 == 0
		if got := taken(sent[i]); got != (within && !came) {
			t.Errorf("packet %d again or late: taken %v", i, got)
		}
	}
	forged := bytes.Clone(sent[399])
	forged[15] ^= 1
	if taken(forged) || !taken(sent[399]) || taken(sent[399]) {
		t.Error("a forgery is taken, or it spoils the true packet, or a replay is taken")
	}
	if !taken(sent[300]) || taken(sent[399-replayWindow]) {
		t.Error("the window after a jump")
	}
	if _, err := in.Open(sent[0][:27], 12); err == nil {
		t.Error("a packet without room for a tag is taken")
	}
	for ssrc := range uint32(MaxSources - 1) {
		out = mustGCM(t, master)
		if b := send(1, 100+ssrc); !taken(b) || taken(b) {
			t.Errorf("SSRC %d", ssrc)
		}
	}
	out = mustGCM(t, master)
	if taken(send(1, 999)) {
		t.Error("one SSRC too many is taken: it could not be told from a replay for ever")
	}
}

func FuzzGCM(f *testing.F) {
	master := make([]byte, 28)
	out, _ := NewGCM(master)
	valid, _ := out.Seal(append(make([]byte, 0, 100), packet("sound")...), 12)
	f.Add(valid, 12)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if len(b) < 12 || n < 12 || n > len(b) {
			return
		}
		in, _ := NewGCM(master)
		_, _ = in.Open(b, n)
	})
}

func mustGCM(t testing.TB, master []byte) *GCM {
	t.Helper()
	g, err := NewGCM(master)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func BenchmarkSRTP(b *testing.B) {
	master := make([]byte, 32+SaltLen)
	b.Run("gcm", func(b *testing.B) {
		g := mustGCM(b, master)
		buf := make([]byte, 172, 200)
		for i := 0; b.Loop(); i++ {
			binary.BigEndian.PutUint16(buf[2:], uint16(i))
			_, _ = g.Seal(buf, 12)
		}
	})
	b.Run("pion", func(b *testing.B) {
		ctx, _ := srtp.CreateContext(master[:32], master[32:], srtp.ProtectionProfileAeadAes256Gcm)
		buf := make([]byte, 172, 200)
		h := rtp.Header{Version: 2}
		for i := 0; b.Loop(); i++ {
			h.SequenceNumber = uint16(i)
			_, _ = ctx.EncryptRTP(buf[:0], buf[:172], &h)
		}
	})
}

func mustAEAD(t testing.TB, key []byte) cipher.AEAD {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func packet(payload string) []byte {
	return append([]byte{0x80, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3}, payload...)
}

// SRTCP against another implementation; replays and forgeries are refused.
func TestRTCPAgainstAnotherImplementation(t *testing.T) {
	master := make([]byte, 44)
	_, _ = rand.Read(master)
	other, err := srtp.CreateContext(master[:32], master[32:], srtp.ProtectionProfileAeadAes256Gcm)
	if err != nil {
		t.Fatal(err)
	}
	in, err := NewRTCP(master)
	if err != nil {
		t.Fatal(err)
	}
	out, err := NewRTCP(master)
	if err != nil {
		t.Fatal(err)
	}
	plain := []byte{0x80, 201, 0, 1, 1, 2, 3, 4, 0x81, 202, 0, 1, 1, 2, 3, 4}
	for i := range 200 {
		wire, err := other.EncryptRTCP(nil, plain, nil)
		if err != nil {
			t.Fatal(err)
		}
		again, forged := bytes.Clone(wire), bytes.Clone(wire)
		forged[10] ^= 1
		if _, err := in.Open(forged); err == nil {
			t.Fatalf("packet %d: a forgery was taken", i)
		}
		if got, err := in.Open(wire); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("packet %d: %x (%v)", i, got, err)
		}
		if _, err := in.Open(again); err == nil {
			t.Fatalf("packet %d was taken twice", i)
		}
		ours, err := out.Seal(append(make([]byte, 0, 64), plain...))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := other.DecryptRTCP(nil, ours, nil); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("packet %d for the other: %x (%v)", i, got, err)
		}
	}
	for ssrc := range byte(2 * maxControl) {
		plain[4] = ssrc + 2
		wire, err := other.EncryptRTCP(nil, plain, nil)
		if err != nil {
			t.Fatal(err)
		}
		again := bytes.Clone(wire)
		if _, err := in.Open(wire); err != nil || len(in.sources) > maxControl {
			t.Fatalf("SSRC %d, %d remembered: %v", ssrc, len(in.sources), err)
		}
		if _, err := in.Open(again); err == nil {
			t.Fatalf("SSRC %d: a packet was taken twice", ssrc)
		}
	}
	out.next = 1 << 31
	if _, err := out.Seal(append(make([]byte, 0, 64), plain...)); err == nil {
		t.Error("an index was used twice")
	}
	for n := range 28 {
		if _, err := in.Open(make([]byte, n)); err == nil {
			t.Fatalf("%d octets were taken", n)
		}
	}
}

// A context that takes a source over goes on after its roll-overs.
func TestFollow(t *testing.T) {
	master := make([]byte, 44)
	in, out := mustGCM(t, master), mustGCM(t, master)
	out.Follow(7, 3<<16+65535)
	in.Follow(7, 3<<16+65535)
	b := make([]byte, 20, 60)
	b[0], b[11] = 0x80, 7 // number 0: the next roll-over
	wire, err := out.Seal(b, 12)
	if err != nil {
		t.Fatal(err)
	}
	late := mustGCM(t, master)
	if _, err := late.Open(bytes.Clone(wire), 12); err == nil {
		t.Error("roll-overs make no difference")
	}
	if _, err := in.Open(wire, 12); err != nil {
		t.Error(err)
	}
}

// What is not authentic is refused, whatever it is; what is comes out as it was.
func FuzzRTCP(f *testing.F) {
	f.Add([]byte{0x80, 201, 0, 1, 1, 2, 3, 4})
	f.Add(make([]byte, 40))
	master := make([]byte, 44)
	other, err := srtp.CreateContext(master[:32], master[32:], srtp.ProtectionProfileAeadAes256Gcm)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := NewRTCP(master)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := in.Open(bytes.Clone(b)); err == nil {
			t.Fatalf("%x was taken as %x", b, got)
		}
		wire, err := other.EncryptRTCP(nil, b, nil)
		if err != nil {
			return // no RTCP
		}
		if got, err := in.Open(wire); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%x came out as %x (%v)", b, got, err)
		}
	})
}
