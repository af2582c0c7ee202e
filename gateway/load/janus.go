package load

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/core/rtpio"
)

// Janus (https://janus.conf.meetecho.com) is the bridge that the benchmark
// measures beside ours, where it is installed: its AudioBridge takes plain RTP.

// janusHome is where Janus has its plugins; "" if it is not installed.
func janusHome() string {
	if _, err := exec.LookPath("janus"); err != nil {
		return ""
	}
	found, _ := filepath.Glob("/usr/lib/*/janus/plugins/libjanus_audiobridge.so")
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(filepath.Dir(found[0]))
}

// janusVersion is what it says of itself.
func janusVersion(ctx context.Context) string {
	out, _ := exec.CommandContext(ctx, "janus", "--help").CombinedOutput()
	if _, v, ok := strings.Cut(string(out), "("); ok {
		v, _, _ = strings.Cut(v, ")")
		return v
	}
	return "of unknown version"
}

// janusFiles configure a room of G.711's sampling rate on the loopback, with
// nothing else loaded. Every other setting is Janus's own.
var janusFiles = map[string]string{
	"janus.jcfg": `general: {
	configs_folder = "DIR"
	plugins_folder = "HOME/plugins"
	transports_folder = "HOME/transports"
	events_folder = "DIR"
	loggers_folder = "DIR"
	debug_level = 2
	interface = "127.0.0.1"
}
plugins: { disable = "PLUGINS" }
transports: { disable = "TRANSPORTS" }
`,
	"janus.transport.pfunix.jcfg": `general: {
	enabled = true
	json = "compact"
	path = "DIR/api"
	type = "SOCK_SEQPACKET"
}
`,
	"janus.plugin.audiobridge.jcfg": `general: {
	rtp_port_range = "41000-45000"
	local_ip = "127.0.0.1"
}
room-1: {
	description = "Benchmark"
	sampling_rate = 8000
	record = false
	audiolevel_ext = false
	allow_rtp_participants = true
}
`}

// startJanus runs a Janus with one room. Now and then it does not come up, so it
// has more than one try.
func startJanus(ctx context.Context) (p *process, err error) {
	for range retries {
		if p, err = startJanusOnce(ctx); err == nil || ctx.Err() != nil {
			return p, err
		}
	}
	return nil, err
}

func startJanusOnce(ctx context.Context) (*process, error) {
	home := janusHome()
	dir, err := os.MkdirTemp("", "bridgehead-bench")
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir, janus: filepath.Join(dir, "api")}
	fill := strings.NewReplacer("DIR", dir, "HOME", home, "PLUGINS", modules(home, "plugins", "libjanus_audiobridge.so"), "TRANSPORTS", modules(home, "transports", "libjanus_pfunix.so"))
	for name, text := range janusFiles {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(fill.Replace(text)), 0o600); err != nil {
			return nil, err
		}
	}
	p.cmd = exec.Command("janus", "--configs-folder", dir, "--config", filepath.Join(dir, "janus.jcfg"), "--disable-colors")
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	for deadline := time.Now().Add(startWithin / retries); ; {
		c, err := net.Dial("unixpacket", p.janus)
		if err == nil {
			c.Close()
			return p, nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil || time.Now().After(deadline) {
			p.stop()
			return nil, fmt.Errorf("janus: not up within %v: %v\n%s", startWithin/retries, err, p.log.Bytes()[max(0, p.log.Len()-2000):])
		}
	}
}

// modules of a folder but one, as Janus wants them named that it leaves out.
func modules(home, folder, but string) string {
	found, _ := filepath.Glob(filepath.Join(home, folder, "*.so"))
	var names []string
	for _, f := range found {
		if name := filepath.Base(f); name != but {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// janusAPI asks one thing after the other over the Unix socket.
type janusAPI struct {
	net.Conn
	buf []byte
	n   int
}

type janusAnswer struct {
	Janus, Transaction string
	Data               struct{ ID uint64 }
	Error              struct{ Reason string }
	Plugindata         struct {
		Data struct {
			AudioBridge, Error string
			RTP                struct {
				IP   string
				Port uint16
			}
		}
	}
}

// ask sends a request and returns its answer, an event where one is wanted.
func (j *janusAPI) ask(event bool, m map[string]any) (a janusAnswer, err error) {
	j.n++
	m["transaction"] = fmt.Sprint(j.n)
	data, err := json.Marshal(m)
	if err != nil {
		return a, err
	}
	_ = j.SetDeadline(time.Now().Add(setupLimit))
	if _, err := j.Write(data); err != nil {
		return a, err
	}
	for {
		n, err := j.Read(j.buf)
		if err != nil {
			return a, fmt.Errorf("janus: %w", err)
		}
		a = janusAnswer{}
		_ = json.Unmarshal(j.buf[:n], &a)
		switch {
		case a.Transaction != m["transaction"] || event && a.Janus == "ack":
			continue
		case a.Janus == "error" || a.Plugindata.Data.Error != "":
			return a, fmt.Errorf("janus: %s%s", a.Error.Reason, a.Plugindata.Data.Error)
		}
		return a, nil
	}
}

// janusFlows has the parties join a Janus's room with plain RTP.
func (r *run) janusFlows(ctx context.Context) error {
	c, err := net.Dial("unixpacket", r.Janus)
	if err != nil {
		return err
	}
	r.closers = append(r.closers, c)
	j := &janusAPI{Conn: c, buf: make([]byte, 256<<10)}
	session, err := j.ask(false, map[string]any{"janus": "create"})
	if err != nil {
		return err
	}
	began := time.Now()
	for n := range r.Calls {
		if err := sleep(ctx, time.Duration(float64(n)/max(r.PerSec, 0.1)*float64(time.Second))-time.Since(began)); err != nil {
			return err
		}
		handle, err := j.ask(false, map[string]any{"janus": "attach", "plugin": "janus.plugin.audiobridge", "session_id": session.Data.ID})
		if err != nil {
			return err
		}
		if err := r.flow(n, core.Codec{Name: r.Codec, ClockRate: 8000, Channels: 1}, func(s *rtpio.Session) (netip.AddrPort, error) {
			a, err := j.ask(true, map[string]any{"janus": "message", "session_id": session.Data.ID, "handle_id": handle.Data.ID, "body": map[string]any{
				"request": "join", "room": 1, "codec": "pcmu", "rtp": map[string]any{"ip": r.Bind.String(), "port": s.Port(), "payload_type": 0}}})
			if err != nil {
				return netip.AddrPort{}, err
			}
			ip, err := netip.ParseAddr(a.Plugindata.Data.RTP.IP)
			return netip.AddrPortFrom(ip, a.Plugindata.Data.RTP.Port), err
		}); err != nil {
			return err
		}
	}
	r.report.Connected = r.Calls
	r.report.SetupRate = float64(r.Calls) / time.Since(began).Seconds()
	return nil
}
