//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// driver is the Node process that steers the browsers of one test.
type driver struct {
	t     testing.TB
	mu    sync.Mutex
	in    io.WriteCloser
	next  int
	reply map[int]chan answer
	ended bool
}

type answer struct {
	N     int
	OK    bool
	Value json.RawMessage
	Error string
}

func newDriver(t testing.TB) *driver {
	t.Helper()
	cmd := command(t, "node", "driver.mjs")
	cmd.Dir = "browser"
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("node (make setup-test installs what it needs): %v", err)
	}
	d := &driver{t: t, in: in, reply: map[int]chan answer{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			var a answer
			if json.Unmarshal(lines.Bytes(), &a) != nil {
				continue
			}
			d.mu.Lock()
			c := d.reply[a.N]
			delete(d.reply, a.N)
			d.mu.Unlock()
			if c != nil {
				c <- a
			}
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.ended = true
		for n, c := range d.reply {
			c <- answer{N: n, Error: "the driver has ended; what it said is above"}
		}
	}()
	t.Cleanup(func() {
		in.Close() // it then ends its browsers and itself
		ended := time.AfterFunc(15*time.Second, func() { _ = cmd.Process.Kill() })
		<-read
		_ = cmd.Wait()
		ended.Stop()
	})
	return d
}

// browser is one Chromium, with a microphone and a camera of its own.
type browser struct {
	d  *driver
	id string
}

// try sends a command and gives back value or error.
func (b *browser) try(do string, more map[string]any) (json.RawMessage, error) {
	d := b.d
	c := make(chan answer, 1)
	d.mu.Lock()
	if d.ended {
		d.mu.Unlock()
		return nil, fmt.Errorf("browser %s: %s: the driver has ended", b.id, do)
	}
	d.next++
	cmd := map[string]any{"n": d.next, "do": do, "id": b.id}
	for k, v := range more {
		cmd[k] = v
	}
	d.reply[d.next] = c
	line, err := json.Marshal(cmd)
	if err == nil {
		_, err = d.in.Write(append(line, '\n'))
	}
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case a := <-c:
		if !a.OK {
			return nil, fmt.Errorf("browser %s: %s %v: %s", b.id, do, more, a.Error)
		}
		return a.Value, nil
	case <-time.After(90 * time.Second):
		return nil, fmt.Errorf("browser %s: %s %v: no answer", b.id, do, more)
	}
}

func (b *browser) do(do string, more map[string]any) json.RawMessage {
	b.d.t.Helper()
	v, err := b.try(do, more)
	if err != nil {
		if file := os.Getenv("E2E_SCREENSHOTS"); file != "" {
			_, _ = b.try("screenshot", map[string]any{"path": filepath.Join(file, b.id+".png")})
		}
		page, _ := b.try("text", nil)
		b.d.t.Fatalf("%v\nthe page says: %s", err, page)
	}
	return v
}

// open starts a browser whose microphone says a tone, on and off (0: the
// browser's own beep).
func (d *driver) open(id string, hz float64, more map[string]any) *browser {
	d.t.Helper()
	b := &browser{d, id}
	cmd := map[string]any{"timeout": 60000}
	if hz > 0 {
		file := filepath.Join(d.t.(interface{ TempDir() string }).TempDir(), id+".wav")
		writeSound(d.t, file, 48000, pulses(tone(48000, hz, 20*time.Second), 48000))
		cmd["fakeAudio"] = file
	}
	for k, v := range more {
		cmd[k] = v
	}
	b.do("open", cmd)
	return b
}

// join goes through the page into a meeting, as a person would.
func (b *browser) join(g *gateway, number, name, passcode string) {
	b.d.t.Helper()
	b.do("goto", map[string]any{"url": "https://" + g.at["https"] + "/join/" + number})
	b.do("fill", map[string]any{"label": "Your name", "value": name})
	b.do("click", map[string]any{"role": "button", "name": "Join meeting", "timeout": 30000})
	if passcode != "" {
		b.pass(passcode)
	}
}

// pass answers the question for the passcode.
func (b *browser) pass(passcode string) {
	b.d.t.Helper()
	b.do("fill", map[string]any{"label": "Passcode", "value": passcode})
	b.do("click", map[string]any{"role": "button", "name": "Continue"})
}

func (b *browser) sees(text string) {
	b.d.t.Helper()
	b.do("waitText", map[string]any{"text": text, "timeout": 30000})
}

func (b *browser) click(name string) {
	b.d.t.Helper()
	b.do("click", map[string]any{"role": "button", "name": name})
}

// eval gives the value of a script.
func (b *browser) eval(script string, out any) {
	b.d.t.Helper()
	if err := json.Unmarshal(b.do("eval", map[string]any{"script": script, "timeout": 60000}), out); err != nil {
		b.d.t.Fatal(err)
	}
}

// listen measures, by the browser's own analyser, the level in dB of each
// frequency in all that the page's peer connection receives.
func (b *browser) listen(hz ...float64) (levels map[float64]float64) {
	b.d.t.Helper()
	list, _ := json.Marshal(hz)
	var got []float64
	b.eval(`(async () => {
		const ctx = new AudioContext({sampleRate: 48000});
		await ctx.resume();
		const analyser = new AnalyserNode(ctx, {fftSize: 16384, smoothingTimeConstant: 0.5, minDecibels: -140, maxDecibels: 0});
		for (const r of window.bridgehead.pc.getReceivers())
			if (r.track.kind === "audio") ctx.createMediaStreamSource(new MediaStream([r.track])).connect(analyser);
		const bins = new Float32Array(analyser.frequencyBinCount);
		const loudest = `+string(list)+`.map(() => -200);
		for (let i = 0; i < 25; i++) {
			await new Promise((ok) => setTimeout(ok, 100));
			analyser.getFloatFrequencyData(bins);
			`+string(list)+`.forEach((hz, k) => {
				const at = Math.round(hz * 16384 / 48000);
				loudest[k] = Math.max(loudest[k], ...bins.slice(at - 2, at + 3));
			});
		}
		await ctx.close();
		return loudest;
	})()`, &got)
	levels = map[float64]float64{}
	for i, f := range hz {
		levels[f] = got[i]
	}
	return levels
}

// mustHear checks who is heard in the browser and who is not.
func (b *browser) mustHear(yes, no []float64) {
	b.d.t.Helper()
	const there, absent = -45.0, -60.0 // dB of the analyser, for a tone of -18 dBov
	levels := b.listen(append(append([]float64{}, yes...), no...)...)
	for _, hz := range yes {
		if levels[hz] < there {
			b.d.t.Errorf("browser %s hears %.0f Hz at %.0f dB, want it heard; it receives %+v", b.id, hz, levels[hz], b.slots())
		}
	}
	for _, hz := range no {
		if levels[hz] > absent {
			b.d.t.Errorf("browser %s hears %.0f Hz at %.0f dB, want it not heard", b.id, hz, levels[hz])
		}
	}
}
