package admission

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet/internal/lanes"
)

// A Queue bounds the writes in flight to what the sink can complete within a given time.
//
// While the sink is faster than the requests arrive, few writes are in flight. When it is
// slower, they wait for each other, and each further one waits longer than the one before,
// without benefit: throughput is the same with fewer.
//
// Periodically the queue samples whether as many writes have ended since the last sample
// as were in flight then. If not, the limit falls to twice what the sink lately completed
// between two samples; if so, the limit rises by a quarter. So nothing has to be known about
// the sink, a burst is let in, and a single stuck write stops no other.
//
// While there is no limit, writes are only counted, in lanes that are summed for a sample.
//
// All methods may be called concurrently.
type Queue struct {
	maxWait time.Duration // how long a write may wait for others
	start   time.Time

	begun, ended lanes.Counter
	calm         atomic.Int64 // moving average of a write's duration while few are in flight
	limit        atomic.Int64 // of the writes in flight
	next         atomic.Int64 // when the next sample is due, since start

	mu            sync.Mutex // guards the fields below; the goroutine that samples holds it
	begunOlder    int64      // begun at the sample before the last
	begunNewer    int64      // begun at the last sample
	endedAtSample int64
	pace          int64 // the most writes that lately ended between two samples
}

const (
	// minWrites are always let in, so that the queue never closes permanently, and learns
	// how long a write takes that does not wait for others.
	minWrites = 16
	// showing is how many writes of a lane there are for each one that shows how long it takes.
	showing = 64
	// unlimited is more than can be in flight.
	unlimited = math.MaxInt32
)

// NewQueue returns a queue in which a write waits for about maxWait for others at most.
func NewQueue(maxWait time.Duration) *Queue {
	q := &Queue{maxWait: maxWait, start: time.Now()}
	q.limit.Store(unlimited)
	return q
}

// writes returns how many writes are in flight: never fewer, while others begin or end.
func (q *Queue) writes() int64 {
	ended := q.ended.Sum() // first, so that a write that has ended since counts
	return q.begun.Sum() - ended
}

// Full reports whether a write that begins now would wait for too long.
func (q *Queue) Full(now time.Time) bool {
	if q.limit.Load() == unlimited && !q.isDue(now) {
		return false
	}
	writes := q.writes()
	if writes < minWrites {
		return false
	}
	q.sample(now)
	return writes >= q.limit.Load()
}

// Begin counts a write in, and returns whether it shows how long a write takes while few are in
// flight, which [Queue.End] is given back. It never refuses: the decision is Full's.
func (q *Queue) Begin(l lanes.Lane, now time.Time) (shows bool) {
	n := q.begun.Add(l, 1)
	q.sample(now)
	// Reading the clock at the end, and looking at all lanes, costs more than all the rest.
	return (n%showing == 0 || q.calm.Load() == 0) && q.writes() <= minWrites
}

// End counts a write out. Its arguments are those of Begin and its result.
func (q *Queue) End(l lanes.Lane, began time.Time, shows bool) {
	q.ended.Add(l, 1)
	if !shows {
		return
	}
	took, calm := int64(time.Since(began)), q.calm.Load()
	if calm > 0 {
		took = calm + (took-calm)/8
	}
	q.calm.Store(max(1, took))
}

// interval is the time between two samples. Half of the time that a write may wait, so
// that the limit acts before that is over; a sink that is slow at rest gets more.
func (q *Queue) interval() time.Duration {
	return max(q.maxWait, 2*time.Duration(q.calm.Load())) / 2
}

// isDue reports whether a sample is due.
func (q *Queue) isDue(now time.Time) bool { return int64(now.Sub(q.start)) >= q.next.Load() }

// sample adjusts the limit, if a sample is due and no other goroutine takes it now.
func (q *Queue) sample(now time.Time) {
	if !q.isDue(now) || q.calm.Load() == 0 || !q.mu.TryLock() {
		return
	}
	defer q.mu.Unlock()
	q.next.Store(int64(now.Sub(q.start)) + int64(q.interval()))
	ended, limit := q.ended.Sum(), q.limit.Load()
	q.pace = max(ended-q.endedAtSample, q.pace-q.pace/8)
	if q.begunOlder > ended { // a write that had begun two samples ago is still in flight
		limit = max(minWrites, 2*q.pace)
	} else {
		limit = min(limit+limit/4, unlimited)
	}
	q.limit.Store(limit)
	q.begunOlder, q.begunNewer, q.endedAtSample = q.begunNewer, q.begun.Sum(), ended
}
