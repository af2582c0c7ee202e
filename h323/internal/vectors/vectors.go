// Package vectors gives tests the messages of testdata/h323: what public
// endpoints and gatekeepers sent, and the value that an independent decoder
// (Erlang's asn1ct) found in each, in Erlang's notation.
package vectors

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// A Vector is one message.
type Vector struct {
	Name  string
	Type  string // of ASN.1: "RasMessage"
	Bytes []byte // its encoding
	Same  bool   // the independent encoder writes the same bytes
	Value any    // a Term
	Q931  []byte // the call signalling message around it, if there is one
}

// Dir is the folder testdata/h323.
func Dir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../../../testdata/h323")
}

// Load reads all messages of the type, those embedded in others too.
func Load(typ string) ([]Vector, error) {
	files, err := filepath.Glob(filepath.Join(Dir(), "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []Vector
	for _, f := range files {
		if strings.HasSuffix(f, "INDEX.txt") {
			continue
		}
		found, err := load(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		for _, v := range found {
			if v.Type == typ {
				all = append(all, v)
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no messages of type %s", typ)
	}
	return all, nil
}

func load(file string) ([]Vector, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	main, embedded, _ := strings.Cut(string(text), "\n--- embedded ")
	head, value, _ := strings.Cut(main, "value:\n")
	v := Vector{Name: strings.TrimSuffix(filepath.Base(file), ".txt"), Same: strings.Contains(head, "bytes-same")}
	_, name, _ := strings.Cut(strings.SplitN(head, "\n", 2)[0], ".")
	v.Type = name
	stem := strings.TrimSuffix(file, ".txt")
	if v.Bytes, err = readHex(stem + ".hex"); err != nil {
		return nil, err
	}
	if q, err := readHex(stem + ".q931.hex"); err == nil {
		v.Q931 = q
	}
	if v.Value, err = Parse(value); err != nil {
		return nil, err
	}
	all := []Vector{v}
	for i, part := range strings.Split(embedded, "\n--- embedded ") {
		if part == "" {
			continue
		}
		head, value, _ := strings.Cut(part, "\n")
		words := strings.Fields(head)
		e := Vector{Name: fmt.Sprintf("%s-embedded-%d", v.Name, i), Type: words[1], Same: strings.Contains(head, "bytes-same")}
		if e.Bytes, err = hex.DecodeString(words[len(words)-1]); err != nil {
			return nil, err
		}
		if e.Value, err = Parse(value); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

func readHex(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return hex.DecodeString(strings.TrimSpace(string(text)))
}
