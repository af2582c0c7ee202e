//go:build e2e

package e2e

import (
	"bufio"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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
	talks := startCall(t, "sips:7001**1234@"+g.at["sips"], "--tone", "440", "--duration", "12s")
	g.waitFor("7001", "sip", "joined")
	hears := startCall(t, "sips:7001**1234@"+g.at["sips"], "--duration", "9s")
	time.Sleep(time.Second)
	write("log:\n  level: debug\npasscode:\n  tries: 5\n")
	g.signal(syscall.SIGHUP)
	eventually(t, 5*time.Second, "the configuration is reloaded", func() bool { return strings.Contains(g.log.String(), "configuration reloaded") })
	write("log:\n  level: loud\n")
	g.signal(syscall.SIGHUP)
	eventually(t, 5*time.Second, "a faulty configuration is refused, with its key", func() bool {
		return strings.Contains(g.log.String(), "log.level") && strings.Contains(g.log.String(), "not reloaded")
	})
	if r := hears(); !r.hears(440) || r.Audio.PacketsLost > 0 {
		t.Errorf("during the reloads: %s, lost %d", r, r.Audio.PacketsLost)
	}
	if r := talks(); !r.Answered || r.Code != "normal" {
		t.Errorf("the call ended: %s", r)
	}
	removed := startCall(t, "sips:7001**1234@"+g.at["sips"], "--duration", "30s")
	g.waitFor("7001", "sip", "joined")
	if out, err := bridgehead(t, "meeting", "remove", "7001", "--data", g.dir); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if at, r := time.Now(), removed(); r.Code != "normal" && r.Code != "ended" || time.Since(at) > 10*time.Second {
		t.Errorf("the call of the removed meeting ended after %v: %s", time.Since(at), r)
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
	seen := g.stream("/events")
	if r := call(t, "sips:7001@"+g.at["sips"], "--duration", "1s"); !r.Answered {
		t.Fatalf("call: %s", r)
	}
	g.api("POST", "/users", map[string]any{"email": "new@example.org", "password": "a good password"}, nil)
	for _, want := range []string{"event: configured", "event: call", "event: participant", `"what":"joined"`, `"what":"left"`, `"code":"normal"`} {
		eventually(t, 5*time.Second, "the events hold "+want, func() bool { return strings.Contains(seen.String(), want) })
	}
}

// A person whose account is removed is out of the call and of the pages within
// five seconds; till then it is the host of its own meeting, without a passcode.
func TestP39RevokedPersonIsOutWithinFiveSeconds(t *testing.T) {
	g := serve(t)
	const password = "correct horse battery"
	var user struct{ ID string }
	g.api("POST", "/users", map[string]any{"email": "alice@example.org", "display_name": "Alice", "password": password, "role": "user"}, &user)
	admin := g.login.Token
	var session struct{ Token string }
	g.api("POST", "/login", map[string]any{"user": "alice@example.org", "password": password}, &session)
	g.login.Token = session.Token
	g.meeting(map[string]any{"number": "7001", "guest_passcode": "24681357", "admission": "accept"})
	stream := g.stream("/events")
	g.login.Token = admin
	alice := newDriver(t).open("alice", 440, nil)
	alice.do("goto", map[string]any{"url": "https://" + g.at["https"] + "/signin"})
	alice.do("fill", map[string]any{"label": "E-mail address", "value": "alice@example.org"})
	alice.do("fill", map[string]any{"label": "Password", "value": password})
	alice.click("Sign in")
	alice.sees("Sign out")
	alice.join(g, "7001", "Alice", "")
	if p := g.waitFor("7001", "webrtc", "joined"); p.Role != "host" {
		t.Errorf("the owner is %s", p.Role)
	}
	g.meeting(map[string]any{"number": "7002", "hidden": true}) // else it is in the directory, for all to see
	if r := call(t, "sips:7002@"+g.at["sips"], "--duration", "1s"); !r.Answered {
		t.Fatalf("call: %s", r)
	}
	eventually(t, 5*time.Second, "the owner is told of its own meeting", func() bool { return strings.Contains(stream.String(), `"what":"joined"`) })
	if told := stream.String(); strings.Contains(told, "7002") {
		t.Errorf("a user is told of another's meeting: %s", told)
	}
	g.api("DELETE", "/users/"+user.ID, nil, nil)
	eventually(t, 5*time.Second, "nobody is in the meeting", func() bool { return len(g.participants("7001")) == 0 })
	eventually(t, 5*time.Second, "the stream of events has ended", stream.ended)
	alice.sees("Your account was revoked")
	g.login.Token = session.Token
	if status, _ := g.raw("GET", "/me", nil); status != http.StatusUnauthorized {
		t.Errorf("the session of one who is gone is answered with %d", status)
	}
}

// stream is what has come of an answer that goes on.
type stream struct {
	buffer
	over atomic.Bool
}

func (s *stream) ended() bool { return s.over.Load() }

func (g *gateway) stream(path string) *stream {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), "GET", "https://"+g.at["https"]+"/api/v1"+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+g.login.Token)
	res, err := (&http.Client{Transport: g.http.Transport}).Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		g.t.Fatalf("GET %s: %d", path, res.StatusCode)
	}
	s := &stream{}
	go func() {
		defer s.over.Store(true)
		defer res.Body.Close()
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			_, _ = s.Write(append(lines.Bytes(), '\n'))
		}
	}()
	return s
}
