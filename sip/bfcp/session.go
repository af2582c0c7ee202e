package bfcp

import "time"

// Options of a [Session].
type Options struct {
	// Server: this end decides who has the floor (RFC 8855, section 13); else it
	// takes part (section 10).
	Server bool
	// Datagrams: messages may get lost and are sent again (section 8.3).
	Datagrams  bool
	Conference uint32
	User       uint16 // of the participant
	Floor      uint16
	// Send writes a message; it does not block.
	Send func(Message)
	// After runs f later, as all calls of a session one after another, unless
	// stopped.
	After func(d time.Duration, f func()) (stop func())
	// On is told what happens.
	On Events
}

// Events are what a session tells. They are called from within its methods.
type Events interface {
	// Asked: the participant wants the floor. Server.Decide answers.
	Asked()
	// Theirs: the other end may present from now on, or no more.
	Theirs(bool)
	// Ours: this end may.
	Ours(bool)
	// Gone: the other end has said goodbye, or does not answer.
	Gone()
}

// Session is the protocol for one call. It knows no connection and no clock, and
// is not safe for concurrent use.
type Session struct {
	opt    Options
	closed bool
	next   uint16 // transaction

	ours, theirs bool

	// As the server: the participant's request, one at a time.
	asked    *Message // not decided yet
	request  uint16   // the last one's id
	last     Message  // request whose answer is
	answer   Message  // this one; its Primitive 0: none
	watching bool     // the participant has asked to be told
	// As the participant:
	wish    bool   // we have asked for the floor
	granted uint16 // id of our request

	waiting map[uint16]*sent
}

// sent is a message that waits for its answer.
type sent struct {
	m    Message
	try  int
	stop func()
}

const (
	// firstTry is T1 of section 8.3.1; each further wait is twice as long.
	firstTry = 500 * time.Millisecond
	maxTries = 4
	// maxWaiting bounds what may be unanswered at a time.
	maxWaiting = 16
	// self is the user that this end's presentations are said to be of.
	self = 0xfffe
	// ownRequest is the request that they are said to come of.
	ownRequest = 0xfffe
)

// NewSession begins a session. A participant says hello.
func NewSession(o Options) *Session {
	s := &Session{opt: o, waiting: map[uint16]*sent{}}
	if !o.Server {
		s.transact(Message{Primitive: Hello})
	}
	return s
}

func (s *Session) version() uint8 {
	if s.opt.Datagrams {
		return 2
	}
	return 1
}

func (s *Session) send(m Message) {
	m.Version, m.Conference, m.User = s.version(), s.opt.Conference, s.opt.User
	s.opt.Send(m)
}

// reply answers a message of the other end.
func (s *Session) reply(to Message, m Message) {
	m.Response, m.Transaction = true, to.Transaction
	s.last, s.answer = to, m
	s.send(m)
}

// transact sends a message that is answered. Those of a server over a stream
// have no transaction (section 8.2).
func (s *Session) transact(m Message) {
	if s.opt.Server && !s.opt.Datagrams {
		s.send(m)
		return
	}
	if len(s.waiting) >= maxWaiting {
		s.gone()
		return
	}
	if s.next++; s.next == 0 {
		s.next = 1
	}
	m.Transaction = s.next
	w := &sent{m: m}
	s.waiting[m.Transaction] = w
	s.again(w)
}

func (s *Session) again(w *sent) {
	if s.closed {
		return
	}
	s.send(w.m)
	wait := firstTry << w.try
	if !s.opt.Datagrams {
		wait = firstTry << maxTries // the stream does not lose it
	}
	w.stop = s.opt.After(wait, func() {
		if w.try++; w.try == maxTries || !s.opt.Datagrams {
			s.gone()
			return
		}
		s.again(w)
	})
}

// answered ends the transaction that a message answers; false if it is none of
// this end's.
func (s *Session) answered(m Message) (Message, bool) {
	w := s.waiting[m.Transaction]
	if w == nil {
		return Message{}, false
	}
	delete(s.waiting, m.Transaction)
	w.stop()
	return w.m, true
}

func (s *Session) gone() {
	if !s.closed {
		s.Close()
		s.opt.On.Gone()
	}
}

// Close ends the session; nothing is sent or told any more.
func (s *Session) Close() {
	s.closed = true
	for _, w := range s.waiting {
		w.stop()
	}
	clear(s.waiting)
}

// Receive takes a message of the other end.
func (s *Session) Receive(m Message) {
	switch {
	case s.closed:
	case s.opt.Datagrams && m.Version == 2 && s.answer.Primitive != 0 && same(m, s.last):
		s.send(s.answer) // the answer was lost
	case s.opt.Server:
		s.serve(m)
	default:
		s.participate(m)
	}
}

func same(a, b Message) bool {
	return !a.Response && a.Transaction == b.Transaction && a.Primitive == b.Primitive && a.User == b.User
}

// set changes who has the floor, and tells.
func (s *Session) set(ours, theirs bool) {
	wasOurs, wasTheirs := s.ours, s.theirs
	s.ours, s.theirs = ours, theirs
	if wasOurs != ours {
		s.opt.On.Ours(ours)
	}
	if wasTheirs != theirs {
		s.opt.On.Theirs(theirs)
	}
}

// Ask asks for the floor for this end. The server itself has it at once, unless
// the participant has.
func (s *Session) Ask() {
	switch {
	case s.closed || s.ours || s.wish:
	case s.opt.Server && s.theirs:
		s.opt.On.Ours(false)
	case s.opt.Server:
		s.set(true, false)
		s.tell()
	default:
		s.wish = true
		s.transact(Message{Primitive: FloorRequest, Floor: s.opt.Floor})
	}
}

// Release gives up this end's floor, or its wish for it.
func (s *Session) Release() {
	switch {
	case s.closed || !s.ours && !s.wish:
	case s.opt.Server:
		s.set(false, s.theirs)
		s.tell()
	default:
		if s.granted != 0 {
			s.transact(Message{Primitive: FloorRelease, Request: s.granted})
		}
		s.wish, s.granted = false, 0
		s.set(false, s.theirs)
	}
}
