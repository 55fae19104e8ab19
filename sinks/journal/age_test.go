package journal

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// putSegments makes n sealed segments of one event each, an hour apart, the last of them an
// hour ago.
func putSegments(put func(name, content string), n int) {
	for i := range n {
		seq := i + 1
		e := event(fmt.Sprintf("m%d", seq))
		e.ReceivedAt = time.Now().Add(time.Duration(i-n) * time.Hour)
		put(entry{uint64(seq), extSealed}.name(), string(lineOf(e, uint64(seq))))
	}
}

// A countingFS counts operations.
type countingFS struct {
	*memfs.FS
	lists, opens, stats, reads atomic.Int64
}

func (c *countingFS) List(dir string) ([]string, error) {
	c.lists.Add(1)
	return c.FS.List(dir)
}

func (c *countingFS) Irregular(dir string) ([]string, error) {
	c.lists.Add(1)
	return c.FS.Irregular(dir)
}

func (c *countingFS) Stat(name string) (int64, time.Time, error) {
	c.stats.Add(1)
	return c.FS.Stat(name)
}

func (c *countingFS) ReadEnd(name string, p []byte) (int, int64, time.Time, error) {
	c.opens.Add(1)
	c.reads.Add(1)
	return c.FS.ReadEnd(name, p)
}

func (c *countingFS) Open(name string) (io.ReadSeekCloser, error) {
	c.opens.Add(1)
	f, err := c.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return countingFile{f, &c.reads}, nil
}

type countingFile struct {
	io.ReadSeekCloser
	reads *atomic.Int64
}

func (f countingFile) Read(p []byte) (int, error) {
	f.reads.Add(1)
	return f.ReadSeekCloser.Read(p)
}

// took returns what was counted since the last call.
func (c *countingFS) took() string {
	return fmt.Sprintf("%d lists, %d opens, %d stats, %d reads",
		c.lists.Swap(0), c.opens.Swap(0), c.stats.Swap(0), c.reads.Swap(0))
}

// Whatever reads the journal as a whole costs a bounded number of operations for each
// segment, and a bounded number of listings, however many segments there are.
func TestManySegmentsCost(t *testing.T) {
	t.Parallel()
	const n = 600
	m := &countingFS{FS: memfs.New()}
	putSegments(m.Put, n)
	j := openTest(t, memfs.Dir, &Options{fs: m})
	requireCost(t, m, "open", 6, n+10, 0, n+10) // one list each of dead and quarantine

	require.Len(t, recentIDs(t, j, 100*time.Hour+time.Minute, 1<<20), 100)
	requireCost(t, m, "RecentIDs", 1, 100+20, 0, 3*(100+20))
	require.Len(t, recentIDs(t, j, time.Minute, 1<<20), 0)
	requireCost(t, m, "RecentIDs without any", 0, 20, 0, 3*20)

	require.Len(t, stored(t, j), n)
	requireCost(t, m, "Events", 0, n, 0, 2*n+10)

	to := &target{}
	drain(t, deliver(t, j, to, nil))
	require.Len(t, to.ids(), n)
	requireCost(t, m, "a new destination", 2, n+10, 0, 2*n+10)

	to = &target{}
	events, err := j.Replay(t.Context(), to, &DeliverOptions{Start: FromTime(time.Now().Add(-100*time.Hour - time.Minute))})
	require.NoError(t, err)
	require.EqualValues(t, 100, events)
	requireCost(t, m, "Replay from a time", 0, n+10, 0, 2*n+10)

	events, err = j.Replay(t.Context(), to, nil)
	require.NoError(t, err)
	require.EqualValues(t, n, events)
	requireCost(t, m, "Replay", 0, n, 0, 2*n+10)
}

// requireCost requires that no more was counted since the last call.
func requireCost(t *testing.T, m *countingFS, what string, lists, opens, stats, reads int64) {
	t.Helper()
	got := []int64{m.lists.Load(), m.opens.Load(), m.stats.Load(), m.reads.Load()}
	t.Logf("%s: %s", what, m.took())
	for i, most := range []int64{lists, opens, stats, reads} {
		require.LessOrEqual(t, got[i], most, "%s: number %d of lists, opens, stats, reads", what, i)
	}
}

// A reader that follows the writer lists the directory once for each segment at most.
func TestFollowCost(t *testing.T) {
	t.Parallel()
	m := &countingFS{FS: memfs.New()}
	j := openTest(t, memfs.Dir, &Options{fs: m, SegmentBytes: 1})
	all := []*Delivery{}
	for i := range 4 {
		d, err := j.Deliver(fmt.Sprint("d", i), &target{}, nil)
		require.NoError(t, err)
		all = append(all, d)
	}
	m.took()
	for i := range 100 {
		write(t, j, fmt.Sprint(i))
		for _, d := range all {
			drain(t, d)
		}
	}
	require.LessOrEqual(t, m.lists.Load(), int64(2*100+8), "for all destinations together")
}

var _ osfs.FS = (*countingFS)(nil)

// BenchmarkAge measures a journal of a year of small segments on a real disk: those of the
// versions that sealed every segment after 10 minutes.
func BenchmarkAge(b *testing.B) {
	const year, days60 = 52_560, 8_640
	fill := func(b *testing.B, n int) string {
		b.Helper()
		dir := b.TempDir()
		putSegments(func(name, content string) {
			require.NoError(b, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
		}, n)
		return dir
	}
	b.Run("open and listen", func(b *testing.B) {
		dir := fill(b, year)
		defer reportCPU(b, testkit.ProcessorTime())
		for b.Loop() {
			j, err := Open(dir, nil)
			require.NoError(b, err)
			n := 0
			for range j.RecentIDs(b.Context(), 24*time.Hour+time.Minute, 1<<20) {
				n++
			}
			require.Equal(b, 24, n)
			closeNow(b, j)
		}
	})
	b.Run("deliver", func(b *testing.B) {
		dir := fill(b, days60)
		defer reportCPU(b, testkit.ProcessorTime())
		for b.Loop() {
			j, err := Open(dir, nil)
			require.NoError(b, err)
			d := deliver(b, j, &target{}, nil)
			drain(b, d)
			require.NoError(b, d.Stop(b.Context()))
			require.NoError(b, j.Forget("d"))
			closeNow(b, j)
		}
	})
	b.Run("replay", func(b *testing.B) {
		dir := fill(b, days60)
		j, err := Open(dir, nil)
		require.NoError(b, err)
		defer closeNow(b, j)
		for b.Loop() {
			n, err := j.Replay(b.Context(), &target{}, &DeliverOptions{Start: FromTime(time.Now().Add(-100*time.Hour - time.Minute))})
			require.NoError(b, err)
			require.EqualValues(b, 100, n)
		}
	})
}

// reportCPU reports the processor time of a round, which does not depend on what else runs.
func reportCPU(b *testing.B, start time.Duration) {
	b.Helper()
	b.ReportMetric((testkit.ProcessorTime()-start).Seconds()*1000/float64(b.N), "cpu-ms/op")
}
