package inlet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/inlet-go/inlet/internal/wire"
)

// A Handler is the ingestion API as an [http.Handler]. It opens no port, starts
// no goroutine and keeps no global state. All methods may be called
// concurrently. Make one with [New].
type Handler struct {
	sink     Sink
	options  Options
	routes   *routes
	payloads *PayloadReader
	gate     gate
	queue    *writeQueue
	server   serverCheck
}

// New returns a handler that writes accepted events to sink. Nil options are all
// defaults. The error names the field of the options that is out of range, or
// says that the sink is less durable than required. The sink stays the caller's:
// to be closed after [Handler.Shutdown].
func New(sink Sink, o *Options) (*Handler, error) {
	if sink == nil {
		return nil, errors.New("inlet: New: the sink is nil")
	}
	filled, err := o.withDefaults()
	payloads, payloadErr := NewPayloadReader(filled.Payload)
	if err := errors.Join(err, payloadErr); err != nil {
		return nil, fmt.Errorf("inlet: Options: %w", err)
	}
	if have := DurabilityOf(sink); have < filled.RequireDurability {
		return nil, fmt.Errorf("inlet: Options: RequireDurability is %v, but the sink declares %v", filled.RequireDurability, have)
	}
	h := &Handler{sink: sink, options: filled, payloads: payloads, routes: newRoutes(filled.Dialects)}
	h.gate.limit(filled.MaxInFlight)
	h.queue = newWriteQueue(filled.MaxQueueTime)
	return h, nil
}

// ServeHTTP takes in the events of a request and answers in the form of its
// dialect. It answers a success only after the sink has said that it holds the
// events, and never with a redirect.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.server.look(r, h.options.Logger)
	c := newCall(h, w, r)
	err := c.enter()
	if err == nil {
		defer h.gate.leave()
		err = c.serve()
	} else {
		c.found = h.routes.match(r) // for the form of the answer
	}
	c.answer(err)
	c.release()
}

// serve is the way of a request. The first error ends it.
func (c *call) serve() error {
	if err := c.route(); err != nil {
		return err
	}
	if c.found.Reply != nil {
		return c.reply()
	}
	if err := c.admit(); err != nil {
		return err
	}
	if err := c.read(); err != nil {
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
	c.enrich()
	return c.write()
}

// Shutdown refuses new requests with 503, waits for those in flight, and flushes
// the sink. It returns early when ctx is done. It does not close the sink, which
// is its maker's.
func (h *Handler) Shutdown(ctx context.Context) error {
	if err := h.gate.close(ctx); err != nil {
		return fmt.Errorf("inlet: requests are still in flight: %w", err)
	}
	return Flush(ctx, h.sink)
}

// Ready returns a handler that answers 200 while events would be taken: until
// Shutdown, and as long as the sink's Check says so; else 503.
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
	if h.gate.closed() {
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

// ingestDialect is the Dialect of events that did not come by HTTP.
const ingestDialect = "inlet"

// Ingest takes events of the host's own program through the same checks,
// enrichers and sink as those of clients. It returns nil when every event is
// stored, as durably as the sink declares.
//
// Errors: a [*BatchError] names the events that are not stored by their index.
// One that fails its checks is a permanent failure and holds a [*Problem]; those
// of the sink are as it returned them. Any other error means that nothing may be
// assumed stored.
//
// Ownership: the events are read, and may be used again once Ingest has returned.
// What they lack is set on copies: MessageID, Timestamp, ReceivedAt, Source.
//
// Context: the write ends at ctx's end or after the handler's WriteTimeout.
func (h *Handler) Ingest(ctx context.Context, source *Source, events ...*Event) error {
	if source == nil || source.ID == "" {
		return errors.New("inlet: Ingest: the source is nil or has no ID")
	}
	if err := h.gate.enter(); err != nil {
		return err
	}
	defer h.gate.leave()
	state := &state{Context: ctx}
	state.source.Store(source)
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
		if p := h.prepare(e, given); p != nil {
			failed = append(failed, ItemError{i, Permanent(p)})
			continue
		}
		h.enrichEvent(ctx, e, in, source, ingestDialect)
		accepted, places = append(accepted, e), append(places, i)
	}
	if len(accepted) > 0 {
		_, err := h.store(ctx, accepted, in.ReceivedAt)
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

// prepare copies a host's event and checks what a dialect has checked for a
// client's.
func (h *Handler) prepare(e, given *Event) *Problem {
	if given == nil {
		return problem(CodeNotObject, "")
	}
	*e = *given
	if p := e.checkText(); p != nil {
		return p
	}
	if p := e.checkRaw(h.options.Limits.wire()); p != nil {
		return p
	}
	return h.checkEvent(e, false)
}

// checkText refuses what the canonical form could not say again.
func (e *Event) checkText() *Problem {
	for _, field := range [...]struct{ name, text string }{
		{"name", e.Name}, {"messageId", e.MessageID}, {"userId", e.UserID}, {"anonymousId", e.AnonymousID},
		{"previousId", e.PreviousID}, {"groupId", e.GroupID},
	} {
		if !utf8.ValidString(field.text) {
			return &Problem{Code: CodeInvalidEvent, Message: "the text is not valid UTF-8", Field: field.name}
		}
	}
	for _, t := range [...]time.Time{e.Timestamp, e.OriginalTimestamp, e.SentAt} {
		if y := t.UTC().Year(); y < 1 || y > 9999 {
			return &Problem{Code: CodeInvalidEvent, Message: "a time is not within the years 1 to 9999", Field: "timestamp"}
		}
	}
	return nil
}

// checkRaw refuses raw fields that are not objects within the limits, and extra
// members that have a field of their own.
func (e *Event) checkRaw(limits wire.Limits) *Problem {
	names := [...]string{"properties", "traits", "context", "integrations", "extra"}
	var doc wire.Document
	size := 0
	for i, raw := range e.rawFields() {
		if *raw == nil {
			continue
		}
		size += len(*raw)
		if err := doc.Read(*raw, "", limits); err != nil || doc.Repaired() {
			return &Problem{Code: CodeInvalidEvent, Message: "it is not a valid JSON object, or beyond the limits", Field: names[i]}
		}
		if raw == &e.Extra {
			if name := canonicalName(doc.Root(), e.Type); name != "" {
				return &Problem{Code: CodeInvalidEvent, Message: "the name belongs to a field of its own", Field: name}
			}
		}
	}
	if size > limits.Bytes {
		return problem(CodeEventTooLarge, "")
	}
	return nil
}

// canonicalName returns the first member of an Extra that has a field of its own
// in the canonical form of the type, or "".
func canonicalName(extra wire.Object, t Type) string {
	e := Event{Type: t}
	for i := range extra.Len() {
		switch name := wire.Text(extra.Name(i)); name {
		case "type", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "sourceId", "warnings", "_seq", "_c":
			return name
		default:
			if e.textField(name) != nil || e.rawField(name) != nil {
				return name
			}
		}
	}
	return ""
}

// What [Harden] sets.
const (
	hardHeaderTimeout = 5 * time.Second
	hardIdleTimeout   = 60 * time.Second
	hardHeaderBytes   = 64 << 10
)

// Harden bounds on s what a handler cannot, since it is called too late for it:
// how long a client may take over its headers (ReadHeaderTimeout, 5 seconds), how
// long an idle connection is kept (IdleTimeout, 60 seconds), and how large headers
// may be (MaxHeaderBytes, 64 KiB: a pixel's event stands in its URL, which counts).
// What is set already stays. It leaves alone ReadTimeout and WriteTimeout, which
// would end the long downloads and streams that the host may have beside the API;
// bodies that the API reads have a time of their own.
//
// Call it before the server serves. It returns s.
func Harden(s *http.Server) *http.Server {
	s.ReadHeaderTimeout = cmp.Or(s.ReadHeaderTimeout, hardHeaderTimeout)
	s.IdleTimeout = cmp.Or(s.IdleTimeout, hardIdleTimeout)
	s.MaxHeaderBytes = cmp.Or(s.MaxHeaderBytes, hardHeaderBytes)
	return s
}

// serverCheck looks once at the server that a handler is called by.
type serverCheck struct{ done atomic.Bool }

// look warns if the server waits for headers for ever. After the first request it
// costs a load.
func (c *serverCheck) look(r *http.Request, logger *slog.Logger) {
	if c.done.Load() || c.done.Swap(true) {
		return
	}
	s, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if ok && s.ReadHeaderTimeout <= 0 && s.ReadTimeout <= 0 {
		logger.WarnContext(r.Context(), "inlet: the http.Server has no ReadHeaderTimeout: a client may hold a connection for ever; see inlet.Harden")
	}
}
