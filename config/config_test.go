package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func write(t *testing.T, text string) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "bridgehead.yaml")
	if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	Flags(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestNoFileIsNeeded(t *testing.T) {
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	first, last := c.RTPPorts()
	if c.Listen.HTTPS != ":8443" || c.Listen.SIPS != ":5061" || first != 20000 || last != 29999 || c.Data != "./data" {
		t.Errorf("defaults are %+v", c)
	}
}

func TestFlagOverEnvironmentOverFileOverDefault(t *testing.T) {
	file := write(t, "listen:\n  https: \":1\"\n  sips: \":1\"\n  sip: \":1\"\npstn:\n  countries: [DE, FR]\n")
	t.Setenv("BRIDGEHEAD_LISTEN_SIPS", ":2")
	t.Setenv("BRIDGEHEAD_LISTEN_SIP", "")
	c, err := Load(file, flags(t, "--listen.https", "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen.HTTPS != "127.0.0.1:0" || c.Listen.SIPS != ":2" || c.Listen.SIP != "" || c.Listen.TURN != ":3478" {
		t.Errorf("listen is %+v", c.Listen)
	}
	if len(c.PSTN.Countries) != 2 || c.PSTN.Countries[1] != "FR" {
		t.Errorf("countries are %v", c.PSTN.Countries)
	}
}

func TestEveryFaultNamesFileKeyValueAndRemedy(t *testing.T) {
	for _, c := range []struct{ yaml, key, value, remedy string }{
		{"listen:\n  https: nonsense\n", "listen.https", "nonsense", "host:port"},
		{"listen:\n  sips: \":99999\"\n", "listen.sips", ":99999", "0 to 65535"[:1]},
		{"rtp:\n  ports: 5-2\n", "rtp.ports", "5-2", "20000-29999"},
		{"rtp:\n  advertise: nowhere\n", "rtp.advertise", "nowhere", "203.0.113.7"},
		{"log:\n  level: loud\n", "log.level", "loud", "debug, info"},
		{"limits:\n  calls: many\n", "limits.calls", "many", "number from 1"},
		{"sip:\n  legacy: perhaps\n", "sip.legacy", "perhaps", "true or false"},
		{"tls:\n  certificate: /no/such/file\n", "tls.certificate", "/no/such/file", "path"},
		{"pstn:\n  countries: [Germany]\n", "pstn.countries", "Germany", "DE"},
		{"telemetry:\n  otlp_endpoint: collector:4317\n", "telemetry.otlp_endpoint", "collector:4317", "http://127.0.0.1:4318"},
		{"listne:\n  https: \":1\"\n", "listne.https", "", "config.sample.yaml"},
	} {
		file := write(t, c.yaml)
		_, err := Load(file, nil)
		if err == nil {
			t.Errorf("%s: no error", c.key)
			continue
		}
		for _, want := range []string{file, c.key, c.value, c.remedy} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %q does not name %q", c.key, err, want)
			}
		}
	}
}

func TestBrokenYAMLSaysTheLine(t *testing.T) {
	_, err := Load(write(t, "listen:\n\thttps: x\n"), nil)
	if err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v, want the line", err)
	}
	if _, err := Load("/no/such/file.yaml", nil); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v for a missing file", err)
	}
}

func TestSampleFileIsCurrentAndLoads(t *testing.T) {
	got, err := os.ReadFile("../config.sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != Sample() {
		t.Error("config.sample.yaml is out of date: run `bridgehead check --sample > config.sample.yaml`")
	}
	c, err := Load("../config.sample.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, _ := Load("", nil)
	if c.Listen != plain.Listen || c.RTP != plain.RTP || c.Limits != plain.Limits {
		t.Error("the sample's values are not the defaults")
	}
}
