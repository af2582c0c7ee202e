package h235_test

import (
	"bytes"
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"bridgehead/h323/h235"
	"bridgehead/h323/internal/vectors"
	"bridgehead/h323/per"
)

func TestKeys(t *testing.T)       { vectors.Check[h235.H235Key](t, "H235Key") }
func FuzzKey(f *testing.F)        { vectors.Fuzz[h235.H235Key](f, "H235Key") }
func FuzzClearToken(f *testing.F) { vectors.Fuzz[h235.ClearToken](f, "H235Key") }

func load(t testing.TB, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(vectors.Dir(), name))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHashesOfPeers(t *testing.T) {
	var all []struct{ Password, Hash, PDU string }
	load(t, "h2351-hmac-sha1-96.json", &all)
	if len(all) != 14 {
		t.Fatalf("%d messages", len(all))
	}
	for i, v := range all {
		pdu, sum := unhex(t, v.PDU), unhex(t, v.Hash)
		if !h235.Verify(pdu, sum, v.Password) {
			t.Errorf("message %d is not signed by its password", i)
		}
		if h235.Verify(pdu, sum, v.Password+"x") || h235.Verify(pdu, sum[:11], v.Password) {
			t.Errorf("message %d is signed by another password or hash", i)
		}
		place := []byte("twelveoctets")
		blank := bytes.Replace(pdu, sum, place, 1)
		if !h235.Sign(blank, place, v.Password) || !bytes.Equal(blank, pdu) {
			t.Errorf("message %d is signed as %x", i, blank)
		}
		pdu[0] ^= 1
		if h235.Verify(pdu, sum, v.Password) {
			t.Errorf("message %d may be changed", i)
		}
	}
	if h235.Sign([]byte("twelveoctetstwelveoctets"), []byte("twelveoctets"), "") {
		t.Error("a message with two places is signed")
	}
}

type capture struct {
	P      string
	Caller struct{ X, Y string }
	Callee struct{ X, Y string } `json:"listener"`

	SessionKey string   `json:"session_key"`
	H235Keys   []string `json:"h235Keys"`
	MediaKeys  []string `json:"media_keys"`
	RTP        []struct {
		RTP       string
		MediaKey  string `json:"media_key"`
		Plaintext string
		PBit      int
	}
}

func number(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 0)
	return n
}

func TestKeyAgreementOfPeers(t *testing.T) {
	var c capture
	load(t, "h2356-aes128-gsm.json", &c)
	g := h235.Groups[0]
	if g.Prime().Cmp(number(c.P)) != 0 {
		t.Fatalf("the prime is %x", g.Prime())
	}
	// a secret of 512 bits with the highest bit set is drawn as it is read; the
	// caller's has that bit clear, so the callee's side is reproduced
	key, err := h235.GenerateKey(g, bytes.NewReader(number(c.Callee.X).FillBytes(make([]byte, 64))))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(key.Public(), number(c.Callee.Y).FillBytes(make([]byte, 128))) {
		t.Errorf("the public key is %x", key.Public())
	}
	secret, err := key.Secret(number(c.Caller.Y).Bytes())
	if err != nil {
		t.Fatal(err)
	}
	session := h235.SessionKey(secret, 16)
	if hex.EncodeToString(session) != c.SessionKey {
		t.Errorf("the session key is %x", session)
	}
	for i, s := range c.H235Keys {
		var k h235.H235Key
		if _, err := per.Decode(unhex(t, s), &k); err != nil {
			t.Fatal(err)
		}
		wrapped := []byte(k.SecureSharedSecret.EncryptedSessionKey)
		media, err := h235.UnwrapKey(wrapped, session)
		if err != nil || hex.EncodeToString(media) != c.MediaKeys[i] {
			t.Errorf("media key %d is %x, %v", i, media, err)
		}
		if again, err := h235.WrapKey(media, session); err != nil || !bytes.Equal(again, wrapped) {
			t.Errorf("media key %d is wrapped as %x, %v", i, again, err)
		}
	}
}

func TestMediaOfPeers(t *testing.T) {
	var c capture
	load(t, "h2356-aes128-gsm.json", &c)
	for i, p := range c.RTP {
		packet, plain := unhex(t, p.RTP), unhex(t, p.Plaintext)
		seq, ts := binary.BigEndian.Uint16(packet[2:]), binary.BigEndian.Uint32(packet[4:])
		m, err := h235.NewCipher(unhex(t, p.MediaKey))
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Decrypt(nil, packet[12:], seq, ts, p.PBit == 1)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("packet %d is %x, %v", i, got, err)
		}
		coded, padded := m.Encrypt(nil, plain, seq, ts)
		if !padded || len(coded) != len(packet)-12 || !bytes.Equal(coded[:32], packet[12:44]) {
			t.Errorf("packet %d is encrypted as %x", i, coded)
		}
		if got, err = m.Decrypt(nil, coded, seq, ts, padded); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("packet %d comes back as %x, %v", i, got, err)
		}
	}
}

// RFC 3962, appendix B: its initial vector is zeros.
func TestCiphertextStealing(t *testing.T) {
	m, err := h235.NewCipher([]byte("chicken teriyaki"))
	if err != nil {
		t.Fatal(err)
	}
	for coded, plain := range map[string]string{
		"c6353568f2bf8cb4d8a580362da7ff7f97":                             "I would like the ",
		"fc00783e0efdb2c1d445d4c8eff7ed2297687268d6ecccc0c07b25e25ecfe5": "I would like the General Gau's ",
	} {
		if got, err := m.Decrypt(nil, unhex(t, coded), 0, 0, false); err != nil || string(got) != plain {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestHostilePayloads(t *testing.T) {
	m, _ := h235.NewCipher(make([]byte, 32))
	for n := range 16 {
		if _, err := m.Decrypt(nil, make([]byte, n), 1, 1, false); err == nil {
			t.Errorf("%d octets are decrypted", n)
		}
	}
	for _, last := range []byte{0, 17, 255} {
		plain := make([]byte, 16)
		plain[15] = last
		coded, padded := m.Encrypt(nil, plain, 1, 1)
		if padded {
			t.Error("a whole block is padded")
		}
		if got, err := m.Decrypt(nil, coded, 1, 1, true); err == nil {
			t.Errorf("padding of %d octets leaves %x", last, got)
		}
	}
	if _, err := h235.NewCipher(make([]byte, 15)); err == nil {
		t.Error("a key of 15 octets is taken")
	}
	if _, err := h235.UnwrapKey(make([]byte, 15), make([]byte, 16)); err == nil {
		t.Error("a wrapped key of 15 octets is taken")
	}
}

func TestMediaDoesNotAllocate(t *testing.T) {
	m, _ := h235.NewCipher(make([]byte, 16))
	payload, coded, plain := make([]byte, 160), make([]byte, 0, 256), make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		out, padded := m.Encrypt(coded, payload[:150], 1, 2)
		if _, err := m.Decrypt(plain, out, 1, 2, padded); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// In each group both sides reach the same secret, and 2 generates the subgroup
// of prime order: were a digit of p wrong, 2^((p-1)/2) would not be 1.
func TestGroups(t *testing.T) {
	for _, g := range h235.Groups {
		p := g.Prime()
		half := new(big.Int).Rsh(p, 1)
		if p.BitLen() != g.Bits || new(big.Int).Exp(big.NewInt(2), half, p).Cmp(big.NewInt(1)) != 0 {
			t.Errorf("the prime of %d bits is %x", g.Bits, p)
		}
		a, err := h235.GenerateKey(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := h235.GenerateKey(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		one, errA := a.Secret(b.Public())
		two, errB := b.Secret(a.Public())
		if errA != nil || errB != nil || !bytes.Equal(one, two) {
			t.Errorf("%d bits: %v, %v", g.Bits, errA, errB)
		}
		minus := new(big.Int).Sub(p, big.NewInt(1))
		for _, y := range [][]byte{nil, {0}, {1}, minus.Bytes(), p.Bytes(), append([]byte{1}, p.Bytes()...), make([]byte, 5000)} {
			if _, err := a.Secret(y); err != h235.ErrPublicKey {
				t.Errorf("%d bits: the public key %.8x… is taken", g.Bits, y)
			}
		}
	}
}

func TestTokens(t *testing.T) {
	for _, g := range h235.Groups {
		k, err := h235.GenerateKey(g, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := per.Encode(k.Token())
		if err != nil {
			t.Fatal(err)
		}
		var token h235.ClearToken
		if _, err := per.Decode(b, &token); err != nil {
			t.Fatal(err)
		}
		if group, y, err := h235.PeerKey(&token); err != nil || group != g || !bytes.Equal(y, k.Public()) {
			t.Errorf("%d bits: %v, %v", g.Bits, group, err)
		}
		if prime := per.Bits([]byte{23}); token.Dhkey != nil {
			token.Dhkey.ModSize = prime
		} else {
			token.Dhkeyext.ModSize = &prime
		}
		if _, _, err := h235.PeerKey(&token); err != h235.ErrGroup {
			t.Errorf("a prime of the peer's choice: %v", err)
		}
	}
	if _, _, err := h235.PeerKey(&h235.ClearToken{TokenOID: h235.NoGroupOID}); err != h235.ErrGroup {
		t.Errorf("a token without a group: %v", err)
	}
}

// The key schedule is where it is looked for: a wrong size fetches too little.
func TestKeyScheduleIsFetched(t *testing.T) {
	c, _ := h235.NewCipher(make([]byte, 32))
	b, _ := aes.NewCipher(make([]byte, 32))
	kept := reflect.TypeOf(b)
	if kept.Kind() != reflect.Pointer || kept.Elem().Size() > 512 || kept.Elem().Size()+64 < 512 {
		t.Errorf("%v, of %d octets", kept, kept.Elem().Size())
	}
	if n := testing.AllocsPerRun(100, c.Warm); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEncrypt20ms(b *testing.B) {
	m, _ := h235.NewCipher(make([]byte, 16))
	payload, out := make([]byte, 160), make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		m.Encrypt(out, payload, 1, 2)
	}
}
