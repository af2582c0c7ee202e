package bfcp

// participate takes a message of the server (RFC 8855, section 10).
func (s *Session) participate(m Message) {
	if m.Conference != s.opt.Conference {
		return
	}
	switch m.Primitive {
	case HelloAck:
		if _, ok := s.answered(m); ok {
			s.transact(Message{Primitive: FloorQuery, Floor: s.opt.Floor})
		}
	case FloorRequestStatus:
		asked, ok := s.answered(m)
		if !ok && s.opt.Datagrams {
			s.reply(m, Message{Primitive: FloorRequestStatusAck})
		}
		s.standsAt(m.Status, asked.Primitive == FloorRequest)
	case FloorStatus:
		if _, ok := s.answered(m); !ok && s.opt.Datagrams {
			s.reply(m, Message{Primitive: FloorStatusAck})
		}
		r := m.Status
		s.set(s.ours, r != nil && r.Status == Granted && (s.granted == 0 || r.Request != s.granted))
	case ErrorMessage:
		if of, ok := s.answered(m); ok && of.Primitive == FloorRequest {
			s.wish = false
			s.opt.On.Ours(false)
		}
	case GoodbyeAck, UserStatus:
		s.answered(m)
	case Hello:
		s.reply(m, Message{Primitive: HelloAck})
	case Goodbye:
		s.reply(m, Message{Primitive: GoodbyeAck})
		s.gone()
	default:
		s.reply(m, Message{Primitive: ErrorMessage, Error: unknownPrimitive})
	}
}

// standsAt is news of a request of ours; fresh: the answer to it.
func (s *Session) standsAt(r *Report, fresh bool) {
	if r == nil || !fresh && r.Request != s.granted {
		return
	}
	switch r.Status {
	case Pending, Accepted:
		s.granted = r.Request
	case Granted:
		s.granted = r.Request
		if s.wish {
			s.set(true, false)
		} else { // given up meanwhile
			s.transact(Message{Primitive: FloorRelease, Request: r.Request})
		}
	default:
		refused := s.wish && !s.ours
		s.wish, s.granted = false, 0
		s.set(false, s.theirs)
		if refused {
			s.opt.On.Ours(false)
		}
	}
}
