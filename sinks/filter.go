package sinks

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/inlet-go/inlet"
)

// Filter is a decorator that passes on only some of the events: the others are
// acknowledged and dropped. Make one with [NewFilter].
//
// If all events of a call stay, the inner sink gets the very slice, and its error
// is returned as it is. If none does, it is not called. Otherwise a failure is a
// [*inlet.BatchError] of those that stayed.
//
// Abilities: those of the inner sink, by Unwrap; it stores nothing itself, and
// what it acknowledges early is to be stored nowhere.
type Filter struct {
	inner   inlet.Sink
	keep    func(*inlet.Event) bool
	dropped atomic.Uint64
}

// NewFilter returns a decorator of inner that passes on the events for which keep
// is true. keep is called once for each event of a Write, in their order, by many
// Writes at a time. It must not change or keep the event, and should be quick; a
// panic in it is one of Write. A nil sink and a nil keep are errors.
func NewFilter(inner inlet.Sink, keep func(*inlet.Event) bool) (*Filter, error) {
	switch {
	case inner == nil:
		return nil, errors.New("sinks: Filter: the inner sink is nil")
	case keep == nil:
		return nil, errors.New("sinks: Filter: keep is nil")
	}
	return &Filter{inner: inner, keep: keep}, nil
}

// Write passes on the events that stay.
func (f *Filter) Write(ctx context.Context, events []*inlet.Event) error {
	var room [smallCall]int
	stay := room[:0]
	for i, e := range events {
		if f.keep(e) {
			stay = append(stay, i)
		}
	}
	f.dropped.Add(uint64(len(events) - len(stay)))
	switch len(stay) {
	case 0:
		return nil
	case len(events):
		return f.inner.Write(ctx, events)
	}
	o := newOutcome(len(events))
	o.add(stay, f.inner.Write(ctx, at(events, stay)))
	return o.err()
}

// Dropped returns how many events have been dropped, each as often as it came.
func (f *Filter) Dropped() uint64 { return f.dropped.Load() }

// Unwrap returns the inner sink.
func (f *Filter) Unwrap() inlet.Sink { return f.inner }
