package main

import (
	"fmt"
	"regexp"
	"strings"
)

// A module is what of an ASN.1 module bears on its encoding in PER.
type module struct {
	name    string
	imports map[string]string // type to module
	types   []*typ            // in the module's order
	byName  map[string]*typ
}

// A typ is an ASN.1 type.
type typ struct {
	name   string // of a type assignment
	kind   string // "SEQUENCE", "CHOICE", "OF", "ENUMERATED", "INTEGER", "IA5String", "OPEN", "REF" …
	ref    string
	elem   *typ
	fields []field
	marker int // fields before "...", or -1
	value  string
	size   string
	from   string
}

type field struct {
	name     string
	typ      *typ
	optional bool
}

var (
	comment = regexp.MustCompile(`--(?:[^-\n]|-[^-\n])*(?:--|-?\n)`)
	lexeme  = regexp.MustCompile(`"[^"]*"|::=|\.\.\.|\.\.|[A-Za-z](?:-?[A-Za-z0-9])*|-?[0-9]+|[^\s]`)
)

// A parser reads the tokens of one module. A syntax error is a panic: the
// modules are published ones, not input of the product.
type parser struct {
	t      []string
	params map[string]bool // of the parameterised type being read
}

func (p *parser) peek() string {
	if len(p.t) == 0 {
		return ""
	}
	return p.t[0]
}

func (p *parser) next() string {
	s := p.peek()
	p.t = p.t[1:]
	return s
}

func (p *parser) accept(words ...string) bool {
	for i, w := range words {
		if i >= len(p.t) || p.t[i] != w {
			return false
		}
	}
	p.t = p.t[len(words):]
	return true
}

func (p *parser) expect(words ...string) {
	if !p.accept(words...) {
		panic(fmt.Sprintf("%q is wanted before %q", words, strings.Join(p.t[:min(12, len(p.t))], " ")))
	}
}

// skip passes a pair of brackets, the first of which has been taken.
func (p *parser) skip(open, close string) {
	for depth := 1; depth > 0; {
		switch p.next() {
		case open:
			depth++
		case close:
			depth--
		}
	}
}

func parse(text string) *module {
	p := &parser{t: lexeme.FindAllString(comment.ReplaceAllString(text+"\n", " \n"), -1)}
	m := &module{name: p.next(), imports: map[string]string{}, byName: map[string]*typ{}}
	if p.accept("{") {
		p.skip("{", "}")
	}
	p.expect("DEFINITIONS", "AUTOMATIC", "TAGS", "::=", "BEGIN")
	if p.accept("IMPORTS") {
		p.imports(m)
	}
	for !p.accept("END") {
		t := p.assignment()
		m.types = append(m.types, t)
		m.byName[t.name] = t
	}
	return m
}

func (p *parser) imports(m *module) {
	for !p.accept(";") {
		var names []string
		for !p.accept("FROM") {
			if n := p.next(); n != "," && n != "{" && n != "}" {
				names = append(names, n)
			}
		}
		from := p.next()
		if p.accept("{") {
			p.skip("{", "}")
		}
		for _, n := range names {
			m.imports[n] = from
		}
	}
}

// assignment reads a type assignment. A parameter is only ever an open type
// here, so a parameterised type is read as a plain one.
func (p *parser) assignment() *typ {
	name := p.next()
	p.params = map[string]bool{}
	if p.accept("{") {
		for !p.accept("}") {
			p.params[p.next()] = true
		}
	}
	p.expect("::=")
	t := p.typ()
	t.name = name
	return t
}

func (p *parser) typ() *typ {
	t := &typ{marker: -1}
	switch w := p.next(); w {
	case "SEQUENCE", "SET":
		if p.accept("{") {
			t.kind = "SEQUENCE"
			p.fields(t)
			break
		}
		t.kind = "OF"
		for !p.accept("OF") {
			p.constraint(t)
		}
		t.elem = p.typ()
		return t
	case "CHOICE", "ENUMERATED":
		t.kind = w
		p.expect("{")
		p.fields(t)
	case "OCTET", "BIT":
		p.expect("STRING")
		t.kind = w
	case "OBJECT":
		p.expect("IDENTIFIER")
		t.kind = "OID"
	case "INTEGER", "BOOLEAN", "NULL", "BMPString", "IA5String", "NumericString", "GeneralString", "PrintableString", "VisibleString":
		t.kind = w
	case "TYPE-IDENTIFIER":
		p.expect(".", "&", "Type")
		t.kind = "OPEN"
	default:
		t.kind, t.ref = "REF", w
		if p.params[w] {
			t.kind = "OPEN"
		}
		if p.accept("{") {
			p.skip("{", "}")
		}
	}
	for p.peek() == "(" {
		p.constraint(t)
	}
	return t
}

// fields reads components, alternatives or enumeration items up to the brace.
func (p *parser) fields(t *typ) {
	for !p.accept("}") {
		switch {
		case p.accept(","):
		case p.accept("..."):
			if t.marker >= 0 {
				panic("a second extension marker")
			}
			t.marker = len(t.fields)
		case t.kind == "ENUMERATED":
			t.fields = append(t.fields, field{name: p.next()})
			if p.accept("(") {
				p.skip("(", ")")
			}
		default:
			f := field{name: p.next()}
			f.typ = p.typ()
			f.optional = p.accept("OPTIONAL")
			t.fields = append(t.fields, f)
		}
	}
}

// constraint reads one constraint: with parentheses, or a bare SIZE before OF.
func (p *parser) constraint(t *typ) {
	if p.accept("SIZE") {
		p.expect("(")
		t.size = p.span()
		return
	}
	p.expect("(")
	for !p.accept(")") {
		switch {
		case p.accept("SIZE"):
			p.expect("(")
			t.size = p.span()
		case p.accept("FROM"):
			p.expect("(")
			t.from = strings.Trim(p.next(), `"`)
			p.expect(")")
		case p.accept("^"):
		case t.kind == "INTEGER":
			t.value = p.span()
			return
		default: // WITH COMPONENTS, CONSTRAINED BY, the type in an open type: not seen by PER
			p.skip("(", ")")
			return
		}
	}
}

// span reads "1..128", "4", "1..MAX", with ", ..." behind it, and the
// parenthesis that ends it.
func (p *parser) span() string {
	s := p.next()
	if p.accept("..") {
		s += ".." + strings.TrimSuffix(p.next(), "MAX")
	}
	if p.accept(",", "...") {
		s += ",..."
	}
	p.expect(")")
	return s
}
