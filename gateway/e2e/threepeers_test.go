//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// picture is what a browser shows of a party's camera, as a small picture of RGB.
func (b *browser) picture(of string) []byte {
	b.d.t.Helper()
	name, _ := json.Marshal(of)
	var got string
	b.eval(`(async () => {
		const slot = (await window.bridgehead.stats()).slots.find((s) => s.kind === "video" && s.source === "camera" && s.name === `+string(name)+`);
		const track = window.bridgehead.pc.getTransceivers().find((t) => t.mid === slot?.mid)?.receiver.track;
		if (!track) return "";
		const video = Object.assign(document.createElement("video"), { srcObject: new MediaStream([track]), muted: true });
		await video.play();
		await new Promise((ok) => video.requestVideoFrameCallback(ok));
		const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 36 });
		const context = canvas.getContext("2d");
		context.imageSmoothingQuality = "high";
		context.drawImage(video, 0, 0, 64, 36);
		const rgba = context.getImageData(0, 0, 64, 36).data;
		return btoa(String.fromCharCode(...rgba.filter((_, i) => i % 4 !== 3)));
	})()`, &got)
	rgb, err := base64.StdEncoding.DecodeString(got)
	if err != nil {
		b.d.t.Fatal(err)
	}
	return rgb
}

// shown asks until a picture is as it should be.
func shown(t *testing.T, what string, picture func() []byte, ok func([]byte) bool) {
	t.Helper()
	var last []byte
	eventually(t, 15*time.Second, what, func() bool {
		last = picture()
		return len(last) == sightW*sightH*3 && ok(last)
	})
}

// mp4 is a film in a file that baresip plays.
func mp4(t *testing.T, bars []string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "film.mp4")
	out, err := command(t, "ffmpeg", "-v", "error", "-stream_loop", "40", "-r", "25", "-i", film(t, bars), "-c", "copy", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	return file
}

// Chromium, baresip over TLS and SRTP with H.264 by its own encoder and decoder,
// and an H.323 system with H.235 see each other: switched, then composed. What
// is sent is looked at by tshark.
func TestThreeImplementationsSeeEachOther(t *testing.T) {
	g := serve(t)
	g.meeting(map[string]any{"number": "7700", "layout": "switched"})
	wire := newCapture(t, "tcp port "+port(g.at["h323"]))
	alice := newDriver(t).open("alice", 440, map[string]any{"fakeVideo": cameraFile(t, warm)})
	alice.join(g, "7700", "Alice", "")
	g.waitFor("7700", "webrtc", "joined")
	phone := newBaresip(t, "7700@"+g.at["sips"], 0, mp4(t, cold))
	g.waitFor("7700", "sip", "joined")
	file := filepath.Join(t.TempDir(), "h323.h264")
	room, report := run(t, nil, program, "call", g.h323("7700"), "--json", "--bind", "127.0.0.1", "--name", "Room", "--duration", "3m", "--video", film(t, pale), "--record-video", file)
	g.waitFor("7700", "h323", "joined")

	shown(t, "baresip sees Alice", phone.seen, func(p []byte) bool { return whole(p, warm) })
	before, from, _ := phone.watched()
	shown(t, "Alice sees baresip", func() []byte { return alice.picture("bob") }, func(p []byte) bool { return whole(p, cold) })
	shown(t, "Alice sees the room", func() []byte { return alice.picture("Room") }, func(p []byte) bool { return whole(p, pale) })
	time.Sleep(2 * time.Second)
	after, to, size := phone.watched()
	rate := float64(after-before) / (to - from)
	t.Logf("baresip decoded %s, %.1f pictures a second", size, rate)
	if rate < 15 {
		t.Errorf("baresip saw %.1f pictures a second", rate)
	}

	g.api("PATCH", "/meetings/7700", map[string]any{"layout": "2x2"}, nil)
	cells := func(p []byte) bool {
		return shows(p, warm, 0, 0, 32, 18) && shows(p, cold, 32, 0, 32, 18) && shows(p, pale, 0, 18, 32, 18)
	}
	shown(t, "baresip sees all three, composed", phone.seen, cells)
	before, from, _ = phone.watched()
	time.Sleep(3 * time.Second)
	after, to, size = phone.watched()
	rate = float64(after-before) / (to - from)
	t.Logf("composed: baresip decoded %s, %.1f pictures a second", size, rate)
	if rate < 15 || size != "1280 x 720" {
		t.Errorf("composed: baresip saw %.1f pictures of %s a second", rate, size)
	}

	_ = room.Process.Signal(os.Interrupt)
	if err := room.Wait(); err != nil {
		t.Fatalf("the room: %v", err)
	}
	var r callReport
	if err := json.Unmarshal([]byte(report.String()), &r); err != nil {
		t.Fatalf("the room: %v: %s", err, report)
	}
	if r.Video == nil || r.Video.FirstPictureMS > 1000 || r.Video.FPS < 15 || r.Video.PacketsLost > 0 || r.Security.Media != "h235" {
		t.Errorf("the room: %+v %+v", r, r.Video)
	}
	s := see(t, file)
	if story := s.story(cells, func(p []byte) bool { return whole(p, warm) }); !strings.Contains(story, "s") || !strings.HasSuffix(story, "c") {
		t.Errorf("what the room saw went %s", story)
	}
	wire.stop()
	wire.mustBeWellFormed("h225 || h245", 10)
}
