package capture

import (
	"encoding/json"
	"fmt"
	"strings"

	"bridgehead/gateway/store"
)

const clock = "15:04:05.000"

// Bundle is all that is known of a call as text, to be read by people and sent to
// a carrier: the verdict, the record, the ladder with its messages, the course of
// its sound. Secrets were masked when they were recorded.
func Bundle(c store.Call, findings []store.Finding) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "Call %s\n\n", c.ID)
	for _, f := range findings {
		fmt.Fprintf(&b, "%-7s %s: %s\n", f.Grade, f.Code, f.Text)
		if f.Remedy != "" {
			fmt.Fprintf(&b, "        %s\n", f.Remedy)
		}
	}
	record, _ := json.MarshalIndent(c, "", "  ")
	fmt.Fprintf(&b, "\n== Record ==\n%s\n\n== Ladder (UTC) ==\n", record)
	if c.Detail.LeftOut > 0 {
		fmt.Fprintf(&b, "(%d steps of its middle are left out)\n", c.Detail.LeftOut)
	}
	for _, s := range c.Ladder {
		if s.From == "" {
			fmt.Fprintf(&b, "%s  * %s %s\n", s.At.UTC().Format(clock), s.What, s.Text)
			continue
		}
		fmt.Fprintf(&b, "%s  %s -> %s (%s)  %s\n", s.At.UTC().Format(clock), s.From, s.To, s.Network, s.What)
		for line := range strings.Lines(strings.ReplaceAll(s.Text, "\r\n", "\n")) {
			fmt.Fprintf(&b, "              | %s\n", strings.TrimRight(line, "\n"))
		}
	}
	fmt.Fprintf(&b, "\n== Sound (UTC; counted since the call began) ==\n%-14s%-8s%9s%7s%9s%12s%11s%8s%7s\n", "time", "codec", "received", "lost", "sent", "lost there", "jitter ms", "rtt ms", "dBov")
	for _, s := range c.Media {
		fmt.Fprintf(&b, "%-14s%-8s%9d%7d%9d%12d%11.1f%8.1f%7d\n", s.At.UTC().Format(clock), s.Codec, s.Received, s.Lost, s.Sent, s.RemoteLost, s.JitterMS, s.RTTMS, s.LevelDBov)
	}
	return []byte(b.String())
}
