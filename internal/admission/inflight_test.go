package admission_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/admission"
)

// No request is in after Close has returned, in whatever order both come.
func TestCloseExcludes(t *testing.T) {
	t.Parallel()
	late := 0
	for range 1_000 {
		var f admission.InFlight
		f.Init(100)
		var begun, closed atomic.Bool
		var seen bool
		var worker sync.WaitGroup
		worker.Go(func() {
			var p admission.Pass
			for begun.Store(true); f.Enter(&p, 1) == nil; f.Leave(&p) {
				for range 20 {
					seen = seen || closed.Load()
				}
			}
		})
		for !begun.Load() {
			runtime.Gosched()
		}
		require.NoError(t, f.Close(t.Context()))
		closed.Store(true)
		worker.Wait()
		if seen {
			late++
		}
	}
	require.Zero(t, late)
}
