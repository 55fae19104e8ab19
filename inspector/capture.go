package inspector

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/redact"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
)

// requestKey is the context key of a *request.
type requestKey struct{}

// A request is what rows show of one.
type request struct {
	line, agent, origin string

	mu     sync.Mutex
	failed bool            // the sink has failed events, which have rows
	shown  map[string]int  // refused events that have a row, by the message id that the client sent
	aside  map[string]bool // message ids of quarantined events, which the sink in front accepts
}

// setAside notes that an event is quarantined.
func (q *request) setAside(messageID string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.aside == nil {
		q.aside = make(map[string]bool)
	}
	if len(q.aside) < maxShown {
		q.aside[short(messageID)] = true
	}
}

// isAside reports whether an event is quarantined.
func (q *request) isAside(messageID string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.aside[short(messageID)]
}

// maxShown is how many refused events of a request are remembered: what a request may refuse is not
// bounded by what it was charged for.
const maxShown = 64

// show notes that an event which was not accepted has a row, and reports whether it has none yet:
// what the sink refuses is also a letter.
func (q *request) show(kind string, e *inlet.Event, letter bool) (first bool) {
	id := short(e.MessageID)
	if e.GeneratedID() {
		id = ""
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case kind == failed:
		q.failed = true
		return true
	case letter && id != "" && q.shown[id] > 0:
		return false
	case len(q.shown) >= maxShown: // an outcome names no more
		return true
	case q.shown == nil:
		q.shown = make(map[string]int)
	}
	q.shown[id]++
	return true
}

// hasFailed reports whether the events of the request have rows that say that the sink has failed.
func (q *request) hasFailed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failed
}

// hasShown reports whether a refused event has a row already. It is asked once for each event.
func (q *request) hasShown(messageID string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shown[messageID] == 0 {
		return false
	}
	q.shown[messageID]--
	return true
}

// withRequest returns a context with what rows show of r.
func withRequest(ctx context.Context, r *http.Request) context.Context {
	path, _ := redact.Path(r.URL.Path, "WRITE-KEY")
	return context.WithValue(ctx, requestKey{}, &request{
		line:   short(r.Method + " " + path + " " + r.Proto),
		agent:  short(r.Header.Get("User-Agent")),
		origin: short(r.Header.Get("Origin")),
	})
}

// describe adds what is known of the request.
func (r *row) describe(ctx context.Context) *row {
	if q := requestOf(ctx); q != nil {
		r.Request, r.Agent, r.Origin = q.line, q.agent, q.origin
	}
	return r
}

// because adds the error of a Write, if there is one.
func (r *row) because(err error) *row {
	if err == nil {
		return r
	}
	r.Reason = short(err.Error())
	if p, ok := errors.AsType[*inlet.Problem](err); ok {
		r.Code, r.Field, r.Reason = string(p.Code), short(p.Field), short(p.Message)
	}
	return r
}

// requestOf returns what is known of the request, or nil.
func requestOf(ctx context.Context) *request {
	q, _ := ctx.Value(requestKey{}).(*request)
	return q
}

// ObserveRequest implements [inlet.Observer]: it captures what was refused. [Inspector.Layer] calls
// it; a handler without that layer has the inspector as its Observer.
func (i *Inspector) ObserveRequest(ctx context.Context, o *inlet.Outcome) {
	if !i.watched() || o.Rejected == 0 && o.Code == "" {
		return
	}
	now := time.Now()
	var id string
	if o.Source != nil {
		id = short(o.Source.ID)
	}
	base := row{At: now, Kind: refused, Source: id, Dialect: short(o.Dialect), Status: o.Status, Request: short(o.Path)}
	var rows []*row
	q := requestOf(ctx)
	for _, reject := range o.Rejects {
		if q != nil && q.hasShown(short(reject.MessageID)) {
			continue
		}
		r := base
		r.Type, r.Name, r.MessageID = string(reject.Type), short(reject.Name), short(reject.MessageID)
		r.Code, r.Field, r.Reason = string(reject.Code), short(reject.Field), short(reject.Message)
		rows = append(rows, &r)
	}
	if len(o.Rejects) == 0 && (q == nil || !q.hasFailed()) {
		base.Code = string(o.Code)
		if public, ok := errors.AsType[*inlet.Error](o.Err); ok {
			base.Reason = short(public.Message)
		}
		rows = []*row{&base}
	}
	i.mu.Lock()
	since := time.Since(i.start)
	i.sources.count(id, 0, max(o.Rejected, 1), now)
	kept := rows[:0]
	for _, r := range rows {
		if i.takes(glance{r.Kind, r.Source, r.Name}, nil, since) {
			kept = append(kept, r.describe(ctx))
		}
	}
	i.mu.Unlock()
	i.add(kept...)
}

// A glance is what is looked at of an event before it is captured.
type glance struct{ kind, source, name string }

func glanceAt(kind string, e *inlet.Event) glance {
	g := glance{kind: kind, name: e.Name}
	if e.Source != nil {
		g.source = e.Source.ID
	}
	return g
}

// takes reports whether a row is kept: by the sample, or by the filter of a viewer. The event is
// nil for what is no event. The lock is held.
func (i *Inspector) takes(g glance, e *inlet.Event, since time.Duration) bool {
	if i.sample.takes(g, since) {
		return true
	}
	for v := range i.viewers {
		if v.wants(g, e, since) {
			return true
		}
	}
	return false
}

// Sink returns a decorator of the sink that a handler writes to: it captures the events that inner
// accepts, and those that it fails. Around [inlet.Options].Rejects it captures the events that are
// refused, as they are stored there, with all that was sent. Around the quarantine of a tracking
// plan it captures what is quarantined.
//
// Abilities: those of inner, by Unwrap.
func (i *Inspector) Sink(inner inlet.Sink) inlet.Sink { return &captured{i, inner, ""} }

// Destination returns a decorator of the sink of a delivery: it captures what became of the events
// there. name is that of the destination.
//
// Abilities: those of inner, by Unwrap.
func (i *Inspector) Destination(name string, inner inlet.Sink) inlet.Sink {
	return &captured{i, inner, name}
}

// A captured sink shows what is written to it.
type captured struct {
	inspector *Inspector
	inner     inlet.Sink
	to        string // the destination, "" for the sink of the handler
}

// Unwrap returns the inner sink.
func (c *captured) Unwrap() inlet.Sink { return c.inner }

// Write passes the events on, and captures them afterwards, while they are lent.
func (c *captured) Write(ctx context.Context, events []*inlet.Event) error {
	err := c.inner.Write(ctx, events)
	if c.inspector.watched() {
		c.inspector.written(ctx, c.to, events, err)
	}
	return err
}

// written captures the events of a Write.
func (i *Inspector) written(ctx context.Context, to string, events []*inlet.Event, err error) {
	now, since := time.Now(), time.Since(i.start)
	var errs []error // nil if all are stored
	if err != nil {
		errs = failures(events, err)
	}
	q := requestOf(ctx)
	var rows []*row
	i.mu.Lock()
	for n, e := range events {
		var err error
		if errs != nil {
			err = errs[n]
		}
		kind := outcome(to, err)
		refusal, letter := sinks.Refusal{}, false
		if to == "" && kind == accepted && len(e.Extra) > 0 {
			if refusal, letter = sinks.RefusalOf(e); letter {
				kind = refused
			}
			if _, ok := plan.LetterOf(e); ok {
				kind = quarantined
			}
		}
		if to == "" && e.Source != nil && kind == accepted {
			i.sources.count(e.Source.ID, 1, 0, now)
		}
		switch {
		case q == nil:
		case kind == quarantined:
			q.setAside(e.MessageID)
		case kind == accepted && q.isAside(e.MessageID), kind != accepted && !q.show(kind, e, letter):
			continue
		}
		if !i.takes(glanceAt(kind, e), e, since) {
			continue
		}
		r := eventRow(kind, e, now).withDetail(e).describe(ctx).because(err)
		r.To = short(to)
		if letter {
			r.Code, r.Field, r.Reason = string(refusal.Code), short(refusal.Field), short(refusal.Error)
		}
		rows = append(rows, r)
	}
	i.mu.Unlock()
	i.add(rows...)
}

// outcome returns the kind of row for an event, by the error of its Write.
func outcome(to string, err error) string {
	switch {
	case err == nil && to == "":
		return accepted
	case err == nil:
		return delivered
	case !inlet.IsPermanent(err):
		return failed
	case to == "":
		return refused
	}
	return dead
}

// failures returns the error of each event.
func failures(events []*inlet.Event, err error) []error {
	errs := make([]error, len(events))
	batch, ok := errors.AsType[*inlet.BatchError](err)
	if !ok {
		for n := range errs {
			errs[n] = err
		}
		return errs
	}
	for _, item := range batch.Items {
		if item.Index >= 0 && item.Index < len(errs) {
			errs[item.Index] = item.Err
		}
	}
	return errs
}
