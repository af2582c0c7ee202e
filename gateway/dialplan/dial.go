package dialplan

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"bridgehead/core"
	"bridgehead/gateway/records"
	"bridgehead/gateway/store"
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

// DialOut calls an address and joins who answers to the room. The leg is given
// back while it rings. Addresses without a scheme are devices of this bridge,
// and the accounts that own them.
func (p *Plan) DialOut(to, name string, by *core.Info, into core.Room) (core.Leg, error) {
	to = strings.TrimSpace(to)
	scheme, _, ok := strings.Cut(to, ":")
	if !ok {
		device, err := p.device(context.Background(), to)
		if err != nil {
			return nil, core.Reason{Code: core.NotFound, Say: "There is nobody with this address. Write sip:…, sips:… or tel:+….", Detail: "dial-out to unknown device"}
		}
		if scheme = "sip"; p.Registered != nil {
			scheme = p.Registered(device.User)
		}
		to = scheme + ":" + device.User + "@local"
	}
	for _, d := range p.edges {
		for _, s := range d.schemes {
			if strings.EqualFold(s, scheme) {
				return p.dialVia(d.edge, to, by, into)
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
	owned, err := p.opt.Store.DevicesOf(ctx, key)
	switch {
	case err != nil:
		return d, err
	case len(owned) == 0:
		return d, store.ErrNotFound
	}
	here := func(d store.Device) bool { return p.Present != nil && p.Present(d.User) }
	return owned[max(0, slices.IndexFunc(owned, here))], nil
}

func (p *Plan) dialVia(edge core.Edge, to string, by *core.Info, into core.Room) (core.Leg, error) {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(ringFor, cancel)
	out := outgoing{entered{into, p.opt.Book}, p.opt.Book, into}
	leg, err := edge.Dial(ctx, to, out)
	if err != nil {
		cancel()
		p.unplaced(to, by, core.ReasonOf(err))
		return nil, err
	}
	call := core.Call{To: to, Info: leg.Info()}
	if by != nil {
		call.From = by.Address
	}
	p.opt.Book.Begin(call)
	return leg, nil
}

// unplaced records a call to the telephone network for which no line was tried;
// those tried have records of their own.
func (p *Plan) unplaced(to string, by *core.Info, why core.Reason) {
	if !strings.HasPrefix(why.Detail, "pstn: ") && !strings.HasPrefix(why.Detail, "trunk ") {
		return
	}
	call := core.Call{To: to, Info: core.Info{ID: rand.Text(), Protocol: core.PSTN, Direction: core.Out}}
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

// toDevice leads an authenticated caller to a device by its extension or user.
// Strangers ring nobody.
func (p *Plan) toDevice(ctx context.Context, extension string, call core.Call) (core.Room, bool) {
	if call.Info.User == "" {
		return nil, false
	}
	return p.ring(ctx, extension, call)
}

// ring makes the room of a 1:1 call: a meeting of its own, so that a third
// can join it.
func (p *Plan) ring(ctx context.Context, device string, call core.Call) (core.Room, bool) {
	d, err := p.device(ctx, device)
	if err != nil {
		return nil, false
	}
	return &direct{p, d}, true
}

// direct is a 1:1 call to a device: the caller hears it ring, and both meet
// once it is answered.
type direct struct {
	plan   *Plan
	device store.Device
}

func (d *direct) Name() string { return "device " + d.device.User }

// Join rings the device. The caller is answered when the device answers.
func (d *direct) Join(ctx context.Context, leg core.Leg) error {
	kept, err := d.plan.opt.Store.AddMeeting(ctx, store.Meeting{Name: leg.Info().Name + " – " + d.device.Name, Kind: "one-time", Hidden: true, Admission: "open"})
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
	called, err := d.plan.DialOut(d.device.User, d.device.Name, nil, callee)
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
