package sinks

import (
	"context"
	"sync/atomic"

	"github.com/inlet-go/inlet"
)

// Discard is a sink that counts events and drops them: it reports them as stored although
// they are not. Its zero value is ready to use; it must not be copied after the first use.
// All methods may be called concurrently.
//
// It has no Durability method and therefore counts as [inlet.DurabilityUnknown], the lowest
// level: a handler that requires any durability refuses it when the handler is built, so
// that a Discard does not get into production unnoticed.
type Discard struct {
	events atomic.Uint64
	closed atomic.Bool
}

// Write counts the events. It fails only after Close, with [inlet.ErrClosed].
func (d *Discard) Write(_ context.Context, events []*inlet.Event) error {
	if d.closed.Load() {
		return inlet.ErrClosed
	}
	d.events.Add(uint64(len(events)))
	return nil
}

// Close makes every later Write fail with [inlet.ErrClosed]. It always returns nil.
func (d *Discard) Close(context.Context) error {
	d.closed.Store(true)
	return nil
}

// DiscardStats is a snapshot of the counters of a [Discard].
type DiscardStats struct {
	// Events is the number of events that were written so far.
	Events uint64
}

// Stats returns the current counters.
func (d *Discard) Stats() DiscardStats { return DiscardStats{Events: d.events.Load()} }
