package main

import (
	"context"
	"crypto/x509"
	"errors"
	"os"

	"bridgehead/config"
	"bridgehead/gateway/store"
	"bridgehead/sip"
)

// devices lets the SIP registrar find devices in the store.
type devices struct{ store *store.Store }

// Device implements sip.Devices.
func (d devices) Device(user string) (sip.Device, bool) {
	found, err := d.store.Device(context.Background(), user)
	if err != nil || found.User != user {
		return sip.Device{}, false
	}
	return sip.Device{Name: found.Name, HA1: func(algorithm, realm string) string {
		return sip.HA1(algorithm, found.User, realm, found.Password)
	}}, true
}

// Extension implements sip.Devices.
func (d devices) Extension(number string) (string, bool) {
	found, err := d.store.Device(context.Background(), number)
	return found.User, err == nil
}

// owns tells whether a number is one of ours.
func (g *gateway) owns(number string) bool {
	_, err := g.store.Number(context.Background(), number)
	return err == nil
}

// loadSTI takes up who vouches for the signers of callers' numbers.
func (g *gateway) loadSTI(cfg *config.Config) error {
	roots, err := stiRoots(cfg, "")
	if err == nil {
		g.sti.Store(roots)
	}
	return err
}

// stiRoots reads stir.roots; nil: none is configured.
func stiRoots(cfg *config.Config, file string) (*x509.CertPool, error) {
	if cfg.Stir.Roots == "" {
		return nil, nil
	}
	roots := x509.NewCertPool()
	text, err := os.ReadFile(cfg.Stir.Roots)
	if err == nil && !roots.AppendCertsFromPEM(text) {
		err = errors.New("there is no certificate in it")
	}
	if err != nil {
		return nil, config.Fault{File: file, Key: "stir.roots", Value: cfg.Stir.Roots, Why: err.Error(), Remedy: "give a PEM file of the certification authorities, from BEGIN to END CERTIFICATE"}
	}
	return roots, nil
}
