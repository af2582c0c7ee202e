package sip

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	siplib "github.com/emiago/sipgo/sip"
)

// Timer values of RFC 3261 17 and RFC 6026.
const (
	t1 = 500 * time.Millisecond
	t2 = 4 * time.Second
	t4 = 5 * time.Second
	// end is 64*T1: how long a transaction goes on without an answer.
	end = 64 * t1
	// trying is what a caller waits for a response, before 100 tells it to (17.2.1).
	trying = 200 * time.Millisecond
)

// txState names the states of RFC 3261 17.1.1.2, 17.1.2.2, 17.2.1 and 17.2.2
// in the form RFC 6026 gave them.
type txState uint8

const (
	txCalling    txState = iota // client: nothing heard; server: Trying
	txProceeding                // provisional responses only
	txAccepted                  // INVITE with 2xx
	txCompleted                 // final response
	txConfirmed                 // server INVITE: ACK received
	txTerminated
)

// transactions are the tables of both sides.
type transactions struct {
	mu      sync.Mutex
	servers map[string]*serverTx
	clients map[string]*clientTx
	limit   int
}

// serverKey matches requests to server transactions (RFC 3261 17.2.3).
func serverKey(req *request, method siplib.RequestMethod) string {
	via := req.Via()
	if branch := param(via.Params, "branch"); len(branch) > 7 && strings.HasPrefix(branch, siplib.RFC3261BranchMagicCookie) {
		return branch + "|" + via.Host + ":" + strconv.Itoa(via.Port) + "|" + string(method)
	}
	return "2543|" + string(*req.CallID()) + "|" + param(req.From().Params, "tag") + "|" + strconv.Itoa(int(req.CSeq().SeqNo)) + "|" + via.Host + "|" + string(method)
}

func clientKey(branch string, method siplib.RequestMethod) string {
	return branch + "|" + string(method)
}

// serverTx is a server transaction. Responses are sent by respond; requests
// that repeat are answered here and never reach the handler.
type serverTx struct {
	e    *Edge
	key  string
	req  *request
	flow *flow

	mu     sync.Mutex
	state  txState
	last   []byte
	timer  *time.Timer // of 100, then G, then I, J or L
	timers int         // set so far: one that has gone off meanwhile is none of these
	resend time.Duration
	until  time.Time
	// onCancel is called for a CANCEL; it returns whether the INVITE is still
	// without final response. onEnd is called when a final response other
	// than 2xx never saw its ACK.
	onCancel func(*request)
}

// newServer finds or makes the transaction of a request; fresh tells which.
// tx is nil when the table is full.
func (t *transactions) newServer(e *Edge, req *request, f *flow) (tx *serverTx, fresh bool) {
	key := serverKey(req, req.Method)
	t.mu.Lock()
	defer t.mu.Unlock()
	if tx = t.servers[key]; tx != nil {
		return tx, false
	}
	if len(t.servers) >= t.limit {
		return nil, true
	}
	tx = &serverTx{e: e, key: key, req: req, flow: f}
	t.servers[key] = tx
	return tx, true
}

func (t *transactions) server(key string) *serverTx {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.servers[key]
}

// forget is called with tx.mu held.
func (tx *serverTx) forget() {
	tx.state = txTerminated
	tx.unset()
	tx.e.tx.mu.Lock()
	delete(tx.e.tx.servers, tx.key)
	tx.e.tx.mu.Unlock()
}

// hurry has a response go out within 200 ms, if none does by itself: 100.
func (tx *serverTx) hurry() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.after(trying)
}

// after restarts the transaction's one timer. Called with tx.mu held.
func (tx *serverTx) after(d time.Duration) {
	tx.unset()
	n := tx.timers
	tx.timer = time.AfterFunc(d, func() { tx.expire(n) })
}

// unset stops the timer. Called with tx.mu held.
func (tx *serverTx) unset() {
	if tx.timer != nil {
		tx.timer.Stop()
	}
	tx.timers++
}

// respond sends a response and moves the state (RFC 3261 17.2.1, 17.2.2, RFC
// 6026 8.7). Responses after a final one are ignored, except a 2xx repeated.
func (tx *serverTx) respond(res *response) error {
	finish(res)
	b := []byte(res.String())
	tx.mu.Lock()
	invite := tx.req.Method == siplib.INVITE
	final := res.StatusCode >= 200
	switch {
	case tx.state == txProceeding && res.StatusCode == 100:
		tx.mu.Unlock()
		return nil // another has just told that
	case tx.state <= txProceeding && !final:
		tx.state = txProceeding
		tx.unset()
	case tx.state <= txProceeding && invite && res.StatusCode < 300:
		tx.state = txAccepted
		tx.after(end) // timer L
	case tx.state <= txProceeding && invite:
		tx.state = txCompleted
		tx.resend, tx.until = t1, time.Now().Add(end)
		if tx.flow.reliable() {
			tx.after(end) // timer H
		} else {
			tx.after(t1) // timer G
		}
	case tx.state <= txProceeding:
		tx.state = txCompleted
		if tx.flow.reliable() {
			tx.forget()
		} else {
			tx.after(end) // timer J
		}
	case tx.state == txAccepted && res.StatusCode < 300 && final:
	default:
		tx.mu.Unlock()
		return errors.New("sip: transaction is over")
	}
	tx.last = b
	tx.mu.Unlock()
	return tx.flow.send(b, res)
}

// expire is the nth timer: the first tells that the request is dealt with; G repeats
// a refusal until its ACK; H, I, J and L end.
func (tx *serverTx) expire(n int) {
	tx.mu.Lock()
	if n != tx.timers { // a response has gone out while it went off
		tx.mu.Unlock()
		return
	}
	if tx.state <= txProceeding {
		tx.mu.Unlock()
		tx.respond(reply(tx.req, 100, ""))
		return
	}
	if tx.state != txCompleted || tx.req.Method != siplib.INVITE || tx.flow.reliable() || !time.Now().Before(tx.until) {
		tx.forget()
		tx.mu.Unlock()
		return
	}
	tx.resend = min(2*tx.resend, t2)
	tx.after(tx.resend)
	tx.mu.Unlock()
	tx.repeat()
}

// repeat sends the last response anew.
func (tx *serverTx) repeat() {
	tx.mu.Lock()
	b := tx.last
	tx.mu.Unlock()
	tx.flow.send(b, nil)
}

// again answers a request that came before.
func (tx *serverTx) again() {
	tx.mu.Lock()
	b := tx.last
	if tx.state == txAccepted || tx.state == txConfirmed {
		b = nil // RFC 6026: the 2xx is repeated by its owner alone
	}
	tx.mu.Unlock()
	if b != nil {
		tx.flow.send(b, nil)
	}
}

// ack takes the ACK of a refusal.
func (tx *serverTx) ack() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.state != txCompleted {
		return
	}
	tx.state = txConfirmed
	if tx.flow.reliable() {
		tx.forget()
	} else {
		tx.after(t4) // timer I
	}
}

// clientTx is a client transaction. The callbacks run one at a time, never
// under a lock; onError comes at most once and nothing follows it.
type clientTx struct {
	e          *Edge
	key        string
	req        *request
	text       []byte
	flow       *flow
	onResponse func(*response)
	onError    func(error)

	mu     sync.Mutex
	state  txState
	timer  *time.Timer // A or E
	over   *time.Timer // B or F, then D, K or M
	resend time.Duration
	acked  []byte
}

var (
	errTimeout = errors.New("no answer")
	errClosed  = errors.New("the connection was closed")
)

// lost fails the requests whose answer can't come any more, since their
// connection has closed (RFC 3261 17.1.4). Those within a call wait: the peer
// may come back by another.
func (t *transactions) lost(s *stream) {
	t.mu.Lock()
	var waiting []*clientTx
	for _, tx := range t.clients {
		if tx.flow.stream == s && param(tx.req.To().Params, "tag") == "" {
			waiting = append(waiting, tx)
		}
	}
	t.mu.Unlock()
	for _, tx := range waiting {
		tx.fail(errClosed)
	}
}

// send starts a client transaction: it puts the Via on the request, sends it,
// and repeats it as the flow needs. Errors of sending are reported by onError.
func (e *Edge) send(req *request, f *flow, onResponse func(*response), onError func(error)) *clientTx {
	branch := siplib.GenerateBranchN(16)
	e.putVia(req, f, branch)
	return e.start(req, f, branch, onResponse, onError)
}

func (e *Edge) start(req *request, f *flow, branch string, onResponse func(*response), onError func(error)) *clientTx {
	finish(req)
	tx := &clientTx{e: e, key: clientKey(branch, req.Method), req: req, text: []byte(req.String()), flow: f, onResponse: onResponse, onError: onError, resend: t1}
	e.tx.mu.Lock()
	e.tx.clients[tx.key] = tx
	e.tx.mu.Unlock()
	tx.mu.Lock()
	tx.over = time.AfterFunc(end, func() { tx.fail(errTimeout) })
	if !f.reliable() {
		tx.timer = time.AfterFunc(t1, tx.repeat)
	}
	tx.mu.Unlock()
	if err := f.send(tx.text, req); err != nil {
		go tx.fail(err)
	}
	return tx
}

// repeat is timer A or E.
func (tx *clientTx) repeat() {
	tx.mu.Lock()
	invite := tx.req.Method == siplib.INVITE
	if tx.state > txProceeding || invite && tx.state != txCalling {
		tx.mu.Unlock()
		return
	}
	tx.resend *= 2
	if !invite && (tx.resend > t2 || tx.state == txProceeding) {
		tx.resend = t2
	}
	tx.timer.Reset(tx.resend)
	tx.mu.Unlock()
	if err := tx.flow.send(tx.text, nil); err != nil {
		tx.fail(err)
	}
}

// fail ends the transaction, unless it is over anyway. After a final response
// it is the quiet end of timers D, K and M.
func (tx *clientTx) fail(err error) {
	tx.mu.Lock()
	answered := tx.state >= txAccepted
	was := tx.state
	tx.forget()
	tx.mu.Unlock()
	if !answered && was != txTerminated {
		tx.onError(err)
	}
}

// forget is called with tx.mu held.
func (tx *clientTx) forget() {
	tx.state = txTerminated
	tx.over.Stop()
	if tx.timer != nil {
		tx.timer.Stop()
	}
	tx.e.tx.mu.Lock()
	delete(tx.e.tx.clients, tx.key)
	tx.e.tx.mu.Unlock()
}

// receive takes a response (RFC 3261 17.1.1.2, 17.1.2.2, RFC 6026 8.4).
func (tx *clientTx) receive(res *response) {
	invite := tx.req.Method == siplib.INVITE
	tx.mu.Lock()
	pass := true
	switch {
	case tx.state == txTerminated:
		pass = false
	case tx.state == txAccepted: // 2xx repeated, or of another fork
		pass = res.StatusCode >= 200 && res.StatusCode < 300
	case tx.state == txCompleted:
		pass = false
		if b := tx.acked; b != nil && res.StatusCode >= 300 {
			tx.mu.Unlock()
			tx.flow.send(b, nil)
			return
		}
	case res.StatusCode < 200:
		tx.state = txProceeding
		if invite {
			tx.over.Stop() // no timer B any more: it may ring for long
		}
	case invite && res.StatusCode < 300:
		tx.settle(txAccepted, end)
	case invite:
		tx.settle(txCompleted, tx.linger(32*time.Second))
		tx.ackLocked(res)
	default:
		tx.settle(txCompleted, tx.linger(t4))
	}
	ack := tx.acked
	first := ack != nil && pass && res.StatusCode >= 300
	tx.mu.Unlock()
	if first {
		tx.flow.send(ack, nil)
	}
	if pass {
		tx.onResponse(res)
	}
}

// settle enters a final state for a while (timers D, K, M). Called with tx.mu
// held.
func (tx *clientTx) settle(s txState, stay time.Duration) {
	tx.state = s
	if tx.timer != nil {
		tx.timer.Stop()
	}
	tx.over.Stop()
	tx.over = time.AfterFunc(stay, func() { tx.fail(nil) })
}

func (tx *clientTx) linger(d time.Duration) time.Duration {
	if tx.flow.reliable() {
		return 0
	}
	return d
}

// ackLocked builds the ACK of a refusal (RFC 3261 17.1.1.3).
func (tx *clientTx) ackLocked(res *response) {
	ack := siplib.NewRequest(siplib.ACK, tx.req.Recipient)
	ack.AppendHeader(siplib.HeaderClone(tx.req.Via()))
	for _, h := range tx.req.GetHeaders("Route") {
		ack.AppendHeader(h)
	}
	ack.AppendHeader(tx.req.From())
	ack.AppendHeader(siplib.HeaderClone(res.To()))
	ack.AppendHeader(tx.req.CallID())
	ack.AppendHeader(&siplib.CSeqHeader{SeqNo: tx.req.CSeq().SeqNo, MethodName: siplib.ACK})
	forwards := siplib.MaxForwardsHeader(70)
	ack.AppendHeader(&forwards)
	ack.SetBody(nil)
	tx.acked = []byte(ack.String())
}

// cancel builds and sends the CANCEL of an INVITE that has had a provisional
// response (RFC 3261 9.1).
func (tx *clientTx) cancel(reason string) {
	c := siplib.NewRequest(siplib.CANCEL, tx.req.Recipient)
	c.AppendHeader(siplib.HeaderClone(tx.req.Via()))
	for _, h := range tx.req.GetHeaders("Route") {
		c.AppendHeader(h)
	}
	c.AppendHeader(tx.req.From())
	c.AppendHeader(siplib.HeaderClone(tx.req.To()))
	c.AppendHeader(tx.req.CallID())
	c.AppendHeader(&siplib.CSeqHeader{SeqNo: tx.req.CSeq().SeqNo, MethodName: siplib.CANCEL})
	forwards := siplib.MaxForwardsHeader(70)
	c.AppendHeader(&forwards)
	if reason != "" {
		set(c, "Reason", reason)
	}
	branch := param(tx.req.Via().Params, "branch")
	tx.e.start(c, tx.flow, branch, func(*response) {}, func(error) {})
	// RFC 3261 9.1: without an answer to the INVITE within 64*T1, give it up.
	tx.mu.Lock()
	if tx.state <= txProceeding {
		tx.over.Stop()
		tx.over = time.AfterFunc(end, func() { tx.fail(errTimeout) })
	}
	tx.mu.Unlock()
}

// finish adds what every message carries.
func finish(m message) {
	if m.ContentLength() == nil {
		m.SetBody(m.Body())
	}
}
