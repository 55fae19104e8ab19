//go:build torture && linux

package torture

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"fmt"
	"path/filepath"

	"github.com/inlet-go/inlet/sinks/journal"
)

// calmTask writes at most what a destination easily accepts.
func calmTask(to ...destination) task {
	return task{
		Writers: 8, Batch: 1, Rest: 2 * time.Millisecond,
		SegmentBytes: 128 << 10, LowWater: -1, Destinations: to,
	}
}

// end ends the trouble with a destination.
func (x *route) end(t *testing.T, name string) {
	t.Helper()
	for _, d := range x.Destinations {
		if d.Name == name {
			require.NoError(t, os.WriteFile(d.up(), nil, 0o600))
		}
	}
}

// A destination that is down and one that hangs do not delay a third, and lose nothing.
func TestDeliverIsolation(t *testing.T) {
	const limit = 10 * time.Second // the goal is 250 ms, on a machine that is not busy
	x := newRoute(t, t.TempDir(), calmTask(
		destination{Name: "dead", Trouble: down},
		destination{Name: "hung", Trouble: hangs},
		destination{Name: "healthy", Timed: true},
	))
	c := x.start(t, 2)
	c.awaitReport(t, "healthy", "take events", func(r report) bool { return r.Delivered > 3000 })
	c.kill()
	healthy := c.report("healthy")
	require.Zero(t, c.report("dead").Delivered+c.report("hung").Delivered)
	require.Less(t, healthy.P99, limit)
	x.look(t, c)

	x.end(t, "dead")
	c = x.start(t, 2)
	c.awaitReport(t, "dead", "catch up", func(r report) bool { return r.Delivered > 3000 })
	require.Zero(t, c.report("hung").Delivered)
	c.kill()
	x.look(t, c)
	x.requireDelivered(t)
	t.Logf("taken %v after the acknowledgement (99 of 100), next to a dead and a hung one; %v", healthy.P99.Round(10*time.Microsecond), x)
}

// A destination with Block has writers refused at the retention limit, as long as it is
// down.
func TestDeliverBlock(t *testing.T) {
	// A batch, its cursor, and the pause of a journal that cannot store: the goal is 3 s, on a
	// machine that is not busy.
	const limit = 10 * time.Second
	do := calmTask(destination{Name: "dead", Trouble: down}, destination{Name: "healthy"})
	do.RetainBytes = 512 << 10
	x := newRoute(t, t.TempDir(), do)
	c := x.start(t, 2)
	c.await(t, patience, "refuse for the dead one's sake", func() bool {
		return slices.ContainsFunc(c.failures, func(f failure) bool {
			return strings.Contains(f.text, journal.ErrBehind.Error()+": dead")
		})
	})
	held := c.acked()
	time.Sleep(1200 * time.Millisecond) // it tries again
	require.Less(t, c.acked()-held, do.Writers, "it goes on refusing")
	require.LessOrEqual(t, dirSize(t, x.Dir), do.RetainBytes+64<<10, "and stays within its bound, except for a group")

	back := time.Now()
	x.end(t, "dead")
	c.awaitAcks(t, 1)
	took := time.Since(back)
	c.awaitAcks(t, 1000)
	c.kill()
	x.look(t, c)
	x.requireDelivered(t)
	require.Less(t, took, limit)
	t.Logf("writers went on %v after the destination; %v", took.Round(time.Millisecond), x)
}

// dirSize returns how many bytes the segments in dir have.
func dirSize(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	for _, name := range segmentFiles(t, dir) {
		info, err := os.Stat(name)
		require.NoError(t, err)
		bytes += info.Size()
	}
	return bytes
}

// A destination with DropOldest does not delay writers. What it misses is counted.
func TestDeliverDropOldest(t *testing.T) {
	do := calmTask(destination{Name: "dead", Trouble: down, WhenFull: journal.DropOldest})
	do.RetainBytes = 512 << 10
	x := newRoute(t, t.TempDir(), do)
	c := x.start(t, 2)
	c.awaitAcks(t, 3000)
	x.end(t, "dead")
	c.stop(t)
	require.Zero(t, len(c.failures))
	x.hear(c)
	dead := x.Destinations[0]
	got := x.taken(t, dead)
	x.requireOrder(t, dead, got)
	lost := x.lacks(t, dead, got)
	require.NotZero(t, lost)
	require.LessOrEqual(t, lost, int(c.report("dead").Dropped))
	t.Logf("%d events acked, %d dropped, %d counted as dropped", x.acked, lost, c.report("dead").Dropped)
}

// Segments are deleted that a destination has not received: the oldest, which it is reading,
// and some later ones. It loses these and nothing else.
func TestDeliverDeletedSegments(t *testing.T) {
	x := newRoute(t, t.TempDir(), calmTask(destination{Name: "dead", Trouble: down}, destination{Name: "healthy"}))
	c := x.start(t, 2)
	c.awaitAcks(t, 3000)
	time.Sleep(10 * time.Millisecond) // for the archive
	deleted := deleteSegments(t, x.Dir, 0, 2, 3, -1)
	x.end(t, "dead")
	c.awaitAcks(t, 1000)
	c.stop(t)
	x.hear(c)
	dead, healthy := x.Destinations[0], x.Destinations[1]
	require.Zero(t, x.lacks(t, healthy, x.taken(t, healthy)))
	x.requireOrder(t, dead, x.taken(t, dead))

	var files []string
	for _, name := range deleted {
		files = append(files, filepath.Join(x.archive.dir, name))
	}
	gone := idsOf(readLines(t, files))
	got := union(idsOf(x.taken(t, dead)), gone)
	require.Zero(t, missing(got, x.must), "of what was in no deleted segment")
	t.Logf("%d events acked, %d of them in deleted segments: %d lost, none except them", x.acked, len(gone), x.lacks(t, dead, x.taken(t, dead)))
}

// deleteSegments deletes sealed segments by their places in the order, negative
// ones from the end, and returns their names.
func deleteSegments(t *testing.T, dir string, places ...int) (deleted []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.ndjson"))
	require.NoError(t, err)
	for _, i := range places {
		name := names[(i+len(names))%len(names)]
		require.NoError(t, os.Remove(name))
		deleted = append(deleted, filepath.Base(name))
	}
	return deleted
}

// A large directory is read in pieces while segments are sealed all the time: a destination
// must not skip a segment that is renamed meanwhile.
func TestManySegments(t *testing.T) {
	do := calmTask(destination{Name: "store"})
	do.SegmentBytes = 1 // each group gets a segment of its own
	x := newRoute(t, t.TempDir(), do)
	require.NoError(t, os.MkdirAll(x.Dir, 0o700))
	for i := range 4000 {
		require.NoError(t, os.WriteFile(filepath.Join(x.Dir, fmt.Sprintf("neighbour-%d", i)), nil, 0o600))
	}
	c := x.start(t, 2)
	c.awaitAcks(t, 1500)
	c.stop(t)
	x.look(t, c)
	x.requireDelivered(t)
	t.Log(x)
}
