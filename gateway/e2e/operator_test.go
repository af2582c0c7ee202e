//go:build e2e

package e2e

import (
	"bufio"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What an operator does from the shell reaches the running gateway, and a
// reload drops no call.
func TestShellAndReloadWhileACallGoesOn(t *testing.T) {
	config := filepath.Join(t.TempDir(), "bridgehead.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log:\n  level: info\n")
	g := serve(t, "--config", config)
	if out, err := bridgehead(t, "meeting", "add", "7001", "--data", g.dir, "--name", "From the shell", "--guest-passcode", "1234", "--json"); err != nil || strings.Contains(out, "1234") {
		t.Fatalf("%v: %s", err, out)
	}
	ended := make(chan callReport, 1)
	go func() { ended <- call(t, "sips:7001**1234@"+g.at["sips"], "--tone", "440", "--duration", "12s") }()
	g.waitFor("7001", "sip", "joined")
	hears := make(chan callReport, 1)
	go func() { hears <- call(t, "sips:7001**1234@"+g.at["sips"], "--duration", "9s") }()
	time.Sleep(time.Second)
	write("log:\n  level: debug\npasscode:\n  tries: 5\n")
	g.signal(syscall.SIGHUP)
	eventually(t, 5*time.Second, "the configuration is reloaded", func() bool { return strings.Contains(g.log.String(), "configuration reloaded") })
	write("log:\n  level: loud\n")
	g.signal(syscall.SIGHUP)
	eventually(t, 5*time.Second, "a faulty configuration is refused, with its key", func() bool {
		return strings.Contains(g.log.String(), "log.level") && strings.Contains(g.log.String(), "not reloaded")
	})
	if r := <-hears; !r.hears(440) || r.Audio.PacketsLost > 0 {
		t.Errorf("during the reloads: %s, lost %d", r, r.Audio.PacketsLost)
	}
	if r := <-ended; !r.Answered || r.Code != "normal" {
		t.Errorf("the call ended: %s", r)
	}
	go func() { ended <- call(t, "sips:7001**1234@"+g.at["sips"], "--duration", "30s") }()
	g.waitFor("7001", "sip", "joined")
	if out, err := bridgehead(t, "meeting", "remove", "7001", "--data", g.dir); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	select {
	case r := <-ended:
		if r.Code != "normal" && r.Code != "ended" {
			t.Errorf("the call of the removed meeting ended: %s", r)
		}
	case <-time.After(10 * time.Second):
		t.Error("the removed meeting goes on")
	}
}

func (g *gateway) signal(s os.Signal) {
	g.t.Helper()
	if err := g.cmd.Process.Signal(s); err != nil {
		g.t.Fatal(err)
	}
}

func TestCheckNamesFaultsAndRemedies(t *testing.T) {
	g := serve(t)
	file := filepath.Join(t.TempDir(), "bad.yaml")
	text := "listen:\n  https: " + g.at["https"] + "\n  sips: nonsense\nlog:\n  level: loud\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := bridgehead(t, "check", "--config", file, "--data", t.TempDir())
	if err == nil {
		t.Errorf("faults, but exit 0: %s", out)
	}
	for _, want := range []string{file, "listen.sips", "nonsense", "log.level", "loud", "write"} {
		if !strings.Contains(out, want) {
			t.Errorf("check does not name %q: %s", want, out)
		}
	}
	out, err = bridgehead(t, "check", "--data", t.TempDir(), "--listen.https", g.at["https"])
	if err == nil || !strings.Contains(out, "listen.https") || !strings.Contains(out, "in use") {
		t.Errorf("a port that is taken: %v %s", err, out)
	}
	if out, err = bridgehead(t, "check", "--data", g.dir); err != nil {
		t.Errorf("check beside the running gateway: %v %s", err, out)
	}
}

func TestEverythingOutlivesARestart(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7001", "name": "Team", "guest_passcode": "1234"})
	if r := call(t, "sips:7001**1234@"+g.at["sips"], "--duration", "1s"); !r.Answered {
		t.Fatalf("call: %s", r)
	}
	g.waitForRecord("sip", "normal")
	g.signal(syscall.SIGTERM)
	eventually(t, 10*time.Second, "it stops when told to", func() bool {
		_, err := os.Stat(filepath.Join(g.dir, "addresses.json"))
		return os.IsNotExist(err)
	})
	again := &gateway{t: t, dir: g.dir, log: &buffer{}, http: g.http, login: g.login}
	again.start()
	if strings.Contains(again.log.String(), "Password") {
		t.Error("the second start prints a password")
	}
	if r := call(t, "sips:7001**1234@"+again.at["sips"], "--duration", "1s"); !r.Answered {
		t.Errorf("call after the restart: %s", r)
	}
	if n := len(again.records()); n < 2 {
		t.Errorf("%d call records after the restart, want both", n)
	}
}

func TestEventsTellWhatHappens(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7001"})
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+g.at["https"]+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.login.Token)
	client := &http.Client{Transport: g.http.Transport}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	seen := &buffer{}
	go func() {
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			_, _ = seen.Write(append(lines.Bytes(), '\n'))
		}
	}()
	if r := call(t, "sips:7001@"+g.at["sips"], "--duration", "1s"); !r.Answered {
		t.Fatalf("call: %s", r)
	}
	for _, want := range []string{"event: call", "event: participant", `"what":"joined"`, `"what":"left"`, `"code":"normal"`} {
		eventually(t, 5*time.Second, "the events hold "+want, func() bool { return strings.Contains(seen.String(), want) })
	}
}
