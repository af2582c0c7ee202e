package core_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "bridgehead"

// walls say, for each part of the tree, which of our packages it may import.
// The longest prefix counts. Nothing else keeps the house in order: a new
// package without a wall fails the test.
var walls = map[string][]string{
	"core":                {},
	"core/audio":          {"core", "core/audio", "core/cache"},
	"core/cache":          {},
	"core/alarm":          {},
	"core/clock":          {"core", "core/alarm"},
	"core/edge":           {"core"},
	"core/srtp":           {"core/cache"},
	"core/udp":            {},
	"core/rtpio":          {"core", "core/cache", "core/srtp", "core/udp"},
	"core/mix":            {"core", "core/audio", "core/cache"},
	"core/h264":           {},
	"core/compose":        {"core", "core/compose"},
	"core/forward":        {"core", "core/cache", "core/h264", "core/compose"},
	"core/meet":           {"core", "core/clock", "core/h264", "core/mix", "core/forward", "core/audio", "core/compose"},
	"core/ivr":            {"core", "core/clock", "core/mix", "core/audio", "core/ivr", "core/forward", "core/compose"},
	"core/coretest":       {"core", "core/audio"},
	"config":              {},
	"sip":                 {"core", "core/rtpio", "core/audio", "core/edge", "core/h264", "sip"},
	"webrtc":              {"core", "core/alarm", "core/cache", "core/srtp", "core/udp", "core/rtpio", "core/audio", "core/edge", "webrtc"},
	"h323":                {"core", "core/cache", "core/rtpio", "core/audio", "core/edge", "h323"},
	"pstn":                {"core", "core/rtpio", "core/audio", "core/edge", "pstn"},
	"gateway/store":       {},
	"gateway/synthetic":   {"core/...", "gateway/caller", "gateway/records", "gateway/store"},
	"gateway/doctor":      {"core/...", "gateway/store"},
	"gateway/records":     {"core/...", "gateway/doctor", "gateway/store"},
	"gateway/capture":     {"core", "gateway/store"},
	"gateway/chat":        {"core/...", "gateway/store"},
	"gateway/caller":      {"core/..."},
	"gateway/load":        {"core/...", "sip", "h323"},
	"gateway/web":         {},
	"gateway/mail":        {},
	"gateway/telemetry":   {"gateway/store"},
	"gateway/backup":      {"gateway/store"},
	"gateway/alerts":      {"gateway/mail", "gateway/store"},
	"gateway/api":         {"core/...", "gateway/alerts", "gateway/capture", "gateway/chat", "gateway/dialplan", "gateway/directory", "gateway/doctor", "gateway/invite", "gateway/lines", "gateway/mail", "gateway/network", "gateway/records", "gateway/store", "gateway/synthetic"},
	"gateway/dialplan":    {"core/...", "gateway/records", "gateway/store", "pstn"},
	"gateway/lines":       {"core/...", "gateway/caller", "gateway/dialplan", "gateway/store", "pstn", "sip"},
	"gateway/contentline": {},
	"gateway/network":     {},
	"gateway/directory":   {"core/...", "gateway/contentline", "gateway/store"},
	"gateway/invite":      {"gateway/contentline", "gateway/store"},
	"gateway/e2e":         {"core/...", "gateway/caller"},
	// The media worker is a program of its own: of ours it knows the wire to the
	// gateway, and H.264's units.
	"gateway/mediaworker": {"core/compose/wire", "core/h264", "gateway/mediaworker"},
	"gateway":             {"core/...", "config", "sip", "webrtc", "h323", "pstn", "gateway"},
}

// tests may also use the leg that is made for them, and rooms to sit in.
var forTests = []string{"core"}

// ground may import nothing but what is listed, not even other modules.
var ground = []string{"github.com/pion/rtp"}

func within(pkg, part string) bool { return pkg == part || strings.HasPrefix(pkg, part+"/") }

func wallOf(pkg string) (part string, ok bool) {
	for p := range walls {
		if within(pkg, p) && len(p) >= len(part) {
			part, ok = p, true
		}
	}
	return part, ok
}

func TestImportsKeepToTheWalls(t *testing.T) {
	seen := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "node_modules" || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			seen++
			check(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 50 {
		t.Fatalf("only %d files were read", seen)
	}
}

func check(t *testing.T, path string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	pkg := filepath.ToSlash(filepath.Dir(strings.TrimPrefix(filepath.ToSlash(path), "../")))
	part, ok := wallOf(pkg)
	if !ok {
		t.Errorf("%s: no wall is written for package %s", path, pkg)
		return
	}
	test := strings.HasSuffix(path, "_test.go")
	for _, spec := range file.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		ours, inside := strings.CutPrefix(name, module+"/")
		switch {
		case !inside:
			if pkg == "core" && !test && strings.Contains(name, ".") && !slices.Contains(ground, name) {
				t.Errorf("%s: the ground floor imports %s", path, name)
			}
		case within(ours, part) && part != "core" && part != "gateway":
		case slices.ContainsFunc(walls[part], func(a string) bool { return allowed(ours, a) }):
		case test && slices.ContainsFunc(forTests, func(a string) bool { return within(ours, a) }):
		default:
			t.Errorf("%s: %s may not import %s", path, pkg, ours)
		}
	}
}

// allowed: "core" is the ground floor alone, "core/..." all above it too.
func allowed(ours, a string) bool {
	if a == "core" {
		return ours == "core"
	}
	return within(ours, strings.TrimSuffix(a, "/..."))
}
