package api

import (
	"bridgehead/gateway/mail"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bridgehead/core/clock"
	"bridgehead/core/edge"
	"bridgehead/core/ivr"
	"bridgehead/core/meet"
	"bridgehead/gateway/alerts"
	"bridgehead/gateway/chat"
	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/directory"
	"bridgehead/gateway/invite"
	"bridgehead/gateway/network"
	"bridgehead/gateway/records"
	"bridgehead/gateway/store"
)

// desk is an API on an empty store with an account of each role.
type desk struct {
	t       *testing.T
	api     *server
	server  *httptest.Server
	tokens  map[store.Role]string
	store   *store.Store
	hub     *Hub
	plan    *dialplan.Plan
	ids     map[store.Role]string
	revoke  []string
	letters []mail.Letter
	domains addresses      // that may sign up
	near    []netip.Prefix // whom the metrics are open to
	people  *directory.Book
	chat    *chat.Keeper
	blocks  *edge.Blocks
	alerts  *alerts.Teller
	// registered are the devices that the directory sees registered.
	registered []string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	s, err := store.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	voice, err := ivr.NewVoice("en", "")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	d := &desk{t: t, store: s, tokens: map[store.Role]string{}, hub: NewHub(), ids: map[store.Role]string{}}
	guard, book := dialplan.NewGuard(10, 30, time.Minute), records.New(s, log)
	d.chat = chat.New(s, log)
	d.chat.Notify = func(m store.Message, readers []string) { d.hub.Send(Event{Topic: "message", To: readers, Data: m}) }
	plan := dialplan.New(dialplan.Options{Chat: d.chat, Store: s, Clock: clock.New(log), Voice: voice, Guard: guard, Book: book, Notify: func(meet.Change) {}, Log: log})
	d.plan = plan
	d.people = &directory.Book{Store: s, Hosts: func() directory.Hosts {
		return directory.Hosts{SIPS: "meet.example.org", H323: "meet.example.org:1721"}
	},
		Registrations: func() []string { return d.registered }, Notify: func(e directory.Entry, only string) {
			event := Event{Topic: "registrations", All: only == "", Data: e}
			if only != "" {
				event.To = []string{only}
			}
			d.hub.Send(event)
		}}
	d.hub.Attended = d.people.Attended
	healthy := true
	letters := func(_ context.Context, l mail.Letter) error { d.letters = append(d.letters, l); return nil }
	d.alerts = alerts.New(alerts.Options{Settings: func(ctx context.Context) (alerts.Settings, error) { return alerts.Load(ctx, s) },
		Event: func(a alerts.Alert) { d.hub.Send(Event{Topic: a.Kind, Data: a}) }, Mail: letters, Metrics: prometheus.NewRegistry(), Log: log})
	d.blocks = edge.NewBlocks(edge.BlockOptions{})
	d.api = newServer(Options{
		Blocks: d.blocks, Alerts: d.alerts,
		Store: s, Plan: plan, Guard: guard, Book: book, Hub: d.hub, Directory: d.people, Chat: d.chat, Mail: letters, Metrics: prometheus.NewRegistry(), Log: log,
		Health: func() []string {
			if healthy {
				return nil
			}
			return []string{"not yet"}
		},
		Registrations: func() []Registration { return []Registration{{User: "room1", Protocol: "sip"}} },
		RevokeDevice:  func(u string) { d.revoke = append(d.revoke, u) }, TrunksChanged: func() { _ = plan.Reload(context.Background()) },
		SignUp:        func() Addresses { return d.domains },
		MetricsOpenTo: func() []netip.Prefix { return d.near },
		RevokeUser:    func(id string) { d.revoke = append(d.revoke, id) },
		Reached: func() invite.Places {
			return invite.Places{Web: "meet.example.org", SIPS: "meet.example.org", H323: "meet.example.org:1721"}
		},
		Network: func() network.Plan {
			return network.New(network.Options{Host: "meet.example.org", Ports: map[string]int{"sips": 5061}})
		},
		CallSynthetically: func(_ context.Context, number string) (store.SyntheticCall, error) {
			return store.SyntheticCall{Number: number, OK: true}, nil
		},
		TrunkState: func(string) TrunkState { return TrunkState{State: "up"} },
		CheckTrunk: func(context.Context, store.Trunk) []CheckLine { return []CheckLine{{What: "resolution", OK: true}} }, Web: fstest.MapFS{"index.html": {Data: []byte("<title>app</title>")}, "assets/a.js": {Data: []byte("x")}},
	})
	d.server = httptest.NewTLSServer(d.api.handler())
	t.Cleanup(func() { d.server.Close(); s.Close() })
	for _, role := range []store.Role{store.RoleUser, store.RoleSuperuser, store.RoleAdministrator} {
		u, err := s.AddUser(t.Context(), store.User{Email: string(role) + "@example.org", Role: role}, "a good password")
		if err != nil {
			t.Fatal(err)
		}
		d.ids[role] = u.ID
		if d.tokens[role], _, err = s.AddToken(t.Context(), u.ID, "test", 0); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// device is the role of room1, which signs in as such.
const device store.Role = "device"

func (d *desk) do(role store.Role, method, path, body string) (int, string) {
	d.t.Helper()
	req, err := http.NewRequest(method, d.server.URL+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	switch role {
	case "":
	case device:
		req.SetBasicAuth("room1", "long enough")
	default:
		req.Header.Set("Authorization", "Bearer "+d.tokens[role])
	}
	req.Header.Set("Content-Type", "application/json")
	req.Host = "meet.example.org"
	res, err := d.server.Client().Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") == "text/event-stream" {
		return res.StatusCode, "" // which does not end
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if res.StatusCode >= 400 && strings.HasPrefix(path, "/api/") && res.Header.Get("Content-Type") != "application/problem+json" {
		d.t.Errorf("%s %s: the error is %s, not a problem", method, path, res.Header.Get("Content-Type"))
	}
	d.described(req, res, data)
	return res.StatusCode, string(data)
}

// Every operation that the description lists is closed to strangers, but for
// sign-in, sign-out, sign-up, and what a scan of the ports tells, too.
func TestStrangersMayOnlySignIn(t *testing.T) {
	d := newDesk(t)
	status, text := d.do("", "GET", "/api/v1/openapi.json", "")
	if status != 200 {
		t.Fatalf("description: %d", status)
	}
	var api struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal([]byte(text), &api); err != nil || len(api.Paths) < 20 {
		t.Fatalf("description lists %d paths, %v", len(api.Paths), err)
	}
	for path, methods := range api.Paths {
		for method := range methods {
			if path == "/api/v1/login" || path == "/api/v1/logout" || strings.HasPrefix(path, "/api/v1/login/passkey/") || path == "/api/v1/calendar/{secret}" || path == "/api/v1/signup" || path == "/api/v1/network" || path == "/healthz" || strings.HasPrefix(path, "/api/v1/brand") {
				continue
			}
			at := strings.NewReplacer("{number}", "7001", "{id}", "x", "{message}", "1").Replace(path)
			if status, _ := d.do("", strings.ToUpper(method), at, "{}"); status != 401 {
				t.Errorf("%s %s answers a stranger with %d", method, path, status)
			}
		}
	}
	if status, _ := d.do("", "GET", "/api/v1/events", ""); status != 401 {
		t.Errorf("events answer a stranger with %d", status)
	}
}

func TestRolesMayDoWhatTheyMay(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct {
		method, path, body string
		user, super, admin int
	}{
		{"GET", "/api/v1/me", "", 200, 200, 200},
		{"GET", "/api/v1/meetings", "", 200, 200, 200},
		{"GET", "/api/v1/users", "", 403, 200, 200},
		{"GET", "/api/v1/calls", "", 403, 200, 200},
		{"GET", "/api/v1/trunks", "", 403, 403, 200},
		{"GET", "/api/v1/numbers", "", 403, 403, 200},
		{"GET", "/api/v1/devices", "", 403, 200, 200},
		{"POST", "/api/v1/users", `{"email":"%s@new.example","password":"long enough pw","role":"administrator"}`, 403, 403, 200},
	} {
		for role, want := range map[store.Role]int{store.RoleUser: c.user, store.RoleSuperuser: c.super, store.RoleAdministrator: c.admin} {
			body := c.body
			if strings.Contains(body, "%s") {
				body = fmt.Sprintf(body, role)
			}
			if got, text := d.do(role, c.method, c.path, body); got != want {
				t.Errorf("%s %s as %s: %d, want %d: %s", c.method, c.path, role, got, want, text)
			}
		}
	}
}

func TestMeetingsOfOthersAreTheirs(t *testing.T) {
	d := newDesk(t)
	const admin, user, super = store.RoleAdministrator, store.RoleUser, store.RoleSuperuser
	if s, text := d.do(admin, "POST", "/api/v1/meetings", `{"number":"7001","name":"Team","host_passcode":"99887766","guest_passcode":"12345678"}`); s != 200 || strings.Contains(text, "12345678") || strings.Contains(text, "99887766") {
		t.Fatalf("%d %s", s, text)
	}
	for role, want := range map[store.Role]int{user: 403, super: 200, admin: 200} {
		if s, text := d.do(role, "GET", "/api/v1/meetings/7001", ""); s != want || strings.Contains(text, "12345678") {
			t.Errorf("%s reads it: %d %s", role, s, text)
		}
	}
	if s, _ := d.do(user, "DELETE", "/api/v1/meetings/7001", ""); s != 403 {
		t.Errorf("a user deletes another's meeting: %d", s)
	}
	if s, text := d.do(admin, "PATCH", "/api/v1/meetings/7001", `{"guest_passcode":"","admission":"accept"}`); s != 200 || !strings.Contains(text, `"has_guest_passcode":false`) {
		t.Errorf("%d %s", s, text)
	}
	if s, text := d.do(admin, "PATCH", "/api/v1/meetings/7001", `{"layout":"2x2"}`); s != 200 || !strings.Contains(text, `"layout":"2x2"`) {
		t.Errorf("%d %s", s, text)
	}
	if s, _ := d.do(admin, "PATCH", "/api/v1/meetings/7001", `{"layout":"nonsense"}`); s != 422 {
		t.Errorf("an unknown layout: %d", s)
	}
	if s, _ := d.do(admin, "POST", "/api/v1/meetings/7001/participants/nobody/layout", `{"layout":"3x3"}`); s != 404 {
		t.Errorf("the layout of nobody: %d", s)
	}
	for body, want := range map[string]int{
		`{"number":"7001"}`: 409, `{"number":"abc"}`: 422, `{"guest_passcode":"x"}`: 422, `{"admission":"never"}`: 422,
		`{"layout":"9x9"}`: 422, `{"layout":"1+7"}`: 200, `{"layout":""}`: 200,
		`{"host_passcode":"1234","guest_passcode":"1234"}`: 422, `not json`: 400, `{}`: 200,
	} {
		if s, text := d.do(user, "POST", "/api/v1/meetings", body); s != want {
			t.Errorf("%s: %d, want %d: %s", body, s, want, text)
		}
	}
	if s, _ := d.do(admin, "DELETE", "/api/v1/meetings/7001", ""); s != 204 {
		t.Errorf("delete: %d", s)
	}
	if s, _ := d.do(admin, "GET", "/api/v1/meetings/7001", ""); s != 404 {
		t.Errorf("after delete: %d", s)
	}
}

func TestTrunkSettingsAreChecked(t *testing.T) {
	d := newDesk(t)
	for body, says := range map[string]string{
		`{"transport":"udp"}`: "name", `{"name":"a","host":"sip:x"}`: "sip:",
		`{"name":"a","transport":"tls","media_encryption":"none","host":"x"}`:      "required",
		`{"name":"a","transport":"udp","media_encryption":"required","host":"x"}`:  "tls",
		`{"name":"a","mode":"register","host":"x","transport":"udp"}`:              "username",
		`{"name":"a","transport":"udp","source":["300.1.1.1"],"host":"127.0.0.1"}`: "300.1.1.1",
		`{"name":"a","transport":"udp","host":"x","tls_min":"1.1"}`:                "tls_min",
		`{"name":"a","transport":"udp","host":"x","ptime":25}`:                     "packet time",
		`{"name":"a","transport":"udp","host":"x","rates":{"49":0.1}}`:             "prefix",
		`{"name":"a","transport":"udp","host":"x","headers":{"Via":"y"}}`:          "Via",
		`{"name":"a","transport":"udp","host":"x","in_username":"u"}`:              "in_password",
		`{"name":"a","transport":"udp","host":"x","advertise":"here"}`:             "advertise",
		`{"name":"a","transport":"tls","host":"x","tls_ca":"none"}`:                "tls_ca",
		`{"name":"a","transport":"tls","host":"x","tls_key":"none"}`:               "tls_key",
		`{"name":"a","transport":"udp","host":"x","expires":30}`:                   "expires",
	} {
		if s, text := d.do(store.RoleAdministrator, "POST", "/api/v1/trunks", body); s != 422 || !strings.Contains(text, says) {
			t.Errorf("%s: %d %s, want it to say %q", body, s, text, says)
		}
	}
	s, text := d.do(store.RoleAdministrator, "POST", "/api/v1/trunks", `{"name":"c","transport":"udp","host":"127.0.0.1","source":["127.0.0.1"],"password":"tr-secret","enabled":true,"override_check":true}`)
	if s != 200 || strings.Contains(text, "tr-secret") || !strings.Contains(text, "127.0.0.1/32") {
		t.Errorf("%d %s", s, text)
	}
	// What is in a change is taken over, what is not stays.
	for _, change := range []string{`{"headers":{"X-A":"1","X-B":"2"},"ptime":30,"in_username":"u","in_password":"in-secret"}`, `{"headers":{"X-C":"3"},"rates":{"+49":0.02}}`} {
		if s, text = d.do(store.RoleAdministrator, "PATCH", "/api/v1/trunks/c", change); s != 200 {
			t.Fatalf("%d %s", s, text)
		}
	}
	for text, has := range map[string]bool{`"headers":{"X-C":"3"}`: true, `"ptime":30`: true, `"rates":{"+49":0.02}`: true, `"has_in_password":true`: true, "in-secret": false} {
		if _, shown := d.do(store.RoleAdministrator, "GET", "/api/v1/trunks/c", ""); strings.Contains(shown, text) != has {
			t.Errorf("%s: %v in %s", text, !has, shown)
		}
	}
	if kept, err := d.store.Trunk(t.Context(), "c"); err != nil || kept.InPassword != "in-secret" || kept.Password != "tr-secret" {
		t.Errorf("%+v, %v", kept.TrunkSecrets, err)
	}
	if s, _ := d.do(store.RoleAdministrator, "POST", "/api/v1/numbers", `{"number":"+15550100","trunk":"none","target":"reception"}`); s != 422 {
		t.Errorf("a number of no trunk: %d", s)
	}
	if s, text := d.do(store.RoleAdministrator, "POST", "/api/v1/numbers", `{"number":"+15550100","trunk":"c","target":"reception"}`); s != 200 {
		t.Errorf("%d %s", s, text)
	}
}

func TestDeviceIsRevokedAtOnce(t *testing.T) {
	d := newDesk(t)
	_, text := d.do(store.RoleAdministrator, "POST", "/api/v1/devices", `{"user":"room1","password":"dev-secret","extension":"201"}`)
	if !strings.Contains(text, `"protocol":"sip"`) || strings.Contains(text, "dev-secret") {
		t.Errorf("device: %s", text)
	}
	if s, _ := d.do(store.RoleAdministrator, "DELETE", "/api/v1/devices/room1", ""); s != 204 || len(d.revoke) != 1 || d.revoke[0] != "room1" {
		t.Errorf("delete: %d, revoked %v", s, d.revoke)
	}
}

func TestEventsArriveAndSlowListenersAreCut(t *testing.T) {
	d := newDesk(t)
	req, _ := http.NewRequestWithContext(t.Context(), "GET", d.server.URL+"/api/v1/events", nil)
	req.Header.Set("Authorization", "Bearer "+d.tokens[store.RoleAdministrator])
	res, err := d.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	buf := make([]byte, 4096)
	n, _ := res.Body.Read(buf) // ": connected"
	d.hub.Send(Event{Topic: "meeting", Data: map[string]string{"what": "locked"}})
	for !bytes.Contains(buf[:n], []byte("event: meeting\ndata: {\"what\":\"locked\"}\n\n")) {
		more, err := res.Body.Read(buf[n:])
		if err != nil {
			t.Fatalf("%v after %q", err, buf[:n])
		}
		n += more
	}
	slow, stop, _ := d.hub.listen("somebody")
	defer stop()
	for range hubBuffer + 1 {
		d.hub.Send(Event{})
	}
	for range hubBuffer {
		<-slow
	}
	if _, open := <-slow; open {
		t.Error("the slow listener was not cut")
	}
}

func TestMetricsAreOpenWhereTheConfigurationSays(t *testing.T) {
	d := newDesk(t)
	d.near = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("192.0.2.0/24")}
	for source, want := range map[string]int{"192.0.2.7": 200, "[::ffff:192.0.2.7]": 200, "192.0.3.7": 401, "[2001:db8::1]": 401} {
		req := httptest.NewRequest("GET", "https://meet.example.org/metrics", nil)
		req.RemoteAddr = source + ":40000"
		w := httptest.NewRecorder()
		d.server.Config.Handler.ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("from %s: %d, want %d", source, w.Code, want)
		}
	}
}

func TestPagesAreGuardedAndRoutedToTheApp(t *testing.T) {
	d := newDesk(t)
	for path, want := range map[string]string{"/": "app", "/join/7001": "app", "/assets/a.js": "x"} {
		if s, text := d.do("", "GET", path, ""); s != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %q", path, s, text)
		}
	}
	for _, path := range []string{"/assets/none.js", "/api/v1/none"} {
		if s, _ := d.do("", "GET", path, ""); s != 404 {
			t.Errorf("%s: %d", path, s)
		}
	}
	res, err := d.server.Client().Get(d.server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("policy %q", csp)
	}
}
