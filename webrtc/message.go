package webrtc

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bridgehead/core"
)

// Bounds of what a client may send; docs/signalling.md states them.
const (
	maxMessage = 64 << 10
	maxText    = 2000 // characters
	maxName    = 64
	maxValue   = 256
	maxWants   = 50
	maxSources = 32
)

// request is a message of the client: the fields of all types together.
type request struct {
	Type      string            `json:"type"`
	Meeting   string            `json:"meeting"`
	Name      string            `json:"name"`
	Passcode  string            `json:"passcode"`
	Token     string            `json:"token"`
	Resume    string            `json:"resume"`
	ID        int               `json:"id"`
	SDP       string            `json:"sdp"`
	Sources   map[string]string `json:"sources"`
	Fresh     bool              `json:"fresh"`
	Wants     []want            `json:"wants"`
	Source    core.Source       `json:"source"`
	On        bool              `json:"on"`
	Raised    bool              `json:"raised"`
	Verb      core.Verb         `json:"verb"`
	Party     string            `json:"party"`
	Value     string            `json:"value"`
	Body      string            `json:"body"`
	Key       string            `json:"key"`
	T         float64           `json:"t"`
	Candidate string            `json:"candidate"`
}

type want struct {
	Party  string      `json:"party"`
	Source core.Source `json:"source"`
	Height int         `json:"height"`
	Mid    string      `json:"mid"`
}

var errMessage = errors.New("not a message of docs/signalling.md")

// parse reads a message of the client. Text is cut to its bounds and cleaned
// of control characters; a message beyond the other bounds is an error.
func parse(b []byte) (*request, error) {
	m := &request{}
	if len(b) > maxMessage || !utf8.Valid(b) || json.Unmarshal(b, m) != nil || m.Type == "" {
		return nil, errMessage
	}
	m.Name, m.Body = clean(m.Name, maxName), clean(m.Body, maxText)
	m.Value = clean(m.Value, maxValue)
	for _, s := range []string{m.Type, m.Meeting, m.Passcode, m.Resume, m.Party, string(m.Verb)} {
		if len(s) > maxValue {
			return nil, errMessage
		}
	}
	if len(m.Token) > 8192 || len(m.Sources) > maxSources || len(m.Wants) > maxWants {
		return nil, errMessage
	}
	for i := range m.Wants {
		w := &m.Wants[i]
		w.Height = min(max(w.Height, 0), 8640)
		if w.Source != core.Camera && w.Source != core.Screen || len(w.Party) > maxValue || len(w.Mid) > 16 {
			return nil, errMessage
		}
	}
	return m, nil
}

func clean(s string, most int) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return -1
		}
		return r
	}, s))
	for i := range s {
		if most == 0 {
			return s[:i]
		}
		most--
	}
	return s
}

// event is what the message asks of the room; nil if it asks nothing.
func (m *request) event() (core.Event, error) {
	switch m.Type {
	case "view":
		v := core.View{}
		for _, w := range m.Wants {
			v.Wants = append(v.Wants, core.Want{Party: w.Party, Source: w.Source, Height: w.Height})
		}
		return v, nil
	case "mute":
		if m.Source != core.Microphone && m.Source != core.Camera && m.Source != core.Screen {
			return nil, errMessage
		}
		return core.Mute{Source: m.Source, On: m.On}, nil
	case "hand":
		return core.Hand{Raised: m.Raised}, nil
	case "hold":
		return core.Hold{On: m.On}, nil
	case "command":
		return core.Command{Verb: m.Verb, Party: m.Party, Value: m.Value}, nil
	case "text":
		if m.Body == "" {
			return nil, nil
		}
		return core.Text{Body: m.Body, At: time.Now()}, nil
	case "rename":
		if m.Name == "" {
			return nil, nil
		}
		return core.Rename{Name: m.Name}, nil
	case "digit":
		if len(m.Key) != 1 || !strings.Contains("0123456789*#ABCD", m.Key) {
			return nil, errMessage
		}
		return core.Digit{Key: m.Key[0], Via: "web"}, nil
	}
	return nil, nil
}

// The messages of the server.
type (
	joinedMsg struct {
		Type       string      `json:"type"`
		ID         string      `json:"id"`
		Resume     string      `json:"resume"`
		Resumed    bool        `json:"resumed"`
		ICEServers []iceServer `json:"iceServers"`
	}
	iceServer struct {
		URLs       []string `json:"urls"`
		Username   string   `json:"username,omitempty"`
		Credential string   `json:"credential,omitempty"`
	}
	errorMsg struct {
		Type      string    `json:"type"`
		Code      core.Code `json:"code"`
		Message   string    `json:"message"`
		Retry     bool      `json:"retry"`
		TriesLeft *int      `json:"triesLeft,omitempty"`
		ID        *int      `json:"id,omitempty"`
	}
	byeMsg struct {
		Type    string    `json:"type"`
		Code    core.Code `json:"code"`
		Message string    `json:"message"`
	}
	simpleMsg struct {
		Type    string   `json:"type"`
		Message string   `json:"message,omitempty"`
		T       *float64 `json:"t,omitempty"`
	}
	answerMsg struct {
		Type string `json:"type"`
		ID   int    `json:"id"`
		SDP  string `json:"sdp"`
	}
	slotsMsg struct {
		Type  string    `json:"type"`
		Slots []slotMsg `json:"slots"`
	}
	slotMsg struct {
		Mid    string      `json:"mid"`
		Kind   string      `json:"kind"`
		Source core.Source `json:"source"`
		Party  string      `json:"party,omitempty"`
		Slot   *int        `json:"slot,omitempty"`
	}
	needSlotsMsg struct {
		Type  string `json:"type"`
		Audio int    `json:"audio"`
		Video int    `json:"video"`
	}
	placedMsg struct {
		Type    string      `json:"type"`
		Meeting string      `json:"meeting"`
		Name    string      `json:"name"`
		State   core.State  `json:"state"`
		Role    core.Role   `json:"role"`
		Locked  bool        `json:"locked"`
		Awaits  core.Awaits `json:"awaits,omitempty"`
	}
	rosterMsg struct {
		Type    string     `json:"type"`
		Parties []partyMsg `json:"parties"`
		Locked  bool       `json:"locked"`
		Layout  string     `json:"layout,omitempty"`
	}
	rosterChangeMsg struct {
		Type    string     `json:"type"`
		Parties []partyMsg `json:"parties"`
		Gone    []string   `json:"gone"`
		Locked  bool       `json:"locked"`
		Layout  string     `json:"layout,omitempty"`
	}
	partyMsg struct {
		ID          string         `json:"id"`
		Name        string         `json:"name"`
		Address     string         `json:"address,omitempty"`
		Protocol    core.Protocol  `json:"protocol"`
		Direction   core.Direction `json:"direction"`
		Phone       bool           `json:"phone"`
		State       core.State     `json:"state"`
		Role        core.Role      `json:"role"`
		AudioMuted  bool           `json:"audioMuted"`
		VideoMuted  bool           `json:"videoMuted"`
		HandRaised  bool           `json:"handRaised"`
		MutedByHost bool           `json:"mutedByHost"`
		Awaits      core.Awaits    `json:"awaits,omitempty"`
		Security    core.Security  `json:"security"`
		Stir        core.Stir      `json:"stir,omitzero"`
		Sources     []core.Source  `json:"sources"`
		Joined      time.Time      `json:"joined"`
	}
	speakingMsg struct {
		Type    string   `json:"type"`
		Parties []string `json:"parties"`
		Slots   []string `json:"slots"`
	}
	levelsMsg struct {
		Type string           `json:"type"`
		Of   map[string]uint8 `json:"of"`
	}
	showingMsg struct {
		Type   string      `json:"type"`
		Party  string      `json:"party"`
		Source core.Source `json:"source"`
		Layer  string      `json:"layer"`
		Paused bool        `json:"paused"`
	}
	muteMsg struct {
		Type   string      `json:"type"`
		Source core.Source `json:"source"`
		On     bool        `json:"on"`
		By     string      `json:"by"`
	}
	textMsg struct {
		Type string    `json:"type"`
		From string    `json:"from"`
		Name string    `json:"name"`
		Body string    `json:"body"`
		At   time.Time `json:"at"`
	}
	noticeMsg struct {
		Type string `json:"type"`
		Code string `json:"code"`
		Text string `json:"text"`
	}
	holdMsg struct {
		Type string `json:"type"`
		On   bool   `json:"on"`
	}
	statsMsg struct {
		Type    string     `json:"type"`
		RTT     float64    `json:"rtt"`
		Bitrate int        `json:"bitrate"`
		Suite   string     `json:"suite"`
		Audio   mediaStats `json:"audio"`
		Video   mediaStats `json:"video"`
	}
	preferMsg struct {
		Type  string `json:"type"`
		Codec string `json:"codec"`
		Fmtp  string `json:"fmtp"`
	}
	mediaStats struct {
		Codec        string  `json:"codec"`
		Received     uint64  `json:"received"`
		Sent         uint64  `json:"sent"`
		Lost         uint64  `json:"lost"`
		Jitter       float64 `json:"jitter"`
		RemoteLost   uint64  `json:"remoteLost"`
		RemoteJitter float64 `json:"remoteJitter"`
	}
)

// message is an event of the room as the client reads it; nil if it is none of
// the client's business.
func message(e core.Event) any {
	switch e := e.(type) {
	case core.Placed:
		return placedMsg{"placed", e.Meeting, e.Name, e.State, e.Role, e.Locked, e.Awaits}
	case core.Roster:
		return roster(e)
	case core.Speaking:
		return speakingMsg{"speaking", list(e.Parties), list(e.Slots)}
	case core.Levels:
		return levelsMsg{"levels", e.Of}
	case core.Showing:
		return showingMsg{"showing", e.Track.Party, e.Track.Source, e.Track.Layer, e.Paused}
	case core.Mute:
		return muteMsg{"mute", e.Source, e.On, e.By}
	case core.Floor:
		if !e.On { // who presents instead has taken it
			return muteMsg{"mute", core.Screen, true, e.By}
		}
	case core.Prefer:
		return preferMsg{"prefer", e.Video.Name, e.Video.Fmtp}
	case core.Text:
		return textMsg{"text", e.From, e.Name, e.Body, e.At}
	case core.Notice:
		return noticeMsg{"notice", e.Code, e.Text}
	case core.Hold:
		return holdMsg{"hold", e.On}
	}
	return nil
}

func roster(r core.Roster) rosterMsg {
	m := rosterMsg{Type: "roster", Parties: make([]partyMsg, len(r.Parties)), Locked: r.Locked, Layout: r.Layout}
	for i := range r.Parties {
		m.Parties[i] = partyOf(&r.Parties[i])
	}
	return m
}

func partyOf(p *core.Party) partyMsg {
	return partyMsg{
		ID: p.ID, Name: p.Name, Address: p.Address, Protocol: p.Protocol, Direction: p.Direction, Phone: p.Phone,
		State: p.State, Role: p.Role, AudioMuted: p.AudioMuted, VideoMuted: p.VideoMuted, HandRaised: p.HandRaised,
		MutedByHost: p.MutedByHost, Security: p.Security, Stir: p.Stir, Sources: list(p.Sources), Joined: p.Joined, Awaits: p.Awaits,
	}
}

// rosterChange is what has changed since the client knew the parties old. In a
// large meeting the whole list, to all, at each who comes, would be most of what
// the gateway does. Parties stand in the order in which they came.
func rosterChange(old []core.Party, r core.Roster) rosterChangeMsg {
	m := rosterChangeMsg{"roster-change", []partyMsg{}, []string{}, r.Locked, r.Layout}
	now := r.Parties
	for i := range old {
		if len(now) == 0 || now[0].ID != old[i].ID {
			m.Gone = append(m.Gone, old[i].ID)
			continue
		}
		if !sameParty(&old[i], &now[0]) {
			m.Parties = append(m.Parties, partyOf(&now[0]))
		}
		now = now[1:]
	}
	for i := range now {
		m.Parties = append(m.Parties, partyOf(&now[i]))
	}
	return m
}

func sameParty(a, b *core.Party) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Address == b.Address && a.Protocol == b.Protocol && a.Direction == b.Direction &&
		a.Phone == b.Phone && a.State == b.State && a.Role == b.Role && a.AudioMuted == b.AudioMuted && a.VideoMuted == b.VideoMuted &&
		a.HandRaised == b.HandRaised && a.MutedByHost == b.MutedByHost && a.Awaits == b.Awaits && a.Security == b.Security && a.Stir == b.Stir &&
		a.Joined.Equal(b.Joined) && slices.Equal(a.Sources, b.Sources)
}

// list is never null in JSON.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
