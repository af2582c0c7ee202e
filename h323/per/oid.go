package per

import (
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// OID is an OBJECT IDENTIFIER in dotted notation: "0.0.8.2250.0.7". As a
// string it compares and is a map's key.
type OID string

// maxOID is how many octets an OBJECT IDENTIFIER may have.
const maxOID = 255

// parseOID reads the contents octets of X.690 8.19.
func parseOID(b []byte) (OID, bool) {
	if len(b) == 0 || b[len(b)-1]&0x80 != 0 {
		return "", false
	}
	out := make([]byte, 0, 4*len(b))
	for first := true; len(b) > 0; first = false {
		n := 1
		for b[n-1]&0x80 != 0 {
			n++
		}
		if b[0] == 0x80 {
			return "", false // not the fewest octets
		}
		arc, long := uint64(0), n > 9
		for _, c := range b[:n] {
			arc = arc<<7 | uint64(c&0x7f)
		}
		switch {
		case long:
			out = appendLong(out, b[:n], first)
		case first:
			top := min(arc/40, 2)
			out = strconv.AppendUint(out, top, 10)
			out = strconv.AppendUint(append(out, '.'), arc-40*top, 10)
		default:
			out = strconv.AppendUint(append(out, '.'), arc, 10)
		}
		b = b[n:]
	}
	return OID(out), true
}

// appendLong writes an arc beyond 63 bits, as the UUIDs below 2.25 are.
func appendLong(out, b []byte, first bool) []byte {
	arc := new(big.Int)
	for _, c := range b {
		arc.Lsh(arc, 7).Or(arc, big.NewInt(int64(c&0x7f)))
	}
	if first {
		out = append(out, '2')
		arc.Sub(arc, big.NewInt(80))
	}
	return arc.Append(append(out, '.'), 10)
}

// appendOID writes the contents octets.
func appendOID(out []byte, oid OID) ([]byte, bool) {
	if len(oid) > 4*maxOID {
		return nil, false
	}
	top, rest, ok := strings.Cut(string(oid), ".")
	if !ok || len(top) != 1 || top[0] < '0' || top[0] > '2' {
		return nil, false
	}
	for first := true; ok; first = false {
		var text string
		text, rest, ok = strings.Cut(rest, ".")
		if text == "" || len(text) > 1 && text[0] == '0' || strings.Trim(text, "0123456789") != "" {
			return nil, false
		}
		add := uint64(0)
		if first {
			add = 40 * uint64(top[0]-'0')
		}
		if first && top[0] < '2' && (len(text) > 2 || len(text) == 2 && text >= "40") {
			return nil, false
		}
		if arc, err := strconv.ParseUint(text, 10, 63); err == nil {
			out = appendArc(out, arc+add)
			continue
		}
		arc, _ := new(big.Int).SetString(text, 10)
		out = appendLongArc(out, arc.Add(arc, new(big.Int).SetUint64(add)))
	}
	return out, len(out) <= maxOID
}

// appendArc writes seven bits an octet, the highest first.
func appendArc(out []byte, arc uint64) []byte {
	for shift := max(0, bits.Len64(arc)-1) / 7 * 7; shift > 0; shift -= 7 {
		out = append(out, 0x80|byte(arc>>shift))
	}
	return append(out, byte(arc&0x7f))
}

func appendLongArc(out []byte, arc *big.Int) []byte {
	for shift := (arc.BitLen() - 1) / 7 * 7; shift > 0; shift -= 7 {
		out = append(out, 0x80|low7(new(big.Int).Rsh(arc, uint(shift))))
	}
	return append(out, low7(arc))
}

func low7(n *big.Int) byte { return byte(new(big.Int).And(n, big.NewInt(0x7f)).Uint64()) }
