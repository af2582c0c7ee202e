// Package config is the gateway's configuration: one tree of structs with its
// defaults, read once from file, environment and flags and then never changed.
// A reload reads a new tree. Each key is the same word in all three places:
// listen.https, BRIDGEHEAD_LISTEN_HTTPS, --listen.https.
package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// Config is all that can be configured. The tags say the default, the check
// that a value must pass, and the line of help.
type Config struct {
	Data      string    `key:"data" default:"./data" check:"required" help:"directory of all state: database, certificate, keys"`
	Domain    string    `key:"domain" help:"public host name of this gateway; found by itself when empty"`
	Language  string    `key:"language" default:"en" check:"language" help:"language of the spoken prompts"`
	Listen    Listen    `key:"listen"`
	RTP       RTP       `key:"rtp"`
	TLS       TLS       `key:"tls"`
	SIP       SIP       `key:"sip"`
	Stir      Stir      `key:"stir"`
	H323      H323      `key:"h323"`
	PSTN      PSTN      `key:"pstn"`
	WebRTC    WebRTC    `key:"webrtc"`
	Video     Video     `key:"video"`
	Limits    Limits    `key:"limits"`
	Passcode  Passcode  `key:"passcode"`
	Records   Records   `key:"records"`
	Mail      Mail      `key:"mail"`
	SignUp    SignUp    `key:"signup"`
	Metrics   Metrics   `key:"metrics"`
	Block     Block     `key:"block"`
	Homer     Homer     `key:"homer"`
	Telemetry Telemetry `key:"telemetry"`
	Chat      Chat      `key:"chat"`
	DNS       DNS       `key:"dns"`
	Log       Log       `key:"log"`
}

// Listen are the addresses listened on, host:port each. Port 0 takes any free
// port; an empty value turns the listener off.
type Listen struct {
	HTTPS     string `key:"https" default:":8443" check:"hostport" help:"web client, console, API and signalling of browsers"`
	WebRTC    string `key:"webrtc" default:":8443" check:"hostport" help:"UDP port of all WebRTC media"`
	WebRTCTCP string `key:"webrtc_tcp" default:":8444" check:"hostport" help:"TCP port of WebRTC media, for networks without UDP"`
	SIPS      string `key:"sips" default:":5061" check:"hostport" help:"SIP over TLS, SRTP required"`
	SIP       string `key:"sip" default:":5060" check:"hostport" help:"SIP in clear over UDP and TCP, for configured trunks"`
	BFCP      string `key:"bfcp" default:":5070" check:"hostport" help:"floor control of SIP rooms that present (BFCP over TCP and UDP, in encrypted calls by TLS and DTLS)"`
	H323      string `key:"h323" default:":1720" check:"hostport" help:"H.323 call signalling, media encrypted by H.235"`
	H323TLS   string `key:"h323_tls" default:":1300" check:"hostport" help:"H.323 call signalling over TLS"`
	RAS       string `key:"ras" default:":1719" check:"hostport" help:"gatekeeper for H.323 endpoints (H.225.0 RAS)"`
	TURN      string `key:"turn" default:":3478" check:"hostport" help:"STUN and TURN over UDP and TCP"`
	TURNS     string `key:"turns" default:":5349" check:"hostport" help:"TURN over TLS"`
}

// RTP is the media of SIP and H.323 legs.
type RTP struct {
	Ports     string `key:"ports" default:"20000-29999" check:"ports" help:"UDP ports of SIP and H.323 media"`
	Advertise string `key:"advertise" check:"ip" help:"IP address told to peers; found by itself when empty"`
	Bind      string `key:"bind" check:"ip" help:"local IP address of the media sockets; all when empty"`
	Share     bool   `key:"share" default:"true" help:"let callers who send from where they say share ports: each costs less"`
}

// TLS is the certificate of all TLS listeners.
type TLS struct {
	Certificate string `key:"certificate" check:"file" help:"PEM file with the certificate chain; self-signed when empty"`
	Key         string `key:"key" check:"file" help:"PEM file with its private key"`
}

// SIP is the SIP edge.
type SIP struct {
	Legacy bool `key:"legacy" default:"false" help:"let unencrypted SIP endpoints call over listen.sip; they are badged as clear"`
}

// Stir is by what the numbers of callers over trunks are verified (STIR/SHAKEN).
type Stir struct {
	Roots string   `key:"roots" check:"file" help:"PEM file with the certification authorities (STI-CA) that vouch for the signers of callers' numbers; when empty, none is verified"`
	Allow []string `key:"allow" check:"prefix" help:"networks that signers' certificates may be fetched from beside the public Internet, such as that of a repository of one's own; none when empty"`
}

// Prefixes are the networks of Allow.
func (s Stir) Prefixes() []netip.Prefix { return prefixes(s.Allow) }

// H323 is the H.323 edge, its gatekeeper, and registration at another one.
type H323 struct {
	Legacy     bool     `key:"legacy" default:"false" help:"let H.323 systems without H.235 call, and register without a password; they are badged as clear"`
	Neighbours []string `key:"neighbours" check:"prefix" help:"addresses of gatekeepers that may ask where numbers lead, such as 192.0.2.0/24"`
	Alternates []string `key:"alternates" help:"other gatekeepers, as host:port, that registered endpoints turn to when this one is silent"`
	Gatekeeper string   `key:"gatekeeper" help:"host or host:port of an outside gatekeeper to register at; none when empty"`
	Aliases    []string `key:"aliases" help:"names and numbers of this gateway at the outside gatekeeper"`
	Prefixes   []string `key:"prefixes" help:"prefixes of numbers that lead to this gateway there"`
	User       string   `key:"user" help:"user name at the outside gatekeeper (H.235.1)"`
	Password   string   `key:"password" help:"its password"`
}

// PSTN is the telephone network.
type PSTN struct {
	Country   string   `key:"country" default:"" check:"country" help:"ISO code of the country whose numbers are dialled without prefix, such as DE"`
	Countries []string `key:"countries" check:"country" help:"ISO codes of the countries that hosts may dial out to; none when empty"`
	Enum      []string `key:"enum" help:"DNS suffixes under which the SIP address of a number that is called is looked up before any trunk is tried (ENUM, RFC 6116), such as e164.arpa; none when empty"`
	PerHour   int      `key:"calls_per_hour" default:"60" check:"0-100000" help:"calls to telephones that one account may place in an hour; 0: any number"`
	ToCountry int      `key:"country_calls_per_hour" default:"1000" check:"0-1000000" help:"calls to the telephones of one country in an hour; 0: any number"`
}

// WebRTC is the browsers' edge.
type WebRTC struct {
	Origins []string `key:"origins" help:"further web origins that may open the signalling socket"`
}

// Video is the picture of those who show one only: SIP and H.323 systems.
type Video struct {
	Layout string `key:"layout" default:"speaker" check:"speaker|2x2|3x3|4x4|1+7|content|switched" help:"how it is composed in meetings that say nothing else; switched: who speaks, as they send it"`
	Lines  int    `key:"lines" default:"720" check:"720-2160" help:"height of the largest pictures that SIP systems may send: 720, 1080 or 2160; those whose limits are lower then see them composed only"`
	CPU    int    `key:"cpu" default:"50" check:"0-100" help:"share of all cores, in per cent, that composing may take; 0: nothing is composed"`
	Worker string `key:"worker" help:"program that composes; bridgehead-media beside this one when empty"`
}

// Limits bound what the machine takes on.
type Limits struct {
	Calls         int `key:"calls" default:"2000" check:"1-100000" help:"calls at one time"`
	CallsPerSrc   int `key:"calls_per_source" default:"100" check:"1-100000" help:"calls at one time from one address that is no trunk"`
	SetupsPerSrc  int `key:"setups_per_source" default:"20" check:"1-100000" help:"new calls a second from one address that is no trunk"`
	MediaTimeout  int `key:"media_timeout" default:"60" check:"5-3600" help:"seconds without a packet after which a call is ended"`
	HoldTimeout   int `key:"hold_timeout" default:"300" check:"5-86400" help:"the same while the call is held"`
	CPU           int `key:"cpu" default:"85" check:"0-100" help:"share of all cores, in per cent, above which new calls are refused, so that those under way stay well; 0: never"`
	MaxCallMinute int `key:"call_minutes" default:"1440" check:"1-10080" help:"longest call, in minutes"`
}

// Passcode guards against guessing.
type Passcode struct {
	Tries   int `key:"tries" default:"20" check:"3-1000" help:"wrong passcodes from one source within the window before it is refused"`
	Meeting int `key:"meeting_tries" default:"100" check:"3-100000" help:"wrong passcodes for one meeting from all sources within the window before it takes none; its owner, signed in, needs none"`
	Window  int `key:"window" default:"600" check:"10-86400" help:"length of the window, in seconds"`
}

// Records is what is kept of calls.
type Records struct {
	Days      int `key:"days" default:"180" check:"1-3650" help:"days that call records are kept"`
	TraceDays int `key:"trace_days" default:"30" check:"1-3650" help:"days that a call's signalling and the course of its sound are kept; the record stays"`
}

// Mail is the server that takes what the gateway sends, such as invitations.
type Mail struct {
	Server   string `key:"server" check:"server" help:"mail server that takes invitations, as host:port; no mail is sent when empty"`
	Security string `key:"security" default:"starttls" check:"starttls|tls|none" help:"how the way to it is encrypted"`
	User     string `key:"user" help:"user name there; none when empty"`
	Password string `key:"password" help:"its password"`
	From     string `key:"from" help:"address that the mail comes from, such as Bridgehead <meet@example.org>"`
}

// Homer is a Homer (sipcapture.org) that is told of all SIP messages, and how calls
// are heard.
type Homer struct {
	Server string `key:"server" check:"server" help:"host:port that SIP messages, with secrets masked, and RTCP reports are sent to by HEPv3 over UDP; none when empty"`
	Agent  int    `key:"agent" default:"2001" check:"1-2147483647" help:"number of this gateway as a capture agent"`
}

// Telemetry is where traces go.
type Telemetry struct {
	OTLP string `key:"otlp_endpoint" check:"url" help:"collector that a trace of each call is sent to by OpenTelemetry's OTLP over HTTP, such as http://127.0.0.1:4318; none when empty"`
}

// Metrics are what Prometheus reads at /metrics.
type Metrics struct {
	OpenTo []string `key:"open_to" check:"prefix" help:"networks that may read /metrics without a superuser's token, such as 127.0.0.0/8; none when empty"`
}

// Prefixes are the networks of OpenTo.
func (m Metrics) Prefixes() []netip.Prefix { return prefixes(m.OpenTo) }

// Block is when sources that attack over SIP, H.323 and HTTPS are dropped.
type Block struct {
	Strikes int      `key:"strikes" default:"100" check:"0-1000000" help:"wrong numbers, passwords and messages from one source within the window before it is blocked; 0: none ever is"`
	Window  int      `key:"window" default:"600" check:"10-86400" help:"length of the window, in seconds"`
	Length  int      `key:"length" default:"600" check:"10-86400" help:"seconds that the first block lasts; each further one within a day lasts twice as long"`
	Allow   []string `key:"allow" default:"127.0.0.0/8,::1" check:"prefix" help:"networks that are never blocked; trunks' sources never are anyway"`
}

// Prefixes are the networks of Allow.
func (b Block) Prefixes() []netip.Prefix { return prefixes(b.Allow) }

func prefixes(texts []string) (list []netip.Prefix) {
	for _, s := range texts {
		if p, err := netip.ParsePrefix(s); err == nil {
			list = append(list, p.Masked())
		} else if a, err := netip.ParseAddr(s); err == nil {
			list = append(list, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return list
}

// Chat is what is kept of what people write. Whether they may is switched at
// run time.
type Chat struct {
	Retention int `key:"retention" default:"30" check:"1-3650" help:"days that messages are kept"`
}

// DNS is what the page /network says of this gateway's zone.
type DNS struct {
	TTL int `key:"ttl" default:"3600" check:"60-604800" help:"seconds for which its records may be kept"`
}

// Log is the log on standard error.
type Log struct {
	Level  string `key:"level" default:"info" check:"debug|info|warn|error" help:"least severe level logged"`
	Format string `key:"format" default:"text" check:"text|json" help:"form of the log lines"`
}

// Fault is one thing wrong with the configuration.
type Fault struct {
	File   string // empty: environment, flag or default
	Key    string
	Value  string
	Why    string
	Remedy string
}

func (f Fault) Error() string {
	where := f.File
	if where == "" {
		where = "configuration"
	}
	if f.Key == "" {
		return fmt.Sprintf("%s: %s; %s", where, f.Why, f.Remedy)
	}
	return fmt.Sprintf("%s: %s = %q: %s; %s", where, f.Key, f.Value, f.Why, f.Remedy)
}

// field is one key of the tree.
type field struct {
	key, fallback, check, help string
	kind                       reflect.Kind
}

// fields walks the tree.
func fields() (list []field) {
	var walk func(t reflect.Type, prefix string)
	walk = func(t reflect.Type, prefix string) {
		for i := range t.NumField() {
			f := t.Field(i)
			key := prefix + f.Tag.Get("key")
			if f.Type.Kind() == reflect.Struct {
				walk(f.Type, key+".")
				continue
			}
			list = append(list, field{key, f.Tag.Get("default"), f.Tag.Get("check"), f.Tag.Get("help"), f.Type.Kind()})
		}
	}
	walk(reflect.TypeFor[Config](), "")
	return list
}

// Flags adds a flag for every key.
func Flags(set *pflag.FlagSet) {
	for _, f := range fields() {
		help := f.help
		if f.fallback != "" {
			help += fmt.Sprintf(" (default %q)", f.fallback)
		}
		set.String(f.key, "", help)
	}
}

// Load reads file (none when empty), environment and the flags that were set,
// each overruling the one before, and checks the result. The error joins every
// [Fault] found.
func Load(file string, flags *pflag.FlagSet) (*Config, error) {
	v := viper.New()
	if file != "" {
		v.SetConfigFile(file)
		if err := v.ReadInConfig(); err != nil {
			return nil, Fault{File: file, Why: readFault(err), Remedy: "see config.sample.yaml for the form"}
		}
	}
	faults := unknownKeys(file, v.AllKeys())
	values := map[string]any{}
	for _, f := range fields() {
		value, source := lookup(v, f, file, flags)
		if why, remedy := f.wrong(value); why != "" {
			faults = append(faults, Fault{source, f.key, value, why, remedy})
			continue
		}
		set(values, strings.Split(f.key, "."), f.typed(value))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	c := &Config{}
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: c, TagName: "key"})
	if err == nil {
		err = d.Decode(values)
	}
	if err != nil {
		return nil, Fault{File: file, Why: err.Error(), Remedy: "see config.sample.yaml for the form"}
	}
	return c, c.consistent(file)
}

// readFault keeps the reader's line number, without the noise around it.
func readFault(err error) string {
	var missing *os.PathError
	if errors.As(err, &missing) {
		return missing.Err.Error()
	}
	return strings.TrimPrefix(err.Error(), "While parsing config: ")
}

func lookup(v *viper.Viper, f field, file string, flags *pflag.FlagSet) (value, source string) {
	if flags != nil {
		if flag := flags.Lookup(f.key); flag != nil && flag.Changed {
			return flag.Value.String(), "flag"
		}
	}
	if env, ok := os.LookupEnv("BRIDGEHEAD_" + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))); ok {
		return env, "environment"
	}
	if !v.IsSet(f.key) {
		return f.fallback, ""
	}
	if f.kind == reflect.Slice {
		return strings.Join(v.GetStringSlice(f.key), ","), file
	}
	return v.GetString(f.key), file
}

func unknownKeys(file string, keys []string) (faults []error) {
	known := fields()
	for _, key := range keys {
		if !slices.ContainsFunc(known, func(f field) bool { return f.key == key }) {
			faults = append(faults, Fault{File: file, Key: key, Why: "no such key", Remedy: "remove it, or see config.sample.yaml for the right name"})
		}
	}
	return faults
}

func (f field) typed(value string) any {
	switch f.kind {
	case reflect.Int:
		n, _ := strconv.Atoi(value)
		return n
	case reflect.Bool:
		b, _ := strconv.ParseBool(value)
		return b
	case reflect.Slice:
		return list(value)
	}
	return value
}

func list(value string) (items []string) {
	for _, s := range strings.Split(value, ",") {
		if s = strings.TrimSpace(s); s != "" {
			items = append(items, s)
		}
	}
	return items
}

func set(m map[string]any, path []string, value any) {
	for _, p := range path[:len(path)-1] {
		next, ok := m[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[p] = next
		}
		m = next
	}
	m[path[len(path)-1]] = value
}

// consistent checks what concerns several keys.
func (c *Config) consistent(file string) error {
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		return Fault{file, "tls.key", c.TLS.Key, "certificate and key go together", "set both tls.certificate and tls.key, or neither"}
	}
	return nil
}

// RTPPorts is the range of RTP.Ports.
func (c *Config) RTPPorts() (first, last int) {
	first, last, _ = parsePorts(c.RTP.Ports)
	return first, last
}

// WindowDuration is the length of time in which wrong passcodes count.
func (p Passcode) WindowDuration() time.Duration { return time.Duration(p.Window) * time.Second }
