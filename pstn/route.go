package pstn

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"bridgehead/core"
)

// penaltyTime is how long a line that has failed is tried after the others.
const penaltyTime = time.Minute

// penalty of a line that has failed.
type penalty struct {
	until  time.Time
	spared bool // it has asked for no calls until then
}

// call is a call out on its way through the lines that serve its number.
type call struct {
	e            *Edge
	ctx          context.Context
	number, from string
	rules        Rules
	routes       []Route // left to be tried
	tried        string  // the line that was tried once more
	into         core.Room
	last         error
}

// next tries the lines that are left until one rings.
func (c *call) next() (core.Leg, error) {
	for len(c.routes) > 0 && c.ctx.Err() == nil {
		rt := c.routes[0]
		c.routes = c.routes[1:]
		line, ok := c.e.opt.Lines(rt.Line)
		if !ok {
			continue
		}
		if !c.e.spend(rt) {
			c.last = refuse(core.Overload, "All lines are busy.", "route over "+rt.Line+": too many calls per second")
			continue
		}
		if rt.Left != nil && rt.Left() <= 0 {
			c.last = refuse(core.Overload, "The time for calls over this line is used up.", "route over "+rt.Line+": no minutes are left for today")
			c.e.opt.Log.Warn("line has no minutes left for today", "line", rt.Line)
			continue
		}
		leg, err := line.Dial(c.ctx, c.number, c.rules.shown(c.from, rt), &room{c.into, c, rt})
		if err == nil {
			return leg, nil
		}
		if !c.failed(rt, err) {
			break
		}
	}
	return nil, c.last
}

// failed notes how a line has failed, and tells whether another may do better.
func (c *call) failed(rt Route, err error) bool {
	c.last = err
	c.e.opt.Log.Warn("line refused a call", "line", rt.Line, "reason", err)
	var spare interface{ RetryAfter() time.Duration }
	switch errors.As(err, &spare); {
	case spare != nil:
		c.e.punish(rt.Line, penalty{time.Now().Add(spare.RetryAfter()), true})
	case core.ReasonOf(err).Code == core.Unreachable:
		c.e.punish(rt.Line, penalty{time.Now().Add(penaltyTime), false})
	}
	return failover(err)
}

// again puts a line that has died while it rang before the others, once: it may
// have another server.
func (c *call) again(rt Route) {
	if c.tried != rt.Line {
		c.tried = rt.Line
		c.routes = append([]Route{rt}, c.routes...)
	}
}

// failover: what another line may do better (timeouts, 408, 5xx, transport).
func failover(err error) bool {
	switch core.ReasonOf(err).Code {
	case core.Unreachable, core.Overload, core.Failure:
		return true
	}
	return false
}

func (e *Edge) punish(line string, p penalty) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.penalty) > 1000 {
		clear(e.penalty)
	}
	e.penalty[line] = p
}

// serving are the routes that serve a number.
func serving(routes []Route, number string) (list []Route) {
	for _, rt := range routes {
		if len(rt.Prefixes) == 0 || slices.ContainsFunc(rt.Prefixes, func(p string) bool { return strings.HasPrefix(number, p) }) {
			list = append(list, rt)
		}
	}
	return list
}

// rank compares routes for a number by priority, then cost.
func rank(number string) func(a, b Route) int {
	return func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.cost(number), b.cost(number)))
	}
}

// serving are the routes that serve a number for no more than it may cost; what
// one without a rate costs, nobody knows.
func (r Rules) serving(number string) []Route {
	return slices.DeleteFunc(serving(r.Routes, number), func(rt Route) bool { return r.maxCost > 0 && rt.cost(number) > r.maxCost })
}

// Serving names the lines that would carry a call to a number, in the order in
// which they are tried while all work.
func (r Rules) Serving(number string) (names []string) {
	list := r.serving(number)
	slices.SortStableFunc(list, rank(number))
	for _, rt := range list {
		names = append(names, rt.Line)
	}
	return names
}

// order sorts routes by priority, then cost, and within that at random by
// weight (RFC 2782). Those that have failed lately come last, and those that
// have asked to be spared not at all.
func (e *Edge) order(list []Route, number string) []Route {
	rank := rank(number)
	slices.SortStableFunc(list, rank)
	for i := range list {
		sum := 0
		for j := i; j < len(list) && rank(list[j], list[i]) == 0; j++ {
			sum += max(list[j].Weight, 1)
		}
		pick := rand.IntN(sum)
		for j := i; j < len(list); j++ {
			if pick -= max(list[j].Weight, 1); pick < 0 {
				list[i], list[j] = list[j], list[i]
				break
			}
		}
	}
	return e.afterPenalties(list)
}

func (e *Edge) afterPenalties(list []Route) (ordered []Route) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	var failed []Route
	for _, rt := range list {
		switch p, ok := e.penalty[rt.Line]; {
		case !ok || now.After(p.until):
			ordered = append(ordered, rt)
		case !p.spared:
			failed = append(failed, rt)
		}
	}
	return append(ordered, failed...)
}

// cost of a minute to a number: that of the longest prefix.
func (rt Route) cost(number string) float64 {
	cost, longest := math.Inf(1), 0
	for p, rate := range rt.Rates {
		if len(p) > longest && strings.HasPrefix(number, p) {
			cost, longest = rate, len(p)
		}
	}
	return cost
}
