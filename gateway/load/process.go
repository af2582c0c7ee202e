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
	echo  netip.AddrPort
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process, by force if need be.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
	if p.dir != "" {
		os.RemoveAll(p.dir)
	}
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
func startEcho(program string, every time.Duration) (*process, error) {
	p := &process{cmd: exec.Command(program, "load", "echo", "--every", every.String())}
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
		return nil, fmt.Errorf("echo did not start: %w", err)
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
func startGateway(ctx context.Context, program string) (*process, error) {
	dir, err := os.MkdirTemp("", "bridgehead-bench")
	if err != nil {
		return nil, err
	}
	args := []string{"serve", "--data", dir, "--rtp.bind", loopback, "--rtp.advertise", loopback,
		"--limits.calls_per_source", "2000", "--limits.setups_per_source", "1000"}
	for _, l := range []string{"https", "webrtc", "sips", "sip", "h323"} {
		args = append(args, "--listen."+l, loopback+":0")
	}
	for _, l := range []string{"webrtc_tcp", "turn", "turns", "h323_tls", "ras"} {
		args = append(args, "--listen."+l, "")
	}
	p := &process{cmd: exec.Command(program, args...), dir: dir}
	var log bytes.Buffer
	p.cmd.Stderr = &log
	if err := p.start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	if err := p.prepare(ctx); err != nil {
		p.stop()
		return nil, fmt.Errorf("gateway: %w\n%s", err, log.Bytes()[max(0, log.Len()-2000):])
	}
	return p, nil
}

// prepare waits for the gateway and gives it its meeting and trunks.
func (p *process) prepare(ctx context.Context) error {
	var at map[string]string
	var login struct{ Token string }
	for deadline := time.Now().Add(startWithin); ; {
		if readJSON(p.dir, "addresses.json", &at) == nil && readJSON(p.dir, "first-login.json", &login) == nil {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not up within %v", startWithin)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	p.clear, p.tls = "sip:"+benchClear+"@"+at["sip_udp"], "sips:"+benchTLS+"@"+at["sips"]
	p.h323 = "h323:7001@" + at["h323"]
	trunk := map[string]any{"mode": "static", "source": []string{loopback + "/32"}, "enabled": true, "override_check": true, "calls_per_second": 1000}
	clear, secure := map[string]any{"name": "clear", "transport": "udp", "media_encryption": "none"}, map[string]any{"name": "tls", "transport": "tls"}
	for k, v := range trunk {
		clear[k], secure[k] = v, v
	}
	for _, c := range []struct {
		path string
		body map[string]any
	}{
		{"meetings", map[string]any{"number": "7001", "name": "Benchmark", "admission": "open", "max_participants": 2000}},
		{"trunks", clear}, {"trunks", secure},
		{"numbers", map[string]any{"number": benchClear, "trunk": "clear", "target": "meeting:7001"}},
		{"numbers", map[string]any{"number": benchTLS, "trunk": "tls", "target": "meeting:7001"}},
	} {
		if err := post(ctx, "https://"+at["https"]+"/api/v1/"+c.path, login.Token, c.body); err != nil {
			return err
		}
	}
	return nil
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

func post(ctx context.Context, url, token string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
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
