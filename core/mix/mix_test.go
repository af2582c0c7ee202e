package mix

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/audio"
	"bridgehead/core/audio/codecs"
)

var (
	pcmu = core.Codec{Name: "PCMU", ClockRate: 8000, Channels: 1}
	pcma = core.Codec{Name: "PCMA", ClockRate: 8000, Channels: 1, PayloadType: 8}
	g722 = core.Codec{Name: "G722", ClockRate: 8000, Channels: 1, PayloadType: 9}
	opus = core.Codec{Name: "opus", ClockRate: 48000, Channels: 2, PayloadType: 111}
)

// meeting steps a mixer together with its talkers and listeners.
type meeting struct {
	t       testing.TB
	m       *Mixer
	now     time.Duration
	talkers []*talker
}

func newMeeting(t testing.TB) *meeting {
	return &meeting{t: t, m: New(Options{})}
}

func (e *meeting) run(steps int) {
	for range steps {
		e.now += audio.Frame
		for _, t := range e.talkers {
			t.send(e.now - 5*time.Millisecond)
		}
		e.m.Step(e.now)
	}
}

// talker sends a tone.
type talker struct {
	in     *Input
	enc    audio.Encoder
	tone   *audio.Tone
	silent bool
	level  uint8
	pcm    []int16
	packet core.Packet
	buf    []byte
}

func (e *meeting) talk(party string, c core.Codec, hz, dBov float64, o InputOptions) *talker {
	o.Party, o.Codec = party, c
	in, err := e.m.AddInput(o)
	if err != nil {
		e.t.Fatal(err)
	}
	codec, _ := codecs.Lookup(c)
	rate := codec.Rates[len(codec.Rates)-1]
	enc, err := codec.NewEncoder(rate, audio.EncoderOptions{})
	if err != nil {
		e.t.Fatal(err)
	}
	t := &talker{
		in: in, enc: enc, tone: audio.NewTone(rate, dBov, hz), level: core.LevelUnknown,
		pcm: make([]int16, rate/50), buf: make([]byte, 1500),
	}
	t.packet.Header.PayloadType = c.PayloadType
	e.talkers = append(e.talkers, t)
	return t
}

func (t *talker) send(at time.Duration) {
	if t.tone.Read(t.pcm); t.silent {
		clear(t.pcm)
	}
	n, _ := t.enc.Encode(t.buf, t.pcm)
	h := &t.packet.Header
	h.SequenceNumber++
	if len(t.pcm) == 960 {
		h.Timestamp += 960
	} else {
		h.Timestamp += 160
	}
	t.packet.Payload, t.packet.Arrival, t.packet.Level = t.buf[:n], at, t.level
	t.in.Write(&t.packet)
}

// ear decodes what a listener is sent.
type ear struct {
	out     *Output
	dec     audio.Decoder
	rate    int
	clock   int
	pcm     []int16
	headers []core.Packet
	buf     []int16
}

func (e *meeting) listen(party string, c core.Codec, forwarded bool) *ear {
	codec, _ := codecs.Lookup(c)
	rate := codec.Rates[len(codec.Rates)-1]
	dec, err := codec.NewDecoder(rate)
	if err != nil {
		e.t.Fatal(err)
	}
	r := &ear{dec: dec, rate: rate, clock: codec.ClockRate, buf: make([]int16, rate/1000*120)}
	r.out, err = e.m.AddOutput(OutputOptions{Party: party, Codec: c, Sink: r, Forwarded: forwarded})
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

func (r *ear) Write(p *core.Packet) error {
	n, err := r.dec.Decode(r.buf, p.Payload)
	if err != nil {
		panic(err)
	}
	r.pcm = append(r.pcm, r.buf[:n]...)
	h := *p
	h.Payload = nil
	r.headers = append(r.headers, h)
	return nil
}

func (r *ear) Close() error { return nil }

// hears is the level of each frequency in the last n steps, dBov.
func (r *ear) hears(steps int, hz ...float64) []float64 {
	n := min(steps*r.rate/50, len(r.pcm))
	return audio.Spectrum(r.pcm[len(r.pcm)-n:], r.rate, hz...)
}

func (e *meeting) expect(who string, r *ear, hz, want, within float64) {
	e.t.Helper()
	if got := r.hears(25, hz)[0]; math.Abs(got-want) > within {
		e.t.Errorf("%s hears %.0f Hz at %.1f dBov, want %.1f", who, hz, got, want)
	}
}

func (e *meeting) expectNot(who string, r *ear, hz float64) {
	e.t.Helper()
	if got := r.hears(25, hz)[0]; got > -55 {
		e.t.Errorf("%s hears %.0f Hz at %.1f dBov", who, hz, got)
	}
}

// clicks is the most that leaks beside the tones in any 20 ms, dBov: a click
// spreads over the whole band, a tone does not.
func (r *ear) clicks(from int, besides ...float64) float64 {
	worst := -127.0
	n := r.rate / 25
	for at := from; at+n <= len(r.pcm); at += n / 2 {
		for _, l := range audio.Spectrum(r.pcm[at:at+n], r.rate, besides...) {
			worst = max(worst, l)
		}
	}
	return worst
}

func TestEachHearsTheOthersAndNotHimself(t *testing.T) {
	for _, c := range []core.Codec{pcmu, pcma, g722, opus} {
		t.Run(c.Name, func(t *testing.T) {
			e := newMeeting(t)
			tones := map[string]float64{"a": 440, "b": 700, "c": 1100}
			ears := map[string]*ear{}
			for p, hz := range tones {
				e.talk(p, c, hz, -20, InputOptions{})
				ears[p] = e.listen(p, c, false)
			}
			ears["d"] = e.listen("d", c, false)
			e.run(150)
			for who, r := range ears {
				for p, hz := range tones {
					if p == who {
						e.expectNot(who, r, hz)
					} else {
						e.expect(who, r, hz, -20, 2.5)
					}
				}
			}
		})
	}
}

func TestMixedCodecsMeet(t *testing.T) {
	e := newMeeting(t)
	list := []struct {
		c  core.Codec
		hz float64
	}{{pcmu, 440}, {opus, 700}, {g722, 1100}}
	var ears []*ear
	for i, x := range list {
		e.talk(fmt.Sprint(i), x.c, x.hz, -20, InputOptions{})
		ears = append(ears, e.listen(fmt.Sprint(i), x.c, false))
	}
	e.run(150)
	for i, r := range ears {
		for k, x := range list {
			if i == k {
				e.expectNot(x.c.Name, r, x.hz)
			} else {
				e.expect(list[i].c.Name, r, x.hz, -20, 2.5)
			}
		}
	}
}

func TestWidebandStaysWide(t *testing.T) {
	e := newMeeting(t)
	e.talk("a", g722, 6000, -20, InputOptions{})
	wide, narrow := e.listen("b", g722, false), e.listen("c", pcmu, false)
	e.run(100)
	e.expect("g722", wide, 6000, -20, 2)
	e.expectNot("pcmu", narrow, 2000) // no alias
}

func TestOnlyTheLoudestAreDecoded(t *testing.T) {
	e := newMeeting(t)
	for i := range 10 {
		e.talk(fmt.Sprint(i), pcmu, 300+100*float64(i), -40+float64(i)*2, InputOptions{})
	}
	r := e.listen("x", pcmu, false)
	e.run(50)
	before := e.m.Stats()
	e.run(100)
	if n := e.m.Stats().Decodes - before.Decodes; n > 510 {
		t.Errorf("%d decodes in 100 steps with 5 speakers", n)
	}
	e.expect("x", r, 1200, -22, 2)
	e.expectNot("x", r, 300)
	s := e.m.Speakers()
	if len(s) != 5 || s[0].Party != "9" || s[0].Level < 20 || s[0].Level > 24 {
		t.Errorf("speakers %v", s)
	}
}

func TestFalseLevelsKeepNobodyOut(t *testing.T) {
	e := newMeeting(t)
	for i := range 3 { // say that they shout, and send nothing
		loud := e.talk(fmt.Sprint("false", i), opus, 300, -127, InputOptions{})
		loud.level = 0
	}
	r := e.listen("x", pcmu, false)
	e.run(100)
	e.talk("a", pcmu, 440, -30, InputOptions{})
	e.run(300)
	e.expect("x", r, 440, -30, 1)
	if s := e.m.Speakers(); len(s) != 1 || s[0].Party != "a" {
		t.Errorf("speakers %v", s)
	}
}

func TestSpeakersDoNotFlap(t *testing.T) {
	e := newMeeting(t)
	var all []*talker
	for i := range 6 { // as good as equally loud, in words with pauses
		all = append(all, e.talk(fmt.Sprint(i), pcmu, 300+100*float64(i), -20+float64(i)*0.3, InputOptions{}))
	}
	e.listen("x", pcmu, false)
	changes, last := 0, ""
	for i := range 200 {
		for k, a := range all {
			a.silent = (i/10+k)%3 == 0
		}
		e.run(1)
		set := map[string]bool{}
		for _, s := range e.m.Speakers() {
			set[s.Party] = true
		}
		if now := fmt.Sprint(set); now != last && i > 5 {
			changes++
			last = now
		}
	}
	if changes > 8 {
		t.Errorf("the set of speakers changed %d times in 4 s", changes)
	}
}

func TestFiveHundredListenersCostWhatSpeakersCost(t *testing.T) {
	e := newMeeting(t)
	for i := range 3 {
		e.talk(fmt.Sprint(i), pcmu, 440, -20, InputOptions{})
	}
	heard := make([]*count, 500)
	for i := range heard {
		heard[i] = &count{}
		c := pcmu
		if i%2 == 1 {
			c = pcma
		}
		if _, err := e.m.AddOutput(OutputOptions{Party: fmt.Sprint(i), Codec: c, Sink: heard[i]}); err != nil {
			t.Fatal(err)
		}
	}
	e.run(20)
	before := e.m.Stats()
	e.run(100)
	after := e.m.Stats()
	if n := after.Encodes - before.Encodes; n != 100*(2+3) {
		t.Errorf("%d encodes in 100 steps, want 2 full mixes and 3 without a speaker", n)
	}
	for i, h := range heard {
		if h.n != 120 {
			t.Fatalf("listener %d got %d packets in 120 steps", i, h.n)
		}
	}
}

type count struct{ n int }

func (c *count) Write(*core.Packet) error { c.n++; return nil }
func (c *count) Close() error             { return nil }

func TestMuteAndLevel(t *testing.T) {
	e := newMeeting(t)
	a := e.talk("a", pcmu, 440, -20, InputOptions{})
	r := e.listen("b", pcmu, false)
	e.run(50)
	e.expect("b", r, 440, -20, 1)
	if l := a.in.Level(); l < 19 || l > 21 {
		t.Errorf("level %d, want 20", l)
	}
	a.in.Mute(true)
	e.run(50)
	e.expectNot("b", r, 440)
	if s := e.m.Speakers(); len(s) != 0 {
		t.Errorf("muted, yet speaks: %v", s)
	}
	before := e.m.Stats().Decodes
	e.run(50)
	if n := e.m.Stats().Decodes - before; n != 0 {
		t.Errorf("%d decodes of a muted voice", n)
	}
	a.in.Mute(false)
	e.run(50)
	e.expect("b", r, 440, -20, 1)
	if c := r.clicks(r.rate, 2000, 3000, 3600); c > -60 {
		t.Errorf("clicks at %.0f dBov", c)
	}
}

func TestPlainListenerNeverStops(t *testing.T) {
	e := newMeeting(t)
	r := e.listen("a", pcmu, false)
	e.run(100)
	if len(r.headers) != 100 {
		t.Fatalf("%d packets in 100 steps of silence", len(r.headers))
	}
	for i, h := range r.headers {
		first := r.headers[0].Header
		if h.Header.SequenceNumber != first.SequenceNumber+uint16(i) ||
			h.Header.Timestamp != first.Timestamp+uint32(160*i) || h.Header.Marker != (i == 0) {
			t.Fatalf("packet %d: %+v after %+v", i, h.Header, first)
		}
	}
}

func TestForwardedListener(t *testing.T) {
	e := newMeeting(t)
	browser := e.talk("w", opus, 700, -20, InputOptions{Forwarded: true})
	browser.level = 20
	other := e.listen("v", opus, true)
	e.run(100)
	if n := len(other.headers); n > 20 || n < 12 {
		t.Errorf("%d packets in 2 s with nobody dialled in", n)
	}
	if n := e.m.Stats().Decodes; n != 0 {
		t.Errorf("%d decodes with nobody to hear them", n)
	}
	sent := len(other.headers)
	e.talk("p", pcmu, 440, -20, InputOptions{})
	phone := e.listen("p", pcmu, false)
	e.run(100)
	e.expect("browser", other, 440, -20, 2)
	e.expectNot("browser", other, 700)
	e.expect("phone", phone, 700, -20, 2)
	e.expectNot("phone", phone, 440)
	marked := false
	for i, h := range other.headers {
		if d := h.Header.Timestamp - other.headers[0].Header.Timestamp; d%960 != 0 {
			t.Fatalf("packet %d is %d ticks on", i, d)
		}
		marked = marked || i >= sent && h.Header.Marker
	}
	last := other.headers[len(other.headers)-1].Header.Timestamp
	if d := (last - other.headers[0].Header.Timestamp) / 960; d != 199 {
		t.Errorf("the clock ran %d packet times in 200 steps", d)
	}
	if !marked {
		t.Error("no marker at the beginning of the voice")
	}
}

func TestPtimes(t *testing.T) {
	for _, ms := range []time.Duration{10, 20, 30, 40, 60} {
		e := newMeeting(t)
		c := pcmu
		c.Ptime = ms * time.Millisecond
		e.run(1) // so that a stream begins out of phase
		a := e.talk("a", pcmu, 440, -20, InputOptions{})
		e.talk("b", pcmu, 700, -20, InputOptions{})
		ra, rb := e.listen("a", c, false), e.listen("c", c, false)
		for i := range 6 { // moves a between the full mix and its own
			a.silent = i%2 == 1
			e.run(150)
		}
		for _, r := range []*ear{ra, rb} {
			for i := 1; i < len(r.headers); i++ {
				d := r.headers[i].Header.Timestamp - r.headers[i-1].Header.Timestamp
				if d != uint32(ms*8) {
					t.Fatalf("%d ms: %d ticks from packet %d to the next", ms, d, i-1)
				}
			}
			if n := len(r.pcm); n < 900*160-960 {
				t.Errorf("%d ms: %d samples in 18 s", ms, n)
			}
		}
		if c := ra.clicks(ra.rate, 2000, 3000); c > -60 {
			t.Errorf("%d ms: clicks at %.0f dBov", ms, c)
		}
		e.expect("a", ra, 700, -20, 1)
	}
}

// Moving between the full mix and one's own must not be heard, though codecs
// remember: an encoder that stood still has an older sound in mind.
func TestNoClickWhenSpeakersChange(t *testing.T) {
	// The limits are a little above what each codec's own noise comes to.
	for c, limit := range map[core.Codec]float64{pcmu: -56, g722: -66, opus: -68} {
		e := newMeeting(t)
		a := e.talk("a", c, 440, -26, InputOptions{})
		b := e.talk("b", c, 700, -15, InputOptions{})
		r := e.listen("a", c, false)
		e.listen("z", c, false)
		worst := -127.0
		for i := range 12 {
			a.silent = i%2 == 1 // a is moved at once, or 70 steps later
			e.run(30)
			from := len(r.pcm)
			e.run(60)
			b.tone = audio.NewTone(50*len(b.pcm), []float64{-15, -45}[(i+1)/2%2], 700) // between the moves
			e.run(30)
			if i > 1 {
				last := r.pcm[:len(r.pcm)-30*r.rate/50]
				worst = max(worst, (&ear{rate: r.rate, pcm: last}).clicks(from-30*r.rate/50, 1900, 2700, 3300))
			}
		}
		if worst > limit {
			t.Errorf("%s: clicks at %.1f dBov", c.Name, worst)
		}
	}
}

func TestRateChangesWithoutClick(t *testing.T) {
	e := newMeeting(t)
	e.talk("a", pcmu, 440, -20, InputOptions{})
	r := e.listen("b", pcmu, false)
	e.run(60)
	for range 3 {
		w := e.listen("w", opus, false)
		voice := e.talk("w", opus, 700, -20, InputOptions{})
		e.run(60)
		e.expect("b", r, 700, -20, 2)
		e.expect("w", w, 440, -20, 2)
		voice.in.Close()
		w.out.Close()
		e.talkers = e.talkers[:1]
		e.run(60)
		e.expect("b", r, 440, -20, 1)
	}
	if e.m.rate != 8000 {
		t.Errorf("the mix stays at %d Hz", e.m.rate)
	}
	if c := r.clicks(r.rate/2, 2000, 2900, 3500); c > -60 {
		t.Errorf("clicks at %.0f dBov", c)
	}
}

func TestJoinAndLeaveWhileStepping(t *testing.T) {
	e := newMeeting(t)
	done := make(chan bool)
	go func() {
		defer close(done)
		for i := range 300 {
			in, _ := e.m.AddInput(InputOptions{Party: fmt.Sprint(i), Codec: pcmu})
			out, _ := e.m.AddOutput(OutputOptions{Party: fmt.Sprint(i), Codec: pcmu, Sink: &count{}})
			in.Write(&core.Packet{Payload: make([]byte, 160), Level: core.LevelUnknown})
			out.Play(NewClip(8000, make([]int16, 800)))
			e.m.Speakers()
			in.Mute(i%2 == 0)
			in.Close()
			out.StopPlay()
			out.Close()
		}
	}()
	for stepping := true; stepping; {
		e.run(1)
		select {
		case <-done:
			stepping = false
		default:
		}
	}
	e.run(3)
	if l := e.m.lists.Load(); !e.m.Empty() || len(l.inputs) != 0 || len(l.groups) != 0 {
		t.Errorf("left behind: %d voices, %d groups", len(l.inputs), len(l.groups))
	}
}

// When a large meeting hangs up, one step lets all go, at what one costs.
func TestAllLeaveAtOnce(t *testing.T) {
	leave := func(people int) (mallocs uint64) {
		e := newMeeting(t)
		var all []io.Closer
		heard := &count{}
		for i := range people {
			in, _ := e.m.AddInput(InputOptions{Party: fmt.Sprint(i), Codec: pcmu})
			out, _ := e.m.AddOutput(OutputOptions{Party: fmt.Sprint(i), Codec: pcmu, Sink: heard})
			all = append(all, in, out)
		}
		e.run(3)
		before := heard.n
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		mallocs = m.Mallocs
		for _, c := range all {
			c.Close()
		}
		if !e.m.Empty() {
			t.Error("somebody is left once all have gone")
		}
		e.run(1)
		runtime.ReadMemStats(&m)
		if l := e.m.lists.Load(); len(l.inputs)+len(l.groups) != 0 || heard.n != before {
			t.Errorf("of %d, %d voices and %d groups are left, and %d packets came after all had gone", people, len(l.inputs), len(l.groups), heard.n-before)
		}
		return m.Mallocs - mallocs
	}
	if few, many := leave(2), leave(500); many > 2*few+10 {
		t.Errorf("to let 2 go takes %v allocations, 500 %v", few, many)
	}
}

func TestDigitsInTheSound(t *testing.T) {
	e := newMeeting(t)
	var got []byte
	a := e.talk("a", pcmu, 440, -127, InputOptions{DetectDigits: true, OnDigit: func(k byte) { got = append(got, k) }})
	a.in.Mute(true)
	r := e.listen("b", pcmu, false)
	pcm := audio.DTMF(8000, "*6 123#", 80*time.Millisecond, 80*time.Millisecond, -12)
	for at := 0; at+160 <= len(pcm); at += 160 {
		n, _ := a.enc.Encode(a.buf, pcm[at:at+160])
		a.packet.Header.SequenceNumber++
		a.packet.Header.Timestamp += 160
		a.packet.Payload, a.packet.Arrival = a.buf[:n], e.now
		a.in.Write(&a.packet)
		e.now += audio.Frame
		e.m.Step(e.now)
	}
	if string(got) != "*6123#" {
		t.Errorf("digits %q", got)
	}
	if audio.Level(r.pcm) != audio.Silence {
		t.Error("keys of a muted party are heard")
	}
}

func TestAGCLiftsASoftPhone(t *testing.T) {
	e := newMeeting(t)
	a := e.talk("a", pcmu, 440, -36, InputOptions{AGC: true})
	r := e.listen("b", pcmu, false)
	for i := range 1200 {
		a.silent = i%25 > 18
		e.run(1)
	}
	a.silent = false
	e.run(6)
	if got := r.hears(4, 440)[0]; got < -30 {
		t.Errorf("hears %.1f dBov of -36", got)
	}
}

// FuzzInput gives an input any payloads while it is heard.
func FuzzInput(f *testing.F) {
	f.Add([]byte{1, 160, 7, 2, 3, 0xff, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		e := newMeeting(t)
		var ins []*Input
		for _, c := range []core.Codec{pcmu, g722, opus} {
			in, _ := e.m.AddInput(InputOptions{Party: c.Name, Codec: c})
			ins = append(ins, in)
			e.listen(c.Name, c, false)
		}
		var p core.Packet
		for len(data) > 4 {
			n := min(int(data[0]), len(data)-4)
			p.Header.SequenceNumber += uint16(int8(data[1]))
			p.Header.Timestamp += uint32(data[2]) * uint32(data[1])
			p.Level, p.Arrival = data[3]&0x3f, e.now
			p.Payload = data[4 : 4+n]
			for _, in := range ins {
				in.Write(&p)
			}
			e.run(1)
			data = data[4+n:]
		}
	})
}
