package meet

import (
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/coretest"
)

// Browsers are asked for what a room system can show while there is one.
func TestBrowsersAreAskedForWhatAllCanShow(t *testing.T) {
	run(t, nil, func(h *hall) {
		forwarded := func(i *core.Info) { i.Forwarded = true }
		room := func(fmtp string) func(*core.Info) {
			return func(i *core.Info) { i.Video = []core.Codec{{Name: "H264", ClockRate: 90000, Fmtp: fmtp}} }
		}
		asked := func(l *coretest.Leg) (list []core.Codec) {
			for _, e := range l.Told() {
				if p, ok := e.(core.Prefer); ok {
					list = append(list, p.Video)
				}
			}
			return list
		}
		mode := func(n string) core.Codec {
			return core.Codec{Name: "H264", ClockRate: 90000, Fmtp: "packetization-mode=" + n}
		}
		first, second := coretest.New(440, forwarded), coretest.New(500, forwarded)
		one, zero := coretest.New(600, room("profile-level-id=42e01f;packetization-mode=1")), coretest.New(700, room("profile-level-id=42e00d"))
		h.mustJoin(core.Guest, first)
		if list := asked(first); len(list) != 0 {
			t.Fatalf("asked for %v among browsers", list)
		}
		h.mustJoin(core.Guest, one, second, zero)
		zero.Hangup(core.Reason{Code: core.Normal})
		h.speak(time.Second)
		one.Hangup(core.Reason{Code: core.Normal})
		h.speak(time.Second)
		want := []core.Codec{mode("1"), mode("0"), mode("1"), {}}
		for _, l := range []*coretest.Leg{first, second} {
			got := asked(l)
			if len(got) != len(want) {
				t.Fatalf("asked for %v, want %v", got, want)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("asked for %v as number %d, want %v", got[i], i, want[i])
				}
			}
		}
	})
}
