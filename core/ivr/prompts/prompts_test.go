package prompts

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bridgehead/core/audio"
)

func texts(t *testing.T, lang string) (names []string) {
	b, err := os.ReadFile(lang + "/prompts.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		name, text, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok || name == "" || text == "" {
			t.Fatalf("%s: malformed line %q", lang, line)
		}
		names = append(names, name)
	}
	return names
}

func TestEveryTextIsSpokenAtTheSameLevel(t *testing.T) {
	for _, lang := range Languages() {
		set, err := Load(lang)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range texts(t, lang) {
			if set.Clip(name) == nil {
				t.Errorf("%s/%s is not spoken", lang, name)
				continue
			}
			b, _ := files.ReadFile(lang + "/" + name + ".wav")
			w, err := audio.ReadWAV(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if l := audio.Level(w.PCM); l < 18 || l > 24 || w.Rate != 16000 {
				t.Errorf("%s/%s is at -%d dBov, %d Hz", lang, name, l, w.Rate)
			}
		}
	}
}

func TestLanguagesHaveTheSamePrompts(t *testing.T) {
	en := texts(t, "en")
	for _, lang := range Languages() {
		for _, name := range en {
			if !slices.Contains(texts(t, lang), name) {
				t.Errorf("%s lacks %s", lang, name)
			}
		}
	}
	for _, name := range []string{
		"welcome", "enter-number", "enter-passcode", "wrong-number", "wrong-passcode", "too-many-tries",
		"throttled", "joining", "waiting-for-host", "waiting-for-accept", "rejected", "removed",
		"meeting-full", "meeting-locked", "meeting-ended", "not-encrypted", "joined", "left", "muted",
		"unmuted", "muted-by-host", "unmuted-by-host", "hand-raised", "hand-lowered", "all-muted",
		"all-unmuted", "locked", "unlocked", "you-are-alone", "first-party", "participants",
		"newcomer-waiting", "press-91-accept", "accepted", "help-guest", "help-host", "leg-clear",
		"not-permitted", "dialling", "busy", "no-answer", "unreachable", "number-unknown", "goodbye",
		"recording-notice", "error", "hundred", "all-lines-busy", "waiting-for-anyone", "newcomer-pstn", "newcomer-sip", "newcomer-h323", "newcomer-webrtc",
	} {
		if !slices.Contains(en, name) {
			t.Errorf("en lacks %s", name)
		}
	}
}

func TestLoad(t *testing.T) {
	a, err := Load("de-AT")
	if err != nil || a.Clip("welcome") == nil {
		t.Fatalf("de-AT: %v", err)
	}
	if b, _ := Load("de"); b != a {
		t.Error("read twice")
	}
	if _, err := Load("xx"); err == nil {
		t.Error("language xx was found")
	}
	if a.Clip("nonsense") != nil {
		t.Error("clip nonsense was found")
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int]string{
		0: "0", 7: "7", 15: "15", 20: "20", 21: "20 1", 90: "90", 100: "1 hundred", 342: "3 hundred 40 2", 512: "5 hundred 12",
	} {
		if got := strings.Join(numberWords(n, false), " "); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for _, lang := range Languages() {
		set, _ := Load(lang)
		for n := range 1000 {
			if want := len(numberWords(n, lang == "de")); len(set.Number(n)) != want {
				t.Fatalf("%s: a word of %d is not spoken", lang, n)
			}
		}
		if len(set.Number(1234)) != 4 || len(set.Digits("00*")) != 2 {
			t.Errorf("%s: digits", lang)
		}
	}
}

func TestMusicLoopsWithoutAClick(t *testing.T) {
	b, err := files.ReadFile("music.wav")
	if err != nil {
		t.Fatal(err)
	}
	w, err := audio.ReadWAV(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if l := audio.Level(w.PCM); l < 28 || l > 32 {
		t.Errorf("music at -%d dBov", l)
	}
	n := len(w.PCM)
	if n < 20*w.Rate || n > 30*w.Rate || n%(w.Rate/50) != 0 {
		t.Errorf("music of %d samples", n)
	}
	if a, z := audio.Level(w.PCM[:40]), audio.Level(w.PCM[n-40:]); a < 55 || z < 55 {
		t.Errorf("begins at -%d and ends at -%d dBov", a, z)
	}
}

func TestP67OperatorsRecordingsTakeThePlaceOfOurs(t *testing.T) {
	set, err := Load("en")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "en"), 0o700); err != nil {
		t.Fatal(err)
	}
	if same, err := set.With(dir); err != nil || same != set {
		t.Errorf("without recordings: %v", err)
	}
	put := func(name, of string) {
		t.Helper()
		b, err := files.ReadFile(of)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "en", name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("welcome.wav", "de/welcome.wav")
	own, err := set.With(dir)
	german, _ := Load("de")
	if err != nil || own.Clip("welcome").Frames() != german.Clip("welcome").Frames() || own.Clip("goodbye") != set.Clip("goodbye") {
		t.Errorf("with one: %v", err)
	}
	if set.Clip("welcome").Frames() == german.Clip("welcome").Frames() {
		t.Error("the shared set was changed")
	}
	put("welcom.wav", "de/welcome.wav")
	if _, err := set.With(dir); err == nil || !strings.Contains(err.Error(), "welcom") {
		t.Errorf("a name that is no prompt's: %v", err)
	}
	_ = os.Remove(filepath.Join(dir, "en", "welcom.wav"))
	if err := os.WriteFile(filepath.Join(dir, "en", "goodbye.wav"), []byte("no sound"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := set.With(dir); err == nil || !strings.Contains(err.Error(), "goodbye.wav") {
		t.Errorf("a file without sound: %v", err)
	}
}
