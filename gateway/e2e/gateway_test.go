//go:build e2e

package e2e

import (
	"bridgehead/gateway/caller"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gateway is a served gateway with a data directory of its own.
type gateway struct {
	t     testing.TB
	dir   string
	cmd   *exec.Cmd
	log   *buffer
	at    map[string]string
	login struct{ URL, User, Password, Token string }
	http  *http.Client
	// secrets must not be in the log.
	secrets []string
}

const program = "../../bin/bridgehead"

// serve starts a gateway on loopback and waits until it is healthy.
func serve(t testing.TB, flags ...string) *gateway {
	t.Helper()
	g := &gateway{t: t, dir: t.TempDir(), log: &buffer{}}
	g.http = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	g.start(flags...)
	read(t, filepath.Join(g.dir, "first-login.json"), &g.login)
	return g
}

// start runs the gateway on its data directory.
func (g *gateway) start(flags ...string) {
	g.t.Helper()
	args := []string{"serve", "--data", g.dir, "--rtp.bind", "127.0.0.1", "--rtp.advertise", "127.0.0.1", "--listen.turns", ""}
	for _, l := range []string{"https", "webrtc", "webrtc_tcp", "sips", "sip", "turn", "h323", "h323_tls", "ras", "bfcp"} {
		args = append(args, "--listen."+l, "127.0.0.1:0")
	}
	g.cmd = command(g.t, program, append(args, flags...)...)
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	if err := g.cmd.Start(); err != nil {
		g.t.Fatalf("start the gateway (make build makes it): %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.cmd.Wait() }()
	g.t.Cleanup(func() {
		_ = g.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = g.cmd.Process.Kill()
			g.t.Error("the gateway did not stop when told to")
		}
		if g.t.Failed() {
			g.t.Logf("gateway log:\n%s", tail(g.log.String(), 12000))
		}
		for _, secret := range g.secrets {
			if regexp.MustCompile(`\b` + regexp.QuoteMeta(secret) + `\b`).MatchString(g.log.String()) {
				g.t.Errorf("the gateway's log has the passcode %s", secret)
			}
		}
		if strings.Contains(g.log.String(), "panic") {
			g.t.Errorf("the gateway's log has a panic")
		}
	})
	eventually(g.t, 15*time.Second, "the gateway is healthy", func() bool {
		data, err := os.ReadFile(filepath.Join(g.dir, "addresses.json"))
		if err != nil || json.Unmarshal(data, &g.at) != nil {
			return false
		}
		r, err := g.http.Get("https://" + g.at["https"] + "/healthz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == 200
	})
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func read(t testing.TB, file string, v any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// api calls the API and decodes the answer into out, if it is not nil.
func (g *gateway) api(method, path string, in, out any) int {
	g.t.Helper()
	status, data := g.raw(method, path, in)
	if status >= 300 {
		g.t.Fatalf("%s %s: %d %s", method, path, status, data)
	}
	if out != nil {
		if err := json.Unmarshal(data, out); err != nil {
			g.t.Fatalf("%s %s: %v in %s", method, path, err, data)
		}
	}
	return status
}

func (g *gateway) raw(method, path string, in any) (int, []byte) {
	g.t.Helper()
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			g.t.Fatal(err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, "https://"+g.at["https"]+"/api/v1"+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.login.Token)
	req.Header.Set("Content-Type", "application/json")
	res, err := g.http.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, data
}

// meeting makes one.
func (g *gateway) meeting(settings map[string]any) {
	g.t.Helper()
	for _, key := range []string{"host_passcode", "guest_passcode"} {
		if s, ok := settings[key].(string); ok {
			g.secrets = append(g.secrets, s)
		}
	}
	g.api("POST", "/meetings", settings, nil)
}

// participant as the API shows it.
type participant struct {
	ID, Name, Address, Protocol, State, Role, Direction string
	AudioMuted                                          bool `json:"audio_muted"`
	VideoMuted                                          bool `json:"video_muted"`
	HandRaised                                          bool `json:"hand_raised"`
	Sources                                             []string
	Security                                            struct{ Signalling, Media, Suite string }
	Stir                                                struct{ Result, Attest, By string }
	Audio                                               struct {
		Codec           string
		PacketsReceived int     `json:"packets_received"`
		PacketsSent     int     `json:"packets_sent"`
		PacketsLost     int     `json:"packets_lost"`
		LevelDBov       int     `json:"level_dbov"`
		MOS             float64 `json:"mos"`
	}
}

func (g *gateway) participants(number string) (list []participant) {
	g.t.Helper()
	g.api("GET", "/meetings/"+number+"/participants", nil, &list)
	return list
}

// waitFor waits until a participant of the protocol is in the state.
func (g *gateway) waitFor(number, protocol, state string) (p participant) {
	g.t.Helper()
	eventually(g.t, 30*time.Second, "a "+protocol+" party is "+state+" in "+number, func() bool {
		for _, p = range g.participants(number) {
			if p.Protocol == protocol && p.State == state {
				return true
			}
		}
		return false
	})
	return p
}

// record of a call.
type record struct {
	ID, Protocol, Direction, From, To, Source, Meeting, Trunk, Code string
	Detail                                                          struct {
		Reason string
		Status int
		Stir   struct{ Result, Attest, By string }
	}
}

func (g *gateway) records() (list []record) {
	g.t.Helper()
	g.api("GET", "/calls", nil, &list)
	return list
}

// waitForRecord waits for the record of a call that ended with the code.
func (g *gateway) waitForRecord(protocol, code string) (r record) {
	g.t.Helper()
	eventually(g.t, 30*time.Second, "a "+protocol+" call is recorded as "+code, func() bool {
		for _, r = range g.records() {
			if r.Protocol == protocol && r.Code == code {
				return true
			}
		}
		return false
	})
	return r
}

// eventually polls, since what is waited for is another process.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("after %v it is still not so that %s", within, what)
}

// bridgehead runs the command line and gives back what it prints.
func bridgehead(t testing.TB, args ...string) (string, error) {
	t.Helper()
	out, err := command(t, program, args...).CombinedOutput()
	return string(out), err
}

// callReport is what `bridgehead call --json` prints.
type callReport struct {
	Answered  bool
	Code      string
	Reason    string
	SetupMS   float64 `json:"setup_ms"`
	Security  struct{ Signalling, Media, Suite string }
	LevelDBov int `json:"level_dbov"`
	Audio     struct {
		Codec           string
		PacketsReceived int `json:"packets_received"`
		PacketsLost     int `json:"packets_lost"`
	}
	Hears         []struct{ Hz, DBov float64 }
	Video, Screen *caller.Video
}

// call places a test call and waits for its end.
func call(t testing.TB, to string, args ...string) (r callReport) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := command(t, program, append([]string{"call", to, "--json", "--insecure", "--bind", "127.0.0.1"}, args...)...)
	cmd.Stderr = &stderr
	out, _ := cmd.Output()
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("call %s: %v: %s%s", to, err, out, stderr.Bytes())
	}
	return r
}

func (r callReport) hears(hz float64) bool {
	for _, x := range r.Hears {
		if x.Hz > hz-8 && x.Hz < hz+8 {
			return true
		}
	}
	return false
}

func (r callReport) String() string {
	return fmt.Sprintf("answered %v code %s %s codec %s level %d hears %v", r.Answered, r.Code, r.Reason, r.Audio.Codec, r.LevelDBov, r.Hears)
}
