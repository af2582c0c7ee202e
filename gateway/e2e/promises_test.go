//go:build e2e

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A one-time meeting that was used is gone on every network, and its number
// leads nowhere and is not given out again.
func TestP28OneTimeMeetingIsGoneOnEveryNetwork(t *testing.T) {
	g := serve(t)
	g.trunk()
	const number, again = "7301", "There is no such meeting"
	g.meeting(map[string]any{"number": number, "name": "Once", "kind": "one-time", "guest_passcode": "1234"})
	g.api("POST", "/numbers", map[string]any{"number": "+15550130", "trunk": "carrier", "target": "meeting:" + number}, nil)
	alice := newDriver(t).open("alice", 440, nil)
	alice.join(g, number, "Alice", "1234")
	sip := startCall(t, "sips:"+number+"**1234@"+g.at["sips"], "--duration", "60s")
	h323 := startCall(t, g.h323(number+"**1234"), "--duration", "60s")
	newSIPp(t, g.at["sip_udp"], "+15550130", ",,1234#,", 1000)
	for _, protocol := range []string{"webrtc", "sip", "h323", "pstn"} {
		g.waitFor(number, protocol, "joined")
	}
	g.api("POST", "/meetings/"+number+"/end", nil, nil)
	for _, r := range []callReport{sip(), h323()} {
		if !r.Answered {
			t.Errorf("in the meeting: %s", r)
		}
	}
	alice.sees("The meeting has ended")

	eventually(t, 5*time.Second, "the meeting is deleted", func() bool { s, _ := g.raw("GET", "/meetings/"+number, nil); return s == 404 })
	if _, list := g.raw("GET", "/meetings", nil); strings.Contains(string(list), `"`+number+`"`) {
		t.Errorf("it is listed: %s", list)
	}
	if s, _ := g.raw("POST", "/meetings", map[string]any{"number": number}); s != 409 {
		t.Errorf("its number is given out again: %d", s)
	}
	alice.do("goto", map[string]any{"url": "https://" + g.at["https"] + "/join/" + number})
	alice.do("fill", map[string]any{"label": "Your name", "value": "Alice"})
	alice.click("Join meeting")
	alice.sees(again)
	// Who calls a number that is no meeting's is asked for one by a voice.
	for protocol, to := range map[string]string{"sip": "sips:" + number + "**1234@" + g.at["sips"], "h323": g.h323(number + "**1234")} {
		if r := call(t, to, "--duration", "4s"); !r.Answered || r.LevelDBov < -50 {
			t.Errorf("%s: no voice answers: %s", protocol, r)
		}
	}
	for _, r := range g.records() {
		if r.Meeting == "" && (r.Protocol == "sip" || r.Protocol == "h323") && strings.HasPrefix(r.To, number) {
			return
		}
	}
	t.Errorf("the calls afterwards are not on record outside of the meeting: %+v", g.records())
}

// What is said and shown leaves nothing on the disk (P79).
func TestP79NoMediaStaysBehind(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7001"})
	files := func() (names map[string]bool, size int64) {
		names = map[string]bool{}
		err := filepath.WalkDir(g.dir, func(path string, d fs.DirEntry, err error) error {
			if info, e := d.Info(); err == nil && e == nil && !d.IsDir() {
				names[path] = true
				size += info.Size()
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return names, size
	}
	before, was := files()
	shows := startCall(t, "sips:7001@"+g.at["sips"], "--video", "test", "--tone", "440", "--duration", "12s")
	sees := startCall(t, "sips:7001@"+g.at["sips"], "--video", "test", "--tone", "700", "--duration", "11s")
	g.waitFor("7001", "sip", "joined")
	time.Sleep(5 * time.Second)
	// While it goes on, nothing but the database is open for writing.
	for _, fd := range glob(t, "/proc/"+itoa(g.cmd.Process.Pid)+"/fd/*") {
		to, err := os.Readlink(fd)
		if err == nil && strings.HasPrefix(to, "/") && !strings.HasPrefix(to, g.dir) && !strings.HasPrefix(to, "/dev/") && !strings.HasPrefix(to, "/proc/") && writes(fd) {
			t.Errorf("%s is open for writing", to)
		}
	}
	if r := sees(); !r.hears(440) || r.Video == nil || r.Video.Pictures == 0 {
		t.Errorf("no call to leave anything: %s", r)
	}
	shows()
	g.waitForRecord("sip", "normal")
	after, is := files()
	for name := range after {
		if !before[name] {
			t.Errorf("%s is new", name)
		}
	}
	if grown := is - was; grown > 256<<10 {
		t.Errorf("%d bytes more lie in the data directory", grown)
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(pattern)
	if err != nil || len(list) == 0 {
		t.Fatalf("%s: %v, %v", pattern, list, err)
	}
	return list
}

// writes tells whether an open file of a process is open for writing.
func writes(fd string) bool {
	info, err := os.ReadFile(strings.Replace(fd, "/fd/", "/fdinfo/", 1))
	for line := range strings.Lines(string(info)) {
		if flags, ok := strings.CutPrefix(line, "flags:"); ok {
			flags = strings.TrimSpace(flags)
			return err == nil && flags != "" && (flags[len(flags)-1] == '1' || flags[len(flags)-1] == '2') // O_WRONLY, O_RDWR
		}
	}
	return false
}
