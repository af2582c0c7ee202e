//go:build e2e

package e2e

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bridgehead/core/audio"
)

// talk is a call between two parties that is under way while others attack.
type talk struct {
	t     testing.TB
	cmds  []*exec.Cmd
	files []string
	hz    []float64 // that each hears
	stall func() time.Duration
	cut   time.Duration // of the end that does not count, where a prompt may say that somebody has left
}

// newTalk brings two parties into the meeting for a time; each says a tone.
func newTalk(g *gateway, number string, length time.Duration) *talk {
	g.t.Helper()
	k := &talk{t: g.t, stall: watchStalls()}
	for i, say := range []string{"2600", "3100"} { // where the voice of the prompts hides nothing
		file := filepath.Join(g.t.(interface{ TempDir() string }).TempDir(), "heard.wav")
		cmd, _ := run(g.t, nil, program, "call", "sips:"+number+"@"+g.at["sips"], "--insecure", "--bind", "127.0.0.1", "--tone", say,
			"--record", file, "--duration", length.String(), "--codecs", "PCMU")
		k.cmds, k.files, k.hz = append(k.cmds, cmd), append(k.files, file), append(k.hz, []float64{3100, 2600}[i])
	}
	eventually(g.t, 20*time.Second, "both parties are in the meeting", func() bool { return len(g.participants(number)) == 2 })
	return k
}

// mustGoOn waits for the end of the call and looks for gaps in what each heard
// from when it first heard the other.
func (k *talk) mustGoOn(atLeast time.Duration) {
	k.t.Helper()
	var stall time.Duration
	for i, cmd := range k.cmds {
		if err := cmd.Wait(); err != nil {
			k.t.Errorf("party %d: %v", i, err)
			continue
		}
		if i == 0 {
			stall = k.stall()
		}
		s := readWAV(k.t, k.files[i])
		s.pcm = s.pcm[:max(0, len(s.pcm)-int(k.cut.Seconds()*float64(s.rate)))]
		gap, at, length := s.gap(k.hz[i])
		k.t.Logf("party %d heard %.0f Hz for %v; longest gap %v, after %v; the machine stood still for %v", i, k.hz[i], length, gap, at, stall)
		if gap > 60*time.Millisecond+stall {
			k.t.Errorf("party %d: a gap of %v in what it hears", i, gap)
		}
		if length < atLeast {
			k.t.Errorf("party %d heard the other for %v only, want %v", i, length, atLeast)
		}
	}
}

// watchStalls measures for how long this machine lets nobody run who has work:
// what it does to the test, it does to those who talk, and is no gap of ours.
func watchStalls() (longest func() time.Duration) {
	const nap = 10 * time.Millisecond
	stop, result := make(chan struct{}), make(chan time.Duration)
	go func() {
		var longest time.Duration
		for last := time.Now(); ; {
			select {
			case <-stop:
				result <- longest
				return
			case <-time.After(nap):
			}
			now := time.Now()
			longest = max(longest, now.Sub(last)-nap)
			last = now
		}
	}()
	return func() time.Duration { close(stop); return <-result }
}

// gap is the longest time without the tone, between its first and last sound,
// when that was after the first, and the time between first and last.
func (s sound) gap(hz float64) (longest, when, length time.Duration) {
	const step = 10 * time.Millisecond
	window, hop := s.rate/50, s.rate/100
	first, last, silent, begins, steady := -1, -1, 0, 0, 0
	for i, at := 0, 0; at+window <= len(s.pcm); i, at = i+1, at+hop {
		if audio.Spectrum(s.pcm[at:at+window], s.rate, hz)[0] < heard {
			steady = 0
			continue
		}
		if steady++; first < 0 && steady < 25 {
			continue // a prompt
		}
		if first < 0 {
			first = i
		} else {
			if n := i - last - 1; n > silent {
				silent, begins = n, last-first
			}
		}
		last = i
	}
	return time.Duration(silent) * step, time.Duration(begins) * step, time.Duration(last-first) * step
}

// udpPorts lists the UDP ports that the gateway's process has open: SIP, RTP
// and RTCP of the calls, WebRTC, TURN.
func (g *gateway) udpPorts() (ports []int) {
	g.t.Helper()
	inodes := map[string]bool{}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", g.cmd.Process.Pid))
	if err != nil {
		g.t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:[") {
			inodes[strings.Trim(to[7:], "[]")] = true
		}
	}
	for _, file := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		table, _ := os.ReadFile(file)
		for line := range strings.Lines(string(table)) {
			f := strings.Fields(line)
			if len(f) < 10 || !inodes[f[9]] {
				continue
			}
			_, hexPort, _ := strings.Cut(f[1], ":")
			if p, err := strconv.ParseUint(hexPort, 16, 16); err == nil {
				ports = append(ports, int(p))
			}
		}
	}
	return ports
}

// rss is the gateway's resident memory, in MiB.
func (g *gateway) rss() int {
	g.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		g.t.Fatalf("the gateway is gone: %v", err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		g.t.Fatal(err)
	}
	return kb / 1024
}

// watchRSS tells the most memory in use until stop is called.
func (g *gateway) watchRSS() (stop func() int) {
	quit, most := make(chan struct{}), atomic.Int64{}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-quit:
				return
			case <-time.After(200 * time.Millisecond):
				most.Store(max(most.Load(), int64(g.rss())))
			}
		}
	})
	return func() int { close(quit); done.Wait(); return int(most.Load()) }
}

// metric is the value of one line of the metrics.
func (g *gateway) metric(name string) float64 {
	g.t.Helper()
	_, text := g.metrics()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				g.t.Fatal(err)
			}
			return v
		}
	}
	g.t.Fatalf("no metric %s", name)
	return 0
}

func (g *gateway) mustBeHealthy() {
	g.t.Helper()
	res, err := g.http.Get("https://" + g.at["https"] + "/healthz")
	if err != nil {
		g.t.Fatalf("not healthy: %v", err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		g.t.Errorf("healthz: %d", res.StatusCode)
	}
	if n := g.metric("bridgehead_sip_faults_total"); n != 0 {
		g.t.Errorf("%v faults while handling SIP", n)
	}
}

// pace calls send at a rate for a time, a burst each 5 ms, and tells how often.
func pace(rate int, length time.Duration, send func(i int)) (sent int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < length; <-tick.C {
		for due := int(float64(rate) * time.Since(began).Seconds()); sent < due; sent++ {
			send(sent)
		}
	}
	return sent
}

// garbage makes the i-th of many kinds of bad datagrams: random bytes, and what
// begins like RTP, RTCP, STUN, DTLS or SIP and goes wrong after that.
func garbage(r *rand.Rand, i int) []byte {
	b := make([]byte, 1+r.IntN(1200))
	for j := range b {
		b[j] = byte(r.Uint32())
	}
	head := func(h ...byte) []byte { return append(h, b...) }
	switch i % 12 {
	case 0: // RTP, G.711
		return head(0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4)
	case 1: // RTP with 15 CSRCs, extension and padding that are not there
		return []byte{0xbf, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	case 2: // RTP padding longer than the packet (CVE-2025-49140)
		return []byte{0xa0, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 255}
	case 3: // RTCP of four bytes
		return []byte{0x80, 200, 0, 0}
	case 4: // RTCP BYE whose length lies (CVE-2021-43804)
		return []byte{0x9f, 203, 0xff, 0xff, 1, 2, 3, 4, 255}
	case 5: // RTCP feedback without a body
		return head(0x8f, 206, 0, 2, 0, 0, 0, 1)
	case 6: // STUN with an XOR-MAPPED-ADDRESS of no length (CVE-2026-54909)
		return []byte{1, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0x20, 0, 0}
	case 7: // STUN binding request with a USERNAME longer than the message
		return []byte{0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0xff, 0xff, 1, 2, 3, 4}
	case 8: // DTLS handshake fragment of no length, and a record beyond the datagram
		out := []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		binary.BigEndian.PutUint16(out[11:], uint16(r.Uint32()))
		return out
	case 9: // TURN allocate and channel data
		return head(0x40, 0, 0xff, 0xff)
	case 10:
		return head([]byte("INVITE sip:x SIP/2.0\r\nVia: ")...)
	}
	return b
}

// flood sends garbage to the ports in turn; nothing that comes back is read
// but counted.
func flood(t testing.TB, rate int, length time.Duration, ports []int) (sent int) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := rand.New(rand.NewPCG(1, 2))
	return pace(rate, length, func(i int) {
		to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: ports[i%len(ports)]}
		_, _ = c.WriteToUDP(garbage(r, i/len(ports)), to)
	})
}

// hoard opens connections that say nothing, or rubbish, or half a handshake,
// and holds them until release is called.
func hoard(addrs []string, each int) (open int, release func()) {
	var list []net.Conn
	r := rand.New(rand.NewPCG(3, 4))
	for i := range each {
		for _, a := range addrs {
			c, err := net.DialTimeout("tcp", a, time.Second)
			if err != nil {
				continue
			}
			list = append(list, c)
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
			switch i % 4 {
			case 1:
				_, _ = c.Write(garbage(r, i))
			case 2: // the beginning of a ClientHello
				_, _ = c.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3})
			case 3: // a length that never comes
				_, _ = c.Write([]byte("INVITE sip:x SIP/2.0\r\nContent-Length: 60000\r\n\r\n"))
			}
		}
	}
	return len(list), func() {
		for _, c := range list {
			c.Close()
		}
	}
}

// overTLS sends a message over a TLS connection of its own, and gives back the
// status line of the answer, if there is one.
func (g *gateway) overTLS(msg []byte, patience time.Duration) string {
	g.t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", g.at["sips"], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		g.t.Fatalf("TLS: %v", err)
	}
	defer c.Close() // at once, in the midst of it
	_, _ = c.Write(msg)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 2048)
	n, err := io.ReadAtLeast(c, b, 12)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b[:n]), "\r\n")
	return line
}
