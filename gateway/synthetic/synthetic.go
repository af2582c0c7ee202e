// Package synthetic calls the bridge's own telephone numbers from time to time, as
// a caller from outside would: out over a trunk, back in by the carrier, through
// the greeting and the passcode into a meeting. What it meets there, how long that
// took and how it sounded is kept, and a call that fails is told.
package synthetic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"bridgehead/core"
	"bridgehead/core/clock"
	"bridgehead/gateway/records"
	"bridgehead/gateway/store"
)

// Options of [New].
type Options struct {
	Store *store.Store
	Clock *clock.Clock
	Book  *records.Book
	// Call calls a number of ours over a trunk, and joins who answers to the room.
	Call func(ctx context.Context, number, trunk string, into core.Room) (core.Leg, error)
	// Told is told of every call, and whether it went otherwise than the one before.
	Told func(c store.SyntheticCall, news bool)
	Log  *slog.Logger
}

// Keeper has the calls placed. It is safe for use from any goroutine.
type Keeper struct {
	opt Options

	mu      sync.Mutex
	calling map[string]bool // by number
}

// New makes a keeper.
func New(o Options) *Keeper {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Keeper{opt: o, calling: map[string]bool{}}
}

const (
	lookEvery = 10 * time.Second
	mostCalls = 4 // at one time
)

// ErrCalling says that the caller of a number is on the telephone already.
var ErrCalling = errors.New("the synthetic caller of this number is calling already")

// Run places calls when they are due, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	var calls sync.WaitGroup
	defer calls.Wait()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		due, err := k.due(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			k.opt.Log.Error("synthetic callers not read", "error", err)
		}
		for _, c := range due {
			calls.Go(func() { _, _ = k.call(ctx, c) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

// due are the callers whose time has come, as many as may call now.
func (k *Keeper) due(ctx context.Context, now time.Time) (list []store.SyntheticCaller, err error) {
	all, err := k.opt.Store.SyntheticCallers(ctx)
	if err != nil {
		return nil, err
	}
	latest, err := k.opt.Store.LastSyntheticCalls(ctx)
	last := map[string]time.Time{}
	for _, c := range latest {
		last[c.Number] = c.At
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range all {
		if c.Enabled && !k.calling[c.Number] && now.Sub(last[c.Number]) >= time.Duration(c.Every)*time.Minute && len(k.calling)+len(list) < mostCalls {
			list = append(list, c)
		}
	}
	return list, err
}

// Call has the caller of a number call at once, and waits for what it meets. The
// error is [ErrCalling], or the store's.
func (k *Keeper) Call(ctx context.Context, number string) (store.SyntheticCall, error) {
	c, err := k.opt.Store.SyntheticCaller(ctx, number)
	if err != nil {
		return store.SyntheticCall{}, err
	}
	return k.call(ctx, c)
}

// call places one call and keeps what it met.
func (k *Keeper) call(ctx context.Context, c store.SyntheticCaller) (r store.SyntheticCall, err error) {
	k.mu.Lock()
	if k.calling[c.Number] {
		k.mu.Unlock()
		return r, ErrCalling
	}
	k.calling[c.Number] = true
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		delete(k.calling, c.Number)
		k.mu.Unlock()
	}()
	before, err := k.opt.Store.SyntheticCalls(ctx, c.Number, 1)
	if err != nil {
		return r, err
	}
	t := &try{k: k, c: c, r: store.SyntheticCall{Number: c.Number, At: time.Now()}}
	if err := t.run(ctx); err != nil {
		t.r.Fault = err.Error()
	}
	if ctx.Err() != nil {
		return t.r, ctx.Err() // cut short by us: it says nothing of the number
	}
	t.r.OK = t.r.Fault == ""
	wasOK := len(before) == 0 || before[0].OK
	if t.r.OK != wasOK {
		k.opt.Log.Warn("synthetic caller", "number", c.Number, "ok", t.r.OK, "fault", t.r.Fault)
	}
	err = k.opt.Store.AddSyntheticCall(ctx, t.r)
	k.opt.Told(t.r, t.r.OK != wasOK)
	return t.r, err
}

// Text tells in plain words how a call went.
func Text(c store.SyntheticCall) string {
	if !c.OK {
		return fmt.Sprintf("The synthetic caller of %s failed at %s. %s", c.Number, c.At.Format(time.RFC1123), c.Fault)
	}
	return fmt.Sprintf("The synthetic caller of %s came through again at %s.", c.Number, c.At.Format(time.RFC1123))
}

// said is what a reason says, in words.
func said(err error) string {
	r := core.ReasonOf(err)
	return cmp.Or(r.Say, string(r.Code)+".") + map[bool]string{true: " (" + r.Detail + ")"}[r.Detail != ""]
}
