package bench

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// A pair is measured in short slices that take turns, so that what happens to
// the machine happens to both sides.
const (
	pairSlices = 41
	sliceTime  = 2 * time.Millisecond
)

// pair reports the time of ours over that of floor as "ratio", the median over
// the slices, on one processor. Both are called with the same numbers i.
func pair(b *testing.B, floor, ours func(i int)) float64 {
	b.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	n := calibrated(floor, ours)
	var ratios []float64
	for b.Loop() {
		for range pairSlices {
			ratios = append(ratios, sliceRatio(len(ratios), n, floor, ours))
		}
	}
	ratio := median(ratios)
	reportRatio(b, ratio)
	return ratio
}

// sliceRatio times one slice of n calls of each side. Who goes first alternates,
// since the second finds the bodies in the cache.
func sliceRatio(slice, n int, floor, ours func(i int)) float64 {
	from := slice * n
	if slice%2 == 0 {
		f := timed(from, n, floor)
		return float64(timed(from, n, ours)) / float64(f)
	}
	o := timed(from, n, ours)
	return float64(o) / float64(timed(from, n, floor))
}

// calibrated returns how many calls of floor fill a slice, and warms both sides
// up on the way.
func calibrated(floor, ours func(i int)) int {
	for n := 1; ; n *= 2 {
		timed(0, n, ours)
		if timed(0, n, floor) >= sliceTime {
			return n
		}
	}
}

func timed(from, n int, f func(i int)) time.Duration {
	start := time.Now()
	for i := from; i < from+n; i++ {
		f(i)
	}
	return max(time.Since(start), 1)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// reportRatio shows the ratio in place of the time per operation, which says
// nothing here.
func reportRatio(b *testing.B, ratio float64) {
	b.Helper()
	b.ReportMetric(ratio, "ratio")
	b.ReportMetric(0, "ns/op")
}
