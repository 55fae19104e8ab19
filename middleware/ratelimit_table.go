package middleware

import (
	"hash/maphash"
	"math"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// rateTable holds a limiter for each of a bounded number of keys, in shards, so
// that requests seldom wait for each other.
type rateTable struct {
	seed   maphash.Seed
	shards []rateShard
}

// rateID is the part of a key by which limiters are found. It holds no pointer
// but a string's, so that hashing it allocates nothing.
type rateID struct {
	name string
	ip   [16]byte
}

// shardKeys is the least number of keys that a shard is worth.
const shardKeys = 256

func newRateTable(maxKeys int) *rateTable {
	n := min(max(maxKeys/shardKeys, 1), 64)
	t := &rateTable{seed: maphash.MakeSeed(), shards: make([]rateShard, n)}
	for i := range t.shards {
		t.shards[i].most = maxKeys / n
		t.shards[i].entries = map[rateID]*rateEntry{}
	}
	return t
}

// take takes one from the key's bucket, and returns 0; or returns how long it
// will be until there is one.
func (t *rateTable) take(key RateKey, now time.Time) time.Duration {
	id := rateID{name: key.Name}
	if key.IP.IsValid() {
		id.ip = key.IP.As16()
	}
	shard := &t.shards[maphash.Comparable(t.seed, id)%uint64(len(t.shards))]
	return shard.take(id, key, now)
}

// rateShard is a part of a table: a map and a ring, the most recently used
// first.
type rateShard struct {
	mu      sync.Mutex
	most    int
	entries map[rateID]*rateEntry
	ring    rateEntry // only its links are used
}

type rateEntry struct {
	newer, older *rateEntry
	id           rateID
	limiter      *rate.Limiter
	rate         float64
	burst        int
}

func (s *rateShard) take(id rateID, key RateKey, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[id]
	if e == nil {
		e = s.add(id, key, now)
	}
	s.use(e)
	e.limit(key, now)
	if e.limiter.AllowN(now, 1) {
		return 0
	}
	return e.wait(now)
}

// add makes an entry, in the place of another if the shard is full.
func (s *rateShard) add(id rateID, key RateKey, now time.Time) *rateEntry {
	if len(s.entries) >= s.most {
		old := s.replaceable(now)
		old.unlink()
		delete(s.entries, old.id)
	}
	id.name = strings.Clone(id.name) // it may be a part of a request's memory
	e := &rateEntry{id: id, limiter: rate.NewLimiter(rate.Limit(key.Rate), key.Burst), rate: key.Rate, burst: key.Burst}
	s.entries[id] = e
	return e
}

// replaceScan is how many of the oldest entries are asked whether they are full.
const replaceScan = 8

// replaceable returns the least recently used entry whose bucket is full, which
// is as good as none, else the least recently used one: whoever sends without a
// break is never among the oldest.
func (s *rateShard) replaceable(now time.Time) *rateEntry {
	e := s.ring.newer
	for range replaceScan {
		if e == &s.ring {
			break
		}
		if e.limiter.TokensAt(now) >= float64(e.burst) {
			return e
		}
		e = e.newer
	}
	return s.ring.newer
}

// use makes e the most recently used.
func (s *rateShard) use(e *rateEntry) {
	ring := &s.ring
	if ring.older == e {
		return
	}
	if ring.older == nil {
		ring.older, ring.newer = ring, ring
	}
	if e.newer != nil {
		e.unlink()
	}
	e.newer, e.older = ring, ring.older
	ring.older.newer = e
	ring.older = e
}

func (e *rateEntry) unlink() {
	e.newer.older, e.older.newer = e.older, e.newer
}

// limit gives the bucket another limit, if the key has changed its own.
func (e *rateEntry) limit(key RateKey, now time.Time) {
	if e.rate != key.Rate {
		e.limiter.SetLimitAt(now, rate.Limit(key.Rate))
		e.rate = key.Rate
	}
	if e.burst != key.Burst {
		e.limiter.SetBurstAt(now, key.Burst)
		e.burst = key.Burst
	}
}

// longestWait bounds what a client is told to wait.
const longestWait = 24 * time.Hour

// wait returns how long it is until there is one in the bucket, at least 1 ns.
func (e *rateEntry) wait(now time.Time) time.Duration {
	missing := 1 - e.limiter.TokensAt(now)
	return max(1, time.Duration(min(math.Ceil(missing/e.rate*float64(time.Second)), float64(longestWait))))
}
