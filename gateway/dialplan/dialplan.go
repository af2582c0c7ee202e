// Package dialplan decides where a call leads: to a meeting, the reception,
// another device, or nowhere; and where a call that a meeting places goes out.
// Passcodes become roles here, the same way for every protocol.
package dialplan

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"bridgehead/core"
	"bridgehead/core/clock"
	"bridgehead/core/compose"
	"bridgehead/core/edge"
	"bridgehead/core/ivr"
	"bridgehead/core/meet"
	"bridgehead/gateway/records"
	"bridgehead/gateway/store"
)

// Options of [New].
type Options struct {
	Store *store.Store
	Clock *clock.Clock
	Voice *ivr.Voice
	// Voices finds the voice of a language; nil, or if it gives nil: Voice.
	Voices func(language string) *ivr.Voice
	// Home is what calls to telephones are subject to; nil: none are let out but
	// by rules.
	Home func() Home
	// Composer makes pictures for those who show one only; nil: nothing is
	// composed. Layout is that of meetings that say none.
	Composer *compose.Composer
	Layout   compose.Layout
	Guard    *Guard
	Book     *records.Book
	// Blocks are told of those who guess numbers and passcodes over SIP and H.323;
	// nil: nobody is.
	Blocks *edge.Blocks
	// Tolls bound calls to telephones; nil: nothing does.
	Tolls *Tolls
	// Admit refuses a new call when there is no room for it; nil: there always
	// is.
	Admit func() error
	// Chat follows what is written in meetings; nil: nobody does.
	Chat meet.Chat
	// Notify is told of every change in any meeting.
	Notify func(meet.Change)
	// Typed is told what callers type at the reception: see [ivr.Desk]. May be nil.
	Typed func(leg core.Leg, question, answer, via string)
	Log   *slog.Logger
}

// Plan implements core.Dialplan.
type Plan struct {
	opt   Options
	Live  *Live
	desk  ivr.Desk
	edges []dialer
	table atomic.Pointer[Table]
	// telephone is called by telephoned, and for our own numbers by CallOwn.
	telephone Telephones
	// speaking is how many callers are now told that there is no room.
	speaking atomic.Int32
	// Registered gives the scheme of the address by which a device is called
	// now; nil: sip for all.
	Registered func(user string) (scheme string)
	// Present tells whether a device is registered; nil: nobody knows.
	Present func(user string) bool
}

// New makes a plan; [Plan.Dialers] must follow before anybody dials out.
func New(o Options) *Plan {
	p := &Plan{opt: o, desk: ivr.Desk{Clock: o.Clock, Voice: o.Voice, Composer: o.Composer, Typed: o.Typed, Log: o.Log}}
	p.Live = &Live{store: o.Store, clock: o.Clock, voice: o.Voice, composer: o.Composer, layout: o.Layout, log: o.Log, dial: p.DialOut, chat: o.Chat, notify: o.Notify, meetings: map[string]*meet.Meeting{}, pairs: map[string]int{}}
	return p
}

// Route finds where a call leads, and opens its record.
func (p *Plan) Route(ctx context.Context, call core.Call) (core.Room, error) {
	p.opt.Book.Begin(redact(call))
	room, err := p.admit(ctx, call)
	if err != nil {
		r := core.ReasonOf(err)
		p.opt.Book.Step(call.Info.ID, step("refused", r.Error()))
		switch {
		case call.Info.Protocol == core.WebRTC: // shows it
			p.refused(call, r)
			return nil, err
		case r.Code == core.Overload:
			if p.speaking.Load() >= maxSpoken {
				return nil, err
			}
			return p.opt.Book.Watch(p.overloaded(r)), nil
		case call.Trunk != "" && r.Code == core.NotFound:
			// The carrier announces that itself, or looks for another way. The
			// edge ends the record, with the status that it sends.
			return nil, err
		}
		room = &ivr.Refusal{Desk: p.desk, Reason: r}
	} else {
		p.opt.Book.Step(call.Info.ID, step("routed", room.Name()))
	}
	return p.opt.Book.Watch(p.aloud(room, call.Info)), nil
}

// maxSpoken is how many callers at once hear that there is no room. The others,
// of a thousand that come at the hour, are only told by their signalling.
const maxSpoken = 20

// overloaded tells a caller that there is no room.
func (p *Plan) overloaded(r core.Reason) core.Room {
	desk := p.desk
	desk.Seated = func(core.Leg) func() {
		p.speaking.Add(1)
		return func() { p.speaking.Add(-1) }
	}
	return &ivr.Refusal{Desk: desk, Reason: r}
}

func (p *Plan) admit(ctx context.Context, call core.Call) (core.Room, error) {
	if p.opt.Admit != nil {
		if err := p.opt.Admit(); err != nil {
			return nil, err
		}
	}
	return p.route(ctx, call)
}

// refused closes the record of one who reads why. A browser that names no
// passcode where one is needed is asked for it: that is no refusal.
func (p *Plan) refused(call core.Call, r core.Reason) {
	if _, passcode, _ := strings.Cut(call.To, "**"); r.Code == core.WrongPasscode && passcode == "" {
		p.opt.Book.Drop(call.Info.ID)
		return
	}
	p.opt.Book.End(call.Info, r)
}

func step(what, text string) store.Step { return store.Step{What: what, Text: text} }

// redact cuts the passcode off a called number: records are read by many.
func redact(call core.Call) core.Call {
	if number, _, has := strings.Cut(call.To, "**"); has {
		call.To = number + "**…"
	}
	return call
}

func (p *Plan) route(ctx context.Context, call core.Call) (core.Room, error) {
	number, passcode, _ := strings.Cut(call.To, "**")
	if call.Info.Protocol == core.WebRTC { // browsers name a meeting, and are told what it asks for
		if number == echo {
			return &ivr.Echo{Desk: p.desk}, nil
		}
		return p.enter(ctx, number, passcode, call.Info)
	}
	if call.Trunk != "" {
		number, passcode = call.To, ""
	} else if err := p.opt.Guard.Allowed(Source(call.Info), ""); err != nil && call.Info.User == "" {
		p.strike(call.Info)
		return nil, err // a flood of them costs no look into the store
	}
	class, err := p.class(ctx, &call.Info)
	if err != nil {
		return nil, err
	}
	d, err := p.Decide(ctx, store.Attempt{Direction: "in", To: number, From: call.From, Trunk: call.Trunk, Class: class})
	if err != nil {
		return nil, err
	}
	p.opt.Book.Step(call.Info.ID, step("dial plan", d.String()))
	return p.follow(ctx, d, passcode, call)
}

// follow gives the room that a call in is led to.
func (p *Plan) follow(ctx context.Context, d Decision, passcode string, call core.Call) (core.Room, error) {
	desk := p.deskIn(d.language)
	switch d.kind {
	case toEcho:
		return &ivr.Echo{Desk: desk}, nil
	case toMeeting:
		return p.toMeeting(d, passcode, call.Info)
	case toDevice, toUser:
		return &direct{p, d.kind, d.value, func(into core.Room) (core.Leg, error) { return p.ring(d.value, into) }}, nil
	case toTrunk:
		return &direct{p, "telephone", d.Number, func(into core.Room) (core.Leg, error) { return p.telephoned(d, &call.Info, into) }}, nil
	case toRefuse:
		if call.Trunk != "" && d.reason.Code == core.NotFound {
			return nil, d.reason
		}
		return &ivr.Refusal{Desk: desk, Reason: d.reason, Prompt: d.prompt}, nil
	}
	if number, _, _ := strings.Cut(call.To, "**"); d.fallback && isNumber(number) {
		p.wrong(call.Info, "") // a meeting's number, guessed
	}
	return p.reception(desk, "", 0), nil
}

// toMeeting leads into a meeting, by way of the reception where a passcode is
// missing or wrong.
func (p *Plan) toMeeting(d Decision, passcode string, who core.Info) (core.Room, error) {
	if d.open {
		return p.door(d.meeting, core.Guest)
	}
	room, err := p.let(d.meeting, passcode, who)
	switch core.ReasonOf(err).Code {
	case core.WrongPasscode:
		wrong := 0
		if passcode != "" {
			wrong = 1
		}
		return p.reception(p.deskIn(d.language), d.value, wrong), nil
	case core.NotFound: // over in this moment
		return p.reception(p.deskIn(d.language), "", 0), nil
	}
	return room, err
}

// Decide finds where a call leads now. Nothing else does.
func (p *Plan) Decide(ctx context.Context, call store.Attempt) (Decision, error) {
	t := p.table.Load()
	if t == nil {
		if err := p.Reload(ctx); err != nil {
			return Decision{}, err
		}
		t = p.table.Load()
	}
	return t.Decide(ctx, p.opt.Store, call)
}

// Reload takes up rules, trunks and numbers that have changed.
func (p *Plan) Reload(ctx context.Context) error {
	t, err := Load(ctx, p.opt.Store, p.Home())
	if err == nil {
		p.table.Store(t)
	}
	return err
}

// Home is what calls out are subject to, where no rule says otherwise.
func (p *Plan) Home() Home {
	if p.opt.Home == nil {
		return Home{}
	}
	return p.opt.Home()
}

// class is what a caller has proved to be; nil is a stranger.
func (p *Plan) class(ctx context.Context, who *core.Info) (string, error) {
	switch {
	case who == nil || who.User == "" || who.Phone:
		return "stranger", nil
	case who.Protocol != core.WebRTC:
		return "device", nil
	}
	u, err := p.opt.Store.User(ctx, who.User)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && u.Disabled:
		return "stranger", nil
	}
	return string(u.Role), err
}

// deskIn is the desk that speaks a language, or that of the bridge.
func (p *Plan) deskIn(language string) ivr.Desk {
	desk := p.desk
	if language != "" && p.opt.Voices != nil {
		if v := p.opt.Voices(language); v != nil {
			desk.Voice = v
		}
	}
	return desk
}

// echo is the name under which callers reach their own sound.
const echo = "echo"

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// reception is the voice menu; number names the meeting where it is known, and
// wrong counts the wrong passcodes already given.
func (p *Plan) reception(desk ivr.Desk, number string, wrong int) core.Room {
	return &ivr.Reception{Desk: desk, Enter: p.enter, Number: number, Wrong: wrong}
}

// enter checks number and passcode and gives the door to the meeting, in the
// role that the passcode has earned.
func (p *Plan) enter(ctx context.Context, number, passcode string, who core.Info) (core.Room, error) {
	guessing := p.guessing(who)
	if guessing != nil && who.User == "" {
		return nil, guessing // a flood of them costs no look into the store
	}
	kept, err := p.opt.Store.Meeting(ctx, number)
	if errors.Is(err, store.ErrNotFound) {
		if guessing != nil {
			return nil, guessing
		}
		p.wrong(who, "")
		return nil, core.Reason{Code: core.NotFound, Say: "There is no meeting with this number.", Detail: "no meeting " + number}
	}
	if err != nil {
		return nil, err
	}
	return p.let(kept, passcode, who)
}

// let checks the passcode of a meeting.
func (p *Plan) let(kept store.Meeting, passcode string, who core.Info) (core.Room, error) {
	if owns(who, kept) { // others' guesses from the same address do not keep it out
		return p.door(kept, core.Host)
	}
	if err := p.guessing(who); err != nil {
		return nil, err
	}
	if passcode != "" {
		if err := p.opt.Guard.Allowed(Source(who), kept.Number); err != nil {
			return nil, err
		}
	}
	role, err := role(kept, passcode)
	if err != nil {
		if passcode != "" {
			p.wrong(who, kept.Number)
		}
		return nil, err
	}
	return p.door(kept, role)
}

// guessing refuses a caller whose address has guessed too often.
func (p *Plan) guessing(who core.Info) error {
	err := p.opt.Guard.Allowed(Source(who), "")
	if err != nil && who.User == "" {
		p.strike(who)
	}
	return err
}

// wrong counts a wrong number, or a passcode of a meeting.
func (p *Plan) wrong(who core.Info, meeting string) {
	p.opt.Guard.Wrong(Source(who), meeting)
	p.strike(who)
}

// strike counts it towards a block. Callers from the telephone network all come
// from their carrier's address, and browsers do not come by what blocks close.
func (p *Plan) strike(who core.Info) {
	if !who.Phone && who.Protocol != core.WebRTC {
		p.opt.Blocks.Strike(who.Source, who.Protocol == core.SIP && who.Security.Signalling == "clear", edge.WrongNumber)
	}
}

// owns tells whether a signed-in caller has made the meeting or was made host
// of it: it needs no passcode.
func owns(who core.Info, m store.Meeting) bool {
	return who.Protocol == core.WebRTC && who.User != "" && (who.User == m.Owner || slices.Contains(m.Hosts, who.User)) // a device's User is no account
}

func (p *Plan) door(kept store.Meeting, role core.Role) (core.Room, error) {
	m, err := p.Live.openKept(kept)
	if err != nil {
		return nil, err
	}
	return entered{m.Door(role), p.opt.Book}, nil
}

// role compares both passcodes always, so that the time tells nothing.
func role(m store.Meeting, passcode string) (core.Role, error) {
	host := m.HostPasscode != "" && store.SameSecret(passcode, m.HostPasscode)
	guest := m.GuestPasscode == "" && passcode == "" || store.SameSecret(passcode, m.GuestPasscode) && m.GuestPasscode != ""
	switch {
	case host:
		return core.Host, nil
	case guest:
		return core.Guest, nil
	case passcode == "":
		return "", core.Reason{Code: core.WrongPasscode, Say: "This meeting asks for a passcode.", Detail: "passcode required"}
	}
	return "", core.Reason{Code: core.WrongPasscode, Say: "That passcode is wrong.", Detail: "wrong passcode for meeting " + m.Number}
}

// entered notes in the call's record which meeting it has reached.
type entered struct {
	core.Room
	book *records.Book
}

func (e entered) Join(ctx context.Context, leg core.Leg) error {
	err := e.Room.Join(ctx, leg)
	if err == nil {
		e.book.Enter(leg.Info().ID, e.Name())
	}
	return err
}

// aloud has a refusal spoken to callers who have no screen, before their call
// is ended with it.
func (p *Plan) aloud(room core.Room, who core.Info) core.Room {
	if who.Protocol == core.WebRTC {
		return room
	}
	return spoken{room, p.desk}
}

type spoken struct {
	core.Room
	desk ivr.Desk
}

func (s spoken) Join(ctx context.Context, leg core.Leg) error {
	err := s.Room.Join(ctx, leg)
	if err == nil {
		return nil
	}
	return (&ivr.Refusal{Desk: s.desk, Reason: core.ReasonOf(err)}).Join(ctx, leg)
}
