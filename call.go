package inlet

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/guard"
	"github.com/inlet-go/inlet/internal/lanes"
	"github.com/inlet-go/inlet/internal/order"
	"github.com/inlet-go/inlet/internal/refusal"
	"github.com/inlet-go/inlet/internal/wire"
)

// call is one request on its way through a handler. Its steps are the methods that serve
// calls, in handler.go; each leaves its result in a field for the next.
type call struct {
	h        *Handler
	w        http.ResponseWriter
	r        *http.Request
	state    *state
	started  time.Time
	route    *boundRoute
	source   *Source
	payload  *payload
	input    *Input
	body     []byte // the answer of a route with a Reply
	encoded  int    // how long the content of the events is
	accepted int
	recorded int       // of the rejects
	lapsed   int       // of the refused events, that could not be recorded
	wrote    time.Time // when the sink was called
	ready    time.Time // when the answer was known, if an observer wants to know
	charged  bool      // for its events, by the layers that limit them
	lost     bool      // the sink panicked: its memory may still be in use
	pass     admission.Pass
	answered bool
}

// newCall uses the state that an earlier layer made, or one of its own.
func newCall(h *Handler, w http.ResponseWriter, r *http.Request) call {
	s, now := stateOf(r.Context()), time.Now()
	if s == nil {
		s = &state{Context: r.Context(), arrived: now, lane: lanes.Here()}
	}
	return call{h: h, w: w, r: r, state: s, started: now}
}

// admitted maps an error of package admission to its public error.
func admitted(err error) error {
	switch err {
	case nil:
		return nil
	case admission.ErrClosed:
		return &Error{Code: CodeShuttingDown}
	}
	return overloaded(&tooManyInFlight)
}

// enter counts the request in, or refuses it.
func (c *call) enter() error {
	return admitted(c.h.inFlight.Enter(&c.pass, c.state.lane))
}

// leave counts the request out, if it is in.
func (c *call) leave() { c.h.inFlight.Leave(&c.pass) }

// match finds the route of the request.
func (c *call) match() (err error) {
	c.route, err = c.state.match(c.h.protocol.routes, c.r)
	return err
}

// reply answers a route that takes no payload. A refusal has none of the headers that were meant
// for the answer.
func (c *call) reply() (err error) {
	header := c.w.Header()
	o, made := &c.h.options, header.Clone()
	made["Content-Type"] = jsonType
	q := &Inquiry{Request: c.r, Header: made, HTTPConfig: o.HTTPConfig, public: o.public, account: &c.state.account}
	if c.body, err = c.route.Reply(q); err != nil {
		return err
	}
	if q.hostless {
		return &errHostless
	}
	clear(header)
	maps.Copy(header, q.Header)
	return nil
}

// anonymous is the source of the events of unauthenticated requests.
var anonymous = Source{ID: "anonymous"}

// admit refuses unauthenticated requests, and those that the sink is too busy for, before
// their bodies are read.
func (c *call) admit() error {
	c.source = c.state.source.Load()
	switch {
	case c.route.Open:
		return nil
	case c.source == nil && !c.h.options.AllowAnonymous:
		return &Error{Code: CodeMissingKey, Field: headerAuthorization}
	case c.source == nil:
		c.source = &anonymous
	}
	if c.h.queue.Full(c.started) {
		return overloaded(&busySink)
	}
	return nil
}

// read reads the payload, or uses the one that an earlier layer has read, and selects the
// route that it has the shape of. The payload of an open route is read and dropped.
func (c *call) read() (err error) {
	if c.route.Body != nil {
		c.payload, err = c.state.readQuery(c.h.bodies, c.r, c.route)
	} else {
		err = c.readPayload()
	}
	if err == nil && int64(c.payload.received) > c.route.maxPayload {
		err = tooLarge(c.route.maxPayload)
	}
	if err != nil || c.route.Open {
		return err
	}
	return c.recordAll(c.selectRoute())
}

// readPayload reads the payload, or uses the one that an earlier layer has read. Where that
// layer has left the reading to the handler, its bounds apply, and the request does not
// count as in flight meanwhile: a slow client must not hold the place of others.
func (c *call) readPayload() (err error) {
	waits := pending(c.r)
	if waits {
		c.leave()
	}
	c.payload, err = c.state.readPayload(c.h.bodies, c.w, c.r, c.h.protocol.bodyLimit(c.route), c.started)
	if err == nil {
		c.warnOfCoding()
	}
	if waits && err == nil {
		return c.enter()
	}
	return err
}

// warnOfCoding warns, once for each case, of a body whose header says something else about its
// encoding: a proxy may have changed one of them. The body decides.
func (c *call) warnOfCoding() {
	coding := c.payload.coding
	if coding.Named == coding.Found || c.source == nil { // anybody may send to an open route
		return
	}
	if _, warned := c.h.codings.LoadOrStore(coding, true); warned {
		return
	}
	c.h.options.Logger.WarnContext(c.r.Context(), "inlet: body read by what it is, since its Content-Encoding names something else; "+
		"a proxy may have changed one of the two, or the client names the wrong one; reported once",
		"named", cmp.Or(coding.Named, "none"), "found", cmp.Or(coding.Found, "none"), "source", c.source.ID, "path", c.route.Path)
}

// selectRoute indexes the payload and settles on the route of its shape, and on its limit.
func (c *call) selectRoute() error {
	doc, err := c.payload.index(c.h.protocol.index)
	if err != nil {
		return err
	}
	route := c.route.selectShape(rootObject(doc))
	if route == nil {
		return &Error{Code: CodeInvalidRequest, Message: "the payload has none of the forms that this endpoint accepts"}
	}
	c.route = route
	c.state.selected.Store(route)
	if int64(c.payload.received) > route.MaxBytes {
		return tooLarge(route.MaxBytes)
	}
	items, _ := doc.Items()
	if err = c.state.turn.Work(c.r.Context(), int64(items.Len())*eventCost, false); err != nil {
		return bodyError(err)
	}
	if c.input, err = takeInput(items.Len(), &c.state.account); err == nil {
		c.input.doc, c.input.recording = doc, c.h.options.Rejects != nil
	}
	return err
}

// eventCost is how many bytes of a body an event counts as while requests wait for the
// processor: no ordinary event is shorter.
const eventCost = 256

// decode has the dialect make events of the payload.
func (c *call) decode() error {
	in := c.input
	in.Request, in.ReceivedAt = c.r, c.state.arrived.UTC()
	in.limits, in.maxBytes, in.payload = &c.h.protocol.limits, c.route.MaxBytes, c.payload
	in.key = c.state.key.Load()
	err := c.route.Decode(in)
	if in.refused != nil {
		return accountError(in.refused)
	}
	if err != nil {
		return err
	}
	if c.h.options.FillAnonymousID && !in.forwarded {
		in.fillAnonymousID(VisitorFromContext(c.r.Context()).AnonymousID)
	}
	return nil
}

// check refuses the events that lack what every event needs, and those that the host's
// validators refuse.
func (c *call) check() error {
	in := c.input
	kept := 0
	for i, e := range in.events {
		size, p := c.h.checkEvent(c.state, e, c.route.UserOptional || in.forwarded)
		if p != nil {
			in.refuse(in.places[i], e.MessageID, e, p)
			continue
		}
		c.encoded += size
		in.events[kept], in.places[kept] = e, in.places[i]
		kept++
	}
	in.events, in.places = in.events[:kept], in.places[:kept]
	if err := c.refusal(); err != nil {
		return c.record(err)
	}
	return nil
}

// checkEvent returns the length of an event's content, or why it is refused.
func (h *Handler) checkEvent(ctx context.Context, e *Event, userOptional bool) (size int, _ *Problem) {
	if p := e.check(&h.protocol.limits, userOptional); p != nil {
		return 0, p
	}
	size, exceeds := e.exceeds(h.maxStored())
	if exceeds {
		return 0, problem(CodeEventTooLarge, "")
	}
	return size, h.validate(ctx, e)
}

// validate calls the host's validators. One that panics is a failure of the event.
func (h *Handler) validate(ctx context.Context, e *Event) (p *Problem) {
	for i := range h.validators {
		err := h.validators[i].call(ctx, h.options.Logger, func() { p = h.options.Validators[i](e) })
		if err != nil {
			return &Problem{Code: CodeInvalidEvent, Message: "the event could not be checked"}
		}
		if p != nil {
			return p
		}
	}
	return nil
}

// refusal returns the error of a request of which nothing is to be stored: all of it was
// refused, or some of it in strict mode.
func (c *call) refusal() error {
	in := c.input
	switch {
	case len(in.rejects) == 0:
		return nil
	case len(in.events) == 0 && len(in.rejects) == 1:
		only := in.rejects[0]
		return &Error{Code: only.Code, Message: only.Message, Field: only.Field, event: true}
	case len(in.events) == 0:
		return &Error{Code: CodeAllRefused}
	case isStrict(c.r):
		return &Error{Code: CodeStrictMode}
	}
	return nil
}

// isStrict reports whether the client asked to have the whole request refused if any event
// is.
func isStrict(r *http.Request) bool {
	mode := firstValue(r.Header["X-Strict-Mode"])
	return mode == "1" || mode == "true"
}

// charge calls the layers that limit what a request consumes.
func (c *call) charge() error {
	l, n := c.state.charges.Load(), len(c.input.events)
	if l == nil || n == 0 {
		return nil
	}
	if int64(n) > admission.MostEvents(c.payload.size) {
		return &Error{Code: CodeTooManyEvents, Field: "batch", Message: fmt.Sprintf(
			"the batch has more than %d events and one for each %d bytes as sent", admission.FreeEvents, admission.BytesPerEvent)}
	}
	err := l.charge(c.r.Context(), n, len(c.payload.bytes()))
	c.charged = err == nil
	return err
}

// chargeRefused charges a request of which nothing was stored because of its content, after it
// was read, for its bytes as they were sent.
func (c *call) chargeRefused(err error) {
	l := c.state.charges.Load()
	if l == nil || c.charged || c.payload == nil || asError(err).status() != http.StatusBadRequest {
		return
	}
	_ = l.charge(c.r.Context(), 0, int(c.payload.size)) // it is refused already
}

// chargeBack returns the charge for events that the sink has refused.
func (c *call) chargeBack(events int) {
	if c.charged && events > 0 {
		_ = c.state.charges.Load().charge(c.r.Context(), -events, 0)
	}
}

// enrich sets what every event in a sink has, and what the host adds to it. Enrichers that
// change objects make new ones: of all events together about as much as their content.
func (c *call) enrich() error {
	in := c.input
	if err := c.record(nil); err != nil { // before anything is stored that would come again
		return err
	}
	if len(c.h.options.Enrichers) > 0 && !in.reserve(c.encoded) {
		return accountError(in.refused)
	}
	ctx := c.sinkContext()
	for _, e := range in.events {
		if err := c.h.enrichEvent(ctx, e, in, c.source, c.route.dialect); err != nil {
			return err
		}
	}
	if c.route.builtin { // what enrichers changed was read, too
		in.verify()
	}
	return nil
}

func (h *Handler) enrichEvent(ctx context.Context, e *Event, in *Input, source *Source, dialect string) error {
	e.Source = source
	if in.forwarded {
		e.stampForwarded(in.ReceivedAt, dialect)
	} else {
		e.Dialect = dialect
		e.stamp(in.ReceivedAt)
	}
	e.identify(&in.text)
	for i := range h.enrichers {
		if err := h.runEnricher(ctx, i, e); err != nil {
			return &Error{Code: CodeInternal, Err: err}
		}
	}
	return nil
}

// encodedSize returns how long the canonical forms of the events are together at most. The
// strings of those that came in a body are no longer, encoded, than they were in it.
func (c *call) encodedSize() int {
	if len(c.h.options.Enrichers) > 0 { // they may have changed the content
		c.encoded = 0
		for _, e := range c.input.events {
			raw, text := e.contentSize()
			c.encoded += raw + text
		}
	}
	n := c.encoded + len(c.input.events)*(envelopeSize+len(c.source.ID))
	if bytes.IndexByte(c.payload.bytes(), '\\') >= 0 {
		n += len(c.payload.bytes())
	}
	return n
}

// envelopeSize is how long the canonical form of an event without content is at most, with
// all of its members, four times and the warnings.
const envelopeSize = 640

// runEnricher calls one of the host's enrichers, and checks what it has changed.
func (h *Handler) runEnricher(ctx context.Context, i int, e *Event) error {
	k, before := &h.enrichers[i], *e
	if err := k.call(ctx, h.options.Logger, func() { h.options.Enrichers[i](ctx, e) }); err != nil {
		return err
	}
	err := e.checkChange(&before, &h.protocol.limits, h.enriched)
	if _, exceeds := e.exceeds(h.maxStored()); err == nil && exceeds {
		err = fmt.Errorf("left an invalid event: %w", problem(CodeEventTooLarge, ""))
	}
	if err != nil {
		return &hookError{k.name, err}
	}
	return nil
}

// maxStored is how large the canonical form of an event may be.
func (h *Handler) maxStored() int { return max(maxStored, h.protocol.limits.EventBytes) }

// sinkContext returns the context of the write, whose deadline counts from the first call.
func (c *call) sinkContext() *sinkContext {
	ctx := &c.state.sink
	if ctx.values == nil {
		ctx.values = c.r.Context()
		if stateOf(ctx.values) == nil {
			ctx.values = c.state
		}
		c.wrote = time.Now()
		ctx.deadline = c.wrote.Add(c.h.options.WriteTimeout)
		ctx.verified = c.input.list()
	}
	return ctx
}

// write hands the events to the sink and waits until it has returned.
func (c *call) write() error {
	in := c.input
	if len(in.events) == 0 {
		return nil
	}
	lines := c.encodedSize()
	if !in.reserve(lines) { // what the sink encodes
		return accountError(in.refused)
	}
	if c.payload.coding.Found != "" {
		c.state.turn.Arrived(int64(lines)) // the sink may wait for something else
	}
	ctx := c.sinkContext()
	panicked, err := c.h.store(ctx, c.state.lane, in.events, c.wrote)
	ctx.stopTimer()
	c.lost = panicked
	if err == nil {
		c.accepted = len(in.events)
		return nil
	}
	return c.record(c.storeError(err))
}

// store calls the sink. A panic in one is a temporary failure of this call.
func (h *Handler) store(ctx context.Context, l lanes.Lane, events []*Event, now time.Time) (panicked bool, err error) {
	defer h.queue.End(l, now, h.queue.Begin(l, now))
	return h.writeTo(ctx, h.sink, events)
}

func (h *Handler) writeTo(ctx context.Context, sink Sink, events []*Event) (panicked bool, err error) {
	guard.Call(&err, func() error { return sink.Write(ctx, events) })
	p, panicked := guard.Panicked(err)
	if !panicked {
		return false, err
	}
	if p.Cause == http.ErrAbortHandler {
		panic(p.Cause)
	}
	h.options.Logger.ErrorContext(ctx, "inlet: sink panicked", "panic", p.Cause, "stack", string(p.Stack))
	return true, fmt.Errorf("the sink panicked: %v", p.Cause)
}

// storeError returns the error of a request of which the sink did not store everything. One
// temporary failure fails the request: the client sends it again, and the message ids
// identify which events are stored already. Events that can never be stored are refused.
func (c *call) storeError(err error) error {
	in := c.input
	failed := ItemErrors(err, len(in.events))
	for _, e := range failed {
		if e != nil && !IsPermanent(e) {
			return c.h.unavailable(err)
		}
	}
	for i, e := range failed {
		if e != nil {
			in.refuse(in.places[i], in.events[i].MessageID, in.events[i], refusedBySink(e))
		} else {
			c.accepted++
		}
	}
	c.chargeBack(len(in.events) - c.accepted)
	if c.accepted > 0 && isStrict(c.r) {
		return &Error{Code: CodeStrictMode, Message: "the sink refused an event; the others are stored"}
	}
	if c.accepted == 0 {
		in.events = in.events[:0]
	}
	return c.refusal()
}

// refusedBySink returns the reason only if the sink made it public.
func refusedBySink(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return problem(CodeRefusedBySink, "")
}

// A refused event is one that is to be recorded.
type refusedEvent struct {
	place  int
	id     string // that the client sent, or ""
	event  *Event // nil if it could not be read as one
	reason Problem
}

// record writes the events that were refused since the last call to Options.Rejects, and returns
// the error with which the request ends. What the client will send again is not recorded.
func (c *call) record(err error) error {
	h, in := c.h, c.input
	if !in.recording || err != nil && asError(err).status() != http.StatusBadRequest {
		return err
	}
	refused := c.refused(err)
	if len(refused) == 0 {
		return err
	}
	if failed := c.writeLetters(refused); failed != nil && !h.options.RejectsBestEffort {
		return failed
	}
	return err
}

// recordAll is record for a payload that has a fault in its structure and is the only event.
func (c *call) recordAll(err error) error {
	if err == nil || c.h.options.Rejects == nil || c.payload == nil || c.route.Batch || !asError(err).event {
		return err
	}
	e := asError(err)
	failed := c.writeLetters([]refusedEvent{{reason: Problem{e.Code, e.text(), e.Field}}})
	if failed != nil && !c.h.options.RejectsBestEffort {
		return failed
	}
	return err
}

// refused returns what is to be recorded, in the order of the request. In strict mode that
// includes the events that are not stored because of others.
func (c *call) refused(err error) []refusedEvent {
	in := c.input
	var refused []refusedEvent
	for i := c.recorded; i < len(in.rejects); i++ {
		r := &in.rejects[i]
		refused = append(refused, refusedEvent{r.Index, r.MessageID, in.letters[i], r.Problem})
	}
	c.recorded = len(in.rejects)
	if err != nil && asError(err).Code == CodeStrictMode && c.wrote.IsZero() {
		for i, e := range in.events {
			refused = append(refused, refusedEvent{in.places[i], e.MessageID, e, *problem(CodeStrictMode, "")})
		}
	}
	slices.SortStableFunc(refused, func(a, b refusedEvent) int { return cmp.Compare(a.place, b.place) })
	return refused
}

// How many letters are made together, and about how many bytes of them.
const (
	lettersTogether     = 100
	letterBytesTogether = 256 << 10
)

// writeLetters writes the letters of refused events, in pieces whose memory is reserved. It
// returns the error of the request if some could not be stored now.
func (c *call) writeLetters(refused []refusedEvent) (failed error) {
	next, stop := iter.Pull2(c.sent())
	defer stop()
	at, sent, more := next()
	letters, size := make([]*Event, 0, min(len(refused), lettersTogether)), 0
	for i := range refused {
		r := &refused[i]
		for more && at < r.place {
			at, sent, more = next()
		}
		why := refusal.Refusal{Error: r.reason.Message, At: time.Now(), By: "handler", Code: string(r.reason.Code), Field: r.reason.Field}
		letter, content := c.unrefused(r), 0
		if letter == nil && more && at == r.place {
			why.Received = c.withoutKey(sent[:min(len(sent), refusal.MaxReceived+1)])
		}
		if letter == nil {
			letter = c.bare(r)
		}
		raw, text := letter.contentSize()
		content = refusal.Size(letter.Extra, &why) + envelopeSize + 2*raw + maxEscaped*text + eventSize
		if err := c.state.account.Reserve(int64(content)); err != nil {
			c.lapsed += len(refused) - i
			return accountError(err)
		}
		size += content
		letter.Extra = refusal.Add(letter.Extra, &why)
		letters = append(letters, letter)
		if len(letters) == lettersTogether || size >= letterBytesTogether || i == len(refused)-1 {
			failed = cmp.Or(failed, c.writePiece(letters))
			c.state.account.Return(int64(size))
			letters, size = letters[:0], 0
		}
	}
	return failed
}

// writePiece writes some letters. It returns the error of the request if some could not be stored
// now. What can never be stored is only logged.
func (c *call) writePiece(letters []*Event) error {
	h := c.h
	ctx, cancel := context.WithTimeout(c.recordContext(), h.options.WriteTimeout)
	defer cancel()
	panicked, err := h.writeTo(ctx, h.options.Rejects, letters)
	c.lost = c.lost || panicked
	temporary, lapsed := error(nil), 0
	for _, e := range ItemErrors(err, len(letters)) {
		if e != nil {
			lapsed++
			if !IsPermanent(e) {
				temporary = fmt.Errorf("Options.Rejects: %w", e)
			}
		}
	}
	c.lapsed += lapsed
	if lapsed > 0 && (temporary == nil || h.options.RejectsBestEffort) {
		if n, ok := h.lapses.next(time.Now(), lapsed); ok {
			h.options.Logger.WarnContext(ctx, "inlet: refused events not recorded", "events", n, "error", err)
		}
	}
	if temporary == nil {
		return nil
	}
	return h.unavailable(temporary)
}

// recordContext has the values of the request, and outlives the client's connection.
func (c *call) recordContext() context.Context {
	if ctx := c.r.Context(); stateOf(ctx) != nil {
		return context.WithoutCancel(ctx)
	}
	return context.WithoutCancel(c.state)
}

// unrefused returns a copy of a refused event as it would be in a sink, or nil.
func (c *call) unrefused(r *refusedEvent) *Event {
	if r.event == nil {
		return nil
	}
	e := *r.event
	if e.Source != nil { // it got to the sink
		return &e
	}
	if err := c.h.enrichEvent(c.recordContext(), &e, c.input, c.source, c.route.dialect); err != nil {
		return c.bare(r)
	}
	return &e
}

// bare returns an event without content in place of a refused one.
func (c *call) bare(r *refusedEvent) *Event {
	at := c.state.arrived.UTC()
	e := &Event{MessageID: r.id, Timestamp: at, ReceivedAt: at, Source: c.source, Dialect: c.route.dialect}
	e.identify(new(strings.Builder))
	return e
}

// sent yields the places of the request, and what the client sent there.
func (c *call) sent() iter.Seq2[int, []byte] {
	batch, payload, in := c.route.Batch, c.payload, c.input // so that no call has to be allocated
	return func(yield func(int, []byte) bool) {
		if !batch {
			yield(0, payload.bytes())
			return
		}
		list, i := in.doc.Root().Get(batchMember), 0
		if wire.Kind(list) != '[' {
			return
		}
		for element := range wire.Elements(list) {
			if !yield(i, element) {
				return
			}
			i++
		}
	}
}

// withoutKey returns text in which the write key is replaced.
func (c *call) withoutKey(text []byte) []byte {
	key := c.state.key.Load()
	if key == nil || key.text == "" {
		return text
	}
	quoted := wire.AppendString(nil, key.text)
	return bytes.ReplaceAll(text, quoted[1:len(quoted)-1], []byte("*"))
}

func (h *Handler) unavailable(err error) error {
	e := &Error{Code: CodeSinkUnavailable, RetryAfter: h.options.RetryAfter, Err: err}
	if errors.Is(err, ErrOverloaded) {
		e.Code = CodeOverloaded
	}
	if d, ok := RetryDelay(err); ok {
		e.RetryAfter = d
	}
	return e
}

// answer gives the memory of the request back, answers the client, and then logs and
// notifies the observer. A client that is slow to take its answer holds no more than that.
func (c *call) answer(err error) {
	c.state.turn.End()
	out := answer{err: err, route: c.route, body: c.body, accepted: c.accepted}
	if c.input != nil {
		out.rejects = c.input.rejects
		slices.SortStableFunc(out.rejects, func(a, b Reject) int { return cmp.Compare(a.Index, b.Index) })
	}
	outcome := out.outcome()
	outcome.Source, outcome.Unrecorded = c.source, c.lapsed
	if c.payload != nil {
		outcome.Bytes, outcome.WireBytes = len(c.payload.bytes()), int(c.payload.size)
	}
	if c.h.options.Observer != nil || c.state.observers.Load() != nil {
		c.measure(&outcome)
	}
	c.state.setOutcome(outcome)
	estimate := answerSize(out.rejects)
	c.settle(estimate)
	reply := out.render(c.w.Header(), c.state)
	c.release()
	if len(reply.body) > smallReply {
		c.payload.giveUp()
		c.state.account.Return(max(0, estimate-int64(cap(reply.body))-rejectsSize(outcome.Rejects)))
		c.state.account.Trim()
	}
	reply.expect(c.w, c.r, c.state, c.h.bodies)
	c.send(&reply)
	if err != nil {
		c.log(outcome.Status, asError(err))
	}
	switch pixel := c.route != nil && c.route.Form == FormPixel; {
	case err != nil && pixel:
		c.h.pixels.warn(c.r.Context(), c.h.options.Logger, c.route, c.source, err)
	case err != nil, outcome.Rejected > 0:
		c.h.refusals.log(c.r.Context(), c.h.options.Logger, &outcome, err)
		c.checkTrial(&outcome)
	}
	c.answered = true
	c.observe(c.state.outcome.Load())
	if reply.unread != nil {
		c.leave()
		c.state.payload.Load().leaveSlot()
		reply.drain(c.w)
	}
}

// checkTrial warns, once, if events are refused and not kept that a migration would have migrated,
// were it not on trial: a host might believe that they are stored meanwhile.
func (c *call) checkTrial(o *Outcome) {
	old := func(r Reject) bool { return r.Code == CodePayloadV1 }
	if c.state.trial.Load() && c.h.options.Rejects == nil && slices.ContainsFunc(o.Rejects, old) && seldom(&c.h.mount.trialWarned) {
		c.h.options.Logger.WarnContext(c.r.Context(), "inlet: events of an older version are refused, and lost, since the migration is on trial (Shadow); "+
			"set Options.Rejects to keep them, or migrate them", "code", string(CodePayloadV1), "path", clipped(c.r.URL.Path))
	}
}

// send writes the answer, while the place of the request is that of another one.
func (c *call) send(reply *reply) {
	timeout := answerTimeout
	if few := c.h.inFlight.Answer(&c.pass); !few {
		timeout = shortAnswerTimeout
	}
	if c.ready.IsZero() {
		c.ready = time.Now()
	}
	reply.write(c.w, c.ready, timeout)
}

// observe notifies the observer, unless a layer does.
func (c *call) observe(o *Outcome) {
	if observer := c.h.options.Observer; observer != nil && !c.state.observers.Load().has(observer) {
		observer.ObserveRequest(c.r.Context(), o)
	}
}

// end counts the request out. If it panicked, the observer is notified of that.
func (c *call) end() {
	c.leave()
	if c.answered {
		return
	}
	out := answer{err: &Error{Code: CodeInternal}, route: c.route}
	outcome := out.outcome()
	outcome.Source, outcome.Status = c.source, http.StatusInternalServerError
	c.observe(&outcome)
}

// measure sets how long the request took, until its answer.
func (c *call) measure(o *Outcome) {
	c.ready = time.Now()
	o.Duration = c.ready.Sub(c.started)
	if !c.wrote.IsZero() {
		o.Write = c.ready.Sub(c.wrote)
	}
}

// log records what the client does not learn: the cause of an answer with 5xx.
func (c *call) log(status int, e *Error) {
	switch {
	case e.Code == CodeOverloaded:
		c.h.bodies.logOverload(c.r.Context(), e)
	case status >= 500 && e.Err != nil:
		c.h.options.Logger.LogAttrs(c.r.Context(), slog.LevelError, "inlet: request failed",
			slog.String("code", string(e.Code)), slog.Any("error", e.Err), slog.String("requestId", RequestIDFromContext(c.state)))
	}
}

// settle gives what the events and what the sink has encoded were charged for back to the
// account, except for what the answer needs, which is less.
func (c *call) settle(answer int64) {
	spare := -answer
	if c.input != nil {
		spare += c.input.reserved
		c.input.reserved, c.input.credit = 0, 0
	}
	if spare != 0 {
		c.state.account.Return(spare)
	}
}

// release gives the memory of the request to the next one, except that of a body that the
// layers before keep. It is not deferred: after a panic the memory may still be in use, and
// goes to the garbage collector.
func (c *call) release() {
	if c.lost {
		return
	}
	if c.input != nil {
		c.input.recycle()
	}
	c.payload.release()
}

// warnProtocol warns, once, that a layer in front of the handler differs from it in what both must
// agree on. A nil handler has nothing to warn of.
func (h *Handler) warnProtocol(ctx context.Context) {
	if h != nil && seldom(&h.mount.protocolWarned) {
		h.options.Logger.WarnContext(ctx, "inlet: handler and a layer have different Protocols, so limits and dialects of the one "+
			"do not hold in the other; give all of them the same, as Options.Protocol and StandardOptions.Protocol")
	}
}

// checkMount warns of what is wrong around the handler. For a request that found what it needs it
// costs a few loads.
func (c *call) checkMount() {
	m, ctx, logger := &c.h.mount, c.r.Context(), c.h.options.Logger
	source := c.state.source.Load()
	switch {
	case source != nil:
		seldom(&m.authenticated)
	case c.route != nil && !c.route.Open && !c.h.options.AllowAnonymous &&
		!c.state.trail().Has(order.Auth) && !m.authenticated.Load() && seldom(&m.authWarned):
		logger.WarnContext(ctx, "inlet: request refused, since no layer authenticates; put middleware.Auth or middleware.Standard "+
			"around the handler, or set Options.AllowAnonymous")
	}
	if c.route != nil {
		seldom(&m.routed)
	} else if !m.routed.Load() {
		// Anyone may request any path, so only a known key or the pattern of the mux shows that
		// the mount is at fault. Auth has already warned of what the mux shows.
		hasAuth := c.state.trail().Has(order.Auth)
		known := source != nil || c.h.options.AllowAnonymous && c.r.Method == http.MethodPost
		m.checkPrefix(c.r, c.h.protocol.routes, logger, !hasAuth, known)
	}
	if c.state.mixed.Load() {
		c.h.warnProtocol(c.state)
	}
	if c.state.late.Load() && seldom(&m.lateWarned) {
		logger.WarnContext(ctx, "inlet: a limit by source is outside of the layer that authenticates, so that it limits nothing; put it inside")
	}
}
