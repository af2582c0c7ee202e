//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bridgehead/core/audio"
	"bridgehead/core/h264"
)

// colours of the bars of two parties' pictures, and how they are to look.
var (
	warm = []string{"red", "lime", "blue"} // as of `bridgehead call --video test`
	cold = []string{"yellow", "cyan", "magenta"}
	pale = []string{"white", "lime", "yellow"}
	rgb  = map[string][3]int{"red": {255, 0, 0}, "lime": {0, 255, 0}, "blue": {0, 0, 255},
		"white": {255, 255, 255}, "yellow": {255, 255, 0}, "cyan": {0, 255, 255}, "magenta": {255, 0, 255}}
)

// film makes a moving pattern of 720p with three bars, in NAL units that must
// be fragmented.
func film(t *testing.T, bars []string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "film.h264")
	args := []string{"-v", "error"}
	for i, c := range bars {
		args = append(args, "-f", "lavfi", "-i", fmt.Sprintf("color=%s:s=%dx600:r=25", c, []int{428, 424, 428}[i]))
	}
	args = append(args, "-f", "lavfi", "-i", "color=black:s=1280x120:r=25", "-f", "lavfi", "-i", "color=white:s=80x80:r=25",
		"-filter_complex", `[0][1][2]hstack=3[t];[t][3]vstack[p];[p][4]overlay=x='mod(n*24\,1200)':y=620`, "-frames:v", "50",
		"-pix_fmt", "yuv420p", "-c:v", "libx264", "-profile:v", "baseline", "-level", "3.1",
		"-x264-params", "keyint=25:min-keyint=25:scenecut=0:repeat-headers=1:threads=1", "-qp", "12", file)
	if out, err := command(t, "ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	return file
}

// cameraFile is a browser's camera that shows three bars and the square that runs.
func cameraFile(t *testing.T, bars []string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "camera.y4m")
	args := []string{"-v", "error"}
	for i, c := range bars {
		args = append(args, "-f", "lavfi", "-i", fmt.Sprintf("color=%s:s=%dx300:r=25", c, []int{214, 212, 214}[i]))
	}
	args = append(args, "-f", "lavfi", "-i", "color=black:s=640x60:r=25", "-f", "lavfi", "-i", "color=white:s=40x40:r=25",
		"-filter_complex", `[0][1][2]hstack=3[t];[t][3]vstack[p];[p][4]overlay=x='mod(n*12\,600)':y=310`, "-frames:v", "50",
		"-pix_fmt", "yuv420p", file)
	if out, err := command(t, "ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	return file
}

// formats are those in which the browser sends and gets pictures now.
func (b *browser) formats() (sent, received string) {
	b.d.t.Helper()
	var got [2]string
	b.eval(`(async () => {
		const all = [...(await window.bridgehead.pc.getStats()).values()];
		const of = (type, n) => [...new Set(all.filter((r) => r.type === type && r.kind === "video" && r[n] > 0 && (r.active ?? true) && r.codecId)
			.map((r) => all.find((c) => c.id === r.codecId)?.mimeType.slice(6)))].join("+");
		return [of("outbound-rtp", "framesEncoded"), of("inbound-rtp", "framesDecoded")];
	})()`, &got)
	return got[0], got[1]
}

// watchGaps begins to measure the longest time from one picture received to the
// next, in the page; gap reads it.
func (b *browser) watchGaps() {
	b.d.t.Helper()
	b.do("eval", map[string]any{"script": `(() => {
		const ids = new Set(window.bridgehead.pc.getReceivers().map((r) => r.track.id));
		window.longestGap = 0;
		for (const v of document.querySelectorAll("video")) {
			if (![...(v.srcObject?.getTracks() ?? [])].some((t) => ids.has(t.id))) continue;
			let last = performance.now();
			const next = (now) => { window.longestGap = Math.max(window.longestGap, now - last); last = now; v.requestVideoFrameCallback(next); };
			v.requestVideoFrameCallback(next);
		}
		return 1;
	})()`})
}

func (b *browser) gap() (d time.Duration) {
	b.d.t.Helper()
	var ms float64
	b.eval("window.longestGap", &ms)
	return time.Duration(ms * float64(time.Millisecond))
}

// mustShow decodes an H.264 file: no picture may be damaged, each has the bars,
// and the square runs.
func mustShow(t *testing.T, file string, bars []string, atLeast int) {
	t.Helper()
	const w = sightW
	seen := see(t, file).pictures
	pictures := len(seen)
	at := func(n, x, y int) (c [3]int) {
		for i := range c {
			c[i] = int(seen[n][(y*w+x)*3+i])
		}
		return c
	}
	places := map[int]bool{}
	for n := range pictures {
		for i, bar := range bars {
			got, want := at(n, []int{10, 32, 53}[i], 14), rgb[bar]
			for k := range got {
				if d := got[k] - want[k]; d < -48 || d > 48 {
					t.Fatalf("picture %d of %d: bar %d is %v, want %s", n, pictures, i, got, bar)
				}
			}
		}
		for x := range w {
			if at(n, x, 33)[1] > 128 {
				places[x] = true
				break
			}
		}
	}
	t.Logf("%s: %d whole pictures with bars in %v; the square was seen at %d places", filepath.Base(file), pictures, bars, len(places))
	if pictures < atLeast || len(places) < 20 {
		t.Errorf("%d pictures, the square at %d places", pictures, len(places))
	}
}

// A SIP and an H.323 system see each other, encrypted: whole pictures from the
// first second on.
func TestRoomSystemsSeeEachOther(t *testing.T) {
	g := serve(t, "--video.cpu", "0") // nothing is composed
	g.meeting(map[string]any{"number": "7500", "layout": "switched"})
	dir := t.TempDir()
	sipSaw, h323Saw := filepath.Join(dir, "sip.h264"), filepath.Join(dir, "h323.h264")
	done := startCall(t, "sips:7500@"+g.at["sips"], "--duration", "14s", "--tone", "2600", "--video", "test", "--record-video", sipSaw)
	g.waitFor("7500", "sip", "joined")
	time.Sleep(2 * time.Second) // its prompt
	room := call(t, g.h323("7500"), "--duration", "8s", "--tone", "3100", "--video", film(t, cold), "--record-video", h323Saw)
	phone := done()
	for name, r := range map[string]callReport{"SIP": phone, "H.323": room} {
		if !r.Answered || r.Video == nil {
			t.Fatalf("%s: %+v", name, r)
		}
		v := r.Video
		t.Logf("%s: %s %s, %dx%d, %d pictures, %.1f a second, the first after %.0f ms, longest gap %.0f ms, %d packets lost; sent %d, asked for %d keyframes",
			name, r.Security.Media, v.Codec, v.Width, v.Height, v.Pictures, v.FPS, v.FirstPictureMS, v.LongestGapMS, v.PacketsLost, v.PicturesSent, v.KeyframesAsked)
		if r.Security.Media == "clear" || v.FPS < 15 || v.PacketsLost > 0 || v.KeyframesAsked > 15 {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if room.Video.FirstPictureMS > 1000 {
		t.Errorf("the first picture came after %.0f ms", room.Video.FirstPictureMS)
	}
	if v := phone.Video; v.Width != 1280 || v.Height != 720 {
		t.Errorf("the SIP system saw %dx%d", v.Width, v.Height)
	}
	if v := room.Video; v.Width != 640 || v.Height != 360 {
		t.Errorf("the H.323 system saw %dx%d", v.Width, v.Height)
	}
	mustShow(t, sipSaw, cold, 100)
	mustShow(t, h323Saw, warm, 100)
}

// Browsers send what they like best until somebody comes who takes only H.264;
// then that, seen by all, without a picture missed for longer than one notices;
// and as before when the last such party has gone.
func TestBrowsersAndRoomSystemsSeeEachOther(t *testing.T) {
	g := serve(t, "--video.cpu", "0") // nothing is composed
	g.meeting(map[string]any{"number": "7501", "layout": "switched"})
	d := newDriver(t)
	alice := d.open("alice", 440, map[string]any{"fakeVideo": cameraFile(t, warm)})
	bob := d.open("bob", 0, map[string]any{"fakeVideo": cameraFile(t, warm)})
	alice.join(g, "7501", "Alice", "")
	bob.join(g, "7501", "Bob", "")
	eventually(t, 40*time.Second, "the browsers see each other", func() bool {
		return alice.camera("Bob").FramesDecoded > 20 && bob.camera("Alice").FramesDecoded > 20
	})
	sent, _ := alice.formats()
	_, received := bob.formats()
	if sent == "H264" || received != sent {
		t.Fatalf("among themselves browsers send %s, and receive %s", sent, received)
	}
	time.Sleep(5 * time.Second) // the larger layers too
	bob.watchGaps()
	dir := t.TempDir()
	files := map[string]string{"SIP": filepath.Join(dir, "sip.h264"), "H.323": filepath.Join(dir, "h323.h264")}
	report := startCall(t, "sips:7501@"+g.at["sips"], "--duration", "20s", "--video", film(t, cold), "--record-video", files["SIP"], "--name", "Room")
	eventually(t, 20*time.Second, "Alice sends H.264", func() bool { sent, _ := alice.formats(); return sent == "H264" })
	eventually(t, 20*time.Second, "Bob gets H.264", func() bool { _, received := bob.formats(); return strings.Contains(received, "H264") })
	eventually(t, 20*time.Second, "Bob sees the room", func() bool { return bob.camera("Room").FramesDecoded > 20 })
	h := call(t, g.h323("7501"), "--duration", "6s", "--video", film(t, cold), "--record-video", files["H.323"])
	gap := bob.gap()
	s := report()
	for name, r := range map[string]callReport{"SIP": s, "H.323": h} {
		v := r.Video
		if !r.Answered || v == nil {
			t.Fatalf("%s: %+v", name, r)
		}
		t.Logf("%s: %s %s, %dx%d, %d pictures, %.1f a second, the first after %.0f ms, longest gap %.0f ms, %d of %d packets lost; asked for %d keyframes",
			name, r.Security.Media, v.Codec, v.Width, v.Height, v.Pictures, v.FPS, v.FirstPictureMS, v.LongestGapMS, v.PacketsLost, v.PacketsReceived, v.KeyframesAsked)
		if r.Security.Media == "clear" || v.FPS < 15 || v.FirstPictureMS > 1000 || v.PacketsLost > 0 {
			t.Errorf("%s: %+v", name, v)
		}
	}
	mustShow(t, files["SIP"], warm, 100)
	t.Logf("the longest time without a picture of Alice at Bob, with the change of format in it: %v", gap)
	if gap > 500*time.Millisecond {
		t.Errorf("Bob saw no picture of Alice for %v", gap)
	}
	eventually(t, 20*time.Second, "Alice sends what she likes best again", func() bool { again, _ := alice.formats(); return again == sent })
	eventually(t, 20*time.Second, "and Bob sees it", func() bool { _, received := bob.formats(); return strings.Contains(received, sent) })
}

// screens lists who presents in a meeting.
func (g *gateway) screens(number string) (names []string) {
	for _, p := range g.participants(number) {
		if slices.Contains(p.Sources, "screen") {
			names = append(names, p.Name)
		}
	}
	return names
}

// A SIP room presents by BFCP, an H.323 room by H.239 and a browser by its share,
// one at a time: whoever begins takes over, and all others see it.
func TestContentGoesBetweenNetworks(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7502", "layout": "switched"})
	alice := newDriver(t).open("alice", 440, nil)
	alice.join(g, "7502", "Alice", "")
	g.waitFor("7502", "webrtc", "joined")
	dir := t.TempDir()
	sipSaw, h323Saw := filepath.Join(dir, "sip.h264"), filepath.Join(dir, "h323.h264")
	results := [2]chan callReport{make(chan callReport, 1), make(chan callReport, 1)}
	place := func(i int, to string, more ...string) {
		results[i] <- call(t, to, append(more, "--duration", "32s", "--video", "test")...)
	}
	go place(0, "sips:7502@"+g.at["sips"], "--name", "SIP room", "--present", "test", "--record-screen", sipSaw)
	var now []string
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%q presented last; Alice reads %s", now, alice.do("text", nil))
		}
	})
	presents := func(who string) func() bool {
		return func() bool {
			now = g.screens("7502")
			if len(now) > 1 {
				t.Errorf("%q present at once", now)
			}
			return slices.Equal(now, []string{who})
		}
	}
	sees := func(who string) func() bool {
		return func() bool {
			for _, s := range alice.slots() {
				if s.Source == "screen" && s.Name == who && s.FramesDecoded > 20 {
					return true
				}
			}
			return false
		}
	}
	eventually(t, 15*time.Second, "the SIP room presents", presents("SIP room"))
	eventually(t, 15*time.Second, "Alice sees it", sees("SIP room"))
	go place(1, g.h323("7502"), "--name", "H.323 room", "--present", film(t, cold), "--record-screen", h323Saw)
	eventually(t, 15*time.Second, "the H.323 room presents in its place, or sees it", func() bool {
		now := g.screens("7502")
		return len(g.participants("7502")) == 3 && len(now) == 1
	})
	time.Sleep(4 * time.Second)
	alice.click("Share")
	eventually(t, 15*time.Second, "Alice presents in its place", presents("Alice"))
	time.Sleep(4 * time.Second)
	if !presents("Alice")() {
		t.Errorf("%q present", g.screens("7502"))
	}
	sip, h323 := <-results[0], <-results[1]
	for name, r := range map[string]callReport{"SIP": sip, "H.323": h323} {
		if v := r.Screen; v == nil || v.Pictures == 0 {
			t.Errorf("%s: nothing was presented to it: %+v", name, r.Screen)
		} else {
			t.Logf("%s: was presented %s %dx%d, %d pictures, %d packets lost; presented %d", name, v.Codec, v.Width, v.Height, v.Pictures, v.PacketsLost, v.PicturesSent)
		}
	}
	if sip.Screen.PicturesSent == 0 {
		t.Error("the SIP room has not presented")
	}
	t.Logf("%d and %d whole pictures were presented", len(see(t, sipSaw).pictures), len(see(t, h323Saw).pictures))
}

// spell is a time for which one of two goes on, from its beginning.
type spell struct {
	who  int
	from time.Duration
}

// spells finds who goes on when, in what is the one or the other (-1: neither)
// at each step; what is shorter than three steps is noise.
func spells(steps []int, each time.Duration) (list []spell) {
	run := 0
	for i, who := range steps {
		if i > 0 && who == steps[i-1] {
			run++
		} else {
			run = 1
		}
		if run == 3 && who >= 0 && (len(list) == 0 || list[len(list)-1].who != who) {
			list = append(list, spell{who, time.Duration(i-2) * each})
		}
	}
	return list
}

// Two speak in turn, four seconds each: a room system that watches is shown each
// within a second of hearing it, at a whole picture, and nobody is asked for
// whole pictures more than once a second.
func TestWhoSpeaksIsShownWithinASecond(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7503", "layout": "switched"})
	hz := []float64{2600, 3100} // where the prompts hide nothing
	dir := t.TempDir()
	var speakers []func() callReport
	for i, bars := range [][]string{warm, cold} {
		file := filepath.Join(dir, fmt.Sprintf("says%d.wav", i))
		pcm := tone(16000, hz[i], 8*time.Second)
		clear(pcm[(1-i)*len(pcm)/2 : (2-i)*len(pcm)/2])
		writeSound(t, file, 16000, pcm)
		speakers = append(speakers, startCall(t, "sips:7503@"+g.at["sips"], "--duration", "36s", "--play", file, "--video", film(t, bars)))
	}
	eventually(t, 15*time.Second, "both are in", func() bool { return len(g.participants("7503")) == 2 })
	saw, heard := filepath.Join(dir, "saw.h264"), filepath.Join(dir, "heard.wav")
	r := call(t, g.h323("7503"), "--duration", "26s", "--video", "test", "--record-video", saw, "--record", heard)
	var reports []callReport
	for _, s := range speakers {
		reports = append(reports, s())
	}
	for i, s := range reports {
		if s.Video == nil || s.Video.KeyframesAsked > 36 {
			t.Errorf("speaker %d: %+v", i, s.Video)
		} else {
			t.Logf("speaker %d was asked for %d whole pictures in 36 s", i, s.Video.KeyframesAsked)
		}
	}
	s := readWAV(t, heard)
	const window = 100 * time.Millisecond
	var sounds, pictures []int
	for n := int(window.Seconds() * float64(s.rate)); len(s.pcm) >= n; s.pcm = s.pcm[n:] {
		levels := audio.Spectrum(s.pcm[:n], s.rate, hz...)
		switch {
		case levels[0] > -40 && levels[0] > levels[1]+6:
			sounds = append(sounds, 0)
		case levels[1] > -40 && levels[1] > levels[0]+6:
			sounds = append(sounds, 1)
		default:
			sounds = append(sounds, -1)
		}
	}
	for _, p := range see(t, saw).pictures {
		switch {
		case whole(p, warm):
			pictures = append(pictures, 0)
		case whole(p, cold):
			pictures = append(pictures, 1)
		default:
			pictures = append(pictures, -1)
		}
	}
	said := spells(sounds, window)
	shown := spells(pictures, 1) // by number
	for i := range shown {
		shown[i].from = time.Duration(r.Video.PictureMS[shown[i].from] * float64(time.Millisecond))
	}
	t.Logf("heard %v; first picture after %.0f ms, %.1f a second: shown %v", said, r.Video.FirstPictureMS, r.Video.FPS, shown)
	checked := 0
	for _, a := range said[1:] {
		for _, p := range shown {
			at := p.from
			if p.who == a.who && at > a.from-500*time.Millisecond && at < a.from+3*time.Second {
				checked++
				if at-a.from > time.Second+window { // the window in which it is heard begins before it
					t.Errorf("speaker %d is shown %v after being heard", a.who, at-a.from)
				}
				break
			}
		}
	}
	if checked < 4 {
		t.Errorf("%d changes of %d were shown", checked, len(said)-1)
	}
}

// A picture of 2160 lines goes between SIP systems that can, just as it was sent
// (promise 1).
func TestP1LargePicturesGoUnchanged(t *testing.T) {
	g := serve(t, "--video.lines", "2160")
	g.meeting(map[string]any{"number": "7504", "layout": "switched"})
	dir := t.TempDir()
	large, saw := filepath.Join(dir, "large.h264"), filepath.Join(dir, "saw.h264")
	if out, err := command(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "smptebars=s=3840x2160:r=25", "-frames:v", "25", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast",
		"-profile:v", "baseline", "-level", "5.1", "-b:v", "8M", "-maxrate", "8M", "-bufsize", "4M", "-x264-params", "keyint=25:scenecut=0:repeat-headers=1:slice-max-size=1100:sei=0", "-bsf:v", "filter_units=remove_types=6", large).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	watch := startCall(t, "sips:7504@"+g.at["sips"], "--duration", "12s", "--lines", "2160", "--video", "test", "--record-video", saw)
	g.waitFor("7504", "sip", "joined")
	call(t, "sips:7504@"+g.at["sips"], "--duration", "6s", "--lines", "2160", "--video", large)
	if v := watch().Video; v == nil || v.PacketsLost > 0 {
		t.Fatalf("the other saw %+v", v)
	}
	sent, _ := os.ReadFile(large)
	got, _ := os.ReadFile(saw)
	units := map[string]bool{}
	for _, n := range h264.Split(sent) {
		units[string(n)] = true
	}
	n, lines := 0, 0 // before and after it comes the screen of one who is alone
	for _, u := range h264.Split(got) {
		if p, err := h264.ParseSPS(u); err == nil {
			lines = p.Height
		}
		if lines != 2160 {
			continue
		}
		if n++; !units[string(u)] && u[0]&0x1f != h264.SEI {
			t.Fatalf("NAL unit %d of type %d is none of those sent", n, u[0]&0x1f)
		}
	}
	if n < 100 {
		t.Errorf("only %d NAL units came", n)
	}
	t.Logf("%d NAL units came, each as it was sent", n)
}
