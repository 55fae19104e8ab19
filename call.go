package inlet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/inlet-go/inlet/internal/wire"
)

// call is one request on its way through a handler.
type call struct {
	h        *Handler
	w        http.ResponseWriter
	r        *http.Request
	state    *state
	started  time.Time
	found    *boundRoute
	source   *Source
	payload  *Payload
	input    *Input
	body     []byte // of a route with a Reply
	accepted int
	wrote    time.Time // when the sink was called
	lost     bool      // the sink panicked: its memory may still be in use
}

// newCall uses the state that an earlier layer made, or one of its own.
func newCall(h *Handler, w http.ResponseWriter, r *http.Request) call {
	s := stateOf(r.Context())
	if s == nil {
		s = &state{Context: r.Context()}
	}
	return call{h: h, w: w, r: r, state: s, started: time.Now()}
}

// enter counts the request in.
func (c *call) enter() error { return c.h.gate.enter() }

// route finds what the request is for.
func (c *call) route() (err error) {
	c.found, err = c.h.routes.find(c.r)
	return err
}

// reply answers a route that takes no payload.
func (c *call) reply() (err error) {
	c.w.Header()["Content-Type"] = jsonType
	o := &c.h.options
	c.body, err = c.found.Reply(&Inquiry{Request: c.r, Header: c.w.Header(), HTTPConfig: o.HTTPConfig, public: o.public})
	return err
}

// admit refuses what nobody has vouched for, and what the sink is too busy for,
// before its body is read.
func (c *call) admit() error {
	if err := c.vouched(); err != nil || c.found.Open {
		return err
	}
	if c.h.queue.full(c.started) {
		return overloaded()
	}
	return nil
}

func (c *call) vouched() error {
	c.source = c.state.source.Load()
	if c.source != nil || c.found.Open {
		return nil
	}
	if !c.h.options.AllowAnonymous {
		return &Error{Code: CodeMissingKey, Field: headerAuthorization}
	}
	c.source = &anonymous
	return nil
}

// anonymous is the source of events that nobody has vouched for.
var anonymous = Source{ID: "anonymous"}

// read reads the payload, or takes the one that an earlier layer has read.
func (c *call) read() (err error) {
	limit := c.found.room(&c.h.options.Limits)
	if c.found.Body != nil {
		var m payloadMemory
		if m.bytes, err = c.found.Body(c.r); err == nil {
			c.payload = c.state.hold(&m, int64(len(c.r.URL.RawQuery)))
		}
	} else {
		c.payload, err = c.h.payloads.read(c.w, c.r, c.state, limit, c.started)
	}
	if err == nil && int64(c.payload.received) > limit {
		err = tooLarge(limit)
	}
	return err
}

// decode has the dialect make events of the payload. An open route has none.
func (c *call) decode() error {
	c.input = inputs.Get().(*Input)
	if c.found.Open {
		return nil
	}
	doc, err := c.payload.document(c.h.options.Limits.wire())
	if err != nil {
		return err
	}
	if err := c.shape(doc); err != nil {
		return err
	}
	in := c.input
	in.Request, in.ReceivedAt, in.doc, in.limits = c.r, c.started.UTC(), doc, &c.h.options.Limits
	in.room = in.limits.of(c.found.Size)
	return c.found.Decode(in)
}

// shape settles on the route whose payload this is, and on its limit.
func (c *call) shape(doc *wire.Document) error {
	route := c.found.shaped(Object{doc.Root()})
	if route == nil {
		return &Error{Code: CodeInvalidRequest, Message: "the payload has none of the forms that this endpoint takes"}
	}
	c.found = route
	if limit := c.h.options.Limits.of(route.Size); int64(c.payload.received) > limit {
		return tooLarge(limit)
	}
	return nil
}

// check refuses the events that lack what every event needs, and those that the
// host's validators refuse.
func (c *call) check() error {
	in := c.input
	kept := 0
	for i, e := range in.events {
		if p := c.h.checkEvent(e, c.found.UserOptional); p != nil {
			in.Refuse(in.places[i], e.MessageID, p)
			continue
		}
		in.events[kept], in.places[kept] = e, in.places[i]
		kept++
	}
	in.events, in.places = in.events[:kept], in.places[:kept]
	return c.refusal()
}

func (h *Handler) checkEvent(e *Event, userOptional bool) *Problem {
	if p := e.check(&h.options.Limits, userOptional); p != nil {
		return p
	}
	for _, valid := range h.options.Validators {
		if p := valid(e); p != nil {
			return p
		}
	}
	return nil
}

// refusal is the error of a request of which nothing is to be stored: all of it
// was refused, or some of it in strict mode.
func (c *call) refusal() error {
	in := c.input
	switch {
	case len(in.rejects) == 0:
		return nil
	case len(in.events) == 0 && len(in.rejects) == 1:
		only := in.rejects[0]
		return &Error{Code: only.Code, Message: only.Message, Field: only.Field}
	case len(in.events) == 0:
		return &Error{Code: CodeAllRefused}
	case isStrict(c.r):
		return &Error{Code: CodeStrictMode}
	}
	return nil
}

// isStrict reports whether the client asked to have the whole request refused
// for any event that is.
func isStrict(r *http.Request) bool {
	mode := first(r.Header["X-Strict-Mode"])
	return mode == "1" || mode == "true"
}

// charge asks the layers that limit what a request holds.
func (c *call) charge() error {
	l := c.state.charges.Load()
	if l == nil || len(c.input.events) == 0 {
		return nil
	}
	return l.charge(c.r.Context(), Usage{Events: len(c.input.events), Bytes: len(c.payload.Bytes())})
}

// enrich sets what every event in a sink has, and what the host adds to it.
func (c *call) enrich() {
	in := c.input
	ctx := c.sinkContext()
	for _, e := range in.events {
		c.h.enrichEvent(ctx, e, in, c.source, c.found.dialect)
	}
}

func (h *Handler) enrichEvent(ctx context.Context, e *Event, in *Input, source *Source, dialect string) {
	e.Source, e.Dialect = source, dialect
	e.stamp(in.ReceivedAt)
	e.identify(&in.text)
	for _, enrich := range h.options.Enrichers {
		enrich(ctx, e)
	}
}

func (c *call) sinkContext() *sinkContext {
	ctx := &c.state.sink
	if ctx.values == nil {
		ctx.values = c.r.Context()
		if stateOf(ctx.values) == nil {
			ctx.values = c.state
		}
		c.wrote = time.Now()
		ctx.deadline = c.wrote.Add(c.h.options.WriteTimeout)
	}
	return ctx
}

// write hands the events to the sink and waits until it has returned.
func (c *call) write() error {
	in := c.input
	if len(in.events) == 0 {
		return nil
	}
	ctx := c.sinkContext()
	panicked, err := c.h.store(ctx, in.events, c.wrote)
	ctx.release()
	c.lost = panicked
	if err == nil {
		c.accepted = len(in.events)
		return nil
	}
	return c.partial(err)
}

// store calls the sink. A panic in it is a temporary failure of this call.
func (h *Handler) store(ctx context.Context, events []*Event, now time.Time) (panicked bool, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			if cause == http.ErrAbortHandler {
				panic(cause)
			}
			h.options.Logger.ErrorContext(ctx, "inlet: the sink panicked", "panic", cause, "stack", string(debug.Stack()))
			panicked, err = true, fmt.Errorf("the sink panicked: %v", cause)
		}
	}()
	defer h.queue.end(now, h.queue.begin(now))
	return false, h.sink.Write(ctx, events)
}

// partial answers for a write that did not store everything. One temporary
// failure fails the request: the client sends it again, and the ids tell which
// events are stored already. Events that can never be stored are refused.
func (c *call) partial(err error) error {
	in := c.input
	failed := ItemErrors(err, len(in.events))
	for _, e := range failed {
		if e != nil && !IsPermanent(e) {
			return c.h.unavailable(err)
		}
	}
	for i, e := range failed {
		if e != nil {
			in.Refuse(in.places[i], in.events[i].MessageID, refusedBySink(e))
		} else {
			c.accepted++
		}
	}
	if c.accepted > 0 && isStrict(c.r) {
		return &Error{Code: CodeStrictMode, Message: "the sink refused an event; the others are stored"}
	}
	if c.accepted == 0 {
		in.events = in.events[:0]
	}
	return c.refusal()
}

// refusedBySink tells the client why only if the sink meant it to.
func refusedBySink(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return problem(CodeRefusedBySink, "")
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

// answer tells the client, the log and the observer what happened.
func (c *call) answer(err error) {
	out := answer{err: err, route: c.found, body: c.body, accepted: c.accepted}
	if c.input != nil {
		out.rejects = c.input.rejects
		slices.SortStableFunc(out.rejects, func(a, b Reject) int { return cmp.Compare(a.Index, b.Index) })
	}
	status := out.write(c.w, c.r, c.state)
	if err != nil {
		c.log(status, asError(err))
	}
	if c.h.options.Observer != nil {
		c.observe(status, &out)
	}
}

// log writes down what the client is not told: why it was answered 5xx.
func (c *call) log(status int, e *Error) {
	if status >= 500 && e.Err != nil {
		c.h.options.Logger.LogAttrs(c.r.Context(), slog.LevelError, "inlet: request failed",
			slog.String("code", string(e.Code)), slog.Any("error", e.Err), slog.String("requestId", RequestIDOf(c.state)))
	}
}

func (c *call) observe(status int, out *answer) {
	now := time.Now()
	record := c.record()
	*record = RequestRecord{
		Source: c.source, Status: status, Code: out.code(), Accepted: out.accepted, Rejected: len(out.rejects),
		Rejects: out.rejects, Duration: now.Sub(c.started),
	}
	if !c.wrote.IsZero() {
		record.Write = now.Sub(c.wrote)
	}
	if c.found != nil {
		record.Dialect, record.Path = c.found.dialect, c.found.Path
	}
	if c.payload != nil {
		record.Bytes, record.WireBytes = len(c.payload.Bytes()), int(c.payload.WireSize())
	}
	c.h.options.Observer.ObserveRequest(c.r.Context(), record)
}

// record returns memory for a record: a request that has got as far as its
// events has it already.
func (c *call) record() *RequestRecord {
	if c.input == nil {
		return new(RequestRecord)
	}
	return &c.input.record
}

// release gives the memory of the request to the next one. It is not deferred:
// after a panic the memory may still be in somebody's hands, and goes to the
// collector.
func (c *call) release() {
	if c.lost {
		return
	}
	if c.input != nil {
		c.input.release()
	}
	c.payload.Release()
}
