package h245_test

import (
	"testing"

	"bridgehead/h323/h245"
	"bridgehead/h323/internal/vectors"
)

func TestMessages(t *testing.T) {
	vectors.Check[h245.MultimediaSystemControlMessage](t, "MultimediaSystemControlMessage")
}

func TestFastStart(t *testing.T) {
	vectors.Check[h245.OpenLogicalChannel](t, "OpenLogicalChannel")
}

func FuzzMessage(f *testing.F) {
	vectors.Fuzz[h245.MultimediaSystemControlMessage](f, "MultimediaSystemControlMessage")
}

func BenchmarkCapabilities(b *testing.B) {
	vectors.Benchmark[h245.MultimediaSystemControlMessage](b, "MultimediaSystemControlMessage", "105-h245-terminalCapabilitySet-h235-gnugk")
}

func BenchmarkOpenLogicalChannel(b *testing.B) {
	vectors.Benchmark[h245.MultimediaSystemControlMessage](b, "MultimediaSystemControlMessage", "082-h245-openLogicalChannel-audioData-h323plus")
}
