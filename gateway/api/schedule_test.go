package api

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bridgehead/gateway/store"
)

const planned = `{"number":"7007","name":"Stand-up","schedule":{"start":"2026-03-05T09:30:00Z","time_zone":"Europe/Berlin","minutes":15,"repeat":"weekdays"}}`

func TestScheduleIsByTheClockOfItsZone(t *testing.T) {
	d := newDesk(t)
	if s, text := d.do(store.RoleUser, "POST", "/api/v1/meetings", planned); s != 200 {
		t.Fatalf("%d %s", s, text)
	}
	_, text := d.do(store.RoleUser, "GET", "/api/v1/meetings/7007", "")
	var m struct{ Schedule map[string]any }
	if err := json.Unmarshal([]byte(text), &m); err != nil || m.Schedule["start"] != "2026-03-05T10:30:00+01:00" || m.Schedule["time_zone"] != "Europe/Berlin" || m.Schedule["next"] == nil {
		t.Errorf("%s, %v", text, err)
	}
	for _, bad := range []string{`{"minutes":15}`, `{"minutes":15,"start":"2026-03-05T09:30:00Z","time_zone":"Mars/Base"}`, `{"minutes":15,"start":"2026-03-05T09:30:00Z","time_zone":"Local"}`,
		`{"minutes":15,"start":"2026-03-05T09:30:00Z","repeat":"hourly"}`, `{"minutes":99999,"start":"2026-03-05T09:30:00Z"}`} {
		if s, text := d.do(store.RoleUser, "PATCH", "/api/v1/meetings/7007", `{"schedule":`+bad+`}`); s != 422 {
			t.Errorf("%s: %d %s", bad, s, text)
		}
	}
	if _, text := d.do(store.RoleUser, "PATCH", "/api/v1/meetings/7007", `{"schedule":{"minutes":0}}`); strings.Contains(text, `"schedule"`) {
		t.Errorf("the schedule stays: %s", text)
	}
}

func TestP64CalendarShowsOnesMeetingsToWhoKnowsItsAddress(t *testing.T) {
	d := newDesk(t)
	d.do(store.RoleUser, "POST", "/api/v1/meetings", planned)
	d.do(store.RoleUser, "POST", "/api/v1/meetings", `{"number":"7008","name":"At any time"}`)
	d.do(store.RoleAdministrator, "POST", "/api/v1/meetings", strings.NewReplacer("7007", "7009", "Stand-up", "Another's").Replace(planned))
	_, text := d.do(store.RoleUser, "POST", "/api/v1/me/calendar", "")
	var c calendarView
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(text)
	}
	path := c.URL[strings.Index(c.URL, "/api/"):]
	s, ics := d.do("", "GET", path, "")
	if s != 200 || strings.Count(ics, "BEGIN:VEVENT") != 1 || !strings.Contains(ics, "SUMMARY:Stand-up") || !strings.Contains(ics, "/join/7007") {
		t.Errorf("%d %s", s, ics)
	}
	if s, _ := d.do(store.RoleUser, "DELETE", "/api/v1/me/calendar", ""); s != 204 {
		t.Errorf("delete: %d", s)
	}
	if s, _ := d.do("", "GET", path, ""); s != 404 {
		t.Errorf("after its end: %d", s)
	}
}

func TestInvitationsGoByMailToEach(t *testing.T) {
	d := newDesk(t)
	d.do(store.RoleUser, "POST", "/api/v1/meetings", strings.Replace(planned, `"name"`, `"host_passcode":"99887766","name"`, 1))
	if s, text := d.do(store.RoleUser, "POST", "/api/v1/meetings/7007/invitation", `{"to":["ann@example.org","bob@example.org"]}`); s != 200 {
		t.Fatalf("%d %s", s, text)
	}
	l := d.letters[0]
	if len(d.letters) != 1 || strings.Join(l.To, " ") != "ann@example.org bob@example.org" || l.Subject != "Invitation: Stand-up" || !strings.Contains(l.ICal, "RRULE") || l.ReplyTo != "user@example.org" {
		t.Errorf("%+v", l)
	}
	if strings.Contains(l.Text+l.HTML+l.ICal, "99887766") {
		t.Error("it has the host's passcode")
	}
	for _, bad := range []string{`[]`, `["ann"]`, `["Ann <ann@example.org>"]`, `["ann@example.org\r\nBcc: x@example.org"]`} {
		if s, _ := d.do(store.RoleUser, "POST", "/api/v1/meetings/7007/invitation", `{"to":`+bad+`}`); s != 422 {
			t.Errorf("%s: %d", bad, s)
		}
	}
	many := `{"to":["` + strings.Repeat(`x@example.org","`, 49) + `x@example.org"]}`
	refused := false
	for range lettersAnHour/50 + 1 {
		s, _ := d.do(store.RoleUser, "POST", "/api/v1/meetings/7007/invitation", many)
		refused = refused || s == 429
	}
	if !refused {
		t.Error("invitations have no bound")
	}
}

// Who was made host moderates and invites; the meeting stays the owner's.
func TestHostsModerateWhatIsAnothers(t *testing.T) {
	d := newDesk(t)
	if s, text := d.do(store.RoleAdministrator, "POST", "/api/v1/meetings", `{"number":"7007","hidden":true,"hosts":["user@example.org"]}`); s != 200 {
		t.Fatalf("%d %s", s, text)
	}
	for call, want := range map[string]int{
		"GET /meetings/7007": 200, "GET /meetings/7007/invitation": 200, "POST /meetings/7007/lock": 200, "GET /meetings/7007/participants": 200,
		"PATCH /meetings/7007": 404, "DELETE /meetings/7007": 404,
	} {
		method, path, _ := strings.Cut(call, " ")
		if s, text := d.do(store.RoleUser, method, "/api/v1"+path, map[string]string{"PATCH": `{"name":"x"}`}[method]); s != want {
			t.Errorf("%s: %d, want %d: %s", call, s, want, text)
		}
	}
	if _, text := d.do(store.RoleUser, "GET", "/api/v1/meetings", ""); !strings.Contains(text, `"7007"`) {
		t.Errorf("not listed to its host: %s", text)
	}
	if s, _ := d.do(store.RoleAdministrator, "PATCH", "/api/v1/meetings/7007", `{"hosts":["nobody@example.org"]}`); s != 422 {
		t.Errorf("a host without an account: %d", s)
	}
	d.do(store.RoleAdministrator, "PATCH", "/api/v1/meetings/7007", `{"hosts":[]}`)
	if s, _ := d.do(store.RoleUser, "POST", "/api/v1/meetings/7007/lock", ""); s != 404 {
		t.Errorf("no host any more: %d", s)
	}
}

func TestHistoryIsOfOnesOwnCalls(t *testing.T) {
	d := newDesk(t)
	d.do(store.RoleUser, "POST", "/api/v1/meetings", planned)
	for role, id := range map[store.Role]string{store.RoleUser: "own", store.RoleAdministrator: "another's"} {
		if err := d.store.SaveCall(t.Context(), store.Call{ID: id, Account: d.ids[role], Meeting: "7007", To: "7007", Started: time.Now(), Ended: time.Now(), Code: "normal"}); err != nil {
			t.Fatal(err)
		}
	}
	_, text := d.do(store.RoleUser, "GET", "/api/v1/me/calls", "")
	var list []historyLine
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 1 || list[0].ID != "own" || list[0].Name != "Stand-up" {
		t.Errorf("%s, %v", text, err)
	}
	if err := d.store.RemoveUser(t.Context(), "user@example.org"); err != nil {
		t.Fatal(err)
	}
	if c, err := d.store.Call(t.Context(), "own"); err != nil || c.Account != "" {
		t.Errorf("after the account's end: %+v, %v", c, err)
	}
}
