package journal

import (
	"context"
	"errors"
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
// (nextGroup). Before it does, it lets everything else run until as many writers have come as it
// may expect: those of the last group, which were just answered and return with their next
// events, and those that had come meanwhile (awaitExpected). A flush costs the processor as much
// as several requests do, so that few large groups are faster than many small ones; and a writer
// that just misses a group waits for two flushes. The queue is bounded in bytes, which count until
// their group is committed.

const (
	// maxYields is how often the committer lets writers run that it does not expect, while that
	// makes the queue grow.
	maxYields = 8
	// maxQuiet is how often the committer lets others run without a sign of a writer that it
	// expects, before it gives up. The first quietYields times it lets those run that are ready.
	// Then it also waits for what has arrived from the network, which takes longer: twice, since
	// a client that was just answered takes a moment.
	maxQuiet, quietYields = 8, 6
	// maxWaits is how often a writer that encodes on another processor is such a sign. Encoding
	// takes long if the events are many, or if the writer has to help the garbage collector.
	maxWaits = 64
	// minPatience is how long the committer waits for writers at most while they keep coming, or
	// as long as a flush takes if that is longer.
	minPatience = 5 * time.Millisecond
	// remindAfter is when a writer that waits begins to look at its context; at the latest after
	// twice that.
	remindAfter = 10 * time.Millisecond
)

// A queue holds the requests that wait for the committer.
type queue struct {
	maxBytes int
	wake     chan struct{} // has an element when there may be something to do

	encoding atomic.Int32 // writers that are about to put
	others   lull         // used by the committer only

	mu         sync.Mutex
	requests   []*writeRequest
	committing []*writeRequest // the group that was taken and is not settled yet
	bytes      int             // of all of these
	closed     bool
	reminder   *time.Timer // calls remind; nil before the first put
	reminding  bool        // the reminder runs
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
	q.startReminder()
	q.mu.Unlock()
	q.signal()
	return nil
}

// startReminder starts the reminder unless it runs. It is called with mu held.
func (q *queue) startReminder() {
	switch {
	case q.reminding:
		return
	case q.reminder == nil:
		q.reminder = time.AfterFunc(remindAfter, q.remind)
	default:
		q.reminder.Reset(remindAfter)
	}
	q.reminding = true
}

// remind tells the writers that have waited since its last call to look at their contexts. It
// is called again as long as anyone waits.
//
// Most contexts make a timer when they are asked for the channel that is closed at their end,
// and nearly all writers have their outcome before that timer could be of use.
func (q *queue) remind() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, waiting := range [...][]*writeRequest{q.committing, q.requests} {
		for _, r := range waiting {
			r.remind()
		}
	}
	q.reminding = false
	if len(q.committing)+len(q.requests) > 0 {
		q.startReminder()
	}
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

// end releases what the queue uses, once it is drained.
func (q *queue) end() {
	q.others.close()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.reminder != nil {
		q.reminder.Stop()
	}
}

// nextGroup awaits writers, then takes a group of at most maxBytes; see awaitWriters and take. It
// uses the memory of a group.
func (q *queue) nextGroup(memory []*writeRequest, maxBytes, expected int, patience time.Duration) []*writeRequest {
	q.awaitWriters(maxBytes, expected, patience)
	return q.take(memory[:0], maxBytes)
}

// take moves the oldest requests to group, as many as fit into maxBytes but at least one,
// and returns it. Their bytes count until settle.
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
	q.committing = group
	return group
}

// settle ends the commit of the group that was taken, before its requests get their outcome. It
// frees their bytes, and returns how many requests wait for the next.
func (q *queue) settle(bytes int) (waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.committing = nil
	q.bytes -= bytes
	return len(q.requests)
}

// awaitWriters lets writers run that may come into the group. Otherwise a single processor would
// commit nearly every write on its own, because the committer runs as soon as the first writer
// blocks. It does not sleep: when there is nothing else to do, it returns at once.
func (q *queue) awaitWriters(maxBytes, expected int, patience time.Duration) {
	q.awaitExpected(maxBytes, expected, patience)
	for range maxYields {
		before := q.len()
		runtime.Gosched()
		if q.len() == before {
			return
		}
	}
}

// awaitExpected lets others run until as many requests are in the queue as are expected, or as
// maxBytes allow, or no more come. A writer that encodes on another processor is one that comes.
func (q *queue) awaitExpected(maxBytes, expected int, patience time.Duration) {
	began := time.Now()
	n, bytes := q.waiting()
	for quiet, waits := 0, 0; n > 0 && n < expected && bytes < maxBytes && quiet < maxQuiet && time.Since(began) < patience; {
		if quiet < quietYields {
			runtime.Gosched()
		} else {
			q.others.wait()
		}
		before := n
		switch n, bytes = q.waiting(); {
		case n > before:
			quiet, waits = 0, 0
		case q.encoding.Load() > 0 && waits < maxWaits:
			waits++
		default:
			quiet++
		}
	}
}

// waiting returns how many requests wait, and how many bytes wait or are being committed.
func (q *queue) waiting() (requests, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.requests), q.bytes
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
// the outcome from done. If the writer stops waiting, it is left to the committer and then to
// the garbage collector.
type writeRequest struct {
	buf   []byte
	lines []lineSlot
	done  chan error // buffers a reminder and the one outcome

	reminders int // how often the queue has come by; at the second time it reminds
}

// errReminder is no outcome: the writer has waited for a while, and has to look at its context
// from now on.
var errReminder = errors.New("still waiting")

func newWriteRequest() *writeRequest { return &writeRequest{done: make(chan error, 2)} }

func (r *writeRequest) reset() { r.buf, r.lines, r.reminders = r.buf[:0], r.lines[:0], 0 }

// remind is called before the outcome is sent, with the lock of the queue held.
func (r *writeRequest) remind() {
	if r.reminders++; r.reminders == 2 {
		r.done <- errReminder
	}
}

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

// await returns the outcome, and whether it came before ctx was done. It does not look at ctx
// until it is reminded; see [queue.remind].
func (r *writeRequest) await(ctx context.Context) (ok bool, err error) {
	if err = <-r.done; err != errReminder {
		return true, err
	}
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
