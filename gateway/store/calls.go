package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Call is the record of a call, or of an attempt that was refused.
type Call struct {
	ID        string     `json:"id"`
	Started   time.Time  `json:"started"`
	Ended     time.Time  `json:"ended,omitzero"`
	Protocol  string     `json:"protocol"`
	Direction string     `json:"direction"`
	From      string     `json:"from"`
	To        string     `json:"to"`
	Source    string     `json:"source"`
	Meeting   string     `json:"meeting,omitempty"`
	Trunk     string     `json:"trunk,omitempty"`
	Account   string     `json:"account,omitempty" doc:"of the caller, or whose device called"`
	Code      string     `json:"code,omitempty"`
	Detail    CallDetail `json:"detail"`
	Ladder    []Step     `json:"-"`
	Media     []Sample   `json:"-"`
}

// CallDetail is the rest of a record.
type CallDetail struct {
	Name     string       `json:"name,omitempty"`
	Reason   string       `json:"reason,omitempty"` // for the operator
	Status   int          `json:"status,omitempty"` // of the final response, or the Q.850 cause of H.323, where there was one
	Answered time.Time    `json:"answered,omitzero"`
	Request  CallRequest  `json:"request,omitzero" doc:"the same in all attempts of one call out, over one trunk after the other"`
	TraceID  string       `json:"trace_id,omitempty" doc:"of its trace (W3C trace context), where the gateway exports traces (telemetry.otlp_endpoint)"`
	Security CallSecurity `json:"security,omitzero"`
	Stir     CallStir     `json:"stir,omitzero" doc:"what is known of the number of a caller on the telephone network (STIR, RFC 8224)"`
	Audio    Stats        `json:"audio,omitzero"`
	Video    Stats        `json:"video,omitzero"`
	MOS      float64      `json:"mos,omitempty" doc:"of what was heard of the caller, by the E-model (ITU-T G.107)"`
	// Keys counts those pressed, by the way that they came.
	Keys     map[string]int `json:"keys,omitempty"`
	Findings []Finding      `json:"findings,omitempty" doc:"what was wrong with it, the verdict first"`
	LeftOut  int            `json:"left_out,omitempty" doc:"steps that the ladder had no room for, from its middle"`
}

// CallRequest is a call out, whatever attempts it took.
type CallRequest struct {
	ID string `json:"id"`
	By string `json:"by,omitempty" doc:"account, device or number that asked for it"`
	To string `json:"to"`
}

// CallSecurity says how a call was protected.
type CallSecurity struct {
	Signalling string `json:"signalling"`
	Media      string `json:"media"`
	Suite      string `json:"suite,omitempty"`
}

// CallStir says how far a caller's number is vouched for.
type CallStir struct {
	Result string `json:"result" doc:"verified, or why it is not: no identity, stale, number differs, signature wrong, certificate untrusted and the like"`
	Attest string `json:"attest,omitempty" enum:"A,B,C" doc:"the signer's word: A, the number is the caller's; B, it knows the caller and not the number; C, neither"`
	By     string `json:"by" enum:"bridge,carrier" doc:"who has verified it; carrier: it says so"`
}

// Finding is what the call doctor has to say, in plain words.
type Finding struct {
	Code   string `json:"code" doc:"which finding it is, such as no-audio-in"`
	Grade  string `json:"grade" enum:"good,poor,failed,open"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// Stats of one kind of media as records and API show them.
type Stats struct {
	Codec           string    `json:"codec"`
	PacketsReceived uint64    `json:"packets_received"`
	PacketsSent     uint64    `json:"packets_sent"`
	PacketsLost     uint64    `json:"packets_lost"`
	JitterMS        float64   `json:"jitter_ms"`
	RemoteLost      uint64    `json:"remote_packets_lost"`
	RemoteJitterMS  float64   `json:"remote_jitter_ms"`
	RTTMS           float64   `json:"rtt_ms"`
	Width           int       `json:"width,omitempty"`
	Height          int       `json:"height,omitempty"`
	FPS             int       `json:"fps,omitempty"`
	BitrateKbps     int       `json:"bitrate_kbps,omitempty"`
	Port            int       `json:"port,omitempty" doc:"of the bridge"`
	Signalled       string    `json:"signalled,omitempty" doc:"where the peer said that its media is"`
	Found           string    `json:"found,omitempty" doc:"where its media came from"`
	First           time.Time `json:"first,omitzero" doc:"when its first packet came"`
	Last            time.Time `json:"last,omitzero"`
	// What came and was not taken.
	Strange     uint64 `json:"strange,omitempty" doc:"packets dropped that came from another address than the peer's"`
	Stranger    string `json:"stranger,omitempty" doc:"the first such address"`
	Unknown     uint64 `json:"unknown,omitempty" doc:"packets dropped of a payload type that was not agreed on"`
	UnknownType int    `json:"unknown_type,omitempty" doc:"the last such type"`
	Forged      uint64 `json:"forged,omitempty" doc:"packets dropped that are not authentic"`
	// How it sounded, where somebody listened.
	Listened uint64 `json:"listened,omitempty" doc:"frames of 20 ms that were decoded"`
	Clipped  uint64 `json:"clipped,omitempty" doc:"frames that reach full scale"`
	Loudest  int    `json:"loudest_dbov,omitempty" doc:"-127 is silence"`
	Compared uint64 `json:"echo_windows,omitempty" doc:"of 10 s, in which the others talked and their echo was sought in the sound; now and then one"`
	Echoes   uint64 `json:"echoes,omitempty" doc:"windows with an echo"`
	EchoMS   int    `json:"echo_ms,omitempty" doc:"how much later it came"`
}

// Sample is how a call's sound was at one time. What is counted is so since the
// call began.
type Sample struct {
	At         time.Time `json:"at"`
	Codec      string    `json:"codec,omitempty"`
	Received   uint64    `json:"received"`
	Lost       uint64    `json:"lost"`
	Sent       uint64    `json:"sent"`
	RemoteLost uint64    `json:"remote_lost"`
	JitterMS   float64   `json:"jitter_ms"`
	RTTMS      float64   `json:"rtt_ms"`
	LevelDBov  int       `json:"level_dbov" doc:"-127: silence, or nobody listens"`
}

// Step is one line of a call's ladder.
type Step struct {
	At      time.Time `json:"at"`
	From    string    `json:"from,omitempty" doc:"who sent the message, as address:port; empty: it is no message"`
	To      string    `json:"to,omitempty"`
	Network string    `json:"network,omitempty" doc:"udp, tcp, tls, wss"`
	What    string    `json:"what" doc:"method or status, or what happened: routed, refused, media, alarm, end and the like"`
	Text    string    `json:"text,omitempty" doc:"the message, secrets masked, or the rest in words"`
	Wire    []byte    `json:"wire,omitempty" doc:"the message in octets, masked, where it is no text: a TPKT of H.323"`
}

// SaveCall writes a record, or overwrites it by its ID.
func (s *Store) SaveCall(ctx context.Context, c Call) error {
	detail, err := json.Marshal(c.Detail)
	if err != nil {
		return err
	}
	ladder, err := list(c.Ladder)
	if err != nil {
		return err
	}
	media, err := list(c.Media)
	if err != nil {
		return err
	}
	var ended int64
	if !c.Ended.IsZero() {
		ended = c.Ended.UnixMilli()
	}
	return s.exec(ctx, `INSERT INTO calls (id, started, ended, protocol, direction, caller, called, source, meeting, trunk, code, detail, ladder, media, account)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (SELECT id FROM users WHERE id = ?)) ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, meeting = excluded.meeting,
		caller = excluded.caller, called = excluded.called, trunk = excluded.trunk, code = excluded.code, detail = excluded.detail, ladder = excluded.ladder, media = excluded.media`,
		c.ID, c.Started.UnixMilli(), ended, c.Protocol, c.Direction, c.From, c.To, c.Source, c.Meeting, c.Trunk, c.Code, detail, ladder, media, c.Account)
}

// list is never null.
func list[T any](l []T) (string, error) {
	if len(l) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(l)
	return string(b), err
}

const callColumns = `id, started, ended, protocol, direction, caller, called, source, meeting, trunk, code, detail, COALESCE(account, '')`

func scanCall(r row) (c Call, err error) {
	return scanCallAnd(r)
}

func scanCallAnd(r row, more ...any) (c Call, err error) {
	var started, ended int64
	var detail []byte
	if err = r.Scan(append([]any{&c.ID, &started, &ended, &c.Protocol, &c.Direction, &c.From, &c.To, &c.Source, &c.Meeting, &c.Trunk, &c.Code, &detail, &c.Account}, more...)...); err != nil {
		return c, err
	}
	c.Started = time.UnixMilli(started).UTC()
	if ended != 0 {
		c.Ended = time.UnixMilli(ended).UTC()
	}
	return c, json.Unmarshal(detail, &c.Detail)
}

// Calls lists the newest records of calls that have ended, of one meeting if it is not empty.
func (s *Store) Calls(ctx context.Context, meeting string, limit int) ([]Call, error) {
	return rows(ctx, s, scanCall, `SELECT `+callColumns+` FROM calls WHERE ended <> 0 AND (?1 = '' OR meeting = ?1) ORDER BY started DESC LIMIT ?2`, meeting, limit)
}

// CallsBetween lists the calls that have ended and began in [from, to), oldest
// first; those of one meeting and of one trunk, where they are not empty.
func (s *Store) CallsBetween(ctx context.Context, from, to time.Time, meeting, trunk string, limit int) ([]Call, error) {
	return rows(ctx, s, scanCall, `SELECT `+callColumns+` FROM calls WHERE ended <> 0 AND started >= ?1 AND started < ?2 AND (?3 = '' OR meeting = ?3) AND (?4 = '' OR trunk = ?4) ORDER BY started LIMIT ?5`,
		from.UnixMilli(), to.UnixMilli(), meeting, trunk, limit)
}

// CallsOf lists the newest records of an account's calls that have ended.
func (s *Store) CallsOf(ctx context.Context, account string, limit int) ([]Call, error) {
	return rows(ctx, s, scanCall, `SELECT `+callColumns+` FROM calls WHERE ended <> 0 AND account = ?1 ORDER BY started DESC LIMIT ?2`, account, limit)
}

// Call finds a record with its ladder.
func (s *Store) Call(ctx context.Context, id string) (Call, error) {
	return one(ctx, s, func(r row) (Call, error) {
		var ladder, media []byte
		c, err := scanCallAnd(r, &ladder, &media)
		if err == nil {
			err = errors.Join(json.Unmarshal(ladder, &c.Ladder), json.Unmarshal(media, &c.Media))
		}
		return c, err
	}, `SELECT `+callColumns+`, ladder, media FROM calls WHERE id = ?`, id)
}

// CallsOut lists the calls to telephones that were asked for since a time, oldest
// first: one record of each, whatever attempts it took.
func (s *Store) CallsOut(ctx context.Context, since time.Time) ([]Call, error) {
	return rows(ctx, s, scanCall, `SELECT `+callColumns+` FROM calls WHERE started >= ? AND direction = 'out' AND json_extract(detail, '$.request.to') LIKE '+%'
		GROUP BY json_extract(detail, '$.request.id') HAVING started = MIN(started) ORDER BY started`, since.UnixMilli())
}

// PurgeCalls deletes records that began before a time.
func (s *Store) PurgeCalls(ctx context.Context, before time.Time) error {
	return s.run(ctx, `DELETE FROM calls WHERE started < ?`, before.UnixMilli())
}

// PurgeTraces takes ladders and courses of sound out of the records that began
// before a time, and of all but the newest keep.
func (s *Store) PurgeTraces(ctx context.Context, before time.Time, keep int) error {
	return s.run(ctx, `UPDATE calls SET ladder = '[]', media = '[]' WHERE (ladder <> '[]' OR media <> '[]') AND (started < ?1 OR started <
		(SELECT started FROM calls WHERE ladder <> '[]' OR media <> '[]' ORDER BY started DESC LIMIT 1 OFFSET ?2))`, before.UnixMilli(), keep-1)
}

// Forget has what was deleted leave the disk now, and not when its place is
// needed: pages are overwritten when they become free, the log is emptied.
func (s *Store) Forget(ctx context.Context) error {
	return s.run(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
}

// CloseOpenCalls ends the records of calls that a stop of the process cut off.
func (s *Store) CloseOpenCalls(ctx context.Context) error {
	return s.run(ctx, `UPDATE calls SET ended = ?, code = 'shutdown' WHERE ended = 0`, time.Now().UnixMilli())
}
