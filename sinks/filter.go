package sinks

import (
	"context"
	"sync/atomic"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// Filter is a decorator that passes on only some of the events: the others are acknowledged
// and dropped. Make one with [NewFilter].
//
// If all events of a call are kept, the inner sink gets the caller's slice, and its error is
// returned unchanged. If none is kept, it is not called. Otherwise a failure is a
// [*inlet.BatchError] of the events that were kept.
//
// Abilities: those of the inner sink, by Unwrap; it stores nothing itself, and what it
// acknowledges itself is not to be stored.
type Filter struct {
	inner   inlet.Sink
	keep    func(*inlet.Event) bool
	dropped atomic.Uint64
}

// NewFilter returns a decorator of inner that passes on the events for which keep returns
// true. keep is called once for each event of a Write, in their order; calls of different
// Writes may run concurrently. It must not change or retain the event, and should be fast; a
// panic in it is a panic of Write. NewFilter returns an error if inner or keep is nil.
func NewFilter(inner inlet.Sink, keep func(*inlet.Event) bool) (*Filter, error) {
	if err := check.Options("sinks", "NewFilter",
		check.NotNil("inner", inner == nil),
		check.NotNil("keep", keep == nil),
	); err != nil {
		return nil, err
	}
	return &Filter{inner: inner, keep: keep}, nil
}

// Write passes on the events that are kept.
func (f *Filter) Write(ctx context.Context, events []*inlet.Event) error {
	var buf [smallCall]int
	kept := buf[:0]
	for i, e := range events {
		if f.keep(e) {
			kept = append(kept, i)
		}
	}
	f.dropped.Add(uint64(len(events) - len(kept)))
	switch len(kept) {
	case 0:
		return nil
	case len(events):
		return f.inner.Write(ctx, events)
	}
	o := newOutcome(len(events))
	o.add(kept, f.inner.Write(ctx, pick(events, kept)))
	return o.err()
}

// Unwrap returns the inner sink.
func (f *Filter) Unwrap() inlet.Sink { return f.inner }

// FilterStats is a snapshot of the counters of a [Filter].
type FilterStats struct {
	// Dropped is the number of events that were dropped so far. An event counts once for
	// each Write that it was part of.
	Dropped uint64
}

// Stats returns the current counters.
func (f *Filter) Stats() FilterStats { return FilterStats{Dropped: f.dropped.Load()} }
