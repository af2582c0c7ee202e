// Package e2e has the end-to-end tests: the built gateway against real peers
// (baresip, SIPp, Chromium) on loopback, judged by the tones that each party
// hears and by what tshark sees on the wire. Run it by `make e2e`.
package e2e
