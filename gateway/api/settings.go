package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/chat"
	"bridgehead/gateway/store"
)

// settingsView is what superusers set at run time.
type settingsView struct {
	Chat chat.Settings `json:"chat"`
}

type settingsPatch struct {
	Chat *struct {
		Enabled *bool `json:"enabled,omitempty" doc:"people may write, in meetings and outside"`
		History *bool `json:"history,omitempty" doc:"who comes into a meeting is shown what was written since it was last empty"`
	} `json:"chat,omitempty"`
}

// settings are switches of the whole bridge.
func (s *server) settings(api huma.API) {
	const tag = "Settings"
	huma.Register(api, operation("GET", "/settings", "get-settings", "What is switched on or off", store.RoleUser, tag), func(context.Context, *nothing) (*body[settingsView], error) {
		return answer(settingsView{s.Chat.Settings()}, nil)
	})
	huma.Register(api, operation("PATCH", "/settings", "change-settings", "Switch something on or off, at once", store.RoleSuperuser, tag), func(ctx context.Context, in *body[settingsPatch]) (*body[settingsView], error) {
		if p := in.Body.Chat; p != nil {
			now := s.Chat.Settings()
			set(&now.Enabled, p.Enabled)
			set(&now.History, p.History)
			if err := s.Chat.Set(ctx, now); err != nil {
				return nil, fail(err)
			}
		}
		return answer(settingsView{s.Chat.Settings()}, nil)
	})
}
