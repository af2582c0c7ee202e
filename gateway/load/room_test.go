package load

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/h264"
)

// twoPictures are a keyframe of two packets and one of one, as a byte
// stream.
func twoPictures() []byte {
	key := append([]byte{0x65, 0x88}, slices.Repeat([]byte{7}, clipMTU)...)
	var out []byte
	for _, nal := range [][]byte{{0x67, 0x42, 0xe0, 0x1f}, {0x68, 1}, key, {0x41, 0x9a, 1}} {
		out = append(append(out, 0, 0, 0, 1), nal...)
	}
	return out
}

// sinkOf hands on what is written.
type sinkOf func(*core.Packet) error

func (f sinkOf) Write(p *core.Packet) error { return f(p) }
func (sinkOf) Close() error                 { return nil }

func filming(t *testing.T) (camera, viewer *room) {
	t.Helper()
	c, err := newClip(twoPictures())
	if err != nil {
		t.Fatal(err)
	}
	if camera, err = newRoom(c, nil); err != nil {
		t.Fatal(err)
	}
	if viewer, err = newRoom(nil, camera); err != nil {
		t.Fatal(err)
	}
	camera.active.Store(true)
	viewer.active.Store(true)
	return camera, viewer
}

func TestARoomMustBeSentWhatTheCameraSent(t *testing.T) {
	camera, viewer := filming(t)
	var sent []core.Packet
	var sink core.Sink = sinkOf(func(p *core.Packet) error { sent = append(sent, *p); return nil })
	camera.stage.Store(&sink)
	camera.show(0)
	camera.show(1)
	camera.renew.Store(true)
	camera.show(2)
	if len(sent) != 9 || !sent[3].Header.Marker || !sent[4].Header.Marker || sent[5].Header.Timestamp == sent[4].Header.Timestamp || len(camera.flashed) != 2 {
		t.Fatalf("%d packets, %d keyframes", len(sent), len(camera.flashed))
	}
	for i := range sent {
		sent[i].Arrival = time.Duration(camera.sent[camera.clip.number[string(sent[i].Payload)]].Load()) + 7*time.Millisecond
		_ = viewer.screen.Write(&sent[i])
	}
	if wrong := viewer.verdict(camera.filmed.Load()); wrong != "" || viewer.screen.pictures != 3 {
		t.Errorf("%d pictures, %s", viewer.screen.pictures, wrong)
	}
	if q := quantiles(viewer.screen.delays); q.N != 9 || q.P50 != 7 || q.Max != 7 {
		t.Errorf("delays %+v", q)
	}
	if wrong := viewer.verdict(20); !strings.Contains(wrong, "9 of 20 packets") {
		t.Errorf("half of it: %q", wrong)
	}
	_ = viewer.screen.Write(&core.Packet{Payload: []byte{0x41, 1, 2, 3}, Header: sent[8].Header})
	_ = viewer.screen.Write(&core.Packet{Header: sent[8].Header})
	if viewer.screen.strange != 2 {
		t.Errorf("%d packets that nobody sent", viewer.screen.strange)
	}
}

func TestAPictureCountsIfItLeftWhileMeasured(t *testing.T) {
	camera, viewer := filming(t)
	var sent []core.Packet
	var sink core.Sink = sinkOf(func(p *core.Packet) error { sent = append(sent, *p); return nil })
	camera.stage.Store(&sink)
	come := func() {
		for i := range sent {
			sent[i].Arrival = core.Now()
			_ = viewer.screen.Write(&sent[i])
		}
		sent = sent[:0]
	}
	camera.active.Store(false)
	camera.show(0)
	come() // on its way as the measuring began
	camera.active.Store(true)
	camera.show(1)
	camera.active.Store(false)
	viewer.active.Store(false)
	come() // and as it ended
	if got, due := viewer.screen.packets, camera.filmed.Load(); got != due || due == 0 || viewer.screen.pictures != 1 {
		t.Errorf("%d packets of %d, %d pictures", got, due, viewer.screen.pictures)
	}
}

func TestAComposedPictureIsReadAndJudged(t *testing.T) {
	camera, _ := filming(t)
	s := &camera.screen
	s.keeps = true
	sps := []byte{0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x28, 0x02, 0xdc, 0x80} // 1280 × 720
	if size, err := h264.ParseSPS(sps); err != nil || size.Width != 1280 || size.Height != pictureLines {
		t.Fatalf("%+v, %v", size, err)
	}
	write := func(seq uint16, marker bool, payload []byte) {
		p := core.Packet{Payload: payload, Arrival: time.Duration(seq) * time.Millisecond}
		p.Header.SequenceNumber, p.Header.Marker = seq, marker
		_ = s.Write(&p)
	}
	write(1, true, []byte{0x41, 1}) // before the first keyframe
	write(2, false, sps)
	write(3, true, []byte{0x65, 2})
	write(4, true, []byte{0x41, 3})
	write(5, false, []byte{0x41, 4}) // never whole: the call ends
	if want := []time.Duration{3 * time.Millisecond, 4 * time.Millisecond}; !slices.Equal(s.shown, want) || len(h264.Split(s.stream[:s.kept])) != 3 {
		t.Errorf("shown at %v, %d units kept", s.shown, len(h264.Split(s.stream[:s.kept])))
	}
	if wrong := camera.verdict(3); wrong != "" {
		t.Error(wrong)
	}
	if wrong := camera.verdict(4); !strings.Contains(wrong, "3 of 4 pictures") {
		t.Error(wrong)
	}
	s.size.Height = 360
	if wrong := camera.verdict(3); !strings.Contains(wrong, "1280 × 360") {
		t.Error(wrong)
	}
}

func TestNoClipWithoutAKeyframe(t *testing.T) {
	for _, bad := range [][]byte{nil, {1, 2, 3}, {0, 0, 0, 1, 0x41, 1, 2}} {
		if _, err := newClip(bad); err == nil {
			t.Errorf("% x was taken", bad)
		}
	}
}

func TestChangesAreFoundInWhatIsShown(t *testing.T) {
	ms := func(list ...int) (out []time.Duration) {
		for _, v := range list {
			out = append(out, time.Duration(v)*time.Millisecond)
		}
		return out
	}
	got := changes([]byte{20, 22, 200, 210, 205, 30, 25}, ms(100, 133, 166, 200, 233, 266, 300), ms(0, 110, 230), 0)
	if !slices.Equal(got, ms(56, 36)) {
		t.Errorf("got %v", got)
	}
	if got := changes([]byte{20, 22, 200, 210, 205, 30, 25}, ms(100, 133, 166, 200, 233, 266, 300), ms(0, 110, 230), 200*time.Millisecond); !slices.Equal(got, ms(36)) {
		t.Errorf("from the fifth: %v", got)
	}
	if got := changes(nil, nil, nil, 0); got != nil {
		t.Errorf("nothing shown: %v", got)
	}
	if got := changes([]byte{20, 200}, ms(1, 2), nil, 0); got != nil {
		t.Errorf("nothing sent: %v", got)
	}
}

func TestDocumentOfRooms(t *testing.T) {
	r := &Results{Rooms: &Rooms{Watch: 20, Encoder: "libx264 ultrafast", Ratio: 1.7, Composed: 300, More: 50, Ffmpeg: 600, Right: 3,
		Switching: Quantiles{P99: 19}, Composing: Quantiles{N: 9, P99: 151}}}
	var text strings.Builder
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| a camera switched to 20 room systems | at most 1.6 × the echo that encrypts | 1.70 × the echo that encrypts | **not met** |",
		"| delay of switching | p99 at most 40 ms | 19.0 ms | met |",
		"| a picture composed of four, gateway and worker | at most 1 × ffmpeg making the same | 0.50 × ffmpeg making the same | met |",
		"| delay of composing | p99 at most 150 ms | 151.0 ms | **not met** |",
		"| 300 ms | 600 ms | 0.50 × | 5.00 ms |",
		"It has no libopenh264 here",
	} {
		if !strings.Contains(text.String(), line) {
			t.Errorf("the document lacks %q", line)
		}
	}
	text.Reset()
	if err := (&Results{Rooms: &Rooms{Absent: "ffmpeg is not installed here."}}).Write(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "ffmpeg is not installed here.") || strings.Contains(text.String(), "*Switched*") || strings.Contains(text.String(), "delay of switching") {
		t.Error("what was not measured is told, or why is not")
	}
}
