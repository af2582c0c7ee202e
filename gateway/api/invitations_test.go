package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"bridgehead/gateway/store"
)

func TestInvitationIsForThoseWhoManageTheMeeting(t *testing.T) {
	d := newDesk(t)
	const admin, user, super = store.RoleAdministrator, store.RoleUser, store.RoleSuperuser
	for _, c := range [][2]string{
		{"/api/v1/meetings", `{"number":"7001","name":"<Team>","host_passcode":"99887766","guest_passcode":"12345678"}`},
		{"/api/v1/trunks", `{"name":"c","transport":"udp","host":"127.0.0.1","enabled":true,"override_check":true}`},
		{"/api/v1/trunks", `{"name":"off","transport":"udp","host":"127.0.0.1","enabled":false}`},
		{"/api/v1/numbers", `{"number":"+4930123456","trunk":"c","target":"reception","language":"de"}`},
		{"/api/v1/numbers", `{"number":"+4930123457","trunk":"c","target":"reception","in_invites":false}`},
		{"/api/v1/numbers", `{"number":"+4930123458","trunk":"off","target":"reception"}`},
	} {
		if s, text := d.do(admin, "POST", c[0], c[1]); s != 200 {
			t.Fatalf("%s: %d %s", c[0], s, text)
		}
	}
	for role, want := range map[store.Role]int{"": 401, user: 403, super: 200, admin: 200} {
		if s, text := d.do(role, "GET", "/api/v1/meetings/7001/invitation", ""); s != want || strings.Contains(text, "99887766") {
			t.Errorf("%q: %d %s", role, s, text)
		}
	}
	read := func() (v invitationView) {
		_, text := d.do(admin, "GET", "/api/v1/meetings/7001/invitation", "")
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return v
	}
	v := read()
	if v.SIP != "sips:7001**12345678@meet.example.org" || v.H323 != "h323:7001**12345678@meet.example.org:1721" || v.Passcode != "12345678" {
		t.Errorf("%+v", v)
	}
	if len(v.DialIns) != 1 || v.DialIns[0].OneTouch != "+4930123456,,7001#,,12345678#" || v.DialIns[0].Spoken != "German" {
		t.Errorf("numbers %+v", v.DialIns)
	}
	if !strings.Contains(v.Text, "<Team>") || !strings.Contains(v.HTML, "&lt;Team&gt;") || !strings.Contains(v.ICal, "mailto:administrator@example.org") {
		t.Errorf("%s\n%s\n%s", v.Text, v.HTML, v.ICal)
	}
	if s, _ := d.do(admin, "PATCH", "/api/v1/numbers/+4930123456", `{"in_invites":false}`); s != 200 || len(read().DialIns) != 0 {
		t.Errorf("a number taken out of invitations: %d, %+v", s, read().DialIns)
	}
	if s, _ := d.do(admin, "PATCH", "/api/v1/numbers/+4930123456", `{"in_invites":true}`); s != 200 || len(read().DialIns) != 1 {
		t.Errorf("put in again: %d, %+v", s, read().DialIns)
	}
	if s, _ := d.do(admin, "PATCH", "/api/v1/meetings/7001", `{"encrypted_only":true}`); s != 200 || len(read().DialIns) != 0 {
		t.Errorf("an encrypted meeting invites callers in clear: %d, %+v", s, read().DialIns)
	}
}

func TestInvitationComesInItsMediaType(t *testing.T) {
	d := newDesk(t)
	d.do(store.RoleUser, "POST", "/api/v1/meetings", `{"number":"7001"}`)
	for format, want := range map[string][2]string{
		"json": {"application/json", `"ics":"BEGIN:VCALENDAR`}, "text": {"text/plain; charset=utf-8", "You are invited to: Meeting 7001"},
		"html": {"text/html; charset=utf-8", "<!DOCTYPE html>"}, "ics": {"text/calendar; charset=utf-8; method=PUBLISH", "\r\nDTSTART:20260305T083000Z\r\nDTEND:20260305T090000Z\r\n"},
	} {
		path := "/api/v1/meetings/7001/invitation?start=2026-03-05T09:30:00%2B01:00&minutes=30&format=" + format
		if s, text := d.do(store.RoleUser, "GET", path, ""); s != 200 || !strings.Contains(text, want[1]) {
			t.Errorf("%s: %d %s", format, s, text)
		}
		req, _ := http.NewRequest("GET", d.server.URL+path, nil)
		req.Header.Set("Authorization", "Bearer "+d.tokens[store.RoleUser])
		res, err := d.server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got := res.Header.Get("Content-Type"); got != want[0] || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s comes as %v", format, res.Header)
		}
		if file := res.Header.Get("Content-Disposition"); (file == `attachment; filename="meeting-7001.ics"`) != (format == "ics") {
			t.Errorf("%s comes as the file %q", format, file)
		}
	}
	for _, bad := range []string{"format=pdf", "start=tomorrow", "minutes=0", "minutes=99999"} {
		if s, _ := d.do(store.RoleUser, "GET", "/api/v1/meetings/7001/invitation?"+bad, ""); s != 422 {
			t.Errorf("%s: %d", bad, s)
		}
	}
	if s, _ := d.do(store.RoleUser, "GET", "/api/v1/meetings/7002/invitation", ""); s != 404 {
		t.Errorf("of no meeting: %d", s)
	}
}
