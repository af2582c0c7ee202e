package api

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"bridgehead/core"
	"bridgehead/core/meet"
	"bridgehead/gateway/directory"
	"bridgehead/gateway/store"
)

// finds lists the names that a role finds by a query.
func (d *desk) finds(role store.Role, query string) (names []string) {
	d.t.Helper()
	for _, e := range d.entries(role, query) {
		names = append(names, e.Name)
	}
	return names
}

func (d *desk) entries(role store.Role, query string) []directory.Entry {
	d.t.Helper()
	s, text := d.do(role, "GET", "/api/v1/directory?"+query, "")
	var page directoryPage
	if err := json.Unmarshal([]byte(text), &page); s != 200 || err != nil {
		d.t.Fatalf("%d %s", s, text)
	}
	return page.Entries
}

// export is the whole directory as vCards, by the credentials of a request.
func (d *desk) export(sign func(*http.Request)) (int, string) {
	d.t.Helper()
	req, _ := http.NewRequest("GET", d.server.URL+"/api/v1/directory.vcf", nil)
	sign(req)
	res, err := d.server.Client().Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return res.StatusCode, string(data)
}

func TestP29HiddenMeetingsAreInNoDirectory(t *testing.T) {
	d := newDesk(t)
	for number, m := range map[string]store.Meeting{
		"7001": {Name: "Open"}, "7002": {Name: "Hidden", Hidden: true, Owner: d.ids[store.RoleUser]}, "7003": {Name: "Once", Kind: "one-time", Owner: d.ids[store.RoleUser]},
	} {
		m.Number, m.Admission = number, "open"
		if m.Kind == "" {
			m.Kind = "permanent"
		}
		if _, err := d.store.AddMeeting(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	for role, want := range map[store.Role][]string{store.RoleUser: {"Hidden", "Open"}, store.RoleSuperuser: {"Open"}, store.RoleAdministrator: {"Open"}} {
		if got := d.finds(role, "kind=meeting"); !slices.Equal(got, want) {
			t.Errorf("%s finds %q, want %q", role, got, want)
		}
		if got := d.finds(role, "q=once"); got != nil {
			t.Errorf("%s finds a one-time meeting: %q", role, got)
		}
	}
	if s, text := d.export(func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+d.tokens[store.RoleSuperuser]) }); s != 200 || strings.Contains(text, "7002") || !strings.Contains(text, "7001") {
		t.Errorf("the export says %d %s", s, text)
	}
	if _, _, err := d.plan.Live.Open(t.Context(), "7002"); err != nil {
		t.Errorf("the hidden meeting cannot be called: %v", err)
	}
}

func TestP57P71HiddenPeopleAreInNoDirectory(t *testing.T) {
	d := newDesk(t)
	for role, name := range map[store.Role]string{store.RoleUser: "Person U", store.RoleSuperuser: "Person S", store.RoleAdministrator: "Person A"} {
		if _, err := d.store.ChangeUser(t.Context(), d.ids[role], func(u *store.User) error { u.DisplayName = name; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.finds(store.RoleUser, "q=person"); !slices.Equal(got, []string{"Person A", "Person S", "Person U"}) {
		t.Errorf("before: %q", got)
	}
	d.patch([]attempt{
		{store.RoleSuperuser, "/users/" + d.ids[store.RoleSuperuser], `{"hidden":true}`, 200},
		{store.RoleAdministrator, "/users/" + d.ids[store.RoleAdministrator], `{"hidden":true}`, 200},
	})
	for role, want := range map[store.Role][]string{store.RoleUser: {"Person U"}, store.RoleSuperuser: {"Person S", "Person U"}, store.RoleAdministrator: {"Person A", "Person U"}} {
		if got := d.finds(role, "q=person&kind=person"); !slices.Equal(got, want) {
			t.Errorf("%s finds %q, want %q", role, got, want)
		}
	}
	d.patch([]attempt{{store.RoleSuperuser, "/users/" + d.ids[store.RoleUser], `{"disabled":true}`, 200}})
	if got := d.finds(store.RoleAdministrator, "q=person"); !slices.Equal(got, []string{"Person A"}) {
		t.Errorf("a disabled account is found: %q", got)
	}
}

func TestP58P72HiddenRoomsAreInNoDirectoryAndReachable(t *testing.T) {
	d := newDesk(t)
	d.rooms()
	d.patch([]attempt{
		{store.RoleSuperuser, "/devices/lobby", `{"hidden":true}`, 200},
		{store.RoleAdministrator, "/devices/board", `{"hidden":true}`, 200},
	})
	for role, want := range map[store.Role][]string{store.RoleUser: {"desk"}, store.RoleSuperuser: {"desk"}, store.RoleAdministrator: {"board", "desk"}} {
		if got := d.finds(role, "kind=room"); !slices.Equal(got, want) {
			t.Errorf("%s finds %q, want %q", role, got, want)
		}
	}
	// No edge is there to dial by; that it is sought shows that the room is known.
	for to, want := range map[string]core.Code{"lobby": core.Incompatible, d.ids[store.RoleAdministrator]: core.Incompatible, "nobody": core.NotFound} {
		if _, err := d.plan.DialOut(to, "", nil, nil); core.ReasonOf(err).Code != want {
			t.Errorf("calling %s: %v", to, err)
		}
	}
}

// Devices fetch the directory by their own password; guessing it is throttled.
func TestDevicesFetchTheDirectory(t *testing.T) {
	d := newDesk(t)
	d.rooms()
	basic := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password) }
	}
	if s, text := d.export(basic("lobby", "long enough")); s != 200 || !strings.Contains(text, "X-SIP:sips:board@meet.example.org\r\n") {
		t.Errorf("the right password: %d %s", s, text)
	}
	if s, _ := d.export(func(*http.Request) {}); s != 401 {
		t.Errorf("no password: %d", s)
	}
	for i := range 25 {
		want := 401
		if i >= 20 {
			want = 429
		}
		if s, _ := d.export(basic([]string{"lobby", "nobody"}[i%2], "wrong")); s != want {
			t.Fatalf("wrong password %d: %d, want %d", i, s, want)
		}
	}
	if s, _ := d.export(basic("lobby", "long enough")); s != 429 {
		t.Errorf("the right password after too many wrong ones: %d", s)
	}
}

// Presence is that of registrations, open pages and calls, and is told to all
// who find the entry.
func TestPresenceIsToldToThoseWhoFindTheEntry(t *testing.T) {
	d := newDesk(t)
	d.rooms()
	d.patch([]attempt{{store.RoleAdministrator, "/devices/board", `{"hidden":true}`, 200}})
	user, admin := d.follow(store.RoleUser), d.follow(store.RoleAdministrator)
	hear := func(from <-chan string, want ...string) {
		t.Helper()
		for _, w := range want {
			var e directory.Entry
			text := <-from
			_ = json.Unmarshal([]byte(text), &e)
			if e.Name+map[bool]string{true: " is here"}[e.Present]+map[bool]string{true: " in a call"}[e.InCall] != w {
				t.Errorf("heard %s, want %s", text, w)
			}
		}
	}
	d.people.Step(t.Context())
	both := func(a, b string, from <-chan string) { // in no order
		t.Helper()
		got := []string{<-from, <-from}
		if !slices.ContainsFunc(got, func(x string) bool { return strings.Contains(x, a) }) || !slices.ContainsFunc(got, func(x string) bool { return strings.Contains(x, b) }) {
			t.Errorf("heard %q", got)
		}
	}
	both(d.ids[store.RoleUser], d.ids[store.RoleAdministrator], user)
	both(d.ids[store.RoleUser], d.ids[store.RoleAdministrator], admin)

	d.registered = []string{"lobby", "board"}
	d.people.Step(t.Context())
	hear(user, "lobby is here")
	both("lobby", "board", admin)
	d.people.Changed(meet.Change{Meeting: "7001", What: "joined", Party: core.Party{ID: "p", Protocol: core.SIP}, User: "lobby"})
	d.people.Step(t.Context())
	hear(user, "lobby is here in a call")
	if e := d.entries(store.RoleUser, "q=lobby"); !e[0].Present || !e[0].InCall {
		t.Errorf("%+v", e)
	}
	d.registered = nil
	d.people.Changed(meet.Change{Meeting: "7001", What: "ended"})
	d.people.Step(t.Context())
	hear(user, "lobby")
}

// A person is called in its open pages, and may decline, once.
func TestPeopleAreCalledInTheirPages(t *testing.T) {
	d := newDesk(t)
	const caller, called = store.RoleUser, store.RoleSuperuser
	var m meetingView
	if s, text := d.do(caller, "POST", "/api/v1/meetings", `{"kind":"one-time"}`); s != 200 || json.Unmarshal([]byte(text), &m) != nil {
		t.Fatalf("%d %s", s, text)
	}
	ring := func() int {
		s, _ := d.do(caller, "POST", "/api/v1/meetings/"+m.Number+"/ring", `{"account":"`+d.ids[called]+`"}`)
		return s
	}
	decline := func() int {
		s, _ := d.do(called, "POST", "/api/v1/meetings/"+m.Number+"/decline", "")
		return s
	}
	if s := ring(); s != 404 {
		t.Errorf("nobody is there: %d", s)
	}
	at, back := d.follow(called), d.follow(caller)
	if s := decline(); s != 404 {
		t.Errorf("declined before it rang: %d", s)
	}
	if s := ring(); s != 200 {
		t.Errorf("%d", s)
	}
	if got, want := <-at, `{"meeting":"`+m.Number+`","account":"`+d.ids[caller]+`","name":"user"}`; got != want {
		t.Errorf("it rings as %s, want %s", got, want)
	}
	for i, want := range []int{200, 404} {
		if s := decline(); s != want {
			t.Errorf("declined for the %d. time: %d", i+1, s)
		}
	}
	if got := <-back; !strings.Contains(got, d.ids[called]) {
		t.Errorf("the caller hears %s", got)
	}
}
