package natssink

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

// TestFallback has the sink in front of a journal. While the server is killed and started again, no
// Write fails, and in the end the stream has the events of each writer once, in order.
func TestFallback(t *testing.T) {
	t.Parallel()
	n := startNode(t, nil)
	silent := slog.New(slog.DiscardHandler)
	o := named(Options{})
	stream := made(t, n.url(), o)
	j, err := journal.Open(t.TempDir(), &journal.Options{Logger: silent})
	require.NoError(t, err)
	d, err := j.Deliver("stream", stream, &journal.DeliverOptions{MinBackoff: time.Millisecond, MaxBackoff: 50 * time.Millisecond})
	require.NoError(t, err)
	f, err := sinks.NewFallback(stream, j, d.Drain, &sinks.FallbackOptions{MaxHold: 10 * time.Second, Logger: silent})
	require.NoError(t, err)
	require.Equal(t, inlet.DurabilityOSBuffer, f.Durability(), "that of the stream, of one replica")

	const writers = 4
	var stop atomic.Bool
	var wg sync.WaitGroup
	written := make([][]string, writers)
	for w := range writers {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				list := events(fmt.Sprintf("w%d-%d", w, i), 5)
				if err := f.Write(t.Context(), list); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				written[w] = append(written[w], ids(list)...)
			}
		})
	}
	until := func(what string, holds func() bool) { require.Eventually(t, holds, patience, tick, what) }
	for range 2 {
		before := f.Stats()
		until("written to the stream", func() bool { return f.Stats().Front > before.Front+50 })
		n.kill()
		until("written to the journal", func() bool { return f.Stats().Back > before.Back+50 })
		n.start(t)
		n.ready(t)
		until("up again", func() bool { return !f.Stats().Down })
	}
	stop.Store(true)
	wg.Wait()
	require.NoError(t, d.Drain(t.Context()))
	require.NoError(t, f.Close(context.Background()))
	_, js := connect(t, n.url())
	stored := map[string][]string{}
	for _, id := range ids(read(t, js, o.Stream)) {
		stored[id[:2]] = append(stored[id[:2]], id)
	}
	for w := range writers {
		require.Equal(t, written[w], stored[fmt.Sprint("w", w)])
	}
}
