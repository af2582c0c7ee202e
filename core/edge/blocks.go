package edge

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Offence is what a source does that nobody does by mistake so often.
type Offence string

// The offences.
const (
	WrongNumber   Offence = "numbers"   // or passcode
	WrongPassword Offence = "passwords" // of a device or an account
	Unlisted      Offence = "unlisted"  // sent to where only trunks are heard
	Malformed     Offence = "malformed"
	Flood         Offence = "flood" // more than a source may send
)

// offences in words.
var offences = []struct {
	what      Offence
	one, many string
}{
	{WrongNumber, "tried 1 number or passcode", "tried %s numbers or passcodes"},
	{WrongPassword, "sent 1 wrong password", "sent %s wrong passwords"},
	{Unlisted, "sent 1 message to where only trunks are heard", "sent %s messages to where only trunks are heard"},
	{Malformed, "sent 1 message that can't be read", "sent %s messages that can't be read"},
	{Flood, "sent 1 message beyond what a source may", "sent %s messages beyond what a source may"},
}

// BlockOptions say when a source is blocked. The zero value blocks nobody.
type BlockOptions struct {
	Strikes int           // offences within the window; 0: nobody is blocked
	Window  time.Duration // that they are counted in
	Length  time.Duration // of the first block; each further one within a day is twice as long
	Allow   []netip.Prefix
	Log     *slog.Logger
	// Notify is told of every block that begins, ends or is lifted; it must not
	// block itself.
	Notify func(Block)
}

// Block is a network whose messages are dropped unread. Who sends datagrams may
// not be who they say, so these block datagrams only, and connections only what
// came over connections.
type Block struct {
	ID        string          `json:"id"`
	Network   netip.Prefix    `json:"network"`
	Transport string          `json:"transport" enum:"udp,tcp"`
	Since     time.Time       `json:"since"`
	Until     time.Time       `json:"until"`
	Strikes   map[Offence]int `json:"strikes"`
	Dropped   uint64          `json:"dropped" doc:"datagrams and connections since it began"`
	Why       string          `json:"why"`
}

// What blocks are bounded by.
const (
	maxOffenders = 8192
	maxBlocks    = 4096
	longestBlock = 24 * time.Hour
	neighbours   = 5 // blocked sources of one network that block all of it
)

// site and transport of an offender.
type offender struct {
	at       netip.Prefix
	datagram bool
}

type record struct {
	since   time.Time // of the window
	total   int
	strikes map[Offence]int
}

// Blocks drop what comes from sources that attack, for a time. All methods may
// be called of a nil one, which blocks nobody.
type Blocks struct {
	mu      sync.Mutex
	opt     BlockOptions
	records map[offender]*record
	blocks  map[offender]*Block
	served  map[offender]history // blocks that were
	proved  map[netip.Prefix]time.Time
	next    int
}

// history is how often a source was blocked, and until when.
type history struct {
	times int
	until time.Time
}

// NewBlocks blocks by options.
func NewBlocks(o BlockOptions) *Blocks {
	b := &Blocks{records: map[offender]*record{}, blocks: map[offender]*Block{}, served: map[offender]history{}, proved: map[netip.Prefix]time.Time{}}
	b.Set(o)
	return b
}

// Set changes the options. Who is allowed from now on is free at once.
func (b *Blocks) Set(o BlockOptions) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Notify == nil {
		o.Notify = func(Block) {}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.opt = o
	for k := range b.blocks {
		if o.Strikes == 0 || b.allowed(k.at) {
			b.end(k)
		}
	}
}

func (b *Blocks) allowed(p netip.Prefix) bool {
	return slices.ContainsFunc(b.opt.Allow, p.Overlaps)
}

// places are the site of an address, and the network around it.
func places(a netip.Addr) (near, wide netip.Prefix) {
	a = a.Unmap().WithZone("")
	bits := [2]int{32, 24}
	if a.Is6() {
		bits = [2]int{64, 48}
	}
	near, _ = a.Prefix(bits[0])
	wide, _ = a.Prefix(bits[1])
	return near, wide
}

// Drops tells whether what comes from an address is to be dropped unread, and
// counts it.
func (b *Blocks) Drops(a netip.Addr, datagram bool) bool {
	if b == nil {
		return false
	}
	near, wide := places(a)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.blocks) == 0 {
		return false
	}
	now := time.Now()
	for _, p := range []netip.Prefix{near, wide} {
		if k := (offender{p, datagram}); b.blocks[k] != nil {
			if now.After(b.blocks[k].Until) {
				b.end(k)
				continue
			}
			b.blocks[k].Dropped++
			return true
		}
	}
	return false
}

// provedFor is how long a source counts as that of somebody known.
const provedFor = 24 * time.Hour

// Proved notes that somebody has proved there who he is.
func (b *Blocks) Proved(a netip.Addr) {
	if b == nil || !a.IsValid() {
		return
	}
	near, _ := places(a)
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.proved[near]; !known && len(b.proved) >= maxOffenders {
		for p := range b.proved { // any one: a map has no order
			delete(b.proved, p)
			break
		}
	}
	b.proved[near] = time.Now()
}

// Refuses is Drops for connections by which blocks are lifted: where somebody has
// proved within a day who he is, they are taken.
func (b *Blocks) Refuses(a netip.Addr) bool {
	if b == nil {
		return false
	}
	near, _ := places(a)
	b.mu.Lock()
	at, known := b.proved[near]
	b.mu.Unlock()
	return !(known && time.Since(at) < provedFor) && b.Drops(a, false)
}

// Strike counts an offence, and blocks the source after too many.
func (b *Blocks) Strike(a netip.Addr, datagram bool, what Offence) {
	if b == nil || !a.IsValid() {
		return
	}
	near, wide := places(a)
	k, now := offender{near, datagram}, time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opt.Strikes == 0 || b.allowed(near) || b.blocks[k] != nil || b.blocks[offender{wide, datagram}] != nil {
		return
	}
	r := b.records[k]
	if r == nil || now.Sub(r.since) > b.opt.Window {
		if r == nil && len(b.records) >= maxOffenders {
			forget(b.records)
		}
		r = &record{since: now, strikes: map[Offence]int{}}
		b.records[k] = r
	}
	r.total++
	r.strikes[what]++
	if r.total >= b.opt.Strikes && len(b.blocks) < maxBlocks {
		delete(b.records, k)
		b.begin(k, offender{wide, datagram}, r.strikes, a)
	}
}

// forget drops any one: a map has no order.
func forget[V any](m map[offender]V) {
	for k := range m {
		delete(m, k)
		return
	}
}

// begin blocks a source, or all of its network if enough of it are blocked.
func (b *Blocks) begin(k, around offender, strikes map[Offence]int, a netip.Addr) {
	now := time.Now()
	var beside []offender
	for other := range b.blocks {
		if other.datagram == k.datagram && around.at.Overlaps(other.at) {
			beside = append(beside, other)
		}
	}
	if len(beside)+1 >= neighbours && !b.allowed(around.at) {
		for _, other := range beside {
			for what, n := range b.blocks[other].Strikes {
				strikes[what] += n
			}
			b.end(other)
		}
		k = around
	}
	h := b.served[k]
	if now.Sub(h.until) > longestBlock {
		h.times = 0
	}
	h.until = now.Add(min(b.opt.Length<<min(h.times, 16), longestBlock))
	h.times++
	if len(b.served) >= maxOffenders {
		forget(b.served)
	}
	b.served[k] = h
	b.next++
	blocked := &Block{ID: strconv.Itoa(b.next), Network: k.at, Transport: transportOf(k), Since: now, Until: h.until, Strikes: strikes, Why: inWords(strikes)}
	b.blocks[k] = blocked
	// The form of this line is documented: fail2ban reads it.
	b.opt.Log.Warn("source blocked", "source", a.Unmap().WithZone("").String(), "network", k.at.String(), "transport", blocked.Transport, "until", blocked.Until.UTC().Format(time.RFC3339), "why", blocked.Why)
	b.opt.Notify(*blocked)
}

func transportOf(k offender) string {
	if k.datagram {
		return "udp"
	}
	return "tcp"
}

// end lifts a block. Called with b.mu held.
func (b *Blocks) end(k offender) {
	gone := *b.blocks[k]
	delete(b.blocks, k)
	if now := time.Now(); gone.Until.After(now) {
		gone.Until = now
	}
	b.opt.Notify(gone)
}

// List gives the blocks that last, the latest first.
func (b *Blocks) List() []Block {
	list := []Block{}
	if b == nil {
		return list
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for k, blocked := range b.blocks {
		if now.After(blocked.Until) {
			b.end(k)
			continue
		}
		list = append(list, *blocked)
	}
	slices.SortFunc(list, func(a, b Block) int { return b.Since.Compare(a.Since) })
	return list
}

// Lift ends a block before its time; false: there is none with this id. What the
// source did before is forgotten.
func (b *Blocks) Lift(id string) bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, blocked := range b.blocks {
		if blocked.ID == id {
			delete(b.served, k)
			b.end(k)
			return true
		}
	}
	return false
}

func inWords(strikes map[Offence]int) string {
	var list []string
	for _, o := range offences {
		switch n := strikes[o.what]; {
		case n == 1:
			list = append(list, o.one)
		case n > 1:
			list = append(list, fmt.Sprintf(o.many, thousands(n)))
		}
	}
	return strings.Join(list, ", ")
}

// thousands writes 4000 as 4,000.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
