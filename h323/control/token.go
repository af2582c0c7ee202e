package control

import (
	"io"
	"time"

	"bridgehead/core"
	"bridgehead/h323/h245"
)

// Bounds of H.239, which names no timers.
const (
	tokenWait   = 30 * time.Second // for an answer, and for the owner's channel
	tokenWindow = 10 * time.Second
	maxRequests = 10 // of the peer for the token, within tokenWindow
)

type tokenState int

const (
	tokenFree tokenState = iota
	tokenAsked
	tokenOurs
	tokenTheirs
)

// token is the right to present (H.239 11.2). What H.239 leaves open: whoever
// asks gets it, also from us who present; we do not take it from a peer that
// has a channel.
type token struct {
	state   tokenState
	number  int    // symmetryBreaking of our request
	channel uint16 // that we mean to open
	tries   int
	tied    bool   // the peer asked with the same number
	stop    func() // timer of the state

	requests int    // of the peer
	window   func() // stops the timer that forgets them
}

// tokenEvent is what happens to a token.
type tokenEvent int

const (
	tokenWanted tokenEvent = iota // by us
	tokenUnwanted
	tokenRequested // by the peer, as are those below
	tokenGranted
	tokenRefused
	tokenReleased
	tokenExpired // the state's timer
)

func (t *token) on(m *Machine, e tokenEvent, c parameters) {
	if m.ended {
		return
	}
	switch t.state {
	case tokenFree:
		t.free(m, e, c)
	case tokenAsked:
		t.asked(m, e, c)
	case tokenOurs:
		t.ours(m, e, c)
	case tokenTheirs:
		t.theirs(m, e, c)
	}
}

// H.239 11.2: nobody has the token.
func (t *token) free(m *Machine, e tokenEvent, c parameters) {
	switch e {
	case tokenWanted:
		t.tries = 0
		t.ask(m)
	case tokenRequested:
		t.give(m, c)
	case tokenGranted: // too late: we have given up
		t.release(m, c.channel)
	}
}

// H.239 11.2: we have asked and await the answer. Of two who ask at once, the
// larger number wins; with equal ones both are refused, and ask again.
func (t *token) asked(m *Machine, e tokenEvent, c parameters) {
	switch e {
	case tokenRequested:
		if c.number > t.number {
			t.give(m, c)
			return
		}
		t.tied = c.number == t.number
		m.answerContent(c, false)
	case tokenGranted:
		m.indicate(h245.IndicationMessage{GenericIndication: contentMessage(presentationTokenIndicateOwner,
			number(paramLabel, 0), number(paramChannel, int(t.channel)))})
		t.become(m, tokenOurs)
		m.proceedContent()
	case tokenRefused:
		if t.tied && t.tries < maxTries {
			t.ask(m)
			return
		}
		t.become(m, tokenFree)
	case tokenExpired:
		m.note("H.239: the peer does not answer our request for the token")
		t.become(m, tokenFree)
	case tokenUnwanted:
		t.become(m, tokenFree)
	}
}

// H.239 11.2: we present. A peer that asks takes the token over; one that
// releases it wants to see no more.
func (t *token) ours(m *Machine, e tokenEvent, c parameters) {
	switch e {
	case tokenRequested:
		t.give(m, c)
	case tokenUnwanted:
		t.release(m, int(t.channel))
		t.become(m, tokenFree)
	case tokenReleased:
		t.become(m, tokenFree)
	}
}

// H.239 11.2: the peer presents, or is about to.
func (t *token) theirs(m *Machine, e tokenEvent, c parameters) {
	switch e {
	case tokenRequested:
		t.give(m, c)
	case tokenReleased, tokenExpired:
		t.become(m, tokenFree)
	case tokenWanted:
		if carrying(m.in, core.Screen) == nil {
			t.tries = 0
			t.ask(m)
		}
	}
}

// ask sends a request, with a number drawn by lot.
func (t *token) ask(m *Machine) {
	var b [1]byte
	if _, err := io.ReadFull(m.opt.Rand, b[:]); err != nil {
		m.note("H.239: no random number: %v", err)
		t.become(m, tokenFree)
		return
	}
	t.tries++
	t.number, t.tied = int(b[0])%127+1, false
	if t.channel == 0 {
		t.channel = m.number()
	}
	t.become(m, tokenAsked)
	m.ask(h245.RequestMessage{GenericRequest: contentMessage(presentationTokenRequest,
		number(paramLabel, 0), number(paramChannel, int(t.channel)), number(paramNumber, t.number))})
}

// give lets the peer have the token.
func (t *token) give(m *Machine, c parameters) {
	if l := carrying(m.in, core.Screen); l != nil {
		l.barred = false
	}
	m.answerContent(c, true)
	t.become(m, tokenTheirs)
}

// release tells the peer that we do not need the token.
func (t *token) release(m *Machine, channel int) {
	m.order(h245.CommandMessage{GenericCommand: contentMessage(presentationTokenRelease,
		number(paramLabel, 0), number(paramChannel, channel))})
}

// become enters a state, with the timer that bounds it, and does and tells what
// follows.
func (t *token) become(m *Machine, s tokenState) {
	was := t.state
	t.state = s
	t.watch(m)
	if was == tokenOurs && s != tokenOurs {
		m.closeContent()
	}
	if s == tokenFree || s == tokenTheirs {
		t.channel = 0
	}
	m.showContent()
	if s != was && s != tokenAsked {
		m.tell(Token{Ours: s == tokenOurs, Theirs: s == tokenTheirs})
	}
}

// watch sets the state's timer: to an answer, and to an owner that has no
// channel, not yet or not any more. Some close it and release no token.
func (t *token) watch(m *Machine) {
	t.stopTimer()
	if t.state == tokenAsked || t.state == tokenTheirs && carrying(m.in, core.Screen) == nil {
		t.stop = m.after(tokenWait, func() {
			t.stop = nil
			t.on(m, tokenExpired, parameters{})
		})
	}
}

func (t *token) stopTimer() {
	if t.stop != nil {
		t.stop()
		t.stop = nil
	}
}

func (t *token) stopTimers() {
	t.stopTimer()
	if t.window != nil {
		t.window()
		t.window = nil
	}
}

// floods reports whether the peer asks more often than anybody presents.
func (t *token) floods(m *Machine) bool {
	if t.window == nil {
		t.requests = 0
		t.window = m.after(tokenWindow, func() { t.window = nil })
	}
	if t.requests++; t.requests == maxRequests+1 {
		m.note("H.239: the peer asks for the token too often; it gets no answer for a while")
	}
	return t.requests > maxRequests
}
