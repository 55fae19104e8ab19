package inlet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/lanes"
	"github.com/inlet-go/inlet/internal/verified"
	"github.com/inlet-go/inlet/internal/wire"
)

// A Handler is the ingestion API as an [http.Handler]. It opens no port, starts no
// goroutine and keeps no global state. All methods may be called concurrently. [New] makes
// one.
type Handler struct {
	sink     Sink
	options  Options
	protocol *protocol
	inFlight admission.InFlight
	bodies   *bodies
	queue    *admission.Queue
	pixels   pixelWarnings
	server   serverCheck
	refusals refusalLog
	lapses   sampled  // of events that Options.Rejects did not store
	codings  sync.Map // of bodies that were warned of: a handful
	mount    mountCheck

	validators, enrichers []hook      // of the options
	enriched              wire.Limits // of what enrichers change
}

// New returns a handler that writes accepted events to sink. The error names every field of
// the options that is out of range, or states that the sink is less durable than required.
// The sink remains the caller's, who closes it after [Handler.Shutdown].
func New(sink Sink, o *Options) (*Handler, error) {
	if sink == nil {
		return nil, errors.New("inlet: New: the sink is nil")
	}
	filled, err := o.withDefaults()
	protocol, protocolErr := filled.Protocol.build()
	if err := check.Options("inlet", "Options", err, protocolErr); err != nil {
		return nil, err
	}
	if have := DurabilityOf(sink); have < filled.RequireDurability {
		fault := check.Fault("RequireDurability", "is %v, but the sink declares %v", filled.RequireDurability, have)
		return nil, check.Options("inlet", "Options", fault)
	}
	h := &Handler{sink: sink, options: filled, protocol: protocol}
	h.inFlight.Init(filled.MaxInFlight)
	h.queue = admission.NewQueue(filled.MaxQueueTime)
	bounds := admission.BodiesOf(filled.MaxInFlight)
	bounds.Logger = filled.Logger
	h.bodies = protocol.bodies.within(bounds)
	h.validators, h.enrichers = hooksOf("Validators", filled.Validators), hooksOf("Enrichers", filled.Enrichers)
	h.enriched = forwardedLimits(protocol.index)
	return h, nil
}

// ServeHTTP ingests the events of a request and answers in the form of its dialect. It
// answers a success only after the sink has stored the events, and never with a redirect.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.server.warnOnce(r, h.options.Logger)
	c := newCall(h, w, r)
	h.protocol.enter(c.state)
	defer c.state.account.Leave()
	err := c.enter()
	defer c.end()
	defer c.state.turn.End()
	if err == nil {
		if err = c.serve(); err != nil {
			c.chargeRefused(err)
		}
		c.checkMount()
	} else {
		_ = c.match() // for the form of the answer
	}
	c.answer(err)
}

// serve does the steps of a request. The first error ends it.
func (c *call) serve() error {
	if err := c.match(); err != nil {
		return err
	}
	if c.route.Reply != nil {
		return c.reply()
	}
	if err := c.admit(); err != nil {
		return err
	}
	if err := c.read(); err != nil || c.route.Open {
		return err
	}
	if err := c.decode(); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	if err := c.charge(); err != nil {
		return err
	}
	if err := c.enrich(); err != nil {
		return err
	}
	return c.write()
}

// Shutdown refuses new requests with 503, waits for those in flight, and flushes the sink and
// Options.Rejects. It returns early when ctx is done. It closes neither.
func (h *Handler) Shutdown(ctx context.Context) error {
	if err := h.inFlight.Close(ctx); err != nil {
		return fmt.Errorf("inlet: requests are still in flight: %w", err)
	}
	err := Flush(ctx, h.sink)
	if h.options.Rejects != nil {
		err = errors.Join(err, Flush(ctx, h.options.Rejects))
	}
	return err
}

// Ready returns a handler that answers 200 while events are accepted: until Shutdown, and
// as long as the sink's Check returns nil; else 503.
func (h *Handler) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.ready(r.Context()); err != nil {
			WriteError(w, r, err)
			return
		}
		writeSuccess(w)
	})
}

func (h *Handler) ready(ctx context.Context) error {
	if h.inFlight.Closed() {
		return &Error{Code: CodeShuttingDown}
	}
	ctx, cancel := context.WithTimeout(ctx, h.options.WriteTimeout)
	defer cancel()
	if err := Check(ctx, h.sink); err != nil {
		return &Error{Code: CodeSinkUnavailable, Err: err}
	}
	return nil
}

// Live returns a handler that always answers 200: the process can answer.
func (h *Handler) Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeSuccess(w) })
}

// Memory returns how many bytes all requests use together now, and how many they may, which is
// MaxBytesInFlight of the [PayloadLimits]. Layers that share the handler's [Protocol] are part of
// it. It is for metrics, and may be called concurrently.
func (h *Handler) Memory() (used, limit int64) {
	return h.protocol.budget.Used(), h.protocol.budget.Max()
}

// DialectIngest is the Dialect of events that were passed to [Handler.Ingest].
const DialectIngest = "inlet"

// Ingest passes events of the program itself through the same checks, enrichers and sink as
// those of clients. It returns nil when every event is stored, as durably as the sink
// declares.
//
// Errors: a [*BatchError] names the events that are not stored by their index. An event
// that fails its checks is a permanent failure with a [*Problem]; errors of the sink are
// returned as they are. Any other error means that nothing may be assumed stored.
//
// What enrichers leave is checked as in a request: if one of them leaves an invalid event,
// nothing is stored.
//
// Ownership: the events are read, and may be used again after Ingest has returned. What
// they lack is set on copies: MessageID, Timestamp, ReceivedAt, Source.
//
// Context: the write ends when ctx does or after the handler's WriteTimeout.
func (h *Handler) Ingest(ctx context.Context, source *Source, events ...*Event) error {
	if h.options.Observer == nil {
		return h.ingestFrom(ctx, source, events)
	}
	var err error
	began := time.Now()
	defer func() { h.observeIngest(ctx, source, events, time.Since(began), err) }()
	err = errIngestPanicked
	err = h.ingestFrom(ctx, source, events)
	return err
}

var (
	errNoSource = errors.New("inlet: Ingest: the source is nil or has no ID")
	// errIngestPanicked is the result of a call that did not return.
	errIngestPanicked = errors.New("inlet: Ingest panicked")
)

// observeIngest notifies the observer of what became of a call.
func (h *Handler) observeIngest(ctx context.Context, source *Source, events []*Event, took time.Duration, err error) {
	o := Outcome{Dialect: DialectIngest, Source: source, Status: http.StatusOK, Duration: took, Err: err}
	for _, e := range events {
		if e != nil {
			raw, text := e.contentSize()
			o.Bytes += raw + text
		}
	}
	known, temporary := errors.AsType[*Error](err)
	failed := ItemErrors(err, len(events))
	for i, e := range failed {
		switch {
		case e == nil:
			o.Accepted++
		case IsPermanent(e):
			o.Rejected++
			o.addReject(i, events[i], e)
		default:
			temporary = true
		}
	}
	switch {
	case err == nil:
		o.Accepted = len(events)
	case known != nil:
		o.Code = known.Code
	case errors.Is(err, errIngestPanicked), errors.Is(err, errNoSource):
		o.Code = CodeInternal
	case temporary:
		o.Code = CodeSinkUnavailable
	case o.Accepted == 0:
		o.Code = CodeAllRefused
	}
	if o.Code != "" {
		o.Status = o.Code.Status()
	}
	h.options.Observer.ObserveRequest(ctx, &o)
}

// addReject adds a refused event to those that are kept.
func (o *Outcome) addReject(i int, e *Event, err error) {
	if len(o.Rejects) == maxKept {
		return
	}
	reject := Reject{Index: i, Problem: *refusedBySink(err)}
	if e != nil {
		reject.MessageID, reject.Type, reject.Name = e.MessageID, e.Type, e.Name
	}
	o.Rejects = append(o.Rejects, reject)
}

// ingestFrom is Ingest without the observer.
func (h *Handler) ingestFrom(ctx context.Context, source *Source, events []*Event) error {
	if source == nil || source.ID == "" {
		return errNoSource
	}
	state := &state{Context: ctx, lane: lanes.Here()}
	var pass admission.Pass
	if err := admitted(h.inFlight.Enter(&pass, state.lane)); err != nil {
		return err
	}
	defer h.inFlight.Leave(&pass)
	state.source.Store(source)
	state.account.Enter(h.protocol.budget, state.lane)
	defer state.account.Leave()
	if err := state.account.Reserve(ingestedSize(events)); err != nil {
		return accountError(err)
	}
	ctx, cancel := context.WithTimeout(state, h.options.WriteTimeout)
	defer cancel()
	return h.ingest(ctx, source, events)
}

func (h *Handler) ingest(ctx context.Context, source *Source, events []*Event) error {
	var failed []ItemError
	accepted, places := make([]*Event, 0, len(events)), make([]int, 0, len(events))
	in := &Input{ReceivedAt: time.Now().UTC()}
	for i, given := range events {
		e := new(Event)
		if p := h.prepare(ctx, e, given); p != nil {
			failed = append(failed, ItemError{i, Permanent(p)})
			continue
		}
		accepted, places = append(accepted, e), append(places, i)
	}
	for _, e := range accepted {
		if err := h.enrichEvent(ctx, e, in, source, DialectIngest); err != nil {
			return err
		}
	}
	in.events = accepted
	in.verify() // what enrichers changed was read, too
	ctx = verified.With(ctx, in.verified)
	if len(accepted) > 0 {
		_, err := h.store(ctx, lanes.Here(), accepted, in.ReceivedAt)
		for i, e := range ItemErrors(err, len(accepted)) {
			if e != nil {
				failed = append(failed, ItemError{places[i], e})
			}
		}
	}
	if len(failed) > 0 {
		return &BatchError{Items: failed}
	}
	return nil
}

// ingestedSize returns how much memory events of the host's program need until they are
// stored: their copies, and what a sink encodes.
func ingestedSize(events []*Event) (n int64) {
	for _, e := range events {
		if e != nil {
			raw, text := e.contentSize()
			n += int64(eventSize + envelopeSize + len(e.sourceID()) + maxEscaped*text + raw)
		}
	}
	return n
}

// prepare copies a host's event and checks what a dialect has checked for a client's.
func (h *Handler) prepare(ctx context.Context, e, given *Event) *Problem {
	if given == nil {
		return problem(CodeNotObject, "")
	}
	*e = *given
	if e.fault != nil {
		return e.fault
	}
	if p := e.checkText(); p != nil {
		return p
	}
	if p := e.checkRaw(h.protocol.index); p != nil {
		return p
	}
	_, p := h.checkEvent(ctx, e, false)
	return p
}

// checkRaw refuses raw fields that are not objects within the limits, and members of Extra
// that have the name of another field. Null is taken as absent.
func (e *Event) checkRaw(limits wire.Limits) *Problem {
	var doc wire.Document
	size := 0
	for i, raw := range e.rawFields() {
		if string(*raw) == "null" || len(*raw) == 0 {
			*raw = nil
			continue
		}
		size += len(*raw)
		if p := e.checkObject(&doc, i, limits); p != nil {
			return p
		}
	}
	if size > limits.Bytes {
		return problem(CodeEventTooLarge, "")
	}
	return nil
}

// What [Harden] sets.
const (
	hardenedHeaderTimeout = 5 * time.Second
	hardenedIdleTimeout   = 60 * time.Second
	hardenedHeaderBytes   = 64 << 10
	hardenedStreams       = 100
	hardenedConnBuffer    = 256 << 10
	hardenedPingAfter     = 30 * time.Second
	hardenedPingTimeout   = 15 * time.Second
	hardenedByteTimeout   = 10 * time.Second
)

// Harden bounds on s what a handler cannot, since it is called too late: how long a client
// may take to send its headers (ReadHeaderTimeout, 5 seconds), how long an idle connection
// is kept (IdleTimeout, 60 seconds), and how large headers may be (MaxHeaderBytes, 64 KiB:
// the URL counts, and a pixel's event is in it).
//
// For HTTP/2 it bounds how many requests a connection may have in flight
// (MaxConcurrentStreams, 100), how much of their bodies the server buffers before anyone
// reads them (MaxReceiveBufferPerConnection, 256 KiB), and how long a client may be silent
// or not take what is sent to it (SendPingTimeout, 30 seconds; PingTimeout, 15 seconds;
// WriteByteTimeout, 10 seconds).
//
// A field that is set already is not changed. ReadTimeout and WriteTimeout are left alone:
// they would end the long downloads and streams that the host may serve next to the API.
// Bodies that the API reads and answers that it writes have deadlines of their own.
//
// Call it before the server serves. It returns s.
func Harden(s *http.Server) *http.Server {
	s.ReadHeaderTimeout = cmp.Or(s.ReadHeaderTimeout, hardenedHeaderTimeout)
	s.IdleTimeout = cmp.Or(s.IdleTimeout, hardenedIdleTimeout)
	s.MaxHeaderBytes = cmp.Or(s.MaxHeaderBytes, hardenedHeaderBytes)
	var h2 http.HTTP2Config
	if s.HTTP2 != nil {
		h2 = *s.HTTP2 // which other servers may share
	}
	h2.MaxConcurrentStreams = cmp.Or(h2.MaxConcurrentStreams, hardenedStreams)
	h2.MaxReceiveBufferPerConnection = cmp.Or(h2.MaxReceiveBufferPerConnection, hardenedConnBuffer)
	h2.SendPingTimeout = cmp.Or(h2.SendPingTimeout, hardenedPingAfter)
	h2.PingTimeout = cmp.Or(h2.PingTimeout, hardenedPingTimeout)
	h2.WriteByteTimeout = cmp.Or(h2.WriteByteTimeout, hardenedByteTimeout)
	s.HTTP2 = &h2
	return s
}

// serverCheck examines the server that calls a handler, once.
type serverCheck struct{ done atomic.Bool }

// warnOnce warns if the server never times out reading headers. After the first request it
// costs a load.
func (c *serverCheck) warnOnce(r *http.Request, logger *slog.Logger) {
	if c.done.Load() || c.done.Swap(true) {
		return
	}
	s, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if ok && s.ReadHeaderTimeout <= 0 && s.ReadTimeout <= 0 {
		logger.WarnContext(r.Context(), "inlet: http.Server has no ReadHeaderTimeout, so that a client can hold a connection forever; set it or call inlet.Harden")
	}
}
