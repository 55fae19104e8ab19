package sinks

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
)

// A batchQueue holds the calls whose events wait to be written.
type batchQueue struct {
	o    *BatchOptions
	wake chan struct{} // has an element when there may be something to do

	mu            sync.Mutex
	calls         []*batchCall
	events, bytes int // of the calls, that wait
	flushes       int // among the calls
	closed        bool
}

func newBatchQueue(o *BatchOptions) batchQueue { return batchQueue{o: o, wake: make(chan struct{}, 1)} }

// refusal says why not even one event can be queued now, if so: it spares the
// cloning.
func (q *batchQueue) refusal() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refuse(1, 0)
}

// refuse is refusal for so many events and bytes more; a Flush has none. Called
// with mu held.
func (q *batchQueue) refuse(events, bytes int) error {
	switch {
	case q.closed:
		return inlet.ErrClosed
	case events > 0 && q.events > 0 && (q.events+events > q.o.MaxPending || q.bytes+bytes > q.o.MaxPendingBytes):
		return fmt.Errorf("sinks: Batch: %d events wait: %w", q.events, inlet.ErrOverloaded)
	}
	return nil
}

// put queues c, or says why not.
func (q *batchQueue) put(c *batchCall) error {
	events, bytes := c.waiting()
	c.since = time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.refuse(events, bytes); err != nil {
		return err
	}
	q.calls = append(q.calls, c)
	q.count(1, c, events, bytes)
	q.signal()
	return nil
}

// count keeps account of what of c has come (sign 1) or gone (sign -1).
func (q *batchQueue) count(sign int, c *batchCall, events, bytes int) {
	q.events += sign * events
	q.bytes += sign * bytes
	if len(c.events) == 0 {
		q.flushes += sign
	}
}

// remove takes back what still waits of c.
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

// close refuses whatever comes from now on.
func (q *batchQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

// next returns what is to be written now. If it is nothing, it returns how long to
// wait for wake at the most, negative for no bound. more is false once the queue
// is closed and empty.
func (q *batchQueue) next(now time.Time) (b batch, wait time.Duration, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.calls) == 0 {
		return b, -1, !q.closed
	}
	if wait = q.calls[0].since.Add(q.o.MaxDelay).Sub(now); wait > 0 && !q.urgent() {
		return b, wait, true
	}
	return q.take(), 0, true
}

// urgent reports whether there is no use in waiting for more: a batch is full or
// asked for.
func (q *batchQueue) urgent() bool {
	return q.closed || q.flushes > 0 || q.events >= q.o.MaxEvents || q.bytes >= q.o.MaxBytes
}

// A batch is what is written at once: the events of several calls, of which only
// the last may be there in part.
type batch struct {
	events []*inlet.Event
	parts  []batchPart
	bytes  int
}

// A batchPart is events of one call that follow each other, from its place from
// on; none for a Flush.
type batchPart struct {
	call    *batchCall
	from, n int
}

// take moves the oldest events into a batch. Called with mu held.
func (q *batchQueue) take() (b batch) {
	gone := 0
	for gone < len(q.calls) && q.move(&b, q.calls[gone]) {
		gone++
	}
	q.calls = slices.Delete(q.calls, 0, gone)
	return b
}

// move moves the waiting events of c into b and returns whether these are all:
// if they do not fit, they wait for an empty b, which takes as many as fit.
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
