package main

import (
	"context"

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
