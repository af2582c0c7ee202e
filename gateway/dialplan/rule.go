package dialplan

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"bridgehead/core"
	"bridgehead/gateway/store"
	"bridgehead/pstn"
)

// Kinds of a rule's target.
const (
	toReception = "reception"
	toMeeting   = "meeting" // the number that is given, or the one called
	toUser      = "user"    // a device or an account that has one; likewise
	toTrunk     = "trunk"   // one trunk, or all
	toRefuse    = "refuse"
	toNext      = "next" // goes on with the number as it is rewritten
)

// What a rule is bounded by.
const (
	maxCalled  = 255 // of a called number or address, and of what a rule makes of it
	maxPattern = 256
	maxRewrite = 256
)

// rule is a [store.Rule] made ready.
type rule struct {
	store.Rule
	whole       *regexp.Regexp // nil: Pattern is a beginning
	kind, value string         // of the target
	fault       error          // what is wrong with it: it matches nothing
}

// invalid says what is wrong with what an operator has set up.
func invalid(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return core.Reason{Code: core.Incompatible, Say: text, Detail: text}
}

// CheckRule says what is wrong with a rule, as a [core.Reason].
func CheckRule(r store.Rule) error { return compile(r).fault }

func compile(r store.Rule) *rule {
	c := &rule{Rule: r}
	c.kind, c.value, _ = strings.Cut(r.Target, ":")
	for _, check := range []func() error{c.checkWho, c.checkPattern, c.checkRewrite, c.checkTarget} {
		if c.fault = check(); c.fault != nil {
			break
		}
	}
	return c
}

func (c *rule) checkWho() error {
	ofTrunk := strings.HasPrefix(c.Source, "trunk:") && c.Source != "trunk:"
	switch {
	case c.Name == "" || len(c.Name) > 64:
		return invalid("name is missing or longer than 64 characters.")
	case c.Direction != "in" && c.Direction != "out":
		return invalid("direction is in, for calls that come to the bridge, or out, for those that meetings place.")
	case !ofTrunk && !slices.Contains([]string{"any", "trunk", "stranger", "device", "account"}, c.Source):
		return invalid("source is any, trunk, trunk:NAME, stranger, device or account.")
	case c.Direction == "out" && strings.HasPrefix(c.Source, "trunk"):
		return invalid("source %s is of calls in only: calls out come from nobody's trunk.", c.Source)
	case ranks[c.Class] == 0:
		return invalid("class is any, member, superuser or administrator.")
	}
	return nil
}

// plain is a pattern that is a beginning. What people write as an expression,
// such as 44.*, is none.
var plain = regexp.MustCompile(`^[+*#]*[0-9A-Za-z#@._-]*$`)

func (c *rule) checkPattern() error {
	p := c.Pattern
	inner, begins := strings.CutPrefix(p, "^")
	inner, ends := strings.CutSuffix(inner, "$")
	switch {
	case p == "" || len(p) > maxPattern:
		return invalid("pattern has 1 to %d characters; for every number, write ^.*$.", maxPattern)
	case !begins && plain.MatchString(p):
		return nil
	case !begins || !ends:
		return invalid("pattern %s is not anchored: write an expression as ^…$, with .* where anything may follow, or the beginning of a number in plain characters.", p)
	}
	var err error
	// Whatever alternatives and flags are inside, it is about the whole.
	if c.whole, err = regexp.Compile(`\A(?:` + inner + `)\z`); err != nil {
		return invalid("pattern %s is no RE2 expression: %v.", p, err)
	}
	return nil
}

// groups of a template, as regexp.Expand reads them.
var groups = regexp.MustCompile(`\$(?:\{(\w+)\}|(\w+)|)`)

func (c *rule) checkRewrite() error {
	switch {
	case c.Strip < 0 || c.Strip > 64:
		return invalid("strip is 0 to 64 characters.")
	case len(c.Prepend) > 64 || c.Prepend != "" && !plain.MatchString(c.Prepend):
		return invalid("prepend is up to 64 characters of a number or address.")
	case len(c.Rewrite) > maxRewrite:
		return invalid("rewrite has at most %d characters.", maxRewrite)
	case c.Rewrite == "":
		return nil
	case c.whole == nil:
		return invalid("rewrite needs a pattern that is an expression; to change the beginning, use strip and prepend.")
	case c.Strip != 0 || c.Prepend != "":
		return invalid("rewrite stands instead of strip and prepend: leave them out.")
	}
	for _, g := range groups.FindAllStringSubmatch(strings.ReplaceAll(c.Rewrite, "$$", ""), -1) {
		name := cmp.Or(g[1], g[2])
		var n int
		_, err := fmt.Sscan(name, &n)
		if digits := strings.Trim(name, "0123456789") == "" && err == nil; digits && n <= c.whole.NumSubexp() || !digits && c.whole.SubexpIndex(name) > 0 {
			continue
		}
		return invalid("rewrite names a group $%s that the pattern does not have; write ${1}0 for group 1 and a digit behind it.", name)
	}
	return nil
}

func (c *rule) checkTarget() error {
	if len(c.Target) > maxCalled {
		return invalid("target is too long.")
	}
	switch c.kind {
	case toReception, toNext:
		if c.kind != c.Target {
			return invalid("target %s takes no value.", c.kind)
		}
	case toMeeting:
		if c.value != "" && !isNumber(c.value) || c.value == "" && c.kind != c.Target {
			return invalid("target meeting:NUMBER needs digits.")
		}
	case toUser, toRefuse:
	case toTrunk:
		return c.checkTrunk()
	default:
		return invalid("target is reception, meeting, meeting:NUMBER, user, user:EMAIL, trunk, trunk:NAME, refuse, refuse:WORDS or next.")
	}
	if c.Direction == "out" && (c.kind == toReception || c.kind == toMeeting) {
		return invalid("a call out can't lead to the %s: it comes from a meeting.", c.kind)
	}
	if len(c.Countries) > 0 || c.MaxCost != 0 {
		return invalid("countries and max_cost are for rules whose target is a trunk.")
	}
	return nil
}

// checkTrunk says early what [walk.leave] would refuse for each call.
func (c *rule) checkTrunk() error {
	switch {
	case strings.HasPrefix(c.Source, "trunk"), c.Source == "stranger", c.Class == "any":
		return invalid("a rule that leads to the telephone network is for callers who have proved who they are: set class to member, superuser or administrator, and source to any, device or account.")
	case c.MaxCost < 0:
		return invalid("max_cost is 0, for any, or more.")
	case len(c.Countries) > 250:
		return invalid("there are not as many countries.")
	}
	for _, code := range c.Countries {
		if !pstn.IsCountry(code) {
			return invalid("%q is no ISO 3166 country code.", code)
		}
	}
	return nil
}

// ranks of classes, least first; 0 is none.
var ranks = map[string]int{"any": 1, "stranger": 1, "member": 2, "device": 2, "user": 2, "superuser": 3, "administrator": 4}

// proved tells whether a caller has shown who it is; nobody from the telephone
// network has.
func proved(a store.Attempt) bool { return a.Trunk == "" && ranks[a.Class] >= ranks["member"] }

// match tells what a rule makes of a called number, or why it is not about the
// call.
func (c *rule) match(a store.Attempt, called string) (rewritten, why string) {
	switch {
	case c.fault != nil:
		return "", "it is not valid: " + core.ReasonOf(c.fault).Say
	case !c.Enabled:
		return "", "it is switched off"
	case c.Direction != a.Direction:
		return "", "it is for calls " + c.Direction
	}
	if why := c.about(a); why != "" {
		return "", why
	}
	switch {
	case c.whole == nil && !strings.HasPrefix(called, c.Pattern):
		return "", called + " does not begin with " + c.Pattern
	case c.whole != nil && !c.whole.MatchString(called):
		return "", called + " does not match " + c.Pattern
	}
	return c.rewrite(called), ""
}

// about tells why a caller is not meant; "" if it is.
func (c *rule) about(a store.Attempt) string {
	who := cmp.Or(a.Class, "stranger")
	if a.Trunk != "" {
		who = "trunk:" + a.Trunk
	}
	meant := false
	switch c.Source {
	case "any":
		meant = true
	case "trunk":
		meant = a.Trunk != ""
	case "account":
		meant = proved(a) && who != "device"
	default:
		meant = c.Source == who
	}
	if !meant {
		return "its source is " + c.Source + ", the call's is " + who
	}
	if c.Class != "any" && (!proved(a) || ranks[who] < ranks[c.Class]) {
		return "it is for class " + c.Class + " and above, the caller is " + who
	}
	return ""
}

func (c *rule) rewrite(called string) string {
	if c.Rewrite == "" {
		return c.Prepend + called[min(c.Strip, len(called)):]
	}
	return string(c.whole.ExpandString(nil, c.Rewrite, called, c.whole.FindStringSubmatchIndex(called)))
}
