package middleware

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/netip"
	"sync/atomic"
	"time"
)

// A Limiter keeps buckets of tokens, which are refilled at a rate, and decides whether a request
// may draw from them. [MemoryLimiter] keeps them in this process; an implementation that keeps
// them in a shared store lets several processes limit together ([RateLimitOptions].Limiter).
//
// Buckets: each Policy, Name and IP of a charge has three, of requests, events and bytes. A new
// bucket has Burst tokens, and gains Rate tokens per second up to Burst. A draw is granted if the
// bucket has Cost tokens, or is full, even if the cost is higher; the whole cost is then taken,
// so a bucket may be negative for a while. A draw without a Cost is granted if the bucket has one
// token. A draw with a negative Cost returns tokens, up to Burst, and is always granted, as is one
// without a Rate.
//
// Result: OK if every draw of the charge is granted. If one is not, nothing is taken: a refusal
// costs nothing.
//
// Errors: any error means that the buckets are not available. [RateLimitOptions].OnError decides
// about the request. A limiter that is not available should fail immediately, not at its
// deadline.
//
// Context: that of the request, with a deadline of its own. Take returns soon after it is done.
//
// Ownership: the strings of a charge belong to the request; Take copies what it keeps.
//
// Memory: clients can make up any number of keys, such as a million addresses. Bound what is
// kept: a full bucket need not be kept.
//
// Concurrency: Take is called concurrently. Concurrent charges of one key are not granted more
// than consecutive ones.
type Limiter interface {
	Take(ctx context.Context, c Charge) (Quota, error)
}

// A Charge is what one request draws from the buckets of one key.
type Charge struct {
	// Policy is that of the options; Name and IP are those of the [RateKey].
	Policy, Name string
	IP           netip.Addr
	// Requests, Events and Bytes are the draws.
	Requests, Events, Bytes Draw
}

// A Draw is what is taken from one bucket.
type Draw struct {
	// Rate is how many tokens the bucket gains per second, 0 for no limit.
	Rate float64
	// Burst is how many tokens the bucket holds, at least 1 if Rate is not 0.
	Burst int
	// Cost is how many tokens to take, 0 to ask whether the bucket has any, negative to
	// return some.
	Cost int
}

// A Unit is what a bucket counts.
type Unit uint8

const (
	// UnitRequests counts requests.
	UnitRequests Unit = iota
	// UnitEvents counts the events that a request would store.
	UnitEvents
	// UnitBytes counts the bytes of its body after decompression.
	UnitBytes
)

// String returns "requests", "events" or "bytes".
func (u Unit) String() string { return [...]string{"requests", "events", "bytes"}[u%3] }

// A Quota is the answer of a [Limiter] to a charge. Of several draws it describes the one that
// has to wait longest or, if all are granted, the one with the smallest part left.
type Quota struct {
	// OK reports whether the charge was granted, and taken.
	OK bool
	// Unit is what the other fields count.
	Unit Unit
	// Limit is the Burst of the bucket.
	Limit int
	// Remaining is how many tokens are left, at least 0.
	Remaining int
	// Reset is the time until the bucket is full, if nothing is drawn.
	Reset time.Duration
	// RetryAfter is the time until the draw could be granted, 0 if it was.
	RetryAfter time.Duration
}

// needed returns how many tokens the bucket must have.
func (d *Draw) needed() int { return min(max(d.Cost, 1), d.Burst) }

// maxWindow bounds the time in which a bucket is refilled, so that nanoseconds can express it.
const maxWindow = 100 * 365 * 24 * time.Hour

// rate returns the tokens per second: Rate, or what fills the bucket in maxWindow.
func (d *Draw) rate() float64 {
	return max(d.Rate, float64(d.Burst)/maxWindow.Seconds())
}

// refillTime returns the time in which the bucket gains a number of tokens.
func (d *Draw) refillTime(tokens float64) time.Duration {
	ns := math.Floor(tokens / d.rate() * float64(time.Second))
	return time.Duration(min(ns, float64(maxWindow)))
}

// A LimiterFailure is what happens to requests while a [Limiter] returns errors.
type LimiterFailure uint8

const (
	// FallBackLocal makes each process limit on its own, with buckets that are full at first:
	// n processes together let n times the rate pass.
	FallBackLocal LimiterFailure = iota
	// FailOpen lets every request pass.
	FailOpen
	// FailClosed answers every request 503, so that clients keep their events.
	FailClosed
)

// errSuspended replaces the error that was logged.
var errSuspended = errors.New("suspended for a second after an error")

// suspension is how long a limiter that failed is not called: only one request per second, and
// those that arrive with it, may have to wait for it.
const suspension = time.Second

// A guardedLimiter calls a limiter that may fail, and does something else after it has.
type guardedLimiter struct {
	limiter Limiter
	local   *MemoryLimiter // nil unless it falls back
	failure LimiterFailure
	timeout time.Duration
	logger  *slog.Logger
	started time.Time
	resume  atomic.Int64 // when the limiter is called again, in nanoseconds since started
}

// Take calls the limiter, unless it is suspended.
func (g *guardedLimiter) Take(ctx context.Context, c Charge) (Quota, error) {
	if int64(time.Since(g.started)) < g.resume.Load() {
		return g.fallBack(ctx, c, errSuspended)
	}
	timed, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	q, err := g.limiter.Take(timed, c)
	if err == nil {
		return q, nil
	}
	if ctx.Err() == nil { // otherwise the client has left, and the limiter may work
		g.suspend(ctx, err)
	}
	return g.fallBack(ctx, c, err)
}

// suspend suspends the limiter and logs the error. Of concurrent errors it logs one.
func (g *guardedLimiter) suspend(ctx context.Context, err error) {
	now, before := int64(time.Since(g.started)), g.resume.Load()
	if now >= before && g.resume.CompareAndSwap(before, now+int64(suspension)) {
		g.logger.ErrorContext(ctx, "middleware: rate limiter failed", "error", err, "suspended", suspension)
	}
}

// fallBack decides about a charge without the limiter.
func (g *guardedLimiter) fallBack(ctx context.Context, c Charge, err error) (Quota, error) {
	switch g.failure {
	case FailOpen:
		return Quota{OK: true}, nil
	case FailClosed:
		return Quota{}, err
	}
	return g.local.Take(ctx, c)
}
