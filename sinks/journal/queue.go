package journal

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
)

// How groups form.
//
// A writer encodes its events into a writeRequest, in its own goroutine, puts it into the
// queue and waits for the outcome. The committer takes what is in the queue as one group
// (nextGroup). Before it does, it lets writers run (awaitWriters): while that makes the
// queue grow, while others still encode, and for a short time while fewer have come than
// the last time. The queue is bounded in bytes, which count until their group is committed.

// How often the committer lets writers run before it takes a group: while that makes the
// queue grow, while others still encode on another processor, and while those that were
// answered last may be about to return.
const (
	maxYields = 8
	maxWaits  = 64
	maxQuiet  = 6
)

// A queue holds the requests that wait for the committer.
type queue struct {
	maxBytes int
	wake     chan struct{} // has an element when there may be something to do

	encoding atomic.Int32 // writers that are about to put

	mu       sync.Mutex
	requests []*writeRequest
	bytes    int // of the requests, and of the group that is being committed
	closed   bool
}

func newQueue(maxBytes int) *queue {
	return &queue{maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

// refusal returns why nothing can be put now, or nil. It spares the encoding.
func (q *queue) refusal() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refusalOf(0)
}

// refusalOf is refusal for n more bytes. It is called with mu held.
func (q *queue) refusalOf(n int) error {
	switch {
	case q.closed:
		return inlet.ErrClosed
	case q.bytes > 0 && q.bytes+n > q.maxBytes:
		return errOverloaded
	}
	return nil
}

// put hands r to the committer, or returns why it cannot.
func (q *queue) put(r *writeRequest) error {
	q.mu.Lock()
	if err := q.refusalOf(len(r.buf)); err != nil {
		q.mu.Unlock()
		return err
	}
	q.requests = append(q.requests, r)
	q.bytes += len(r.buf)
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

// close refuses every request from now on.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

// nextGroup lets writers run, then takes a group of at most maxBytes; see awaitWriters and
// take. It reuses the memory of the last group.
func (q *queue) nextGroup(last []*writeRequest, maxBytes int, patience time.Duration) []*writeRequest {
	q.awaitWriters(len(last), patience)
	return q.take(last[:0], maxBytes)
}

// take moves the oldest requests to group, as many as fit into maxBytes but at least one,
// and returns it. Their bytes count until release.
func (q *queue) take(group []*writeRequest, maxBytes int) []*writeRequest {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.requests) && (n == 0 || size+len(q.requests[n].buf) <= maxBytes) {
		size += len(q.requests[n].buf)
		n++
	}
	group = append(group, q.requests[:n]...)
	rest := copy(q.requests, q.requests[n:])
	clear(q.requests[rest:])
	q.requests = q.requests[:rest]
	return group
}

// release frees the bytes of a group.
func (q *queue) release(bytes int) {
	q.mu.Lock()
	q.bytes -= bytes
	q.mu.Unlock()
}

// awaitWriters lets writers run while that makes the queue grow. Otherwise a single
// processor would commit nearly every write on its own, because the committer runs as soon
// as the first writer blocks. It does not sleep, and a writer that encodes never waits for
// it. Patience is how long it waits without a sign of another writer while there are fewer
// requests than in the last group.
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
// committer. The writer owns it until it is in the queue, and again once it has received
// from done. If the writer stops waiting, it is left to the committer and then to the
// garbage collector.
type writeRequest struct {
	buf   []byte
	lines []lineSlot
	done  chan error // buffers the one outcome
}

func newWriteRequest() *writeRequest { return &writeRequest{done: make(chan error, 1)} }

func (r *writeRequest) reset() { r.buf, r.lines = r.buf[:0], r.lines[:0] }

// addLine writes the line of an event, without its number.
func (r *writeRequest) addLine(e *inlet.Event) {
	var slot lineSlot
	r.buf, slot = appendLine(r.buf, e)
	r.lines = append(r.lines, slot)
}

// number completes the lines with sequence numbers from seq on.
func (r *writeRequest) number(seq uint64) {
	for i, slot := range r.lines {
		completeLine(r.buf[:slot.end], slot.crc, seq+uint64(i))
	}
}

// await returns the outcome, and whether it came before ctx was done.
func (r *writeRequest) await(ctx context.Context) (ok bool, err error) {
	select {
	case err = <-r.done:
		return true, err
	case <-ctx.Done():
	}
	select { // both may have been ready
	case err = <-r.done:
		return true, err
	default:
		return false, unknownOutcome(ctx)
	}
}
