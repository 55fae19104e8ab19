package sinks

import (
	"context"
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
)

// seenBefore stands in dedupeCall.first for an event that an earlier call has
// stored.
const seenBefore = -1

// A dedupeCall is the state of one [Dedupe.Write]. It is pooled: other calls
// reach it through the claims in the table only, and only with the lock held.
type dedupeCall struct {
	events []*inlet.Event
	keys   []eventKey // of events
	first  []int      // the event whose outcome each shares: itself, or its first
	open   []int      // events that have no outcome yet
	own    []int      // events to write now
	errs   []error    // of events; nil while there are none

	done    chan struct{} // closed when the claims are given up; nil if nobody waits
	blocker chan struct{} // done of a call that holds an open event
	text    []byte        // room for hashing
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
		key, c.text = d.hasher.sum(e, c.text)
		c.keys = append(c.keys, key)
		c.first = append(c.first, i)
		c.open = append(c.open, i)
	}
	return c
}

func (d *Dedupe) end(c *dedupeCall) {
	if len(c.events) > maxPooledCall {
		return
	}
	*c = dedupeCall{keys: c.keys[:0], first: c.first[:0], open: c.open[:0], own: c.own[:0], text: c.text}
	d.calls.Put(c)
}

// ownEvents returns the events to write now, in the client's order.
func (c *dedupeCall) ownEvents() []*inlet.Event { return at(c.events, c.own) }

// doneChan returns what is closed when c gives up its claims. Called with the
// lock held.
func (c *dedupeCall) doneChan() chan struct{} {
	if c.done == nil {
		c.done = make(chan struct{})
	}
	return c.done
}

// release wakes whoever waits for c. Called with the lock held.
func (c *dedupeCall) release() {
	if c.done != nil {
		close(c.done)
		c.done = nil
	}
}

// wait returns when a call that stands in the way has ended, or with a temporary
// error when ctx is done.
func (c *dedupeCall) wait(ctx context.Context) error {
	select {
	case <-c.blocker:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sinks: Dedupe: waiting for another write of the same message ID: %w", ctx.Err())
	}
}

// fail notes the errors of the events at the given indices.
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

// failOpen notes err for all events that have no outcome yet.
func (c *dedupeCall) failOpen(err error) {
	errs := make([]error, len(c.open))
	for n := range errs {
		errs[n] = err
	}
	c.fail(c.open, errs)
}

// wholeError is what to return for err where the inner sink was given the
// caller's own slice: err itself, unless it may hold a malformed batch error.
func (c *dedupeCall) wholeError(err error) error {
	if _, ok := errors.AsType[*inlet.BatchError](err); !ok {
		return err
	}
	return batchError(inlet.ItemErrors(err, len(c.events)))
}
