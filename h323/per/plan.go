package per

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

type kind uint8

const (
	kindBool kind = iota
	kindInt
	kindEnum
	kindNull
	kindOctets
	kindBits
	kindOID
	kindString
	kindOpen
	kindSequence
	kindChoice
	kindList
)

// A plan is a Go type and its constraints, as decoding and encoding need them.
type plan struct {
	kind kind
	typ  reflect.Type

	lo, hi       int64 // of INTEGER; ENUMERATED has 0..hi in its root
	hasLo, hasHi bool
	ext          bool // extensible: INTEGER, ENUMERATED, SEQUENCE, CHOICE

	size  size
	chars chars
	elem  *plan // of a list

	root, adds []field // components or alternatives
	optional   int     // of the root's
	extensions int     // the field of type Extensions, if ext
}

type field struct {
	index    int
	name     string
	plan     *plan
	pointer  bool
	optional bool
}

// A size constraint lo..hi; hi is -1 where there is none.
type size struct {
	lo, hi int
	ext    bool
	char   bool // of a character string
}

func (s *size) String() string { return fmt.Sprintf("%d..%d", s.lo, s.hi) }

// bounded: a length above 64K is always a general one (X.691 11.9.4).
func (s *size) bounded() bool { return s.hi >= 0 && s.hi < 65536 }

// aligned says whether units of width bits begin on an octet boundary (X.691
// 16.10, 17.7, 30.5.6).
func (s *size) aligned(width int) bool {
	switch {
	case !s.bounded():
		return true
	case s.lo == s.hi:
		return s.hi*width > 16
	}
	return !s.char || s.hi*width >= 16
}

// chars is how a character string's characters are written (X.691 30.5).
type chars struct {
	width    int
	alphabet string // in order, if characters are written as their index in it
	allowed  string // if only these may be written
	wide     bool   // BMPString
}

var (
	plansLock sync.Mutex
	plans     sync.Map // of reflect.Type, without constraints, to *plan
)

// planOf gives the plan of a type by itself.
func planOf(t reflect.Type) (*plan, error) {
	if p, ok := plans.Load(t); ok {
		return p.(*plan), nil
	}
	plansLock.Lock()
	defer plansLock.Unlock()
	made := map[reflect.Type]*plan{}
	p, err := compile(t, nil, made)
	if err != nil {
		return nil, err
	}
	for t, p := range made { // whole only now: types may contain themselves
		plans.Store(t, p)
	}
	plans.Store(t, p)
	return p, nil
}

var (
	typeNull       = reflect.TypeFor[Null]()
	typeOctets     = reflect.TypeFor[OctetString]()
	typeBits       = reflect.TypeFor[BitString]()
	typeOID        = reflect.TypeFor[OID]()
	typeOpen       = reflect.TypeFor[OpenType]()
	typeChoice     = reflect.TypeFor[Choice]()
	typeExtensions = reflect.TypeFor[Extensions]()
)

// compile makes the plan of t under the constraints words.
func compile(t reflect.Type, words []string, made map[reflect.Type]*plan) (*plan, error) {
	p := &plan{typ: t, size: size{hi: -1}}
	switch {
	case t == typeNull:
		p.kind = kindNull
	case t == typeOctets:
		p.kind = kindOctets
	case t == typeBits:
		p.kind = kindBits
	case t == typeOID:
		p.kind = kindOID
	case t == typeOpen:
		p.kind = kindOpen
	case t.Kind() == reflect.Bool:
		p.kind = kindBool
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64:
		p.kind = kindInt
	case t.Kind() == reflect.String:
		p.kind, p.chars.width, p.size.char = kindString, 8, true
	case t.Kind() == reflect.Slice:
		return p, p.list(words, made)
	case t.Kind() == reflect.Struct:
		return compileStruct(t, made)
	default:
		return nil, fmt.Errorf("per: no ASN.1 type is written as %v", t)
	}
	return p, p.constrain(words)
}

func (p *plan) list(words []string, made map[reflect.Type]*plan) (err error) {
	p.kind = kindList
	var inner []string
	if i := slices.Index(words, "of"); i >= 0 {
		words, inner = words[:i], words[i+1:]
	}
	if err = p.constrain(words); err == nil {
		p.elem, err = compile(p.typ.Elem(), inner, made)
	}
	return err
}

// constrain reads the words of a tag.
func (p *plan) constrain(words []string) (err error) {
	for i := 0; i < len(words) && err == nil; i++ {
		next := func() (w string) {
			if i++; i < len(words) {
				w = words[i]
			}
			return w
		}
		switch w := words[i]; w {
		case "optional":
		case "ia5", "printable", "visible", "general":
		case "numeric":
			p.chars.only(" 0123456789")
		case "bmp":
			p.chars = chars{width: 16, wide: true}
		case "from":
			p.chars.only(next())
		case "size":
			var lo, hi int64
			if lo, hi, _, p.size.ext, err = span(next()); err == nil {
				p.size.lo, p.size.hi = int(lo), int(hi)
			}
		case "enum":
			p.kind = kindEnum
			_, p.hi, _, p.ext, err = span(next())
			p.hi--
		default:
			p.hasLo = true
			p.lo, p.hi, p.hasHi, p.ext, err = span(w)
		}
	}
	return err
}

// span reads "lo..hi", "lo.." (hi is -1) or "n", and ",..." behind it.
func span(w string) (lo, hi int64, hasHi, ext bool, err error) {
	w, ext = strings.CutSuffix(w, ",...")
	low, high, two := strings.Cut(w, "..")
	if lo, err = strconv.ParseInt(low, 10, 64); err != nil {
		return 0, 0, false, false, fmt.Errorf("per: the tag %q is no range: %w", w, err)
	}
	switch {
	case !two:
		return lo, lo, true, ext, nil
	case high == "":
		return lo, -1, false, ext, nil
	}
	hi, err = strconv.ParseInt(high, 10, 64)
	return lo, hi, true, ext, err
}

// only limits the characters to a permitted alphabet: the width is the least
// power of two that holds them, and where their own codes do not fit into
// that, their indices are written (X.691 30.5.2 to 5).
func (c *chars) only(alphabet string) {
	sorted := []byte(alphabet)
	slices.Sort(sorted)
	c.width = 1
	for 1<<c.width < len(sorted) {
		c.width *= 2
	}
	c.allowed = string(sorted)
	if int(sorted[len(sorted)-1]) >= 1<<c.width {
		c.alphabet = c.allowed
	}
}

// compileStruct makes the plan of a SEQUENCE or CHOICE.
func compileStruct(t reflect.Type, made map[reflect.Type]*plan) (*plan, error) {
	if p, ok := plans.Load(t); ok {
		return p.(*plan), nil
	}
	if p, ok := made[t]; ok {
		return p, nil
	}
	p := &plan{typ: t, kind: kindSequence, size: size{hi: -1}}
	made[t] = p
	for i := range t.NumField() {
		f := t.Field(i)
		switch f.Type {
		case typeChoice:
			p.kind = kindChoice
			continue
		case typeExtensions:
			p.ext, p.extensions = true, i
			continue
		}
		part, err := compileField(f, made)
		if err != nil {
			return nil, fmt.Errorf("%w (in %v.%s)", err, t, f.Name)
		}
		if p.ext {
			part.optional = true
			p.adds = append(p.adds, part)
			continue
		}
		if part.optional {
			p.optional++
		}
		p.root = append(p.root, part)
	}
	return p, nil
}

func compileField(f reflect.StructField, made map[reflect.Type]*plan) (field, error) {
	words := strings.Fields(f.Tag.Get("per"))
	part := field{index: f.Index[0], optional: slices.Contains(words, "optional")}
	part.name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t, part.pointer, part.optional = t.Elem(), true, true
	}
	var err error
	part.plan, err = compile(t, words, made)
	return part, err
}
