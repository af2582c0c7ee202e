// Package records keeps the record of every call and every refused attempt:
// who, from where, to what, how protected, how it sounded and why it ended,
// with the ladder of its signalling. It watches legs from outside, so that
// every protocol is recorded alike.
package records

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"bridgehead/core"
	"bridgehead/core/rtpio"
	"bridgehead/gateway/doctor"
	"bridgehead/gateway/store"
)

// Book records calls. It is safe for use from any goroutine.
type Book struct {
	store *store.Store
	log   *slog.Logger
	save  chan store.Call
	// Notify is told when a call begins and ends; it must not block. Set it
	// before the first call.
	Notify func(store.Call)
	// Sampled is told of the sound of a call whenever it is looked at, and how it
	// was at the look before; it must not block. Nil: nobody is. Set it before the
	// first call.
	Sampled func(info core.Info, before, now store.Sample)
	// TraceID names the trace of a call, or of the call out that it is one
	// attempt of; nil: none is made. Set it before the first call.
	TraceID func(id string) string

	lost atomic.Uint64

	mu   sync.Mutex
	open map[string]*store.Call // by leg ID
	// unwritten are the ended calls that wait for the writer.
	unwritten map[string]*store.Call
	// gone and older are the calls that ended last: the answer to a BYE may
	// come later and must not begin a record anew.
	gone, older map[string]bool
	joined      map[string]*watchedLeg // calls that have reached a room
}

const (
	maxOpen   = 20000     // calls followed at one time
	maxSteps  = 200       // lines of a ladder
	firstKept = 60        // of them those of the beginning, that stay
	maxText   = 8192      // bytes of a message in it
	cut       = "…"       // in place of the rest
	maxBytes  = 256 << 10 // of all messages in it
	saveQueue = 4096
	maxGone   = 4096 // calls remembered after their end: up to twice as many
)

// New starts a book; it writes behind until ctx ends and Close is called.
func New(s *store.Store, log *slog.Logger) *Book {
	return &Book{store: s, log: log, save: make(chan store.Call, saveQueue), open: map[string]*store.Call{}, unwritten: map[string]*store.Call{}, gone: map[string]bool{}, joined: map[string]*watchedLeg{}, Notify: func(store.Call) {}}
}

// Run writes records until ctx ends, then those still queued. Those of a moment
// are written together: of a call that begins and ends within it, one.
func (b *Book) Run(ctx context.Context) {
	for {
		select {
		case c := <-b.save:
			wait(ctx, writeEvery)
			b.write(c)
		case <-ctx.Done():
			select {
			case c := <-b.save:
				b.write(c)
			default:
				return
			}
		}
	}
}

// writeEvery is the most that a kill of the process takes from the records.
const writeEvery = 200 * time.Millisecond

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// write keeps a record and those queued behind it.
func (b *Book) write(c store.Call) {
	last := map[string]int{c.ID: 0}
	list := []store.Call{c}
	for more := true; more && len(list) < saveQueue; {
		select {
		case c := <-b.save:
			if i, ok := last[c.ID]; ok {
				list[i] = c
				continue
			}
			last[c.ID] = len(list)
			list = append(list, c)
		default:
			more = false
		}
	}
	ctx := context.Background()
	err := b.store.Atomically(ctx, func(ctx context.Context) error {
		var rush core.Yielder
		for _, c := range list {
			rush.Yield()
			if err := b.store.SaveCall(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.log.Error("call records not saved", "calls", len(list), "error", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range list {
		if !c.Ended.IsZero() {
			delete(b.unwritten, c.ID)
		}
	}
}

// queue hands a record to the writer; when that cannot keep up, the record is
// lost and said to be so. Called with b.mu held.
func (b *Book) queue(c store.Call) {
	select {
	case b.save <- c:
	default:
		delete(b.unwritten, c.ID)
		b.lost.Add(1)
		b.log.Warn("call record lost: the disk is too slow", "call", c.ID)
	}
}

// Begin opens the record of a call.
func (b *Book) Begin(call core.Call) {
	i := call.Info
	c := &store.Call{ID: i.ID, Started: time.Now(), Protocol: string(i.Protocol), Direction: string(i.Direction),
		From: cmp.Or(call.From, i.Address), To: call.To, Trunk: call.Trunk, Account: b.account(i)}
	c.Detail.Request = store.CallRequest(i.Request)
	if b.TraceID != nil {
		c.Detail.TraceID = b.TraceID(cmp.Or(i.Request.ID, i.ID))
	}
	if i.Source.IsValid() {
		c.Source = i.Source.String()
	}
	if b.begin(c) {
		b.Notify(*c)
	}
}

// account is whose call it is: a browser's, signed in, or the owner's of a device.
func (b *Book) account(i core.Info) string {
	if i.User == "" || i.Protocol == core.WebRTC {
		return i.User
	}
	d, err := b.store.Device(context.Background(), i.User)
	if err != nil {
		return ""
	}
	return d.Owner
}

func (b *Book) begin(c *store.Call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh := true
	if was := b.open[c.ID]; was != nil { // the ladder began before the call was routed
		fresh = was.Protocol == ""
		c.Started, c.Ladder, c.Media, c.Meeting, c.Trunk = was.Started, was.Ladder, was.Media, was.Meeting, cmp.Or(c.Trunk, was.Trunk)
		request, trace := c.Detail.Request, c.Detail.TraceID
		c.Detail = was.Detail
		c.Detail.Request, c.Detail.TraceID = request, trace
	} else if len(b.open) >= maxOpen || b.gone[c.ID] || b.older[c.ID] {
		return false
	}
	b.open[c.ID] = c
	return fresh
}

// Step adds a line to the ladder of a call.
func (b *Book) Step(id string, s store.Step) {
	if s.At.IsZero() {
		s.At = time.Now()
	}
	if len(s.Text) > maxText {
		s.Text = s.Text[:maxText-len(cut)] + cut
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.open[id]
	if c == nil {
		if len(b.open) >= maxOpen || b.gone[id] || b.older[id] {
			return
		}
		c = &store.Call{ID: id, Started: s.At}
		b.open[id] = c
	}
	climb(c, s)
}

// climb adds a step. What a long ladder has no room for is left out of its
// middle: how a call began and how it ended tells most.
func climb(c *store.Call, s store.Step) {
	c.Ladder = append(c.Ladder, s)
	bytes := 0
	for _, s := range c.Ladder {
		bytes += len(s.Text) + len(s.Wire)
	}
	for len(c.Ladder) > maxSteps || bytes > maxBytes {
		at := min(firstKept, len(c.Ladder)-2)
		bytes -= len(c.Ladder[at].Text) + len(c.Ladder[at].Wire)
		c.Ladder = slices.Delete(c.Ladder, at, at+1)
		c.Detail.LeftOut++
	}
}

// Update changes an open record.
func (b *Book) Update(id string, change func(*store.Call)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.open[id]; c != nil {
		change(c)
	}
}

// Enter notes that a call has reached a meeting.
func (b *Book) Enter(id, meeting string) {
	b.Update(id, func(c *store.Call) { c.Meeting = meeting })
	b.Step(id, store.Step{What: "room", Text: "meeting " + meeting})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keep(id)
}

// End closes a record. Only the first End counts.
func (b *Book) End(info core.Info, r core.Reason) {
	b.mu.Lock()
	leg := b.joined[info.ID]
	c := b.open[info.ID]
	b.close(info.ID)
	if c == nil {
		b.mu.Unlock()
		return
	}
	b.unwritten[info.ID] = c
	c.Ended, c.Code = time.Now(), string(r.Code)
	c.Detail.Reason, c.Detail.Name = r.Detail, info.Name
	describe(c, info)
	if leg != nil {
		leg.sounded(c)
	}
	climb(c, store.Step{At: c.Ended, What: "end", Text: r.Error()})
	if c.Detail.Status == 0 {
		c.Detail.Status = doctor.Status(c.Ladder)
	}
	c.Detail.Findings = doctor.Examine(*c)
	ended := *c
	b.queue(ended)
	b.mu.Unlock()
	b.Notify(ended)
}

// describe takes into a record what is known of its call's media.
func describe(c *store.Call, info core.Info) {
	c.Detail.Stir = store.CallStir(info.Stir)
	c.Detail.Security, c.Detail.Audio, c.Detail.Video = store.CallSecurity(info.Security), whole(info.AudioStats, info.RTT), whole(info.VideoStats, info.RTT)
	if info.AudioStats.PacketsReceived > 0 {
		c.Detail.MOS = rtpio.MOS(info.AudioStats, info.RTT)
	}
}

// Drop forgets a record that was begun for what turns out to be no attempt.
func (b *Book) Drop(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.close(id)
}

// close takes a record out of the book. Called with b.mu held.
func (b *Book) close(id string) {
	delete(b.open, id)
	delete(b.joined, id)
	if len(b.gone) >= maxGone {
		b.gone, b.older = map[string]bool{}, b.gone
	}
	b.gone[id] = true
}

// Sweep closes the records of calls that have reached no room in so long: their
// edge has turned them away after they were routed, or forgotten them.
func (b *Book) Sweep(after time.Duration) {
	b.mu.Lock()
	var lost []core.Info
	for id, c := range b.open {
		if b.joined[id] == nil && time.Since(c.Started) > after {
			lost = append(lost, core.Info{ID: id})
		}
	}
	b.mu.Unlock()
	for _, info := range lost {
		b.End(info, core.Reason{Code: core.Overload, Detail: "the call was routed and then reached no room"})
	}
}

// Refused records an attempt that never became a call.
func (b *Book) Refused(call core.Call, r core.Reason, status int) {
	b.Begin(call)
	b.Update(call.Info.ID, func(c *store.Call) { c.Detail.Status = status })
	b.End(call.Info, r)
}

// Lost counts the records that the disk was too slow for.
func (b *Book) Lost() uint64 { return b.lost.Load() }

// Count gives the number of calls under way by protocol and direction.
func (b *Book) Count() map[[2]string]int {
	n := map[[2]string]int{}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.open {
		if c.Protocol != "" {
			n[[2]string{c.Protocol, c.Direction}]++
		}
	}
	return n
}

// Open lists the calls under way, newest first.
func (b *Book) Open() []store.Call {
	b.mu.Lock()
	defer b.mu.Unlock()
	return sorted(b.open)
}

// Seek finds a call under way of which ok says so. ok must be quick, and keep
// nothing of what it is shown.
func (b *Book) Seek(ok func(*store.Call) bool) (store.Call, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.open {
		if ok(c) {
			found := *c
			found.Ladder, found.Media = slices.Clone(c.Ladder), slices.Clone(c.Media)
			return found, true
		}
	}
	return store.Call{}, false
}

// List gives the newest records, of one meeting if it is not empty: those under
// way first.
func (b *Book) List(ctx context.Context, meeting string, limit int) ([]store.Call, error) {
	b.mu.Lock()
	list, ended := sorted(b.open), sorted(b.unwritten)
	b.mu.Unlock()
	kept, err := b.store.Calls(ctx, meeting, limit)
	if err != nil {
		return nil, err
	}
	kept = slices.DeleteFunc(kept, func(c store.Call) bool {
		return slices.ContainsFunc(ended, func(e store.Call) bool { return e.ID == c.ID }) // written meanwhile
	})
	list = slices.DeleteFunc(append(list, ended...), func(c store.Call) bool { return meeting != "" && c.Meeting != meeting })
	list = append(list, kept...)
	return list[:min(limit, len(list))], nil
}

func sorted(calls map[string]*store.Call) []store.Call {
	list := make([]store.Call, 0, len(calls))
	for _, c := range calls {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b store.Call) int { return b.Started.Compare(a.Started) })
	return list
}

// Find looks a call up among those under way, then among those kept.
func (b *Book) Find(ctx context.Context, id string) (store.Call, error) {
	b.mu.Lock()
	if c := cmp.Or(b.open[id], b.unwritten[id]); c != nil {
		copied := *c
		copied.Ladder, copied.Media = slices.Clone(c.Ladder), slices.Clone(c.Media)
		leg := b.joined[id]
		b.mu.Unlock()
		if leg != nil {
			describe(&copied, leg.Info())
			leg.sounded(&copied)
		}
		copied.Detail.Findings = doctor.Examine(copied)
		return copied, nil
	}
	b.mu.Unlock()
	return b.store.Call(ctx, id)
}
