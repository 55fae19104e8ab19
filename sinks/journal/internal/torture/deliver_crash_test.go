//go:build torture && linux

package torture

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinktest"
)

// deliveryTask is what runs when the process or the machine ends: many writers,
// segments that are begun, sealed and removed all the time, a destination that
// works, and one that is slow, fails now and then and refuses some events for good.
func deliveryTask() task {
	return task{
		Writers: 16, Batch: 3, Rest: 2 * time.Millisecond,
		SegmentBytes: 128 << 10, RetainBytes: 2 << 20, LowWater: -1,
		Destinations: []destination{
			{Name: "store"},
			{Name: "flaky", Slow: 2 * time.Millisecond, Flaky: sinktest.FlakyOptions{Call: 9, Event: 101, Refuse: 1009}},
		},
	}
}

// whileDelivering waits some time in which the child writes and delivers: often
// longer than it takes until a cursor is saved for the second time.
func whileDelivering(t *testing.T, c *child, r *rand.Rand) {
	t.Helper()
	c.awaitAcks(t, 1)
	time.Sleep(time.Duration(100+r.IntN(1600)) * time.Millisecond)
}

// The two ways of writing segments follow each other in a chain.
func TestKillsWhileDelivering(t *testing.T) {
	const chain = 4
	r := random(t)
	for n := 0; n < *kills/2; n += chain {
		x := newRoute(t, t.TempDir(), deliveryTask())
		for i := range chain {
			x.WriteAhead = i%2 == 1
			c := x.start(t, processors(r))
			whileDelivering(t, c, r)
			c.kill()
			x.look(t, c)
		}
		x.requireDelivered(t)
		require.NotZero(t, x.archive.gone())
		t.Logf("%d kills: %v, at most %d events again", chain, x, x.again())
	}
}

// The journal and the destinations are on the disk that loses its power, so that a
// cursor could be on it, and what it stands for not.
func TestPowerCutsWhileDelivering(t *testing.T) {
	const chain = 3
	r := random(t)
	for n := 0; n < *cuts/4; n += chain {
		disk := newDisk(t, 256)
		x := newRoute(t, disk.mount, deliveryTask())
		for i := range chain {
			x.WriteAhead = i%2 == 1
			c := x.start(t, processors(r))
			whileDelivering(t, c, r)
			c.hush()
			disk.cut(t)
			c.kill()
			disk.restart(t)
			x.look(t, c)
		}
		x.requireDelivered(t)
		t.Logf("%d cuts: %v, at most %d events again", chain, x, x.again())
	}
}

// A server that ends as it should repeats nothing.
func TestNothingComesAgainAfterAClose(t *testing.T) {
	x := newRoute(t, t.TempDir(), deliveryTask())
	for range 3 {
		c := x.start(t, 2)
		c.awaitAcks(t, 300)
		c.stop(t)
		x.look(t, c)
	}
	x.requireDelivered(t)
	require.Zero(t, x.again())
	t.Log(x)
}
