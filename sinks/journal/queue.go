package journal

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"context"

	"github.com/inlet-go/inlet"
)

// How often the committer lets writers run before it takes a group: while that
// makes the queue grow, while others still encode on another processor, and while
// those who were answered last may be about to come back.
const (
	maxYields = 8
	maxWaits  = 64
	maxQuiet  = 6
)

// A queue holds the tickets that wait for the committer, bounded in bytes.
type queue struct {
	maxBytes int
	wake     chan struct{} // has an element when there may be something to do

	encoding atomic.Int32 // writers that are about to put

	mu       sync.Mutex
	requests []*writeRequest
	bytes    int // of the tickets, and of the group that is being committed
	closed   bool
}

func newQueue(limit int) *queue {
	return &queue{maxBytes: limit, wake: make(chan struct{}, 1)}
}

// refusal says why nothing can be put now, if so: it spares the encoding.
func (q *queue) refusal() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refusalOf(0)
}

// refusalOf is refusal for n bytes more. Called with mu held.
func (q *queue) refusalOf(n int) error {
	switch {
	case q.closed:
		return inlet.ErrClosed
	case q.bytes > 0 && q.bytes+n > q.maxBytes:
		return errOverloaded
	}
	return nil
}

// put hands t to the committer, or says why not.
func (q *queue) put(t *writeRequest) error {
	q.mu.Lock()
	if err := q.refusalOf(len(t.buf)); err != nil {
		q.mu.Unlock()
		return err
	}
	q.requests = append(q.requests, t)
	q.bytes += len(t.buf)
	q.mu.Unlock()
	q.signal()
	return nil
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// close refuses whatever comes from now on.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

// nextGroup lets writers run, then takes a group in the place of the last one; see
// settle and take.
func (q *queue) nextGroup(group []*writeRequest, max int, patience time.Duration) []*writeRequest {
	q.awaitWriters(len(group), patience)
	group = group[:0]
	return q.take(group, max)
}

// take moves the oldest tickets into group, as many as fit into max bytes but at
// least one, and returns it; their bytes count until release.
func (q *queue) take(group []*writeRequest, max int) []*writeRequest {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.requests) && (n == 0 || size+len(q.requests[n].buf) <= max) {
		size += len(q.requests[n].buf)
		n++
	}
	group = append(group, q.requests[:n]...)
	rest := copy(q.requests, q.requests[n:])
	clear(q.requests[rest:])
	q.requests = q.requests[:rest]
	return group
}

// release makes room for as many bytes.
func (q *queue) release(bytes int) {
	q.mu.Lock()
	q.bytes -= bytes
	q.mu.Unlock()
}

// awaitWriters lets writers run while that makes the queue grow. Without it, a single
// processor would commit nearly every write by itself: the committer runs as
// soon as the first of them blocks. It does not sleep, and who encodes never
// waits for anything. Patience is how long it may go on without a sign of another
// writer, while there are fewer than the last time.
func (q *queue) awaitWriters(last int, patience time.Duration) {
	began := time.Now()
	for yields, waits, quiet := 0, 0, 0; yields < maxYields && waits < maxWaits && quiet < maxQuiet; {
		before := q.len()
		runtime.Gosched()
		switch {
		case q.len() != before:
			yields, quiet = yields+1, 0
		case q.encoding.Load() > 0:
			waits++
		case before >= last, time.Since(began) >= patience:
			return
		default:
			quiet++
		}
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.requests)
}

// drained reports whether the queue is closed and empty.
func (q *queue) drained() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && len(q.requests) == 0
}

// size returns how many bytes wait or are being committed.
func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// maxPooled is the largest buffer that is kept for reuse.
const maxPooled = 1 << 20

// A writeRequest is one Write (or, without lines, one Flush) on its way through the
// committer. Its caller owns it until it is in the queue, and again once it has
// received from done. A caller that stops waiting leaves it to the committer,
// and in the end to the garbage collector.
type writeRequest struct {
	buf   []byte
	lines []lineSlot
	done  chan error // has room for the one outcome
}

func newWriteRequest() *writeRequest { return &writeRequest{done: make(chan error, 1)} }

// encode encodes the events.
func (t *writeRequest) encode(events []*inlet.Event) {
	t.buf, t.lines = t.buf[:0], t.lines[:0]
	for _, e := range events {
		var mark lineSlot
		t.buf, mark = appendLine(t.buf, e)
		t.lines = append(t.lines, mark)
	}
}

// number gives the lines their sequence numbers, the first of which is seq.
func (t *writeRequest) number(seq uint64) {
	for i, mark := range t.lines {
		completeLine(t.buf[:mark.end], mark.crc, seq+uint64(i))
	}
}

// await returns the outcome, and whether it came before ctx was done.
func (t *writeRequest) await(ctx context.Context) (err error, ok bool) {
	select {
	case err = <-t.done:
		return err, true
	case <-ctx.Done():
	}
	select { // both may have been ready
	case err = <-t.done:
		return err, true
	default:
		return unknownOutcome(ctx), false
	}
}
