package per

import (
	"fmt"
	"reflect"
	"strings"
	"unicode/utf16"
)

// Decode reads one value of a message into v, a pointer to a zero value, and
// says how many octets it took: more may follow. v keeps nothing of b. Errors
// that b is to blame for are of type *Error.
func Decode(b []byte, v any) (n int, err error) {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return 0, fmt.Errorf("per: can't decode into %T", v)
	}
	plan, err := planOf(p.Type().Elem())
	if err != nil {
		return 0, err
	}
	r := &reader{b: b, end: 8 * len(b), budget: budgetBase + budgetTimes*len(b)}
	if err := r.value(plan, p.Elem()); err != nil {
		return 0, err
	}
	return max(1, (r.pos+7)/8), r.need(max(0, 8-r.pos))
}

// value reads what p describes into v.
func (r *reader) value(p *plan, v reflect.Value) error {
	switch p.kind {
	case kindNull:
	case kindBool:
		set, err := r.bit()
		v.SetBool(set)
		return err
	case kindInt, kindEnum:
		n, err := r.number(p)
		v.SetInt(n)
		return err
	case kindOctets:
		b, _, err := r.string(&p.size, 8)
		v.SetBytes(b)
		return err
	case kindBits:
		b, n, err := r.string(&p.size, 1)
		v.Field(0).SetBytes(b)
		v.Field(1).SetInt(int64(n))
		return err
	case kindOpen:
		b, _, err := r.open()
		switch {
		case err != nil:
			return err
		case len(b) == 0:
			return r.fail("an empty open type")
		}
		v.SetBytes(append([]byte{}, b...))
		return r.charge(1, len(b))
	case kindOID:
		return r.oid(v)
	case kindString:
		s, err := r.text(p)
		v.SetString(s)
		return err
	case kindSequence:
		return r.sequence(p, v)
	case kindChoice:
		return r.choice(p, v)
	case kindList:
		return r.list(p, v)
	}
	return nil
}

// number reads an INTEGER (X.691 13) or an ENUMERATED (14).
func (r *reader) number(p *plan) (int64, error) {
	outside := false
	if p.ext {
		var err error
		if outside, err = r.bit(); err != nil {
			return 0, err
		}
	}
	switch {
	case p.kind == kindEnum && outside:
		n, err := r.small()
		return p.hi + 1 + int64(n), err
	case p.kind == kindEnum || p.hasHi && !outside:
		return r.constrained(p.lo, p.hi)
	}
	return r.integer(p.lo, p.hasLo && !outside)
}

func (r *reader) oid(v reflect.Value) error {
	at := r.pos
	n, more, err := r.length()
	if err != nil {
		return err
	}
	if more || n > maxOID {
		return r.fail("an OBJECT IDENTIFIER longer than %d octets", maxOID)
	}
	b, err := r.octets(n)
	if err != nil {
		return err
	}
	if err := r.charge(1, 4*n); err != nil {
		return err
	}
	oid, ok := parseOID(b)
	if !ok {
		r.pos = at
		return r.fail("%x is no OBJECT IDENTIFIER", b)
	}
	v.SetString(string(oid))
	return nil
}

// text reads a character string (X.691 30).
func (r *reader) text(p *plan) (string, error) {
	at := r.pos
	b, n, err := r.string(&p.size, p.chars.width)
	if err != nil {
		return "", err
	}
	if err := r.charge(1, 3*n); err != nil {
		return "", err
	}
	if p.chars.wide {
		units := make([]uint16, n)
		for i := range units {
			units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
		}
		return string(utf16.Decode(units)), nil
	}
	if p.chars.allowed == "" {
		return string(b), nil
	}
	out := make([]byte, n)
	for i := range out {
		c := unpack(b, i, p.chars.width)
		switch {
		case p.chars.alphabet == "":
			out[i] = c
		case int(c) < len(p.chars.alphabet):
			out[i] = p.chars.alphabet[c]
		}
		if strings.IndexByte(p.chars.allowed, out[i]) < 0 {
			r.pos = at
			return "", r.fail("character %d (code %d) is not one of %q", i, c, p.chars.allowed)
		}
	}
	return string(out), nil
}

// unpack gives the unit i of width bits, 8 at most, in b.
func unpack(b []byte, i, width int) byte {
	i *= width
	return b[i>>3] >> (8 - width - i&7) & (1<<width - 1)
}

// list reads a SEQUENCE OF or SET OF (X.691 20, 22).
func (r *reader) list(p *plan, v reflect.Value) error {
	if err := r.enter(); err != nil {
		return err
	}
	defer r.leave()
	n, more, err := r.count(&p.size)
	v.Set(reflect.MakeSlice(p.typ, 0, 0)) // present, even if empty
	for at := 0; ; {
		if err != nil {
			return err
		}
		if err := r.charge(n, int(p.elem.typ.Size())); err != nil {
			return err
		}
		v.Grow(n)
		v.SetLen(at + n)
		for ; at < v.Len(); at++ {
			if err := r.value(p.elem, v.Index(at)); err != nil {
				return withinItem(err, at)
			}
		}
		if !more {
			break
		}
		n, more, err = r.length()
	}
	return nil
}

// component reads the component or alternative f of v.
func (r *reader) component(f *field, v reflect.Value) error {
	v = v.Field(f.index)
	if f.pointer {
		if err := r.charge(1, int(f.plan.typ.Size())); err != nil {
			return within(err, f.name)
		}
		v.Set(reflect.New(f.plan.typ))
		v = v.Elem()
	}
	if err := r.value(f.plan, v); err != nil {
		return within(err, f.name)
	}
	return nil
}

// sequence reads a SEQUENCE (X.691 19).
func (r *reader) sequence(p *plan, v reflect.Value) error {
	if err := r.enter(); err != nil {
		return err
	}
	defer r.leave()
	extended := false
	var err error
	if p.ext {
		if extended, err = r.bit(); err != nil {
			return err
		}
	}
	present := r.pos
	if err := r.need(p.optional); err != nil {
		return err
	}
	r.pos += p.optional
	for i := range p.root {
		f := &p.root[i]
		if f.optional {
			if present++; !r.set(present - 1) {
				continue
			}
		}
		if err := r.component(f, v); err != nil {
			return err
		}
	}
	if extended {
		return r.additions(p, v)
	}
	return nil
}

// set is the bit at a place that has been read.
func (r *reader) set(at int) bool { return r.b[at>>3]>>(7-at&7)&1 == 1 }

// additions reads the extension additions of a SEQUENCE (X.691 19.7 to 9).
// Their bitmap may be shorter or longer than the type knows.
func (r *reader) additions(p *plan, v reflect.Value) error {
	n, err := r.bitmap()
	if err != nil {
		return err
	}
	present := r.pos
	if err := r.need(n); err != nil {
		return err
	}
	r.pos += n
	for i := range n {
		if !r.set(present + i) {
			continue
		}
		if i < len(p.adds) {
			err = r.addition(&p.adds[i], v)
		} else {
			err = r.unknown(i, v.Field(p.extensions))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bitmap reads a normally small length (X.691 11.9.3.4).
func (r *reader) bitmap() (int, error) {
	large, err := r.bit()
	if err != nil {
		return 0, err
	}
	if !large {
		n, err := r.bits(6)
		return int(n) + 1, err
	}
	n, more, err := r.length()
	if err == nil && (more || n < 1 || n > maxBitmap) {
		err = r.fail("a bitmap of %d extension additions", n)
	}
	return n, err
}

// addition reads a known extension addition or alternative out of its open type.
func (r *reader) addition(f *field, v reflect.Value) error {
	body, at, err := r.open()
	if err != nil {
		return within(err, f.name)
	}
	inner := reader{b: body, end: 8 * len(body), base: r.base + at, budget: r.budget, depth: r.depth}
	err = inner.component(f, v)
	r.budget = inner.budget
	return err
}

// unknown keeps the octets of an addition that the type does not know.
func (r *reader) unknown(index int, v reflect.Value) error {
	body, _, err := r.open()
	if err == nil {
		err = r.charge(1, len(body)+int(reflect.TypeFor[Addition]().Size()))
	}
	if err != nil {
		return within(err, "...")
	}
	v.Set(reflect.Append(v, reflect.ValueOf(Addition{Index: index, Value: append([]byte{}, body...)})))
	return nil
}

// choice reads a CHOICE (X.691 23).
func (r *reader) choice(p *plan, v reflect.Value) error {
	if err := r.enter(); err != nil {
		return err
	}
	defer r.leave()
	extended := false
	var err error
	if p.ext {
		if extended, err = r.bit(); err != nil {
			return err
		}
	}
	if !extended {
		i, err := r.constrained(0, int64(len(p.root)-1))
		if err != nil {
			return err
		}
		return r.component(&p.root[i], v)
	}
	i, err := r.small()
	switch {
	case err != nil:
		return err
	case i < len(p.adds):
		return r.addition(&p.adds[i], v)
	}
	return r.unknown(i, v.Field(p.extensions))
}
