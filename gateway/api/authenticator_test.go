package api

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// authenticator is what makes and shows passkeys (W3C Web Authentication,
// Level 3, §6), in software.
type authenticator struct {
	t        testing.TB
	host     string
	origin   string
	id       []byte
	user     []byte
	key      *ecdsa.PrivateKey
	counter  uint32
	unlocked bool // its owner has shown to be who it is
}

func newAuthenticator(t testing.TB, host string) *authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authenticator{t: t, host: host, origin: "https://" + host, id: make([]byte, 32), key: key, unlocked: true}
	rand.Read(a.id)
	return a
}

// asked are the options that a question holds, as far as they matter.
type asked struct {
	Challenge string `json:"challenge"`
	Options   struct {
		Challenge string `json:"challenge"`
		RPID      string `json:"rpId"`
		RP        struct{ ID string }
		User      struct{ ID string }
		Allow     []struct{ ID string } `json:"allowCredentials"`
	} `json:"options"`
}

var b64 = base64.RawURLEncoding

// data is the authenticator data (§6.1).
func (a *authenticator) data(attested []byte) []byte {
	hash := sha256.Sum256([]byte(a.host))
	flags := byte(1) // present
	if a.unlocked {
		flags |= 1 << 2
	}
	if attested != nil {
		flags |= 1 << 6
	}
	a.counter++
	return append(binary.BigEndian.AppendUint32(append(hash[:], flags), a.counter), attested...)
}

func (a *authenticator) client(kind string, q asked) []byte {
	text, err := json.Marshal(map[string]any{"type": kind, "challenge": q.Options.Challenge, "origin": a.origin, "crossOrigin": false})
	if err != nil {
		a.t.Fatal(err)
	}
	return text
}

func (a *authenticator) answer(q asked, response map[string]string, name string) string {
	for k, v := range response {
		response[k] = b64.EncodeToString([]byte(v))
	}
	text, err := json.Marshal(map[string]any{"challenge": q.Challenge, "name": name, "response": map[string]any{
		"id": b64.EncodeToString(a.id), "rawId": b64.EncodeToString(a.id), "type": "public-key", "response": response}})
	if err != nil {
		a.t.Fatal(err)
	}
	return string(text)
}

// create answers a question for a new passkey.
func (a *authenticator) create(q asked, name string) string {
	a.user, _ = b64.DecodeString(q.Options.User.ID)
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		a.t.Fatal(err)
	}
	// COSE (RFC 9053): EC2, ES256, P-256.
	key, err1 := cbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	attested := append(make([]byte, 16), 0, byte(len(a.id)))
	attested = append(append(attested, a.id...), key...)
	object, err2 := cbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": a.data(attested)})
	if err1 != nil || err2 != nil {
		a.t.Fatal(err1, err2)
	}
	return a.answer(q, map[string]string{"clientDataJSON": string(a.client("webauthn.create", q)), "attestationObject": string(object)}, name)
}

// get answers a question to show the passkey.
func (a *authenticator) get(q asked) string {
	data, client := a.data(nil), a.client("webauthn.get", q)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(append([]byte{}, data...), hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	if err != nil {
		a.t.Fatal(err)
	}
	return a.answer(q, map[string]string{"clientDataJSON": string(client), "authenticatorData": string(data), "signature": string(signature), "userHandle": string(a.user)}, "")
}
