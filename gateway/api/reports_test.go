package api

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bridgehead/gateway/store"
)

func TestP51UsageIsSummedUp(t *testing.T) {
	d := newDesk(t)
	day := time.Date(2026, 3, 5, 9, 0, 0, 0, time.UTC)
	if _, err := d.store.AddMeeting(t.Context(), store.Meeting{Number: "7001", Name: "=Team", Kind: "permanent", Admission: "open"}); err != nil {
		t.Fatal(err)
	}
	for i, c := range []store.Call{
		{Started: day, Ended: day.Add(30 * time.Minute), Meeting: "7001", Account: d.ids[store.RoleUser], Protocol: "webrtc", Detail: store.CallDetail{MOS: 4}},
		{Started: day, Ended: day.Add(15 * time.Minute), Meeting: "7001", Trunk: "line", Protocol: "pstn", Detail: store.CallDetail{MOS: 3}},
		{Started: day.Add(time.Hour), Ended: day.Add(time.Hour + time.Minute), Code: "not-found", Trunk: "line", Protocol: "pstn"},
		{Started: day.AddDate(0, 0, 1), Ended: day.AddDate(0, 0, 1).Add(time.Minute), Meeting: "7002", Protocol: "sip"},
		{Started: day.AddDate(0, 0, 2), Meeting: "7001", Protocol: "sip"}, // still under way
	} {
		c.ID = string(rune('a' + i))
		if err := d.store.SaveCall(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	const span = "from=2026-03-01T00:00:00Z&to=2026-03-06T00:00:00Z"
	for by, want := range map[string][]store.Usage{
		"day":      {{Key: "2026-03-05", Calls: 2, Refused: 1, Minutes: 45, MOS: 3.5}},
		"meeting":  {{Key: "", Refused: 1}, {Key: "7001", Name: "=Team", Calls: 2, Minutes: 45, MOS: 3.5}},
		"trunk":    {{Key: "", Calls: 1, Minutes: 30, MOS: 4}, {Key: "line", Calls: 1, Refused: 1, Minutes: 15, MOS: 3}},
		"protocol": {{Key: "pstn", Calls: 1, Refused: 1, Minutes: 15, MOS: 3}, {Key: "webrtc", Calls: 1, Minutes: 30, MOS: 4}},
	} {
		s, text := d.do(store.RoleSuperuser, "GET", "/api/v1/reports/usage?by="+by+"&"+span, "")
		var got []store.Usage
		if err := json.Unmarshal([]byte(text), &got); err != nil || s != 200 || len(got) != len(want) {
			t.Errorf("by %s: %d %s", by, s, text)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("by %s: %+v, want %+v", by, got[i], want[i])
			}
		}
	}
	_, text := d.do(store.RoleSuperuser, "GET", "/api/v1/reports/usage?format=csv&by=meeting&"+span, "")
	lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(lines) != 3 || strings.Join(lines[2], "|") != "7001|'=Team|2|0|45|3.5" {
		t.Errorf("%q, %v", lines, err)
	}
}

func TestP62AlertsGoWhereSuperusersSay(t *testing.T) {
	d := newDesk(t)
	if s, text := d.do(store.RoleSuperuser, "PATCH", "/api/v1/settings", `{"alerts":{"mail":["ops@example.org"]}}`); s != 200 || !strings.Contains(text, "ops@example.org") {
		t.Errorf("%d %s", s, text)
	}
	if s, _ := d.do(store.RoleSuperuser, "PATCH", "/api/v1/settings", `{"alerts":{"mail":["ops"]}}`); s != 422 {
		t.Errorf("no address: %d", s)
	}
	if _, text := d.do(store.RoleUser, "GET", "/api/v1/settings", ""); strings.Contains(text, "ops@example.org") {
		t.Errorf("users see whom alerts go to: %s", text)
	}
}
