package dialplan

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"bridgehead/core"
	"bridgehead/core/ivr"
	"bridgehead/gateway/store"
)

// laid is a bench with a trunk that calls out, and rules.
func laid(t *testing.T, rules ...store.RuleSettings) *bench {
	t.Helper()
	b := newBench(t)
	b.opt.Home = func() Home { return Home{Country: "DE", Countries: []string{"DE"}} }
	for i, name := range []string{"carrier", "spare"} {
		trunk := store.Trunk{Name: name, TrunkSettings: store.TrunkSettings{Mode: "static", Host: name + ".example.net", Enabled: true, Priority: i}}
		if _, err := b.store.AddTrunk(t.Context(), trunk); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range rules {
		if r.Name == "" {
			r.Name = fmt.Sprint("rule ", i)
		}
		r.Priority, r.Enabled = 10*i, true
		if _, err := SaveRule(t.Context(), b.store, b.Home(), store.Rule{RuleSettings: r}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) decide(c store.Attempt) Decision {
	b.t.Helper()
	d, err := b.Decide(b.t.Context(), c)
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

func settings(direction, source, class, pattern, target string, countries ...string) store.RuleSettings {
	return store.RuleSettings{Direction: direction, Source: source, Class: class, Pattern: pattern, Target: target, Countries: countries}
}

func TestDecisions(t *testing.T) {
	rewrite := settings("in", "device", "member", `^0(\d+)$`, "trunk:spare", "GB")
	rewrite.Rewrite = "+44$1"
	strip := settings("out", "any", "member", "9", "next")
	strip.Strip, strip.Prepend = 1, "+49"
	direct := settings("in", "trunk:carrier", "any", `^\+4930123(\d{4})$`, "meeting")
	direct.Rewrite = "$1"
	b := laid(t,
		settings("in", "any", "any", "7001", "refuse:No."), // a meeting comes first
		settings("in", "stranger", "any", "sales", "meeting:7002"),
		settings("in", "trunk", "any", "+4989", "refuse:We have moved."),
		direct, rewrite, strip,
		settings("out", "any", "superuser", "+4930", "trunk:spare", "DE", "AT"),
		settings("out", "account", "member", "+4930", "trunk", "AT"),
		settings("out", "any", "any", `^.*@evil\.example$`, "refuse"),
	)
	for _, c := range []struct {
		call store.Attempt
		want string
		rule string
	}{
		{store.Attempt{Direction: "in", To: "7001"}, "meeting:7001", ""},
		{store.Attempt{Direction: "in", To: "sales"}, "meeting:7002", "rule 1"},
		{store.Attempt{Direction: "in", To: "sales", Class: "device"}, "reception", ""},
		{store.Attempt{Direction: "in", To: "+15550102", Trunk: "carrier"}, "meeting:7002", ""},
		{store.Attempt{Direction: "in", To: "+15550102", Trunk: "spare"}, "refuse not-found", ""},
		{store.Attempt{Direction: "in", To: "+4989123", Trunk: "spare"}, "refuse forbidden", "rule 2"},
		{store.Attempt{Direction: "in", To: "+49301237002", Trunk: "carrier"}, "meeting:7002", "rule 3"},
		{store.Attempt{Direction: "in", To: "+49301237999", Trunk: "carrier"}, "refuse not-found", "rule 3"},
		{store.Attempt{Direction: "in", To: "02079460018", Class: "device"}, "trunk:spare +442079460018", "rule 4"},
		{store.Attempt{Direction: "in", To: "02079460018"}, "reception", ""},
		{store.Attempt{Direction: "in", To: "02079460018", Trunk: "carrier", Class: "administrator"}, "refuse not-found", ""},
		{store.Attempt{Direction: "in", To: "201", Class: "device"}, "device:room1", ""},
		{store.Attempt{Direction: "in", To: "201"}, "reception", ""},
		{store.Attempt{Direction: "in", To: "+15550102", Class: "device"}, "meeting:7002", ""}, // ours, so it stays here
		{store.Attempt{Direction: "in", To: "echo"}, "echo", ""},
		{store.Attempt{Direction: "out", To: "201"}, "device:room1", ""},
		{store.Attempt{Direction: "out", To: "tel:030 123456", Class: "administrator"}, "trunk:spare +4930123456", "rule 6"},
		{store.Attempt{Direction: "out", To: "tel:+4930123456", Class: "user"}, "refuse forbidden", "rule 7"}, // not in its countries
		{store.Attempt{Direction: "out", To: "tel:+4930123456", Class: "device"}, "trunk:carrier,spare +4930123456", ""},
		{store.Attempt{Direction: "out", To: "tel:+4930123456"}, "refuse forbidden", ""},
		{store.Attempt{Direction: "out", To: "930123456", Class: "superuser"}, "trunk:spare +4930123456", "rule 6"},
		{store.Attempt{Direction: "out", To: "tel:+442079460018", Class: "user"}, "refuse forbidden", ""},
		{store.Attempt{Direction: "out", To: "sip:ann@evil.example", Class: "user"}, "refuse forbidden", "rule 8"},
		{store.Attempt{Direction: "out", To: "sip:ann@example.org"}, "address:sip:ann@example.org", ""},
		{store.Attempt{Direction: "out", To: "nobody", Class: "user"}, "refuse not-found", ""},
		{store.Attempt{Direction: "in", To: strings.Repeat("7", 300)}, "refuse not-found", ""},
	} {
		d := b.decide(c.call)
		if d.Outcome != c.want || d.Rule != c.rule {
			t.Errorf("%+v: %q by rule %q, want %q by %q\n%s", c.call, d.Outcome, d.Rule, c.want, c.rule, d)
		}
		if last := len(d.Steps) - 1; c.call.To[0] != '7' && (last < 0 || !d.Steps[last].Matched) {
			t.Errorf("%+v: the last step does not tell what decided: %s", c.call, d)
		}
	}
}

// A rule leads to one trunk, to a group by cost, or to nobody who is dearer than
// it allows.
func TestGroupsAndCost(t *testing.T) {
	cheap, capped := settings("out", "any", "member", "+4930", "trunk:cheap", "DE"), settings("out", "any", "member", "+4989", "trunk", "DE")
	capped.MaxCost = 0.02
	b := laid(t)
	for name, rates := range map[string]map[string]float64{"one": {"+49": 0.03}, "two": {"+49": 0.02, "+4989": 0.05}, "three": {"+4989": 0.01}} {
		trunk := store.Trunk{Name: name, TrunkSettings: store.TrunkSettings{Host: name + ".example.net", Enabled: true, TrunkOptions: store.TrunkOptions{Group: "cheap", Rates: rates}}}
		if _, err := b.store.AddTrunk(t.Context(), trunk); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range []store.RuleSettings{cheap, capped} {
		r.Name, r.Enabled = fmt.Sprint(i), true
		if _, err := SaveRule(t.Context(), b.store, b.Home(), store.Rule{RuleSettings: r}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{"tel:+4930123456": "two one three", "tel:+4989123456": "three"} {
		if d := b.decide(store.Attempt{Direction: "out", To: to, Class: "user"}); strings.Join(d.Lines, " ") != want || strings.Join(d.exit.Lines, " ") == "" && to == "tel:+4930123456" {
			t.Errorf("%s is carried by %q, want %q", to, d.Lines, want)
		}
	}
}

// The trace names each rule, and why it is not about the call.
func TestTheTraceTellsWhyEachRuleIsNotMeant(t *testing.T) {
	off := settings("in", "any", "any", "+1", "reception")
	b := laid(t, off, settings("out", "any", "any", "+1", "refuse"), settings("in", "trunk:spare", "any", "+1", "reception"),
		settings("in", "any", "member", "+1", "reception"), settings("in", "any", "any", "+44", "reception"), settings("in", "any", "any", `^\+2.*$`, "reception"))
	first, _ := b.store.Rule(t.Context(), "rule 0")
	first.Enabled = false
	if _, err := b.store.SaveRule(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := b.decide(store.Attempt{Direction: "in", To: "+15550999", Trunk: "carrier"})
	var why []string
	for _, s := range d.Steps {
		if s.What == "rule" {
			why = append(why, s.Why)
		}
	}
	for i, want := range []string{"switched off", "for calls out", "its source is trunk:spare", "class member", "does not begin with +44", "does not match"} {
		if i >= len(why) || !strings.Contains(why[i], want) {
			t.Errorf("rule %d: %q, want %q", i, why, want)
		}
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	good := settings("in", "any", "any", "+1", "reception")
	for want, change := range map[string]func(*store.RuleSettings){
		"not anchored":             func(r *store.RuleSettings) { r.Pattern = `\+44\d+` },
		"pattern ^+44 is not anch": func(r *store.RuleSettings) { r.Pattern = `^+44` },
		"+44.* is not anchored":    func(r *store.RuleSettings) { r.Pattern = `+44.*` },
		"is not anchored":          func(r *store.RuleSettings) { r.Pattern = `44$` },
		"no RE2 expression":        func(r *store.RuleSettings) { r.Pattern = `^(?=x)$` },
		"256":                      func(r *store.RuleSettings) { r.Pattern = strings.Repeat("1", 300) },
		"1 to":                     func(r *store.RuleSettings) { r.Pattern = "" },
		"needs a pattern":          func(r *store.RuleSettings) { r.Rewrite = "$1" },
		"names a group $2":         func(r *store.RuleSettings) { r.Pattern, r.Rewrite = `^(1)$`, "$2" },
		"names a group $1x":        func(r *store.RuleSettings) { r.Pattern, r.Rewrite = `^(1)$`, "$1x" },
		"instead of strip":         func(r *store.RuleSettings) { r.Pattern, r.Rewrite, r.Strip = `^(1)$`, "$1", 2 },
		"direction":                func(r *store.RuleSettings) { r.Direction = "both" },
		"source is any":            func(r *store.RuleSettings) { r.Source = "trunk:" },
		"calls in only":            func(r *store.RuleSettings) { r.Direction, r.Source, r.Target = "out", "trunk", "refuse" },
		"class is any":             func(r *store.RuleSettings) { r.Class = "boss" },
		"target is reception":      func(r *store.RuleSettings) { r.Target = "moon" },
		"needs digits":             func(r *store.RuleSettings) { r.Target = "meeting:x" },
		"takes no value":           func(r *store.RuleSettings) { r.Target = "next:7001" },
		"can't lead to":            func(r *store.RuleSettings) { r.Direction = "out" },
		"who they are":             func(r *store.RuleSettings) { r.Target = "trunk" },
		"source to any":            func(r *store.RuleSettings) { r.Target, r.Source, r.Class = "trunk", "trunk", "member" },
		"no ISO 3166":              func(r *store.RuleSettings) { r.Target, r.Class, r.Countries = "trunk", "member", []string{"XX"} },
		"max_cost are for":         func(r *store.RuleSettings) { r.Countries = []string{"DE"} },
		"name is missing":          func(r *store.RuleSettings) { r.Name = "" },
	} {
		r := good
		r.Name = "x"
		change(&r)
		err := CheckRule(store.Rule{RuleSettings: r})
		if err == nil || !strings.Contains(core.ReasonOf(err).Say, want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
	// What stands in an alternative is about the whole number too.
	r := compile(store.Rule{RuleSettings: store.RuleSettings{Name: "x", Enabled: true, Direction: "in", Source: "any", Class: "any", Pattern: `^1$|^(?m:2)$`, Target: "reception"}})
	if _, why := r.match(store.Attempt{Direction: "in"}, "012"); r.fault != nil || why == "" {
		t.Errorf("an alternative matches within a number (%v)", r.fault)
	}
}

func TestNumberIsOpenByItsHours(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	spans, err := ParseHours("mon-fri 08:00-18:00, fri-sat 22:00-02:00, sun 00:00-24:00")
	if err != nil {
		t.Fatal(err)
	}
	h := &store.Hours{TimeZone: "Europe/Berlin", Open: spans}
	if err := CheckHours(h); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		day, hour, minute int // of a week of October 2026, when summer time ends on Sunday 25
		open              bool
	}{{19, 7, 59, false}, {19, 8, 0, true}, {19, 17, 59, true}, {19, 18, 0, false}, {23, 22, 30, true}, {24, 1, 59, true}, {24, 2, 0, false},
		{24, 23, 0, true}, {25, 0, 30, true}, {25, 23, 59, true}, {26, 0, 0, false}, {26, 8, 30, true}} {
		at := time.Date(2026, 10, c.day, c.hour, c.minute, 0, 0, berlin)
		if open, _, err := Open(h, at.UTC()); err != nil || open != c.open {
			t.Errorf("%v: open %v, %v", at, open, err)
		}
	}
	for text, h := range map[string]*store.Hours{
		"time zone": {TimeZone: "Mars", Open: spans}, "always be closed": {TimeZone: "UTC"},
		"is no day": {TimeZone: "UTC", Open: []store.Span{{Days: []string{"day"}, From: "08:00", To: "09:00"}}},
		"two times": {TimeZone: "UTC", Open: []store.Span{{Days: []string{"mon"}, From: "8", To: "09:00"}}},
		"target":    {TimeZone: "UTC", Open: spans, Otherwise: "trunk:carrier"},
	} {
		if err := CheckHours(h); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%+v: %v", h, err)
		}
	}
}

// While a number is closed, its callers hear so, or are led elsewhere.
func TestClosedNumbers(t *testing.T) {
	b := laid(t)
	spans, _ := ParseHours("mon-fri 08:00-18:00")
	night := time.Date(2026, 10, 19, 3, 0, 0, 0, time.UTC)
	for number, otherwise := range map[string]string{"+15550110": "", "+15550111": "meeting:7002"} {
		n := store.Number{Number: number, Trunk: "carrier", Target: "reception", Language: "de", Hours: &store.Hours{TimeZone: "UTC", Open: spans, Otherwise: otherwise}}
		if err := b.store.AddNumber(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	for number, want := range map[string]string{"+15550110": "refuse unreachable", "+15550111": "meeting:7002"} {
		call := store.Attempt{Direction: "in", To: number, Trunk: "carrier", At: night}
		if d := b.decide(call); d.Outcome != want || d.language != "de" {
			t.Errorf("%s at night: %+v", number, d)
		}
		call.At = night.Add(6 * time.Hour)
		if d := b.decide(call); d.Outcome != "reception" {
			t.Errorf("%s by day: %+v", number, d)
		}
	}
}

// A number may let its callers in without the passcode; as guests, all the same.
func TestNumberWithoutPasscode(t *testing.T) {
	b := laid(t)
	if err := b.store.AddNumber(t.Context(), store.Number{Number: "+15550110", Trunk: "carrier", Target: "meeting:7001", NoPasscode: true}); err != nil {
		t.Fatal(err)
	}
	phone := info(core.PSTN, "198.51.100.1")
	phone.Phone = true
	if room, code := b.route(core.Call{To: "+15550110", Trunk: "carrier", Info: phone}); room != "7001" || code != "" {
		t.Errorf("led to %q %q", room, code)
	}
	if room, _ := b.route(core.Call{To: "+15550101", Trunk: "carrier", Info: phone}); room != "reception" {
		t.Errorf("the other number of the meeting leads to %q", room)
	}
}

// The reception, and what refuses, speak the language of the number that was
// called; a language that there is not is that of the bridge.
func TestNumbersSpeakTheirLanguage(t *testing.T) {
	b := laid(t)
	german, err := ivr.NewVoice("de", "")
	if err != nil {
		t.Fatal(err)
	}
	b.opt.Voices = func(language string) *ivr.Voice { return map[string]*ivr.Voice{"de": german}[language] }
	for number, language := range map[string]string{"+4930123450": "de", "+33123456789": "fr", "+4930123451": ""} {
		if err := b.store.AddNumber(t.Context(), store.Number{Number: number, Trunk: "carrier", Target: "reception", Language: language}); err != nil {
			t.Fatal(err)
		}
		call := core.Call{To: number, Trunk: "carrier", Info: info(core.PSTN, "198.51.100.1")}
		room, err := b.follow(t.Context(), b.decide(store.Attempt{Direction: "in", To: number, Trunk: "carrier"}), "", call)
		if err != nil {
			t.Fatal(err)
		}
		if got := room.(*ivr.Reception).Voice; (got == german) != (language == "de") || got == nil {
			t.Errorf("%s speaks another language", number)
		}
	}
}

// Guesses at numbers count, with a passcode behind them or without, and nothing
// that a rule or a service knows.
func TestUnknownNumbersCountAsGuesses(t *testing.T) {
	b := laid(t, settings("in", "any", "any", "4711", "reception"))
	guessed := func(to string, want bool) {
		t.Helper()
		who := info(core.SIP, fmt.Sprint("192.0.2.", callers%250))
		for range 10 {
			b.route(core.Call{To: to, Info: who})
		}
		if err := b.opt.Guard.Allowed(Source(who), ""); (err != nil) != want {
			t.Errorf("ten calls to %s count as guesses: %v", to, err)
		}
	}
	guessed("999", true)
	guessed("999**1234", true)
	guessed("4711", false)
	guessed("7002", false)
	guessed("ann", false)
}

// A change that breaks what is expected is refused as a whole, and names it;
// what is broken already stops nobody.
func TestExpectationsStopTheChangeThatBreaksThem(t *testing.T) {
	b := laid(t)
	ctx := t.Context()
	expect := func(name, want string, call store.Attempt) error {
		_, err := Expect(ctx, b.store, b.Home(), store.Expectation{Name: name, Want: want, Call: call})
		return err
	}
	to := store.Attempt{Direction: "in", To: "+15550102", Trunk: "carrier"}
	if err := expect("the weekly has its number", "meeting:7002", to); err != nil {
		t.Fatal(err)
	}
	if err := expect("Berlin is called", "trunk:carrier", store.Attempt{Direction: "out", To: "tel:+4930123456", Class: "user"}); err == nil || !strings.Contains(err.Error(), "trunk:carrier,spare") {
		t.Errorf("an expectation that is not met is kept: %v", err)
	}
	if err := expect("Berlin is called", "", store.Attempt{Direction: "out", To: "tel:+4930123456", Class: "user"}); err != nil {
		t.Fatal(err)
	}
	err := Change(ctx, b.store, b.Home(), func(ctx context.Context) error { return b.store.RemoveNumber(ctx, "+15550102") })
	if r := core.ReasonOf(err); r.Code != core.Locked || !strings.Contains(r.Say, `"the weekly has its number"`) || strings.Contains(r.Say, "Berlin") {
		t.Errorf("the number is removed: %v", err)
	}
	if _, err := b.store.Number(ctx, "+15550102"); err != nil {
		t.Errorf("the change is kept all the same: %v", err)
	}
	no := settings("out", "any", "any", "+49", "refuse")
	no.Name, no.Enabled = "no calls", true
	if _, err := SaveRule(ctx, b.store, b.Home(), store.Rule{RuleSettings: no}); err == nil || !strings.Contains(err.Error(), "Berlin is called") {
		t.Errorf("the rule is kept: %v", err)
	}
	if err := b.store.RemoveMeeting(ctx, "7002"); err != nil { // broken from elsewhere
		t.Fatal(err)
	}
	no.Pattern = "+43"
	if _, err := SaveRule(ctx, b.store, b.Home(), store.Rule{RuleSettings: no}); err != nil {
		t.Errorf("what was broken before stops a change: %v", err)
	}
	list, err := Expectations(ctx, b.store, b.Home())
	if err != nil || len(list) != 2 || !list[0].Met || list[1].Met {
		t.Errorf("%+v, %v", list, err)
	}
}
