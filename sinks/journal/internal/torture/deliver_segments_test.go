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

	var files []string
	for _, name := range deleted {
		files = append(files, filepath.Join(x.archive.dir, name))
	}
	gone := idsOf(readLines(t, files))
	got := union(idsOf(x.taken(t, dead)), gone)
	require.Zero(t, missing(got, x.must), "of what was in no deleted segment")
	t.Logf("%d events acked, %d of them in deleted segments: %d lost, none beside them", x.acked, len(gone), x.lacks(t, dead, x.taken(t, dead)))
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
