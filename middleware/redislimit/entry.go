package redislimit

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet/middleware"
)

// How an entry decides. It knows two things of each bucket of its key: how many tokens this server
// holds, and how many are left in Redis at most, from the last answer and the time since. A charge
// that what is held suffices for is granted. One that needs more than can be left is refused. All
// others are decided by Redis, by one exchange per key: charges that come meanwhile wait for its
// end, and then are decided anew.

// An entry is what a server remembers of a key.
type entry struct {
	used atomic.Uint64 // when the key was used last, by the table's clock

	mu     sync.Mutex
	leases [3]lease // by unit
	asked  time.Duration
	paused time.Duration // Redis is not asked before
	asking *exchange     // nil if there is none
}

// A lease is one bucket.
type lease struct {
	rate, burst float64 // of the last draw
	held        float64 // tokens that were taken from Redis, and not drawn yet
	known       bool    // whether left is known
	left        float64 // what was left in Redis when it was asked
	wanted      float64 // what was drawn, or refused, since then
}

// An exchange is a question to Redis that was not answered yet.
type exchange struct {
	done chan struct{} // closed at its end
	err  error         // for those who wait
}

// exchange calls send without the lock, and lets others wait for its end.
func (e *entry) exchange(ctx context.Context, send func() (answer, error)) (a answer, err error) {
	mine := &exchange{done: make(chan struct{})}
	e.asking = mine
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.asking = nil
		if ctx.Err() == nil { // otherwise those that wait try themselves
			mine.err = err
		}
		close(mine.done)
	}()
	return send()
}

// await waits for the end of the exchange. The entry is locked before and after.
func (e *entry) await(ctx context.Context) error {
	other := e.asking
	e.mu.Unlock()
	defer e.mu.Lock()
	select {
	case <-other.done:
		return other.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// draws returns the draws of a charge by unit.
func draws(c *middleware.Charge) [3]*middleware.Draw {
	return [3]*middleware.Draw{&c.Requests, &c.Events, &c.Bytes}
}

// limited reports whether a draw has a limit.
func limited(d *middleware.Draw) bool { return d.Rate > 0 }

// tolerance is a part of a token that rounding may hide.
const tolerance = 1e-6

// longest is the time in which a bucket is full again at most, in seconds.
const longest = 100 * 365 * 24 * 3600

// rate returns the tokens that the bucket gains per second.
func rate(d *middleware.Draw) float64 { return max(d.Rate, float64(d.Burst)/longest) }

// arrive notes a charge.
func (e *entry) arrive(c *middleware.Charge) {
	for i, d := range draws(c) {
		if !limited(d) {
			continue
		}
		l := &e.leases[i]
		if r, b := rate(d), float64(d.Burst); l.rate != r || l.burst != b {
			l.rate, l.burst, l.held, l.known = r, b, min(l.held, b), false
		}
		l.wanted += max(0, float64(d.Cost))
	}
}

// cost returns how many tokens a draw takes at least, for one to be granted: one is needed to ask.
func cost(d *middleware.Draw) float64 {
	if d.Cost < 0 {
		return 0
	}
	return max(1, float64(d.Cost))
}

// lacking returns how many tokens a draw takes beyond those that are held, and how many of them
// Redis must have: a full bucket grants any draw.
func (l *lease) lacking(d *middleware.Draw) (tokens, needed float64) {
	tokens = max(0, cost(d)-l.held)
	return tokens, max(0, min(cost(d), l.burst)-l.held)
}

// remaining returns how many tokens are left in Redis at most.
func (l *lease) remaining(since time.Duration) float64 {
	if !l.known {
		return l.burst
	}
	return min(l.burst, l.left+l.rate*since.Seconds())
}

// draw decides about a charge, if that can be done without Redis.
func (e *entry) draw(c *middleware.Charge, now time.Duration) (q middleware.Quota, decided bool) {
	enough, refused := true, false
	for i, d := range draws(c) {
		if !limited(d) {
			continue
		}
		l := &e.leases[i]
		if tokens, needed := l.lacking(d); tokens > 0 {
			enough = false
			refused = refused || now < e.paused || needed > l.remaining(now-e.asked)+tolerance
		}
	}
	switch {
	case refused:
		return e.refusal(c, now), true
	case enough:
		e.take(c)
		return e.quota(c, now), true
	}
	return middleware.Quota{}, false
}

// take takes what a charge draws from what is held, and puts back what it returns.
func (e *entry) take(c *middleware.Charge) {
	for i, d := range draws(c) {
		if limited(d) {
			l := &e.leases[i]
			l.held = min(l.burst, l.held-float64(d.Cost))
		}
	}
}

// refusal returns the quota of the draw that has to wait longest.
func (e *entry) refusal(c *middleware.Charge, now time.Duration) middleware.Quota {
	var strictest middleware.Quota
	for i, d := range draws(c) {
		if !limited(d) {
			continue
		}
		l := &e.leases[i]
		tokens, needed := l.lacking(d)
		if tokens == 0 {
			continue
		}
		q := l.quota(middleware.Unit(i), now-e.asked)
		missing := max(0, needed-l.remaining(now-e.asked))
		q.RetryAfter = max(1, e.paused-now, duration(missing/l.rate))
		if q.RetryAfter > strictest.RetryAfter {
			strictest = q
		}
	}
	return strictest
}

// quota returns the quota of the draw with the smallest part left, once the charge is granted.
func (e *entry) quota(c *middleware.Charge, now time.Duration) middleware.Quota {
	smallest := middleware.Quota{OK: true}
	part := math.Inf(1)
	for i, d := range draws(c) {
		if !limited(d) {
			continue
		}
		q := e.leases[i].quota(middleware.Unit(i), now-e.asked)
		if p := float64(q.Remaining) / float64(q.Limit); p < part {
			smallest, part = q, p
			smallest.OK = true
		}
	}
	return smallest
}

// quota describes the bucket, as far as the server knows it.
func (l *lease) quota(unit middleware.Unit, since time.Duration) middleware.Quota {
	remaining := min(l.burst, l.held+max(0, l.remaining(since)))
	return middleware.Quota{
		Unit: unit, Limit: whole(l.burst), Remaining: whole(remaining),
		Reset: duration((l.burst - remaining) / l.rate),
	}
}

// whole returns a number of tokens without parts, at least 0: more than is held may be drawn while
// Redis is asked, and the highest burst has no exact number.
func whole(tokens float64) int {
	if tokens >= math.MaxInt {
		return math.MaxInt
	}
	return int(max(0, tokens))
}

// duration returns so many seconds.
func duration(seconds float64) time.Duration {
	return time.Duration(min(seconds, longest) * float64(time.Second))
}

// request returns what Redis is asked for: the charge, and what the key may need until it is asked
// again, which is what it used in the time of a lease. While that is growing it is at most doubled.
func (e *entry) request(c *middleware.Charge, now, duration time.Duration) (r request) {
	since := now - e.asked
	for i, d := range draws(c) {
		if !limited(d) {
			continue
		}
		l := &e.leases[i]
		b := &r.buckets[i]
		b.rate, b.burst = l.rate, l.burst
		b.take, b.needed = l.lacking(d)
		most := math.Floor(min(l.rate*duration.Seconds(), l.burst))
		rest := max(0, l.held-cost(d)) // what is held after the draw, without the lease
		if e.asked > 0 {
			next := l.wanted * min(2, duration.Seconds()/since.Seconds())
			b.want = max(0, math.Floor(min(next, most)-rest))
		}
		b.back = max(0, math.Floor(rest-most))
	}
	return r
}

// settle notes an answer.
func (e *entry) settle(r *request, a *answer, sent, duration time.Duration) {
	e.asked, e.paused = sent, 0
	for i := range e.leases {
		b, l := &r.buckets[i], &e.leases[i]
		if b.rate == 0 {
			continue
		}
		l.known, l.left, l.wanted = true, a.buckets[i].left, 0
		if a.granted {
			l.held += a.buckets[i].granted - b.back
		}
		if a.buckets[i].granted < b.take+b.want { // it has no more now
			pause := min(duration.Seconds()/10, l.burst/l.rate/2)
			e.paused = max(e.paused, sent+time.Duration(pause*float64(time.Second)))
		}
	}
}
