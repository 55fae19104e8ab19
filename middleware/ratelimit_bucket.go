package middleware

import (
	"time"

	"golang.org/x/time/rate"
)

// A bucket is what a table keeps of a [rate.Limiter], in a few bytes without a
// pointer: full is the instant at which it is full again, in nanoseconds since
// the table was made, and rate that of its last draw. The zero value is full.
type bucket struct {
	full int64
	rate float32
}

// at returns the bucket with the rate of the draw: as many tokens are missing as
// before.
func (b bucket) at(d *Draw, now int64) bucket {
	rate := float32(d.rate())
	if b.rate != rate && b.full > now {
		missing := b.reset(now).Seconds() * float64(b.rate)
		b.full = now + int64(d.grown(missing))
	}
	b.rate = rate
	return b
}

// draw returns the bucket after the draw, and whether that is granted, which s
// decides.
func (b bucket) draw(s *scale, d *Draw, now int64) (after bucket, granted bool) {
	b = b.at(d, now)
	if !s.allows(d, b.reset(now)) {
		return b, false
	}
	b.full = max(b.full, now) + int64(d.grown(float64(d.Cost)))
	return b, true
}

// reset returns how long it is until the bucket is full.
func (b bucket) reset(now int64) time.Duration { return time.Duration(max(0, b.full-now)) }

// remaining returns how many tokens the bucket holds.
func (b bucket) remaining(d *Draw, now int64) int {
	return int(max(0, float64(d.Burst)-b.reset(now).Seconds()*d.rate()))
}

// longestWait bounds what a client is told to wait.
const longestWait = 24 * time.Hour

// wait returns how long it is until the draw is granted, at least 1 ns.
func (b bucket) wait(d *Draw, now int64) time.Duration {
	wait := b.reset(now) - d.grown(float64(d.Burst-d.need()))
	return min(max(1, wait), longestWait)
}

// A scale is one [rate.Limiter] that stands in for each bucket in turn. Its time
// is its own: it goes on until the limiter is as the bucket is. So a table of any
// size has few limiters, and what it keeps of a key is a number.
type scale struct {
	limiter rate.Limiter
	limit   rate.Limit
	burst   int
	now     time.Time
}

// allows reports whether a bucket that is full in so long grants the draw.
func (s *scale) allows(d *Draw, reset time.Duration) bool {
	window := d.grown(float64(d.Burst)) + 1
	s.fill(d, window)
	if reset > 0 {
		s.limiter.AllowN(s.now, d.Burst) // all of it: as if it had been empty at that instant
		s.now = s.now.Add(max(0, window-reset))
	}
	return s.limiter.AllowN(s.now, d.need())
}

// fill makes the limiter a full one with the limit of the draw.
func (s *scale) fill(d *Draw, window time.Duration) {
	if limit := rate.Limit(d.rate()); limit != s.limit {
		s.limiter.SetLimitAt(s.now, limit)
		s.limit = limit
	}
	if d.Burst != s.burst {
		s.limiter.SetBurstAt(s.now, d.Burst)
		s.burst = d.Burst
	}
	s.now = s.now.Add(window)
}
