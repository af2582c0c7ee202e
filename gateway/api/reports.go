package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/store"
)

// usageInput asks for the usage of some time.
type usageInput struct {
	By     string    `query:"by" enum:"day,user,meeting,trunk,protocol" default:"day"`
	From   time.Time `query:"from" doc:"first moment (RFC 3339); 30 days ago when missing"`
	To     time.Time `query:"to" doc:"the moment behind the last; now when missing"`
	Format string    `query:"format" enum:"json,csv" default:"json"`
}

// reports sum up the call records.
func (s *server) reports(api huma.API) {
	o := operation("GET", "/reports/usage", "usage", "How much was used, by day, user, meeting, trunk or protocol", store.RoleSuperuser, "Calls")
	list := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[[]store.Usage](), true, "")
	o.Responses = map[string]*huma.Response{"200": {Description: "A line for each", Content: map[string]*huma.MediaType{
		"application/json": {Schema: list}, "text/csv": {Schema: &huma.Schema{Type: huma.TypeString}}}}}
	huma.Register(api, o, s.usage)
}

func (s *server) usage(ctx context.Context, in *usageInput) (*file, error) {
	if in.To.IsZero() {
		in.To = time.Now()
	}
	if in.From.IsZero() {
		in.From = in.To.AddDate(0, 0, -30)
	}
	list, err := s.Store.Usage(ctx, in.By, in.From, in.To)
	if err != nil {
		return nil, fail(err)
	}
	out := &file{ContentType: "application/json", CacheControl: "no-store", Body: list}
	if in.Format == "csv" {
		out.ContentType, out.Body = "text/csv; charset=utf-8", usageCSV(in.By, list)
		out.Disposition = `attachment; filename="usage-by-` + in.By + `.csv"`
	}
	return out, nil
}

// usageCSV is a report as RFC 4180 has it.
func usageCSV(by string, list []store.Usage) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	_ = w.Write([]string{by, "name", "calls", "refused", "minutes", "mos"})
	for _, u := range list {
		_ = w.Write([]string{cell(u.Key), cell(u.Name), strconv.Itoa(u.Calls), strconv.Itoa(u.Refused), number(u.Minutes), number(u.MOS)})
	}
	w.Flush()
	return b.Bytes()
}

// cell keeps a spreadsheet from taking what somebody has named for a formula.
func cell(s string) string {
	if s != "" && bytes.ContainsAny([]byte(s[:1]), "=+-@\t\r") {
		return "'" + s
	}
	return s
}
