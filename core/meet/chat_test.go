package meet

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"bridgehead/core"
	"bridgehead/core/coretest"
)

// minutes notes what is said.
type minutes struct {
	mu            sync.Mutex
	open, history bool
	lines         []Line
}

func (m *minutes) Policy() (open, history bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open, m.history
}

func (m *minutes) Said(l Line) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = append(m.lines, l)
}

// browser is a signed-in party with a screen.
func browser(name string) *coretest.Leg {
	return coretest.New(0, func(i *core.Info) {
		i.ID, i.Name, i.User, i.Protocol, i.Forwarded = name, name, "account of "+name, core.WebRTC, true
	})
}

func texts(l *coretest.Leg) (list []string) {
	for _, e := range l.Told() {
		switch e := e.(type) {
		case core.Text:
			list = append(list, e.Name+": "+e.Body)
		case core.Notice:
			if e.Code == "chat" {
				list = append(list, e.Text)
			}
		}
	}
	return list
}

func TestChatReachesThoseInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chat := &minutes{open: true, history: true}
		h := newHall(t, func(o *Options) { o.Chat, o.Admission = chat, Accept })
		host, guest, late := browser("host"), browser("guest"), browser("late")
		h.mustJoin(core.Host, host)
		h.mustJoin(core.Guest, guest)
		write := func(l *coretest.Leg, body string) {
			l.Seat().Signal(core.Text{From: "forged", Name: "forged", Body: body, At: time.Now()})
			h.settle()
		}
		write(guest, "from the waiting room")
		write(host, "hello")
		for _, bad := range []string{"", " \n", strings.Repeat("x", core.MaxText+1), "\xff"} {
			write(host, bad)
		}
		if err := h.Command(core.Command{Verb: core.Accept, Party: "guest"}); err != nil {
			t.Fatal(err)
		}
		h.settle()
		write(guest, "thanks")
		not := "A message has 1 to 4000 bytes of text: yours was not sent."
		for l, want := range map[*coretest.Leg][]string{
			host:  {"host: hello", not, not, not, not, "guest: thanks"},
			guest: {"host: hello", "guest: thanks"},
		} {
			if got := texts(l); !slices.Equal(got, want) {
				t.Errorf("%s reads %q, want %q", l.Info().ID, got, want)
			}
		}
		if len(chat.lines) != 2 || chat.lines[1].User != guest.Info().User || chat.lines[1].Text.From != "guest" || chat.lines[1].Meeting != "7001" {
			t.Errorf("kept is %+v", chat.lines)
		}
		chat.history = false
		h.mustJoin(core.Host, late)
		if got := texts(late); got != nil {
			t.Errorf("without history a newcomer reads %q", got)
		}
		for _, l := range []*coretest.Leg{host, guest, late} {
			l.Seat().Leave(core.Reason{})
		}
		h.settle()
		chat.history = true
		again := browser("again")
		h.mustJoin(core.Host, again)
		if got := texts(again); got != nil {
			t.Errorf("of the meeting before a newcomer reads %q", got)
		}
		h.End(core.Reason{})
	})
}

func TestChatIsClosedAndPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chat := &minutes{}
		h := newHall(t, func(o *Options) { o.Chat = chat })
		a := browser("a")
		h.mustJoin(core.Host, a)
		write := func() { a.Seat().Signal(core.Text{Body: fmt.Sprint(len(texts(a)))}); h.settle() }
		write()
		if got := texts(a); !slices.Equal(got, []string{"Chat is turned off on this bridge."}) {
			t.Errorf("closed: %q", got)
		}
		chat.open = true
		for range writeBurst + 3 {
			write()
		}
		if len(chat.lines) != writeBurst {
			t.Errorf("at once %d lines, want %d", len(chat.lines), writeBurst)
		}
		time.Sleep(2 * writeEvery)
		for range 3 {
			write()
		}
		if len(chat.lines) != writeBurst+2 {
			t.Errorf("after a second %d lines, want %d", len(chat.lines), writeBurst+2)
		}
		h.End(core.Reason{})
	})
}
