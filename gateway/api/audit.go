package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/store"
)

type humaContext = huma.Context // whose method Context a field of that name would hide

// reread gives an operation the body that was read before it.
type reread struct {
	humaContext
	body []byte
}

func (c reread) BodyReader() io.Reader { return bytes.NewReader(c.body) }

// audit writes down every change that a signed-in caller has made, and what
// else is marked as audited, but for what is nobody else's business.
func (s *server) audit(ctx huma.Context, next func(huma.Context)) {
	o := ctx.Operation()
	reads := o.Method == http.MethodGet && o.Metadata["audited"] == nil
	if o.Metadata["role"] == store.Role("") || reads || o.Metadata["private"] != nil {
		next(ctx)
		return
	}
	body, _ := io.ReadAll(ctx.BodyReader()) // one cut short fails when it is parsed
	next(reread{ctx, body})
	if ctx.Status() >= 400 {
		return
	}
	object, detail := told(body)
	if strings.Contains(o.Path, "{") {
		object = strings.TrimPrefix(ctx.URL().Path, "/api/v1/")
	}
	source, _ := netip.ParseAddrPort(ctx.RemoteAddr())
	act := store.Act{Actor: userOf(ctx.Context()).ID, Source: source.Addr().Unmap().String(), Act: o.OperationID, Object: object, Detail: detail}
	if err := s.Store.Audit(context.WithoutCancel(ctx.Context()), act); err != nil {
		s.Log.Error("act not written to the audit log", "act", o.OperationID, "error", err)
	}
}

// shown are the fields whose values tell what was done and are no secrets;
// named are those that a new object goes by.
var (
	shown = []string{"role", "hidden", "disabled", "enabled", "target", "to", "layout", "chat"}
	named = []string{"email", "number", "user", "name"}
)

// told is what a body says of what was done: the object, and its fields by
// name.
func told(body []byte) (object, detail string) {
	var fields map[string]any
	if json.Unmarshal(body, &fields) != nil {
		return "", ""
	}
	for _, f := range named {
		if v, ok := fields[f].(string); ok && object == "" {
			object = v
		}
	}
	var list []string
	for _, f := range slices.Sorted(maps.Keys(fields)) {
		if slices.Contains(shown, f) {
			f += fmt.Sprintf("=%.64v", fields[f])
		}
		list = append(list, f)
	}
	return object, strings.Join(list, " ")
}

func (s *server) auditLog(api huma.API) {
	huma.Register(api, operation("GET", "/audit", "list-audit", "Who changed what, newest first", store.RoleSuperuser, "Audit"), func(ctx context.Context, in *struct {
		Before int64 `query:"before" minimum:"0" doc:"the id of the last entry of the page before"`
		Limit  int   `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	}) (*body[[]store.Act], error) {
		return answer(s.Store.Acts(ctx, in.Before, in.Limit))
	})
}
