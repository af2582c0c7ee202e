package webrtc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"syscall"
	"testing"

	_ "embed"
)

//go:embed testdata/page.html
var page []byte

// TestChromium has two callers in a real browser, with each codec: it sees that
// the browser agrees with the answers, hears, sees, and gets the layers.
func TestChromium(t *testing.T) {
	for _, codec := range []string{"VP8", "H264", "VP9", "AV1"} {
		t.Run(codec, func(t *testing.T) { chromium(t, codec) })
	}
}

type browserReport struct {
	Error   string
	Cipher  string
	Codec   string
	Audio   string
	Frames  int // decoded, of the other's picture
	Height  int
	Layers  int // sent by the other
	Samples float64
	RTX     bool
	Bitrate int // estimated by the server
	Log     []string
}

func chromium(t *testing.T, codec string) {
	w := newWorld(t, nil)
	reports := make(chan browserReport, 2)
	mux := http.NewServeMux()
	mux.Handle("/ws", w.edge.Handler())
	mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = rw.Write(page)
	})
	mux.HandleFunc("POST /report", func(_ http.ResponseWriter, r *http.Request) {
		var b browserReport
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err := json.Unmarshal(body, &b); err != nil {
			b.Error = fmt.Sprint(err)
		}
		reports <- b
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(w.ctx, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
		"--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--allow-loopback-in-peer-connection",
		"--autoplay-policy=no-user-gesture-required", "--disable-background-networking", "--disable-component-update", "--no-first-run",
		srv.URL+"/?codec="+codec)
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its helpers end with it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() }()
	select {
	case r := <-reports:
		t.Logf("%+v", r)
		if r.Error != "" || r.Cipher != "AEAD_AES_256_GCM" || r.Codec != "video/"+codec || r.Audio != "audio/opus" ||
			r.Frames < 20 || r.Height < 360 || r.Samples == 0 || r.Bitrate == 0 || !r.RTX {
			t.Errorf("the browser reports %+v", r)
		}
	case <-w.ctx.Done():
		t.Fatalf("no report of the browser; it says: %.2000s", stderr.String())
	}
}
