package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"bridgehead/core"
	"bridgehead/gateway/store"
)

// refusing answers every INVITE at a port of this machine with a status.
func refusing(t *testing.T, status string) (port int) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 65536)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			head, _, _ := strings.Cut(string(b[:n]), "\r\n\r\n")
			lines := strings.Split(head, "\r\n")
			if !strings.HasPrefix(lines[0], "INVITE") {
				continue
			}
			answer := "SIP/2.0 " + status + "\r\n"
			for _, l := range lines[1:] {
				switch name, _, _ := strings.Cut(l, ":"); name {
				case "To":
					answer += l + ";tag=1\r\n"
				case "Via", "From", "Call-ID", "CSeq":
					answer += l + "\r\n"
				}
			}
			_, _ = c.WriteToUDPAddrPort([]byte(answer+"Content-Length: 0\r\n\r\n"), from)
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// calling runs what a call out needs. stop ends it in the gateway's own order:
// the edge tells of calls until its last has ended, so the book is closed after it.
func (g *gateway) calling(t *testing.T) (stop func()) {
	ctx, hangUp := context.WithCancel(t.Context())
	late, closeBook := context.WithCancel(t.Context())
	var edge, book sync.WaitGroup
	edge.Go(func() { _ = g.sip.Serve(ctx, g.plan) })
	book.Go(func() { g.book.Run(late) })
	g.trunks.load()
	return func() { hangUp(); edge.Wait(); closeBook(); book.Wait() }
}

// nowhere is a room that nobody reaches.
type nowhere struct{}

func (nowhere) Name() string                         { return "nowhere" }
func (nowhere) Join(context.Context, core.Leg) error { return core.Reason{Code: core.Failure} }

// Who has used up the calls of an hour does not get others by a restart, over
// however many trunks each was tried.
func TestTollsOutliveARestart(t *testing.T) {
	flags := []string{"--data", t.TempDir(), "--pstn.countries", "DE", "--pstn.calls_per_hour", "2"}
	g := loopback(t, flags...)
	u, err := g.store.AddUser(t.Context(), store.User{Email: "ann@example.org", Role: store.RoleAdministrator}, "a good password")
	if err != nil {
		t.Fatal(err)
	}
	for i, status := range []string{"503 Service Unavailable", "486 Busy Here"} {
		if _, err := g.store.AddTrunk(t.Context(), store.Trunk{Name: status[:3], TrunkSettings: store.TrunkSettings{Mode: "static", Transport: "udp", Host: fmt.Sprint("127.0.0.1:", refusing(t, status)), Source: []string{"127.0.0.1/32"},
			MediaEncryption: "none", Enabled: true, Priority: i, TrunkOptions: store.TrunkOptions{Check: -1}}}); err != nil {
			t.Fatal(err)
		}
	}
	by := &core.Info{User: u.ID, Protocol: core.WebRTC}
	call := func(number string) core.Code {
		_, err := g.plan.DialOut("tel:"+number, "", by, nowhere{})
		return core.ReasonOf(err).Code
	}
	stop := g.calling(t)
	if code := call("+4930123456"); code != core.Busy {
		t.Fatalf("the first call ends as %s", code)
	}
	stop()
	g.close()

	g = loopback(t, flags...)
	stop = g.calling(t)
	defer stop()
	if code := call("+4930123457"); code != core.Busy {
		t.Errorf("the second call ends as %s", code)
	}
	if code := call("+4930123458"); code != core.Throttled {
		t.Errorf("the third call within an hour ends as %s", code)
	}
}
