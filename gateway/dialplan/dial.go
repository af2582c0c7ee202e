package dialplan

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/core/edge"
	"bridgehead/gateway/records"
	"bridgehead/gateway/store"
	"bridgehead/pstn"
)

// dialer is an edge that calls addresses of some schemes.
type dialer struct {
	edge    core.Edge
	schemes []string
}

// Dialer adds an edge that calls the addresses of the schemes.
func (p *Plan) Dialer(edge core.Edge, schemes ...string) {
	p.edges = append(p.edges, dialer{edge, schemes})
}

// ringFor is how long a called party is let ring.
const ringFor = 60 * time.Second

// Telephones is an edge to the telephone network.
type Telephones interface {
	Place(ctx context.Context, call pstn.Request, into core.Room) (core.Leg, error)
}

// Telephone sets the edge to the telephone network.
func (p *Plan) Telephone(t Telephones) { p.telephone = t }

// DialOut calls an address for who has asked for it, a stranger when nil, and
// joins who answers to the room. The leg is given back while it rings.
// Addresses without a scheme are devices of this bridge, and the accounts that
// own them.
func (p *Plan) DialOut(to, name string, by *core.Info, into core.Room) (core.Leg, error) {
	ctx := context.Background()
	class, err := p.class(ctx, by)
	if err != nil {
		return nil, err
	}
	d, err := p.Decide(ctx, store.Attempt{Direction: "out", To: to, Class: class})
	if err != nil {
		return nil, err
	}
	switch d.kind {
	case toDevice, toUser:
		return p.ring(d.value, into)
	case toTrunk:
		return p.telephoned(d, by, into)
	case toAddress:
		return p.address(d.value, d, by, into)
	}
	p.unplaced(to, by, d.reason, core.Request{})
	return nil, d.reason
}

// telephoned calls a telephone. A decision that was not to leave has no number.
func (p *Plan) telephoned(d Decision, by *core.Info, into core.Room) (core.Leg, error) {
	if p.telephone == nil {
		return nil, core.Reason{Code: core.Unreachable, Say: "There is no line for this call.", Detail: "no edge to the telephone network"}
	}
	if err := p.opt.Tolls.Admit(caller(by), d.Number); err != nil {
		p.unplaced(d.Number, by, core.ReasonOf(err), core.Request{})
		return nil, err
	}
	return p.place(d, by, into, func(ctx context.Context, into core.Room) (core.Leg, error) {
		return p.telephone.Place(ctx, d.exit.Request, into)
	})
}

// ownCaller is who calls the bridge's own numbers.
const ownCaller = "synthetic caller"

// CallOwn calls a telephone number of this bridge from outside, as a synthetic
// caller does: over the trunk named, or that of the number if it is empty. No
// other number is called this way, so nobody's leave is needed. Otherwise as
// [Plan.DialOut].
func (p *Plan) CallOwn(ctx context.Context, number, trunk string, into core.Room) (core.Leg, error) {
	n, err := p.opt.Store.Number(ctx, number)
	if err != nil {
		return nil, err
	}
	q := pstn.Request{To: n.Number, Limits: pstn.Limits{Lines: []string{cmp.Or(trunk, n.Trunk)}, Allowed: []string{pstn.Country(n.Number)}}}
	return p.place(Decision{Number: n.Number}, &core.Info{Address: ownCaller}, into, func(ctx context.Context, into core.Room) (core.Leg, error) {
		return p.telephone.Place(ctx, q, into)
	})
}

// caller is whose calls are counted together.
func caller(by *core.Info) string {
	if by == nil {
		return ""
	}
	return cmp.Or(by.User, by.Address)
}

// ring calls a device by user or extension, or that of an account.
func (p *Plan) ring(key string, into core.Room) (core.Leg, error) {
	device, err := p.device(context.Background(), key)
	if err != nil {
		return nil, core.Reason{Code: core.NotFound, Say: "There is nobody with this address.", Detail: "dial-out to unknown device"}
	}
	scheme := "sip"
	if p.Registered != nil {
		scheme = p.Registered(device.User)
	}
	return p.address(scheme+":"+device.User+"@local", Decision{}, nil, into)
}

func (p *Plan) address(to string, d Decision, by *core.Info, into core.Room) (core.Leg, error) {
	scheme, _, _ := strings.Cut(to, ":")
	for _, e := range p.edges {
		for _, s := range e.schemes {
			if strings.EqualFold(s, scheme) {
				d.Number = to
				return p.place(d, by, into, func(ctx context.Context, into core.Room) (core.Leg, error) { return e.edge.Dial(ctx, to, into) })
			}
		}
	}
	return nil, core.Reason{Code: core.Incompatible, Say: "Addresses of this kind cannot be called.", Detail: "no edge dials " + scheme + ":"}
}

// device finds a device by user or extension, or that of an account: one that
// is registered, if there is.
func (p *Plan) device(ctx context.Context, key string) (store.Device, error) {
	d, err := p.opt.Store.Device(ctx, key)
	if !errors.Is(err, store.ErrNotFound) {
		return d, err
	}
	owned, _, err := owned(ctx, p.opt.Store, key)
	switch {
	case err != nil:
		return d, err
	case len(owned) == 0:
		return d, store.ErrNotFound
	}
	here := func(d store.Device) bool { return p.Present != nil && p.Present(d.User) }
	return owned[max(0, slices.IndexFunc(owned, here))], nil
}

// place makes a call out and opens its record.
func (p *Plan) place(d Decision, by *core.Info, into core.Room, dial func(context.Context, core.Room) (core.Leg, error)) (core.Leg, error) {
	request := core.Request{ID: rand.Text(), By: caller(by), To: edge.MaskPasscode(d.Number)}
	ctx, cancel := context.WithCancel(core.WithRequest(context.Background(), request))
	time.AfterFunc(ringFor, cancel)
	leg, err := dial(ctx, outgoing{entered{into, p.opt.Book}, p.opt.Book, into})
	if err != nil {
		cancel()
		if r := (pstn.Refusal{}); errors.As(err, &r) {
			p.unplaced(d.Number, by, r.Reason, request) // lines that were tried have records of their own
		}
		return nil, err
	}
	call := core.Call{To: request.To, Info: leg.Info()}
	if by != nil {
		call.From = by.Address
	}
	p.opt.Book.Begin(call)
	if d.Steps != nil {
		p.opt.Book.Step(call.Info.ID, step("dial plan", d.String()))
	}
	return leg, nil
}

// unplaced records a call to the telephone network that was not even begun.
func (p *Plan) unplaced(to string, by *core.Info, why core.Reason, request core.Request) {
	call := core.Call{To: to, Info: core.Info{ID: rand.Text(), Protocol: core.PSTN, Direction: core.Out, Request: request}}
	if by != nil {
		call.From = by.Address
	}
	p.opt.Book.Refused(call, why, 0)
}

// outgoing is the room of one who answers our call.
type outgoing struct {
	core.Room
	book   *records.Book
	inside core.Room
}

func (o outgoing) Join(ctx context.Context, leg core.Leg) error {
	return o.book.Watch(o.Room).Join(ctx, leg)
}

// Ringing implements core.Watcher.
func (o outgoing) Ringing(leg core.Leg) {
	o.book.Step(leg.Info().ID, step("ringing", ""))
	if w, ok := o.inside.(core.Watcher); ok {
		w.Ringing(leg)
	}
}

// Failed closes the call's record and tells who placed it.
func (o outgoing) Failed(leg core.Leg, why core.Reason) {
	o.book.End(leg.Info(), why)
	if w, ok := o.inside.(core.Watcher); ok {
		w.Failed(leg, why)
	}
}

// direct is a call between two: the caller hears it ring, and both meet once it
// is answered, in a meeting of their own, so that a third can join it.
type direct struct {
	plan *Plan
	kind string // of what is called
	to   string // device, account or telephone number
	dial func(into core.Room) (core.Leg, error)
}

func (d *direct) Name() string { return d.kind + " " + d.to }

// Join calls the other side. The caller is answered when that answers.
func (d *direct) Join(ctx context.Context, leg core.Leg) error {
	kept, err := d.plan.opt.Store.AddMeeting(ctx, store.Meeting{Name: leg.Info().Name + " – " + d.name(ctx), Kind: "one-time", Hidden: true, Admission: "open"})
	if err != nil {
		return err
	}
	m, _, err := d.plan.Live.Open(ctx, kept.Number)
	if err != nil {
		return err
	}
	d.plan.Live.pair(kept.Number)
	leg.Signal(core.Ringing{})
	ring := d.plan.desk.Ring(leg)
	callee := &callee{Room: m.DoorFor(core.Host), answer: make(chan error, 1)}
	called, err := d.dial(callee)
	if err != nil {
		callee.answer <- err
	}
	go func() {
		select {
		case err := <-callee.answer:
			if err != nil {
				ring.Refuse(core.ReasonOf(err))
				m.CloseIfEmpty()
				return
			}
			ring.Lead(ctx, entered{m.DoorFor(core.Host), d.plan.opt.Book})
		case <-ring.Gone():
			if called != nil {
				called.Hangup(core.Reason{Code: core.Normal, Detail: "the caller hung up"})
			}
			ring.Close()
			m.CloseIfEmpty()
		}
	}()
	return nil
}

// name is what the other side is called.
func (d *direct) name(ctx context.Context) string {
	if device, err := d.plan.device(ctx, d.to); err == nil {
		return cmp.Or(device.Name, d.to)
	}
	return d.to
}

// callee is the room of the called device; it tells the caller's side.
type callee struct {
	core.Room
	answer chan error
}

func (c *callee) Join(ctx context.Context, leg core.Leg) error {
	err := c.Room.Join(ctx, leg)
	select {
	case c.answer <- err:
	default:
	}
	return err
}

// Ringing implements core.Watcher; the caller hears ringback anyway.
func (c *callee) Ringing(core.Leg) {}

// Failed implements core.Watcher.
func (c *callee) Failed(_ core.Leg, why core.Reason) {
	select {
	case c.answer <- why:
	default:
	}
}
