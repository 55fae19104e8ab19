package journal

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestGroup(t *testing.T) {
	t.Parallel()
	t.Run("concurrent writers", func(t *testing.T) {
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
	})
	t.Run("shares a flush", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, g := memfs.New(), newGate("sync")
			m.Fault = g.fault
			j := openMem(t, m, Options{})
			write(t, j, "warm")
			g.shut.Store(true)
			for range 100 {
				go j.Write(t.Context(), events("a", 3))
			}
			synctest.Wait()
			before := j.Stats()
			g.shut.Store(false)
			close(g.open)
			require.NoError(t, j.Flush(t.Context()))
			after := j.Stats()
			require.EqualValues(t, 300, after.Events-before.Events)
			require.LessOrEqual(t, after.Fsyncs-before.Fsyncs, uint64(2))
		})
	})
	t.Run("is bounded", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, g := memfs.New(), newGate("sync")
			var largest atomic.Int64
			m.Fault = func(op, name string, size int) (int, error) {
				if op == "write" {
					largest.Store(max(largest.Load(), int64(size)))
				}
				return g.fault(op, name, size)
			}
			g.shut.Store(true)
			one := len(lineOf(event("a-0"), 1))
			j := openMem(t, m, Options{MaxGroupBytes: 2*one + 1})
			for range 9 {
				go j.Write(t.Context(), events("a", 1))
				synctest.Wait()
			}
			g.shut.Store(false)
			close(g.open)
			require.NoError(t, j.Flush(t.Context()))
			require.EqualValues(t, 2*one, largest.Load())
			require.NoError(t, j.Write(t.Context(), events("a", 5)))
			require.EqualValues(t, 5*one, largest.Load(), "one write is never split")
			require.Len(t, stored(t, j), 14)
		})
	})
}

func TestGroupWriters(t *testing.T) {
	// With one processor the committer runs as soon as the first writer blocks. It has to
	// let the others run before it takes a group. Occasionally the scheduler returns to it
	// before any of them has run, which only makes a group smaller.
	t.Run("run before a group is taken", func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		const rounds, writers = 20, 50
		whole := 0
		for range rounds {
			if gathered(writers) == writers {
				whole++
			}
		}
		require.Greater(t, whole, rounds/2)
	})
	// A writer that was just answered takes a moment to return, and gives no sign before. The
	// committer waits for it, but not for more writers than there were.
	t.Run("of the last group are awaited", func(t *testing.T) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		const rounds = 20
		for _, test := range []struct {
			name     string
			expected int
			patience time.Duration
			waits    bool
		}{
			{"for one that is missing", 2, time.Hour, true},
			{"not for more than there were", 1, time.Hour, false},
			{"not beyond its patience", 2, 0, false},
		} {
			waited := 0
			for range rounds {
				waited += gatheredWithLateOne(test.expected, test.patience) - 1
			}
			require.Equal(t, test.waits, waited > rounds/2, "%s: %d of %d", test.name, waited, rounds)
		}
	})
}

func TestGroupProcessors(t *testing.T) {
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

func assert(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

// gathered returns how many of the requests that some writers put concurrently are in the
// first group.
func gathered(writers int) int {
	q := newQueue(1 << 20)
	var group sync.WaitGroup
	for range writers {
		group.Go(func() { _ = q.put(newWriteRequest()) })
	}
	<-q.wake
	n := len(q.nextGroup(nil, 1<<20, 0, 0))
	group.Wait()
	settleAll(q)
	return n
}

// gatheredWithLateOne returns the size of a group if one request is queued and another one
// comes after other goroutines have run a few times.
func gatheredWithLateOne(expected int, patience time.Duration) int {
	q := newQueue(1 << 20)
	_ = q.put(newWriteRequest())
	var group sync.WaitGroup
	group.Go(func() {
		for range 3 {
			runtime.Gosched()
		}
		_ = q.put(newWriteRequest())
	})
	n := len(q.nextGroup(nil, 1<<20, expected, patience))
	group.Wait()
	settleAll(q)
	return n
}

// settleAll empties a queue that has no committer, so that it stops to remind.
func settleAll(q *queue) {
	q.take(nil, 1<<20)
	q.settle(0)
}

// On one processor, a lull lets a goroutine run that waits for a file. Occasionally the scheduler
// takes the committer first.
func TestLull(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	from, to, err := os.Pipe()
	require.NoError(t, err)
	var read atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buf := []byte{0}; ; read.Add(1) {
			if _, err := from.Read(buf); err != nil {
				return
			}
		}
	}()
	var l lull
	l.wait() // until the goroutine waits, too
	const rounds = 20
	seen := 0
	for i := range rounds {
		_, err := to.Write([]byte{0})
		require.NoError(t, err)
		l.wait()
		if read.Load() == int64(i+1) {
			seen++
		}
	}
	require.Greater(t, seen, rounds/2)
	l.close()
	l.wait() // does not hang
	require.NoError(t, to.Close())
	<-ended
	require.NoError(t, from.Close())
}

// A writer looks at its context only if its outcome takes long: asking most contexts for the
// channel of their end makes a timer.
func TestWriterContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, g := memfs.New(), newGate("sync")
		m.Fault = g.fault
		j := openMem(t, m, Options{})
		ctx := &askedContext{Context: t.Context()}
		require.NoError(t, j.Write(ctx, events("a", 1)))
		time.Sleep(time.Second)
		require.NoError(t, j.Write(ctx, events("b", 1)), "with a request that is used again")
		require.False(t, ctx.asked.Load())

		g.shut.Store(true)
		ended, cancel := context.WithCancel(t.Context())
		ctx.Context = ended
		began := time.Now()
		time.AfterFunc(time.Millisecond, cancel)
		require.ErrorIs(t, j.Write(ctx, events("c", 1)), context.Canceled)
		require.True(t, ctx.asked.Load())
		require.LessOrEqual(t, time.Since(began), 2*remindAfter)

		waiting, outcome := t.Context(), make(chan error)
		go func() { outcome <- j.Write(waiting, events("d", 1)) }()
		time.Sleep(time.Second)
		g.shut.Store(false)
		close(g.open)
		require.NoError(t, <-outcome, "an outcome after the reminder")
		require.Equal(t, []string{"a-0", "b-0", "c-0", "d-0"}, stored(t, j))
	})
}

// askedContext knows whether it was asked for its end.
type askedContext struct {
	context.Context
	asked atomic.Bool
}

func (c *askedContext) Done() <-chan struct{} {
	c.asked.Store(true)
	return c.Context.Done()
}
