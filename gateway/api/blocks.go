package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/core/edge"
	"bridgehead/gateway/store"
)

// blocks are the sources whose messages are dropped for a time.
func (s *server) blocks(api huma.API) {
	const tag, admin = "Protection", store.RoleAdministrator
	huma.Register(api, operation("GET", "/blocks", "list-blocks", "List the networks that are blocked, and why", admin, tag), func(context.Context, *nothing) (*body[[]edge.Block], error) {
		return answer(s.Blocks.List(), nil)
	})
	huma.Register(api, operation("DELETE", "/blocks/{id}", "lift-block", "End a block before its time", admin, tag), func(_ context.Context, in *ByID) (*nothing, error) {
		if !s.Blocks.Lift(in.ID) {
			return nil, fail(store.ErrNotFound)
		}
		return nil, nil
	})
}
