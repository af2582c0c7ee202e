package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/capture"
	"bridgehead/gateway/doctor"
	"bridgehead/gateway/store"
)

// callFiles are what operators take with them: a call's capture, all that is
// known of it as text, and the records as a table.
func (s *server) callFiles(api huma.API) {
	download := func(path, id, summary, kind string) huma.Operation {
		o := operation("GET", path, id, summary, store.RoleSuperuser, "Calls")
		o.Responses = map[string]*huma.Response{"200": {Description: "The file", Content: map[string]*huma.MediaType{kind: {Schema: &huma.Schema{Type: huma.TypeString}}}}}
		return o
	}
	huma.Register(api, download("/calls/{id}/pcap", "get-pcap", "A call's signalling as a capture that Wireshark opens", pcapType), func(ctx context.Context, in *ByID) (*file, error) {
		c, err := s.Book.Find(ctx, in.ID)
		if err != nil {
			return nil, fail(err)
		}
		b, err := capture.PCAP(c.Ladder)
		if err != nil {
			return nil, fail(err)
		}
		return attached(pcapType, "call-"+c.ID+".pcap", b), nil
	})
	huma.Register(api, download("/calls/{id}/bundle", "get-bundle", "All that is known of a call as text, without secrets", textType), func(ctx context.Context, in *ByID) (*file, error) {
		c, err := s.Book.Find(ctx, in.ID)
		if err != nil {
			return nil, fail(err)
		}
		return attached(textType, "call-"+c.ID+".txt", capture.Bundle(c, findings(c))), nil
	})
	huma.Register(api, download("/calls.csv", "export-calls", "Call records as a table, oldest first", csvType), s.exportCalls)
}

const (
	pcapType = "application/vnd.tcpdump.pcap"
	textType = "text/plain"
	csvType  = "text/csv"
)

func attached(kind, name string, b []byte) *file {
	if strings.HasPrefix(kind, "text/") {
		kind += "; charset=utf-8"
	}
	return &file{ContentType: kind, CacheControl: "no-store", Disposition: `attachment; filename="` + name + `"`, Body: b}
}

// findings of a call; those recorded before there were any are judged now.
func findings(c store.Call) []store.Finding {
	if c.Detail.Findings != nil {
		return c.Detail.Findings
	}
	return doctor.Examine(c)
}

type exportInput struct {
	From    time.Time `query:"from" doc:"first moment (RFC 3339); 30 days ago when missing"`
	To      time.Time `query:"to" doc:"the moment behind the last; now when missing"`
	Meeting string    `query:"meeting" maxLength:"32"`
	Trunk   string    `query:"trunk" maxLength:"64"`
}

// mostExported bounds a table.
const mostExported = 100_000

func (s *server) exportCalls(ctx context.Context, in *exportInput) (*file, error) {
	if in.To.IsZero() {
		in.To = time.Now()
	}
	if in.From.IsZero() {
		in.From = in.To.AddDate(0, 0, -30)
	}
	list, err := s.Store.CallsBetween(ctx, in.From, in.To, in.Meeting, in.Trunk, mostExported+1)
	if err != nil {
		return nil, fail(err)
	}
	if len(list) > mostExported {
		return nil, huma.NewError(http.StatusUnprocessableEntity, "These are more than "+strconv.Itoa(mostExported)+" calls: ask for less time.")
	}
	return attached(csvType, "calls.csv", callsCSV(list)), nil
}

// callsCSV is the records as RFC 4180 has them.
func callsCSV(list []store.Call) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write([]string{"id", "started", "answered", "ended", "minutes", "protocol", "direction", "from", "name", "to", "source", "meeting", "trunk", "account",
		"signalling", "media", "suite", "codec", "packets_received", "packets_sent", "packets_lost", "jitter_ms", "rtt_ms", "mos", "code", "status", "reason", "verdict", "stir", "attest", "stir_by"})
	for _, c := range list {
		d, a := c.Detail, c.Detail.Audio
		verdict := ""
		if f := findings(c); len(f) > 0 {
			verdict = f[0].Text
		}
		row := []string{c.ID, moment(c.Started), moment(d.Answered), moment(c.Ended), minutes(c), c.Protocol, c.Direction, c.From, d.Name, c.To, c.Source, c.Meeting, c.Trunk, c.Account,
			d.Security.Signalling, d.Security.Media, d.Security.Suite, a.Codec, whole(a.PacketsReceived), whole(a.PacketsSent), whole(a.PacketsLost), decimal(a.JitterMS), decimal(a.RTTMS), decimal(d.MOS),
			c.Code, strconv.Itoa(d.Status), d.Reason, verdict, d.Stir.Result, d.Stir.Attest, d.Stir.By}
		for i := range row {
			row[i] = cell(row[i])
		}
		_ = w.Write(row)
	}
	w.Flush()
	return b.Bytes()
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// minutes that a call was answered for.
func minutes(c store.Call) string {
	if c.Detail.Answered.IsZero() || c.Ended.IsZero() {
		return "0"
	}
	return strconv.FormatFloat(c.Ended.Sub(c.Detail.Answered).Minutes(), 'f', 2, 64)
}

func whole(n uint64) string    { return strconv.FormatUint(n, 10) }
func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
