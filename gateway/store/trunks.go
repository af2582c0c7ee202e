package store

import (
	"context"
	"encoding/json"
	"time"
)

// Trunk is a line to the telephone network. What is secret is kept sealed and
// never leaves by JSON.
type Trunk struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Password string `json:"-"`
	TrunkSecrets
	TrunkSettings
}

// TrunkSecrets are further secrets of a trunk.
type TrunkSecrets struct {
	InPassword string `json:"-"` // that calls in must prove
	TLSKey     string `json:"-"` // of the client certificate, PEM
	StirKey    string `json:"-"` // of the certificate that signs calls out, PEM
}

// TrunkSettings are what an operator sets on a trunk.
type TrunkSettings struct {
	Mode            string   `json:"mode"`      // static, register or both
	Transport       string   `json:"transport"` // udp, tcp or tls
	Host            string   `json:"host"`
	Username        string   `json:"username,omitempty"`
	Realm           string   `json:"realm,omitempty"`
	Source          []string `json:"source"`           // CIDR; empty is nobody
	MediaEncryption string   `json:"media_encryption"` // none, optional or required
	Enabled         bool     `json:"enabled"`
	OverrideCheck   bool     `json:"override_check"`
	Codecs          []string `json:"codecs,omitempty"`
	Country         string   `json:"country,omitempty"`
	CallerID        string   `json:"caller_id,omitempty"` // shown to those called
	Prefix          string   `json:"prefix,omitempty"`    // put before numbers dialled
	Strip           int      `json:"strip,omitempty"`     // characters cut off numbers dialled
	Priority        int      `json:"priority"`
	Weight          int      `json:"weight"`
	MaxChannels     int      `json:"max_channels"`
	CallsPerSecond  int      `json:"calls_per_second"`
	Insecure        bool     `json:"insecure_tls,omitempty"` // do not check the far end's certificate
	TrunkOptions
}

// TrunkOptions are the settings that most trunks leave as they are: each one's
// zero value is its default. The tags describe them for API and command line.
type TrunkOptions struct {
	OutboundProxy string `json:"outbound_proxy,omitempty" maxLength:"255" doc:"host, with :port, that requests are sent to in place of the trunk's host"`
	AuthUser      string `json:"auth_user,omitempty" maxLength:"255" doc:"user name for digest, where it is not username"`
	Digest        string `json:"digest,omitempty" pattern:"^(MD5|SHA-256)?$" doc:"the only algorithm of digest, both ways, MD5 or SHA-256; both when empty. Some peers, Kamailio among them, give up on a challenge that offers SHA-256 beside MD5"`
	InUsername    string `json:"in_username,omitempty" maxLength:"64" doc:"user name that calls in must prove by digest, besides coming from source; empty: none"`
	Expires       int    `json:"expires,omitempty" minimum:"0" maximum:"7200" doc:"seconds that a registration is asked for, 60 to 7200; 0: 3600"`
	Check         int    `json:"options_interval,omitempty" minimum:"-1" maximum:"3600" doc:"seconds between two OPTIONS, by which a trunk is found up or down; 0: 30, -1: none"`

	TLSMin         string   `json:"tls_min,omitempty" pattern:"^(1[.][23])?$" doc:"lowest version of TLS, 1.2 or 1.3; 1.2 when empty"`
	TLSServerName  string   `json:"tls_server_name,omitempty" maxLength:"255" doc:"name that the certificate must have, where it is not the host"`
	TLSALPN        []string `json:"tls_alpn,omitempty" maxItems:"4" doc:"protocols offered in the handshake (ALPN)"`
	TLSCA          string   `json:"tls_ca,omitempty" maxLength:"65536" doc:"PEM certificates that vouch for the far end; empty: the system's"`
	TLSCertificate string   `json:"tls_certificate,omitempty" maxLength:"65536" doc:"PEM chain of the certificate shown to the far end; its key is tls_key"`

	Suites         []string `json:"srtp_suites,omitempty" maxItems:"8" doc:"SRTP suites in use; empty: all"`
	Ptime          int      `json:"ptime,omitempty" minimum:"0" maximum:"60" doc:"milliseconds of sound in a packet, 10 to 60; 0: 20"`
	DTMF           []string `json:"dtmf,omitempty" maxItems:"3" doc:"ways in which keys are taken: rfc4733, info, inband; empty: all"`
	NoEarlyMedia   bool     `json:"no_early_media,omitempty" doc:"nothing is spoken before the answer"`
	Prack          string   `json:"prack,omitempty" pattern:"^(auto|required|never)?$" doc:"acknowledgement of provisional responses (RFC 3262): auto, required or never; auto when empty"`
	SessionExpires int      `json:"session_expires,omitempty" minimum:"-1" maximum:"86400" doc:"seconds of the session timer (RFC 4028); 0: 1800, -1: none"`
	MinSE          int      `json:"min_se,omitempty" minimum:"0" maximum:"86400" doc:"least seconds of it agreed to; 0: 90"`
	MediaTimeout   int      `json:"rtp_timeout,omitempty" minimum:"0" maximum:"3600" doc:"seconds without sound after which a call is ended; 0: as configured"`
	HoldTimeout    int      `json:"hold_timeout,omitempty" minimum:"0" maximum:"86400" doc:"the same for a call on hold"`
	Advertise      string   `json:"advertise,omitempty" maxLength:"45" doc:"address told to this trunk; empty: as configured, or that of the interface"`
	DSCP           int      `json:"dscp,omitempty" minimum:"0" maximum:"63" doc:"mark of media packets; 0: 46, expedited forwarding"`

	NumberFormat  string            `json:"number_format,omitempty" pattern:"^(e164|digits|international|national)?$" doc:"how numbers are written to the trunk: e164 (+4930…), digits (4930…), international (004930…) or national (030…); e164 when empty"`
	StripIn       int               `json:"strip_in,omitempty" minimum:"0" maximum:"16" doc:"characters cut off numbers that come in"`
	PrefixIn      string            `json:"prefix_in,omitempty" maxLength:"16" doc:"put before numbers that come in"`
	CallerSources []string          `json:"caller_id_sources,omitempty" maxItems:"3" doc:"where a caller's number is looked for: pai, rpid, from; empty: in that order"`
	Private       bool              `json:"private,omitempty" doc:"ask the trunk to withhold the number shown"`
	Headers       map[string]string `json:"headers,omitempty" doc:"headers put on calls out"`

	Stir            string `json:"stir,omitempty" pattern:"^(off|show|require)?$" doc:"what becomes of callers whose number is not verified (STIR/SHAKEN, RFC 8224): off, nobody looks; show, it is shown; require, they are refused; show when empty. Nothing is verified before stir.roots is configured"`
	StirCertificate string `json:"stir_certificate,omitempty" maxLength:"65536" doc:"PEM chain of the certificate, with a TNAuthList, that signs the numbers of calls out; its key is stir_key; empty: they are not signed"`
	StirX5U         string `json:"stir_x5u,omitempty" maxLength:"1024" doc:"https URL at which that chain is published"`
	StirAttest      string `json:"stir_attest,omitempty" pattern:"^[ABC]?$" doc:"attestation of calls out, A, B or C; when empty, A for those from numbers of this bridge and B for others"`

	Group        string             `json:"group,omitempty" maxLength:"64" doc:"name by which rules of the dial plan lead to several trunks, of which priority, cost and weight choose"`
	Prefixes     []string           `json:"prefixes,omitempty" maxItems:"1000" doc:"beginnings of the numbers that it carries, such as +49; empty: all"`
	Rates        map[string]float64 `json:"rates,omitempty" doc:"what a minute costs by beginnings of numbers, of which the longest counts; among trunks of one priority the cheapest is tried first"`
	MaxDuration  int                `json:"max_duration,omitempty" minimum:"0" maximum:"604800" doc:"seconds that a call may last; 0: 4 hours"`
	Loopback     string             `json:"loopback,omitempty" pattern:"^([+][0-9]{3,15}|[0-9*#]{2,15})?$" doc:"number of the carrier's that gives callers their own sound back; the check calls it"`
	DailyMinutes int                `json:"daily_minutes,omitempty" minimum:"0" maximum:"10000000" doc:"minutes of calls out on one day of UTC; 0: no limit"`
}

// sealSecrets makes one sealed value of the secrets that have no column.
func (s *Store) sealSecrets(t TrunkSecrets) ([]byte, error) {
	if t == (TrunkSecrets{}) {
		return nil, nil
	}
	text, err := json.Marshal([]string{t.InPassword, t.TLSKey, t.StirKey})
	return s.seal.seal(string(text)), err
}

func (s *Store) openSecrets(sealed []byte, t *TrunkSecrets) error {
	if len(sealed) == 0 {
		return nil
	}
	text, err := s.seal.open(sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), &[]*string{&t.InPassword, &t.TLSKey, &t.StirKey})
}

// AddTrunk keeps a new trunk.
func (s *Store) AddTrunk(ctx context.Context, t Trunk) (Trunk, error) {
	t.ID = NewSecret()
	settings, err := json.Marshal(t.TrunkSettings)
	if err != nil {
		return t, err
	}
	secrets, err := s.sealSecrets(t.TrunkSecrets)
	if err != nil {
		return t, err
	}
	return t, s.exec(ctx, `INSERT INTO trunks (id, name, settings, password, secrets) VALUES (?, ?, ?, ?, ?)`, t.ID, t.Name, settings, s.seal.seal(t.Password), secrets)
}

// UpdateTrunk changes a trunk.
func (s *Store) UpdateTrunk(ctx context.Context, t Trunk) error {
	settings, err := json.Marshal(t.TrunkSettings)
	if err != nil {
		return err
	}
	secrets, err := s.sealSecrets(t.TrunkSecrets)
	if err != nil {
		return err
	}
	return s.exec(ctx, `UPDATE trunks SET name = ?, settings = ?, password = ?, secrets = ? WHERE id = ?`, t.Name, settings, s.seal.seal(t.Password), secrets, t.ID)
}

func (s *Store) scanTrunk(r row) (t Trunk, err error) {
	var settings, password, secrets []byte
	if err = r.Scan(&t.ID, &t.Name, &settings, &password, &secrets); err != nil {
		return t, err
	}
	if err = json.Unmarshal(settings, &t.TrunkSettings); err != nil {
		return t, err
	}
	if t.Password, err = s.seal.open(password); err != nil {
		return t, err
	}
	return t, s.openSecrets(secrets, &t.TrunkSecrets)
}

const trunkColumns = `id, name, settings, password, secrets`

// Trunks lists all trunks.
func (s *Store) Trunks(ctx context.Context) ([]Trunk, error) {
	return rows(ctx, s, s.scanTrunk, `SELECT `+trunkColumns+` FROM trunks ORDER BY name`)
}

// Trunk finds a trunk by id or name.
func (s *Store) Trunk(ctx context.Context, idOrName string) (Trunk, error) {
	return one(ctx, s, s.scanTrunk, `SELECT `+trunkColumns+` FROM trunks WHERE id = ?1 OR name = ?1`, idOrName)
}

// RemoveTrunk removes a trunk.
func (s *Store) RemoveTrunk(ctx context.Context, idOrName string) error {
	return s.exec(ctx, `DELETE FROM trunks WHERE id = ?1 OR name = ?1`, idOrName)
}

// SpentOn is how long the answered calls out over a trunk have lasted that
// began since a time and have ended.
func (s *Store) SpentOn(ctx context.Context, trunk string, since time.Time) (time.Duration, error) {
	ms, err := one(ctx, s, func(r row) (ms int64, err error) { return ms, r.Scan(&ms) },
		`SELECT COALESCE(SUM(ended - started), 0) FROM calls WHERE trunk = ? AND direction = 'out' AND started >= ? AND ended > started AND json_extract(detail, '$.status') = 200`, trunk, since.UnixMilli())
	return time.Duration(ms) * time.Millisecond, err
}
