package inlet

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// A writeQueue bounds the writes in flight to what the sink can take in a given
// time. While a sink takes more than it is given, they are few. When it takes
// less, they wait for each other, and each that is let in waits longer than the
// one before, to no end: the sink takes as much with fewer.
//
// It looks now and then whether as many writes have ended since a moment ago as
// were in flight then. If not, it lets in no more than the sink has lately taken
// in such a moment; if so, a quarter more than before. So nothing has to be known
// of the sink, a burst is let in, and a write that is stuck alone stops nobody.
type writeQueue struct {
	most  time.Duration // how long a write may wait
	start time.Time

	begun, ended atomic.Int64
	calm         atomic.Int64 // how long a write takes among few, a moving average
	limit        atomic.Int64 // of the writes in flight
	next         atomic.Int64 // when to look again, since start

	mu           sync.Mutex // guards the rest, which whoever looks uses
	older, newer int64      // what had begun when it looked before, and the time before that
	endedThen    int64
	pace         int64 // the most that ended between two looks, lately
}

const (
	// fewWrites are let in always: so the queue never shuts for good, and learns
	// how long a write takes that does not wait for others.
	fewWrites = 16
	// unlimited is more than can be in flight.
	unlimited = math.MaxInt32
)

func newWriteQueue(most time.Duration) *writeQueue {
	q := &writeQueue{most: most, start: time.Now()}
	q.limit.Store(unlimited)
	return q
}

// full reports whether no more writes are let in.
func (q *writeQueue) full(now time.Time) bool {
	writes := q.begun.Load() - q.ended.Load()
	if writes < fewWrites {
		return false
	}
	q.look(now)
	return writes >= q.limit.Load()
}

// begin counts a write, and returns whether it is among few.
func (q *writeQueue) begin(now time.Time) (few bool) {
	writes := q.begun.Add(1) - q.ended.Load()
	q.look(now)
	return writes <= fewWrites
}

// end counts a write that has ended.
func (q *writeQueue) end(began time.Time, few bool) {
	ended, calm := q.ended.Add(1), q.calm.Load()
	if !few || calm > 0 && ended%fewWrites != 0 { // to read the clock costs more than all the rest
		return
	}
	took := int64(time.Since(began))
	if calm > 0 {
		took = calm + (took-calm)/8
	}
	q.calm.Store(max(1, took))
}

// interval is the time between two looks, half of what a write may wait. A sink
// that is slow at rest is given twice the time that it takes then.
func (q *writeQueue) interval() time.Duration {
	return max(q.most, 2*time.Duration(q.calm.Load())) / 2
}

// look sets the limit, if it is time to, and known how long a write takes.
func (q *writeQueue) look(now time.Time) {
	since := int64(now.Sub(q.start))
	if since < q.next.Load() || q.calm.Load() == 0 || !q.mu.TryLock() {
		return
	}
	defer q.mu.Unlock()
	q.next.Store(since + int64(q.interval()))
	ended, limit := q.ended.Load(), q.limit.Load()
	q.pace = max(ended-q.endedThen, q.pace-q.pace/8)
	if q.older > ended {
		limit = max(fewWrites, 2*q.pace)
	} else {
		limit = min(limit+limit/4, unlimited)
	}
	q.limit.Store(limit)
	q.older, q.newer, q.endedThen = q.newer, q.begun.Load(), ended
}

// overloaded refuses a request, with a wait that differs between those who are
// refused together.
func overloaded() *Error {
	return &Error{Code: CodeOverloaded, RetryAfter: 1 + rand.N(3*time.Second)}
}
