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
	Chat   chat.Settings `json:"chat"`
	Alerts *alertsView   `json:"alerts,omitempty" doc:"for superusers only"`
	Brand  brand         `json:"brand"`
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

// alertsView says where alerts go.
type alertsView struct {
	Mail      []string `json:"mail" doc:"addresses that are written to"`
	Webhook   string   `json:"webhook" doc:"that alerts are posted to, as JSON; empty: none"`
	HasSecret bool     `json:"has_webhook_secret"`
}

type alertsPatch struct {
	Mail    []string `json:"mail,omitempty" maxItems:"20" doc:"addresses that are written to when a device or a trunk goes, when it is back, and when a limit is reached"`
	Webhook *string  `json:"webhook,omitempty" maxLength:"2000" doc:"https, or http to a loopback or private address; alerts are posted there, as JSON; empty: none"`
	Secret  *string  `json:"webhook_secret,omitempty" maxLength:"200" doc:"signs what is posted: X-Bridgehead-Signature-256 is then sha256= and the HMAC-SHA256 of the body; empty: nothing is signed"`
}

// seen are the settings as the caller may see them.
func (s *server) seen(ctx context.Context) (v settingsView, err error) {
	v.Chat = s.Chat.Settings()
	if v.Brand, err = s.brand(ctx); err != nil {
		return v, err
	}
	if allowed(userOf(ctx).Role, store.RoleSuperuser) {
		var set alerts.Settings
		set, err = alerts.Load(ctx, s.Store)
		v.Alerts = &alertsView{Mail: set.Mail, Webhook: set.Webhook, HasSecret: set.Secret != ""}
	}
	return v, err
}

// redirectAlerts sends alerts elsewhere from now on.
func (s *server) redirectAlerts(ctx context.Context, p alertsPatch) error {
	for _, to := range p.Mail {
		if a, err := mail.ParseAddress(to); err != nil || a.Address != to {
			return huma.Error422UnprocessableEntity(to + " is no e-mail address.")
		}
	}
	now, err := alerts.Load(ctx, s.Store)
	if err != nil {
		return fail(err)
	}
	if p.Mail != nil {
		now.Mail = p.Mail
	}
	set(&now.Webhook, p.Webhook)
	set(&now.Secret, p.Secret)
	if fault := alerts.WebhookFault(now.Webhook); fault != "" {
		return huma.Error422UnprocessableEntity(fault)
	}
	return fail(alerts.Save(ctx, s.Store, now))
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
			if err := s.redirectAlerts(ctx, *p); err != nil {
				return nil, err
			}
		}
		if p := in.Body.Brand; p != nil {
			if err := s.rebrand(ctx, *p); err != nil {
				return nil, fail(err)
			}
		}
		return answer(s.seen(ctx))
	})
	huma.Register(api, operation("POST", "/settings/alerts/test", "test-alerts", "Send a test alert by every way that is set, and tell what became of it", store.RoleSuperuser, tag), func(ctx context.Context, _ *nothing) (*body[[]alerts.Delivery], error) {
		return answer(s.Alerts.Try(ctx), nil)
	})
}
