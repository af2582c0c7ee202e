package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// roots is what dist is built from, as in scripts/source.mjs.
var roots = []string{"index.html", "openapi.json", "package-lock.json", "package.json", "public", "src", "tsconfig.json", "vite.config.ts"}

// TestCurrent shows that dist was built from the source beside it. When it
// fails: npm ci && npm run build.
func TestCurrent(t *testing.T) {
	var names []string
	for _, root := range roots {
		err := fs.WalkDir(os.DirFS("."), root, func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !strings.Contains(name, ".test.") {
				names = append(names, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(names)
	sum := sha256.New()
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(sum, "%s\x00%d\x00", name, len(content))
		sum.Write(content)
	}
	kept, err := fs.ReadFile(Files(), "SOURCE")
	if err != nil {
		t.Fatal(err)
	}
	if want := hex.EncodeToString(sum.Sum(nil)); strings.TrimSpace(string(kept)) != want {
		t.Errorf("dist was built from other source: SOURCE says %.12s…, the source is %.12s…; run npm run build", kept, want)
	}
}

// TestPage shows that the page finds its scripts and styles among the embedded
// files, and asks for nothing that the content security policy forbids.
func TestPage(t *testing.T) {
	page, err := fs.ReadFile(Files(), "index.html")
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllSubmatch(page, -1)
	if len(links) < 3 {
		t.Fatalf("only %d links in index.html", len(links))
	}
	for _, l := range links {
		if _, err := fs.Stat(Files(), strings.TrimPrefix(string(l[1]), "/")); err != nil {
			t.Errorf("index.html asks for %s: %v", l[1], err)
		}
	}
	if regexp.MustCompile(`<script[^>]*>[^<]`).Match(page) || strings.Contains(string(page), "style=") {
		t.Error("index.html has inline script or style")
	}
}

// TestLock shows that the lock file names no registry.
func TestLock(t *testing.T) {
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`"resolved": "[^"]*:`).Match(lock) { // a workspace is in a folder
		t.Error("package-lock.json names where packages were fetched from")
	}
	if !strings.Contains(string(lock), `"integrity": "sha512-`) {
		t.Error("package-lock.json has no checksums")
	}
}
