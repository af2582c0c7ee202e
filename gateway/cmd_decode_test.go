package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func runDecode(stdin string, args ...string) (string, error) {
	cmd := decodeCommand()
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.Execute()
	return out.String(), err
}

// Every captured H.323 message is shown as JSON and encoded again, to the same
// octets where an independent encoder says so; cut short, it is an error that
// says at which bit.
func TestDecodeH323(t *testing.T) {
	kinds := map[string]string{"ras": "h225-ras", "cs": "h225-cs", "h245": "h245"}
	index, err := os.ReadFile("../testdata/h323/000-INDEX.txt")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for line := range strings.Lines(string(index)) {
		words := strings.Fields(line)
		kind, ok := kinds[strings.Split(words[0], "-")[1]]
		if !ok {
			continue
		}
		tried++
		stem := filepath.Join("../testdata/h323", words[0])
		tryDecode(t, kind, stem+".hex", words[2] == "bytes-same")
		if kind == "h225-cs" {
			tryDecode(t, "q931", stem+".q931.hex", words[2] == "bytes-same")
		}
	}
	if tried < 80 {
		t.Errorf("only %d messages", tried)
	}
}

func tryDecode(t *testing.T, kind, file string, same bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	message := strings.TrimSpace(string(text))
	out, err := runDecode(message, kind, "-", "--roundtrip")
	if err != nil {
		t.Errorf("%s: %v", file, err)
		return
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	shown, again := strings.Join(lines[:len(lines)-1], "\n"), lines[len(lines)-1]
	if !json.Valid([]byte(shown)) {
		t.Errorf("%s: no JSON: %s", file, shown)
	}
	if same && again != message {
		t.Errorf("%s: encoded as %s", file, again)
	}
	if out, err = runDecode("", kind, again); err != nil || !strings.HasPrefix(out, "{") {
		t.Errorf("%s: encoded again: %v", file, err)
	}
	b, _ := hex.DecodeString(message)
	if _, err := runDecode("", kind, hex.EncodeToString(b[:len(b)-1])); err == nil || !strings.Contains(err.Error(), "bit ") {
		t.Errorf("%s: cut short: %v", file, err)
	}
}

func TestDecodeNames(t *testing.T) {
	out, err := runDecode("", "h245", "3601", "--roundtrip")
	if err == nil {
		t.Fatalf("a message of nothing: %s", out)
	}
	text, err := os.ReadFile("../testdata/h323/056-cs-setup-gnugk-dhtokens.q931.hex")
	if err != nil {
		t.Fatal(err)
	}
	out, err = runDecode(string(text), "q931")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"messageType": "setup"`, `"name": "calledPartyNumber"`, `"digits": "1234"`, `"h323-message-body"`,
		`"destinationAddress"`, `"dialledDigits": "1234"`, `"tokenOID": "0.0.8.235.0.3.43"`, `"h323-uu-pdu"`} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is not shown", want)
		}
	}
	if _, err := runDecode("", "nothing", "00"); err == nil || !strings.Contains(err.Error(), "h225-cs, h225-ras, h245, q931") {
		t.Errorf("an unknown kind: %v", err)
	}
}
