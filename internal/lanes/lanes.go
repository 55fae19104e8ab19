// Package lanes keeps counts that all requests change, so that processors do not wait for each
// other's: a piece of memory that two processors write in turn costs each of them more than all
// the arithmetic on it.
//
// A count is divided into lanes, each in memory of its own. A request has a [Lane], usually that
// of the processor that it runs on, and changes only its part of a count. A [Counter] is summed
// when somebody wants to know it. [Credits] bound what they count: each lane takes what it needs
// from the whole in parts, and only where it has none left, others are looked at.
//
// A lane is a hint, and not exclusive. All counts are exact whatever lanes requests have, as long
// as each keeps its own.
package lanes

import (
	"sync"
	"sync/atomic"
)

// Count is how many lanes there are. It is a few times what a machine has of processors that are
// busy with the same handler. With fewer, two of them more often have the same lane.
const Count = 16

// Apart is how many bytes lie between what two processors write, so that neither waits for the
// other: two lines of a cache, since processors fetch them in pairs.
const Apart = 128

// A Lane is the part of each count that a request changes, less than [Count].
type Lane uint8

// next is the number of lanes that were given to processors.
var next atomic.Uint32

// here has a lane for each processor: what a pool is given, it gives back on the same processor
// first.
var here = sync.Pool{New: func() any {
	l := Lane(next.Add(1) % Count)
	return &l
}}

// Here returns the lane of the processor that the caller runs on.
func Here() Lane {
	l := here.Get().(*Lane)
	here.Put(l)
	return *l
}

// part is a part of a count, apart from all else in memory.
type part struct {
	_ [Apart / 2]byte
	n atomic.Int64
	_ [Apart/2 - 8]byte
}

// A Counter counts. The zero value is ready to use.
type Counter struct{ parts [Count]part }

// Add adds n, and returns the lane's part of the sum.
func (c *Counter) Add(l Lane, n int64) int64 { return c.parts[l%Count].n.Add(n) }

// Sum returns what was added. While others add, it is somewhere between before and after.
func (c *Counter) Sum() (sum int64) {
	for i := range c.parts {
		sum += c.parts[i].n.Load()
	}
	return sum
}

// shareOfPart is the part of the whole that a lane takes together.
const shareOfPart = 64

// Credits are a number of credits that are taken and given back, in the same lane. It is for few
// users to hold many of them: there are never more taken than there are. Its methods may be called
// concurrently, except [Credits.Init].
type Credits struct {
	free  [Count]part // in each lane
	mu    sync.Mutex  // held by who moves credits between lanes
	rest  int64       // those that are free and in no lane
	total int64
}

// Init sets how many there are. It comes before all other calls.
func (c *Credits) Init(total int64) { c.total, c.rest = total, total }

// Total returns how many there are, taken or not.
func (c *Credits) Total() int64 { return c.total }

// Take takes n credits if there are as many.
func (c *Credits) Take(l Lane, n int64) bool {
	free := &c.free[l%Count].n
	for {
		have := free.Load()
		if have < n {
			return c.fetch(free, n)
		}
		if free.CompareAndSwap(have, have-n) {
			return true
		}
	}
}

// Give gives back n credits that were taken in the same lane.
func (c *Credits) Give(l Lane, n int64) { c.free[l%Count].n.Add(n) }

// fetch takes n credits from those that are in no lane, and some more for the lane. If there are
// too few it gathers those of all lanes first.
func (c *Credits) fetch(lane *atomic.Int64, n int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rest < n {
		for i := range c.free {
			c.rest += c.free[i].n.Swap(0)
		}
	}
	if c.rest < n {
		return false
	}
	more := min(c.total/shareOfPart, c.rest-n)
	c.rest -= n + more
	lane.Add(more)
	return true
}

// Taken returns how many credits are taken. While others take and give back, it counts at least
// those that are held all the time.
func (c *Credits) Taken() int64 {
	c.mu.Lock() // nothing moves between lanes
	defer c.mu.Unlock()
	free := c.rest
	for i := range c.free {
		free += c.free[i].n.Load()
	}
	return c.total - free
}
