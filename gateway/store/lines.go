package store

import (
	"context"
	"encoding/json"
	"time"
)

// Number is a telephone number that leads here (DID).
type Number struct {
	Number   string `json:"number"` // E.164
	Trunk    string `json:"trunk"`  // name
	Target   string `json:"target"` // reception, meeting:NUMBER or user:EMAIL
	Country  string `json:"country,omitempty"`
	Language string `json:"language,omitempty"`
	Label    string `json:"label,omitempty"`
	// InInvites lists it in invitations.
	InInvites bool `json:"in_invites"`
	// NoPasscode lets its callers into the meeting that it leads to as guests,
	// without the passcode that it asks of others.
	NoPasscode bool   `json:"no_passcode" doc:"callers are not asked for the passcode of the meeting that it leads to, and come in as guests"`
	Hours      *Hours `json:"hours,omitempty" doc:"when it leads to its target; at any time when missing"`
}

// Hours are when a number is open, by the clock of a time zone.
type Hours struct {
	TimeZone  string `json:"time_zone" maxLength:"64" doc:"by its IANA name, such as Europe/Berlin"`
	Open      []Span `json:"open" maxItems:"32"`
	Otherwise string `json:"otherwise,omitempty" maxLength:"255" doc:"where it leads while closed, as target; when empty, an announcement"`
}

// Span is a part of some days of the week. To may be 24:00; before From, it is
// of the day after.
type Span struct {
	Days []string `json:"days" enum:"mon,tue,wed,thu,fri,sat,sun" minItems:"1" maxItems:"7"`
	From string   `json:"from" pattern:"^([01][0-9]|2[0-3]):[0-5][0-9]$"`
	To   string   `json:"to" pattern:"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"`
}

// AddNumber keeps a new number.
func (s *Store) AddNumber(ctx context.Context, n Number) error {
	settings, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return s.exec(ctx, `INSERT INTO numbers (number, trunk, target, settings) VALUES (?, ?, ?, ?)`, n.Number, n.Trunk, n.Target, settings)
}

// UpdateNumber changes what a number leads to.
func (s *Store) UpdateNumber(ctx context.Context, n Number) error {
	settings, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return s.exec(ctx, `UPDATE numbers SET trunk = ?, target = ?, settings = ? WHERE number = ?`, n.Trunk, n.Target, settings, n.Number)
}

func scanNumber(r row) (n Number, err error) {
	var settings []byte
	n.InInvites = true // also those kept before there was a choice
	if err = r.Scan(&settings); err == nil {
		err = json.Unmarshal(settings, &n)
	}
	return n, err
}

// Numbers lists all numbers.
func (s *Store) Numbers(ctx context.Context) ([]Number, error) {
	return rows(ctx, s, scanNumber, `SELECT settings FROM numbers ORDER BY number`)
}

// Number finds a number.
func (s *Store) Number(ctx context.Context, number string) (Number, error) {
	return one(ctx, s, scanNumber, `SELECT settings FROM numbers WHERE number = ?`, number)
}

// RemoveNumber removes a number.
func (s *Store) RemoveNumber(ctx context.Context, number string) error {
	return s.exec(ctx, `DELETE FROM numbers WHERE number = ?`, number)
}

// Device is a SIP or H.323 endpoint that may register.
type Device struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	Password  string    `json:"-"`
	Name      string    `json:"name"`
	Extension string    `json:"extension"`
	Owner     string    `json:"owner,omitempty" doc:"id of the account whose room system it is"`
	Hidden    bool      `json:"hidden" doc:"not in the directory"`
	Created   time.Time `json:"created"`
}

// AddDevice keeps a new device.
func (s *Store) AddDevice(ctx context.Context, d Device) (Device, error) {
	d.ID, d.Created = NewSecret(), time.Now().UTC().Truncate(time.Second)
	return d, s.exec(ctx, `INSERT INTO devices (id, user, password, name, extension, owner, hidden, created) VALUES (?, ?, ?, ?, NULLIF(?, ''), NULLIF(?, ''), ?, ?)`,
		d.ID, d.User, s.seal.seal(d.Password), d.Name, d.Extension, d.Owner, d.Hidden, d.Created.Unix())
}

// UpdateDevice changes a device.
func (s *Store) UpdateDevice(ctx context.Context, d Device) error {
	return s.exec(ctx, `UPDATE devices SET password = ?, name = ?, extension = NULLIF(?, ''), owner = NULLIF(?, ''), hidden = ? WHERE id = ?`,
		s.seal.seal(d.Password), d.Name, d.Extension, d.Owner, d.Hidden, d.ID)
}

const deviceColumns = `id, user, password, name, COALESCE(extension, ''), COALESCE(owner, ''), hidden, created`

func (s *Store) scanDevice(r row) (d Device, err error) {
	var password []byte
	var created int64
	if err = r.Scan(&d.ID, &d.User, &password, &d.Name, &d.Extension, &d.Owner, &d.Hidden, &created); err != nil {
		return d, err
	}
	d.Created = time.Unix(created, 0).UTC()
	d.Password, err = s.seal.open(password)
	return d, err
}

// Devices lists all devices.
func (s *Store) Devices(ctx context.Context) ([]Device, error) {
	return rows(ctx, s, s.scanDevice, `SELECT `+deviceColumns+` FROM devices ORDER BY user`)
}

// Device finds a device by id, user name or extension.
func (s *Store) Device(ctx context.Context, key string) (Device, error) {
	return one(ctx, s, s.scanDevice, `SELECT `+deviceColumns+` FROM devices WHERE id = ?1 OR user = ?1 OR extension = ?1`, key)
}

// DevicesOf lists the devices of an account, if that may be reached.
func (s *Store) DevicesOf(ctx context.Context, account string) ([]Device, error) {
	return rows(ctx, s, s.scanDevice, `SELECT `+deviceColumns+` FROM devices WHERE owner = (SELECT id FROM users WHERE id = ? AND NOT disabled) ORDER BY user`, account)
}

// RemoveDevice revokes a device.
func (s *Store) RemoveDevice(ctx context.Context, key string) error {
	return s.exec(ctx, `DELETE FROM devices WHERE id = ?1 OR user = ?1`, key)
}
