package postgressink

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

// TestMemory requires that 100 batches leave no more memory in use than ten, nor a backlog. It is
// not parallel, since the memory is that of all tests.
func TestMemory(t *testing.T) {
	s := pgserver.Start(t, "max_wal_size=4GB")
	t.Run("batches", func(t *testing.T) {
		sink := open(t, s, Options{})
		var first uint64
		for n := range 110 {
			list := events(fmt.Sprint("m", n), 200)
			if n%20 == 0 {
				list[n].MessageID += incompressible
			}
			require.Equal(t, n%20 == 0, sink.Write(t.Context(), list) != nil)
			if n == 9 {
				first = heap()
			}
		}
		last := heap()
		t.Logf("heap after 10 batches: %d KiB, after 110: %d KiB", first>>10, last>>10)
		require.Less(t, last, first+1<<20)
		require.Equal(t, 110*200-6, int(sink.Stats().Stored))
	})
	t.Run("backlog", func(t *testing.T) { backlog(t, s, 4<<20) }) // TestLargeBacklog has a large one
}

// heap returns the bytes of the heap that are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools keep for one more
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// backlog requires that so many bytes, which the journal has received while the server was down,
// are delivered once it is back, with the memory that a few take.
func backlog(t *testing.T, s *pgserver.Server, size int) {
	sink := open(t, s, Options{})
	d := deliver(t, sink)
	s.Stop()
	count, written := 0, 0
	for written < size {
		list := make([]*inlet.Event, 500)
		for i := range list {
			list[i] = event(fmt.Sprint("m-", count))
			list[i].Context = []byte(`{"userAgent":"` + strings.Repeat("Mozilla/5.0 (X11) ", 36) + `"}`)
			written += len(list[i].AppendJSON(nil))
			count++
		}
		require.NoError(t, d.journal.Write(t.Context(), list))
	}
	require.Eventually(t, func() bool { return d.Stats().Failures > 0 }, waitLong, tick)
	before := heap()
	s.Run(t)
	begin := time.Now()
	drained := make(chan error, 1)
	go func() { drained <- d.Drain(context.Background()) }()
	var most uint64
	for running := true; running; {
		select {
		case err := <-drained:
			require.NoError(t, err)
			running = false
		case <-time.After(time.Second):
			most = max(most, heap())
		}
	}
	took := time.Since(begin)
	most = max(most, heap())
	t.Logf("%d MiB, %d events: delivered in %v, %.0f events/s; heap before %d KiB, at most %d KiB",
		written>>20, count, took.Round(time.Millisecond), float64(count)/took.Seconds(), before>>10, most>>10)
	require.Less(t, most, before+24<<20)
	require.EqualValues(t, count, sink.Stats().Stored)
	require.Zero(t, d.Stats().Refused)
	require.Equal(t, count, one[int](t, s.Connect(t), "SELECT count(*)::int FROM "+sink.opts.Table))
}
