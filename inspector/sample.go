package inspector

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"time"
)

// A sample decides which rows are kept: so many of each name of each source in a second, and so
// many in all, of which half are for names that had none in this second. Names whose hashes are
// equal in the lower bits share what they have.
type sample struct {
	seed          maphash.Seed
	perName, rows int

	second int64
	names  [4096]struct {
		second int64
		rows   int
	}
	common, rare int // rows of this second: of names that had some in it, and of others
}

// takes reports whether a row is kept, and counts it then.
func (s *sample) takes(g glance, since time.Duration) bool {
	if second := int64(since / time.Second); second != s.second {
		s.second, s.common, s.rare = second, 0, 0
	}
	n := &s.names[maphash.Comparable(s.seed, g)%uint64(len(s.names))]
	if n.second != s.second {
		n.second, n.rows = s.second, 0
	}
	switch {
	case n.rows == 0 && s.rare < (s.rows+1)/2:
		s.rare++
	case n.rows < s.perName && s.common < s.rows/2:
		s.common++
	default:
		return false
	}
	n.rows++
	return true
}

// seconds is how many seconds a sparkline has.
const seconds = 60

// maxSources bounds how many sources are counted one by one; further ones are counted together.
const maxSources = 1000

// A source is the counts of one.
type source struct {
	ID       string `json:"id"`
	Accepted uint64 `json:"accepted"`
	Refused  uint64 `json:"refused"`
	LastSeen int64  `json:"lastSeen"` // milliseconds since 1970

	second int64 // of the newest count
	counts [seconds]uint32
}

// sources are the counts of all.
type sources struct{ bySource map[string]*source }

// other is the source of those beyond maxSources.
const other = "(other)"

// count notes events of a source.
func (s *sources) count(id string, acceptedNow, refusedNow int, now time.Time) {
	if len(id) > maxText {
		id = short(id)
	}
	c := s.bySource[id]
	if c == nil {
		if len(s.bySource) >= maxSources {
			id = other
		}
		if c = s.bySource[id]; c == nil {
			c = &source{ID: short(id)}
			s.bySource[c.ID] = c
		}
	}
	c.forward(now.Unix())
	c.Accepted += uint64(acceptedNow)
	c.Refused += uint64(refusedNow)
	c.LastSeen = now.UnixMilli()
	c.counts[c.second%seconds] += uint32(acceptedNow + refusedNow)
}

// forward empties the seconds that have passed without a count.
func (c *source) forward(second int64) {
	for n := min(second-c.second, seconds); n > 0; n-- {
		c.counts[(second-n+1)%seconds] = 0
	}
	c.second = max(c.second, second)
}

// line returns the counts of the last minute, the oldest first, without the present second.
func (c *source) line(now int64) []uint32 {
	c.forward(now)
	list := make([]uint32, 0, seconds-1)
	for n := int64(seconds - 1); n > 0; n-- {
		list = append(list, c.counts[(now-n)%seconds])
	}
	return list
}

// newest returns the sources, the one that was seen last first.
func (s *sources) newest() []*source {
	return slices.SortedFunc(maps.Values(s.bySource), func(a, b *source) int {
		return cmp.Or(cmp.Compare(b.LastSeen, a.LastSeen), cmp.Compare(a.ID, b.ID))
	})
}
