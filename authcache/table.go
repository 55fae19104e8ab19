package authcache

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"time"

	"github.com/inlet-go/inlet"
)

// digest identifies credentials in the tables.
type digest [sha256.Size]byte

// A tag is the beginning of the digest of a key alone, by which the pairs of that key are found.
// If two keys share one, both are forgotten, and looked up again.
type tag uint64

func (d digest) tag() tag { return tag(binary.BigEndian.Uint64(d[:])) }

// digestOf depends on a secret of the process, so that what is in memory cannot be compared
// with a list of keys. The length of the key separates it from the token.
func (c *Cache) digestOf(creds inlet.Credentials) digest {
	var buffer [256]byte
	text := append(buffer[:0], c.secret[:]...)
	text = binary.BigEndian.AppendUint64(text, uint64(len(creds.Key)))
	text = append(append(text, creds.Key...), creds.Bearer...)
	return sha256.Sum256(text)
}

// knownKey is a key that exists. The zero value means that none is in memory.
type knownKey struct {
	source  *inlet.Source
	key     tag       // with ByBearer
	expires time.Time // when to look the key up again
	retryAt time.Time // if the last lookup failed: when to try again; otherwise zero
}

// evictionSample is how many keys are compared to find one to evict.
const evictionSample = 8

// remember adds a known key. When the table is full, it evicts the oldest of a small random
// sample.
func (c *Cache) remember(id digest, k knownKey) {
	if _, ok := c.known[id]; !ok && len(c.known) >= c.options.MaxKeys {
		delete(c.known, c.oldestOfSample())
	}
	c.known[id] = k
}

// oldestOfSample relies on the random order in which Go iterates over a map.
func (c *Cache) oldestOfSample() (id digest) {
	seen := 0
	var oldest time.Time
	for candidate, k := range c.known {
		if seen == 0 || k.expires.Before(oldest) {
			id, oldest = candidate, k.expires
		}
		if seen++; seen == evictionSample {
			break
		}
	}
	return id
}

// refusal is the answer for a key that was refused. The zero value means that none is in memory.
type refusal struct {
	err     error
	key     tag // with ByBearer
	expires time.Time
}

// refusals is a bounded table in two halves. When the younger half is full, the older one is
// cleared and the two change places. So adding a refusal costs the same however many there are,
// and allocates nothing once both halves have been full.
type refusals struct {
	maxPerHalf int
	young, old map[digest]refusal
}

func newRefusals(maxKeys int) refusals {
	return refusals{maxPerHalf: maxKeys / 2, young: map[digest]refusal{}, old: map[digest]refusal{}}
}

func (r *refusals) get(id digest) refusal {
	if found, ok := r.young[id]; ok {
		return found
	}
	return r.old[id]
}

func (r *refusals) add(id digest, added refusal) {
	if len(r.young) >= r.maxPerHalf {
		r.young, r.old = r.old, r.young
		clear(r.young)
	}
	r.young[id] = added
}

func (r *refusals) remove(id digest) {
	delete(r.young, id)
	delete(r.old, id)
}

func (r *refusals) removeFunc(f func(refusal) bool) {
	for _, half := range []map[digest]refusal{r.young, r.old} {
		maps.DeleteFunc(half, func(_ digest, found refusal) bool { return f(found) })
	}
}

func (r *refusals) clear() {
	clear(r.young)
	clear(r.old)
}

// size counts a refusal in both halves twice.
func (r *refusals) size() int { return len(r.young) + len(r.old) }
