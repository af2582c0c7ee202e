package api

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"bridgehead/gateway/alerts"
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

// What is missing stays; the secret of the webhook signs, and is never told.
func TestAlertsGoToAWebhook(t *testing.T) {
	d := newDesk(t)
	const secret = "it-signs-what-is-posted"
	var got, signature string
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, signature = string(b), r.Header.Get(alerts.SignatureHeader)
	}))
	defer hook.Close()
	patch := func(alerts string) (int, string) {
		return d.do(store.RoleSuperuser, "PATCH", "/api/v1/settings", `{"alerts":`+alerts+`}`)
	}
	patch(`{"mail":["ops@example.org"]}`)
	if s, text := patch(`{"webhook":"http://alerts.example.org/"}`); s != 422 {
		t.Errorf("clear HTTP to the outside: %d %s", s, text)
	}
	s, text := patch(`{"webhook":"` + hook.URL + `/?key=1","webhook_secret":"` + secret + `"}`)
	if s != 200 || !strings.Contains(text, `"has_webhook_secret":true`) || !strings.Contains(text, "ops@example.org") || strings.Contains(text, secret) {
		t.Errorf("%d %s", s, text)
	}
	s, text = d.do(store.RoleSuperuser, "POST", "/api/v1/settings/alerts/test", "")
	if s != 200 || text != `[{"way":"mail","sent":true},{"way":"webhook","sent":true}]`+"\n" {
		t.Errorf("%d %s", s, text)
	}
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(got))
	if want := "sha256=" + hex.EncodeToString(m.Sum(nil)); signature != want || !strings.Contains(got, `"kind":"test"`) {
		t.Errorf("posted %s, signed %s, want %s", got, signature, want)
	}
	if len(d.letters) != 1 || d.letters[0].To[0] != "ops@example.org" {
		t.Errorf("letters %+v", d.letters)
	}
	if acts := ask[[]store.Act](d, store.RoleSuperuser, "GET", "/audit", ""); len(acts) == 0 || strings.Contains(fmt.Sprint(acts), secret) {
		t.Errorf("audited: %v", acts)
	}
	var raw string
	if err := d.store.Setting(t.Context(), "alerts.secret", &raw); err != nil || raw == "" || strings.Contains(raw, secret) {
		t.Errorf("kept as %q, %v", raw, err)
	}
	if _, text = patch(`{"mail":[],"webhook":"","webhook_secret":""}`); !strings.Contains(text, `"alerts":{"mail":[],"webhook":"","has_webhook_secret":false}`) {
		t.Errorf("nobody any more: %s", text)
	}
	if _, text = d.do(store.RoleSuperuser, "POST", "/api/v1/settings/alerts/test", ""); strings.Contains(text, "true") {
		t.Errorf("sent to nobody: %s", text)
	}
}

func TestP67PagesShowTheOperatorsHouse(t *testing.T) {
	d := newDesk(t)
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	set := func(role store.Role, image []byte) int {
		b, _ := json.Marshal(map[string]any{"brand": map[string]any{"title": "Example & Co", "text": "Welcome", "image": image}})
		s, _ := d.do(role, "PATCH", "/api/v1/settings", string(b))
		return s
	}
	if s := set(store.RoleUser, picture.Bytes()); s != 403 {
		t.Errorf("by a user: %d", s)
	}
	for what, bad := range map[string][]byte{"a page": []byte("<svg onload=alert(1)>"), "half a picture": picture.Bytes()[:12]} {
		if s := set(store.RoleSuperuser, bad); s != 422 {
			t.Errorf("%s: %d", what, s)
		}
	}
	if s := set(store.RoleSuperuser, picture.Bytes()); s != 200 {
		t.Fatalf("%d", s)
	}
	_, text := d.do("", "GET", "/api/v1/brand", "")
	var v brand
	if err := json.Unmarshal([]byte(text), &v); err != nil || v.Title != "Example & Co" || v.Text != "Welcome" {
		t.Errorf("%s, %v", text, err)
	}
	if s, got := d.do("", "GET", v.Image, ""); s != 200 || got != picture.String() {
		t.Errorf("the picture: %d, %d bytes", s, len(got))
	}
	if s, _ := d.do(store.RoleSuperuser, "PATCH", "/api/v1/settings", `{"brand":{"remove_image":true}}`); s != 200 {
		t.Errorf("removing: %d", s)
	}
	if s, _ := d.do("", "GET", "/api/v1/brand/image", ""); s != 404 {
		t.Errorf("a picture that was removed: %d", s)
	}
}
