package per

import (
	"reflect"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Encode writes v, a value or a pointer to one. A value that its constraints
// do not allow is an *Error that names the component.
func Encode(v any) ([]byte, error) { return Append(nil, v) }

// Append appends what Encode writes to dst.
func Append(dst []byte, v any) ([]byte, error) {
	val := reflect.ValueOf(v)
	for val.Kind() == reflect.Pointer {
		val = val.Elem()
	}
	if !val.IsValid() {
		return dst, invalid("no value")
	}
	p, err := planOf(val.Type())
	if err != nil {
		return dst, err
	}
	w := &writer{buf: dst}
	if err := w.value(p, val); err != nil {
		return dst, err
	}
	if len(w.buf) == len(dst) { // a message has at least one octet (X.691 11.1.3)
		w.buf = append(w.buf, 0)
	}
	return w.buf, nil
}

// value writes v as p describes it.
func (w *writer) value(p *plan, v reflect.Value) error {
	switch p.kind {
	case kindNull:
	case kindBool:
		w.bit(v.Bool())
	case kindInt, kindEnum:
		return w.number(p, v.Int())
	case kindOctets:
		return w.string(v.Bytes(), v.Len(), &p.size, 8)
	case kindBits:
		b, n := v.Field(0).Bytes(), int(v.Field(1).Int())
		if n < 0 || n > 8*len(b) {
			return invalid("%d bits in %d octets", n, len(b))
		}
		return w.string(b, n, &p.size, 1)
	case kindOpen:
		if v.Len() == 0 {
			return invalid("an empty open type")
		}
		w.octets(v.Bytes())
	case kindOID:
		var room [32]byte
		b, ok := appendOID(room[:0], OID(v.String()))
		if !ok {
			return invalid("%q is no OBJECT IDENTIFIER", v.String())
		}
		w.octets(b)
	case kindString:
		return w.text(p, v.String())
	case kindSequence:
		return w.sequence(p, v)
	case kindChoice:
		return w.choice(p, v)
	case kindList:
		return w.list(p, v)
	}
	return nil
}

// number writes an INTEGER (X.691 13) or an ENUMERATED (14).
func (w *writer) number(p *plan, n int64) error {
	below := (p.hasLo || p.kind == kindEnum) && n < p.lo
	above := (p.hasHi || p.kind == kindEnum) && n > p.hi
	outside := below || above
	if outside && (!p.ext || below && p.kind == kindEnum) {
		return invalid("%d is not in %d..%d", n, p.lo, p.hi)
	}
	if p.ext {
		w.bit(outside)
	}
	switch {
	case p.kind == kindEnum && outside:
		w.small(int(n - p.hi - 1))
	case p.kind == kindEnum || p.hasHi && !outside:
		return w.constrained(n, p.lo, p.hi)
	default:
		w.integer(n, p.lo, p.hasLo && !outside)
	}
	return nil
}

// text writes a character string (X.691 30).
func (w *writer) text(p *plan, s string) error {
	c := &p.chars
	switch {
	case c.wide:
		if !utf8.ValidString(s) {
			return invalid("a text that is not UTF-8")
		}
		units := utf16.Encode([]rune(s))
		b := make([]byte, 0, 2*len(units))
		for _, u := range units {
			b = append(b, byte(u>>8), byte(u))
		}
		return w.string(b, len(units), &p.size, 16)
	case c.allowed == "":
		return w.string([]byte(s), len(s), &p.size, 8)
	}
	b := make([]byte, (len(s)*c.width+7)/8)
	for i := range len(s) {
		code := strings.IndexByte(c.allowed, s[i])
		if code < 0 {
			return invalid("character %d of %q is not one of %q", i, s, c.allowed)
		}
		if c.alphabet == "" {
			code = int(s[i])
		}
		at := i * c.width
		b[at>>3] |= byte(code) << (8 - c.width - at&7)
	}
	return w.string(b, len(s), &p.size, c.width)
}

// list writes a SEQUENCE OF or SET OF (X.691 20, 22).
func (w *writer) list(p *plan, v reflect.Value) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.leave()
	part, err := w.count(v.Len(), &p.size)
	if err != nil {
		return err
	}
	for at := 0; ; {
		for end := at + part; at < end; at++ {
			if err := w.value(p.elem, v.Index(at)); err != nil {
				return withinItem(err, at)
			}
		}
		if at == v.Len() && (part < fragment || p.size.bounded()) {
			return nil
		}
		part = w.length(v.Len() - at)
	}
}

// component writes the component or alternative f of v.
func (w *writer) component(f *field, v reflect.Value) error {
	v = v.Field(f.index)
	if f.pointer {
		v = v.Elem()
	}
	if err := w.value(f.plan, v); err != nil {
		return within(err, f.name)
	}
	return nil
}

// given says whether an optional component or an alternative is there.
func (f *field) given(v reflect.Value) bool {
	return !f.optional || !v.Field(f.index).IsNil()
}

// sequence writes a SEQUENCE (X.691 19).
func (w *writer) sequence(p *plan, v reflect.Value) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.leave()
	extended := p.ext && p.extended(v)
	if p.ext {
		w.bit(extended)
	}
	for i := range p.root {
		if f := &p.root[i]; f.optional {
			w.bit(f.given(v))
		}
	}
	for i := range p.root {
		if f := &p.root[i]; f.given(v) {
			if err := w.component(f, v); err != nil {
				return err
			}
		}
	}
	if extended {
		return w.additions(p, v)
	}
	return nil
}

// extended says whether v has any extension additions.
func (p *plan) extended(v reflect.Value) bool {
	for i := range p.adds {
		if p.adds[i].given(v) {
			return true
		}
	}
	return v.Field(p.extensions).Len() > 0
}

// additions writes the extension additions of a SEQUENCE (X.691 19.7 to 9).
func (w *writer) additions(p *plan, v reflect.Value) error {
	unknown := v.Field(p.extensions).Interface().(Extensions)
	n := len(p.adds)
	for _, u := range unknown {
		if u.Index < n || u.Index >= maxBitmap {
			return within(invalid("extension addition %d is known, out of order or too high", u.Index), "...")
		}
		n = u.Index + 1
	}
	if n <= 64 {
		w.bits(uint64(n-1), 7)
	} else {
		w.bit(true)
		w.length(n)
	}
	for i := range p.adds {
		w.bit(p.adds[i].given(v))
	}
	at := len(p.adds)
	for _, u := range unknown {
		for ; at < u.Index; at++ {
			w.bit(false)
		}
		w.bit(true)
		at++
	}
	for i := range p.adds {
		if f := &p.adds[i]; f.given(v) {
			if err := w.addition(f, v); err != nil {
				return err
			}
		}
	}
	for _, u := range unknown {
		w.octets(u.Value)
	}
	return nil
}

func (w *writer) addition(f *field, v reflect.Value) error {
	at := w.open()
	if err := w.component(f, v); err != nil {
		return err
	}
	w.closed(at)
	return nil
}

// choice writes a CHOICE (X.691 23).
func (w *writer) choice(p *plan, v reflect.Value) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.leave()
	for i := range p.root {
		if f := &p.root[i]; !v.Field(f.index).IsNil() {
			if p.ext {
				w.bit(false)
			}
			if err := w.constrained(int64(i), 0, int64(len(p.root)-1)); err != nil {
				return err
			}
			return w.component(f, v)
		}
	}
	for i := range p.adds {
		if f := &p.adds[i]; f.given(v) {
			w.bit(true)
			w.small(i)
			return w.addition(f, v)
		}
	}
	if p.ext {
		if u := v.Field(p.extensions).Interface().(Extensions); len(u) == 1 && u[0].Index >= len(p.adds) {
			w.bit(true)
			w.small(u[0].Index)
			w.octets(u[0].Value)
			return nil
		}
	}
	return invalid("no alternative is chosen")
}
