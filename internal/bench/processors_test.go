package bench

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// The benchmarks of this file measure what more processors are worth. The callers have one source
// and one address, so that they share everything that requests can share. The gain is that over
// the gain of validation, at the same time on the same machine.
//
// Validation uses no memory but the body. What the neighbours on a shared machine take of the
// caches therefore counts as ours. So does the garbage collector: the heap is a few MB, and it is
// collected often. Larger heaps (GOGC=400) are worth some hundredths.

const (
	gainRounds = 80
	gainTime   = 6 * time.Millisecond
)

// gainProcessors returns how many processors are compared with one.
func gainProcessors(b *testing.B) int {
	b.Helper()
	processors := min(runtime.NumCPU(), 8)
	if processors < 2 {
		b.Skip("needs more than one processor")
	}
	return processors
}

// BenchmarkTarget9 is the gain of the handler with a limit by source.
func BenchmarkTarget9(b *testing.B) {
	processors := gainProcessors(b)
	for name, kind := range map[string]struct {
		path string
		pool [][]byte
	}{"track": {trackPath, now().Tracks()}, "batch of 100": {batchPath, now().Batches(100)}} {
		b.Run(name, func(b *testing.B) {
			floor := func() func(i int) { return validate(kind.pool) }
			handler := shipped(b, kind.path).handler // one for all workers, so that contention counts
			ours := func() func(i int) { return newCaller(handler, kind.path).over(kind.pool) }
			ratio := gains(b, processors, floor, ours)[0]
			reportRatio(b, ratio)
			what := fmt.Sprintf("gain from %d processors over that of validation, %s", processors, name)
			results.add(result{number: "9", what: what, bound: 0.93, atLeast: true, measured: ratio})
		})
	}
}

// BenchmarkEndpointProcessors is the gain with both rate limits and, as context, with fewer layers,
// and with a larger heap. The sink does nothing, and there is no observer: what hosts count in
// theirs is not ours.
//
//	go test -c -o bench.test ./internal/bench
//	cd internal/bench
//	chrt -r 1 ../../bench.test -test.run '^$' -test.bench EndpointProcessors -test.benchtime 1x
func BenchmarkEndpointProcessors(b *testing.B) {
	processors := gainProcessors(b)
	mounts := []struct {
		what   string
		layers func(http.Handler) http.Handler
	}{
		{"the handler alone", nil},
		{"README mount", readmeLayers()},
		{"with both rate limits", allLayers()},
	}
	last := len(mounts) - 1
	for _, kind := range []struct {
		name, path string
		pool       [][]byte
	}{{"track", trackPath, now().Tracks()}, {"batch of 100", batchPath, now().Batches(100)}} {
		floor := func() func(i int) { return validate(kind.pool) }
		ours := []func() func(i int){floor}
		for _, m := range mounts {
			var handler http.Handler
			handler, err := inlet.New(noSink{}, &inlet.Options{AllowAnonymous: m.layers == nil})
			require.NoError(b, err)
			if m.layers != nil {
				handler = m.layers(handler)
			}
			newCaller(handler, kind.path).requireAccepted(b, kind.pool)
			ours = append(ours, func() func(i int) { return newCaller(handler, kind.path).over(kind.pool) })
		}
		what := fmt.Sprintf("%s, gain from %d processors over that of validation, ", kind.name, processors)
		b.Run(kind.name, func(b *testing.B) {
			measured := gains(b, processors, floor, ours...)
			results.add(result{what: what + "validation again", measured: measured[0]})
			for i, m := range mounts[:last] {
				results.add(result{what: what + m.what, measured: measured[i+1]})
			}
			ratio := measured[last+1]
			results.add(result{number: "b3", what: what + mounts[last].what, bound: 0.95, atLeast: true, measured: ratio})
			reportRatio(b, ratio)
		})
		b.Run(kind.name+", GOGC=400", func(b *testing.B) {
			defer debug.SetGCPercent(debug.SetGCPercent(400))
			ratio := gains(b, processors, floor, ours[last+1])[0]
			results.add(result{what: what + mounts[last].what + ", GOGC=400", measured: ratio})
			reportRatio(b, ratio)
		})
	}
}

// A noSink is a sink that does nothing.
type noSink struct{}

func (noSink) Write(context.Context, []*inlet.Event) error { return nil }

// gains returns, for each of ours, the median over rounds of its gain over that of floor. All of
// them make a function for one goroutine.
func gains(b *testing.B, processors int, floor func() func(i int), ours ...func() func(i int)) []float64 {
	b.Helper()
	floors := workers(processors, floor)
	all, ratios := make([][]func(i int), len(ours)), make([][]float64, len(ours))
	for k := range ours {
		all[k] = workers(processors, ours[k])
	}
	for b.Loop() {
		for round := range gainRounds {
			for k, of := range all {
				// Which is first alternates: threads that were just used start sooner.
				first, second := floors, of
				if round%2 > 0 {
					first, second = of, floors
				}
				one, more := calls(1, first), calls(processors, first)
				ratio := float64(calls(processors, second)) / float64(calls(1, second)) * float64(one) / float64(more)
				if round%2 > 0 {
					ratio = 1 / ratio
				}
				ratios[k] = append(ratios[k], ratio)
			}
		}
	}
	medians := make([]float64, len(ours))
	for k := range medians {
		medians[k] = median(ratios[k])
	}
	return medians
}

func workers(n int, newWorker func() func(i int)) []func(i int) {
	all := make([]func(i int), n)
	for i := range all {
		// What two workers write must not be next to each other in memory, or they wait for each
		// other's caches. So only each 64th of those that are made is used.
		for range 64 {
			all[i] = newWorker()
		}
	}
	return all
}

// calls runs the first n workers on as many processors and returns how many
// calls they made in a slice of time.
func calls(n int, workers []func(i int)) int64 {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
	var total atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(gainTime)
	for _, work := range workers[:n] {
		wg.Go(func() {
			i := 0
			for ; time.Now().Before(end); i++ {
				work(i)
			}
			total.Add(int64(i))
		})
	}
	wg.Wait()
	return total.Load()
}
