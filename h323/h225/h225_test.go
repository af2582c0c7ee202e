package h225_test

import (
	"testing"

	"bridgehead/h323/h225"
	"bridgehead/h323/internal/vectors"
)

func TestRAS(t *testing.T) { vectors.Check[h225.RasMessage](t, "RasMessage") }

func TestCallSignalling(t *testing.T) {
	vectors.Check[h225.H323UserInformation](t, "H323-UserInformation")
}

func FuzzRAS(f *testing.F) { vectors.Fuzz[h225.RasMessage](f, "RasMessage") }

func FuzzUserInformation(f *testing.F) {
	vectors.Fuzz[h225.H323UserInformation](f, "H323-UserInformation")
}

func BenchmarkAdmissionRequest(b *testing.B) {
	vectors.Benchmark[h225.RasMessage](b, "RasMessage", "004-ras-admissionRequest-h323plus")
}

func BenchmarkSetup(b *testing.B) {
	vectors.Benchmark[h225.H323UserInformation](b, "H323-UserInformation", "060-cs-setup-h323plus-faststart")
}
