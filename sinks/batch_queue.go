package sinks

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
)

// A batchCall is one Write on its way through a [Batch] or, without events, one Flush.
type batchCall struct {
	events       []*inlet.Event // clones
	sizes        []int          // of events
	queued       time.Time      // when it was put into the queue
	taken        int            // number of events that have left the queue; guarded by the queue
	failedBefore uint64         // of a Flush: how many events had failed when it was called

	outcome   *outcome
	completed int           // number of events whose outcome is known
	err       error         // the result of the call
	done      chan struct{} // closed when err is set
}

func newBatchCall(events []*inlet.Event) *batchCall {
	c := &batchCall{events: events, sizes: make([]int, len(events)), done: make(chan struct{}), outcome: newOutcome(len(events))}
	for i, e := range events {
		c.sizes[i] = sizeOf(e)
	}
	return c
}

// sizeOf estimates the size of e in its canonical form.
func sizeOf(e *inlet.Event) int {
	const rest = 400 // the names of all members, the times, the type
	n := rest + len(e.Name) + len(e.MessageID) + len(e.UserID) + len(e.AnonymousID) + len(e.PreviousID) + len(e.GroupID)
	n += len(e.Source.ID) + len(e.Dialect)
	return n + len(e.Properties) + len(e.Traits) + len(e.Context) + len(e.Integrations) + len(e.Extra)
}

// waiting returns the number of events that wait, and their size.
func (c *batchCall) waiting() (events, bytes int) {
	for _, size := range c.sizes[c.taken:] {
		bytes += size
	}
	return len(c.events) - c.taken, bytes
}

// complete records the errors of the events from index from on, nil for those that are
// stored. The call returns once the outcome of every event is known.
func (c *batchCall) complete(from int, errs []error) {
	for n, err := range errs {
		c.outcome.fail(from+n, err)
	}
	if c.completed += len(errs); c.completed == len(c.events) {
		c.finish(c.outcome.err())
	}
}

// finish makes the call return err.
func (c *batchCall) finish(err error) {
	c.err = err
	close(c.done)
}

// A batchQueue holds the calls whose events wait to be written.
type batchQueue struct {
	o    *BatchOptions
	wake chan struct{} // has an element when there may be something to do

	mu            sync.Mutex
	calls         []*batchCall
	events, bytes int // that wait, of all calls
	flushes       int // among the calls
	closed        bool
}

func newBatchQueue(o *BatchOptions) batchQueue { return batchQueue{o: o, wake: make(chan struct{}, 1)} }

// check returns an error if not even one event can be queued now. Asking first spares
// cloning the events.
func (q *batchQueue) check() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.checkLocked(1, 0)
}

// checkLocked is check for a number of events and bytes, 0 for a Flush.
func (q *batchQueue) checkLocked(events, bytes int) error {
	switch {
	case q.closed:
		return inlet.ErrClosed
	case events > 0 && q.events > 0 && (q.events+events > q.o.MaxPending || q.bytes+bytes > q.o.MaxPendingBytes):
		return fmt.Errorf("sinks: Batch: %d events are pending: %w", q.events, inlet.ErrOverloaded)
	}
	return nil
}

// put queues c, or returns why it cannot.
func (q *batchQueue) put(c *batchCall) error {
	events, bytes := c.waiting()
	c.queued = time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.checkLocked(events, bytes); err != nil {
		return err
	}
	q.calls = append(q.calls, c)
	q.count(1, c, events, bytes)
	q.signal()
	return nil
}

// count adds (sign 1) or subtracts (sign -1) events of c.
func (q *batchQueue) count(sign int, c *batchCall, events, bytes int) {
	q.events += sign * events
	q.bytes += sign * bytes
	if len(c.events) == 0 {
		q.flushes += sign
	}
}

// remove removes c with those of its events that still wait.
func (q *batchQueue) remove(c *batchCall) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.calls, c); i >= 0 {
		q.calls = slices.Delete(q.calls, i, i+1)
		events, bytes := c.waiting()
		q.count(-1, c, events, bytes)
	}
}

func (q *batchQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// close makes every later put fail.
func (q *batchQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

// next returns the batch to write now. If that is empty, it returns the maximum time to
// wait for wake, negative for no maximum. more is false once the queue is closed and empty.
func (q *batchQueue) next(now time.Time) (b batch, wait time.Duration, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.calls) == 0 {
		return b, -1, !q.closed
	}
	if wait = q.calls[0].queued.Add(q.o.MaxDelay).Sub(now); wait > 0 && !q.urgent() {
		return b, wait, true
	}
	return q.take(), 0, true
}

// urgent reports whether waiting for more events is of no use: a batch is full or a flush
// waits for it.
func (q *batchQueue) urgent() bool {
	return q.closed || q.flushes > 0 || q.events >= q.o.MaxEvents || q.bytes >= q.o.MaxBytes
}

// A batch is the events of one inner Write. They come from several calls, of which only
// the last may be incomplete.
type batch struct {
	events []*inlet.Event
	parts  []batchPart
	bytes  int
}

// A batchPart is n consecutive events of one call, from index from on; none for a Flush.
type batchPart struct {
	call    *batchCall
	from, n int
}

// take moves the oldest events into a batch. The caller holds mu.
func (q *batchQueue) take() (b batch) {
	complete := 0
	for complete < len(q.calls) && q.move(&b, q.calls[complete]) {
		complete++
	}
	q.calls = slices.Delete(q.calls, 0, complete)
	return b
}

// move moves the waiting events of c into b and reports whether these are all. If they do
// not fit, they wait for an empty b, which takes as many as fit.
func (q *batchQueue) move(b *batch, c *batchCall) (all bool) {
	n, bytes := q.fitting(b, c)
	all = c.taken+n == len(c.events)
	if !all && len(b.events) > 0 {
		return false
	}
	b.parts = append(b.parts, batchPart{c, c.taken, n})
	b.events = append(b.events, c.events[c.taken:c.taken+n]...)
	b.bytes += bytes
	c.taken += n
	q.count(-1, c, n, bytes)
	return all
}

// fitting returns how many of the waiting events of c fit into b, and their size.
func (q *batchQueue) fitting(b *batch, c *batchCall) (n, bytes int) {
	for _, size := range c.sizes[c.taken:] {
		total := len(b.events) + n
		if total == q.o.MaxEvents || total > 0 && b.bytes+bytes+size > q.o.MaxBytes {
			break
		}
		n++
		bytes += size
	}
	return n, bytes
}

func (q *batchQueue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.events
}
