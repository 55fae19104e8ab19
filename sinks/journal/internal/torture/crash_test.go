//go:build torture && linux

package torture

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinktest"
)

// crashTask is what runs when the process or the machine ends: many writers and
// small segments, so that files are started and sealed all the time.
func crashTask(dir, prefix string, ahead bool) task {
	return task{
		Dir: dir, Prefix: prefix, Writers: 64, Batch: 3,
		SegmentBytes: 2 << 20, LowWater: -1, WriteAhead: ahead,
	}
}

// whileBusy waits some time in which the child writes.
func whileBusy(t *testing.T, c *child, r *rand.Rand) {
	t.Helper()
	c.awaitAcks(t, 1)
	time.Sleep(time.Duration(20+r.IntN(400)) * time.Millisecond)
}

func processors(r *rand.Rand) int { return []int{1, 2, 8}[r.IntN(3)] }

// A kill ends the process, but the operating system keeps what it has: this finds bytes that
// stay in the process too long, and faulty recoveries.
func TestKill(t *testing.T) {
	const chain = 4
	for form, ahead := range forms {
		t.Run(form, func(t *testing.T) {
			r, acks, unacked := random(t), 0, 0
			for first := 0; first < *kills/2; first += chain {
				dir, o := t.TempDir(), newOracle()
				for i := range chain {
					c := start(t, crashTask(dir, fmt.Sprintf("k%d", i), ahead), processors(r))
					whileBusy(t, c, r)
					c.kill()
					acks += o.add(c)
					if i%2 == 1 {
						continue // twice killed without a look between
					}
					o.requireKept(t, dir)
				}
				unacked += o.requireKept(t, dir).extra
			}
			t.Logf("%d events acked, 0 lost, %d stored without an ack", acks, unacked)
		})
	}
}

// A power cut loses everything that was not flushed.
func TestPowerCut(t *testing.T) {
	const chain = 3
	for form, ahead := range forms {
		t.Run(form, func(t *testing.T) {
			r, acks, unacked, n := random(t), 0, 0, 0
			for ; n < *cuts/2; n += chain {
				d, o := newDisk(t, 256), newOracle()
				var v verdict
				for i := range chain {
					acks += cutPower(t, d, o, r, crashTask(d.dir(), fmt.Sprintf("c%d", i), ahead))
					v = o.requireKept(t, d.dir())
				}
				unacked += v.extra
			}
			t.Logf("%d cuts: %d events acked, 0 lost, %d stored without an ack", n, acks, unacked)
		})
	}
}

// cutPower runs a child and cuts the power while it writes. Only its output
// before that counts: a flush that runs during the cut may return success.
func cutPower(t *testing.T, d *disk, o *oracle, r *rand.Rand, do task) (acked int) {
	t.Helper()
	c := start(t, do, processors(r))
	whileBusy(t, c, r)
	c.hush()
	d.cut(t)
	c.kill()
	d.restart(t)
	return o.add(c)
}

// If the rig did not notice a missing flush, its other results would prove nothing.
func TestPowerCutUnflushed(t *testing.T) {
	d, o := newDisk(t, 256), newOracle()
	do := crashTask(d.dir(), "never", false)
	do.Sync, do.SegmentBytes = journal.SyncNever, 1<<30
	acked := cutPower(t, d, o, random(t), do)
	v := o.judge(t, d.dir())
	require.Equal(t, acked, v.lost, "all that was only in memory is lost, and the rig sees it")
	t.Logf("%v", v)
}

// SyncInterval promises to lose at most what was acknowledged in the last interval.
func TestPowerCutInterval(t *testing.T) {
	d, o := newDisk(t, 256), newOracle()
	do := crashTask(d.dir(), "interval", false)
	do.Sync, do.Writers = journal.SyncInterval, 4
	c := start(t, do, 2)
	c.awaitAcks(t, 1)
	time.Sleep(2500 * time.Millisecond)
	c.hush()
	cut := time.Now()
	d.cut(t)
	c.kill()
	d.restart(t)
	const slack = 500 * time.Millisecond // of a flush that is running
	old := o.addIf(c, func(a ack) bool { return cut.Sub(a.at) > time.Second+slack })
	require.NotZero(t, old)
	v := o.requireKept(t, d.dir())
	t.Logf("older than the interval: %v", v)
}

// deliveryTask is what runs when the process or the machine ends: many writers,
// segments that are started, sealed and removed all the time, a destination that
// works, and one that is slow, fails occasionally and rejects some events permanently.
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
func TestDeliverKill(t *testing.T) {
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
// cursor could be on it, and its segment not.
func TestDeliverPowerCut(t *testing.T) {
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

// After an orderly end no event is redelivered.
func TestDeliverClose(t *testing.T) {
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
