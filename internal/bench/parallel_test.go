package bench

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	gainRounds = 21
	gainTime   = 25 * time.Millisecond
)

// BenchmarkTarget9 is what the handler gains from more processors over what
// validation gains from them, at the same time on the same machine.
func BenchmarkTarget9(b *testing.B) {
	processors := min(runtime.NumCPU(), 8)
	if processors < 2 {
		b.Skip("needs more than one processor")
	}
	for name, kind := range map[string]struct {
		path string
		pool [][]byte
	}{"track": {trackPath, now().Tracks()}, "batch of 100": {batchPath, now().Batches(100)}} {
		b.Run(name, func(b *testing.B) {
			floor := func() func(i int) { return validate(kind.pool) }
			handler := shipped(b, kind.path).handler // one for all, so that they can be in each other's way
			ours := func() func(i int) { return newCaller(handler, kind.path).over(kind.pool) }
			ratio := gainRatio(b, processors, floor, ours)
			what := fmt.Sprintf("gain from %d processors over that of validation, %s", processors, name)
			results.add(result{number: "9", what: what, bound: 0.93, atLeast: true, measured: ratio})
		})
	}
}

// gainRatio is the median over rounds of the gain of ours over that of floor.
// Each makes a function for one goroutine.
func gainRatio(b *testing.B, processors int, floor, ours func() func(i int)) float64 {
	b.Helper()
	floors, ourses := workers(processors, floor), workers(processors, ours)
	var ratios []float64
	for b.Loop() {
		for range gainRounds {
			f := float64(calls(1, floors)) / float64(calls(processors, floors))
			o := float64(calls(processors, ourses)) / float64(calls(1, ourses))
			ratios = append(ratios, f*o)
		}
	}
	ratio := median(ratios)
	reportRatio(b, ratio)
	return ratio
}

func workers(n int, newWorker func() func(i int)) []func(i int) {
	all := make([]func(i int), n)
	for i := range all {
		all[i] = newWorker()
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
