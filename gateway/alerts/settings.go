package alerts

import (
	"context"
	"errors"
	"net/netip"
	"net/url"

	"bridgehead/gateway/store"
)

// Settings say where alerts go beside log and events. Operators set them at run
// time.
type Settings struct {
	Mail    []string `json:"mail"`
	Webhook string   `json:"webhook"` // empty: none
	// Secret signs what the webhook is sent; it is kept sealed.
	Secret string `json:"-"`
}

// The keys that the settings are kept under.
const key, secretKey = "alerts", "alerts.secret"

// Load reads the settings.
func Load(ctx context.Context, s *store.Store) (set Settings, err error) {
	set.Mail = []string{}
	if err = s.Setting(ctx, key, &set); err != nil {
		return set, err
	}
	set.Secret, err = s.SecretSetting(ctx, secretKey)
	return set, err
}

// Save keeps the settings, all or none.
func Save(ctx context.Context, s *store.Store, set Settings) error {
	return s.Atomically(ctx, func(ctx context.Context) error {
		return errors.Join(s.Set(ctx, key, set), s.SetSecret(ctx, secretKey, set.Secret))
	})
}

// maxURL bounds the address of a webhook, in bytes.
const maxURL = 2000

// WebhookFault says in plain words what is wrong with the address of a webhook;
// empty: nothing is. An empty address is none. Clear HTTP goes no further than
// the own network.
func WebhookFault(address string) string {
	if address == "" {
		return ""
	}
	u, err := url.Parse(address)
	switch {
	case len(address) > maxURL:
		return "The address of the webhook is too long."
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return "The webhook is no address like https://alerts.example.org/hook."
	case u.User != nil:
		return "The address of the webhook must not have a password in it, which whoever sees the settings would see. Use the secret."
	case u.Scheme == "https", u.Scheme == "http" && near(u.Hostname()):
		return ""
	}
	return "The webhook must be an https address; http is for loopback and private addresses only."
}

// near tells whether a host is this machine or of a private network.
func near(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	a = a.Unmap()
	return err == nil && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast())
}
