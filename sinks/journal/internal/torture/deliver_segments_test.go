//go:build torture && linux

package torture

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Somebody deletes segments that a destination has not had: the oldest, which it is
// at, and some behind it. They are lost to it, and nothing else is.
func TestSegmentsThatAreDeletedUnderADelivery(t *testing.T) {
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

	lost := 0
	got, gone := idsOf(x.taken(t, dead)), map[string]bool{}
	for _, name := range deleted {
		gone = union(gone, idsOf(readLines(t, []string{filepath.Join(x.archive.dir, name)})))
	}
	for id := range x.must {
		if !got[id] {
			require.True(t, gone[id], "%s was in no deleted segment", id)
			lost++
		}
	}
	t.Logf("%d events acked, %d of the %d in deleted segments lost, none beside them", x.acked, lost, len(gone))
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

// A large directory is read piece by piece, while segments are sealed all the time:
// a destination must not pass over one whose name changes meanwhile.
func TestADirectoryOfManySegments(t *testing.T) {
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
