package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"bridgehead/gateway/lines"
	"bridgehead/gateway/store"
)

func shell(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := trunkCommand()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage = true
	cmd.SetArgs(append(args, "--data", dir))
	err := cmd.Execute()
	return out.String(), err
}

func TestTrunksAreMadeAndChangedFromTheShell(t *testing.T) {
	dir := t.TempDir()
	out, err := shell(t, dir, "add", "carrier", "--template", "telnyx", "--username", "u", "--password", "p", "--ptime", "30", "--headers", "X-A=1", "--rates", "+49=0.02,+1=0.01", "--dtmf", "rfc4733,info", "--json")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var tr store.Trunk
	if err := json.Unmarshal([]byte(out), &tr); err != nil {
		t.Fatal(err)
	}
	if tr.Host != "sip.telnyx.com" || tr.Mode != "register" || tr.Username != "u" || tr.Ptime != 30 || tr.Headers["X-A"] != "1" || tr.Rates["+49"] != 0.02 || len(tr.DTMF) != 2 || !tr.Enabled || !tr.OverrideCheck {
		t.Errorf("%+v", tr)
	}
	if out, err := shell(t, dir, "change", "carrier", "--ptime", "20", "--host", "127.0.0.1:1", "--enabled=false"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, _ = shell(t, dir, "list", "--json"); !strings.Contains(out, `"ptime": 20`) || !strings.Contains(out, `"mode": "register"`) || !strings.Contains(out, `"enabled": false`) {
		t.Error(out)
	}
	// Nobody answers there, so it stays disabled but on the operator's word.
	if out, err := shell(t, dir, "change", "carrier", "--enabled", "--override-check=false"); err == nil || !strings.Contains(err.Error(), "reachability") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := shell(t, dir, "add", "other", "--host", "127.0.0.1:1", "--check"); err == nil {
		t.Error(out)
	}
	for _, bad := range [][]string{{"--ptime", "7"}, {"--tls-min", "1.1"}, {"--number-format", "roman"}, {"--strip-in", "-1"}, {"--digest", "ROT13"}, {"--prack", "maybe"}, {"--expires", "5"}, {"--template", "none"}, {"--tls-ca", "/does/not/exist"}, {"--rates", "x"}} {
		if out, err := shell(t, dir, append([]string{"add", "bad", "--host", "x"}, bad...)...); err == nil {
			t.Errorf("%v passed: %s", bad, out)
		}
	}
}

func TestTrunkIsCheckedFromTheShell(t *testing.T) {
	dir := t.TempDir()
	if out, err := shell(t, dir, "add", "dead", "--host", "127.0.0.1:1"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := shell(t, dir, "check", "dead"); err == nil || !strings.Contains(out, "FAULT") || !strings.Contains(out, "reachability") {
		t.Errorf("%v: %s", err, out)
	}
	out, err := shell(t, dir, "check", "dead", "--json")
	var list []lines.CheckLine
	if json.Unmarshal([]byte(out[:strings.LastIndex(out, "]")+1]), &list) != nil || err == nil || len(list) < 3 || list[0].What != "settings" || !list[0].OK {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := shell(t, dir, "templates"); err != nil || !strings.Contains(out, "Twilio") {
		t.Errorf("%v: %s", err, out)
	}
}
