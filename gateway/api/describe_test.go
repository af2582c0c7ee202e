package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/store"
)

var update = flag.Bool("update", false, "write gateway/web/openapi.json")

// described is the description of the API, and what finds an operation in it.
type described struct {
	*huma.OpenAPI
	routes *http.ServeMux
	byPath map[string]*huma.Operation
}

var description = sync.OnceValue(func() described {
	d := described{newServer(Options{}).operations(http.NewServeMux()).OpenAPI(), http.NewServeMux(), map[string]*huma.Operation{}}
	for path, item := range d.Paths {
		for _, o := range []*huma.Operation{item.Get, item.Post, item.Patch, item.Delete} {
			if o != nil {
				d.routes.HandleFunc(o.Method+" "+path, func(http.ResponseWriter, *http.Request) {})
				d.byPath[o.Method+" "+path] = o
			}
		}
	}
	return d
})

// at is the response that a reference leads to.
func (d described) at(r *huma.Response) *huma.Response {
	if name, ok := strings.CutPrefix(r.Ref, "#/components/responses/"); ok {
		return d.Components.Responses[name]
	}
	return r
}

// wrong is what a schema finds wrong with a value.
func (d described) wrong(s *huma.Schema, mode huma.ValidateMode, text []byte) []error {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return []error{err}
	}
	var res huma.ValidateResult
	huma.Validate(d.Components.Schemas, s, huma.NewPathBuffer(nil, 0), mode, v, &res)
	return res.Errors
}

// The web's client is made from the file: go test ./gateway/api -run OpenAPI -update.
func TestOpenAPIFileIsCurrent(t *testing.T) {
	const name = "../web/openapi.json"
	want, err := json.MarshalIndent(description().OpenAPI, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the API is (%v): run go test ./gateway/api -run OpenAPI -update", name, err)
	}
}

// secretive is what keys and tokens look like: long, and of all sorts.
var secretive = regexp.MustCompile(`[A-Za-z0-9+_-]{24,}`)

func checkExample(t *testing.T, what string, m *huma.MediaType, mode huma.ValidateMode) {
	t.Helper()
	text, err := json.Marshal(m.Example)
	if err != nil || m.Example == nil {
		t.Errorf("%s has no example: %v", what, err)
		return
	}
	for _, err := range description().wrong(m.Schema, mode, text) {
		t.Errorf("%s: its example does not suit its schema: %v", what, err)
	}
	for _, word := range secretive.FindAllString(string(text), -1) {
		if strings.ContainsAny(word, "0123456789") && !strings.Contains(word, "-") {
			t.Errorf("%s: its example holds what looks like a secret: %s", what, word)
		}
	}
}

// Every operation shows what it takes and what it answers, and each example is
// one.
func TestOpenAPIHasExamples(t *testing.T) {
	seen := map[string]bool{}
	for path, o := range description().byPath {
		seen[o.OperationID] = true
		if o.Summary == "" {
			t.Errorf("%s has no summary", path)
		}
		if o.RequestBody != nil {
			checkExample(t, path, o.RequestBody.Content["application/json"], huma.ModeWriteToServer)
		}
		for status, r := range o.Responses {
			for kind, m := range description().at(r).Content {
				checkExample(t, path+" "+status+" "+kind, m, huma.ModeReadFromServer)
			}
		}
	}
	for id := range examples() {
		if !seen[id] {
			t.Errorf("there are examples of %s, which is no operation", id)
		}
	}
}

// Handlers take the examples; but those of passkeys answer no question, and
// there is nothing here to dial by.
func TestExamplesAreTaken(t *testing.T) {
	d := newDesk(t)
	for path, o := range description().byPath {
		if o.RequestBody == nil || strings.HasPrefix(o.OperationID, "finish-passkey") || o.OperationID == "dial" {
			continue
		}
		laid := d.lay(true)
		ben, err := d.store.User(t.Context(), "ben@example.org")
		if err != nil {
			ben, err = d.store.AddUser(t.Context(), store.User{Email: "ben@example.org", Role: store.RoleUser}, "a good password")
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = d.store.AddTrunk(t.Context(), store.Trunk{Name: "carrier", TrunkSettings: NewTrunk().TrunkSettings})
		if o.OperationID == "add-synthetic-caller" {
			_ = d.store.AddNumber(t.Context(), store.Number{Number: "+493023125000", Trunk: "carrier", Target: "reception"})
		}
		body, err := json.Marshal(o.RequestBody.Content["application/json"].Example)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer(benID, ben.ID, annID, d.ids[store.RoleUser]).Replace(string(body))
		method, path, _ := strings.Cut(path, " ")
		if s, answer := d.do(store.RoleAdministrator, method, laid.Replace(path), text); s == 400 || s == 422 || s >= 500 {
			t.Errorf("%s does not take its example %s: %d %s", o.OperationID, text, s, answer)
		}
	}
}

// described checks that an answer is among those that the description lists.
func (d *desk) described(r *http.Request, res *http.Response, text []byte) {
	d.t.Helper()
	_, pattern := description().routes.Handler(r)
	o := description().byPath[pattern]
	every := []int{400, 413, 500, 503} // of all
	if o == nil || slices.Contains(every, res.StatusCode) {
		return
	}
	answer := o.Responses[strconv.Itoa(res.StatusCode)]
	if answer == nil {
		d.t.Errorf("%s answers %d, which is not described: %.200s", pattern, res.StatusCode, text)
		return
	}
	answer = description().at(answer)
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	m := answer.Content[kind]
	switch {
	case m == nil && len(text) > 0:
		d.t.Errorf("%s answers %d with %s, which is not described", pattern, res.StatusCode, kind)
	case m == nil && len(answer.Content) > 0:
		d.t.Errorf("%s answers %d with nothing, which is not described", pattern, res.StatusCode)
	case kind == "application/json":
		for _, err := range description().wrong(m.Schema, huma.ModeReadFromServer, text) {
			d.t.Errorf("%s: the answer is not as described: %v: %.300s", pattern, err, text)
		}
	}
}
