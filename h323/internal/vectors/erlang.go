package vectors

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"

	"bridgehead/h323/per"
)

// The terms of Erlang. A string is a List of characters, a binary a
// per.BitString, a number an int64.
type (
	Atom  string
	Tuple []any
	List  []any
)

var token = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']*'|[a-zA-Z][\w@]*|-?\d+|<<|>>|[\[\]{},:]`)

type parser struct{ t []string }

// Parse reads one term.
func Parse(text string) (any, error) {
	p := &parser{t: token.FindAllString(text, -1)}
	v, err := p.term()
	if err == nil && len(p.t) > 0 {
		err = fmt.Errorf("%q is left over", p.t[0])
	}
	return v, err
}

func (p *parser) next() string {
	if len(p.t) == 0 {
		return ""
	}
	s := p.t[0]
	p.t = p.t[1:]
	return s
}

func (p *parser) term() (any, error) {
	switch s := p.next(); {
	case s == "{":
		list, err := p.items("}")
		return Tuple(list), err
	case s == "[":
		list, err := p.items("]")
		return List(list), err
	case s == "<<":
		return p.binary()
	case strings.HasPrefix(s, `"`):
		return p.text(s)
	case strings.HasPrefix(s, "'"):
		return Atom(strings.Trim(s, "'")), nil
	case s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9'):
		return strconv.ParseInt(s, 10, 64)
	case s != "" && strings.Trim(s[:1], "]}>,:") != "":
		return Atom(s), nil
	default:
		return nil, fmt.Errorf("%q begins no term", s)
	}
}

func (p *parser) items(end string) ([]any, error) {
	list := []any{}
	for {
		if len(p.t) == 0 {
			return nil, fmt.Errorf("%q is missing", end)
		}
		if p.t[0] == end || p.t[0] == "," {
			if p.next() == end {
				return list, nil
			}
			continue
		}
		v, err := p.term()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

// text reads a string, which may go on in a second one.
func (p *parser) text(s string) (List, error) {
	list := List{}
	for {
		u, err := strconv.Unquote(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		for _, c := range u {
			list = append(list, int64(c))
		}
		if len(p.t) == 0 || !strings.HasPrefix(p.t[0], `"`) {
			return list, nil
		}
		s = p.next()
	}
}

func (p *parser) binary() (any, error) {
	b := per.BitString{Bytes: []byte{}}
	for {
		switch s := p.next(); {
		case s == ">>":
			return b, nil
		case s == ",":
		case strings.HasPrefix(s, `"`):
			list, err := p.text(s)
			if err != nil {
				return nil, err
			}
			for _, c := range list {
				b.Bytes = append(b.Bytes, byte(c.(int64)))
			}
			b.Len = 8 * len(b.Bytes)
		default:
			n, err := strconv.ParseUint(s, 10, 8)
			if err != nil {
				return nil, err
			}
			width := 8
			if len(p.t) > 1 && p.t[0] == ":" {
				p.next()
				width, _ = strconv.Atoi(p.next())
			}
			b.Bytes = append(b.Bytes, byte(n<<(8-width)))
			b.Len += width
		}
	}
}

const none = Atom("asn1_NOVALUE")

// Compare says where the value v, of a type that package per knows, is not
// what the term says.
func Compare(v any, term any) error {
	return compare(reflect.ValueOf(v), term, "")
}

func compare(v reflect.Value, term any, path string) error {
	if k := v.Kind(); (k == reflect.Pointer || k == reflect.Slice) && v.IsNil() {
		return equal(none, term, path)
	}
	if v.Kind() == reflect.Pointer {
		return compare(v.Elem(), term, path)
	}
	switch x := v.Interface().(type) {
	case per.Null:
		return equal(Atom("NULL"), term, path)
	case per.OctetString:
		return equal(per.Bits(x), term, path)
	case per.OpenType:
		return equal(per.Bits(x), term, path)
	case per.BitString:
		return equal(x, term, path)
	case per.OID:
		arcs := Tuple{}
		for a := range strings.SplitSeq(string(x), ".") {
			n, _ := strconv.ParseInt(a, 10, 64)
			arcs = append(arcs, n)
		}
		return equal(arcs, term, path)
	case fmt.Stringer:
		return equal(Atom(x.String()), term, path)
	case bool:
		return equal(Atom(strconv.FormatBool(x)), term, path)
	case string:
		list := List{}
		for _, u := range utf16.Encode([]rune(x)) {
			list = append(list, int64(u))
		}
		return equal(list, term, path)
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		return equal(v.Int(), term, path)
	case reflect.Slice:
		return compareList(v, term, path)
	}
	return compareStruct(v, term, path)
}

func equal(have, want any, path string) error {
	if reflect.DeepEqual(have, want) {
		return nil
	}
	return fmt.Errorf("%s: %v (%T) instead of %v (%T)", path, have, have, want, want)
}

func compareList(v reflect.Value, term any, path string) error {
	list, ok := term.(List)
	if !ok || len(list) != v.Len() {
		return fmt.Errorf("%s: %d elements instead of %v", path, v.Len(), term)
	}
	for i := range list {
		if err := compare(v.Index(i), list[i], fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}

// compareStruct takes a SEQUENCE for the record of its components, and a
// CHOICE for a pair of name and value.
func compareStruct(v reflect.Value, term any, path string) error {
	tuple, ok := term.(Tuple)
	if !ok || len(tuple) == 0 {
		return fmt.Errorf("%s: %v instead of %v", path, v.Type(), term)
	}
	choice := false
	at := 1
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Type == reflect.TypeFor[per.Choice]():
			choice = true
			continue
		case f.Type == reflect.TypeFor[per.Extensions]():
			continue
		case choice && v.Field(i).IsNil():
			continue
		case choice:
			if err := equal(Atom(name), tuple[0], path); err != nil {
				return err
			}
		case at >= len(tuple) && v.Field(i).IsZero():
			continue // of a later edition than the oracle's module
		case at >= len(tuple):
			return fmt.Errorf("%s: %d components instead of %v", path, at, tuple)
		}
		if err := compare(v.Field(i), tuple[at], path+"."+name); err != nil {
			return err
		}
		at++
	}
	if at != len(tuple) {
		return fmt.Errorf("%s: %d components instead of %v", path, at, tuple)
	}
	return nil
}
