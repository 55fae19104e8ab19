package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

func TestWriteAndReadBack(t *testing.T) {
	t.Parallel()
	j := openTest(t, filepath.Join(t.TempDir(), "deep", "journal"), nil)
	want := events("m", 5)
	require.NoError(t, j.Write(t.Context(), want[:2]))
	require.NoError(t, j.Write(t.Context(), want[2:]))
	var got []*inlet.Event
	for r, err := range j.Events(t.Context(), 0) {
		require.NoError(t, err)
		got = append(got, r.Event)
		require.EqualValues(t, len(got), r.Seq)
	}
	require.Len(t, got, len(want))
	for i := range want {
		require.True(t, want[i].Equal(got[i]), "%s", got[i].AppendJSON(nil))
	}
}

func TestNumbersRiseAcrossRestarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, ids := range [][]string{{"a", "b"}, {}, {"c"}, {"d", "e", "f"}} {
		j, err := Open(dir, nil)
		require.NoError(t, err)
		write(t, j, ids...)
		require.NoError(t, j.Close(t.Context()))
	}
	require.Equal(t, []string{
		"00000000000000000001.ndjson", "00000000000000000003.ndjson", "00000000000000000004.ndjson", "LOCK",
	}, files(t, dir))
	j := openTest(t, dir, nil)
	require.Equal(t, []string{"a", "b", "c", "d", "e", "f"}, stored(t, j))
	require.EqualValues(t, 6, j.Stats().LastSeq)
}

func TestOnlyOneJournalHoldsADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := Open(dir, nil)
	require.NoError(t, err)
	_, err = Open(dir, nil)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, j.Close(t.Context()))
	openTest(t, dir, nil)
}

func TestModes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "journal")
	j := openTest(t, dir, nil)
	write(t, j, "a")
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	for _, name := range files(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	j, err := Open(t.TempDir(), nil)
	require.NoError(t, err)
	write(t, j, "a")
	require.NoError(t, j.Close(t.Context()))
	require.NoError(t, j.Close(t.Context()), "a second Close says the same")
	require.ErrorIs(t, j.Write(t.Context(), events("b", 1)), inlet.ErrClosed)
	require.ErrorIs(t, j.Check(t.Context()), inlet.ErrClosed)
	require.NoError(t, j.Flush(t.Context()), "what was written is on the disk")
	require.Equal(t, []string{"a"}, stored(t, j), "it can still be read")
}

func TestAContextThatIsDoneWritesNothing(t *testing.T) {
	t.Parallel()
	j := openTest(t, t.TempDir(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := j.Write(ctx, events("a", 1))
	require.ErrorIs(t, err, context.Canceled)
	require.False(t, inlet.IsPermanent(err))
	require.Empty(t, stored(t, j))
}

func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	j := openTest(t, t.TempDir(), &Options{SegmentBytes: 64 << 10})
	var writers sync.WaitGroup
	var want []string
	for w := range 16 {
		batch := events(fmt.Sprintf("w%d", w), 20)
		for _, e := range batch {
			want = append(want, e.MessageID)
		}
		writers.Go(func() {
			for n := 1; len(batch) > 0; n = 1 + n%3 {
				n = min(n, len(batch))
				if !assert(t, j.Write(t.Context(), batch[:n])) {
					return
				}
				batch = batch[n:]
			}
		})
	}
	writers.Go(func() { assert(t, j.Flush(t.Context())) })
	writers.Go(func() { _ = stored(t, j); assert(t, j.Check(t.Context())) })
	writers.Wait()
	require.ElementsMatch(t, want, stored(t, j))
	stats := j.Stats()
	require.EqualValues(t, len(want), stats.Events)
	require.Zero(t, stats.QueueBytes)
}

func assert(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

// With one processor the committer is run as soon as the first writer blocks.
// It has to let the others run before it takes what is there. Now and then the
// scheduler comes back to it before any of them has run, which costs a group, and
// is no reason to wait longer.
func TestTheCommitterLetsWritersRunFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const rounds, writers = 20, 50
	whole := 0
	for range rounds {
		if gathered(writers) == writers {
			whole++
		}
	}
	require.Greater(t, whole, rounds/2)
}

// gathered returns how many of the tickets that some writers put at once are in
// the first group.
func gathered(writers int) int {
	q := newQueue(1 << 20)
	var group sync.WaitGroup
	for range writers {
		group.Go(func() { _ = q.put(newWriteRequest()) })
	}
	<-q.wake
	n := len(q.nextGroup(nil, 1<<20, 0))
	group.Wait()
	return n
}

// A writer that was just answered takes a moment to come back, of which there is no
// sign before. The committer waits for it, but not for more than there were.
func TestTheCommitterWaitsForTheWritersOfItsLastGroup(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const rounds = 20
	for _, test := range []struct {
		name     string
		last     int
		patience time.Duration
		waits    bool
	}{
		{"for one that is missing", 2, time.Hour, true},
		{"not for more than there were", 1, time.Hour, false},
		{"not beyond its patience", 2, 0, false},
	} {
		waited := 0
		for range rounds {
			waited += gatheredBesideALateOne(test.last, test.patience) - 1
		}
		require.Equal(t, test.waits, waited > rounds/2, "%s: %d of %d", test.name, waited, rounds)
	}
}

// gatheredBesideALateOne returns how many tickets are in a group of which one is there
// and another comes when other goroutines have run a few times.
func gatheredBesideALateOne(last int, patience time.Duration) int {
	q := newQueue(1 << 20)
	_ = q.put(newWriteRequest())
	var group sync.WaitGroup
	group.Go(func() {
		for range 3 {
			runtime.Gosched()
		}
		_ = q.put(newWriteRequest())
	})
	n := len(q.nextGroup(make([]*writeRequest, last), 1<<20, patience))
	group.Wait()
	return n
}

func TestWritersShareAFlushOnAnyNumberOfProcessors(t *testing.T) {
	for _, procs := range []int{1, 2, 8} {
		t.Run(fmt.Sprintf("%d", procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			j := openTest(t, t.TempDir(), nil)
			var writers sync.WaitGroup
			for w := range 256 {
				writers.Go(func() {
					for i := range 10 {
						assert(t, j.Write(t.Context(), events(fmt.Sprintf("w%d-%d", w, i), 1)))
					}
				})
			}
			writers.Wait()
			stats := j.Stats()
			require.EqualValues(t, 2560, stats.Events)
			require.GreaterOrEqual(t, stats.Events/stats.Fsyncs, uint64(8), "%+v", stats)
			t.Logf("%d events a flush", stats.Events/stats.Fsyncs)
		})
	}
}
