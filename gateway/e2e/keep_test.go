//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// kill ends the gateway at once, as a power cut would end its process.
func (g *gateway) kill() {
	g.t.Helper()
	_ = g.cmd.Process.Kill()
	pid := g.cmd.Process.Pid
	eventually(g.t, 10*time.Second, "the killed gateway is gone", func() bool { return syscall.Kill(pid, 0) != nil })
}

// writer changes things until the gateway is gone, and remembers what it was
// told is done.
type writer struct {
	g        *gateway
	mu       sync.Mutex
	meetings map[string]string // number: name, as answered last
	users    map[string]bool
	talk     string          // a conversation
	messages map[string]bool // written in it
}

// post sends one request; false: the gateway is gone.
func (w *writer) post(method, path string, in, out any) bool {
	body, err := json.Marshal(in)
	if err != nil {
		w.g.t.Error(err)
		return false
	}
	req, err := http.NewRequest(method, "https://"+w.g.at["https"]+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		w.g.t.Error(err)
		return false
	}
	req.Header.Set("Authorization", "Bearer "+w.g.login.Token)
	req.Header.Set("Content-Type", "application/json")
	res, err := w.g.http.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return false
	}
	if res.StatusCode >= 300 {
		w.g.t.Errorf("%s %s: %d %s", method, path, res.StatusCode, data)
		return false
	}
	if out != nil && json.Unmarshal(data, out) != nil {
		return false
	}
	return true
}

func (w *writer) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// work makes meetings, changes them and makes accounts, until the gateway dies.
func (w *writer) work(round, n int) {
	for i := 0; ; i++ {
		var m struct{ Number, Name string }
		if !w.post("POST", "/meetings", map[string]any{"name": fmt.Sprintf("made %d %d %d", round, n, i), "host_passcode": "80204060"}, &m) {
			return
		}
		w.note(func() { w.meetings[m.Number] = m.Name })
		name := m.Name + ", changed"
		if !w.post("PATCH", "/meetings/"+m.Number, map[string]any{"name": name}, nil) {
			w.note(func() { delete(w.meetings, m.Number) }) // either name is right
			return
		}
		w.note(func() { w.meetings[m.Number] = name })
		if email := fmt.Sprintf("u%d-%d-%d@example.org", round, n, i); i%8 == 0 {
			if !w.post("POST", "/users", map[string]any{"email": email, "password": "a good password"}, nil) {
				return
			}
			w.note(func() { w.users[email] = true })
		}
	}
}

// write says something every half second: more would be refused as a flood.
func (w *writer) write(round int) {
	for i := 0; ; i++ {
		text := fmt.Sprintf("said %d %d", round, i)
		if !w.post("POST", "/conversations/"+w.talk+"/messages", map[string]any{"text": text}, nil) {
			return
		}
		w.note(func() { w.messages[text] = true })
		time.Sleep(500 * time.Millisecond)
	}
}

// check compares what was answered with what is there after the restart.
func (w *writer) check() {
	t := w.g.t
	t.Helper()
	var meetings []struct{ Number, Name string }
	w.g.api("GET", "/meetings", nil, &meetings)
	there := map[string]string{}
	for _, m := range meetings {
		there[m.Number] = m.Name
	}
	for number, name := range w.meetings {
		if there[number] != name {
			t.Errorf("meeting %s is %q, was %q", number, there[number], name)
		}
	}
	var users []struct{ Email string }
	w.g.api("GET", "/users", nil, &users)
	known := map[string]bool{}
	for _, u := range users {
		known[u.Email] = true
	}
	for email := range w.users {
		if !known[email] {
			t.Errorf("account %s is lost", email)
		}
	}
	var messages []struct{ Text string }
	w.g.api("GET", "/conversations/"+w.talk+"/messages?limit=200", nil, &messages)
	said := map[string]bool{}
	for _, m := range messages {
		said[m.Text] = true
	}
	for text := range w.messages {
		if !said[text] {
			t.Errorf("message %q is lost", text)
		}
	}
}

// Whenever the process is killed, all that was answered is there, nothing is
// half there, and the calls under way are on record.
func TestNothingIsLostByAKill(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7001"})
	w := &writer{g: g, meetings: map[string]string{}, users: map[string]bool{}, messages: map[string]bool{}}
	var other, talk struct{ ID string }
	g.api("POST", "/users", map[string]any{"email": "other@example.org", "password": "a good password"}, &other)
	g.api("POST", "/conversations", map[string]any{"members": []string{other.ID}}, &talk)
	w.talk = talk.ID
	for round := range 6 {
		var all sync.WaitGroup
		for n := range 3 {
			all.Go(func() { w.work(round, n) })
		}
		all.Go(func() { w.write(round) })
		caller := command(t, program, "call", "sips:7001@"+g.at["sips"], "--insecure", "--bind", "127.0.0.1", "--duration", "20s", "--json")
		if err := caller.Start(); err != nil {
			t.Fatal(err)
		}
		inside := g.waitFor("7001", "sip", "joined").ID
		time.Sleep(400*time.Millisecond + rand.N(800*time.Millisecond))
		g.kill()
		all.Wait()
		_ = caller.Process.Kill()
		_ = caller.Wait()
		g.start()
		w.check()
		var r record
		g.api("GET", "/calls/"+inside, nil, &r)
		if r.Code != "shutdown" || r.Meeting != "7001" {
			t.Errorf("record of the call that was cut off: %+v", r)
		}
	}
	if len(w.meetings) < 30 || len(w.users) < 6 {
		t.Errorf("only %d meetings and %d accounts were made", len(w.meetings), len(w.users))
	}
	if len(w.messages) < 12 {
		t.Errorf("only %d messages were written", len(w.messages))
	}
	t.Logf("%d meetings, %d accounts and %d messages outlived 6 kills", len(w.meetings), len(w.users), len(w.messages))
	g.drill()
}

// drill makes a backup of the running gateway and starts another one of it on an
// empty directory (P94).
func (g *gateway) drill() {
	t := g.t
	t.Helper()
	file := filepath.Join(t.TempDir(), "gateway.backup")
	if out, err := bridgehead(t, "backup", file, "--data", g.dir); err != nil {
		t.Fatalf("backup: %v: %s", err, out)
	}
	if out, err := bridgehead(t, "restore", file, "--data", g.dir); err == nil || !strings.Contains(out, "a gateway runs") {
		t.Errorf("restored under a running gateway: %v %s", err, out)
	}
	again := &gateway{t: t, dir: filepath.Join(t.TempDir(), "restored"), log: &buffer{}, http: g.http, login: g.login}
	if out, err := bridgehead(t, "restore", file, "--data", again.dir); err != nil {
		t.Fatalf("restore: %v: %s", err, out)
	}
	again.start()
	for _, path := range []string{"/meetings", "/users", "/calls", "/devices", "/trunks", "/numbers"} {
		_, was := g.raw("GET", path, nil)
		_, is := again.raw("GET", path, nil)
		if !bytes.Equal(was, is) {
			t.Errorf("%s differs after the restore:\n%.500s\n%.500s", path, was, is)
		}
	}
}
