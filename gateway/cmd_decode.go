package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"bridgehead/sip"
	"bridgehead/sip/sdp"
)

// decoders by KIND. Text kinds take the message itself on standard input, or
// in hexadecimal.
var decoders = map[string]func([]byte) (any, error){
	"sip": sip.Decode,
	"sdp": func(b []byte) (any, error) { return sdp.Decode(b) },
}

func decodeCommand() *cobra.Command {
	roundtrip := false
	cmd := &cobra.Command{Use: "decode KIND [HEX|-]", Args: cobra.RangeArgs(1, 2),
		Short: "Show a protocol message as JSON",
		Long: "KIND is sip or sdp. The message is given in hexadecimal, or read from standard input\n" +
			"(as it is, or in hexadecimal). A malformed message is an error that says where it is wrong.",
		RunE: func(cmd *cobra.Command, args []string) error {
			decode, ok := decoders[args[0]]
			if !ok {
				return fmt.Errorf("decode: no kind %q: write sip or sdp", args[0])
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
			_, err = fmt.Fprintln(cmd.OutOrStdout(), hex.EncodeToString(encode(v)))
			return err
		}}
	cmd.Flags().BoolVar(&roundtrip, "roundtrip", false, "also encode it again, and print that in hexadecimal as the last line")
	return cmd
}

// encode writes a decoded message as bytes again.
func encode(v any) []byte {
	switch m := v.(type) {
	case *sip.Decoded:
		return m.Bytes()
	case *sdp.Session:
		return m.Marshal()
	}
	return nil
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
