package dialplan

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
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
	now = now.Add(tollWindow + time.Second)
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
