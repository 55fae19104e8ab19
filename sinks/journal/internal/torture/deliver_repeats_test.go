//go:build torture && linux

package torture

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a destination may get again after a crash, by the contract: what it took in
// the last second and 4 MiB, and the batch in flight.
const (
	saveEvery = time.Second
	saveBytes = 4 << 20
	maxLine   = 1 << 10
)

// repeats are the events that a destination has got again.
type repeats struct {
	had   int    // lines at the last count
	owed  amount // what it may get again
	worst int    // events after one restart
}

type amount struct{ events, bytes int }

// count holds that what came again since the last count is no more than was owed.
// What did not come may still do so: after a child that was killed at once, the
// next one begins where that did.
func (r *repeats) count(t *testing.T, d destination, got []line) {
	t.Helper()
	seen, again := map[string]bool{}, amount{}
	for i, l := range got {
		if i >= r.had && seen[l.id] {
			again.events++
			again.bytes += l.size
		}
		seen[l.id] = true
	}
	require.LessOrEqual(t, again.events, r.owed.events, "%s got again more than it took in the last second", d.Name)
	require.LessOrEqual(t, again.bytes, r.owed.bytes, "%s got again more bytes than are promised", d.Name)
	r.had, r.worst = len(got), max(r.worst, again.events)
	r.owed.events -= again.events
	r.owed.bytes -= again.bytes
}

// allow adds what the end of c may lead to.
func (r *repeats) allow(d destination, c *child) {
	const slack = 500 * time.Millisecond // of a batch that is being written
	var mine []taking
	for _, a := range c.takings {
		if a.Name == d.Name {
			mine = append(mine, a)
		}
	}
	for _, a := range mine {
		if mine[len(mine)-1].At.Sub(a.At) <= saveEvery+slack {
			r.owed.events += a.N
		}
	}
	r.owed.events += maxEvents
	r.owed.bytes += saveBytes + maxBytes + maxLine
}
