//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"
)

// A browser that prefers German is answered in German, on every page and on the
// screen of a telephone; English is one click away, and stays.
func TestLanguageIsThatOfTheBrowserOrChosen(t *testing.T) {
	g := serve(t, "--signup.domains", "corp.example")
	g.furnish()
	b := newDriver(t).open("anna", 440, map[string]any{"locale": "de-DE", "width": 390, "height": 844})
	speaks := func(want string) {
		t.Helper()
		var lang string
		if b.eval(`document.documentElement.lang`, &lang); lang != want {
			t.Errorf("the page's language is %q, want %q", lang, want)
		}
	}
	pages := func(list [][2]string) {
		t.Helper()
		for _, p := range list {
			b.goTo(g.page(p[0]))
			b.sees(p[1])
			speaks("de")
			b.look(strings.ReplaceAll(p[0][1:], "/", "-"))
		}
	}
	pages([][2]string{{"/", "Konferenz beitreten"}, {"/join/7001", "Prüfen Sie Bild und Ton"}, {"/signup", "Mit einer E-Mail-Adresse"}, {"/nowhere", "Diese Seite gibt es nicht"},
		{"/test", "Netz testen"}, {"/signin", "Mit Ihrem Konto auf dieser Brücke"}})
	var loaded []string
	b.eval(`performance.getEntriesByType("resource").map((r) => r.name.replace(/^.*\//, "")).filter((n) => n.endsWith(".js"))`, &loaded)
	once := slices.Compact(slices.Sorted(slices.Values(loaded)))
	if len(once) != len(loaded) || !slices.ContainsFunc(loaded, isWords("de")) || slices.ContainsFunc(loaded, isWords("en")) {
		t.Errorf("the page loaded %q", loaded)
	}
	b.fill("E-Mail-Adresse", g.login.User)
	b.fill("Passwort", g.login.Password)
	b.do("click", map[string]any{"role": "button", "name": "Anmelden", "exact": true})
	b.sees("Abmelden")
	pages([][2]string{{"/", "Ihre Konferenzen"}, {"/directory", "Nicht verbunden"}, {"/chat", "Unterhaltungen"}, {"/history", "Verlauf"}, {"/network", "Für Ihr Netz"},
		{"/account", "Angemeldete Browser"}, {"/console/live", "Zurzeit ist niemand"}, {"/console/meetings", "Dauerhaft"}, {"/console/calls", "aufgelegt"},
		{"/console/trunks", "carrier"}, {"/console/numbers", "Rufnummern"}, {"/console/devices", "room1"}, {"/console/users", "aktiv"},
		{"/console/audit", "Protokoll der Änderungen"}, {"/console/settings", "Personen dürfen einander schreiben"}})
	b.germanMeeting(g)

	b.goTo(g.page("/account"))
	b.click("English")
	b.sees("Signed-in browsers")
	speaks("en")
	b.goTo(g.page("/console/users"))
	b.sees("Administrator")
	b.sees("active")
	speaks("en")
	b.click("Deutsch")
	b.sees("Benutzer")
	speaks("de")
	var errors []string
	if err := unmarshal(b.do("console", nil), &errors); err != nil || len(errors) > 0 {
		t.Errorf("%q %v", errors, err)
	}
}

// germanMeeting looks at the dialogs of a meeting, and at the meeting.
func (b *browser) germanMeeting(g *gateway) {
	b.d.t.Helper()
	b.goTo(g.page("/"))
	b.click("Zu Weekly planning einladen")
	b.sees("Einladung kopieren")
	b.sees("Deutschland")
	b.look("Einladung")
	b.do("press", map[string]any{"key": "Escape"})
	b.click("Einstellungen von Weekly planning")
	b.sees("Wer hereinkommt")
	b.look("Einstellungen")
	b.goTo(g.page("/join/7001"))
	b.fill("Ihr Name", "Anna")
	b.click("Beitreten")
	b.sees("Sie sind allein hier")
	b.look("Konferenz")
	b.do("press", map[string]any{"key": "p"})
	b.sees("Alle laut") // nobody but the host is here
	b.look("Teilnehmer")
	b.do("press", map[string]any{"key": "?"})
	b.sees("Sprecher- oder Rasteransicht")
	b.look("Tastenkürzel")
}

// isWords tells the file of a language's words.
func isWords(language string) func(string) bool {
	return func(file string) bool { return strings.HasPrefix(file, language+"-") }
}
