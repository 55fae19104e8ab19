package sinks

import (
	"context"
	"sync/atomic"

	"github.com/inlet-go/inlet"
)

// Discard is a sink that counts events and drops them: it says that they are
// stored although they are not. Its zero value is ready to use; it must not be
// copied after the first use. All methods may be called concurrently.
//
// It has no Durability method, so that it counts as
// [inlet.DurabilityUnknown], the lowest there is: a handler that requires any
// durability at all refuses it when it is built, and a Discard does not get
// into production unnoticed.
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

// Events returns how many events have been written.
func (d *Discard) Events() uint64 { return d.events.Load() }

// Close makes every later Write fail with [inlet.ErrClosed]. It always returns
// nil.
func (d *Discard) Close(context.Context) error {
	d.closed.Store(true)
	return nil
}
