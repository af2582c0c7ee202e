package h235

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"

	"bridgehead/h323/per"
)

// Object identifiers of H.235.1, procedure I (HMAC-SHA1-96 over the whole
// message): of the token, of the clear token in it, of the algorithm.
const (
	HashedTokenOID per.OID = "0.0.8.235.0.2.1"
	HashedClearOID per.OID = "0.0.8.235.0.2.5"
	HMACSHA1OID    per.OID = "0.0.8.235.0.2.6"
)

// HashLen is the octets of HMAC-SHA1-96.
const HashLen = 12

// maxPlaces bounds how often the octets of a hash are looked for in a message.
const maxPlaces = 4

// hash is HMAC-SHA1-96 of a message whose own hash is zeros (H.235.1 §7.2). The
// key is the SHA-1 of the password.
func hash(message []byte, password string) []byte {
	key := sha1.Sum([]byte(password))
	h := hmac.New(sha1.New, key[:])
	h.Write(message)
	return h.Sum(nil)[:HashLen]
}

// Sign puts the hash of an encoded message where it holds place, HashLen octets
// that occur in it once. It says whether they do.
func Sign(message, place []byte, password string) bool {
	at := bytes.Index(message, place)
	if len(place) != HashLen || at < 0 || bytes.Contains(message[at+1:], place) {
		return false
	}
	clear(message[at : at+HashLen])
	copy(message[at:], hash(message, password))
	return true
}

// Verify says whether hash, which stands in the encoded message, is that of the
// message under the password. The message is left as it is.
func Verify(message, sum []byte, password string) bool {
	if len(sum) != HashLen {
		return false
	}
	zeroed := bytes.Clone(message)
	for from, places := 0, 0; places < maxPlaces; places++ {
		at := bytes.Index(message[from:], sum)
		if at < 0 {
			return false
		}
		at += from
		clear(zeroed[at : at+HashLen])
		if subtle.ConstantTimeCompare(hash(zeroed, password), sum) == 1 {
			return true
		}
		copy(zeroed[at:], sum)
		from = at + 1
	}
	return false
}
