package admission

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet/internal/lanes"
)

// ErrBusy means that the processors had no time for a request while it waited.
var ErrBusy = errors.New("admission: the processors were busy while the request waited")

// Turns have requests wait in front of the work that they cause, so that few are worked on
// concurrently and the rest cost next to nothing.
//
// A request waits before its body is read ([Turns.Take]). One that turns out to cost more than
// was assumed then, because its body is large or compressed, waits again before it is worked on
// ([Turn.Work]).
//
// The cost of a request is taken to be proportional to its bytes, with something for the
// request itself. Those that have a turn are about 10 ms of work for each processor. While the
// processors are idle all the same, those that have had a turn for a moment evidently wait for
// something else; they are not counted any more, and others get their turns. A body that
// arrives slowly is not counted either. So nothing waits for long unless the processors are the
// bottleneck, and nothing has to be known about them.
//
// A client that has few requests goes before those that have many, and does not wait for their
// turns. So one that sends all it can waits for itself, and not the others for it. Senders behind
// one address, or without one, are one client.
//
// Among those, the request that has waited for longest is next, as long as that is not long.
// After that, the newest is: its client still wants the answer. One that has waited for all its
// time gets no turn any more. To refuse it takes time too, and its client comes back after
// that; so it is answered when the processors are idle, or after a multiple of that time.
//
// While there are turns for all, a request takes its turn in a lane, which has a part of them, and
// nothing is known of its client. Once a request finds no turn left in any lane, those that have
// one there are counted with the others, and lanes are closed until no request waits and half
// of the turns are free.
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
	lanes      [lanes.Count]turnLane

	mu      sync.Mutex    // comes before that of a lane
	open    bool          // lanes have turns; never while a request waits
	lent    int64         // the weight of the turns that lanes have, given or not
	now     time.Duration // the time that was seen while requests waited
	ticked  time.Time     // when that was updated; zero while no request waits
	clients map[netip.Addr]*sender
	given   list // counted turns of those that do not run yet, the oldest first
	reading list // counted turns whose bodies may still arrive, the oldest first
	working list // counted turns of those that are worked on, the oldest first
	waiting line // for their first turn
	arrived line // for their turn to be worked on; they count as while they were read
}

const (
	// weightPerProcessor is the weight of the turns for each processor, in bytes of bodies.
	weightPerProcessor = 1 << 20
	// ownWeight is that of a request without its body.
	ownWeight = 4 << 10
	// maxWeight is that of the largest bodies, and of compressed ones until their length is
	// known. The scheduler lets each run for 10 ms before it looks at another request, so that
	// there is one for each processor.
	maxWeight = weightPerProcessor
	// maxUnread is that of the largest of those that are yet to arrive, whatever length they
	// announce.
	maxUnread = weightPerProcessor / 4
	// fewRequests is how many of its requests a client has in front of those of others that
	// have more.
	fewRequests = 8
	// tickTime is how often Turns look at the processors while requests wait.
	tickTime = time.Millisecond
	// tickShare is the part of the turns that idle processors are given between two looks: about
	// as much work as they do in that time. That they are idle at one moment says no more.
	tickShare = 8
	// maxTick bounds the time between two looks that counts.
	maxTick = 50 * time.Millisecond
	// slowBody is the time after which a turn does not count until its body has arrived.
	slowBody = 10 * time.Millisecond
	// maxTurn is the time after which a turn is not counted, even if the processors are busy.
	maxTurn = time.Second
	// yieldTime is how long a request that has waited sleeps once it has its turn. The runtime
	// looks for what has arrived on connections when no goroutine is left to run, and otherwise
	// 100 times a second. While those that have turns wake each other, one is always left, and
	// new requests would wait for up to a second before they are read. One that only yields is
	// left, too.
	yieldTime = 50 * time.Microsecond
	// refusedPerTick is how many are refused at most between two looks at idle processors.
	refusedPerTick = 8
	// answerAfter is how many times the time of a request is over when it is refused, if the
	// processors are busy until then.
	answerAfter = 8
)

// A turnLane is the turns that were given in a lane. They count as those whose bodies may still
// arrive. Their time to arrive does not begin before lanes are closed, as that of others does not
// while no request waits.
type turnLane struct {
	turns *Turns
	_     [lanes.Apart / 2]byte
	mu    sync.Mutex
	free  int64 // the weight that more requests may have here; none while lanes are closed
	given list
	_     [lanes.Apart / 2]byte
}

// A sender is a client with its requests that wait or have a turn. The last ones are known
// without requests, too, so that the next one of each finds its sender.
type sender struct {
	addr     netip.Addr
	requests int
}

// senderOf returns the sender of an address that stands for a client.
func (t *Turns) senderOf(addr netip.Addr) *sender {
	s := t.clients[addr]
	if s == nil {
		s = &sender{addr: addr}
		t.clients[addr] = s
	}
	return s
}

// What is known of the body of a request that has a turn.
const (
	mayArrive  = iota
	hasArrived // and it may count as read until the next tick
	isLate     // and the turn does not count
)

// NewTurns returns turns for which a request waits for maxWait at most, and at most
// maxWaiting of them.
func NewTurns(maxWait time.Duration, maxWaiting int) *Turns {
	t := &Turns{
		maxWait: maxWait, maxWaiting: max(1, maxWaiting), clients: map[netip.Addr]*sender{},
		active: weightPerProcessor * int64(runtime.GOMAXPROCS(0)), idle: processorsIdle(), open: true,
	}
	for i := range t.lanes {
		t.lanes[i].turns = t
	}
	return t
}

// A Turn is the place of one request. Its zero value is ready for [Turns.Take].
type Turn struct {
	lane       atomic.Pointer[turnLane] // that it was taken in, nil before Take
	addr       netip.Addr               // of its client
	sender     *sender                  // nil while it is in its lane
	list       *list                    // that the turn is in, nil if it does not count
	weight     int64
	needs      int64 // its weight when it is worked on, while it waits for that
	rank       rank
	costly     bool        // it costs more than it was counted with, and is worked on
	inLane     bool        // the lane guards it, and not the turns; changes under the lock of the lane
	over       atomic.Bool // changes under the lock of what guards it
	body       atomic.Int32
	prev, next *Turn
	since      time.Duration // when it began to wait, or to count
	ready      chan error    // of one that waits
}

// Take waits for a turn, for a request of a client with a body of a length; it is negative for
// one that is not known yet. It fails with [ErrBusy], or with the error of ctx when that is
// done. A request takes one turn only: a second Take does nothing.
func (t *Turns) Take(ctx context.Context, turn *Turn, in lanes.Lane, addr netip.Addr, length int64) error {
	l := &t.lanes[in%lanes.Count]
	if !turn.lane.CompareAndSwap(nil, l) {
		return nil
	}
	turn.weight = maxUnread
	if length >= 0 {
		turn.weight = min(maxUnread, weight(length))
	}
	turn.addr = addr
	if l.give(turn, 0) {
		return nil
	}
	t.mu.Lock()
	if t.lend(turn, l) {
		t.mu.Unlock()
		return nil
	}
	t.closeLanes()
	t.rank(turn)
	if t.waiting[turn.rank].len == 0 && t.free(turn.rank) {
		t.count(&t.reading, turn)
		t.mu.Unlock()
		return nil
	}
	return t.wait(ctx, turn, &t.waiting)
}

// Waited reports whether the request waited for its first turn or for work. It is for the goroutine
// that took the turn.
func (turn *Turn) Waited() bool { return turn.ready != nil }

// rank finds out how many requests the client of a turn has, which is one of them from now on.
func (t *Turns) rank(turn *Turn) {
	turn.sender = t.senderOf(client(turn.addr))
	turn.sender.requests++
	turn.rank = rankOf(turn.sender.requests)
}

// give gives a turn if the lane has it, with what it is lent in addition.
func (l *turnLane) give(turn *Turn, lent int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free += lent
	if l.free < turn.weight {
		return false
	}
	l.free -= turn.weight
	turn.inLane = true
	l.given.push(turn)
	return true
}

// takeBack returns the weight that the lane has left.
func (l *turnLane) takeBack() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	free := l.free
	l.free = 0
	return free
}

// lend gives a turn in a lane, for which it lends more turns to it. What other lanes have left is
// taken back if need be.
func (t *Turns) lend(turn *Turn, l *turnLane) bool {
	if !t.open {
		return false
	}
	room := t.active - t.counted() - t.lent
	for i := 0; room < turn.weight && i < len(t.lanes); i++ {
		back := t.lanes[i].takeBack()
		room, t.lent = room+back, t.lent-back
	}
	if room < turn.weight {
		return false
	}
	more := min(room, max(turn.weight, t.active/lanes.Count/4))
	t.lent += more
	return l.give(turn, more)
}

// closeLanes has all turns counted together.
func (t *Turns) closeLanes() {
	if !t.open {
		return
	}
	t.open, t.lent = false, 0
	for i := range t.lanes {
		l := &t.lanes[i]
		l.mu.Lock()
		l.free = 0
		for l.given.first != nil {
			t.adopt(l.given.first)
		}
		l.mu.Unlock()
	}
}

// adopt counts a turn that was given in a lane with those that were not. The lane is locked.
func (t *Turns) adopt(turn *Turn) {
	turn.list.remove(turn)
	turn.inLane = false
	t.rank(turn)
	t.count(&t.reading, turn)
}

// lock locks the turns for changes of one of them, which is in no lane then.
func (t *Turns) lock(turn *Turn) {
	t.mu.Lock()
	l := turn.lane.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	if turn.inLane {
		t.adopt(turn)
		t.lent -= turn.weight
	}
}

// reopenLanes has lanes give turns again once no request waits and half of the turns are free.
func (t *Turns) reopenLanes() {
	if !t.open && t.ticked.IsZero() && 2*t.counted() <= t.active {
		t.open = true
	}
}

// counted returns the weight of all that count, and of those that wait to be worked on.
func (t *Turns) counted() int64 {
	return t.given.upTo(many) + t.reading.upTo(many) + t.working.upTo(many) + t.arrived.weight()
}

// Work waits until a request that has a turn may be worked on, after its body of a length has
// arrived. It does so only if the request costs more than it was counted with until now: because
// its body is large, or compressed, so that nothing is known of it yet. It fails as Take does.
func (turn *Turn) Work(ctx context.Context, length int64, compressed bool) error {
	l, needs := turn.lane.Load(), weight(length)
	if compressed {
		needs = maxWeight
	}
	if l == nil || needs <= turn.weight {
		return nil
	}
	t := l.turns
	t.lock(turn)
	if turn.over.Load() {
		t.mu.Unlock()
		return nil
	}
	if turn.list != nil {
		turn.list.remove(turn)
	}
	if t.arrived[turn.rank].len == 0 && t.room(turn.rank) {
		turn.weight, turn.costly = needs, true
		t.count(&t.working, turn)
		t.mu.Unlock()
		return nil
	}
	turn.needs = needs
	return t.wait(ctx, turn, &t.arrived)
}

// wait waits at the end of a line. It is called with the lock, and releases it.
func (t *Turns) wait(ctx context.Context, turn *Turn, l *line) error {
	t.closeLanes()
	if t.ticked.IsZero() {
		t.ticked = time.Now()
		time.AfterFunc(tickTime, t.tick)
	} else {
		t.advance()
	}
	ready := make(chan error, 1)
	turn.ready, turn.since = ready, t.now
	l[turn.rank].push(turn)
	if l == &t.waiting && l.len() > t.maxWaiting {
		t.refuse(l.oldest())
	}
	t.fill()
	t.mu.Unlock()
	select {
	case err := <-ready:
		if err == nil {
			time.Sleep(yieldTime)
			turn.begin()
		}
		return err
	case <-ctx.Done():
		turn.End()
		return ctx.Err()
	}
}

// begin has the time start in which the body of a request may arrive. Until it runs, it waits
// for a processor and not for its body.
func (turn *Turn) begin() {
	turn.change(func(t *Turns) {
		if turn.list == &t.given {
			turn.list.remove(turn)
			t.count(&t.reading, turn)
		}
	})
}

// Arrived says that a request that has a turn is worked on from now on, and the length of what
// is left to work on, such as its body.
func (turn *Turn) Arrived(length int64) {
	if !turn.costly && turn.weight == weight(length) && turn.body.CompareAndSwap(mayArrive, hasArrived) {
		return // it weighs as much as before, and the next tick finds it
	}
	turn.change(func(t *Turns) {
		if turn.list != nil {
			turn.list.remove(turn)
		}
		turn.weight, turn.costly = weight(length), false
		t.count(&t.working, turn)
	})
}

// weight returns the weight of a request with a body of a length.
func weight(length int64) int64 { return min(ownWeight+length, maxWeight) }

// End gives the turn to the next request. It does nothing for a turn that was not taken, or
// has ended.
func (turn *Turn) End() {
	if l := turn.lane.Load(); l != nil && !turn.over.Load() && !l.end(turn) {
		turn.change(func(t *Turns) { t.end(turn) })
	}
}

// end ends a turn, unless lanes were closed since it was given.
func (l *turnLane) end(turn *Turn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !turn.inLane {
		return false
	}
	turn.inLane = false
	turn.over.Store(true)
	turn.list.remove(turn)
	l.free += turn.weight
	return true
}

// end ends a turn that has not ended, or the waiting for it.
func (t *Turns) end(turn *Turn) {
	sender := turn.sender
	if sender == nil {
		return // it is about to be taken, by another goroutine, which ends it
	}
	turn.over.Store(true)
	if turn.list != nil {
		turn.list.remove(turn)
	}
	if sender.requests--; sender.requests == 0 && len(t.clients) > keptShares {
		delete(t.clients, sender.addr)
	}
}

// change changes a turn that was taken and has not ended, and then gives turns that are free.
func (turn *Turn) change(f func(*Turns)) {
	l := turn.lane.Load()
	if l == nil || turn.over.Load() {
		return
	}
	t := l.turns
	t.lock(turn)
	defer t.mu.Unlock()
	if !turn.over.Load() {
		f(t)
		t.fill()
	}
}

// count has a turn count.
func (t *Turns) count(l *list, turn *Turn) {
	turn.since = t.now
	l.push(turn)
}

// free reports whether there is a first turn for one more of a rank. What counts with a higher one
// does not take it away.
func (t *Turns) free(r rank) bool {
	counted := t.given.upTo(r) + t.reading.upTo(r) + t.working.upTo(r)
	if r == many {
		counted += t.arrived.weight()
	}
	return counted < t.active
}

// room reports whether one more may be worked on. As many again are left to clients that have
// no other request.
func (t *Turns) room(r rank) bool {
	if r == only {
		return t.working.upTo(many) < 2*t.active
	}
	return t.working.upTo(many) < t.active
}

// fill gives turns to those that wait: first to those whose bodies have arrived.
func (t *Turns) fill() {
	if t.waiting.len()+t.arrived.len() == 0 {
		t.reopenLanes()
		return
	}
	t.advance()
	for r := range t.arrived {
		for l := &t.arrived[r]; l.len > 0 && t.room(rank(r)); {
			turn := l.first
			l.remove(turn)
			turn.weight, turn.costly = turn.needs, true
			t.count(&t.working, turn)
			turn.ready <- nil
		}
	}
	for r := range t.waiting {
		for l := &t.waiting[r]; l.len > 0 && t.free(rank(r)); {
			turn := t.nextOf(l)
			if turn == nil {
				break
			}
			l.remove(turn)
			t.count(&t.given, turn)
			turn.ready <- nil
		}
	}
}

// advance counts the time that has passed while requests waited. The processors may be too
// busy for a tick.
func (t *Turns) advance() {
	now := time.Now()
	t.now += min(now.Sub(t.ticked), maxTick)
	t.ticked = now
}

// nextOf returns the request of a list whose turn is next, nil if all have waited for too long.
func (t *Turns) nextOf(l *list) *Turn {
	if t.now-l.first.since < t.maxWait/4 {
		return l.first
	}
	if t.now-l.last.since < t.maxWait {
		return l.last
	}
	return nil
}

// refuse ends the waiting of a request.
func (t *Turns) refuse(turn *Turn) {
	t.end(turn)
	turn.ready <- ErrBusy
}

// tick looks at the processors while requests wait.
func (t *Turns) tick() {
	idle := t.idle()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting.len()+t.arrived.len() == 0 {
		t.ticked = time.Time{}
		t.reopenLanes()
		return
	}
	t.advance()
	t.moveArrived()
	var more int64
	if idle {
		more = t.active / tickShare
	}
	more = t.uncount(&t.given, more, maxTurn)
	more = t.uncount(&t.reading, more, slowBody)
	t.uncount(&t.working, more, maxTurn)
	t.fill()
	t.refuseLate(idle)
	time.AfterFunc(tickTime, t.tick)
}

// moveArrived has the turns count as worked on whose bodies have arrived meanwhile.
func (t *Turns) moveArrived() {
	for turn := t.reading.first; turn != nil; {
		next := turn.next
		if turn.body.Load() == hasArrived {
			t.reading.remove(turn)
			t.count(&t.working, turn)
		}
		turn = next
	}
}

// refuseLate refuses those that have waited for too long.
func (t *Turns) refuseLate(idle bool) {
	for n := 0; t.waiting.len() > 0; n++ {
		oldest := t.waiting.oldest()
		waited := t.now - oldest.since
		if waited < t.maxWait || waited < answerAfter*t.maxWait && (!idle || n >= refusedPerTick) {
			break
		}
		t.refuse(oldest)
	}
	for t.arrived.len() > 0 && t.now-t.arrived.oldest().since >= answerAfter*t.maxWait {
		t.refuse(t.arrived.oldest())
	}
}

// uncount has the turns of a list not count that have had a turn for as long as a turn may take,
// and, up to a weight, those that evidently do not need a processor. It returns what is left of
// that weight.
func (t *Turns) uncount(l *list, more int64, longest time.Duration) int64 {
	for turn := l.first; turn != nil; {
		next, had := turn.next, t.now-turn.since
		if had < tickTime || more <= 0 && had < longest {
			break
		}
		if had < longest {
			more -= turn.weight
		}
		l.remove(turn)
		if !turn.body.CompareAndSwap(mayArrive, isLate) && l == &t.reading { // it has arrived just now
			t.count(&t.working, turn)
		}
		turn = next
	}
	return more
}

// processorsIdle returns a function that reports whether fewer goroutines than there are
// processors have one or wait for one, without the one that asks. Not for concurrent use.
func processorsIdle() func() bool {
	samples := []metrics.Sample{{Name: "/sched/goroutines/running:goroutines"}, {Name: "/sched/goroutines/runnable:goroutines"}}
	return func() bool {
		metrics.Read(samples)
		return samples[0].Value.Uint64()+samples[1].Value.Uint64() <= uint64(runtime.GOMAXPROCS(0))
	}
}

// A rank says how many requests its client had when a request came. The lower ones go first.
type rank int8

const (
	only  rank = iota // no other
	few               // at most fewRequests
	many              // more
	ranks             // how many ranks there are
)

func rankOf(requests int) rank {
	switch {
	case requests == 1:
		return only
	case requests <= fewRequests:
		return few
	}
	return many
}

// A line is requests that wait, by their ranks.
type line [ranks]list

func (l *line) len() int { return l[only].len + l[few].len + l[many].len }
func (l *line) weight() int64 {
	return l[only].upTo(many) + l[few].upTo(many) + l[many].upTo(many)
}

// oldest returns the request that has waited for longest. There must be one.
func (l *line) oldest() (oldest *Turn) {
	for r := range l {
		if first := l[r].first; first != nil && (oldest == nil || first.since < oldest.since) {
			oldest = first
		}
	}
	return oldest
}

// A list is a list of turns in the order in which they came.
type list struct {
	first, last *Turn
	len         int
	weights     [ranks]int64 // of those that count with each rank
}

// class returns the rank that a turn counts with: the highest for what is costly, so that first
// turns of lower ones do not wait for it.
func (turn *Turn) class() rank {
	if turn.costly {
		return many
	}
	return turn.rank
}

// upTo returns the weight of those that count with a rank or a lower one.
func (l *list) upTo(r rank) (weight int64) {
	for _, w := range l.weights[:r+1] {
		weight += w
	}
	return weight
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
	l.weights[turn.class()] += turn.weight
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
	l.weights[turn.class()] -= turn.weight
}
