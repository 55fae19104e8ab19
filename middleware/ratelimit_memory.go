package middleware

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// MemoryLimiterOptions configure [NewMemoryLimiter]. Nil is all defaults.
type MemoryLimiterOptions struct {
	// MaxKeys is how many keys are remembered, rounded down to a multiple of 16
	// from there on. Each takes 61 bytes, and all of them are allocated at once.
	// Defaults to 65,536, which is 4 MiB.
	MaxKeys int
}

// A MemoryLimiter is a [Limiter] that keeps its buckets in a table of fixed size
// in this process. What a bucket grants is decided by a limiter of
// golang.org/x/time/rate.
//
// What a table that is full forgets first costs nobody anything: a bucket that
// is full is as good as none. If none is, among sixteen the key goes that was not
// used for longest, and may then make a full burst again. So a flood of new keys
// limits no other key, and lets none off that sends without a break.
//
// A key is remembered by 64 bits of a hash whose seed is the table's secret.
// Nothing of a request is kept, and there is nothing in the table for the
// garbage collector to look at.
//
// Take returns no errors and does not look at its context. It may be called
// concurrently, and by several [RateLimit], which do not count together if their
// policies differ.
type MemoryLimiter struct {
	seed  maphash.Seed
	start time.Time
	ways  int // how many places of a set are used
	sets  []rateSet
	parts [64]ratePart
}

// setWays is how many keys share a set of places.
const setWays = 16

// A rateSet is where the keys with one part of their hashes stand.
type rateSet struct {
	ids     [setWays]uint64
	used    [setWays]uint32 // when, by clock
	clock   uint32          // counts the charges
	buckets [setWays]rateBuckets
}

// rateBuckets are those of one key, by their units.
type rateBuckets [3]bucket

// A ratePart is what is needed to work on a part of the sets.
type ratePart struct {
	sync.Mutex
	scales [3]scale // by their units
}

// NewMemoryLimiter returns a limiter whose buckets are all full. The error names
// the field of the options that is out of range.
func NewMemoryLimiter(o *MemoryLimiterOptions) (*MemoryLimiter, error) {
	var filled MemoryLimiterOptions
	if o != nil {
		filled = *o
	}
	filled.MaxKeys = cmp.Or(filled.MaxKeys, 65_536)
	if filled.MaxKeys < 1 {
		return nil, fmt.Errorf("middleware: MemoryLimiterOptions: MaxKeys is %d, must be at least 1", filled.MaxKeys)
	}
	return &MemoryLimiter{
		seed:  maphash.MakeSeed(),
		start: time.Now(),
		ways:  min(filled.MaxKeys, setWays),
		sets:  make([]rateSet, max(1, filled.MaxKeys/setWays)),
	}, nil
}

// Take draws what the charge asks for.
func (l *MemoryLimiter) Take(_ context.Context, c Charge) (Quota, error) {
	id := l.id(&c)
	place := id % uint64(len(l.sets))
	part := &l.parts[place%uint64(len(l.parts))]
	part.Lock()
	defer part.Unlock()
	now := int64(time.Since(l.start))
	return l.sets[place].of(id, l.ways, now).draw(part, &c, now), nil
}

// rateID is the part of a charge by which buckets are found.
type rateID struct {
	policy, name string
	ip           [16]byte
}

func (l *MemoryLimiter) id(c *Charge) uint64 {
	id := rateID{policy: c.Policy, name: c.Name}
	if c.IP.IsValid() {
		id.ip = c.IP.As16()
	}
	return maphash.Comparable(l.seed, id)
}

// of returns the buckets of a key, full ones in the place of others if it has
// none.
func (s *rateSet) of(id uint64, ways int, now int64) *rateBuckets {
	s.clock++
	i := slices.Index(s.ids[:ways], id)
	if i < 0 {
		i = s.replaceable(ways, now)
		s.ids[i], s.buckets[i] = id, rateBuckets{}
	}
	s.used[i] = s.clock
	return &s.buckets[i]
}

// replaceable returns the place of a key whose buckets are full, else that of the
// least recently used one.
func (s *rateSet) replaceable(ways int, now int64) int {
	oldest := 0
	for i := range ways {
		if s.buckets[i].full() <= now {
			return i
		}
		if s.clock-s.used[i] > s.clock-s.used[oldest] {
			oldest = i
		}
	}
	return oldest
}

// full returns when all of the buckets are.
func (b *rateBuckets) full() int64 { return max(b[0].full, b[1].full, b[2].full) }

// draw makes every draw of the charge, or none.
func (b *rateBuckets) draw(part *ratePart, c *Charge, now int64) Quota {
	after, told := *b, Quota{OK: true}
	for i, d := range [...]*Draw{&c.Requests, &c.Events, &c.Bytes} {
		if !(d.Rate > 0) {
			continue
		}
		next, granted := b[i].draw(&part.scales[i], d, now)
		after[i] = next
		if q := quotaOf(Unit(i), next, d, now, granted); told.Limit == 0 || q.worse(told) {
			told = q
		}
	}
	if told.OK {
		*b = after
	}
	return told
}

// quotaOf says what became of one draw.
func quotaOf(unit Unit, b bucket, d *Draw, now int64, granted bool) Quota {
	q := Quota{OK: granted, Unit: unit, Limit: d.Burst, Remaining: b.remaining(d, now), Reset: b.reset(now)}
	if !granted {
		q.RetryAfter = b.wait(d, now)
	}
	return q
}

// worse reports whether q is to be told rather than other.
func (q Quota) worse(other Quota) bool {
	if !q.OK || !other.OK {
		return q.RetryAfter > other.RetryAfter
	}
	return float64(q.Remaining)*float64(other.Limit) < float64(other.Remaining)*float64(q.Limit)
}
