package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"strings"
)

// sealer encrypts secrets that must be had again, with a key that only the
// service's own user can read.
type sealer struct {
	aead   cipher.AEAD
	macKey []byte // of marks that are given out and come back
}

func openSealer(file string) (sealer, error) {
	key, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		key = make([]byte, 32)
		rand.Read(key)
		err = writeNew(file, key)
		if errors.Is(err, os.ErrExist) { // another process was first
			key, err = os.ReadFile(file)
		}
	}
	if err != nil {
		return sealer{}, fmt.Errorf("secret key: %w", err)
	}
	if len(key) != 32 {
		return sealer{}, fmt.Errorf("secret key: %s has %d bytes instead of 32; restore it from a backup", file, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return sealer{}, err
	}
	mac, err := hkdf.Key(sha256.New, key, nil, "marks", 32)
	return sealer{aead, mac}, err
}

// writeNew makes a file whole or not at all, and never replaces one.
func writeNew(file string, data []byte) error {
	tmp := fmt.Sprintf("%s.%d", file, os.Getpid())
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	defer os.Remove(tmp)
	return os.Link(tmp, file)
}

// seal encrypts; an empty secret stays empty (NULL).
func (s sealer) seal(secret string) []byte { return s.sealAs("", secret) }

func (s sealer) open(sealed []byte) (string, error) { return s.openAs("", sealed) }

// sealAs encrypts and binds to what the secret is of: it opens as that alone.
func (s sealer) sealAs(of, secret string) []byte {
	if secret == "" {
		return nil
	}
	nonce := make([]byte, s.aead.NonceSize())
	rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, []byte(secret), []byte(of))
}

func (s sealer) openAs(of string, sealed []byte) (string, error) {
	if len(sealed) == 0 {
		return "", nil
	}
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return "", errors.New("sealed secret is cut short")
	}
	plain, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(of))
	if err != nil {
		return "", errors.New("sealed secret does not fit the key in the data directory, or is of another place")
	}
	return string(plain), nil
}

// NewSecret is 128 random bits as text, for tokens, passwords and ids.
func NewSecret() string { return strings.ToLower(rand.Text()) }

func hashToken(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

// SameSecret compares without telling by its time how much fits.
func SameSecret(a, b string) bool {
	ha, hb := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(ha[:], hb[:]) == 1
}
