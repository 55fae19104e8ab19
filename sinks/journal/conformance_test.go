package journal

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
	"github.com/inlet-go/inlet/sinktest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	features := sinktest.Features{Durability: inlet.DurabilityFsync, Ordered: true}
	t.Run("on the disk", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, sinktest.Harness{
			New:      func(t testing.TB) inlet.Sink { return openTest(t, t.TempDir(), nil) },
			Read:     readAll,
			Features: features,
		})
	})
	t.Run("on a disk that may hang", func(t *testing.T) {
		t.Parallel()
		var gates sync.Map   // of the journals
		features := features // the disk above cannot be stalled
		features.Stall = func(s inlet.Sink) (release func()) {
			g, _ := gates.Load(s)
			g.(*gate).shut.Store(true)
			return func() { g.(*gate).shut.Store(false); close(g.(*gate).open) }
		}
		sinktest.Run(t, sinktest.Harness{
			New: func(t testing.TB) inlet.Sink {
				m, g := memfs.New(), newGate("sync")
				m.Fault = g.fault
				j := openMem(t, m, Options{})
				gates.Store(inlet.Sink(j), g)
				return j
			},
			Read:     readAll,
			Features: features,
		})
	})
	t.Run("in small files, flushed occasionally", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, sinktest.Harness{
			New: func(t testing.TB) inlet.Sink {
				return openTest(t, t.TempDir(), &Options{Sync: SyncInterval, Interval: 1, SegmentBytes: 1, MaxGroupBytes: 1})
			},
			Read:     readAll,
			Features: sinktest.Features{Durability: inlet.DurabilityOSBuffer, Ordered: true},
		})
	})
}

func readAll(t testing.TB, s inlet.Sink) (list []*inlet.Event) {
	for r, err := range s.(*Journal).Events(t.Context(), 0) {
		require.NoError(t, err)
		list = append(list, r.Event)
	}
	return list
}
