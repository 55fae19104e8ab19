package journal

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// sizes returns how many events each Write had.
func sizes(to *target) (n []int) {
	for _, c := range to.writes() {
		n = append(n, len(c.ids))
	}
	return n
}

func TestGather(t *testing.T) {
	t.Parallel()
	run := func(name string, f func(t *testing.T, m *memfs.FS, j *Journal)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := memfs.New()
				f(t, m, openMem(t, m, Options{SegmentBytes: 3000}))
			})
		})
	}
	gather := DeliverOptions{MinEvents: 10, MaxDelay: 5 * time.Second}

	run("until there are enough", func(t *testing.T, _ *memfs.FS, j *Journal) {
		to, start := &target{}, time.Now()
		d := deliver(t, j, to, &gather)
		for i := range 25 {
			write(t, j, fmt.Sprint(i))
			synctest.Wait()
		}
		require.Equal(t, []int{10, 10}, sizes(to))
		require.Zero(t, time.Since(start), "without a wait")
		require.EqualValues(t, 5, d.Stats().Behind)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, []int{10, 10, 5}, sizes(to))
		require.Equal(t, start.Add(5*time.Second), to.writes()[2].at)
	})
	run("until the first event has waited", func(t *testing.T, _ *memfs.FS, j *Journal) {
		to := &target{}
		deliver(t, j, to, &gather)
		for i := range 12 {
			write(t, j, fmt.Sprint(i))
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		require.Equal(t, []int{3, 3, 3, 3}, sizes(to))
	})
	run("large batches do not wait", func(t *testing.T, _ *memfs.FS, j *Journal) {
		to, start := &target{}, time.Now()
		deliver(t, j, to, &DeliverOptions{MinEvents: 10, MaxDelay: time.Hour, MaxBytes: 1000})
		write(t, j, "a", "b", "c", "d", "e")
		synctest.Wait()
		require.Equal(t, []int{2, 2}, sizes(to))
		require.Zero(t, time.Since(start))
	})
	run("a backlog is written in full batches", func(t *testing.T, _ *memfs.FS, j *Journal) {
		to := &target{}
		require.NoError(t, j.Write(t.Context(), events("m", 70)))
		deliver(t, j, to, &DeliverOptions{MinEvents: 10, MaxDelay: time.Hour, MaxEvents: 30})
		synctest.Wait()
		require.Equal(t, []int{30, 30, 10}, sizes(to))
	})
	run("a Drain does not wait", func(t *testing.T, _ *memfs.FS, j *Journal) {
		to, start := &target{}, time.Now()
		d := deliver(t, j, to, &DeliverOptions{MinEvents: 10, MaxDelay: time.Hour})
		for range 3 {
			write(t, j, "a", "b")
			synctest.Wait()
			require.Empty(t, to.ids())
			drain(t, d)
			require.Equal(t, []string{"a", "b"}, to.ids())
			require.Zero(t, time.Since(start))
			to.mu.Lock()
			to.taken = nil
			to.mu.Unlock()
		}
	})
	run("Stop leaves the batch to the next Deliver", func(t *testing.T, _ *memfs.FS, j *Journal) {
		to, start := &target{}, time.Now()
		d := deliver(t, j, to, &gather)
		write(t, j, "a", "b")
		synctest.Wait()
		require.NoError(t, d.Stop(t.Context()))
		require.Zero(t, time.Since(start))
		require.Empty(t, to.ids())
		drain(t, deliver(t, j, to, &gather))
		require.Equal(t, []string{"a", "b"}, to.ids())
	})
	run("the cursor of what was delivered is saved meanwhile", func(t *testing.T, m *memfs.FS, j *Journal) {
		to := &target{}
		deliver(t, j, to, &DeliverOptions{MinEvents: 2, MaxDelay: time.Hour})
		write(t, j, "a", "b")
		synctest.Wait()
		write(t, j, "c")
		synctest.Wait()
		require.Equal(t, []string{"a", "b"}, to.ids())
		time.Sleep(2 * maxSaveInterval)
		synctest.Wait()
		at, err := newCursors(m, memfs.Dir).readCursor("d")
		require.NoError(t, err)
		require.EqualValues(t, 2, at.seq)
	})
	run("a Skip meanwhile has nothing to skip", func(t *testing.T, _ *memfs.FS, j *Journal) {
		to := &target{}
		d := deliver(t, j, to, &gather)
		write(t, j, "a")
		synctest.Wait()
		require.ErrorIs(t, d.Skip(t.Context()), ErrNotBlocked)
		require.Empty(t, to.ids())
	})
	run("a replay writes what there is", func(t *testing.T, _ *memfs.FS, j *Journal) {
		to, start := &target{}, time.Now()
		write(t, j, "a", "b")
		n, err := j.Replay(t.Context(), to, &gather)
		require.NoError(t, err)
		require.EqualValues(t, 2, n)
		require.Zero(t, time.Since(start))
	})
	run("events that the filter excludes do not count", func(t *testing.T, _ *memfs.FS, j *Journal) {
		to := &target{}
		o := gather
		o.Filter = oddEvents
		d := deliver(t, j, to, &o)
		require.NoError(t, j.Write(t.Context(), events("m", 19)))
		synctest.Wait()
		require.Empty(t, to.ids())
		require.NoError(t, j.Write(t.Context(), events("n", 2)))
		synctest.Wait()
		require.Equal(t, []int{10}, sizes(to))
		drain(t, d)
	})
}
