package vectors

import (
	"bytes"
	"reflect"
	"testing"

	"bridgehead/h323/per"
)

// Check decodes and encodes every message of the ASN.1 type typ as a T: the
// value is that of the independent decoder, the bytes are the same where its
// encoder says so and mean the same otherwise, and a message that is cut off
// anywhere is an error.
func Check[T any](t *testing.T, typ string) {
	vectors, err := Load(typ)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) { check[T](t, v) })
	}
}

func check[T any](t *testing.T, v Vector) {
	value := new(T)
	n, err := per.Decode(v.Bytes, value)
	if err != nil {
		t.Fatal(err)
	}
	if n != len(v.Bytes) {
		t.Errorf("%d of %d octets were read", n, len(v.Bytes))
	}
	if err := Compare(value, v.Value); err != nil {
		t.Error(err)
	}
	b, err := per.Encode(value)
	if err != nil {
		t.Fatal(err)
	}
	if v.Same && !bytes.Equal(b, v.Bytes) {
		t.Errorf("encoded as\n%x instead of\n%x", b, v.Bytes)
	}
	again := new(T)
	if _, err := per.Decode(b, again); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again, value) {
		t.Error("what was encoded has another value")
	}
	for cut := range v.Bytes {
		if _, err := per.Decode(v.Bytes[:cut], new(T)); err == nil {
			t.Errorf("cut off behind %d of %d octets, it is decoded", cut, len(v.Bytes))
		}
	}
}

// Fuzz decodes anything as a T, and what it decodes it encodes and decodes
// again to the same value.
func Fuzz[T any](f *testing.F, typ string) {
	vectors, err := Load(typ)
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range vectors {
		f.Add(v.Bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		value := new(T)
		if _, err := per.Decode(b, value); err != nil {
			return
		}
		b, err := per.Encode(value)
		if err != nil {
			t.Fatal(err)
		}
		again := new(T)
		if _, err := per.Decode(b, again); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again, value) {
			t.Fatal("what was encoded has another value")
		}
	})
}

// Benchmark decodes and encodes the message of that name.
func Benchmark[T any](b *testing.B, typ, name string) {
	vectors, err := Load(typ)
	if err != nil {
		b.Fatal(err)
	}
	for _, v := range vectors {
		if v.Name != name {
			continue
		}
		value := new(T)
		if _, err := per.Decode(v.Bytes, value); err != nil {
			b.Fatal(err)
		}
		b.Run("decode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := per.Decode(v.Bytes, new(T)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("encode", func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 4096)
			for b.Loop() {
				if buf, err = per.Append(buf[:0], value); err != nil {
					b.Fatal(err)
				}
			}
		})
		return
	}
	b.Fatalf("no message %s", name)
}
