package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"bridgehead/config"
	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/gateway/store"
	"bridgehead/sip"
)

// loopback is a gateway on free ports of this machine, not yet serving.
func loopback(t *testing.T, flags ...string) *gateway {
	t.Helper()
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	config.Flags(set)
	args := append([]string{"--data", t.TempDir(), "--rtp.bind", "127.0.0.1", "--rtp.advertise", "127.0.0.1", "--listen.turns", ""}, flags...)
	for _, l := range []string{"https", "webrtc", "webrtc_tcp", "sips", "sip", "turn", "h323", "h323_tls", "ras", "bfcp"} {
		args = append(args, "--listen."+l, "127.0.0.1:0")
	}
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load("", set)
	if err != nil {
		t.Fatal(err)
	}
	g, err := newGateway(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.close)
	return g
}

// line gives the gateway a trunk to this machine.
func (g *gateway) line(t *testing.T) {
	t.Helper()
	c := sip.TrunkConfig{Name: "line", Enabled: true, Mode: sip.Static, Transport: "udp", Host: "127.0.0.1", Port: 9, Sources: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, CheckEvery: -1}
	if err := g.sip.SetTrunks([]sip.TrunkConfig{c}); err != nil {
		t.Fatal(err)
	}
}

// dashboard is what the test needs of docs/grafana/bridgehead.json.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
}

// Every metric that the dashboard asks for is there, with the labels that it
// groups by; and those of calls have few values.
func TestDashboardAsksForWhatThereIs(t *testing.T) {
	g := loopback(t)
	g.line(t)
	who := core.Info{ID: "a", Protocol: core.PSTN, Direction: core.In}
	g.book.Begin(core.Call{Info: core.Info{ID: "b", Protocol: core.SIP, Direction: core.In}, To: "7001"})
	g.book.Begin(core.Call{Info: who, To: "+15550100", Trunk: "line"})
	g.trace(edge.TraceEvent{Kind: edge.Answered, Protocol: core.SIP, Leg: "a", Time: time.Now()})
	who.AudioStats = core.Stats{Codec: "PCMA", PacketsReceived: 1000}
	g.book.End(who, core.Reason{Code: core.Normal})
	called := store.SyntheticCall{Number: "+15550100", At: time.Now(), OK: true, AnswerMS: 800, MOS: 4.3}
	if err := errors.Join(g.store.AddNumber(t.Context(), store.Number{Number: called.Number}), g.store.AddSyntheticCaller(t.Context(), store.SyntheticCaller{Number: called.Number}),
		g.store.AddSyntheticCall(t.Context(), called)); err != nil {
		t.Fatal(err)
	}
	families, err := g.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, f := range families {
		var names []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			names = append(names, l.GetName())
		}
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			labels[f.GetName()+suffix] = strings.Join(append(names, "le"), " ")
		}
	}
	b, err := os.ReadFile("../docs/grafana/bridgehead.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(b, &d); err != nil || len(d.Panels) < 10 {
		t.Fatalf("%d panels, %v", len(d.Panels), err)
	}
	metric, by := regexp.MustCompile(`bridgehead_\w+`), regexp.MustCompile(`by \(([^)]*)\)`)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			names := metric.FindAllString(target.Expr, -1)
			if len(names) == 0 {
				t.Errorf("%s asks for nothing of ours: %s", p.Title, target.Expr)
			}
			for _, name := range names {
				if _, there := labels[name]; !there {
					t.Errorf("%s asks for %s, which there is not", p.Title, name)
				}
			}
			for _, group := range by.FindAllStringSubmatch(target.Expr, -1) {
				for _, l := range strings.Split(group[1], ", ") {
					if len(names) > 0 && !strings.Contains(" "+labels[names[0]]+" ", " "+l+" ") {
						t.Errorf("%s groups %s by %s, which has %s", p.Title, names[0], l, labels[names[0]])
					}
				}
			}
		}
	}
}

// Homer gets every SIP message, masked as in ladders.
func TestHomerIsTold(t *testing.T) {
	homer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer homer.Close()
	g := loopback(t, "--homer.server", homer.LocalAddr().String())
	peer, err := net.Dial("udp", g.addresses()["sip_udp"])
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	g.line(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = g.sip.Serve(ctx, g.plan) }()
	const options = "OPTIONS sip:7001**13579@x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1;rport\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:7001@x>\r\nCall-ID: told\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
	if _, err := peer.Write([]byte(options)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 65536)
	for _, want := range []string{"OPTIONS sip:7001*****@x SIP/2.0", "SIP/2.0 200 OK"} {
		_ = homer.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := homer.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b[:n]); !strings.HasPrefix(got, "HEP3") || !strings.Contains(got, want) || !strings.Contains(got, "told") || strings.Contains(got, "13579") {
			t.Errorf("Homer got %q, want %s", got, want)
		}
	}
}

// Homer is told how both sides of a call under way hear each other, under its
// Call-ID; once it has ended no more.
func TestHomerHearsOfCalls(t *testing.T) {
	homer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer homer.Close()
	g := loopback(t, "--homer.server", homer.LocalAddr().String())
	info := core.Info{ID: "a", AudioStats: core.Stats{SSRC: 1, PeerSSRC: 2, RemoteJitter: time.Millisecond, ClockRate: 8000}}
	info.AudioStats.Way = core.Way{Port: 20000, Signalled: netip.MustParseAddrPort("192.0.2.7:4000"), Found: netip.MustParseAddrPort("192.0.2.8:4002")}
	look := func() { g.heard(info, store.Sample{}, store.Sample{At: time.Now(), Received: 10, Sent: 10}) }
	look() // not answered yet
	flow := edge.FlowInfo{Local: netip.MustParseAddrPort("192.0.2.1:5060"), Remote: netip.MustParseAddrPort("192.0.2.7:5060")}
	g.trace(edge.TraceEvent{Kind: edge.Answered, Protocol: core.SIP, Leg: "a", CallID: "told", Flow: flow})
	look()
	g.trace(edge.TraceEvent{Kind: edge.Ended, Protocol: core.SIP, Leg: "a"})
	look()
	b := make([]byte, 65536)
	const here, there = "\xc0\x00\x02\x01", "\xc0\x00\x02\x08"
	for _, want := range []struct{ from, to, report string }{{here, there, `{"type":200,"ssrc":1,`}, {there, here, `{"type":201,"ssrc":2,`}} {
		_ = homer.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := homer.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got := string(b[:n])
		for _, part := range []string{"\x00\x03\x00\x0a" + want.from, "\x00\x04\x00\x0a" + want.to, "\x00\x0b\x00\x07\x05", "told", want.report} {
			if !strings.Contains(got, part) {
				t.Errorf("%q is not in %q", part, got)
			}
		}
	}
	_ = homer.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := homer.Read(b); err == nil {
		t.Errorf("after the end came %q", b[:n])
	}
}
