package lanes_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/lanes"
	"github.com/inlet-go/inlet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestCounter(t *testing.T) {
	t.Parallel()
	var c lanes.Counter
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				c.Add(lanes.Here(), 3)
				c.Add(lanes.Here(), -1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 16_000, c.Sum())
	require.EqualValues(t, 5, new(lanes.Counter).Add(250, 5), "any number is that of a lane")
}

func TestCredits(t *testing.T) {
	t.Parallel()
	for name, total := range map[string]int64{"none": 0, "one": 1, "fewer than lanes": 7, "many": 4096, "more than can be taken": 1<<63 - 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c lanes.Credits
			c.Init(total)
			require.Equal(t, total, c.Total())
			held := map[lanes.Lane]int64{}
			for i := range min(total, 4096) { // each lane keeps some in between
				l := lanes.Lane(i % lanes.Count)
				require.True(t, c.Take(l, 1), "%d of %d", i, total)
				held[l]++
				require.Equal(t, i+1, c.Taken())
			}
			if total <= 4096 {
				for l := range lanes.Lane(lanes.Count) {
					require.False(t, c.Take(l, 1), "all are taken")
				}
			}
			for l, n := range held {
				c.Give(l, n)
			}
			require.Zero(t, c.Taken())
			require.True(t, c.Take(3, total), "all together, wherever they were given back")
			require.False(t, c.Take(3, 1))
			require.Equal(t, total, c.Taken())
		})
	}
}

// There are never more taken than there are, and none is lost.
func TestCreditsConcurrently(t *testing.T) {
	t.Parallel()
	const total = 20
	var c lanes.Credits
	c.Init(total)
	var taken, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 5000 {
				l, n := lanes.Lane(i*j), int64(1+j%5)
				if !c.Take(l, n) {
					refused.Add(1)
					continue
				}
				if taken.Add(n) > total {
					t.Error("more are taken than there are")
				}
				if c.Taken() < n {
					t.Error("fewer are counted than one holds")
				}
				taken.Add(-n)
				c.Give(l, n)
			}
		})
	}
	all.Wait()
	require.Zero(t, c.Taken())
	require.True(t, c.Take(0, total))
}

// Not parallel: allocations are counted for the whole process.
func TestAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector empties pools at random")
	}
	var c lanes.Credits
	c.Init(100)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		l := lanes.Here()
		c.Take(l, 1)
		c.Give(l, 1)
	}))
}
