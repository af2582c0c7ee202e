//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bridgehead/core/h264"
)

// sight is what a party saw, decoded to small pictures.
type sight struct {
	name     string
	pictures [][]byte // 64 by 36 pixels of RGB
}

const sightW, sightH = 64, 36

// see decodes what a party kept; no picture may be damaged.
func see(t *testing.T, file string) sight {
	t.Helper()
	cmd := command(t, "ffmpeg", "-v", "warning", "-err_detect", "explode", "-i", file, "-vf", fmt.Sprintf("scale=%d:%d:flags=area", sightW, sightH),
		"-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil || strings.Contains(complaints.String(), "error") || strings.Contains(complaints.String(), "concealing") {
		t.Fatalf("%s: %v\n%s", filepath.Base(file), err, complaints.String())
	}
	s := sight{name: filepath.Base(file)}
	for b := out.Bytes(); len(b) >= sightW*sightH*3; b = b[sightW*sightH*3:] {
		s.pictures = append(s.pictures, b[:sightW*sightH*3])
	}
	return s
}

// shows tells whether the bars are in a part of the picture.
func shows(picture []byte, bars []string, x, y, w, h int) bool {
	for i, bar := range bars {
		at := ((y+h*2/5)*sightW + x + (2*i+1)*w/6) * 3
		for k, want := range rgb[bar] {
			if d := int(picture[at+k]) - want; d < -60 || d > 60 {
				return false
			}
		}
	}
	return true
}

// the lower cells of 2x2, where those come who arrive third and fourth, and the
// whole picture.
func lowerLeft(p []byte, bars []string) bool  { return shows(p, bars, 0, 18, 32, 18) }
func lowerRight(p []byte, bars []string) bool { return shows(p, bars, 32, 18, 32, 18) }
func whole(p []byte, bars []string) bool      { return shows(p, bars, 0, 0, 64, 36) }

// dark tells a black picture.
func dark(p []byte) bool {
	for _, c := range p {
		if c > 24 {
			return false
		}
	}
	return true
}

// story is how the picture was made, one letter for each stretch of three
// pictures and more: c composed, s switched, - something else.
func (s sight) story(composed, switched func([]byte) bool) string {
	var b strings.Builder
	run, last := 0, byte(0)
	for _, p := range s.pictures {
		now := byte('-')
		if composed(p) {
			now = 'c'
		} else if switched(p) {
			now = 's'
		}
		if now != last {
			run, last = 0, now
		}
		if run++; run == 3 && !strings.HasSuffix(b.String(), string(now)) {
			b.WriteByte(now)
		}
	}
	return b.String()
}

var workerStarted = regexp.MustCompile(`media worker started.* pid=(\d+)`)

// worker is the process of the media worker that was started last, and how many
// there have been.
func (g *gateway) worker() (pid, count int) {
	all := workerStarted.FindAllStringSubmatch(g.log.String(), -1)
	if len(all) == 0 {
		g.t.Fatal("no media worker was started; make build makes it")
	}
	pid, _ = strconv.Atoi(all[len(all)-1][1])
	return pid, len(all)
}

// killWorker kills the media worker as often as it is started again: then the
// next is waited for.
func (g *gateway) killWorker(times int) {
	g.t.Helper()
	for range times {
		pid, count := g.worker()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			g.t.Fatal(err)
		}
		eventually(g.t, 15*time.Second, "another media worker is started", func() bool { _, n := g.worker(); return n > count })
	}
}

// startCall begins a test call; report gives what it says at the end.
func startCall(t *testing.T, to string, args ...string) (report func() callReport) {
	done := make(chan callReport, 1)
	go func() {
		defer close(done) // a call that fails reports nothing
		done <- call(t, to, args...)
	}()
	return func() callReport {
		t.Helper()
		r, ok := <-done
		if !ok {
			t.Fatalf("the call to %s has given no report", to)
		}
		return r
	}
}

// A SIP and an H.323 system see each other in a composed picture, in the right
// cells. The worker is killed: talk goes on, they see one another switched, and
// composed again.
func TestComposedView(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7600", "layout": "2x2"})
	k := newTalk(g, "7600", 26*time.Second)
	k.cut = 2 * time.Second
	dir := t.TempDir()
	sipSaw, h323Saw := filepath.Join(dir, "sip.h264"), filepath.Join(dir, "h323.h264")
	phone := startCall(t, "sips:7600@"+g.at["sips"], "--duration", "19s", "--video", "test", "--record-video", sipSaw)
	g.waitFor("7600", "sip", "joined")
	eventually(t, 10*time.Second, "the SIP system is in", func() bool { return len(g.participants("7600")) == 3 })
	room := startCall(t, g.h323("7600"), "--duration", "15s", "--video", film(t, cold), "--record-video", h323Saw)
	g.waitFor("7600", "h323", "joined")
	time.Sleep(4 * time.Second)
	g.killWorker(5) // the fifth is waited for 1.6 s
	for name, r := range map[string]callReport{"SIP": phone(), "H.323": room()} {
		if !r.Answered || r.Video == nil {
			t.Fatalf("%s: %+v", name, r)
		}
		v := r.Video
		t.Logf("%s: %dx%d, %d pictures, %.1f a second, the first after %.0f ms, longest gap %.0f ms, %d packets lost, %d keyframes; asked for %d",
			name, v.Width, v.Height, v.Pictures, v.FPS, v.FirstPictureMS, v.LongestGapMS, v.PacketsLost, v.Keyframes, v.KeyframesAsked)
		if v.FPS < 15 || v.FirstPictureMS > 1000 || v.LongestGapMS > 2000 || v.PacketsLost > 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
	both := func(p []byte) bool { return lowerLeft(p, warm) && lowerRight(p, cold) }
	for file, other := range map[string][]string{sipSaw: cold, h323Saw: warm} {
		s := see(t, file)
		story := s.story(both, func(p []byte) bool { return whole(p, other) })
		t.Logf("%s: %d pictures: %s", s.name, len(s.pictures), story)
		if !strings.Contains(story, "csc") {
			t.Errorf("%s: the picture went %s", s.name, story)
		}
		for i, p := range s.pictures {
			if dark(p) {
				t.Errorf("%s: picture %d of %d is black", s.name, i, len(s.pictures))
				break
			}
		}
	}
	k.mustGoOn(20 * time.Second)
}

// hurtFilm makes a stream that begins as it should, and in which then nothing can
// be relied on: parameter sets, slices, and units that read as aggregates and
// fragments.
func hurtFilm(t *testing.T, seed uint64) string {
	t.Helper()
	good, err := os.ReadFile(film(t, cold))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	var out []byte
	for i, picture := range h264.Pictures(h264.Split(good)) {
		for _, n := range picture {
			n = bytes.Clone(n)
			for range r.IntN(12) * min(i, 1) {
				n[r.IntN(len(n)-1)+1] ^= byte(1 + r.IntN(255))
			}
			if i > 0 {
				switch r.IntN(12) {
				case 0:
					n[0] = 0x78 // STAP-A
				case 1:
					n[0] = 0x7c // FU-A
				case 2:
					n[0] = byte(r.Uint32())
				case 3:
					n = n[:1+r.IntN(len(n))]
				}
			}
			n = bytes.ReplaceAll(n, []byte{0, 0, 1}, []byte{0, 0, 3, 1}) // it stays one unit
			out = append(append(out, 0, 0, 0, 1), n...)
		}
	}
	file := filepath.Join(t.TempDir(), "hurt.h264")
	if err := os.WriteFile(file, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What two parties send is no H.264 worth the name: at most the worker dies of
// it; the others talk and see.
func TestHostilePicturesHarmNobodyElse(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7601", "layout": "2x2"})
	k := newTalk(g, "7601", 18*time.Second)
	k.cut = 2 * time.Second
	saw := filepath.Join(t.TempDir(), "sip.h264")
	good := startCall(t, "sips:7601@"+g.at["sips"], "--duration", "14s", "--video", "test", "--record-video", saw)
	eventually(t, 10*time.Second, "the good one is in", func() bool { return len(g.participants("7601")) == 3 })
	one := startCall(t, "sips:7601@"+g.at["sips"], "--duration", "10s", "--video", hurtFilm(t, 1))
	two := startCall(t, g.h323("7601"), "--duration", "10s", "--video", hurtFilm(t, 2))
	r := good()
	_, workers := g.worker()
	t.Logf("%d workers; the good one saw %+v", workers, *r.Video)
	if a, b := one(), two(); !a.Answered || !b.Answered {
		t.Errorf("the others: %+v, %+v", a, b)
	}
	if r.Video.Pictures < 100 || r.Video.PacketsLost > 0 {
		t.Errorf("saw %+v", *r.Video)
	}
	mine := 0
	s := see(t, saw)
	for _, p := range s.pictures {
		if lowerLeft(p, warm) {
			mine++
		}
	}
	if mine < len(s.pictures)/2 {
		t.Errorf("of %d pictures only %d show the good one in its cell", len(s.pictures), mine)
	}
	k.mustGoOn(10 * time.Second)
}

// Who enters a number, waits or is alone sees a screen, not black.
func TestScreensBeforeTheMeeting(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7602", "guest_passcode": "4711", "host_passcode": "8822", "admission": "accept"})
	dir := t.TempDir()
	for name, c := range map[string]struct{ to, keys string }{
		"reception": {"sips:0@" + g.at["sips"], ""},
		"waiting":   {"sips:7602**4711@" + g.at["sips"], ""},
		"alone":     {"sips:7602**8822@" + g.at["sips"], ""},
		"h323":      {g.h323("7602**8822"), ""},
	} {
		file := filepath.Join(dir, name+".h264")
		r := call(t, c.to, "--duration", "3s", "--video", "test", "--record-video", file)
		if !r.Answered || r.Video == nil || r.Video.Pictures < 3 || r.Video.FirstPictureMS > 1000 {
			t.Errorf("%s: %+v %+v", name, r, r.Video)
			continue
		}
		s := see(t, file)
		last := s.pictures[len(s.pictures)-1]
		bright := 0
		for i := 0; i < len(last); i += 3 {
			if last[i] > 70 {
				bright++
			}
		}
		t.Logf("%s: %d pictures, the first after %.0f ms, %d bright spots", name, len(s.pictures), r.Video.FirstPictureMS, bright)
		if bright < 10 || bright > sightW*sightH/4 || dark(last) {
			t.Errorf("%s: no writing on a plain ground", name)
		}
	}
}
