// Asn1gen writes the Go types of H.323's Recommendations from their ASN.1
// modules, as package per reads and writes them: a struct for each SEQUENCE and
// CHOICE, constraints in its tags. The modules are published by the ITU and are
// not part of this project.
//
//	go run ./h323/internal/asn1gen -modules DIR -out h323
//
// It knows as much of ASN.1 as the modules use: automatic tags, extension
// markers, and parameterised types whose parameter is an open type. Information
// object classes (the operations of H.450) are not understood.
package main

//go:generate go run . -modules $ASN1_MODULES -out ../..

import (
	"flag"
	"log"
	"os"
	"path/filepath"
	"strings"
)

// packages, in the order in which they import one another.
var packages = []struct {
	module string
	path   string // below h323
	title  string
}{
	{"H235-SECURITY-MESSAGES", "h235", "H.235.0 (09/2005)"},
	{"MULTIMEDIA-SYSTEM-CONTROL", "h245", "H.245 version 15 (12/2009)"},
	{"H323-MESSAGES", "h225", "H.225.0 version 7 (12/2009)"},
	{"H235-SRTP", "h235/srtp", "H.235.8 (09/2005)"},
	{"SIGNALLING-TRAVERSAL", "h460/h46018", "H.460.18 (09/2005)"},
	{"MEDIA-TRAVERSAL", "h460/h46019", "H.460.19 (09/2005)"},
}

// amendments bring a module up to what endpoints send: the component for keys
// of more than 2048 bits came with a later edition of H.235.0.
var amendments = map[string]*strings.Replacer{
	"H235-SECURITY-MESSAGES": strings.NewReplacer(
		"SEQUENCE OF ProfileElement OPTIONAL ", "SEQUENCE OF ProfileElement OPTIONAL, dhkeyext DHsetExt OPTIONAL ",
		"DHset ::= SEQUENCE {", `DHsetExt ::= SEQUENCE {
  halfkey    BIT STRING(SIZE (2049..65536)),
  modSize    BIT STRING(SIZE (2049..65536)) OPTIONAL,
  generator  BIT STRING(SIZE (2049..65536)) OPTIONAL,
  ...
}

DHset ::= SEQUENCE {`),
}

func main() {
	log.SetFlags(0)
	modules := flag.String("modules", "", "`folder` with the ASN.1 modules, in it or in folders of it")
	out := flag.String("out", "h323", "`folder` of package h323")
	flag.Parse()
	g := &generator{modules: map[string]*module{}, paths: map[string]string{}}
	for _, p := range packages {
		files, err := filepath.Glob(filepath.Join(*modules, "*", p.module+".asn"))
		if err != nil || len(files) != 1 {
			log.Fatalf("asn1gen: one file %s.asn is wanted in a folder of %q, there are %d", p.module, *modules, len(files))
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			log.Fatal(err)
		}
		module := string(text)
		if a := amendments[p.module]; a != nil {
			module = a.Replace(module)
		}
		g.modules[p.module] = parse(module)
		g.paths[p.module] = p.path
	}
	for _, p := range packages {
		source, err := g.source(g.modules[p.module], p.title)
		if err != nil {
			log.Fatalf("asn1gen: %s: %v", p.module, err)
		}
		file := filepath.Join(*out, p.path, "types.go")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(file, source, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
