//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bridgehead/core/audio"
	"bridgehead/core/audio/g711"
)

// buffer can be written and read at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// tone is sound of one frequency.
func tone(rate int, hz float64, length time.Duration) []int16 {
	pcm := make([]int16, audio.Samples(length, rate))
	audio.NewTone(rate, -18, hz).Read(pcm)
	return pcm
}

func writeTone(t testing.TB, file string, rate int, hz float64, length time.Duration) {
	t.Helper()
	writeSound(t, file, rate, tone(rate, hz, length))
}

// pulses makes a tone that comes and goes, which no noise suppression takes
// for noise.
func pulses(pcm []int16, rate int) []int16 {
	for at := 0; at < len(pcm); at += rate {
		clear(pcm[min(len(pcm), at+rate*6/10):min(len(pcm), at+rate)])
	}
	return pcm
}

func writeSound(t testing.TB, file string, rate int, pcm []int16) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := audio.WAV{Rate: rate, Channels: 1, PCM: pcm}
	if _, err := w.WriteTo(f); err != nil {
		t.Fatal(err)
	}
}

// sound is what a party has heard.
type sound struct {
	pcm  []int16
	rate int
}

// last cuts the sound to its end.
func (s sound) last(d time.Duration) sound {
	return sound{s.pcm[max(0, len(s.pcm)-audio.Samples(d, s.rate)):], s.rate}
}

// level of a frequency in dBov: the mean power over windows of an eighth of a
// second.
func (s sound) level(hz float64) float64 {
	window := s.rate / 8
	power, n := 0.0, 0
	for at := 0; at+window <= len(s.pcm); at += window {
		power += math.Pow(10, audio.Spectrum(s.pcm[at:at+window], s.rate, hz)[0]/10)
		n++
	}
	return 10 * math.Log10(power/float64(max(1, n))+1e-13)
}

const (
	heard   = -32.0 // dBov: a tone at -18 that is there
	unheard = -45.0 // one that is not
)

// mustHear checks who is heard and who is not.
func (s sound) mustHear(t testing.TB, who string, yes, no []float64) {
	t.Helper()
	if len(s.pcm) < s.rate {
		t.Errorf("%s heard only %d ms", who, len(s.pcm)*1000/max(1, s.rate))
	}
	for _, hz := range yes {
		if l := s.level(hz); l < heard {
			t.Errorf("%s hears %.0f Hz at %.0f dBov, want it heard", who, hz, l)
		}
	}
	for _, hz := range no {
		if l := s.level(hz); l > unheard {
			t.Errorf("%s hears %.0f Hz at %.0f dBov, want it not heard", who, hz, l)
		}
	}
}

// patience is more than any program of a test needs.
const patience = 4 * time.Minute

// command is a program that no test waits for without end: when patience is
// over it is asked what it does (ours then print their goroutines) and ended,
// children that hold its output included.
func command(t testing.TB, name string, args ...string) *exec.Cmd {
	running.Store(&step{t.Name(), name, time.Now()})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 10 * time.Second
	cmd.Cancel = func() error {
		if ctx.Err() == context.DeadlineExceeded {
			t.Errorf("%s %s has not ended in %v", name, strings.Join(args, " "), patience)
		}
		return cmd.Process.Signal(syscall.SIGQUIT)
	}
	return cmd
}

// run starts a program that is ended with the test.
func run(t testing.TB, stdin io.Reader, name string, args ...string) (*exec.Cmd, *buffer) {
	t.Helper()
	out := &buffer{}
	cmd := command(t, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, out, out
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s (make setup-test installs it): %v", name, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", name, tail(out.String(), 3000))
		}
	})
	return cmd, out
}

// baresip is a SIP telephone that plays a tone and records what it hears.
type baresip struct {
	t    testing.TB
	dir  string
	cmd  *exec.Cmd
	log  *buffer
	keys *os.File
}

// seen is what it shows now, decoded by itself.
func (b *baresip) seen() []byte {
	b.t.Helper()
	file := filepath.Join(b.dir, "seen.png")
	_ = os.Remove(file)
	fmt.Fprintf(b.keys, "/snapshot_recv %s\n", file)
	var picture []byte
	eventually(b.t, 5*time.Second, "baresip keeps what it sees", func() bool {
		out, err := command(b.t, "ffmpeg", "-v", "error", "-i", file, "-vf", fmt.Sprintf("scale=%d:%d:flags=area", sightW, sightH), "-f", "rawvideo", "-pix_fmt", "rgb24", "-").Output()
		picture = out
		return err == nil && len(out) == sightW*sightH*3
	})
	return picture
}

// watched is how many pictures it has decoded in how many seconds, and their size.
func (b *baresip) watched() (frames int, seconds float64, size string) {
	b.t.Helper()
	at := len(b.log.String())
	fmt.Fprint(b.keys, "/video_debug\n")
	said := regexp.MustCompile(`vidisp: \S+ (\d+ x \d+) frames=(\d+)\s+n_keyframes=\d+, n_picup=\d+\s+time = ([0-9.]+) sec`)
	eventually(b.t, 5*time.Second, "baresip tells what it has seen", func() bool {
		m := said.FindStringSubmatch(b.log.String()[at:])
		if m == nil {
			return false
		}
		size = m[1]
		frames, _ = strconv.Atoi(m[2])
		seconds, _ = strconv.ParseFloat(m[3], 64)
		return true
	})
	return frames, seconds, size
}

const baresipConfig = `poll_method epoll
sip_listen 127.0.0.1:0
sip_verify_server no
audio_player aubridge,nil
audio_source aufile,%[1]s/tone.wav
ausrc_srate 48000
auplay_srate 48000
ausrc_channels 1
auplay_channels 1
snd_path %[1]s
module_path /usr/lib/baresip/modules
module stdio.so
module g722.so
module g711.so
module opus.so
module aufile.so
module aubridge.so
module sndfile.so
module srtp.so
module account.so
module menu.so
`

// baresipVideo makes it show a film and decode what it sees, as H.264.
const baresipVideo = `video_source avformat,%[1]s
video_display fakevideo,nil
video_size 1280x720
video_bitrate 1500000
video_fps 25.00
videnc_format yuv420p
avcodec_h264enc libx264
avcodec_h264dec h264
module avcodec.so
module avformat.so
module swscale.so
module fakevideo.so
module snapshot.so
module debug_cmd.so
`

// newBaresip calls an address over TLS with SDES-SRTP and says a tone. With a
// film it has pictures.
func newBaresip(t testing.TB, to string, hz float64, film ...string) *baresip {
	t.Helper()
	b := &baresip{t: t, dir: t.TempDir()}
	writeTone(t, filepath.Join(b.dir, "tone.wav"), 48000, hz, 2*time.Minute)
	config := fmt.Sprintf(baresipConfig, b.dir)
	for _, f := range film {
		config += fmt.Sprintf(baresipVideo, f)
	}
	for name, text := range map[string]string{
		"config": config, "contacts": "",
		"accounts": "<sip:bob@127.0.0.1;transport=tls>;regint=0;mediaenc=srtp-mand\n",
	} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in, keys, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b.keys = keys
	b.cmd, b.log = run(t, in, "baresip", "-f", b.dir, "-e", "/dial sip:"+to+";transport=tls")
	in.Close()
	t.Cleanup(func() { keys.Close() })
	return b
}

// quit ends the call and gives back what was heard. baresip writes its files
// when the call ends.
func (b *baresip) quit() sound {
	b.t.Helper()
	_ = b.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { _, _ = b.cmd.Process.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		b.t.Error("baresip did not end")
	}
	files, _ := filepath.Glob(filepath.Join(b.dir, "dump-*-dec.wav"))
	if len(files) == 0 {
		b.t.Fatal("baresip recorded nothing")
	}
	return readWAV(b.t, files[len(files)-1])
}

func readWAV(t testing.TB, file string) sound {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := audio.ReadWAV(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return sound{w.Mono(), w.Rate}
}

// sipp plays a telephone network's side: a caller with a G.711 telephone.
type sipp struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  *buffer
	port int // of its media
}

// freePort finds a UDP port that is free, with the three above it.
func freePort(t testing.TB) int {
	t.Helper()
	loopback := net.IPv4(127, 0, 0, 1)
	for range 100 {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback})
		if err != nil {
			t.Fatal(err)
		}
		port := c.LocalAddr().(*net.UDPAddr).Port
		free := port%2 == 0 && port < 60000
		for next := 1; free && next < 4; next++ { // of RTCP, and of SIPp's pictures
			n, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback, Port: port + next})
			if free = err == nil; free {
				n.Close()
			}
		}
		c.Close()
		if free {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// newSIPp calls a number from the telephone network: it types the keys as RFC
// 4733 events, "," pausing a second, and then says a tone.
func newSIPp(t testing.TB, to, number, keys string, hz float64) *sipp {
	t.Helper()
	return newSIPpWith(t, to, number, keys, hz, "")
}

// newSIPpWith calls with a header more.
func newSIPpWith(t testing.TB, to, number, keys string, hz float64, header string) *sipp {
	t.Helper()
	dir := t.TempDir()
	pcap := filepath.Join(dir, "phone.pcap")
	if err := os.WriteFile(pcap, phonePCAP(keys, hz, 90*time.Second), 0o600); err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile("../../testdata/sipp/phone.xml")
	if err != nil {
		t.Fatal(err)
	}
	if header != "" {
		template = bytes.Replace(template, []byte("Max-Forwards: 70\n"), []byte("Max-Forwards: 70\n"+header+"\n"), 1)
	}
	scenario := filepath.Join(dir, "phone.xml")
	if err := os.WriteFile(scenario, bytes.ReplaceAll(template, []byte("phone.pcap"), []byte(pcap)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &sipp{t: t, port: freePort(t)}
	s.cmd, s.out = run(t, nil, "sipp", to, "-sf", scenario, "-s", number, "-i", "127.0.0.1", "-mi", "127.0.0.1",
		"-mp", fmt.Sprint(s.port), "-p", fmt.Sprint(freePort(t)), "-nostdin", "-m", "1", "-l", "1", "-key", "caller", "+15550199", "-timeout", "120s")
	return s
}

// phonePCAP makes a capture of what a telephone sends: keys, then a tone.
func phonePCAP(keys string, hz float64, length time.Duration) []byte {
	var out bytes.Buffer
	le := binary.LittleEndian
	head := make([]byte, 24)
	le.PutUint32(head, 0xa1b2c3d4)
	le.PutUint16(head[4:], 2)
	le.PutUint16(head[6:], 4)
	le.PutUint32(head[16:], 65535)
	le.PutUint32(head[20:], 1) // Ethernet
	out.Write(head)
	enc, err := g711.Mu.NewEncoder(8000, audio.EncoderOptions{})
	if err != nil {
		panic(err)
	}
	seq, stamp, at := uint16(1), uint32(160), time.Duration(0)
	send := func(pt byte, marker bool, ts uint32, payload []byte) {
		b := make([]byte, 12+len(payload))
		b[0], b[1] = 0x80, pt
		if marker {
			b[1] |= 0x80
		}
		binary.BigEndian.PutUint16(b[2:], seq)
		binary.BigEndian.PutUint32(b[4:], ts)
		binary.BigEndian.PutUint32(b[8:], 0x5150)
		copy(b[12:], payload)
		out.Write(frame(b, at))
		seq++
	}
	sine := audio.NewTone(8000, -18, hz)
	speak := func(loud bool) {
		pcm, payload := make([]int16, 160), make([]byte, 160)
		if loud {
			sine.Read(pcm)
		}
		if _, err := enc.Encode(payload, pcm); err != nil {
			panic(err)
		}
		send(0, false, stamp, payload)
		stamp += 160
		at += 20 * time.Millisecond
	}
	for _, k := range keys {
		if k == ',' {
			for range 50 {
				speak(false)
			}
			continue
		}
		began := stamp
		for i := range 7 { // five packets of rising length, the last one three times
			payload := []byte{byte(strings.IndexRune("0123456789*#", k)), 10, 0, 0}
			if i >= 4 {
				payload[1] |= 0x80
			}
			binary.BigEndian.PutUint16(payload[2:], uint16(160*min(i+1, 5)))
			send(101, i == 0, began, payload)
			if i < 5 {
				stamp += 160
				at += 20 * time.Millisecond
			}
		}
		for range 6 {
			speak(false)
		}
	}
	for at < length {
		speak(true)
	}
	return out.Bytes()
}

// frame wraps RTP in UDP, IP, Ethernet and a record of the capture.
func frame(rtp []byte, at time.Duration) []byte {
	udp := make([]byte, 8, 8+len(rtp))
	binary.BigEndian.PutUint16(udp[0:], 20000)
	binary.BigEndian.PutUint16(udp[2:], 30000)
	binary.BigEndian.PutUint16(udp[4:], uint16(8+len(rtp)))
	udp = append(udp, rtp...)
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1}
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(udp)))
	eth := append(make([]byte, 12), 8, 0)
	packet := append(append(eth, ip...), udp...)
	record := make([]byte, 16)
	le := binary.LittleEndian
	le.PutUint32(record, uint32(at/time.Second))
	le.PutUint32(record[4:], uint32(at%time.Second/time.Microsecond))
	le.PutUint32(record[8:], uint32(len(packet)))
	le.PutUint32(record[12:], uint32(len(packet)))
	return append(record, packet...)
}

// capture records what goes over loopback with tshark.
type capture struct {
	t    testing.TB
	file string
	cmd  *exec.Cmd
}

// newCapture starts one with a capture filter and waits until it is on.
func newCapture(t testing.TB, filter string) *capture {
	t.Helper()
	c := &capture{t: t, file: filepath.Join(t.TempDir(), "capture.pcapng")}
	var out *buffer
	c.cmd, out = run(t, nil, "tshark", "-i", "lo", "-q", "-f", filter, "-w", c.file)
	eventually(t, 20*time.Second, "tshark captures", func() bool {
		_, err := os.Stat(c.file)
		return err == nil && strings.Contains(out.String(), "Capturing on")
	})
	time.Sleep(300 * time.Millisecond) // it says so a little early
	return c
}

// stop ends the capture.
func (c *capture) stop() {
	_ = c.cmd.Process.Signal(os.Interrupt)
	_, _ = c.cmd.Process.Wait()
}

// fields dissects the capture and gives a line per packet with these fields.
func (c *capture) fields(display string, decodeAs []string, fields ...string) [][]string {
	c.t.Helper()
	args := []string{"-r", c.file, "-T", "fields"}
	if display != "" {
		args = append(args, "-Y", display)
	}
	for _, d := range decodeAs {
		args = append(args, "-d", d)
	}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out, err := command(c.t, "tshark", args...).Output()
	if err != nil {
		c.t.Fatalf("tshark: %v", err)
	}
	var rows [][]string
	for line := range strings.Lines(string(out)) {
		rows = append(rows, strings.Split(strings.TrimRight(line, "\n"), "\t"))
	}
	return rows
}

// toPort decodes the G.711 µ-law that was sent to a port.
func (c *capture) toPort(port int) sound {
	c.t.Helper()
	dec, err := g711.Mu.NewDecoder(8000)
	if err != nil {
		c.t.Fatal(err)
	}
	s := sound{rate: 8000}
	for _, row := range c.fields(fmt.Sprintf("rtp && udp.dstport == %d", port), []string{fmt.Sprintf("udp.port==%d,rtp", port)}, "rtp.p_type", "rtp.payload") {
		payload, err := hex.DecodeString(strings.ReplaceAll(row[1], ":", ""))
		if err != nil || row[0] != "0" {
			continue
		}
		pcm := make([]int16, len(payload))
		n, _ := dec.Decode(pcm, payload)
		s.pcm = append(s.pcm, pcm[:n]...)
	}
	return s
}

// unmarshal is json.Unmarshal.
func unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

func itoa(n int) string { return fmt.Sprint(n) }

// port of an address.
func port(at string) string {
	_, p, _ := net.SplitHostPort(at)
	return p
}

func unhex(s string) []byte {
	b, _ := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	return b
}

// decodeRun tells whether a payload is sound in clear: neighbouring bytes of
// coded speech or silence repeat; those of a cipher do not.
func decodeRun(payload []byte) bool {
	same := 0
	for i := 1; i < len(payload); i++ {
		if payload[i] == payload[i-1] {
			same++
		}
	}
	return same > len(payload)/8
}

// audible tells whether there is anything but silence.
func (s sound) audible() bool { return len(s.pcm) > 0 && audio.Level(s.pcm) < 50 }
