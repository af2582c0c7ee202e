//go:build e2e

package e2e

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// words writes a WAV file of words, pauses and the sentences between which they
// are longer, 20 s of them.
func words(t testing.TB) string {
	t.Helper()
	const rate = 8000
	le := binary.LittleEndian
	var pcm []byte
	for i := 0; len(pcm) < 20*rate*2; i++ {
		word, pause := 100+97*i%450, 80+61*i%330
		if i%5 == 4 {
			pause += 900
		}
		for n := range word * rate / 1000 {
			pcm = le.AppendUint16(pcm, uint16(int16((4000+1000*float64(i%4))*math.Sin(2*math.Pi*(300+40*float64(i%7))*float64(n)/rate))))
		}
		pcm = append(pcm, make([]byte, pause*rate/1000*2)...)
	}
	head := le.AppendUint32([]byte("RIFF"), uint32(36+len(pcm)))
	head = le.AppendUint32(append(head, "WAVEfmt "...), 16)
	head = le.AppendUint16(le.AppendUint16(head, 1), 1)
	head = le.AppendUint32(le.AppendUint32(head, rate), 2*rate)
	head = le.AppendUint16(le.AppendUint16(head, 2), 16)
	head = le.AppendUint32(append(head, "data"...), uint32(len(pcm)))
	file := filepath.Join(t.(interface{ TempDir() string }).TempDir(), "words.wav")
	if err := os.WriteFile(file, append(head, pcm...), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A telephone that sends back all it is sent is found out, and the one that talks
// to it is not.
func TestEchoIsFound(t *testing.T) {
	t.Parallel() // it waits most of the time
	g := serve(t, "--pstn.countries", "US")
	g.meeting(map[string]any{"number": "7003"})
	const number = "+12025550120"
	cmd, out, port := new(habit).gets("INVITE").answers("200 OK", "", habitSDP).gets("ACK").ends().takes(t, "-rtp_echo")
	g.api("POST", "/trunks", map[string]any{"name": "echoing", "transport": "udp", "host": fmt.Sprint("127.0.0.1:", port), "source": []string{"127.0.0.1"}, "media_encryption": "none",
		"options_interval": -1, "prefixes": []string{number}, "enabled": true, "override_check": true}, nil)
	time.Sleep(300 * time.Millisecond) // SIPp opens its port
	g.api("POST", "/meetings/7003/dial", map[string]any{"to": "tel:" + number}, nil)
	g.joins(number, "joined")
	call(t, "sips:7003@"+g.at["sips"], "--play", words(t), "--duration", "52s")
	(&habitCall{name: "echoing", number: number, cmd: cmd, out: out}).hangUp(g)
	var records []struct {
		Protocol string
		Detail   struct {
			Audio    struct{ Echoes, EchoMS, Compared int }
			Findings []struct{ Code, Text string }
		}
	}
	eventually(t, 5*time.Second, "both calls are recorded", func() bool {
		g.api("GET", "/calls", nil, &records)
		return len(records) == 2 && len(records[0].Detail.Findings) > 0 && len(records[1].Detail.Findings) > 0
	})
	for _, r := range records {
		found := false
		for _, f := range r.Detail.Findings {
			found = found || f.Code == "echo"
		}
		if found != (r.Protocol == "pstn") {
			t.Errorf("%s: %+v", r.Protocol, r.Detail)
		}
	}
}
