package sinks

import (
	"time"

	"github.com/inlet-go/inlet"
)

// A batchCall is one Write on its way through a [Batch] or, without events, one
// Flush.
type batchCall struct {
	events []*inlet.Event // clones
	sizes  []int          // of events
	since  time.Time      // when it was queued
	taken  int            // events that do not wait any more; guarded by the queue
	before uint64         // of a Flush: how many events had failed when it came

	outcome *outcome // of the events that have one, whose number is settled
	settled int
	err     error         // the answer
	done    chan struct{} // closed when err is set
}

func newBatchCall(events []*inlet.Event) *batchCall {
	c := &batchCall{events: events, sizes: make([]int, len(events)), done: make(chan struct{}), outcome: newOutcome(len(events))}
	for i, e := range events {
		c.sizes[i] = sizeOf(e)
	}
	return c
}

// sizeOf estimates what e takes in its canonical form.
func sizeOf(e *inlet.Event) int {
	const rest = 400 // the names of all members, the times, the type
	n := rest + len(e.Name) + len(e.MessageID) + len(e.UserID) + len(e.AnonymousID) + len(e.PreviousID) + len(e.GroupID)
	n += len(e.Source.ID) + len(e.Dialect)
	return n + len(e.Properties) + len(e.Traits) + len(e.Context) + len(e.Integrations) + len(e.Extra)
}

// waiting returns how many events wait, and their size.
func (c *batchCall) waiting() (events, bytes int) {
	for _, size := range c.sizes[c.taken:] {
		bytes += size
	}
	return len(c.events) - c.taken, bytes
}

// settle notes the errors of the events at from and behind it, nil for none, and
// answers once every event has its outcome.
func (c *batchCall) settle(from int, errs []error) {
	for n, err := range errs {
		c.outcome.fail(from+n, err)
	}
	if c.settled += len(errs); c.settled == len(c.events) {
		c.answer(c.outcome.err())
	}
}

// answer hands the outcome to whoever waits for it.
func (c *batchCall) answer(err error) {
	c.err = err
	close(c.done)
}
