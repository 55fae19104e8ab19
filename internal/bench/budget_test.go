package bench

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// Not parallel: allocations are counted for the whole process.
func TestHarnessAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	pool := Corpus{}.Tracks()
	send := newCaller(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _ = r.Body.Close() }), trackPath).over(pool)
	require.Zero(t, testing.AllocsPerRun(100, func() { send(1) }))
}

// Not parallel: allocations are counted for the whole process.
func TestHandlerAllocationBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and empties pools at random")
	}
	for _, kind := range singleKinds {
		t.Run("a "+kind.name+" call takes two allocations at most", func(t *testing.T) {
			require.LessOrEqual(t, allocsPerRequest(t, kind.path, kind.pool(Corpus{})), 2.0)
		})
	}
	for _, n := range []int{20, 100, 250} {
		t.Run(fmt.Sprintf("a batch of %d takes two, and one for each twenty events", n), func(t *testing.T) {
			require.LessOrEqual(t, allocsPerRequest(t, batchPath, Corpus{}.Batches(n)), 2+0.05*float64(n))
		})
	}
}
