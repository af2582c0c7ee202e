package webrtc

import (
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// withDefaults gives a test's client what a browser does by itself: NACK,
// reports and transport-wide feedback.
func withDefaults(t *testing.T, m *webrtc.MediaEngine) func(*webrtc.API) {
	t.Helper()
	r := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(m, r); err != nil {
		t.Fatal(err)
	}
	return webrtc.WithInterceptorRegistry(r)
}
