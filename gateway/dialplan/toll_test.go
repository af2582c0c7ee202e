package dialplan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/store"
	"bridgehead/pstn"
)

func TestTollsStopAndAlarmOnce(t *testing.T) {
	var told []TollAlarm
	now := time.Unix(1_000_000, 0)
	tolls := NewTolls(3, 5, func(a TollAlarm) { told = append(told, a) })
	tolls.now = func() time.Time { return now }
	call := func(account, number string) bool {
		err := tolls.Admit(account, number)
		if err != nil && core.ReasonOf(err).Code != core.Throttled {
			t.Fatal(err)
		}
		return err == nil
	}
	for i := range 3 {
		if !call("ann", fmt.Sprintf("+4930123456%d", i)) {
			t.Fatalf("call %d was refused", i)
		}
	}
	for range 2 {
		if call("ann", "+441632960000") {
			t.Error("a fourth call of one account was let out")
		}
	}
	if len(told) != 1 || told[0].Account != "ann" || !strings.Contains(told[0].Text(), "3 calls to telephones within an hour by ann") {
		t.Errorf("told %+v", told)
	}
	for range 2 {
		if !call("bob", "+4930123456") {
			t.Error("fewer than five calls to one country are refused")
		}
	}
	if call("cyd", "+4930123456") {
		t.Error("a sixth call to one country was let out")
	}
	if !call("cyd", "+441632960000") {
		t.Error("another country has to suffer for it")
	}
	if len(told) != 2 || told[1].Country != "DE" {
		t.Errorf("told %+v", told)
	}
	now = now.Add(TollWindow + time.Second)
	if !call("ann", "+4930123456") {
		t.Error("an hour later calls are refused still")
	}
	tolls.Set(0, 0)
	for range 100 {
		if !call("ann", "+4930123456") {
			t.Fatal("no limit is one")
		}
	}
	if (*Tolls)(nil).Admit("ann", "+49") != nil {
		t.Error("no tolls refuse")
	}
}

// Calls of synthetic callers, to numbers of the bridge, use up nobody's.
func TestOwnCallsCountForNobody(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	tolls := NewTolls(2, 2, func(TollAlarm) {})
	tolls.now = func() time.Time { return now }
	placed := func(by string) (c store.Call) {
		c.Started, c.Detail.Request = now, store.CallRequest{By: by, To: "+4930123456"}
		return c
	}
	tolls.Resume([]store.Call{placed(ownCaller), placed(ownCaller), placed(ownCaller), placed("ann")})
	if err := tolls.Admit("bob", "+4930123456"); err != nil {
		t.Errorf("own calls count: %v", err)
	}
	if err := tolls.Admit("bob", "+4930123456"); err == nil {
		t.Error("ann's call before the restart does not count")
	}
}

// Each device that calls telephones by a rule has its own count.
func TestTollsCountEachDeviceAlone(t *testing.T) {
	b := newBench(t)
	network := &exchange{}
	b.Telephone(network)
	b.opt.Tolls = NewTolls(2, 0, func(TollAlarm) {})
	out := compile(store.Rule{RuleSettings: store.RuleSettings{Name: "out", Enabled: true, Direction: "in", Source: "device", Class: "member", Pattern: "+49", Target: "trunk", Countries: []string{"DE"}}})
	if out.fault != nil {
		t.Fatal(out.fault)
	}
	b.table.Store(&Table{rules: []*rule{out}, out: pstn.Rules{Routes: []pstn.Route{{Line: "carrier"}}}})
	for _, device := range []string{"room1", "room1", "room1", "room2"} {
		who := info(core.SIP, "192.0.2.1")
		who.User = device
		d, err := b.Decide(t.Context(), store.Attempt{Direction: "in", To: "+4930123456", Class: "device"})
		if err != nil {
			t.Fatal(err)
		}
		room, err := b.follow(t.Context(), d, "", core.Call{To: "+4930123456", Info: who})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = room.(*direct).dial(room) // nobody answers there
	}
	if n := len(network.calls()); n != 3 {
		t.Errorf("%d calls were let out, want two of one device and one of the other", n)
	}
}
