package api

import (
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/core/meet"
	"bridgehead/gateway/store"
)

// about introduces the description of the API.
const about = `All that the web client does, it does by this API. Sign in by POST /api/v1/login, or make a token by
` + "`bridgehead token add`" + `, and send it as ` + "`Authorization: Bearer`" + `; browsers send the cookie that signing in has set.

Roles are user, superuser and administrator; each may do what those before it may. Errors are problem details (RFC 9457),
whose detail is for people to read. Beside the errors listed, every operation answers 400 to what is no JSON and 413 to a
body over 1 MiB.

Meetings themselves are no part of it: browsers speak on /ws as docs/signalling.md says, programs by WHIP (RFC 9725) on
/whip/ and WHEP on /whep/.`

// init: no answer has null for an empty list, so none is described to.
func init() { huma.DefaultArrayNullable = false }

// operation is a short form of huma.Operation. What its summary does not say is
// among the examples.
func operation(method, path, id, summary string, role store.Role, tag string) huma.Operation {
	e := examples()[id]
	o := huma.Operation{Method: method, Path: "/api/v1" + path, OperationID: id, Summary: summary, Description: e.about, Tags: []string{tag}, Metadata: needs(role)}
	if role != "" {
		o.Security = []map[string][]string{{"bearer": {}}}
		o.Errors = []int{401, 403}
		if strings.Contains(path, "{") {
			o.Errors = append(o.Errors, 404)
		}
		if method != http.MethodGet {
			o.Errors = append(o.Errors, 409)
		}
	}
	o.Errors = append(o.Errors, e.errors...)
	switch method {
	case http.MethodPost:
		o.DefaultStatus = http.StatusOK
	case http.MethodDelete:
		o.DefaultStatus = http.StatusNoContent
	}
	return o
}

// illustrate gives the bodies of an operation their examples, and refers to the
// problems, which are the same for all.
func illustrate(api *huma.OpenAPI, o *huma.Operation) {
	e := examples()[o.OperationID]
	if o.RequestBody != nil {
		o.RequestBody.Content["application/json"].Example = e.in
	}
	for status, r := range o.Responses {
		if m := r.Content["application/problem+json"]; m != nil {
			code, _ := strconv.Atoi(status) // 0: default
			m.Example = huma.ErrorModel{Title: http.StatusText(code), Status: code, Detail: problems[code]}
			if api.Components.Responses == nil {
				api.Components.Responses = map[string]*huma.Response{}
			}
			api.Components.Responses["problem-"+status] = r
			o.Responses[status] = &huma.Response{Ref: "#/components/responses/problem-" + status}
			continue
		}
		for kind, m := range r.Content {
			m.Example = e.out
			if text, ok := e.text[kind]; ok {
				m.Example = text
			}
		}
	}
}

// problems are details of errors, by status.
var problems = map[int]string{
	401: "Sign in first, or send a valid token.", 403: "Your role does not allow this.", 404: "There is nothing by this name.",
	409: "This name or number is taken already.", 422: "Host and guest passcode must differ.", 429: "Too many wrong passwords. Try again in ten minutes.",
	500: "That did not work.", 502: "The mail server did not take the invitation. The log of the gateway says why.",
	503: "Too many passwords are being checked right now. Try again.",
}

// textual is a body that is no JSON.
func textual() *huma.MediaType { return &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}} }

// describeBeside puts into the description what it cannot know by itself: it
// knows only what answers once, and by an object.
func describeBeside(api huma.API) {
	o := api.OpenAPI()
	o.Components.Schemas.Schema(reflect.TypeFor[ringEvent](), true, "")
	o.Components.Schemas.Schema(reflect.TypeFor[Typed](), true, "")
	o.Components.Schemas.Schema(reflect.TypeFor[meet.Change](), true, "")
	problem := func(status string) *huma.Response {
		return &huma.Response{Ref: "#/components/responses/problem-" + status}
	}
	add := func(path, id, summary string, role store.Role, tag, kind, answer string, errors map[string]*huma.Response) {
		op := operation("GET", path, id, summary, role, tag)
		if !strings.HasPrefix(path, "/events") {
			op.Path = path
		}
		op.Responses = errors
		op.Responses["200"] = &huma.Response{Description: answer, Content: map[string]*huma.MediaType{kind: textual()}}
		o.AddOperation(&op)
	}
	add("/events", "events", "Every change of meetings, participants and calls, as server-sent events", store.RoleUser, "Calls", "text/event-stream",
		"The events, for as long as the connection lasts", map[string]*huma.Response{"401": problem("401"), "503": problem("503")})
	add("/metrics", "metrics", "Figures for Prometheus", store.RoleSuperuser, "Health", "text/plain",
		"The figures", map[string]*huma.Response{"401": problem("401"), "403": problem("403")})
	add("/healthz", "healthz", "Whether all is up", "", "Health", "text/plain",
		"All is up", map[string]*huma.Response{"503": {Description: "What is not up, one thing a line", Content: map[string]*huma.MediaType{"text/plain": textual()}}})
}
