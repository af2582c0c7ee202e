package sip

import (
	"mime"
	"strings"
	"time"
	"unicode/utf8"

	siplib "github.com/emiago/sipgo/sip"

	"bridgehead/core"
)

// Writing (RFC 3428). A device that has proved who it is writes to the meeting
// that its call is in: within the call, or to the number that it has called.
// What others write there it is sent within the call, if it allows MESSAGE.
// Nobody else's MESSAGE is taken.

const (
	// A device may write so many at once, and so many a second.
	writingBurst, writingRate = 10, 2
	// maxUnsent is how many lines wait for a device; the oldest go first.
	maxUnsent = 16
)

// writing is what a call has of it.
type writing struct {
	unsent  []core.Text
	sending bool // one at a time (RFC 3428 8)
}

// readWriting takes a MESSAGE's text: plain, in UTF-8, 4000 bytes at most. A
// refusal is a status and a header that says what would be taken.
func readWriting(req *request) (text string, no *refusal) {
	kind, params, err := mime.ParseMediaType(first(req, "Content-Type"))
	charset := strings.ToLower(params["charset"])
	enc := first(req, "Content-Encoding")
	switch {
	case err != nil || kind != "text/plain" || charset != "" && charset != "utf-8" && charset != "us-ascii":
		return "", &refusal{status: 415, set: [][2]string{{"Accept", "text/plain;charset=utf-8"}}}
	case enc != "" && !strings.EqualFold(enc, "identity"):
		return "", &refusal{status: 415, set: [][2]string{{"Accept-Encoding", "identity"}}}
	case len(req.Body()) > core.MaxText:
		return "", &refusal{status: 413}
	case !utf8.Valid(req.Body()):
		return "", &refusal{status: 400}
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, string(req.Body()))), nil
}

// writer is the device that a request comes from: over the connection on which
// it has registered, or by digest. TLS only.
func (e *Edge) writer(req *request, in *flow) (user string, no *refusal) {
	if !in.secure() || e.opt.Devices == nil || e.trunkOf(in) != nil {
		return "", &refusal{status: 403}
	}
	if in.stream != nil {
		if u := in.stream.user.Load(); u != nil {
			if _, known := e.opt.Devices.Device(*u); known {
				return *u, nil
			}
		}
	}
	user, _, v := e.verify(e.auth, req, in)
	switch v {
	case authOK:
		return user, nil
	case authBlocked:
		return "", &refusal{status: 403, set: [][2]string{{"Retry-After", "60"}}}
	}
	return "", &refusal{status: 401, auth: e.auth, stale: v == authStale}
}

// written handles a MESSAGE. inside is the call that it came in; nil: it came
// outside of calls.
func (e *Edge) written(tx *serverTx, in *flow, inside *leg) {
	req := tx.req
	tag := newTag()
	if inside != nil {
		tag = inside.localTag
	}
	end := func(no *refusal) {
		res := reply(req, no.status, tag)
		for _, h := range no.set {
			set(res, h[0], h[1])
		}
		if no.auth != nil {
			e.auth.challenge(req, res, no.stale)
		}
		tx.respond(res)
	}
	user, text, no := e.authored(req, in)
	if no != nil {
		end(no)
		return
	}
	deliver := func(l *leg) {
		if l.info.User != user || !l.write(text) {
			end(&refusal{status: 403})
			return
		}
		end(&refusal{status: 200})
	}
	if inside != nil {
		deliver(inside)
		return
	}
	number, _, _ := strings.Cut(called(req.Recipient), "**")
	if l := e.callOf(user, number); l != nil {
		l.box.Post(func() { deliver(l) })
		return
	}
	end(&refusal{status: 403, set: [][2]string{{"Warning", warning(399, e.domain(), "Call this number first: messages go to a meeting that you are in")}}})
}

// authored checks who has written what.
func (e *Edge) authored(req *request, in *flow) (user, text string, no *refusal) {
	if no = e.sane(req); no != nil {
		return "", "", no
	}
	if user, no = e.writer(req, in); no != nil {
		return "", "", no
	}
	if text, no = readWriting(req); no == nil && !e.mayWrite(user) {
		no = &refusal{status: 503, set: [][2]string{{"Retry-After", "5"}}}
	}
	return user, text, no
}

// mayWrite counts a message of a device.
func (e *Edge) mayWrite(user string) bool {
	e.writersMu.Lock()
	defer e.writersMu.Unlock()
	return e.writers.At(time.Now(), user, writingRate, writingBurst).Take()
}

// callOf finds a device's call that is in the meeting of a number, or that
// called it.
func (e *Edge) callOf(user, number string) *leg {
	e.legsMu.Lock()
	defer e.legsMu.Unlock()
	for _, l := range e.legs {
		l.mu.Lock()
		meeting := l.meeting
		mine := l.info.User == user && meeting != "" // and so l.to is settled
		l.mu.Unlock()
		if !mine {
			continue
		}
		if to, _, _ := strings.Cut(l.to, "**"); number == meeting || number == to && !l.out {
			return l
		}
	}
	return nil
}

// write passes on what the device has written; false: the call is in no
// meeting.
func (l *leg) write(text string) bool {
	l.mu.Lock()
	in := l.meeting
	l.mu.Unlock()
	if l.state == over || l.seat == nil || in == "" {
		return false
	}
	if text != "" {
		l.seat.Signal(core.Text{Body: text, At: time.Now()})
	}
	return true
}

// placedIn notes the meeting that the call is in.
func (l *leg) placedIn(p core.Placed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.meeting = ""; p.State == core.Joined {
		l.meeting = p.Meeting
	}
}

// hears queues what another party has written, for a device that may know and
// can show it.
func (l *leg) hears(t core.Text) {
	w := &l.writing
	if t.From == l.info.ID || l.info.User == "" || l.trunk != nil || !l.flow.secure() || !l.peer[siplib.MESSAGE] || l.state == over {
		return
	}
	if w.unsent = append(w.unsent, t); len(w.unsent) > maxUnsent {
		w.unsent = w.unsent[1:]
	}
	l.startWriting()
}

func (l *leg) startWriting() {
	if !l.writing.sending {
		l.sendWriting()
	}
}

// sendWriting sends what waits, one behind the other, once the call is
// connected.
func (l *leg) sendWriting() {
	w := &l.writing
	if w.sending = len(w.unsent) > 0 && l.state == confirmed; !w.sending {
		return
	}
	t := w.unsent[0]
	w.unsent = w.unsent[1:]
	req := l.newRequest(siplib.MESSAGE)
	set(req, "Content-Type", "text/plain;charset=UTF-8")
	req.SetBody([]byte(t.Name + ": " + t.Body))
	l.send(req, func(res *response) {
		if res.StatusCode < 200 {
			return
		}
		if res.StatusCode == 405 || res.StatusCode == 415 || res.StatusCode == 501 {
			delete(l.peer, siplib.MESSAGE) // it does not know it after all
			w.unsent = nil
		}
		l.sendWriting()
	}, func(error) { l.sendWriting() })
}
