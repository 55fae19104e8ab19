package inlet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
