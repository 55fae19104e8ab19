package authcache

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/inlet-go/inlet"
)

// cacheKey is the digest of credentials.
type cacheKey [sha256.Size]byte

// digest depends on a secret of the process, so that what is in memory cannot be
// compared with a list of keys. Key and token are told apart by the key's length.
func (c *Cache) digest(creds inlet.Credentials) cacheKey {
	var room [256]byte
	text := append(room[:0], c.secret[:]...)
	text = binary.BigEndian.AppendUint64(text, uint64(len(creds.Key)))
	text = append(append(text, creds.Key...), creds.Bearer...)
	return sha256.Sum256(text)
}

// knownKey is a key that exists. Its zero value is one that is not remembered.
type knownKey struct {
	source  *inlet.Source
	expires time.Time // when it is to be looked up again
	again   time.Time // not before, as the last time failed; zero if it did not
}

// candidates is how many keys are looked at for one to make room.
const candidates = 8

// remember adds a known key. If there is no room the one of a few that was looked
// up longest ago makes some.
func (c *Cache) remember(id cacheKey, k knownKey) {
	if _, ok := c.known[id]; !ok && len(c.known) >= c.options.MaxKeys {
		delete(c.known, c.oldest())
	}
	c.known[id] = k
}

// oldest relies on maps being walked from a random place.
func (c *Cache) oldest() (id cacheKey) {
	seen := 0
	var first time.Time
	for candidate, k := range c.known {
		if seen == 0 || k.expires.Before(first) {
			id, first = candidate, k.expires
		}
		if seen++; seen == candidates {
			break
		}
	}
	return id
}

// refusal is what was said of a key that does not exist. Its zero value is one
// that is not remembered.
type refusal struct {
	err     error
	expires time.Time
}

// refusals are a bounded table of them, in two halves: when the younger is full
// it becomes the older, whose content is forgotten. So adding one costs the same
// however many there are, and no memory once both have been full.
type refusals struct {
	most       int // in each half
	young, old map[cacheKey]refusal
}

func newRefusals(most int) refusals {
	return refusals{most: most / 2, young: map[cacheKey]refusal{}, old: map[cacheKey]refusal{}}
}

func (r *refusals) get(id cacheKey) refusal {
	if found, ok := r.young[id]; ok {
		return found
	}
	return r.old[id]
}

func (r *refusals) add(id cacheKey, new refusal) {
	if len(r.young) >= r.most {
		r.young, r.old = r.old, r.young
		clear(r.young)
	}
	r.young[id] = new
}
