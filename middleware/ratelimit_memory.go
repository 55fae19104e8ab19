package middleware

import (
	"cmp"
	"context"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/lanes"
)

// How a MemoryLimiter works. The table is a set-associative cache: a key belongs to one set, by
// its hash, and is in one of the 16 slots of the set. A slot has the three buckets of its key,
// each a few bytes without a pointer: the time at which it is full again, from which everything
// else follows. What a bucket grants is decided by a rate.Limiter of golang.org/x/time, but there
// is not one per key: before each decision, one limiter per shard and unit is brought to the
// state of the bucket, by moving its clock. The sets are divided into shards, each with a lock.
//
// Where a bucket has more than enough, and the answer is only yes, its own arithmetic decides, and
// needs no lock: the bucket is found by atomic loads and drawn from by a compare-and-swap. Who has
// the lock closes the buckets of a key while it changes anything else about them.

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
	drawn  lanes.Counter // charges that were granted without a lock
}

// setSlots is how many keys a set has.
const setSlots = 16

// A keySet has the keys with the same part of their hashes.
type keySet struct {
	ids   [setSlots]atomic.Uint64 // each changes while the buckets of its slot are closed
	used  [setSlots]atomic.Uint32 // when the key was used last, by clock
	clock atomic.Uint32           // counts the charges for another key than that of the last
	kept  [setSlots][3]keptBucket // by unit
}

// keyBuckets are the buckets of one key, by unit.
type keyBuckets [3]bucket

// A keptBucket is a bucket in the table.
type keptBucket struct {
	full atomic.Int64  // closed while who has the lock changes the bucket
	rate atomic.Uint32 // the bits of a float32; changes while the bucket is closed
}

// closed is no time at which a bucket is full.
const closed = math.MinInt64

func (k *keptBucket) load() bucket {
	return bucket{k.full.Load(), math.Float32frombits(k.rate.Load())}
}

// close returns the bucket. None is drawn from it until open is called.
func (k *keptBucket) close() bucket {
	return bucket{k.full.Swap(closed), math.Float32frombits(k.rate.Load())}
}

func (k *keptBucket) open(b bucket) {
	k.rate.Store(math.Float32bits(b.rate))
	k.full.Store(b.full)
}

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
	i, buckets := set.close(id, l.slots, now, &shard.stats)
	quota := buckets.draw(shard, &c, now)
	set.open(i, &buckets)
	shard.stats.Charges++
	if !quota.OK {
		shard.stats.Refused++
	}
	return quota, nil
}

// grants makes the draws of the charge if Take would without doubt grant them, and changes nothing
// otherwise. It costs much less than Take, which also says what is left. The lane is that of the
// request.
func (l *MemoryLimiter) grants(in lanes.Lane, c *Charge) bool {
	id := l.hash(c)
	set, shard := l.place(id)
	if unit, d := c.only(); d != nil && set.draw(id, l.slots, unit, d, int64(time.Since(l.start))) {
		l.drawn.Add(in, 1)
		return true
	}
	shard.Lock()
	defer shard.Unlock()
	now := int64(time.Since(l.start))
	i, buckets := set.close(id, l.slots, now, &shard.stats)
	granted := buckets.grants(c, now)
	set.open(i, &buckets)
	if granted {
		shard.stats.Charges++
	}
	return granted
}

// only returns the draw of a charge that has only one, else nil.
func (c *Charge) only() (unit Unit, only *Draw) {
	for i, d := range c.draws() {
		if d.Rate > 0 {
			if only != nil {
				return 0, nil
			}
			unit, only = Unit(i), d
		}
	}
	return unit, only
}

// draws returns the draws by unit.
func (c *Charge) draws() [3]*Draw { return [...]*Draw{&c.Requests, &c.Events, &c.Bytes} }

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
	total.Charges = uint64(l.drawn.Sum())
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

// find returns the slot of a key, -1 if it has none.
func (s *keySet) find(id uint64, slots int) int {
	for i := range s.ids[:slots] {
		if s.ids[i].Load() == id {
			return i
		}
	}
	return -1
}

// use notes that a key is the one that was used last. Nothing is written while it is.
func (s *keySet) use(i int) {
	if at := s.used[i].Load(); at == 0 || at != s.clock.Load() { // 0 is that of no key yet
		s.used[i].Store(s.clock.Add(1))
	}
}

// draw makes a draw without the lock, if it is granted without doubt.
//
// The bucket is loaded before its key and its rate. So if these change meanwhile, it was closed,
// and is full at another time.
func (s *keySet) draw(id uint64, slots int, unit Unit, d *Draw, now int64) bool {
	i := s.find(id, slots)
	if i < 0 {
		return false
	}
	for kept := &s.kept[i][unit]; ; {
		before := kept.load()
		after := before
		if before.full == closed || s.ids[i].Load() != id || !after.grants(d, now) || after.rate != before.rate {
			return false
		}
		if kept.full.CompareAndSwap(before.full, after.full) {
			s.use(i)
			return true
		}
	}
}

// close returns the slot and the buckets of a key, closed: new, full ones, which evict those of
// another key, if it has none. The caller has the lock, and calls open next.
func (s *keySet) close(id uint64, slots int, now int64, stats *MemoryLimiterStats) (i int, buckets keyBuckets) {
	i = s.find(id, slots)
	isNew := i < 0
	if isNew {
		i = s.evictable(slots, now)
	}
	for unit := range buckets {
		buckets[unit] = s.kept[i][unit].close()
	}
	if isNew {
		if buckets.full() > now {
			stats.Evicted++
		}
		s.ids[i].Store(id)
		buckets = keyBuckets{}
	}
	s.use(i)
	return i, buckets
}

// open ends close.
func (s *keySet) open(i int, buckets *keyBuckets) {
	for unit := range buckets {
		s.kept[i][unit].open(buckets[unit])
	}
}

// evictable returns the slot of a key whose buckets are full, or that of the least recently used
// key.
func (s *keySet) evictable(slots int, now int64) int {
	oldest, clock := 0, s.clock.Load()
	for i := range slots {
		kept := &s.kept[i]
		if max(kept[0].full.Load(), kept[1].full.Load(), kept[2].full.Load()) <= now {
			return i
		}
		if clock-s.used[i].Load() > clock-s.used[oldest].Load() {
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
	for i, d := range c.draws() {
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
	for i, d := range c.draws() {
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
