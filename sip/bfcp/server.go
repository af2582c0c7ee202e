package bfcp

// serve takes a message of the participant (RFC 8855, section 13).
func (s *Session) serve(m Message) {
	switch {
	case m.Conference != s.opt.Conference:
		s.reply(m, Message{Primitive: ErrorMessage, Error: noConference})
		return
	case m.User != s.opt.User:
		s.reply(m, Message{Primitive: ErrorMessage, Error: noUser})
		return
	}
	// Drafts of the protocol had other numbers for the last ones: an answer to
	// what this end has sent is one, whatever it calls itself.
	if _, acknowledged := s.waiting[m.Transaction]; m.Response && acknowledged {
		s.answered(m)
		return
	}
	switch m.Primitive {
	case Hello:
		s.reply(m, Message{Primitive: HelloAck})
	case FloorQuery:
		s.watching = m.Floor == s.opt.Floor
		s.reply(m, s.floorStatus())
	case FloorRequest:
		s.requested(m)
	case FloorRelease:
		s.released(m)
	case FloorRequestQuery:
		s.reply(m, s.requestStatus(m.Request, s.standing(m.Request)))
	case UserQuery:
		s.reply(m, Message{Primitive: UserStatus, Status: s.userReport()})
	case FloorRequestStatusAck, FloorStatusAck, ErrorMessage:
		s.answered(m)
	case Goodbye:
		s.reply(m, Message{Primitive: GoodbyeAck})
		s.gone()
	default:
		s.reply(m, Message{Primitive: ErrorMessage, Error: unknownPrimitive})
	}
}

// requested: the answer waits for the decision.
func (s *Session) requested(m Message) {
	switch {
	case m.Floor != s.opt.Floor:
		s.reply(m, Message{Primitive: ErrorMessage, Error: invalidFloor})
	case s.asked != nil:
		if !same(m, *s.asked) { // one sent again is the one that waits
			s.reply(m, s.requestStatus(s.request, Denied))
		}
	case s.theirs:
		s.reply(m, s.requestStatus(s.request, Granted))
	default:
		if s.request++; s.request >= ownRequest {
			s.request = 1
		}
		s.asked = &m
		s.opt.On.Asked()
	}
}

// Decide grants the participant's request for the floor or denies it; granted,
// it ends what this end presents.
func (s *Session) Decide(grant bool) {
	if s.asked == nil || s.closed {
		return
	}
	m := *s.asked
	s.asked = nil
	if !grant {
		s.reply(m, s.requestStatus(s.request, Denied))
		return
	}
	s.reply(m, s.requestStatus(s.request, Granted))
	s.set(false, true)
	s.tell()
}

// Revoke takes the floor from the participant (section 13.5).
func (s *Session) Revoke() {
	s.Decide(false)
	if !s.theirs || s.closed {
		return
	}
	s.transact(s.requestStatus(s.request, Revoked))
	s.set(s.ours, false)
	s.tell()
}

func (s *Session) released(m Message) {
	switch {
	case s.asked != nil && (m.Request == 0 || m.Request == s.request):
		s.asked = nil
		s.reply(m, s.requestStatus(s.request, Cancelled))
	case m.Request != s.request || s.request == 0:
		s.reply(m, Message{Primitive: ErrorMessage, Error: noRequest})
	default:
		s.reply(m, s.requestStatus(s.request, Released))
		s.set(s.ours, false)
		s.tell()
	}
}

// tell informs the participant of who has the floor, if it wants to know.
func (s *Session) tell() {
	if s.watching && !s.closed {
		s.transact(s.floorStatus())
	}
}

func (s *Session) standing(request uint16) Status {
	switch {
	case request != s.request:
		return Cancelled
	case s.asked != nil:
		return Pending
	case s.theirs:
		return Granted
	}
	return Released
}

func (s *Session) requestStatus(request uint16, status Status) Message {
	return Message{Primitive: FloorRequestStatus, Status: &Report{Request: request, Floor: s.opt.Floor, Status: status, Beneficiary: s.opt.User}}
}

func (s *Session) floorStatus() Message {
	m := Message{Primitive: FloorStatus, Floor: s.opt.Floor}
	switch {
	case s.theirs:
		m.Status = &Report{Request: s.request, Floor: s.opt.Floor, Status: Granted, Beneficiary: s.opt.User}
	case s.ours:
		m.Status = &Report{Request: ownRequest, Floor: s.opt.Floor, Status: Granted, Beneficiary: self}
	}
	return m
}

func (s *Session) userReport() *Report {
	if s.theirs {
		return s.floorStatus().Status
	}
	return nil
}
