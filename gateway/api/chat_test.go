package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"bridgehead/gateway/store"
)

// ask calls an operation that must succeed, and reads its answer.
func ask[T any](d *desk, role store.Role, method, path, body string) (v T) {
	d.t.Helper()
	s, text := d.do(role, method, "/api/v1"+path, body)
	if s != 200 {
		d.t.Fatalf("%s %s as %s: %d %s", method, path, role, s, text)
	}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			d.t.Fatal(err)
		}
	}
	return v
}

func (d *desk) talk(role store.Role, others ...store.Role) store.Conversation {
	d.t.Helper()
	var ids []string
	for _, o := range others {
		ids = append(ids, d.ids[o])
	}
	body, _ := json.Marshal(map[string]any{"members": ids})
	return ask[store.Conversation](d, role, "POST", "/conversations", string(body))
}

func TestP47ChatOfTwoAndOfGroups(t *testing.T) {
	d := newDesk(t)
	two := d.talk(store.RoleUser, store.RoleSuperuser)
	if again := d.talk(store.RoleSuperuser, store.RoleUser); two.Kind != "direct" || again.ID != two.ID {
		t.Errorf("%+v and %+v", two, again)
	}
	group := d.talk(store.RoleUser, store.RoleSuperuser, store.RoleAdministrator)
	if group.Kind != "group" || len(group.Members) != 3 {
		t.Errorf("%+v", group)
	}
	member, outsider := d.follow(store.RoleSuperuser), d.follow(store.RoleAdministrator)
	m := ask[store.Message](d, store.RoleUser, "POST", "/conversations/"+two.ID+"/messages", `{"text":"just us"}`)
	ask[store.Message](d, store.RoleUser, "POST", "/conversations/"+group.ID+"/messages", `{"text":"all of you"}`)
	for who, from := range map[string]struct {
		heard <-chan string
		want  []string
	}{"a member": {member, []string{"just us", "all of you"}}, "who is of the group only": {outsider, []string{"all of you"}}} {
		for _, w := range from.want {
			if got := <-from.heard; !strings.Contains(got, w) {
				t.Errorf("%s hears %s, want %s", who, got, w)
			}
		}
	}
	if list := ask[[]store.Conversation](d, store.RoleSuperuser, "GET", "/conversations", ""); len(list) != 2 || list[1].Unread != 1 || list[1].Last.Text != "just us" || list[1].Last.Name != "user" {
		t.Errorf("%+v", list)
	}
	if s, _ := d.do(store.RoleAdministrator, "GET", "/api/v1/conversations/"+two.ID+"/messages", ""); s != 404 {
		t.Errorf("an administrator reads what two write: %d", s)
	}
	// Only who has sent a message erases it, and all are told.
	path := fmt.Sprintf("/api/v1/conversations/%s/messages/%d", two.ID, m.ID)
	if s, _ := d.do(store.RoleSuperuser, "DELETE", path, ""); s != 404 {
		t.Errorf("another's message is erased: %d", s)
	}
	if s, _ := d.do(store.RoleUser, "DELETE", path, ""); s != 204 {
		t.Errorf("one's own message is not erased: %d", s)
	}
	if got := <-member; !strings.Contains(got, fmt.Sprintf(`"id":%d,`, m.ID)) || !strings.Contains(got, `"text":""`) {
		t.Errorf("the end of a message is told as %s", got)
	}
	if list := ask[[]store.Message](d, store.RoleSuperuser, "GET", "/conversations/"+two.ID+"/messages", ""); len(list) != 0 {
		t.Errorf("still there: %+v", list)
	}
}

func TestChatIsBounded(t *testing.T) {
	d := newDesk(t)
	two := d.talk(store.RoleUser, store.RoleSuperuser)
	say := func(text string) int {
		body, _ := json.Marshal(map[string]string{"text": text})
		s, _ := d.do(store.RoleUser, "POST", "/api/v1/conversations/"+two.ID+"/messages", string(body))
		return s
	}
	for text, want := range map[string]int{strings.Repeat("x", 4000): 200, strings.Repeat("ü", 2001): 422, strings.Repeat("x", 4001): 422, " \n": 422} {
		if s := say(text); s != want {
			t.Errorf("%d bytes: %d, want %d", len(text), s, want)
		}
	}
	var got []int
	for range 25 {
		got = append(got, say("hello"))
	}
	if got[0] != 200 || !slices.Contains(got, 429) {
		t.Errorf("a flood is answered %v", got)
	}
	for _, body := range []string{`{"members":["nobody"]}`, `{"members":["` + d.ids[store.RoleSuperuser] + `"]}`} {
		if s, _ := d.do(store.RoleSuperuser, "POST", "/api/v1/conversations", body); s != 404 && s != 422 {
			t.Errorf("with %s: %d", body, s)
		}
	}
}

func TestP59SuperusersSwitchChat(t *testing.T) {
	d := newDesk(t)
	two := d.talk(store.RoleUser, store.RoleSuperuser)
	if s, _ := d.do(store.RoleUser, "PATCH", "/api/v1/settings", `{"chat":{"enabled":false}}`); s != 403 {
		t.Errorf("a user switches chat off: %d", s)
	}
	if v := ask[settingsView](d, store.RoleSuperuser, "PATCH", "/settings", `{"chat":{"enabled":false}}`); v.Chat.Enabled || !v.Chat.History {
		t.Errorf("%+v", v)
	}
	for _, o := range [][3]string{{"GET", "/conversations"}, {"POST", "/conversations", `{"members":["x"]}`}, {"GET", "/conversations/" + two.ID},
		{"GET", "/conversations/" + two.ID + "/messages"}, {"POST", "/conversations/" + two.ID + "/messages", `{"text":"x"}`}} {
		if s, text := d.do(store.RoleUser, o[0], "/api/v1"+o[1], o[2]); s != 403 || !strings.Contains(text, "Chat is turned off") {
			t.Errorf("%s %s while chat is off: %d %s", o[0], o[1], s, text)
		}
	}
	if open, _ := d.chat.Policy(); open {
		t.Error("in meetings chat is still on")
	}
	ask[settingsView](d, store.RoleSuperuser, "PATCH", "/settings", `{"chat":{"enabled":true}}`)
	ask[store.Message](d, store.RoleUser, "POST", "/conversations/"+two.ID+"/messages", `{"text":"on again"}`)
}
