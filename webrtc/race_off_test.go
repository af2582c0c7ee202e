//go:build !race

package webrtc

const raceAllocs = 0
