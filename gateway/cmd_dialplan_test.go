package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

// The dial plan is set up, tried and kept from the shell, with the server
// running or not.
func TestDialPlanFromTheShell(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) (string, error) {
		t.Helper()
		var text bytes.Buffer
		for _, c := range adminCommands() {
			if c.Name() == args[0] {
				c.SetArgs(append(args[1:], "--data", dir))
				c.SetOut(&text)
				c.SilenceUsage, c.SilenceErrors = true, true
				err := c.ExecuteContext(context.Background())
				return text.String(), err
			}
		}
		t.Fatalf("no command %s", args[0])
		return "", nil
	}
	for _, c := range []struct {
		args        string
		says, fails string
	}{
		{"trunk add carrier --host sip.example.net --transport udp", "carrier", ""},
		{"number add +4930123456 --trunk carrier --hours mon-fri_08:00-18:00 --time-zone Europe/Berlin", "DE", ""},
		{"number add +4930123457 --trunk carrier --hours sometimes", "", "write mon-fri"},
		{"number add +4930123457 --trunk none", "", "no trunk named none"},
		{"dialplan simulate +4930123456 --trunk carrier --at 2026-11-30T12:00:00Z", "= reception", ""},
		{"dialplan simulate +4930123456 --trunk carrier --at 2026-11-30T17:30:00Z", "closed (Mon 18:30 Europe/Berlin)", ""},
		{"dialplan simulate tel:+442079460018 --class user", "countries of pstn.countries: none", ""},
		{"dialplan add london --direction out --class member --pattern +4420 --target trunk:carrier --countries GB", "london", ""},
		{"dialplan add london --pattern +44.* --target reception", "", "not anchored"},
		{"dialplan simulate tel:+442079460018 --class user", "= trunk:carrier +442079460018", ""},
		{"dialplan simulate tel:+442079460018", "caller is stranger", ""},
		{"dialplan simulate 7001 --at noon", "", "18:00"},
		{"dialplan expect reached tel:+442079460018 --class user --want trunk:carrier", "true", ""},
		{"dialplan remove london", "", `"reached"`},
		{"trunk remove carrier", "", `"reached"`},
		{"dialplan add london --direction out --class superuser --pattern +4420 --target trunk:carrier --countries GB", "", `"reached"`},
		{"dialplan forget reached", "done", ""},
		{"dialplan remove london", "done", ""},
		{"dialplan expectations", "", ""},
	} {
		var args []string
		for _, a := range strings.Fields(c.args) {
			args = append(args, strings.ReplaceAll(a, "_", " "))
		}
		text, err := run(args...)
		if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) || !strings.Contains(text, c.says) {
			t.Errorf("%s: %v\n%s", c.args, err, text)
		}
	}
}

func TestTimesOfSimulations(t *testing.T) {
	now := time.Date(2026, 11, 30, 9, 15, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{"": now, "18:00": time.Date(2026, 11, 30, 18, 0, 0, 0, time.UTC), "2026-12-01T07:00:00+01:00": time.Date(2026, 12, 1, 6, 0, 0, 0, time.UTC)} {
		if got, err := readTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
