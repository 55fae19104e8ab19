package admission

import (
	"context"
	"errors"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// ErrBusy means that the processors had no time for a request while it waited.
var ErrBusy = errors.New("admission: the processors were busy while the request waited")

// Turns have requests wait in front of the work that they cause, so that few are worked on
// concurrently and the rest cost next to nothing.
//
// The cost of a request is taken to be proportional to its bytes, with something for the
// request itself. Those that have a turn are about 10 ms of work for each processor. While the
// processors are idle all the same, those that have had a turn for a moment evidently wait for
// something else; they are not counted any more, and others get their turns. Nor does a body
// count that takes its time to arrive. So nothing waits for long unless the processors are the
// bottleneck, and nothing has to be known about them.
//
// The request that has waited for longest is next, as long as that is not long. After that,
// the newest is: its client still wants the answer. One that has waited for all its time gets
// no turn any more. To refuse it takes time too, and its client comes back after that; so it
// is answered when the processors are idle, or after a multiple of that time.
//
// Time is counted in intervals that were seen, so that a process that was stopped, as by a
// debugger, refuses nothing for that.
//
// All methods may be called concurrently.
type Turns struct {
	maxWait    time.Duration
	maxWaiting int
	active     int64       // the weight of those that are counted, at most, except the last
	idle       func() bool // whether the processors have time left

	mu      sync.Mutex
	now     time.Duration // the time that was seen while requests waited
	ticked  time.Time     // when that was updated; zero while no request waits
	counted list          // turns of those that are worked on, the oldest first
	waiting list          // in the order of arrival; the oldest may have waited for all their time
}

const (
	// weightPerProcessor is the weight of the turns for each processor, in bytes of bodies.
	weightPerProcessor = 1 << 20
	// ownWeight is that of a request without its body.
	ownWeight = 4 << 10
	// maxWeight is that of the largest bodies, so that several have a turn, and maxUnread that
	// of those that are yet to arrive, whatever length they announce.
	maxWeight = weightPerProcessor / 4
	maxUnread = weightPerProcessor / 8
	// tickTime is how often Turns look at the processors while requests wait.
	tickTime = time.Millisecond
	// maxTick bounds the time between two looks that counts.
	maxTick = 50 * time.Millisecond
	// slowBody is the time after which a turn does not count until its body has arrived.
	slowBody = 10 * time.Millisecond
	// maxTurn is the time after which a turn is not counted, even if the processors are busy.
	maxTurn = time.Second
	// refusedPerTick is how many are refused at most between two looks at idle processors.
	refusedPerTick = 8
	// answerAfter is how many times the time of a request is over when it is refused, if the
	// processors are busy until then.
	answerAfter = 8
)

// NewTurns returns turns for which a request waits for maxWait at most, and at most
// maxWaiting of them.
func NewTurns(maxWait time.Duration, maxWaiting int) *Turns {
	return &Turns{
		maxWait: maxWait, maxWaiting: max(1, maxWaiting),
		active: weightPerProcessor * int64(runtime.GOMAXPROCS(0)), idle: processorsIdle(),
	}
}

// A Turn is the place of one request. Its zero value is ready for [Turns.Take].
type Turn struct {
	turns      atomic.Pointer[Turns] // nil before Take
	list       *list                 // that the turn is in, nil if it does not count
	weight     int64
	over       bool
	prev, next *Turn
	reading    bool          // the body may still arrive
	since      time.Duration // when it began to wait, or to count
	ready      chan error    // of one that waits
}

// Take waits for a turn, for a request with a body of a length; it is negative for one that is
// not known yet. It fails with [ErrBusy], or with the error of
// ctx when that is done.
// A request takes one turn only: a second Take does nothing.
func (t *Turns) Take(ctx context.Context, turn *Turn, length int64) error {
	if !turn.turns.CompareAndSwap(nil, t) {
		return nil
	}
	t.mu.Lock()
	turn.reading, turn.weight = true, maxUnread
	if length >= 0 {
		turn.weight = min(maxUnread, weight(length))
	}
	if t.waiting.len == 0 && t.free() {
		t.count(turn)
		t.mu.Unlock()
		return nil
	}
	if t.ticked.IsZero() {
		t.ticked = time.Now()
		time.AfterFunc(tickTime, t.tick)
	} else {
		t.advance()
	}
	ready := make(chan error, 1)
	turn.ready, turn.since = ready, t.now
	t.waiting.push(turn)
	if t.waiting.len > t.maxWaiting {
		t.refuse(t.waiting.first)
	}
	t.mu.Unlock()
	select {
	case err := <-ready:
		return err
	case <-ctx.Done():
		turn.End()
		return ctx.Err()
	}
}

// Arrived says that the body of a request that has a turn has arrived, and its length.
func (turn *Turn) Arrived(length int64) {
	turn.change(func(t *Turns) {
		if turn.list != nil {
			turn.list.remove(turn)
		}
		turn.reading, turn.weight = false, weight(length)
		t.count(turn)
	})
}

// weight returns the weight of a request with a body of a length.
func weight(length int64) int64 { return min(ownWeight+length, maxWeight) }

// End gives the turn to the next request. It does nothing for a turn that was not taken, or
// has ended.
func (turn *Turn) End() {
	turn.change(func(*Turns) {
		turn.over = true
		if turn.list != nil {
			turn.list.remove(turn)
		}
	})
}

// change changes a turn that was taken and has not ended, and then gives turns that are free.
func (turn *Turn) change(f func(*Turns)) {
	t := turn.turns.Load()
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !turn.over {
		f(t)
		t.fill()
	}
}

// count has a turn count.
func (t *Turns) count(turn *Turn) {
	turn.since = t.now
	t.counted.push(turn)
}

// free reports whether there is a turn for one more.
func (t *Turns) free() bool { return t.counted.weight < t.active }

// fill gives turns to those that wait.
func (t *Turns) fill() {
	if t.waiting.len > 0 {
		t.advance()
	}
	for t.waiting.len > 0 && t.free() {
		turn := t.nextTurn()
		if turn == nil {
			return
		}
		t.waiting.remove(turn)
		t.count(turn)
		turn.ready <- nil
	}
}

// advance counts the time that has passed while requests waited. The processors may be too
// busy for a tick.
func (t *Turns) advance() {
	now := time.Now()
	t.now += min(now.Sub(t.ticked), maxTick)
	t.ticked = now
}

// nextTurn returns the request whose turn is next, nil if all have waited for too long.
func (t *Turns) nextTurn() *Turn {
	first := t.waiting.first
	if t.now-first.since < t.maxWait/4 {
		return first
	}
	if last := t.waiting.last; t.now-last.since < t.maxWait {
		return last
	}
	return nil
}

// refuse ends the waiting of a request.
func (t *Turns) refuse(turn *Turn) {
	t.waiting.remove(turn)
	turn.over = true
	turn.ready <- ErrBusy
}

// tick looks at the processors while requests wait.
func (t *Turns) tick() {
	idle := t.idle()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting.len == 0 {
		t.ticked = time.Time{}
		return
	}
	t.advance()
	t.uncount(idle)
	t.fill()
	for n := 0; t.waiting.len > 0; n++ {
		waited := t.now - t.waiting.first.since
		if waited < t.maxWait || waited < answerAfter*t.maxWait && (!idle || n >= refusedPerTick) {
			break
		}
		t.refuse(t.waiting.first)
	}
	time.AfterFunc(tickTime, t.tick)
}

// uncount has the turns not count that do not need a processor.
func (t *Turns) uncount(idle bool) {
	for turn := t.counted.first; turn != nil; {
		next, had := turn.next, t.now-turn.since
		if had < tickTime {
			break
		}
		if idle || turn.reading && had >= slowBody || had >= maxTurn {
			t.counted.remove(turn)
		}
		turn = next
	}
}

// processorsIdle returns a function that reports whether fewer goroutines than there are
// processors wait for one. Not for concurrent use.
func processorsIdle() func() bool {
	sample := []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}}
	return func() bool {
		metrics.Read(sample)
		return sample[0].Value.Uint64() < uint64(runtime.GOMAXPROCS(0))
	}
}

// A list is a list of turns in the order in which they came.
type list struct {
	first, last *Turn
	len         int
	weight      int64
}

func (l *list) push(turn *Turn) {
	turn.list, turn.prev, turn.next = l, l.last, nil
	if l.last != nil {
		l.last.next = turn
	} else {
		l.first = turn
	}
	l.last = turn
	l.len++
	l.weight += turn.weight
}

func (l *list) remove(turn *Turn) {
	if turn.prev != nil {
		turn.prev.next = turn.next
	} else {
		l.first = turn.next
	}
	if turn.next != nil {
		turn.next.prev = turn.prev
	} else {
		l.last = turn.prev
	}
	turn.list, turn.prev, turn.next = nil, nil, nil
	l.len--
	l.weight -= turn.weight
}
