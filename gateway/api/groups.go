package api

import (
	"context"
	"errors"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/store"
)

type groupBody struct {
	Name    string   `json:"name" minLength:"1" maxLength:"64"`
	Users   []string `json:"users,omitempty" maxItems:"10000" doc:"ids of accounts"`
	Devices []string `json:"devices,omitempty" maxItems:"10000" doc:"ids of devices"`
}

type groupPatch struct {
	Name    *string   `json:"name,omitempty" minLength:"1" maxLength:"64"`
	Users   *[]string `json:"users,omitempty" maxItems:"10000" doc:"ids of all its accounts from now on"`
	Devices *[]string `json:"devices,omitempty" maxItems:"10000" doc:"ids of all its devices from now on"`
}

// groups are sets of accounts and devices by a name.
func (s *server) groups(api huma.API) {
	const tag, super = "Groups", store.RoleSuperuser
	huma.Register(api, operation("GET", "/groups", "list-groups", "List groups with their members", super, tag), func(ctx context.Context, _ *nothing) (*body[[]store.Group], error) {
		return answer(s.Store.Groups(ctx))
	})
	huma.Register(api, operation("POST", "/groups", "add-group", "Make a group", super, tag), func(ctx context.Context, in *body[groupBody]) (*body[store.Group], error) {
		return s.saveGroup(ctx, store.Group{Name: in.Body.Name, Users: in.Body.Users, Devices: in.Body.Devices})
	})
	huma.Register(api, operation("PATCH", "/groups/{id}", "change-group", "Change a group", super, tag), func(ctx context.Context, in *struct {
		ByID
		Body groupPatch
	}) (*body[store.Group], error) {
		g, err := s.Store.Group(ctx, in.ID)
		if err != nil {
			return nil, fail(err)
		}
		set(&g.Name, in.Body.Name)
		set(&g.Users, in.Body.Users)
		set(&g.Devices, in.Body.Devices)
		return s.saveGroup(ctx, g)
	})
	huma.Register(api, operation("DELETE", "/groups/{id}", "remove-group", "Remove a group; its members stay", super, tag), func(ctx context.Context, in *ByID) (*nothing, error) {
		return nil, fail(s.Store.RemoveGroup(ctx, in.ID))
	})
}

func (s *server) saveGroup(ctx context.Context, g store.Group) (*body[store.Group], error) {
	for _, list := range []*[]string{&g.Users, &g.Devices} { // each once, and never null
		sorted := slices.Compact(slices.Sorted(slices.Values(*list)))
		*list = append([]string{}, sorted...)
	}
	g, err := s.Store.SaveGroup(ctx, g)
	if errors.Is(err, store.ErrNotFound) {
		err = huma.Error422UnprocessableEntity("One of the members is no account or device: give ids.")
	}
	return answer(g, err)
}
