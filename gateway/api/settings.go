package api

import (
	"context"
	"net/mail"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/alerts"
	"bridgehead/gateway/chat"
	"bridgehead/gateway/store"
)

// settingsView is what superusers set at run time.
type settingsView struct {
	Chat   chat.Settings      `json:"chat"`
	Alerts *alerts.Recipients `json:"alerts,omitempty" doc:"for superusers only"`
	Brand  brand              `json:"brand"`
}

type settingsPatch struct {
	Chat   *chatPatch   `json:"chat,omitempty"`
	Alerts *alertsPatch `json:"alerts,omitempty"`
	Brand  *brandPatch  `json:"brand,omitempty"`
}

type chatPatch struct {
	Enabled *bool `json:"enabled,omitempty" doc:"people may write, in meetings and outside"`
	History *bool `json:"history,omitempty" doc:"who comes into a meeting is shown what was written since it was last empty"`
}

type alertsPatch struct {
	Mail []string `json:"mail" maxItems:"20" doc:"addresses that are written to when a registered device goes, and when it is back"`
}

// seen are the settings as the caller may see them.
func (s *server) seen(ctx context.Context) (v settingsView, err error) {
	v.Chat = s.Chat.Settings()
	if v.Brand, err = s.brand(ctx); err != nil {
		return v, err
	}
	if allowed(userOf(ctx).Role, store.RoleSuperuser) {
		v.Alerts = &alerts.Recipients{Mail: []string{}}
		err = s.Store.Setting(ctx, alerts.Key, v.Alerts)
	}
	return v, err
}

// settings are switches of the whole bridge.
func (s *server) settings(api huma.API) {
	const tag = "Settings"
	huma.Register(api, operation("GET", "/settings", "get-settings", "What is switched on or off", store.RoleUser, tag), func(ctx context.Context, _ *nothing) (*body[settingsView], error) {
		return answer(s.seen(ctx))
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
		if p := in.Body.Alerts; p != nil {
			for _, to := range p.Mail {
				if a, err := mail.ParseAddress(to); err != nil || a.Address != to {
					return nil, huma.Error422UnprocessableEntity(to + " is no e-mail address.")
				}
			}
			if err := s.Store.Set(ctx, alerts.Key, alerts.Recipients{Mail: p.Mail}); err != nil {
				return nil, fail(err)
			}
		}
		if p := in.Body.Brand; p != nil {
			if err := s.rebrand(ctx, *p); err != nil {
				return nil, fail(err)
			}
		}
		return answer(s.seen(ctx))
	})
}
