//go:build race

package webrtc

// The race detector makes pools forget, and so allocate.
const raceAllocs = 20
