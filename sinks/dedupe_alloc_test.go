package sinks_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

var nowhere = inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil })

// distinct makes n events with ids of their own.
func distinct(n int) []*inlet.Event {
	batch := make([]*inlet.Event, n)
	for i := range batch {
		batch[i] = event("0b5c1a52-7d5e-4f0e-9a37-" + strconv.Itoa(100_000_000_000+i))
	}
	return batch
}

func TestDedupeAllocations(t *testing.T) {
	if testing.CoverMode() != "" || raceEnabled {
		t.Skip("the race detector and coverage allocate themselves")
	}
	const size, runs = 100, 150
	tests := []struct {
		name   string
		fresh  int // events of each call that are new
		budget float64
	}{
		{"a call without duplicates allocates nothing", size, 0},
		{"a call of nothing but duplicates allocates nothing", 0, 0},
		{"a call with some duplicates allocates the slice that it passes on", size / 2, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDedupe(t, nowhere, &sinks.DedupeOptions{MaxIDs: 1000})
			all := distinct((runs + 3) * size)
			next := 0
			require.NoError(t, d.Write(t.Context(), all[:size]))
			got := testing.AllocsPerRun(runs, func() {
				next += tt.fresh
				require.NoError(t, d.Write(t.Context(), all[next:][:size]))
			})
			require.LessOrEqual(t, got, tt.budget)
		})
	}
}

// TestDedupeMemory holds the documented 32 bytes per remembered id.
func TestDedupeMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	const idCount = 1_000_000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	batch := distinct(idCount)
	before := heap()
	d := newDedupe(t, nowhere, &sinks.DedupeOptions{MaxIDs: idCount})
	for i := 0; i < idCount; i += 1000 {
		require.NoError(t, d.Write(t.Context(), batch[i:][:1000]))
	}
	perID := float64(heap()-before) / idCount
	t.Logf("%.2f bytes per id", perID)
	require.InDelta(t, 32, perID, 1)
	require.NoError(t, d.Write(t.Context(), batch[:1000]))
	require.EqualValues(t, 1000, d.Duplicates(), "the oldest are still there")
	runtime.KeepAlive(batch)
}

// BenchmarkDedupe measures the cost per event, over an inner sink that costs
// nothing, with a full window of a million ids.
func BenchmarkDedupe(b *testing.B) {
	all := distinct(2_000_000)
	for _, size := range []int{1, 100} {
		b.Run("events="+strconv.Itoa(size), func(b *testing.B) {
			d := newDedupe(b, nowhere, nil)
			for i := 0; i < 1_000_000; i += 1000 {
				require.NoError(b, d.Write(b.Context(), all[i:][:1000]))
			}
			next := 1_000_000
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Write(b.Context(), all[next:][:size]); err != nil {
					b.Fatal(err)
				}
				if next += size; next+size > len(all) {
					next = 0
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/event")
		})
	}
}
