package inlet_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// A traffic is what became of requests that arrived at a rate, whatever became
// of those before.
type traffic struct {
	mu      sync.Mutex
	took    []time.Duration // of those that were stored
	refused []time.Duration // since the start
	waits   map[string]int  // Retry-After
}

// arrive sends n requests to h at a rate, in a bubble.
func arrive(h *inlet.Handler, rate, n int) *traffic {
	t := &traffic{waits: map[string]int{}}
	var all sync.WaitGroup
	begin := time.Now()
	for i := range n {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		all.Go(func() {
			start := time.Now()
			w := serve(h, vouched("/v1/track", goodTrack))
			t.mu.Lock()
			defer t.mu.Unlock()
			if w.Code == 200 {
				t.took = append(t.took, time.Since(start))
				return
			}
			t.refused = append(t.refused, start.Sub(begin))
			t.waits[w.Header().Get("Retry-After")]++
		})
	}
	all.Wait()
	slices.Sort(t.took)
	return t
}

// busySink takes so many writes at a time, each of so long.
func busySink(places int, each time.Duration) inlet.Sink {
	free := make(chan struct{}, places)
	return inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
		free <- struct{}{}
		time.Sleep(each)
		<-free
		return nil
	})
}

func TestWriteQueue(t *testing.T) {
	t.Parallel()
	t.Run("at four times of what a sink takes nine tenths of that are stored, within a quarter of a second", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := mustNew(t, busySink(4, 4*time.Millisecond), nil) // a thousand a second
			over := arrive(h, 4000, 12_000)
			require.Greater(t, len(over.took), 2700)
			require.Less(t, over.took[len(over.took)*99/100], 250*time.Millisecond)
			require.Zero(t, over.waits[""])
			require.Len(t, over.waits, 3, "those who are refused do not come back together")
			after := arrive(h, 500, 500)
			for _, at := range after.refused {
				require.Less(t, at, 100*time.Millisecond)
			}
			require.Empty(t, arrive(h, 1_000_000, 200).refused, "soon even a burst is let in again")
		})
	})
	t.Run("what the sink takes is never refused", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			require.Empty(t, arrive(mustNew(t, busySink(4, 4*time.Millisecond), nil), 900, 3000).refused)
		})
	})
	t.Run("a burst is let in", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			h := mustNew(t, busySink(4, 4*time.Millisecond), nil)
			arrive(h, 10, 20)
			require.Empty(t, arrive(h, 1_000_000, 500).refused)
		})
	})
	t.Run("a sink that is slow, and not busy, is given as much as arrives", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			require.Empty(t, arrive(mustNew(t, busySink(10_000, 300*time.Millisecond), nil), 1000, 5000).refused)
		})
	})
	t.Run("writes that are stuck do not stop the others", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			stuck, left := make(chan struct{}), make(chan struct{}, 10)
			for range cap(left) {
				left <- struct{}{}
			}
			h := mustNew(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
				select {
				case <-left:
					<-stuck
				default:
					time.Sleep(time.Millisecond)
				}
				return nil
			}), nil)
			time.AfterFunc(5*time.Second, func() { close(stuck) })
			require.Empty(t, arrive(h, 1000, 3000).refused)
		})
	})
}
