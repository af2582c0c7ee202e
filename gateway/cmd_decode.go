package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bridgehead/h323/h225"
	"bridgehead/h323/h245"
	"bridgehead/h323/per"
	"bridgehead/h323/q931"
	"bridgehead/sip"
	"bridgehead/sip/sdp"
)

// decoders by KIND. Text kinds take the message itself on standard input, or
// in hexadecimal.
var decoders = map[string]func([]byte) (any, error){
	"sip": sip.Decode,
	"sdp": func(b []byte) (any, error) { return sdp.Decode(b) },

	"h225-ras": decodePER[h225.RasMessage],
	"h225-cs":  decodePER[h225.H323UserInformation],
	"h245":     decodePER[h245.MultimediaSystemControlMessage],
	"q931":     decodeQ931,
}

// decodePER decodes one whole message as a T.
func decodePER[T any](b []byte) (any, error) {
	v := new(T)
	n, err := per.Decode(b, v)
	if err == nil && n < len(b) {
		err = fmt.Errorf("bit %d: %d octets are left behind the message", 8*n, len(b)-n)
	}
	return v, err
}

// A callSignalling message, and what its user-user element holds.
type callSignalling struct {
	*q931.Message
	User *h225.H323UserInformation `json:"H323-UserInformation,omitempty"`
}

func decodeQ931(b []byte) (any, error) {
	m, err := q931.Parse(b)
	if err != nil {
		return nil, err
	}
	c := &callSignalling{Message: m}
	body, offset, ok := m.User()
	if !ok {
		return c, nil
	}
	c.User = new(h225.H323UserInformation)
	_, err = per.Decode(body, c.User)
	if e, ok := errors.AsType[*per.Error](err); ok {
		e.Bit += 8 * offset // of the whole message
	}
	return c, err
}

func kinds() string { return strings.Join(slices.Sorted(maps.Keys(decoders)), ", ") }

func decodeCommand() *cobra.Command {
	roundtrip := false
	cmd := &cobra.Command{Use: "decode KIND [HEX|-]", Args: cobra.RangeArgs(1, 2),
		Short: "Show a protocol message as JSON",
		Long: "KIND is one of " + kinds() + ". The message is given in hexadecimal, or read from standard input\n" +
			"(as it is, or in hexadecimal). A malformed message is an error that says where it is wrong.",
		RunE: func(cmd *cobra.Command, args []string) error {
			decode, ok := decoders[args[0]]
			if !ok {
				return fmt.Errorf("decode: no kind %q: write one of %s", args[0], kinds())
			}
			message, err := messageOf(cmd.InOrStdin(), args[1:])
			if err != nil {
				return err
			}
			v, err := decode(message)
			if err != nil {
				return fmt.Errorf("decode: %w", err)
			}
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			if err := e.Encode(v); err != nil || !roundtrip {
				return err
			}
			b, err := encode(v)
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), hex.EncodeToString(b))
			}
			return err
		}}
	cmd.Flags().BoolVar(&roundtrip, "roundtrip", false, "also encode it again, and print that in hexadecimal as the last line")
	return cmd
}

// encode writes a decoded message as bytes again.
func encode(v any) ([]byte, error) {
	switch m := v.(type) {
	case *sip.Decoded:
		return m.Bytes(), nil
	case *sdp.Session:
		return m.Marshal(), nil
	case *callSignalling:
		return m.bytes()
	}
	return per.Encode(v)
}

// bytes encodes the message, and the value in its user-user element, anew.
func (c *callSignalling) bytes() ([]byte, error) {
	if c.User != nil {
		body, err := per.Encode(c.User)
		if err != nil {
			return nil, err
		}
		c.Find(q931.UserUser).Value = q931.UserIE(body).Value
	}
	return c.Append(nil)
}

const maxDecode = 1 << 20

func messageOf(in io.Reader, args []string) ([]byte, error) {
	if len(args) == 1 && args[0] != "-" {
		b, err := hex.DecodeString(strings.Join(strings.Fields(args[0]), ""))
		if err != nil {
			return nil, fmt.Errorf("decode: the argument is not hexadecimal: %w", err)
		}
		return b, nil
	}
	b, err := io.ReadAll(io.LimitReader(in, maxDecode))
	if err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	if h, err := hex.DecodeString(strings.Join(strings.Fields(string(b)), "")); err == nil && len(h) > 0 {
		return h, nil
	}
	return b, nil
}
