package api

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/dialplan"
	"bridgehead/gateway/lines"
	"bridgehead/gateway/store"
)

// trunkBody makes or changes a trunk. The password goes in and never comes
// out.
type trunkBody struct {
	Name            *string   `json:"name,omitempty" minLength:"1" maxLength:"64"`
	Mode            *string   `json:"mode,omitempty" enum:"static,register,both"`
	Transport       *string   `json:"transport,omitempty" enum:"udp,tcp,tls"`
	Host            *string   `json:"host,omitempty" maxLength:"255" doc:"name or address, with :port if it is not the usual one; without sip:"`
	Username        *string   `json:"username,omitempty" maxLength:"255"`
	Password        *string   `json:"password,omitempty" maxLength:"255"`
	Realm           *string   `json:"realm,omitempty" maxLength:"255"`
	Source          *[]string `json:"source,omitempty" maxItems:"256" doc:"networks (CIDR) that calls may come from; empty: none"`
	MediaEncryption *string   `json:"media_encryption,omitempty" enum:"none,optional,required"`
	Enabled         *bool     `json:"enabled,omitempty"`
	OverrideCheck   *bool     `json:"override_check,omitempty" doc:"enable although the check has not passed"`
	Codecs          *[]string `json:"codecs,omitempty" maxItems:"16" doc:"PCMA, PCMU, G722, opus in order of preference"`
	Country         *string   `json:"country,omitempty" pattern:"^([A-Z]{2})?$" doc:"ISO code, for numbers without country code"`
	CallerID        *string   `json:"caller_id,omitempty" maxLength:"32"`
	Prefix          *string   `json:"prefix,omitempty" pattern:"^[+0-9*#]{0,16}$"`
	Strip           *int      `json:"strip,omitempty" minimum:"0" maximum:"16"`
	Priority        *int      `json:"priority,omitempty" minimum:"0" maximum:"1000"`
	Weight          *int      `json:"weight,omitempty" minimum:"0" maximum:"1000"`
	MaxChannels     *int      `json:"max_channels,omitempty" minimum:"0" maximum:"10000" doc:"calls at one time; 0: no limit"`
	CallsPerSecond  *int      `json:"calls_per_second,omitempty" minimum:"0" maximum:"1000"`
	InsecureTLS     *bool     `json:"insecure_tls,omitempty" doc:"do not check the far end's certificate"`
	InPassword      *string   `json:"in_password,omitempty" maxLength:"255" doc:"password that calls in must prove with in_username"`
	TLSKey          *string   `json:"tls_key,omitempty" maxLength:"65536" doc:"PEM private key of tls_certificate"`
	StirKey         *string   `json:"stir_key,omitempty" maxLength:"65536" doc:"PEM private key of stir_certificate, on the curve P-256"`
	store.TrunkOptions
}

// trunkInput is a trunkBody as it was read and as it came: which of the options
// are in it, only the text tells.
type trunkInput struct {
	Body    trunkBody
	RawBody []byte
}

func (in trunkInput) apply(t *store.Trunk) error {
	in.Body.apply(t)
	var given struct{ Headers, Rates json.RawMessage }
	if err := json.Unmarshal(in.RawBody, &given); err != nil {
		return huma.Error400BadRequest("the body is no JSON object")
	}
	if given.Headers != nil {
		t.Headers = nil // replaced, not merged
	}
	if given.Rates != nil {
		t.Rates = nil
	}
	if err := json.Unmarshal(in.RawBody, &t.TrunkOptions); err != nil {
		return huma.Error422UnprocessableEntity(err.Error())
	}
	return nil
}

func (b trunkBody) apply(t *store.Trunk) {
	set(&t.Name, b.Name)
	set(&t.Mode, b.Mode)
	set(&t.Transport, b.Transport)
	set(&t.Host, b.Host)
	set(&t.Username, b.Username)
	set(&t.Password, b.Password)
	set(&t.Realm, b.Realm)
	set(&t.Source, b.Source)
	set(&t.MediaEncryption, b.MediaEncryption)
	set(&t.Enabled, b.Enabled)
	set(&t.OverrideCheck, b.OverrideCheck)
	set(&t.Codecs, b.Codecs)
	set(&t.Country, b.Country)
	set(&t.CallerID, b.CallerID)
	set(&t.Prefix, b.Prefix)
	set(&t.Strip, b.Strip)
	set(&t.Priority, b.Priority)
	set(&t.Weight, b.Weight)
	set(&t.MaxChannels, b.MaxChannels)
	set(&t.CallsPerSecond, b.CallsPerSecond)
	set(&t.Insecure, b.InsecureTLS)
	set(&t.InPassword, b.InPassword)
	set(&t.TLSKey, b.TLSKey)
	set(&t.StirKey, b.StirKey)
}

type trunkView struct {
	store.Trunk
	HasPassword   bool `json:"has_password"`
	HasInPassword bool `json:"has_in_password"`
	HasTLSKey     bool `json:"has_tls_key"`
	HasStirKey    bool `json:"has_stir_key"`
	TrunkState
}

func (s *server) viewTrunk(t store.Trunk) trunkView {
	if t.Source == nil {
		t.Source = []string{}
	}
	v := trunkView{Trunk: t, HasPassword: t.Password != "", HasInPassword: t.InPassword != "", HasTLSKey: t.TLSKey != "", HasStirKey: t.StirKey != ""}
	v.TrunkState = s.TrunkState(t.Name)
	if !t.Enabled {
		v.State = "disabled"
	}
	return v
}

// NewTrunk is a trunk with the defaults that nothing was said about.
func NewTrunk() store.Trunk {
	return store.Trunk{TrunkSettings: store.TrunkSettings{Mode: "static", Transport: "tls", MediaEncryption: "", Source: []string{}, Weight: 1, CallsPerSecond: 5}}
}

// CheckTrunkSettings says what is wrong with a trunk's settings.
func CheckTrunkSettings(t *store.Trunk) error {
	bad := func(text string) error { return huma.Error422UnprocessableEntity(text) }
	if t.MediaEncryption == "" {
		t.MediaEncryption = map[bool]string{true: "required", false: "none"}[t.Transport == "tls"]
	}
	switch {
	case t.Name == "":
		return bad("name is missing: give the trunk a name.")
	case t.Host == "" && t.Mode != "static":
		return bad("host is missing: a trunk that registers needs its registrar.")
	case strings.Contains(t.Host, "sip:") || strings.ContainsAny(t.Host, " /@"):
		return bad("host is a name or address only: leave out sip: and the user.")
	case t.Transport == "tls" && t.MediaEncryption != "required":
		return bad("media_encryption must be required when transport is tls: signalling that carries keys would be wasted otherwise.")
	case t.Transport != "tls" && t.MediaEncryption == "required":
		return bad("media_encryption required needs transport tls: the keys travel in the signalling.")
	case t.Mode != "static" && (t.Username == "" || t.Password == ""):
		return bad("username and password are missing: a trunk that registers needs them.")
	}
	for i, src := range t.Source {
		if a, err := netip.ParseAddr(src); err == nil {
			src = netip.PrefixFrom(a, a.BitLen()).String()
		}
		p, err := netip.ParsePrefix(src)
		if err != nil {
			return bad("source " + t.Source[i] + " is not a network: write 203.0.113.0/24 or 203.0.113.7.")
		}
		t.Source[i] = p.Masked().String()
	}
	if _, err := lines.Config(*t, ""); err != nil {
		return bad(err.Error())
	}
	return nil
}

// telephony are trunks, numbers and devices.
func (s *server) telephony(api huma.API) {
	s.trunks(api)
	s.numbers(api)
	s.synthetic(api)
	s.devices(api)
	s.dialplan(api)
}

func (s *server) trunks(api huma.API) {
	const tag, admin = "Trunks", store.RoleAdministrator
	huma.Register(api, operation("GET", "/trunks", "list-trunks", "List trunks", admin, tag), func(ctx context.Context, _ *nothing) (*body[[]trunkView], error) {
		all, err := s.Store.Trunks(ctx)
		list := []trunkView{}
		for _, t := range all {
			list = append(list, s.viewTrunk(t))
		}
		return answer(list, err)
	})
	huma.Register(api, operation("GET", "/trunks/{id}", "get-trunk", "Show a trunk", admin, tag), func(ctx context.Context, in *ByID) (*body[trunkView], error) {
		t, err := s.Store.Trunk(ctx, in.ID)
		return answer(s.viewTrunk(t), err)
	})
	huma.Register(api, operation("POST", "/trunks", "add-trunk", "Make a trunk", admin, tag), func(ctx context.Context, in *struct {
		Template string `query:"template" maxLength:"64" doc:"carrier whose settings it begins with: list-trunk-templates names them"`
		trunkInput
	}) (*body[trunkView], error) {
		t := NewTrunk()
		if in.Template != "" {
			if err := lines.Apply(in.Template, &t); err != nil {
				return nil, huma.Error422UnprocessableEntity(err.Error())
			}
		}
		if err := in.apply(&t); err != nil {
			return nil, err
		}
		if err := s.ready(ctx, &t); err != nil {
			return nil, err
		}
		err := s.kept(ctx, func(ctx context.Context) (err error) { t, err = s.Store.AddTrunk(ctx, t); return err })
		return answer(s.viewTrunk(t), err)
	})
	huma.Register(api, operation("PATCH", "/trunks/{id}", "change-trunk", "Change a trunk", admin, tag), func(ctx context.Context, in *struct {
		ByID
		trunkInput
	}) (*body[trunkView], error) {
		t, err := s.Store.Trunk(ctx, in.ID)
		if err != nil {
			return nil, fail(err)
		}
		if err := in.apply(&t); err != nil {
			return nil, err
		}
		if err := s.ready(ctx, &t); err != nil {
			return nil, err
		}
		err = s.kept(ctx, func(ctx context.Context) error { return s.Store.UpdateTrunk(ctx, t) })
		return answer(s.viewTrunk(t), err)
	})
	huma.Register(api, operation("DELETE", "/trunks/{id}", "remove-trunk", "Remove a trunk", admin, tag), func(ctx context.Context, in *ByID) (*nothing, error) {
		return nil, fail(s.kept(ctx, func(ctx context.Context) error { return s.Store.RemoveTrunk(ctx, in.ID) }))
	})
	huma.Register(api, operation("GET", "/trunk-templates", "list-trunk-templates", "List the templates of carriers", admin, tag), func(context.Context, *nothing) (*body[[]lines.Template], error) {
		return answer(lines.Templates(), nil)
	})
	huma.Register(api, operation("POST", "/trunks/{id}/check", "check-trunk", "Try a trunk: signing, name, connection, TLS, OPTIONS, REGISTER, NAT, clock, codecs", admin, tag), func(ctx context.Context, in *ByID) (*body[[]CheckLine], error) {
		t, err := s.Store.Trunk(ctx, in.ID)
		if err != nil {
			return nil, fail(err)
		}
		return answer(s.CheckTrunk(ctx, t), nil)
	})
}

// ready checks a trunk before it is kept: one is enabled only when its check
// passes, or on the operator's word.
func (s *server) ready(ctx context.Context, t *store.Trunk) error {
	if err := CheckTrunkSettings(t); err != nil {
		return err
	}
	if !t.Enabled || t.OverrideCheck {
		return nil
	}
	for _, line := range s.CheckTrunk(ctx, *t) {
		if !line.OK {
			return huma.Error409Conflict("The check of this trunk failed, so it stays disabled: " + line.What + ": " + line.Detail + " " + line.Remedy + " Set override_check to enable it all the same.")
		}
	}
	return nil
}

type numberBody struct {
	Number   string `json:"number" pattern:"^\\+[1-9][0-9]{4,14}$" doc:"E.164"`
	Trunk    string `json:"trunk" maxLength:"64"`
	Target   string `json:"target" pattern:"^(reception|meeting:[0-9]+|user:.+)$" maxLength:"255"`
	Country  string `json:"country,omitempty" pattern:"^([A-Z]{2})?$" doc:"ISO code; found by the number when missing"`
	Language string `json:"language,omitempty" pattern:"^([a-z]{2})?$" doc:"ISO code of the language that its callers are spoken to in"`
	Label    string `json:"label,omitempty" maxLength:"64"`
	Invites  *bool  `json:"in_invites,omitempty" doc:"list it in invitations; true when missing"`

	NoPasscode bool         `json:"no_passcode,omitempty" doc:"let its callers into the meeting as guests without its passcode"`
	Hours      *store.Hours `json:"hours,omitempty" doc:"when it leads to its target; at any time when missing, or with an empty time_zone"`
}

type numberPatch struct {
	Trunk    *string `json:"trunk,omitempty" maxLength:"64"`
	Target   *string `json:"target,omitempty" pattern:"^(reception|meeting:[0-9]+|user:.+)$" maxLength:"255"`
	Country  *string `json:"country,omitempty" pattern:"^([A-Z]{2})?$"`
	Language *string `json:"language,omitempty" pattern:"^([a-z]{2})?$"`
	Label    *string `json:"label,omitempty" maxLength:"64"`
	Invites  *bool   `json:"in_invites,omitempty" doc:"list it in invitations"`

	NoPasscode *bool        `json:"no_passcode,omitempty" doc:"let its callers into the meeting as guests without its passcode"`
	Hours      *store.Hours `json:"hours,omitempty" doc:"when it leads to its target; with an empty time_zone, at any time"`
}

// hoursOf are hours as they are kept: those without a time zone are none.
func hoursOf(h *store.Hours) *store.Hours {
	if h == nil || h.TimeZone == "" {
		return nil
	}
	return h
}

func (s *server) numbers(api huma.API) {
	const tag, admin = "Numbers", store.RoleAdministrator
	type ByNumber struct {
		Number string `path:"number" maxLength:"32"`
	}
	huma.Register(api, operation("GET", "/numbers", "list-numbers", "List numbers", admin, tag), func(ctx context.Context, _ *nothing) (*body[[]store.Number], error) {
		return answer(s.Store.Numbers(ctx))
	})
	huma.Register(api, operation("POST", "/numbers", "add-number", "Let a telephone number lead somewhere", admin, tag), func(ctx context.Context, in *body[numberBody]) (*body[store.Number], error) {
		b := in.Body
		n := store.Number{Number: b.Number, Trunk: b.Trunk, Target: b.Target, Country: b.Country, Language: b.Language, Label: b.Label, InInvites: true, NoPasscode: b.NoPasscode, Hours: hoursOf(b.Hours)}
		set(&n.InInvites, b.Invites)
		if err := dialplan.CheckNumber(ctx, s.Store, &n); err != nil {
			return nil, fail(err)
		}
		err := s.kept(ctx, func(ctx context.Context) error { return s.Store.AddNumber(ctx, n) })
		return answer(n, err)
	})
	huma.Register(api, operation("PATCH", "/numbers/{number}", "change-number", "Change where a number leads", admin, tag), func(ctx context.Context, in *struct {
		ByNumber
		Body numberPatch
	}) (*body[store.Number], error) {
		n, err := s.Store.Number(ctx, in.Number)
		if err != nil {
			return nil, fail(err)
		}
		set(&n.Trunk, in.Body.Trunk)
		set(&n.Target, in.Body.Target)
		set(&n.Country, in.Body.Country)
		set(&n.Language, in.Body.Language)
		set(&n.Label, in.Body.Label)
		set(&n.InInvites, in.Body.Invites)
		set(&n.NoPasscode, in.Body.NoPasscode)
		if in.Body.Hours != nil {
			n.Hours = hoursOf(in.Body.Hours)
		}
		if err := dialplan.CheckNumber(ctx, s.Store, &n); err != nil {
			return nil, fail(err)
		}
		err = s.kept(ctx, func(ctx context.Context) error { return s.Store.UpdateNumber(ctx, n) })
		return answer(n, err)
	})
	huma.Register(api, operation("DELETE", "/numbers/{number}", "remove-number", "Remove a number", admin, tag), func(ctx context.Context, in *ByNumber) (*nothing, error) {
		return nil, fail(s.kept(ctx, func(ctx context.Context) error { return s.Store.RemoveNumber(ctx, in.Number) }))
	})
}
