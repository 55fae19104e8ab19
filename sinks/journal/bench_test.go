package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// loads are how many writers there are, and how many events each writes at once.
var loads = []struct{ writers, batch int }{{1, 1}, {8, 1}, {64, 1}, {8, 100}}

// BenchmarkJournal writes to a journal and, in slices that alternate with its
// own, to the floor: the same bytes through a plain group commit. It reports the
// events a second of both, and the median of the ratio. See PERFORMANCE for the
// goal; run with
//
//	go test ./sinks/journal -run '^$' -bench BenchmarkJournal -benchtime 1x
func BenchmarkJournal(b *testing.B) {
	const slice, slices = 250 * time.Millisecond, 9
	for _, load := range loads {
		b.Run(fmt.Sprintf("%dx%d", load.writers, load.batch), func(b *testing.B) {
			j := openTest(b, b.TempDir(), nil)
			raw := newRawLog(b)
			batch := events("bench", load.batch)
			ticket := newTicket()
			ticket.fill(batch)
			for b.Loop() {
				var ours, floor []float64
				for range slices {
					floor = append(floor, rate(load.writers, load.batch, slice, func() { raw.write(ticket.buf) }))
					ours = append(ours, rate(load.writers, load.batch, slice, func() { mustWrite(j, batch) }))
				}
				report(b, ours, floor)
			}
			b.ReportMetric(float64(len(ticket.buf)/load.batch), "B/event")
			b.ReportMetric(float64(j.Stats().Events)/float64(j.Stats().Groups), "events/group")
		})
	}
}

// BenchmarkRaw is the floor alone.
func BenchmarkRaw(b *testing.B) {
	for _, load := range loads {
		b.Run(fmt.Sprintf("%dx%d", load.writers, load.batch), func(b *testing.B) {
			raw := newRawLog(b)
			ticket := newTicket()
			ticket.fill(events("bench", load.batch))
			for b.Loop() {
				b.ReportMetric(rate(load.writers, load.batch, time.Second, func() { raw.write(ticket.buf) }), "events/s")
			}
		})
	}
}

func report(b *testing.B, ours, floor []float64) {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / floor[i]
	}
	b.ReportMetric(median(ours), "events/s")
	b.ReportMetric(median(floor), "raw-events/s")
	b.ReportMetric(median(ratios), "of-raw")
	b.ReportMetric(0, "ns/op")
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

func mustWrite(j *Journal, batch []*inlet.Event) {
	if err := j.Write(context.Background(), batch); err != nil {
		panic(err)
	}
}

// rate returns the events a second of that many writers.
func rate(writers, batch int, length time.Duration, write func()) float64 {
	var done atomic.Bool
	var writes atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	stop := time.AfterFunc(length, func() { done.Store(true) })
	defer stop.Stop()
	for range writers {
		group.Go(func() {
			for !done.Load() {
				write()
				writes.Add(1)
			}
		})
	}
	group.Wait()
	return float64(writes.Load()) * float64(batch) / time.Since(start).Seconds()
}

// A rawLog is the floor: a group commit with nothing around it. It has the same
// file mode as a segment and copies, yields and flushes alike, but it encodes,
// numbers, checks and bounds nothing.
type rawLog struct {
	file *os.File
	wake chan struct{}
	mu   sync.Mutex
	wait []rawWrite
}

type rawWrite struct {
	data []byte
	done chan struct{}
}

func newRawLog(tb testing.TB) *rawLog {
	f, err := os.OpenFile(filepath.Join(tb.TempDir(), "raw"), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, fileMode)
	require.NoError(tb, err)
	l := &rawLog{file: f, wake: make(chan struct{}, 1)}
	ended := make(chan struct{})
	go func() { defer close(ended); l.run() }()
	tb.Cleanup(func() { close(l.wake); <-ended; f.Close() })
	return l
}

func (l *rawLog) write(data []byte) {
	done := make(chan struct{}, 1)
	l.mu.Lock()
	l.wait = append(l.wait, rawWrite{data, done})
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	<-done
}

func (l *rawLog) run() {
	var buf []byte
	for range l.wake {
		l.yield()
		l.mu.Lock()
		group := l.wait
		l.wait = nil
		l.mu.Unlock()
		buf = buf[:0]
		for _, w := range group {
			buf = append(buf, w.data...)
		}
		if _, err := l.file.Write(buf); err != nil {
			panic(err)
		}
		if err := syncFile(l.file); err != nil {
			panic(err)
		}
		for _, w := range group {
			w.done <- struct{}{}
		}
	}
}

func (l *rawLog) yield() {
	for n, last := l.len(), -1; n != last; n = l.len() {
		last = n
		runtime.Gosched()
	}
}

func (l *rawLog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.wait)
}
