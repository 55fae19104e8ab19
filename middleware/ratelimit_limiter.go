package middleware

import (
	"context"
	"math"
	"net/netip"
	"time"
)

// A Limiter keeps buckets of tokens, which fill at a rate, and says whether a
// request may draw from them. [MemoryLimiter] keeps them in this process; one
// that keeps them in a store lets several processes limit together
// ([RateLimitOptions.Limiter]).
//
// Buckets: there is one for each Policy, Name and IP of a charge, and in it each
// of requests, events and bytes. It holds Burst tokens when it is new, and grows
// by Rate a second up to Burst. A draw is granted if the bucket holds its Cost,
// or is full, though the cost be more; the whole cost is then taken, and a bucket
// may be below zero for a while. A draw that costs nothing is granted if the
// bucket holds one token. A draw without a Rate is granted always.
//
// Result: OK if every draw of the charge is granted. If one is not, none is made:
// a refusal costs nothing.
//
// Errors: any error means that the buckets cannot be asked now. What becomes of
// the request is [RateLimitOptions.OnError]. A limiter that is down had better
// fail at once than wait for its deadline.
//
// Context: that of the request, with a deadline of its own; Take returns soon
// after it is done.
//
// Ownership: the text of a charge is the request's; it is copied before it is kept.
//
// Memory: keys are as many as clients can make up, a million of addresses among
// them. Bound what is kept of them: a bucket that is full is as good as none.
//
// Concurrency: Take is called concurrently, and concurrent charges of one key
// are granted no more together than one after another.
type Limiter interface {
	Take(ctx context.Context, c Charge) (Quota, error)
}

// A Charge is what one request draws at a time from the buckets of one key.
type Charge struct {
	// Policy is that of the options, and Name and IP those of the [RateKey].
	Policy, Name string
	IP           netip.Addr
	// Requests, Events and Bytes are the draws.
	Requests, Events, Bytes Draw
}

// A Draw is what is taken from one bucket.
type Draw struct {
	// Rate is how many tokens grow in a second. 0 for no limit.
	Rate float64
	// Burst is how many tokens the bucket holds. At least 1 where Rate is not 0.
	Burst int
	// Cost is how many tokens are to be taken. 0 to ask whether the bucket holds
	// any.
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

// A Quota is what a [Limiter] says to a charge. Of several draws it speaks of the
// one that has to wait longest, and of the one with the smallest part left if all
// are granted.
type Quota struct {
	// OK says that the charge was granted, and taken.
	OK bool
	// Unit is what the other fields count.
	Unit Unit
	// Limit is the bucket's Burst.
	Limit int
	// Remaining is how many tokens are left. At least 0.
	Remaining int
	// Reset is how long it is until the bucket is full, if nothing is drawn.
	Reset time.Duration
	// RetryAfter is how long it is until the draw could be granted, 0 if it was.
	RetryAfter time.Duration
}

// need returns how many tokens the bucket must hold.
func (d *Draw) need() int { return min(max(d.Cost, 1), d.Burst) }

// longestWindow bounds how long a bucket takes to fill, so that it can be told in
// nanoseconds.
const longestWindow = 100 * 365 * 24 * time.Hour

// rate returns the tokens per second: Rate, or what fills the bucket in
// longestWindow.
func (d *Draw) rate() float64 {
	return max(d.Rate, float64(d.Burst)/longestWindow.Seconds())
}

// grown returns the time in which so many tokens grow.
func (d *Draw) grown(tokens float64) time.Duration {
	ns := math.Floor(tokens / d.rate() * float64(time.Second))
	return time.Duration(min(ns, float64(longestWindow)))
}
