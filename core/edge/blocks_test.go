package edge

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func strike(b *Blocks, n int, a string, datagram bool, what Offence) {
	for range n {
		b.Strike(addr(a), datagram, what)
	}
}

// A source is blocked after too many offences, for a time that grows; others,
// what came otherwise, and who is allowed go on.
func TestOffendersAreBlockedForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		var text bytes.Buffer
		o := BlockOptions{Strikes: 10, Window: time.Minute, Length: 10 * time.Minute, Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
			Log: slog.New(slog.NewTextHandler(&text, nil)), Notify: func(b Block) { told = append(told, b.Network.String()) }}
		b := NewBlocks(o)
		blocked := func(want bool, a string, datagram bool) {
			t.Helper()
			if got := b.Drops(addr(a), datagram); got != want {
				t.Errorf("%s (datagram %v) is dropped: %v", a, datagram, got)
			}
		}
		strike(b, 9, "198.51.100.7", false, WrongNumber)
		time.Sleep(time.Minute + time.Second)
		strike(b, 9, "198.51.100.7", false, WrongNumber)
		blocked(false, "198.51.100.7", false) // never ten within a minute
		strike(b, 1, "198.51.100.7", false, WrongPassword)
		strike(b, 100, "192.0.2.7", false, Flood)
		strike(b, 100, "2001:db8::1", true, Malformed)
		blocked(true, "198.51.100.7", false)
		blocked(false, "198.51.100.7", true)
		blocked(false, "198.51.100.8", false)
		blocked(false, "192.0.2.7", false)
		blocked(true, "2001:db8::2", true)
		if l := b.List(); len(l) != 2 || l[0].Why+l[1].Why == "" {
			t.Errorf("%+v", l)
		}
		// As fail2ban reads it.
		line := regexp.MustCompile(`level=WARN msg="source blocked" source=(\S+) network=\S+ transport=tcp until=\S+ why="(.*)"`)
		if m := line.FindStringSubmatch(text.String()); m == nil || m[1] != "198.51.100.7" || m[2] != "tried 9 numbers or passcodes, sent 1 wrong password" {
			t.Errorf("%q of %s", m, text.String())
		}
		time.Sleep(10*time.Minute + time.Second)
		blocked(false, "198.51.100.7", false)
		strike(b, 10, "198.51.100.7", false, WrongNumber)
		time.Sleep(15 * time.Minute)
		blocked(true, "198.51.100.7", false) // twice as long
		if l := b.List(); len(l) != 1 || l[0].Dropped != 1 || !b.Lift(l[0].ID) || b.Lift(l[0].ID) {
			t.Errorf("%+v", l)
		}
		blocked(false, "198.51.100.7", false)
		strike(b, 10, "198.51.100.7", false, WrongNumber)
		o.Allow = append(o.Allow, netip.MustParsePrefix("198.51.100.7/32"))
		b.Set(o)
		blocked(false, "198.51.100.7", false)
		if len(told) != 8 { // each of four begins and ends
			t.Errorf("told of %q", told)
		}
	})
}

// Many of one network are blocked as that, and counted together.
func TestNetworksAreBlockedWhole(t *testing.T) {
	b := NewBlocks(BlockOptions{Strikes: 1000, Window: time.Minute, Length: time.Minute})
	for i := range 4 {
		strike(b, 1000, fmt.Sprint("198.51.100.", i), true, Unlisted)
	}
	if b.Drops(addr("198.51.100.200"), true) || len(b.List()) != 4 {
		t.Fatalf("too early: %+v", b.List())
	}
	strike(b, 1000, "198.51.100.9", true, Unlisted)
	l := b.List()
	if len(l) != 1 || l[0].Network.String() != "198.51.100.0/24" || !strings.HasPrefix(l[0].Why, "sent 5,000 messages") || !b.Drops(addr("198.51.100.200"), true) {
		t.Errorf("%+v", l)
	}
	strike(b, 5000, "198.51.100.10", true, Unlisted)
	if len(b.List()) != 1 {
		t.Error("a source in a blocked network is blocked again")
	}
}

// However many sources there are, few are remembered; those that are blocked
// stay so.
func TestBlocksAreBounded(t *testing.T) {
	b := NewBlocks(BlockOptions{Strikes: 2, Window: time.Hour, Length: time.Hour})
	strike(b, 2, "198.51.100.7", true, Flood)
	for i := range 3 * maxOffenders {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		b.Strike(a, true, Flood)
		if i%2 == 0 {
			b.Strike(a, true, Flood)
		}
	}
	if len(b.records) > maxOffenders || len(b.blocks) > maxBlocks || len(b.served) > maxOffenders {
		t.Errorf("%d records, %d blocks, %d were", len(b.records), len(b.blocks), len(b.served))
	}
	if !b.Drops(addr("198.51.100.7"), true) {
		t.Error("a flood has freed one that was blocked")
	}
	var none *Blocks
	none.Strike(addr("198.51.100.7"), true, Flood)
	if none.Drops(addr("198.51.100.7"), true) || len(none.List()) != 0 || none.Lift("1") {
		t.Error("none blocks")
	}
}

// Where somebody has proved who he is, HTTPS is open for a day; nothing else is.
func TestProvedSourcesAreNotRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBlocks(BlockOptions{Strikes: 1, Window: time.Minute, Length: longestBlock})
		strike(b, 1, "198.51.100.7", false, Flood)
		if !b.Refuses(addr("198.51.100.7")) || b.Refuses(addr("198.51.100.8")) {
			t.Error("not who is blocked is refused")
		}
		b.Proved(addr("198.51.100.7"))
		if b.Refuses(addr("198.51.100.7")) || !b.Drops(addr("198.51.100.7"), false) {
			t.Error("it is refused, or not dropped elsewhere")
		}
		time.Sleep(23 * time.Hour)
		if b.Refuses(addr("198.51.100.7")) {
			t.Error("refused within the day")
		}
		time.Sleep(2 * time.Hour)
		b.List() // the first block is over
		strike(b, 1, "198.51.100.7", false, Flood)
		if !b.Refuses(addr("198.51.100.7")) {
			t.Error("taken after the day")
		}
		for i := range 2 * maxOffenders {
			b.Proved(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		}
		if len(b.proved) > maxOffenders {
			t.Errorf("%d sources are remembered", len(b.proved))
		}
		var none *Blocks
		none.Proved(addr("198.51.100.7"))
		if none.Refuses(addr("198.51.100.7")) {
			t.Error("no blocks refuse")
		}
	})
}
