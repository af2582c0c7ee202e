package stir

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// Passport is a token (RFC 8225) as it came. Nothing that it claims is true
// until [Passport.Check] and [Passport.Verify] say so.
type Passport struct {
	X5U    string    // where the certificate is published
	Attest string    // of shaken: A, B or C; "" in a token without extension
	OrigID string    // of shaken: whom the signer can trace the call to
	Orig   string    // calling number, digits; "" when a URI is signed
	Dest   []string  // called numbers, digits
	Issued time.Time // when it was signed

	signed    string // header and payload as the signature has them
	signature []byte // r and s, 32 bytes each
}

// shaken is the extension of RFC 8588.
const shaken = "shaken"

// The fields of header and payload are in the order in which they are signed:
// the alphabet's (RFC 8225 9).
type (
	header struct {
		Alg string `json:"alg"`
		PPT string `json:"ppt,omitempty"`
		Typ string `json:"typ"`
		X5U string `json:"x5u"`
	}
	payload struct {
		Attest string `json:"attest,omitempty"`
		Dest   dest   `json:"dest"`
		IAT    int64  `json:"iat"`
		Orig   orig   `json:"orig"`
		OrigID string `json:"origid,omitempty"`
	}
	dest struct {
		TN []string `json:"tn,omitempty"`
	}
	orig struct {
		TN string `json:"tn,omitempty"`
	}
)

// Bounds of a header and of the numbers in it.
const (
	maxHeader  = 8 << 10
	maxNumbers = 16
)

// Parse reads the value of an Identity header (RFC 8224 4). What the compact
// form leaves out is put together from the call. It is nil, without an error, for
// an extension other than shaken; the error is a [Fault].
func Parse(value string, call Call) (*Passport, error) {
	if len(value) > maxHeader {
		return nil, fault(Malformed, "longer than %d bytes", maxHeader)
	}
	token, rest, _ := strings.Cut(strings.TrimSpace(value), ";")
	params, err := parameters(rest)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return nil, fault(Malformed, "the token has not three parts")
	}
	info := strings.TrimSuffix(strings.TrimPrefix(params["info"], "<"), ">")
	if parts[0] == "" && parts[1] == "" {
		if ppt := params["ppt"]; ppt != "" {
			if ppt != shaken {
				return nil, nil
			}
			return nil, fault(Malformed, "the compact form has no place for an attestation")
		}
		if parts[0], parts[1], err = whole(info, call); err != nil {
			return nil, err
		}
	}
	h, p, err := open(parts[0], parts[1])
	if err != nil {
		return nil, err
	}
	if h.PPT != "" && h.PPT != shaken {
		return nil, nil
	}
	t := &Passport{X5U: h.X5U, Attest: p.Attest, OrigID: p.OrigID, Orig: Digits(p.Orig.TN), Issued: time.Unix(p.IAT, 0), signed: parts[0] + "." + parts[1]}
	for _, tn := range p.Dest.TN {
		t.Dest = append(t.Dest, Digits(tn))
	}
	if t.signature, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil || len(t.signature) != 64 {
		return nil, fault(Malformed, "the signature is not one of ES256")
	}
	return t, consistent(h, p, params, info)
}

// consistent tells whether token and parameters are what RFC 8224 and 8588 want.
func consistent(h header, p payload, params map[string]string, info string) error {
	differs := func(name, has string) bool { return params[name] != "" && params[name] != has }
	switch {
	case h.Typ != "passport":
		return fault(Malformed, "type %q is not passport", h.Typ)
	case h.Alg != "ES256" || differs("alg", h.Alg):
		return fault(Malformed, "algorithm %q is not ES256", h.Alg)
	case info == "" || h.X5U != info:
		return fault(Malformed, "info and x5u are not the same URL")
	case differs("ppt", h.PPT):
		return fault(Malformed, "ppt is %q beside the token and %q in it", params["ppt"], h.PPT)
	case h.PPT == shaken && p.Attest != "A" && p.Attest != "B" && p.Attest != "C":
		return fault(Malformed, "attestation %q is not A, B or C", p.Attest)
	case h.PPT == shaken && p.OrigID == "":
		return fault(Malformed, "there is no origid")
	case h.PPT == "" && p.Attest != "":
		return fault(Malformed, "an attestation without the extension shaken")
	case len(p.Dest.TN) > maxNumbers:
		return fault(Malformed, "more than %d called numbers", maxNumbers)
	}
	return nil
}

// parameters reads what follows the token: ;name=value, quoted or in angle
// brackets where it has a semicolon.
func parameters(s string) (map[string]string, error) {
	list := map[string]string{}
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		name, rest, ok := strings.Cut(s, "=")
		rest = strings.TrimSpace(rest)
		end := ";"
		switch {
		case !ok:
			return nil, fault(Malformed, "a parameter without a value")
		case strings.HasPrefix(rest, "<"):
			end = ">"
		case strings.HasPrefix(rest, `"`):
			rest, end = rest[1:], `"`
		}
		v, after, closed := strings.Cut(rest, end)
		if end != ";" {
			if !closed {
				return nil, fault(Malformed, "a value without an end")
			}
			_, after, _ = strings.Cut(after, ";")
		}
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := list[name]; twice {
			return nil, fault(Malformed, "a parameter twice")
		}
		list[name], s = strings.TrimSpace(v), after
	}
	return list, nil
}

// whole puts together what the compact form leaves out (RFC 8225 7).
func whole(info string, call Call) (head, body string, err error) {
	if call.Date.IsZero() {
		return "", "", fault(Malformed, "the compact form needs the header Date")
	}
	return encode(header{Alg: "ES256", Typ: "passport", X5U: info}),
		encode(payload{Dest: dest{[]string{Digits(call.To)}}, IAT: call.Date.Unix(), Orig: orig{Digits(call.From)}}), nil
}

// encode writes one half of a token.
func encode(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the text is signed as it is
	if err := e.Encode(v); err != nil {
		panic(err) // strings and numbers
	}
	return base64.RawURLEncoding.EncodeToString(bytes.TrimSpace(b.Bytes()))
}

func open(head, body string) (h header, p payload, err error) {
	var more struct {
		Crit json.RawMessage `json:"crit"`
	}
	for _, half := range []struct {
		text string
		into []any
	}{{head, []any{&h, &more}}, {body, []any{&p}}} {
		text, err := base64.RawURLEncoding.DecodeString(half.text)
		if err != nil {
			return h, p, fault(Malformed, "the token is not base64url")
		}
		for _, v := range half.into {
			if err := json.Unmarshal(text, v); err != nil {
				return h, p, fault(Malformed, "%v", err)
			}
		}
	}
	if more.Crit != nil {
		return h, p, fault(Malformed, "an extension that must be understood (crit)")
	}
	return h, p, nil
}
