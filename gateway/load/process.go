package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a gateway or an echo under measurement, in a process of its own.
type process struct {
	cmd   *exec.Cmd
	ended chan error
	dir   string // of a gateway, deleted at the end
	clear string // where to call
	tls   string
	h323  string
	web   string // link of the meeting
	echo  netip.AddrPort
	janus string // API socket

	log   bytes.Buffer
	https string
	token string
	sip   [2]string // addresses of clear and encrypted trunks
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process, by force if need be.
func (p *process) stop() {
	p.halt()
	if p.dir != "" {
		os.RemoveAll(p.dir)
	}
}

func (p *process) halt() {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	p.cmd = nil
}

func (p *process) start() error {
	p.ended = make(chan error, 1)
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	return nil
}

// startEcho runs an echo; see [Echo].
func startEcho(program string, every time.Duration, suite string) (*process, error) {
	return startSmall(program, "load", "echo", "--every", every.String(), "--suite", suite)
}

// startAnswer runs a bare SIP server; see [Answer].
func startAnswer(program string, secure bool) (*process, error) {
	p, err := startSmall(program, "load", "answer", fmt.Sprintf("--tls=%t", secure))
	if err == nil {
		p.clear, p.tls = fmt.Sprintf("sip:answer@%v", p.echo), fmt.Sprintf("sips:answer@%v", p.echo)
		p.echo = netip.AddrPort{}
	}
	return p, err
}

// startSmall runs what prints its address on its first line.
func startSmall(program string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(program, args...)}
	in, out, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	p.cmd.Stdout = out
	err = p.start()
	out.Close()
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	if err == nil {
		p.echo, err = netip.ParseAddrPort(strings.TrimSpace(line))
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s did not start: %w", args[1], err)
	}
	return p, nil
}

// What the benchmark's gateway is called by.
const (
	loopback    = "127.0.0.1"
	benchClear  = "+15550100"
	benchTLS    = "+15550101"
	startWithin = 20 * time.Second
)

// startGateway runs a gateway on loopback with one open meeting and two trunks
// that lead to it, one in clear and one over TLS.
func startGateway(ctx context.Context, program string, flags ...string) (*process, error) {
	p, err := startEmpty(ctx, program, flags...)
	if err != nil {
		return nil, err
	}
	if err := p.stock(ctx); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// giveBack is when a gateway has given back what starting needed for a moment.
const giveBack = 7 * time.Second

// startSettled is startGateway for what is to be measured without what a start
// costs: the gateway is in its second start, as the first hashes a password with
// 64 MiB, and has given back what it needed for that.
func startSettled(ctx context.Context, program string) (*process, error) {
	p, err := startGateway(ctx, program)
	if err == nil {
		err = p.again(ctx, program)
	}
	if err == nil {
		err = sleep(ctx, giveBack)
	}
	if err != nil && p != nil {
		p.stop()
	}
	return p, err
}

// startEmpty runs one without meetings and trunks.
func startEmpty(ctx context.Context, program string, flags ...string) (*process, error) {
	dir, err := os.MkdirTemp("", "bridgehead-bench")
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir}
	if err := p.serve(ctx, program, flags); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// serve runs the gateway on its folder and waits until it is up.
func (p *process) serve(ctx context.Context, program string, flags []string) error {
	args := []string{"serve", "--data", p.dir, "--rtp.bind", loopback, "--rtp.advertise", loopback,
		"--limits.calls_per_source", "2000", "--limits.setups_per_source", "1000"}
	for _, l := range []string{"https", "webrtc", "sips", "sip", "h323"} {
		args = append(args, "--listen."+l, loopback+":0")
	}
	for _, l := range []string{"webrtc_tcp", "turn", "turns", "h323_tls", "ras", "bfcp"} {
		args = append(args, "--listen."+l, "")
	}
	p.cmd = exec.Command(program, append(args, flags...)...)
	p.log.Reset()
	p.cmd.Stderr = &p.log
	if err := p.start(); err != nil {
		return err
	}
	var at map[string]string
	var login struct{ Token string }
	for deadline := time.Now().Add(startWithin); ; {
		if readJSON(p.dir, "addresses.json", &at) == nil && readJSON(p.dir, "first-login.json", &login) == nil {
			break
		}
		select {
		case err := <-p.ended:
			p.ended <- err
			return fmt.Errorf("gateway: %w\n%s", err, p.log.Bytes()[max(0, p.log.Len()-2000):])
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("gateway: not up within %v", startWithin)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	p.https, p.token, p.sip = "https://"+at["https"], login.Token, [2]string{at["sip_udp"], at["sips"]}
	p.clear, p.tls = "sip:"+benchClear+"@"+p.sip[0], "sips:"+benchTLS+"@"+p.sip[1]
	p.h323, p.web = "h323:7001@"+at["h323"], p.https+"/join/7001"
	return nil
}

// again stops the gateway and starts it anew on the same folder: what the first
// start alone needs memory for is gone.
func (p *process) again(ctx context.Context, program string) error {
	p.halt()
	_ = os.Remove(filepath.Join(p.dir, "addresses.json")) // if it has not done so itself
	return p.serve(ctx, program, nil)
}

// stock gives the gateway its meeting and trunks.
func (p *process) stock(ctx context.Context) error {
	trunk := map[string]any{"mode": "static", "source": []string{loopback + "/32"}, "enabled": true, "override_check": true, "calls_per_second": 1000}
	clear, secure := map[string]any{"name": "clear", "transport": "udp", "media_encryption": "none"}, map[string]any{"name": "tls", "transport": "tls"}
	for k, v := range trunk {
		clear[k], secure[k] = v, v
	}
	for _, c := range []struct {
		path string
		body map[string]any
	}{
		{"trunks", clear}, {"trunks", secure}, {"meetings", meeting("7001")},
		{"numbers", map[string]any{"number": benchClear, "trunk": "clear", "target": "meeting:7001"}},
		{"numbers", map[string]any{"number": benchTLS, "trunk": "tls", "target": "meeting:7001"}},
	} {
		if err := p.post(ctx, c.path, c.body); err != nil {
			return err
		}
	}
	return nil
}

func meeting(number string) map[string]any {
	return map[string]any{"number": number, "name": "Benchmark", "admission": "open", "max_participants": 2000}
}

// meetings makes n more of them and returns what to call, in clear and encrypted.
func (p *process) meetings(ctx context.Context, n int) (clear, secure []string, err error) {
	for i := range n {
		number := fmt.Sprint(8000 + i)
		if err := p.post(ctx, "meetings", meeting(number)); err != nil {
			return nil, nil, err
		}
		for k, trunk := range []string{"clear", "tls"} {
			dialled := fmt.Sprintf("+1555%d%04d", k+2, i)
			if err := p.post(ctx, "numbers", map[string]any{"number": dialled, "trunk": trunk, "target": "meeting:" + number}); err != nil {
				return nil, nil, err
			}
			if k == 0 {
				clear = append(clear, "sip:"+dialled+"@"+p.sip[k])
			} else {
				secure = append(secure, "sips:"+dialled+"@"+p.sip[k])
			}
		}
	}
	return clear, secure, nil
}

// counter reads one of the gateway's metrics; 0 if it has none of the name.
func (p *process) counter(ctx context.Context, name string) float64 {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.https+"/metrics", nil)
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	res, err := own.Do(req)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, _ := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return v
		}
	}
	return 0
}

func readJSON(dir, name string, v any) error {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// own is for our own gateway, whose certificate nobody has signed.
var own = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}

func (p *process) post(ctx context.Context, path string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.https+"/api/v1/"+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := own.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 500))
		return fmt.Errorf("POST %s: %s: %s", req.URL.Path, res.Status, text)
	}
	return nil
}
