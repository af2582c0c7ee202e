package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"bridgehead/config"
)

// certificate is what all TLS listeners show; it can be exchanged while they
// run.
type certificate struct {
	current atomic.Pointer[tls.Certificate]
}

// load reads the configured certificate, or the self-signed one under the data
// directory, which it makes if there is none or it has run out.
func (c *certificate) load(cfg *config.Config) error {
	cert, key := cfg.TLS.Certificate, cfg.TLS.Key
	if cert == "" {
		cert, key = filepath.Join(cfg.Data, "tls.crt"), filepath.Join(cfg.Data, "tls.key")
		if err := selfSign(cert, key, cfg); err != nil {
			return fmt.Errorf("self-signed certificate: %w", err)
		}
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", cert, err)
	}
	c.current.Store(&pair)
	return nil
}

// config is for one listener; TLS 1.2 is the oldest that room systems need and
// the oldest that is safe.
func (c *certificate) config(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     protocols,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

// selfSignedFor is how long a self-signed certificate is good; browsers take
// no longer one. It is renewed when a month is left.
const selfSignedFor = 397 * 24 * time.Hour

func selfSign(certFile, keyFile string, cfg *config.Config) error {
	// A pair that does not fit was cut off while it was made.
	if pair, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil && time.Until(pair.Leaf.NotAfter) > 30*24*time.Hour {
		return nil
	} else if errors.Is(err, os.ErrPermission) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	names, addrs := ownNames(cfg)
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0], Organization: []string{"Bridgehead (self-signed)"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(selfSignedFor),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, IsCA: true, DNSNames: names, IPAddresses: addrs,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := replaceFile(keyFile, 0o600, func(w io.Writer) error { return pem.Encode(w, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}) }); err != nil {
		return err
	}
	return replaceFile(certFile, 0o644, func(w io.Writer) error { return pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: der}) })
}

// ownNames are the names and addresses under which this machine is reached.
func ownNames(cfg *config.Config) (names []string, addrs []net.IP) {
	if cfg.Domain != "" {
		names = append(names, cfg.Domain)
	}
	if host, err := os.Hostname(); err == nil && host != cfg.Domain {
		names = append(names, host)
	}
	names = append(names, "localhost")
	addrs = append(addrs, net.IPv4(127, 0, 0, 1), net.IPv6loopback)
	if a, err := netip.ParseAddr(cfg.RTP.Advertise); err == nil {
		addrs = append(addrs, a.AsSlice())
	}
	if a := outward(); a.IsValid() {
		addrs = append(addrs, a.AsSlice())
	}
	return names, addrs
}

// outward is the address that this machine uses toward others; it is looked up
// in the routing table, nothing is sent.
func outward() netip.Addr {
	c, err := net.Dial("udp4", "198.51.100.1:9")
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
}
