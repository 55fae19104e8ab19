package sinkkit

import "github.com/inlet-go/inlet"

// A Key identifies an event: two events with equal keys are the same one, sent twice. A message
// ID is unique within its source only.
type Key struct{ Source, MessageID string }

// KeyOf returns the key of an event.
func KeyOf(e *inlet.Event) Key { return Key{e.Source.ID, e.MessageID} }

// PartEnd returns where the part of n events ends that begins at from: it has one event at least,
// maxEvents at most, and as many as fit. The function reports whether the events from inclusive
// to to exclusive fit into one part, and is called with increasing to.
func PartEnd(from, n, maxEvents int, fit func(from, to int) bool) (to int) {
	for to = from + 1; to < n && to-from < maxEvents && fit(from, to+1); {
		to++
	}
	return to
}

// Failures collects the events of a Write that have failed. The zero value has none.
type Failures struct{ items []inlet.ItemError }

// Add adds the event at an index, with its error.
func (f *Failures) Add(index int, err error) {
	f.items = append(f.items, inlet.ItemError{Index: index, Err: err})
}

// AddAll adds the events from inclusive to to exclusive, with the same error.
func (f *Failures) AddAll(from, to int, err error) {
	for i := from; i < to; i++ {
		f.Add(i, err)
	}
}

// Len returns how many events there are.
func (f *Failures) Len() int { return len(f.items) }

// Err returns the [*inlet.BatchError] of the events, or nil if there are none.
func (f *Failures) Err() error {
	if len(f.items) == 0 {
		return nil
	}
	return &inlet.BatchError{Items: f.items}
}
