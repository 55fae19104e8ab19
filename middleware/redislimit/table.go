package redislimit

import (
	"crypto/sha256"
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/inlet-go/inlet/middleware"
)

// A table has the entries of a bounded number of keys.
type table struct {
	seed   maphash.Seed
	clock  *atomic.Uint64 // counts lookups
	shards []shard
}

type shard struct {
	mu      sync.Mutex
	max     int
	entries map[key]*entry
}

// A key is that of a charge, in bounded memory: a long name is kept as its hash.
type key struct {
	policy, name string
	ip           netip.Addr
	sum          [sha256.Size]byte // of a long name, which is "" then
}

func keyOf(c *middleware.Charge) key {
	if len(c.Name) > longName {
		return key{policy: c.Policy, ip: c.IP, sum: sha256.Sum256([]byte(c.Name))}
	}
	return key{policy: c.Policy, name: c.Name, ip: c.IP}
}

// Up to so many shards have the entries; each has its own lock.
const maxShards = 64

// looked is how many entries are looked at to find one to forget.
const looked = 8

func newTable(maxKeys int) table {
	t := table{seed: maphash.MakeSeed(), clock: new(atomic.Uint64), shards: make([]shard, min(maxKeys, maxShards))}
	for i := range t.shards {
		t.shards[i] = shard{max: maxKeys / len(t.shards), entries: make(map[key]*entry)}
	}
	return t
}

// lookup returns the entry of a charge's key: a new one, in the place of another if the table is
// full, if it has none.
func (t *table) lookup(c *middleware.Charge) *entry {
	k := keyOf(c)
	s := &t.shards[maphash.Comparable(t.seed, k)%uint64(len(t.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[k]
	if e == nil {
		if len(s.entries) >= s.max {
			s.forget()
		}
		e = new(entry)
		// The texts belong to the request.
		k.policy, k.name = strings.Clone(k.policy), strings.Clone(k.name)
		s.entries[k] = e
	}
	e.used.Store(t.clock.Add(1))
	return e
}

// forget removes the least recently used of a few entries. Maps begin to range at random.
func (s *shard) forget() {
	var oldest key
	n, when := 0, uint64(0)
	for k, e := range s.entries {
		if used := e.used.Load(); n == 0 || used < when {
			oldest, when = k, used
		}
		if n++; n == looked {
			break
		}
	}
	delete(s.entries, oldest)
}

func (t *table) len() (n int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.entries)
		s.mu.Unlock()
	}
	return n
}
