package h450

import (
	"bytes"
	"encoding/hex"
	"testing"

	"bridgehead/h323/h225"
	"bridgehead/h323/per"
)

// As an h323plus endpoint sends them.
const (
	holdNotific    = "0001000001000165"
	transferTo1234 = "000110000100010920080002" + "8107007f000001865b" + "40080068003300320033003a0031003200330034"
	notAvailable   = "0001800102000103"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCapturedMessages(t *testing.T) {
	for name, c := range map[string]struct {
		hex   string
		check func(ROS) bool
	}{
		"hold": {holdNotific, func(r ROS) bool {
			return r.Invoke != nil && r.Invoke.InvokeID == 1 && *r.Invoke.Opcode.Local == HoldNotific && r.Invoke.Argument == nil
		}},
		"transfer": {transferTo1234, func(r ROS) bool {
			return r.Invoke != nil && *r.Invoke.Opcode.Local == CallTransferInitiate && len(r.Invoke.Argument) == 32
		}},
		"error": {notAvailable, func(r ROS) bool {
			return r.ReturnError != nil && r.ReturnError.InvokeID == 2 && *r.ReturnError.Errcode.Local == NotAvailable
		}},
	} {
		b := unhex(t, c.hex)
		list, _, err := Decode(b)
		if err != nil || len(list) != 1 || !c.check(list[0]) {
			t.Errorf("%s: %+v, %v", name, list, err)
			continue
		}
		if again, err := Of(list[0]); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s: %x, %v", name, again, err)
		}
		for cut := range len(b) {
			if _, _, err := Decode(b[:cut]); err == nil {
				t.Errorf("%s: cut to %d octets is taken", name, cut)
			}
		}
	}
}

func TestIdentifyResult(t *testing.T) {
	digits := "1234"
	want := CTIdentifyRes{CallIdentity: "17", ReroutingNumber: EndpointAddress{DestinationAddress: []h225.AliasAddress{{DialledDigits: &digits}}}}
	b, err := per.Encode(&want)
	if err != nil {
		t.Fatal(err)
	}
	var got CTIdentifyRes
	if _, err := per.Decode(b, &got); err != nil || got.CallIdentity != "17" || *got.ReroutingNumber.DestinationAddress[0].DialledDigits != digits {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{holdNotific, transferTo1234, notAvailable} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _, err := Decode(b)
		if err == nil && len(list) > 8*len(b) {
			t.Errorf("%d messages of %d octets", len(list), len(b))
		}
	})
}
