//go:build torture && linux

package torture

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinktest"
)

// On a full disk the journal refuses events, and it accepts them soon after there is space,
// without a restart.
func TestDiskFull(t *testing.T) {
	const writers, limit = 4, 10 * time.Second // the goal is 2 s, on a machine that is not busy
	for form, ahead := range forms {
		t.Run(form, func(t *testing.T) {
			d, o := newDisk(t, 128), newOracle()
			do := crashTask(d.dir(), "full", ahead)
			do.Writers = writers
			c := start(t, do, 2)
			c.awaitAcks(t, 500)
			free := d.fill(t)
			c.await(t, patience, "refuse", func() bool { return len(c.failures) > writers })
			refused := c.acked()
			time.Sleep(1200 * time.Millisecond) // it tries again, and fails
			require.Less(t, c.acked()-refused, 4*writers, "a full disk refuses")
			freed := time.Now()
			free()
			c.awaitAcks(t, 1)
			back := time.Since(freed)
			c.awaitAcks(t, 500)
			c.hush()
			d.cut(t)
			c.kill()
			d.restart(t)
			o.add(c)
			v := o.requireKept(t, d.dir())
			require.Less(t, back, limit, "back after the disk was freed")
			t.Logf("%d refused, back %v after it was freed; then a power cut: %v", len(c.failures), back.Round(time.Millisecond), v)
		})
	}
}

// On a full disk neither a cursor nor a dead letter can be stored. That loses
// nothing, and ends soon after there is space.
func TestDeliverDiskFull(t *testing.T) {
	const limit = 10 * time.Second // the goal is 2 s, on a machine that is not busy
	disk := newDisk(t, 128)
	x := newRoute(t, disk.mount, fullTask(t.TempDir()))
	c := x.start(t, 2)
	for _, d := range x.Destinations {
		c.awaitReport(t, d.Name, "fall behind", func(r report) bool { return r.Behind > 1000 && r.Saved > 0 })
	}
	free := disk.fill(t)
	c.await(t, patience, "fail", func() bool {
		return len(c.failures) > 0 && c.logged(t, "cursor not saved") && c.logged(t, "sinks: DeadLetter:")
	})
	time.Sleep(1200 * time.Millisecond) // it tries again, and fails

	acks, all := awaitRecovery(t, c, free)
	c.hush()
	disk.cut(t)
	c.kill()
	disk.restart(t)
	x.hear(c)
	x.requireNothingLost(t)
	require.Less(t, all, limit)
	t.Logf("acknowledged again %v after the disk was freed, and delivered %v; then a power cut: %v",
		acks.Round(time.Millisecond), all.Round(time.Millisecond), x)
}

// fullTask has destinations that are not on the disk, and are slower than the
// writers: one whose cursor alone is on it, and one with dead letters.
func fullTask(away string) task {
	const slow = 500 * time.Millisecond
	do := calmTask(
		destination{Name: "slow", Dir: away + "/slow", Slow: slow},
		destination{Name: "refuses", Dir: away + "/refuses", Slow: slow, Flaky: sinktest.FlakyOptions{Refuse: 50}},
	)
	do.Batch, do.Rest = 8, time.Millisecond
	return do
}

// awaitRecovery returns how long after there is space something is acknowledged,
// and how long it takes until a cursor and a dead letter are kept, too.
func awaitRecovery(t *testing.T, c *child, free func()) (acks, all time.Duration) {
	t.Helper()
	slow, refuses := c.report("slow"), c.report("refuses")
	freed := time.Now()
	free()
	c.awaitAcks(t, 1)
	acks = time.Since(freed)
	c.awaitReport(t, "slow", "note how far it is", func(r report) bool { return r.Saved > slow.Saved })
	c.awaitReport(t, "refuses", "keep dead letters", func(r report) bool { return r.Refused > refuses.Refused })
	return acks, time.Since(freed)
}
