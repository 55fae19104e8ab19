package sinks

import (
	"context"
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
)

// storedEarlier is the original of an event that an earlier call has stored.
const storedEarlier = -1

// A dedupeCall is the state of one [Dedupe.Write]. It is pooled: other calls reach it
// through the claims only, and only with the lock of the Dedupe held.
type dedupeCall struct {
	events   []*inlet.Event
	keys     []eventKey // of events
	original []int      // the index of the event whose outcome each shares: its own, or that of its original
	pending  []int      // indices of the events that have no outcome yet
	own      []int      // indices of the events to write now, in the client's order
	errs     []error    // of events; nil while none has failed

	done    chan struct{} // closed when the claims are released; nil if no call waits
	blocker chan struct{} // done of a call that claims the id of a pending event
	buf     []byte        // for hashing
}

// maxPooledCall is the largest call, in events, whose memory is kept for reuse.
const maxPooledCall = 10_000

func (d *Dedupe) begin(events []*inlet.Event) *dedupeCall {
	c, ok := d.calls.Get().(*dedupeCall)
	if !ok {
		c = new(dedupeCall)
	}
	c.events = events
	for i, e := range events {
		var key eventKey
		key, c.buf = d.hasher.sum(e, c.buf)
		c.keys = append(c.keys, key)
		c.original = append(c.original, i)
		c.pending = append(c.pending, i)
	}
	return c
}

func (d *Dedupe) end(c *dedupeCall) {
	if len(c.events) > maxPooledCall {
		return
	}
	*c = dedupeCall{keys: c.keys[:0], original: c.original[:0], pending: c.pending[:0], own: c.own[:0], buf: c.buf}
	d.calls.Put(c)
}

// doneChan returns the channel that is closed when c releases its claims. The caller holds
// the lock.
func (c *dedupeCall) doneChan() chan struct{} {
	if c.done == nil {
		c.done = make(chan struct{})
	}
	return c.done
}

// wake wakes the calls that wait for c. The caller holds the lock.
func (c *dedupeCall) wake() {
	if c.done != nil {
		close(c.done)
		c.done = nil
	}
}

// wait returns nil when the call that blocks c has ended, and a temporary error when ctx is
// done before.
func (c *dedupeCall) wait(ctx context.Context) error {
	select {
	case <-c.blocker:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sinks: Dedupe: waiting for another write of the same message ID: %w", ctx.Err())
	}
}

// fail records the errors of the events with the given indices.
func (c *dedupeCall) fail(indices []int, errs []error) {
	if errs == nil {
		return
	}
	if c.errs == nil {
		c.errs = make([]error, len(c.events))
	}
	for n, i := range indices {
		c.errs[i] = errs[n]
	}
}

// failPending records err for all events that have no outcome yet.
func (c *dedupeCall) failPending(err error) {
	errs := make([]error, len(c.pending))
	for n := range errs {
		errs[n] = err
	}
	c.fail(c.pending, errs)
}

// wholeError returns the error of a call whose slice was passed on: err itself, unless that
// may hold a malformed batch error.
func (c *dedupeCall) wholeError(err error) error {
	if _, ok := errors.AsType[*inlet.BatchError](err); !ok {
		return err
	}
	return itemerrors.Join(inlet.ItemErrors(err, len(c.events)))
}
