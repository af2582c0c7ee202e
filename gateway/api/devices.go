package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"bridgehead/gateway/store"
)

type deviceBody struct {
	User      string `json:"user" pattern:"^[A-Za-z0-9._-]{1,64}$"`
	Password  string `json:"password" minLength:"8" maxLength:"128"`
	Name      string `json:"name,omitempty" maxLength:"64"`
	Extension string `json:"extension,omitempty" pattern:"^([0-9]{2,10})?$"`
	Owner     string `json:"owner,omitempty" maxLength:"128" doc:"id of the account whose room system it is"`
	Hidden    bool   `json:"hidden,omitempty" doc:"leave it out of the directory"`
}

type devicePatch struct {
	Password  *string `json:"password,omitempty" minLength:"8" maxLength:"128"`
	Name      *string `json:"name,omitempty" maxLength:"64"`
	Extension *string `json:"extension,omitempty" pattern:"^([0-9]{2,10})?$"`
	Owner     *string `json:"owner,omitempty" maxLength:"128" doc:"id of the account whose room system it is; empty: nobody's"`
	Hidden    *bool   `json:"hidden,omitempty" doc:"leave it out of the directory; all that superusers may change, and not of an administrator's"`
}

type deviceView struct {
	store.Device
	Registrations []Registration `json:"registrations"`
}

func (s *server) viewDevice(d store.Device) deviceView {
	v := deviceView{Device: d, Registrations: []Registration{}}
	for _, r := range s.Registrations() {
		if r.User == d.User {
			v.Registrations = append(v.Registrations, r)
		}
	}
	return v
}

// devices are changed by administrators; superusers hide them.
func (s *server) devices(api huma.API) {
	const tag, admin, super = "Devices", store.RoleAdministrator, store.RoleSuperuser
	huma.Register(api, operation("GET", "/devices", "list-devices", "List devices with their live registrations", super, tag), func(ctx context.Context, _ *nothing) (*body[[]deviceView], error) {
		all, err := s.Store.Devices(ctx)
		list := []deviceView{}
		for _, d := range all {
			list = append(list, s.viewDevice(d))
		}
		return answer(list, err)
	})
	huma.Register(api, operation("POST", "/devices", "add-device", "Let a SIP or H.323 endpoint register", admin, tag), func(ctx context.Context, in *body[deviceBody]) (*body[deviceView], error) {
		b := in.Body
		d := store.Device{User: b.User, Password: b.Password, Name: b.Name, Extension: b.Extension, Owner: b.Owner, Hidden: b.Hidden}
		if err := s.ownable(ctx, store.Device{}, d); err != nil {
			return nil, fail(err)
		}
		d, err := s.Store.AddDevice(ctx, d)
		return answer(s.viewDevice(d), err)
	})
	huma.Register(api, operation("PATCH", "/devices/{id}", "change-device", "Change a device", super, tag), s.changeDevice)
	huma.Register(api, operation("DELETE", "/devices/{id}", "remove-device", "Revoke a device: its registration and calls end at once", admin, tag), func(ctx context.Context, in *ByID) (*nothing, error) {
		d, err := s.Store.Device(ctx, in.ID)
		if err == nil {
			err = s.Store.RemoveDevice(ctx, d.ID)
			s.RevokeDevice(d.User)
		}
		return nil, fail(err)
	})
}

func (s *server) changeDevice(ctx context.Context, in *struct {
	ByID
	Body devicePatch
}) (*body[deviceView], error) {
	d, err := s.Store.Device(ctx, in.ID)
	if err != nil {
		return nil, fail(err)
	}
	p, was := in.Body, d
	if more := p; !allowed(userOf(ctx).Role, store.RoleAdministrator) {
		if more.Hidden = nil; more != (devicePatch{}) {
			return nil, huma.Error403Forbidden("Superusers may hide a device, and nothing else of it.")
		}
	}
	set(&d.Password, p.Password)
	set(&d.Name, p.Name)
	set(&d.Extension, p.Extension)
	set(&d.Owner, p.Owner)
	set(&d.Hidden, p.Hidden)
	if err := s.ownable(ctx, was, d); err != nil {
		return nil, fail(err)
	}
	err = s.Store.UpdateDevice(ctx, d)
	if p.Password != nil {
		s.RevokeDevice(d.User)
	}
	return answer(s.viewDevice(d), err)
}

// ownable checks that a device's owner is an account, and that an
// administrator's device is hidden or shown by its owner alone.
func (s *server) ownable(ctx context.Context, was, d store.Device) error {
	if d.Owner != "" && d.Owner != was.Owner {
		if u, err := s.Store.User(ctx, d.Owner); err != nil || u.ID != d.Owner {
			return huma.Error422UnprocessableEntity("owner is no account: give the id of one.")
		}
	}
	if was.Owner == "" || was.Owner == userOf(ctx).ID || d.Hidden == was.Hidden {
		return nil
	}
	u, err := s.Store.User(ctx, was.Owner)
	if err == nil && u.Role == store.RoleAdministrator {
		return huma.Error403Forbidden("This is an administrator's room system: nobody else hides or shows it.")
	}
	return err
}
