package api

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"bridgehead/core/edge"
	"bridgehead/gateway/store"
)

// right is what an operation answers: a stranger; a user about what is its
// own; a user about another's; a superuser; an administrator. The last two are
// always about what is another's.
type right struct {
	body string
	want [5]int
}

// The rights that many operations have.
var (
	open200   = [5]int{200, 200, 200, 200, 200}
	signed200 = [5]int{401, 200, 200, 200, 200}
	own200    = [5]int{401, 200, 403, 200, 200}
	own204    = [5]int{401, 204, 403, 204, 204}
	ownNobody = [5]int{401, 404, 403, 404, 404} // the party acted on is not there
	super200  = [5]int{401, 403, 403, 200, 200}
	super204  = [5]int{401, 403, 403, 204, 204}
	admin200  = [5]int{401, 403, 403, 403, 200}
	admin204  = [5]int{401, 403, 403, 403, 204}
	personal  = [5]int{401, 204, 404, 404, 404} // nobody's but one's own, whatever the role
	member200 = [5]int{401, 200, 404, 404, 404}
)

// matrix has a row for every operation: P40 to P72, as far as they are the
// API's.
var matrix = map[string]right{
	"POST /login":                      {`{"user":"user@example.org","password":"a good password"}`, open200},
	"POST /logout":                     {"", open200},
	"GET /me":                          {"", signed200},
	"PATCH /me":                        {`{"display_name":"x"}`, signed200},
	"GET /me/export":                   {"", signed200}, // P78
	"GET /me/sessions":                 {"", signed200},
	"DELETE /me/sessions/{id}":         {"", personal},
	"POST /me/sessions/revoke-others":  {"", signed200},
	"POST /users/{id}/revoke-sessions": {"", super200}, // P39
	"GET /users/{id}/export":           {"", super200}, // P78
	"POST /login/passkey/begin":        {"", open200},
	"POST /login/passkey/finish":       {`{"challenge":"none","response":{}}`, [5]int{422, 422, 422, 422, 422}},
	"GET /me/passkeys":                 {"", signed200},
	"POST /me/passkeys/begin":          {`{"password":"a good password"}`, signed200},
	"POST /me/passkeys/finish":         {`{"challenge":"none","response":{}}`, [5]int{401, 422, 422, 422, 422}},
	"PATCH /me/passkeys/{id}":          {`{"name":"x"}`, personal},
	"DELETE /me/passkeys/{id}":         {"", personal},
	"GET /signup":                      {"", open200},
	"POST /signup":                     {`{"email":"x@example.org","password":"long enough"}`, [5]int{403, 403, 403, 403, 403}}, // P69: no domain may
	"GET /users":                       {"", super200},
	"POST /users":                      {`{"email":"new@example.org","password":"long enough pw"}`, super200}, // P54
	"PATCH /users/{id}":                {`{"role":"superuser"}`, super200},                                    // P52, P53
	"DELETE /users/{id}":               {"", super204},                                                        // P54
	"GET /tokens":                      {"", signed200},
	"POST /tokens":                     {`{"name":"t"}`, signed200},
	"DELETE /tokens/{id}":              {"", personal},

	"GET /meetings":             {"", signed200},
	"POST /meetings":            {`{}`, signed200},                                     // P42
	"GET /meetings/{number}":    {"", own200},                                          //
	"PATCH /meetings/{number}":  {`{"hidden":true,"guest_passcode":"246810"}`, own200}, // P43, P44, P56
	"DELETE /meetings/{number}": {"", own204},                                          // P55

	"GET /meetings/{number}/invitation":                    {"", own200}, // P65, P66
	"POST /meetings/{number}/invitation":                   {`{"to":["ann@example.org"]}`, own200},
	"POST /me/calendar":                                    {"", signed200}, // P64
	"DELETE /me/calendar":                                  {"", [5]int{401, 204, 204, 204, 204}},
	"GET /calendar/{secret}":                               {"", [5]int{404, 404, 404, 404, 404}},
	"GET /meetings/{number}/participants":                  {"", own200},
	"POST /meetings/{number}/participants/{id}/accept":     {"", ownNobody}, // P45
	"POST /meetings/{number}/participants/{id}/reject":     {"", ownNobody},
	"POST /meetings/{number}/participants/{id}/mute":       {"", ownNobody}, // P46
	"POST /meetings/{number}/participants/{id}/unmute":     {"", ownNobody},
	"POST /meetings/{number}/participants/{id}/stop-video": {"", ownNobody},
	"POST /meetings/{number}/participants/{id}/remove":     {"", ownNobody}, // P45
	"POST /meetings/{number}/participants/{id}/make-host":  {"", ownNobody},
	"POST /meetings/{number}/participants/{id}/lower-hand": {"", ownNobody},
	"POST /meetings/{number}/participants/{id}/layout":     {`{"layout":"2x2"}`, ownNobody}, // P68
	"POST /meetings/{number}/mute-all":                     {"", own200},                    // P46
	"POST /meetings/{number}/unmute-all":                   {"", own200},
	"POST /meetings/{number}/remove-all":                   {"", own200}, // P45
	"POST /meetings/{number}/lock":                         {"", own200},
	"POST /meetings/{number}/unlock":                       {"", own200},
	"POST /meetings/{number}/end":                          {"", own200},
	"POST /meetings/{number}/dial":                         {`{"to":"none:nobody"}`, [5]int{401, 422, 403, 422, 422}}, // P45

	"GET /events":            {"", signed200}, // as far as they concern one
	"GET /reports/usage":     {"", super200},  // P51
	"GET /me/calls":          {"", signed200},
	"GET /calls":             {"", super200}, // P51
	"GET /calls/{id}":        {"", super200},
	"GET /calls/{id}/ladder": {"", super200},
	"GET /calls/{id}/pcap":   {"", super200},
	"GET /calls/{id}/bundle": {"", super200},
	"GET /calls.csv":         {"", super200},

	"GET /groups":         {"", super200},
	"POST /groups":        {`{"name":"new"}`, super200},
	"PATCH /groups/{id}":  {`{"name":"other"}`, super200},
	"DELETE /groups/{id}": {"", super204},

	"GET /audit": {"", super200},

	"GET /network":               {"", open200}, // P77
	"GET /brand":                 {"", open200},
	"GET /brand/image":           {"", [5]int{404, 404, 404, 404, 404}}, // none is set
	"GET /settings":              {"", signed200},
	"PATCH /settings":            {`{"chat":{"enabled":true}}`, super200}, // P59
	"POST /settings/alerts/test": {"", super200},

	"GET /conversations":                            {"", signed200}, // P47
	"POST /conversations":                           {`{"members":["OTHER"]}`, signed200},
	"GET /conversations/{id}":                       {"", member200},
	"POST /conversations/{id}/members":              {`{"members":["OTHER"]}`, member200},
	"DELETE /conversations/{id}/membership":         {"", personal},
	"GET /conversations/{id}/messages":              {"", member200},
	"POST /conversations/{id}/messages":             {`{"text":"hello"}`, member200},
	"DELETE /conversations/{id}/messages/{message}": {"", personal},
	"POST /conversations/{id}/read":                 {`{"message":1}`, member200},

	"POST /meetings/{number}/ring":    {`{"account":"nobody"}`, ownNobody},
	"POST /meetings/{number}/decline": {"", [5]int{401, 404, 404, 404, 404}}, // it does not ring

	"GET /directory":     {"", signed200}, // P29, P57, P58, P71, P72
	"GET /directory.vcf": {"", signed200},

	"GET /trunks":              {"", admin200},
	"GET /trunk-templates":     {"", admin200},
	"GET /trunks/{id}":         {"", admin200},
	"POST /trunks":             {`{"name":"new","transport":"udp"}`, admin200},
	"PATCH /trunks/{id}":       {`{"priority":2}`, admin200},
	"DELETE /trunks/{id}":      {"", admin204},
	"POST /trunks/{id}/check":  {"", admin200},
	"GET /numbers":             {"", admin200},
	"POST /numbers":            {`{"number":"+15550199","trunk":"line","target":"reception"}`, admin200},
	"PATCH /numbers/{number}":  {`{"label":"x"}`, admin200},
	"DELETE /numbers/{number}": {"", admin204},

	"GET /synthetic-callers":                {"", admin200},
	"POST /synthetic-callers":               {`{"number":"+15550101"}`, admin200},
	"PATCH /synthetic-callers/{number}":     {`{"every":30}`, admin200},
	"DELETE /synthetic-callers/{number}":    {"", admin204},
	"GET /synthetic-callers/{number}/calls": {"", admin200},
	"POST /synthetic-callers/{number}/call": {"", admin200},
	"GET /devices":                          {"", super200},
	"POST /devices":                         {`{"user":"new","password":"long enough"}`, admin200},
	"PATCH /devices/{id}":                   {`{"hidden":true}`, super200}, // P58
	"DELETE /devices/{id}":                  {"", admin204},                // P39

	"GET /dialplan":                      {"", admin200},
	"POST /dialplan":                     {`{"name":"new","pattern":"+1"}`, admin200},
	"PATCH /dialplan/{id}":               {`{"priority":2}`, admin200},
	"DELETE /dialplan/{id}":              {"", admin204},
	"POST /dialplan/simulate":            {`{"to":"+15550100","trunk":"line"}`, admin200},
	"GET /dialplan/expectations":         {"", admin200},
	"POST /dialplan/expectations":        {`{"name":"new","call":{"to":"4711"},"want":"reception"}`, admin200},
	"DELETE /dialplan/expectations/{id}": {"", admin204},

	"GET /blocks":         {"", admin200},
	"DELETE /blocks/{id}": {"", admin204},

	// Beside the description.
	"GET /metrics": {"", super200},
	"GET /healthz": {"", open200},
}

// lay makes what operations act on, where it is not there, and returns the
// values of path parameters.
func (d *desk) lay(own bool) *strings.Replacer {
	d.t.Helper()
	ctx, s := d.t.Context(), d.store
	for number, owner := range map[string]store.Role{"7001": store.RoleUser, "7002": store.RoleAdministrator} {
		if _, err := s.Meeting(ctx, number); err != nil {
			if _, err := s.AddMeeting(ctx, store.Meeting{Number: number, Kind: "permanent", Admission: "open", Owner: d.ids[owner]}); err != nil {
				d.t.Fatal(err)
			}
		}
		m, _ := s.Meeting(ctx, number)
		m.Hidden = false
		_ = s.UpdateMeeting(ctx, m)
		if _, _, err := d.plan.Live.Open(ctx, number); err != nil {
			d.t.Fatal(err)
		}
	}
	for role, id := range d.ids { // anew: signing out takes it
		var err error
		if d.tokens[role], _, err = s.AddToken(ctx, id, "test", 0); err != nil {
			d.t.Fatal(err)
		}
	}
	_ = s.RemoveUser(ctx, "new@example.org")
	other, err := s.User(ctx, "other@example.org")
	if err != nil {
		if other, err = s.AddUser(ctx, store.User{Email: "other@example.org", Role: store.RoleUser}, "a good password"); err != nil {
			d.t.Fatal(err)
		}
	}
	_ = s.RemoveTrunk(ctx, "new")
	_ = s.RemoveDevice(ctx, "new")
	_ = s.RemoveNumber(ctx, "+15550199")
	_ = s.RemoveRule(ctx, "new")
	d.blocks.Set(edge.BlockOptions{}) // lifts all
	d.blocks.Set(edge.BlockOptions{Strikes: 1, Window: time.Minute, Length: time.Minute})
	d.blocks.Strike(netip.MustParseAddr("198.51.100.7"), false, edge.Flood)
	_ = s.RemoveExpectation(ctx, "new")
	_, _ = s.SaveRule(ctx, store.Rule{RuleSettings: store.RuleSettings{Name: "rule", Direction: "in", Source: "any", Class: "any", Pattern: "1", Target: "reception", Countries: []string{}}})
	_, _ = s.AddExpectation(ctx, store.Expectation{Name: "expected", Call: store.Attempt{Direction: "in"}})
	_, _ = s.AddTrunk(ctx, store.Trunk{Name: "line", TrunkSettings: NewTrunk().TrunkSettings})
	_ = s.AddNumber(ctx, store.Number{Number: "+15550100", Trunk: "line", Target: "reception"})
	_ = s.AddNumber(ctx, store.Number{Number: "+15550101", Trunk: "line", Target: "reception"})
	_ = s.RemoveSyntheticCaller(ctx, "+15550101")
	_ = s.AddSyntheticCaller(ctx, store.SyntheticCaller{Number: "+15550100", SyntheticSettings: store.SyntheticSettings{Every: 15}})
	_, _ = s.AddDevice(ctx, store.Device{User: "room1", Password: "long enough"})
	_ = s.SaveCall(ctx, store.Call{ID: "call"})
	number, holder := "7002", other.ID
	if own {
		number, holder = "7001", d.ids[store.RoleUser]
	}
	_, token, err := s.AddToken(ctx, holder, "t", 0)
	if err != nil {
		d.t.Fatal(err)
	}
	groups, _ := s.Groups(ctx)
	for _, g := range groups {
		_ = s.RemoveGroup(ctx, g.ID)
	}
	group, err := s.SaveGroup(ctx, store.Group{Name: "group"})
	if err != nil {
		d.t.Fatal(err)
	}
	_ = s.RemovePasskeys(ctx, holder)
	passkey, err := s.AddPasskey(ctx, store.Passkey{User: holder, Handle: []byte(store.NewSecret())})
	if err != nil {
		d.t.Fatal(err)
	}
	third, err := s.User(ctx, "third@example.org")
	if err != nil {
		if third, err = s.AddUser(ctx, store.User{Email: "third@example.org", Role: store.RoleUser}, "a good password"); err != nil {
			d.t.Fatal(err)
		}
	}
	conversation, err := s.AddConversation(ctx, "group", "talk", []string{holder, third.ID})
	if err != nil {
		d.t.Fatal(err)
	}
	message, err := s.AddMessage(ctx, store.Message{Conversation: conversation, Sender: holder, Text: "x", At: time.Now()})
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.NewReplacer("/groups/{id}", "/groups/"+group.ID, "OTHER", third.ID, "/conversations/{id}", "/conversations/"+conversation, "{message}", strconv.FormatInt(message.ID, 10), "/passkeys/{id}", "/passkeys/"+passkey.ID, "/meetings/{number}", "/meetings/"+number, "/numbers/{number}", "/numbers/+15550100", "/synthetic-callers/{number}", "/synthetic-callers/+15550100", "/participants/{id}", "/participants/nobody",
		"/users/{id}", "/users/"+other.ID, "/tokens/{id}", "/tokens/"+token.ID, "/sessions/{id}", "/sessions/"+token.ID, "/trunks/{id}", "/trunks/line", "/devices/{id}", "/devices/room1", "/dialplan/{id}", "/dialplan/rule", "/expectations/{id}", "/expectations/expected", "/blocks/{id}", "/blocks/"+d.blocks.List()[0].ID, "/calls/{id}", "/calls/call", "{secret}", "nobodys")
}

// operations are all that the description lists.
func (d *desk) operations() map[string]bool {
	_, text := d.do("", "GET", "/api/v1/openapi.json", "")
	var api struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal([]byte(text), &api); err != nil {
		d.t.Fatal(err)
	}
	all := map[string]bool{}
	for path, methods := range api.Paths {
		for method := range methods {
			all[strings.ToUpper(method)+" "+strings.TrimPrefix(path, "/api/v1")] = true
		}
	}
	return all
}

// Every operation answers every role exactly as the table states; none is
// without a row.
func TestP40ToP72WhoMayDoWhat(t *testing.T) {
	d := newDesk(t)
	all := d.operations()
	for name := range all {
		if _, ok := matrix[name]; !ok {
			t.Errorf("%s has no row: who may do it?", name)
		}
	}
	for name, row := range matrix {
		method, path, _ := strings.Cut(name, " ")
		if beside := path == "/metrics" || path == "/healthz"; !beside {
			if !all[name] {
				t.Errorf("%s is no operation", name)
				continue
			}
			path = "/api/v1" + path
		}
		for i, role := range []store.Role{"", store.RoleUser, store.RoleUser, store.RoleSuperuser, store.RoleAdministrator} {
			laid := d.lay(i == 1)
			at, text := laid.Replace(path), laid.Replace(row.body)
			if got, text := d.do(role, method, at, text); got != row.want[i] {
				t.Errorf("%s as %q (column %d): %d, want %d: %.200s", name, role, i, got, row.want[i], text)
			}
		}
		want := row.want[0] // a device is a stranger here, but for what it shows on its screen
		if name == "GET /directory.vcf" {
			want = 200
		}
		laid := d.lay(false)
		if got, text := d.do(device, method, laid.Replace(path), laid.Replace(row.body)); got != want {
			t.Errorf("%s as a device: %d, want %d: %.200s", name, got, want, text)
		}
	}
}

func TestP28AnothersHiddenMeetingIsAsIfItWereNone(t *testing.T) {
	d := newDesk(t)
	for number, kind := range map[string]string{"7003": "permanent", "7004": "one-time"} {
		if _, err := d.store.AddMeeting(t.Context(), store.Meeting{Number: number, Kind: kind, Hidden: true, Admission: "open", Owner: d.ids[store.RoleSuperuser]}); err != nil {
			t.Fatal(err)
		}
	}
	_, none := d.do(store.RoleUser, "GET", "/api/v1/meetings/7999", "")
	for _, number := range []string{"7003", "7004"} {
		if s, text := d.do(store.RoleUser, "GET", "/api/v1/meetings/"+number, ""); s != 404 || text != none {
			t.Errorf("%s: %d %s, want what no meeting gives: %s", number, s, text, none)
		}
	}
}

func TestP70AdministratorsAreUntouchable(t *testing.T) {
	d := newDesk(t)
	admin := "/api/v1/users/" + d.ids[store.RoleAdministrator]
	for _, role := range []store.Role{store.RoleUser, store.RoleSuperuser} {
		for _, body := range []string{`{"role":"user"}`, `{"password":"taken over now"}`, `{"display_name":"x"}`} {
			if s, text := d.do(role, "PATCH", admin, body); s != 403 {
				t.Errorf("%s changes an administrator by %s: %d %s", role, body, s, text)
			}
		}
		if s, _ := d.do(role, "DELETE", admin, ""); s != 403 {
			t.Errorf("%s deletes an administrator: %d", role, s)
		}
		if s, _ := d.do(role, "PATCH", "/api/v1/users/"+d.ids[role], `{"role":"administrator"}`); s != 403 {
			t.Errorf("%s makes itself administrator: %d", role, s)
		}
	}
	if s, _ := d.do(store.RoleAdministrator, "DELETE", admin, ""); s != 409 {
		t.Errorf("the last administrator deletes itself: %d", s)
	}
}

// follow opens the stream of events and sends the names of topics that arrive.
func (d *desk) follow(role store.Role) <-chan string {
	d.t.Helper()
	req, _ := http.NewRequestWithContext(d.t.Context(), "GET", d.server.URL+"/api/v1/events", nil)
	req.Header.Set("Authorization", "Bearer "+d.tokens[role])
	res, err := d.server.Client().Do(req)
	if err != nil || res.StatusCode != 200 {
		d.t.Fatalf("%s: %v, %v", role, res, err)
	}
	d.t.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Scan() // ": connected"
	heard := make(chan string, 16)
	go func() {
		defer close(heard)
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				heard <- data
			}
		}
	}()
	return heard
}

// Users hear of their own meetings, superusers and administrators of all.
func TestP42EventsReachWhomTheyConcern(t *testing.T) {
	d := newDesk(t)
	d.lay(true)
	heard := map[store.Role]<-chan string{}
	for _, role := range rank {
		heard[role] = d.follow(role)
	}
	send := func(topic, owner, what string) { d.hub.Send(Event{Topic: topic, Owner: owner, Data: what}) }
	send("meeting", d.ids[store.RoleAdministrator], "another's meeting")
	send("participant", d.ids[store.RoleAdministrator], "another's party")
	send("call", "", "a call")
	send("meeting", "", "nobody's")
	send("participant", d.ids[store.RoleUser], "own party")
	if own := <-heard[store.RoleUser]; own != `"own party"` {
		t.Fatalf("a user hears %s", own)
	}
	for _, role := range rank[1:] {
		for _, want := range []string{"another's meeting", "another's party", "a call", "nobody's", "own party"} {
			if got := <-heard[role]; got != `"`+want+`"` {
				t.Errorf("%s hears %s, want %s", role, got, want)
			}
		}
	}
}
