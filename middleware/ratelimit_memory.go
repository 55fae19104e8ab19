package middleware

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/inlet-go/inlet/internal/check"
)

// How a MemoryLimiter works. The table is a set-associative cache: a key belongs to one set, by
// its hash, and is in one of the 16 slots of the set. A slot has the three buckets of its key,
// each a few bytes without a pointer: the time at which it is full again, from which everything
// else follows. What a bucket grants is decided by a rate.Limiter of golang.org/x/time, but there
// is not one per key: before each decision, one limiter per shard and unit is brought to the
// state of the bucket, by moving its clock. Where a bucket has more than enough, and the answer is
// only yes, its own arithmetic decides. The sets are divided into shards, each with a lock.

// MemoryLimiterOptions configure [NewMemoryLimiter]. A nil pointer means all defaults.
type MemoryLimiterOptions struct {
	// MaxKeys is how many keys are kept; from 16 on it is rounded down to a multiple of 16.
	// Each takes 61 bytes, which are allocated at construction. Defaults to 65,536, which is
	// 4 MiB.
	MaxKeys int
}

// A MemoryLimiter is a [Limiter] that keeps its buckets in this process, in a table of fixed
// size. A limiter of golang.org/x/time/rate decides what a bucket grants, except where there is no
// doubt that it has enough.
//
// When the table is full, a new key evicts one whose buckets are full, which loses nothing. If
// none of the 16 candidates is full, it evicts the least recently used, which may then make a
// full burst again. So a flood of new keys does not limit other keys, and a client that never
// pauses stays limited.
//
// A key is kept as a 64-bit hash with a secret seed. No memory of a request is kept, and the
// garbage collector does not scan the table.
//
// Take returns no errors and does not use its context. It may be called concurrently, also by
// several [RateLimit], which do not count together if their policies differ.
type MemoryLimiter struct {
	seed   maphash.Seed
	start  time.Time
	slots  int // used slots of each set
	sets   []keySet
	shards [64]shard
}

// setSlots is how many keys a set has.
const setSlots = 16

// A keySet has the keys with the same part of their hashes.
type keySet struct {
	ids     [setSlots]uint64
	used    [setSlots]uint32 // when the key was used last, by clock
	clock   uint32           // counts the charges
	buckets [setSlots]keyBuckets
}

// keyBuckets are the buckets of one key, by unit.
type keyBuckets [3]bucket

// A shard guards a part of the sets.
type shard struct {
	sync.Mutex
	limiters [3]bucketLimiter // by unit
	stats    MemoryLimiterStats
}

// NewMemoryLimiter returns a limiter whose buckets are all full. The error names the field of the
// options that is out of range.
func NewMemoryLimiter(o *MemoryLimiterOptions) (*MemoryLimiter, error) {
	var filled MemoryLimiterOptions
	if o != nil {
		filled = *o
	}
	filled.MaxKeys = cmp.Or(filled.MaxKeys, 65_536)
	err := check.Options("middleware", "MemoryLimiterOptions", check.AtLeast("MaxKeys", filled.MaxKeys, 1))
	if err != nil {
		return nil, err
	}
	return &MemoryLimiter{
		seed:  maphash.MakeSeed(),
		start: time.Now(),
		slots: min(filled.MaxKeys, setSlots),
		sets:  make([]keySet, max(1, filled.MaxKeys/setSlots)),
	}, nil
}

// Take makes the draws of the charge. It returns no error.
func (l *MemoryLimiter) Take(_ context.Context, c Charge) (Quota, error) {
	id := l.hash(&c)
	set, shard := l.place(id)
	shard.Lock()
	defer shard.Unlock()
	now := int64(time.Since(l.start))
	quota := set.lookup(id, l.slots, now, &shard.stats).draw(shard, &c, now)
	shard.stats.Charges++
	if !quota.OK {
		shard.stats.Refused++
	}
	return quota, nil
}

// grants makes the draws of the charge if Take would without doubt grant them, and changes nothing
// otherwise. It costs much less than Take, which also says what is left.
func (l *MemoryLimiter) grants(c *Charge) bool {
	id := l.hash(c)
	set, shard := l.place(id)
	shard.Lock()
	defer shard.Unlock()
	now := int64(time.Since(l.start))
	if !set.lookup(id, l.slots, now, &shard.stats).grants(c, now) {
		return false
	}
	shard.stats.Charges++
	return true
}

// place returns the set of a key, and the shard that guards it.
func (l *MemoryLimiter) place(id uint64) (*keySet, *shard) {
	set := id % uint64(len(l.sets))
	return &l.sets[set], &l.shards[set%uint64(len(l.shards))]
}

// MemoryLimiterStats are counts since construction.
type MemoryLimiterStats struct {
	// Charges is how many charges there were, by [MemoryLimiter.Take] or by [RateLimit], and
	// Refused how many of them were not granted.
	Charges, Refused uint64
	// Evicted is how many keys were evicted whose buckets were not full: with more MaxKeys, their
	// clients would have stayed limited.
	Evicted uint64
}

// Stats returns the counts. They are read one part of the table after another, and each for a
// moment locks its part.
func (l *MemoryLimiter) Stats() (total MemoryLimiterStats) {
	for i := range l.shards {
		s := l.shards[i].counted()
		total.Charges += s.Charges
		total.Refused += s.Refused
		total.Evicted += s.Evicted
	}
	return total
}

// counted returns the counts of the shard.
func (s *shard) counted() MemoryLimiterStats {
	s.Lock()
	defer s.Unlock()
	return s.stats
}

// hash returns the hash of the key of a charge.
func (l *MemoryLimiter) hash(c *Charge) uint64 {
	key := struct {
		policy, name string
		ip           [16]byte
	}{policy: c.Policy, name: c.Name}
	if c.IP.IsValid() {
		key.ip = c.IP.As16()
	}
	return maphash.Comparable(l.seed, key)
}

// lookup returns the buckets of a key: new, full ones, which evict those of another key, if it
// has none.
func (s *keySet) lookup(id uint64, slots int, now int64, stats *MemoryLimiterStats) *keyBuckets {
	s.clock++
	i := slices.Index(s.ids[:slots], id)
	if i < 0 {
		i = s.evictable(slots, now)
		if s.buckets[i].full() > now {
			stats.Evicted++
		}
		s.ids[i], s.buckets[i] = id, keyBuckets{}
	}
	s.used[i] = s.clock
	return &s.buckets[i]
}

// evictable returns the slot of a key whose buckets are full, or that of the least recently used
// key.
func (s *keySet) evictable(slots int, now int64) int {
	oldest := 0
	for i := range slots {
		if s.buckets[i].full() <= now {
			return i
		}
		if s.clock-s.used[i] > s.clock-s.used[oldest] {
			oldest = i
		}
	}
	return oldest
}

// full returns the time at which all buckets are full again.
func (b *keyBuckets) full() int64 { return max(b[0].full, b[1].full, b[2].full) }

// draw makes every draw of the charge, or none.
func (b *keyBuckets) draw(shard *shard, c *Charge, now int64) Quota {
	after, quota := *b, Quota{OK: true}
	for i, d := range [...]*Draw{&c.Requests, &c.Events, &c.Bytes} {
		if !(d.Rate > 0) {
			continue
		}
		next, granted := b[i].draw(&shard.limiters[i], d, now)
		after[i] = next
		if q := next.quota(Unit(i), d, now, granted); quota.Limit == 0 || q.stricter(quota) {
			quota = q
		}
	}
	if quota.OK {
		*b = after
	}
	return quota
}

// grants makes every draw of the charge if all are granted without doubt.
func (b *keyBuckets) grants(c *Charge, now int64) bool {
	after := *b
	for i, d := range [...]*Draw{&c.Requests, &c.Events, &c.Bytes} {
		if d.Rate > 0 && !after[i].grants(d, now) {
			return false
		}
	}
	*b = after
	return true
}

// stricter reports whether q rather than other is the answer to a charge.
func (q Quota) stricter(other Quota) bool {
	if !q.OK || !other.OK {
		return q.RetryAfter > other.RetryAfter
	}
	return float64(q.Remaining)*float64(other.Limit) < float64(other.Remaining)*float64(q.Limit)
}

// A bucket is the state of a [rate.Limiter]: full is the time at which it is full again, in
// nanoseconds since the start of the table, and rate is that of its last draw. The zero value is
// a full bucket.
type bucket struct {
	full int64
	rate float32
}

// draw returns the bucket after the draw, and whether l grants it.
func (b bucket) draw(l *bucketLimiter, d *Draw, now int64) (after bucket, granted bool) {
	b = b.withRate(d, now)
	if d.Cost < 0 {
		b.full = max(now, b.full-int64(d.refillTime(-float64(d.Cost))))
		return b, true
	}
	if !l.allow(d, b.reset(now)) {
		return b, false
	}
	b.full = max(b.full, now) + int64(d.refillTime(float64(d.Cost)))
	return b, true
}

// doubt is how far from the limit a bucket must be for a draw to be granted by its own arithmetic:
// closer, rounding could decide otherwise than a [rate.Limiter].
const doubt = time.Microsecond

// grants makes the draw if the bucket has what it needs without doubt, at the rate that it has.
func (b *bucket) grants(d *Draw, now int64) bool {
	rate := float32(d.rate())
	if d.Cost < 0 {
		return false
	}
	if reset := b.reset(now); reset > 0 && (rate != b.rate || reset > d.refillTime(float64(d.Burst-d.needed()))-doubt) {
		return false
	}
	*b = bucket{max(b.full, now) + int64(d.refillTime(float64(d.Cost))), rate}
	return true
}

// withRate returns the bucket with the rate of the draw and the same number of missing
// tokens.
func (b bucket) withRate(d *Draw, now int64) bucket {
	rate := float32(d.rate())
	if b.rate != rate && b.full > now {
		missing := b.reset(now).Seconds() * float64(b.rate)
		b.full = now + int64(d.refillTime(missing))
	}
	b.rate = rate
	return b
}

// reset returns the time until the bucket is full.
func (b bucket) reset(now int64) time.Duration { return time.Duration(max(0, b.full-now)) }

// maxWait bounds the time that clients are asked to wait.
const maxWait = 24 * time.Hour

// quota describes the bucket after a draw that was granted or not.
func (b bucket) quota(unit Unit, d *Draw, now int64, granted bool) Quota {
	reset := b.reset(now)
	remaining := max(0, float64(d.Burst)-reset.Seconds()*d.rate())
	q := Quota{OK: granted, Unit: unit, Limit: d.Burst, Remaining: int(remaining), Reset: reset}
	if !granted {
		wait := reset - d.refillTime(float64(d.Burst-d.needed()))
		q.RetryAfter = min(max(1, wait), maxWait)
	}
	return q
}

// A bucketLimiter is a [rate.Limiter] that decides for all buckets of a shard. It has a time of
// its own, which it advances until the limiter is in the state of the bucket. So a table of any
// size has few limiters, and a bucket is a number.
type bucketLimiter struct {
	limiter rate.Limiter
	limit   rate.Limit
	burst   int
	now     time.Time
}

// allow reports whether a bucket that is full after reset grants the draw.
func (l *bucketLimiter) allow(d *Draw, reset time.Duration) bool {
	if limit := rate.Limit(d.rate()); limit != l.limit {
		l.limiter.SetLimitAt(l.now, limit)
		l.limit = limit
	}
	if d.Burst != l.burst {
		l.limiter.SetBurstAt(l.now, d.Burst)
		l.burst = d.Burst
	}
	window := d.refillTime(float64(d.Burst)) + 1
	l.now = l.now.Add(window) // the limiter is full now
	if reset > 0 {
		l.limiter.AllowN(l.now, d.Burst) // and now empty
		l.now = l.now.Add(max(0, window-reset))
	}
	return l.limiter.AllowN(l.now, d.needed())
}
