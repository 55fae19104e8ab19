package journal

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// counting is a destination that costs nothing.
type counting struct{ events atomic.Uint64 }

func (c *counting) Write(_ context.Context, events []*inlet.Event) error {
	c.events.Add(uint64(len(events)))
	return nil
}

// BenchmarkDeliver delivers what is stored to a sink that costs nothing, and reports
// the events a second, beside those that Events yields in the same run.
//
//	go test ./sinks/journal -run '^$' -bench BenchmarkDeliver -benchtime 3x
func BenchmarkDeliver(b *testing.B) {
	const stored, batch = 200_000, 500
	j := openTest(b, b.TempDir(), &Options{Sync: SyncNever})
	for range stored / batch {
		mustWrite(j, events("bench", batch))
	}
	var delivering, reading time.Duration
	for b.Loop() {
		start, to := time.Now(), &counting{}
		d, err := j.Deliver("bench", to, nil)
		require.NoError(b, err)
		require.NoError(b, d.Drain(b.Context()))
		delivering += time.Since(start)
		require.EqualValues(b, stored, to.events.Load())
		require.NoError(b, d.Stop(b.Context()))
		require.NoError(b, j.Forget("bench"))

		start = time.Now()
		for _, err := range j.Events(b.Context(), 0) {
			require.NoError(b, err)
		}
		reading += time.Since(start)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(stored*float64(b.N)/delivering.Seconds(), "events/s")
	b.ReportMetric(reading.Seconds()/delivering.Seconds(), "of-events")
}

// BenchmarkWriteBesideDeliveries writes to a journal that feeds destinations and, in
// slices that alternate, to one that feeds none, and reports medians of the ratios.
// The destination that works costs processor time, as it reads all that is written;
// those that do not must cost nothing.
//
//	go test ./sinks/journal -run '^$' -bench BenchmarkWriteBeside -benchtime 1x
func BenchmarkWriteBesideDeliveries(b *testing.B) {
	down := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return errDown })
	slow := inlet.SinkFunc(func(ctx context.Context, _ []*inlet.Event) error {
		select {
		case <-time.After(100 * time.Millisecond):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	for name, to := range map[string]inlet.Sink{"down": down, "slow": slow, "works": &counting{}} {
		b.Run(name, func(b *testing.B) { writeBeside(b, to) })
	}
}

func writeBeside(b *testing.B, to inlet.Sink) {
	const writers, slice, slices = 16, 250 * time.Millisecond, 9
	plain, feeding := openTest(b, b.TempDir(), nil), openTest(b, b.TempDir(), nil)
	_, err := feeding.Deliver("bench", to, nil)
	require.NoError(b, err)
	list := events("bench", 1)
	var ours, floor []load
	for b.Loop() {
		for range slices {
			floor = append(floor, measureLoad(writers, 1, slice, func() { mustWrite(plain, list) }))
			ours = append(ours, measureLoad(writers, 1, slice, func() { mustWrite(feeding, list) }))
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(middle(ours, floor, func(l, f load) float64 { return l.rate / f.rate }), "rate-of-plain")
	b.ReportMetric(middle(ours, floor, func(l, f load) float64 { return l.p99 / f.p99 }), "p99-of-plain")
	b.ReportMetric(middle(ours, nil, func(l, _ load) float64 { return l.rate }), "events/s")
}
