package api

import (
	"encoding/json"
	"strings"
	"testing"

	"bridgehead/gateway/store"
)

// A rule leads calls as soon as it is made; an expectation keeps rules, numbers
// and trunks from being changed against it.
func TestDialPlanIsSetUpTriedAndKept(t *testing.T) {
	d := newDesk(t)
	d.lay(false)
	const admin = store.RoleAdministrator
	do := func(method, path, body string, want int) (answer map[string]any) {
		t.Helper()
		s, text := d.do(admin, method, "/api/v1"+path, body)
		if s != want {
			t.Fatalf("%s %s: %d, want %d: %s", method, path, s, want, text)
		}
		_ = json.Unmarshal([]byte(text), &answer)
		return answer
	}
	leads := func(body, want string) {
		t.Helper()
		if got := do("POST", "/dialplan/simulate", body, 200); got["outcome"] != want {
			t.Errorf("%s leads to %v, want %s", body, got, want)
		}
	}
	leads(`{"to":"+15550123","trunk":"line"}`, "refuse not-found")
	if s, text := d.do(admin, "POST", "/api/v1/dialplan", `{"name":"new","pattern":"\\+1.*"}`); s != 422 || !strings.Contains(text, "not anchored") {
		t.Errorf("an expression without anchors: %d %s", s, text)
	}
	if s, text := d.do(admin, "POST", "/api/v1/dialplan", `{"name":"new","pattern":"+1","target":"trunk:none","class":"member"}`); s != 422 || !strings.Contains(text, "no trunk named none") {
		t.Errorf("a rule for a trunk that is not there: %d %s", s, text)
	}
	rule := do("POST", "/dialplan", `{"name":"new","source":"trunk:line","pattern":"+1555","target":"meeting:7001"}`, 200)
	leads(`{"to":"+15550123","trunk":"line"}`, "meeting:7001")
	do("POST", "/dialplan/expectations", `{"name":"new","call":{"to":"+15550123","trunk":"line"},"want":"meeting:7001"}`, 200)
	do("POST", "/dialplan/expectations", `{"name":"another","call":{"to":"+15550100","trunk":"line"}}`, 200)
	at := "/dialplan/" + rule["id"].(string)
	for _, c := range [][3]string{{"PATCH", at, `{"enabled":false}`}, {"DELETE", at, ""}, {"DELETE", "/numbers/+15550100", ""}, {"PATCH", "/numbers/+15550100", `{"target":"meeting:7001"}`}} {
		if s, text := d.do(admin, c[0], "/api/v1"+c[1], c[2]); s != 409 || !strings.Contains(text, "would break") {
			t.Errorf("%s %s %s: %d %s", c[0], c[1], c[2], s, text)
		}
	}
	leads(`{"to":"+15550123","trunk":"line"}`, "meeting:7001")
	do("DELETE", "/dialplan/expectations/new", "", 204)
	do("DELETE", at, "", 204)
	leads(`{"to":"+15550123","trunk":"line"}`, "refuse not-found")
}

func TestNumbersHaveCountryHoursAndPasscode(t *testing.T) {
	d := newDesk(t)
	d.lay(false)
	s, text := d.do(store.RoleAdministrator, "POST", "/api/v1/numbers", `{"number":"+4930123456","trunk":"line","target":"meeting:7001","language":"de","no_passcode":true,
		"hours":{"time_zone":"Europe/Berlin","open":[{"days":["mon","tue"],"from":"08:00","to":"18:00"}],"otherwise":"reception"}}`)
	if s != 200 || !strings.Contains(text, `"country":"DE"`) || !strings.Contains(text, `"no_passcode":true`) {
		t.Fatalf("%d %s", s, text)
	}
	for at, want := range map[string]string{"2026-11-30T12:00:00Z": "meeting:7001", "2026-11-30T18:00:00Z": "reception"} {
		if s, text := d.do(store.RoleAdministrator, "POST", "/api/v1/dialplan/simulate", `{"to":"+4930123456","trunk":"line","at":"`+at+`"}`); s != 200 || !strings.Contains(text, `"outcome":"`+want) {
			t.Errorf("at %s: %d %s", at, s, text)
		}
	}
	for body, want := range map[string]string{`{"hours":{"time_zone":"Mars","open":[{"days":["mon"],"from":"08:00","to":"18:00"}]}}`: "time zone", `{"target":"user:"}`: "target"} {
		if s, text := d.do(store.RoleAdministrator, "PATCH", "/api/v1/numbers/+4930123456", body); s != 422 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", body, s, text)
		}
	}
	if s, text := d.do(store.RoleAdministrator, "PATCH", "/api/v1/numbers/+4930123456", `{"hours":{"time_zone":"","open":[]}}`); s != 200 || strings.Contains(text, "hours") {
		t.Errorf("without hours: %d %s", s, text)
	}
}
