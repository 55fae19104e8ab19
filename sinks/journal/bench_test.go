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
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// loads are numbers of writers, and of events per Write.
var loads = []struct{ writers, batch int }{{1, 1}, {8, 1}, {64, 1}, {8, 100}}

// BenchmarkJournal writes to a journal and, in slices that alternate with its
// own, to two floors: the same bytes through a plain group commit, once into a
// file of the same form and once appended with fdatasync. It reports the events
// per second, and medians of the ratios to the floors: of the events per second, and of the
// 99th percentile of latency; and the processor time per event beyond that of the floor of
// the same form. See PERFORMANCE for the goals (13 to
// 15); run with
//
//	go test ./sinks/journal -run '^$' -bench BenchmarkJournal -benchtime 1x
func BenchmarkJournal(b *testing.B) {
	for _, form := range []struct {
		name  string
		ahead bool
	}{{"appended", false}, {"ahead", true}} {
		for _, load := range loads {
			b.Run(fmt.Sprintf("%s/%dx%d", form.name, load.writers, load.batch), func(b *testing.B) {
				compare(b, form.ahead, load.writers, load.batch)
			})
		}
	}
}

func compare(b *testing.B, ahead bool, writers, batch int) {
	const slice, slices = 250 * time.Millisecond, 9
	j := openAhead(b, ahead)
	raw, same := newRawLog(b, false), newRawLog(b, ahead)
	list, ticket := events("bench", batch), newWriteRequest()
	encode(ticket, list)
	for b.Loop() {
		var ours, appended, floor []load
		for range slices {
			appended = append(appended, measureLoad(writers, batch, slice, func() { raw.write(ticket.buf) }))
			floor = append(floor, measureLoad(writers, batch, slice, func() { same.write(ticket.buf) }))
			same.awaitFilled()
			ours = append(ours, measureLoad(writers, batch, slice, func() { mustWrite(j, list) }))
			awaitAhead(j)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(middle(ours, nil, func(l, _ load) float64 { return l.rate }), "events/s")
		b.ReportMetric(middle(ours, floor, func(l, f load) float64 { return l.rate / f.rate }), "of-raw")
		b.ReportMetric(middle(ours, appended, func(l, f load) float64 { return l.rate / f.rate }), "of-append")
		b.ReportMetric(middle(ours, floor, func(l, f load) float64 { return l.p99 / f.p99 }), "p99-of-raw")
		b.ReportMetric(middle(ours, nil, func(l, _ load) float64 { return l.p99 * 1e3 }), "p99-ms")
		b.ReportMetric(middle(ours, floor, func(l, f load) float64 { return (l.cpu - f.cpu) * 1e6 }), "us-cpu-over-raw")
	}
	b.ReportMetric(float64(j.Stats().Events)/float64(j.Stats().Groups), "events/group")
}

// openAhead opens a journal and, if it writes ahead, waits until a file is ready.
func openAhead(b *testing.B, ahead bool) *Journal {
	j := openTest(b, b.TempDir(), &Options{WriteAhead: ahead})
	awaitAhead(j)
	return j
}

// awaitAhead waits until the next file is filled, if the journal writes ahead, so that each
// slice is charged with its own filling only.
func awaitAhead(j *Journal) {
	for j.opts.WriteAhead {
		info, err := os.Stat(filepath.Join(j.dir, aheadName))
		if err == nil && info.Size() == defaultSegmentBytes {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkProcessors shows that groups form on any number of processors.
func BenchmarkProcessors(b *testing.B) {
	for _, procs := range []int{1, 2, 8} {
		b.Run(fmt.Sprint(procs), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			group(b, openTest(b, b.TempDir(), nil), 256)
		})
	}
}

// BenchmarkSlowDisk shows that a flush that takes longer makes larger groups.
func BenchmarkSlowDisk(b *testing.B) {
	for _, delay := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond} {
		b.Run(delay.String(), func(b *testing.B) {
			group(b, openTest(b, b.TempDir(), &Options{fs: slowFS{delay: delay}}), 1024)
		})
	}
}

// group reports the rate of that many writers.
func group(b *testing.B, j *Journal, writers int) {
	list := events("bench", 1)
	var l load
	for b.Loop() {
		l = measureLoad(writers, 1, time.Second, func() { mustWrite(j, list) })
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(l.rate, "events/s")
	b.ReportMetric(l.p99*1e3, "p99-ms")
	b.ReportMetric(float64(j.Stats().Events)/float64(j.Stats().Fsyncs), "events/flush")
}

// slowFS delays every flush.
type slowFS struct {
	osfs.Disk
	delay time.Duration
}

func (s slowFS) Create(name string) (osfs.File, error) {
	f, err := s.Disk.Create(name)
	return slowFile{f, s.delay}, err
}

type slowFile struct {
	osfs.File
	delay time.Duration
}

func (f slowFile) Sync() error {
	time.Sleep(f.delay)
	return f.File.Sync()
}

// middle returns the median of a function of each pair.
func middle(ours, floor []load, of func(l, f load) float64) float64 {
	list := make([]float64, len(ours))
	for i := range ours {
		var f load
		if floor != nil {
			f = floor[i]
		}
		list[i] = of(ours[i], f)
	}
	slices.Sort(list)
	return list[len(list)/2]
}

func mustWrite(j *Journal, batch []*inlet.Event) {
	if err := j.Write(context.Background(), batch); err != nil {
		panic(err)
	}
}

// A load is a measurement: events per second, the 99th percentile of latency in seconds,
// and processor seconds per event.
type load struct{ rate, p99, cpu float64 }

// measureLoad runs a number of writers for a time.
func measureLoad(writers, batch int, length time.Duration, write func()) load {
	var done atomic.Bool
	var group sync.WaitGroup
	took := make([][]time.Duration, writers)
	start, cpu := time.Now(), testkit.ProcessorTime()
	stop := time.AfterFunc(length, func() { done.Store(true) })
	defer stop.Stop()
	for w := range writers {
		group.Go(func() {
			for !done.Load() {
				began := time.Now()
				write()
				took[w] = append(took[w], time.Since(began))
			}
		})
	}
	group.Wait()
	all := slices.Concat(took...)
	slices.Sort(all)
	n := float64(len(all) * batch)
	return load{
		rate: n / time.Since(start).Seconds(),
		p99:  all[len(all)*99/100].Seconds(),
		cpu:  (testkit.ProcessorTime() - cpu).Seconds() / n,
	}
}

// A rawLog is the floor: a group commit with nothing around it. It copies, yields
// and flushes as a journal does, but it encodes, numbers, checks and bounds
// nothing. Written ahead, it fills the next file while it writes the present one.
type rawLog struct {
	dir   string
	ahead bool
	file  osfs.File
	size  int64      // of what was written to file
	next  chan error // the next file is filled, if they are written ahead
	wake  chan struct{}
	mu    sync.Mutex
	wait  []rawWrite
}

type rawWrite struct {
	data []byte
	done chan struct{}
}

func newRawLog(tb testing.TB, ahead bool) *rawLog {
	l := &rawLog{ahead: ahead, wake: make(chan struct{}, 1), dir: tb.TempDir(), next: make(chan error, 1)}
	if ahead {
		l.fill()
		l.open()
	} else {
		f, err := osfs.Disk{}.Create(filepath.Join(l.dir, "raw"))
		require.NoError(tb, err)
		l.file = f
		l.next <- nil
	}
	ended := make(chan struct{})
	go func() { defer close(ended); l.run() }()
	tb.Cleanup(func() { close(l.wake); <-ended; <-l.next; l.file.Close() })
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
		l.roll(len(buf))
		if _, err := l.file.Write(buf); err != nil {
			panic(err)
		}
		if err := l.file.Sync(); err != nil {
			panic(err)
		}
		for _, w := range group {
			w.done <- struct{}{}
		}
	}
}

// roll continues in the next file before one that was written ahead grows.
func (l *rawLog) roll(n int) {
	if l.size += int64(n); l.ahead && l.size > defaultSegmentBytes {
		l.file.Close()
		l.open()
		l.size = int64(n)
	}
}

// open opens the file that is filled, and begins the next.
func (l *rawLog) open() {
	err := <-l.next
	if err == nil {
		err = os.Rename(filepath.Join(l.dir, "next"), filepath.Join(l.dir, "raw"))
	}
	if err == nil {
		l.file, err = osfs.Disk{}.Overwrite(filepath.Join(l.dir, "raw"))
	}
	if err != nil {
		panic(err)
	}
	l.fill()
}

// awaitFilled is awaitAhead for the floor.
func (l *rawLog) awaitFilled() { l.next <- <-l.next }

func (l *rawLog) fill() {
	go func() {
		l.next <- writeBlankFile(osfs.Disk{}, filepath.Join(l.dir, "next"), defaultSegmentBytes, new(atomic.Bool))
	}()
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

// counting is a destination that costs nothing.
type counting struct{ events atomic.Uint64 }

func (c *counting) Write(_ context.Context, events []*inlet.Event) error {
	c.events.Add(uint64(len(events)))
	return nil
}

// BenchmarkDeliver delivers what is stored to a sink that costs nothing, and reports
// the events per second, and their ratio to those that Events yields in the same run.
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

// BenchmarkRestore opens a journal of a million events and has Dedupe remember
// their ids: the longest that a restart takes with the defaults.
func BenchmarkRestore(b *testing.B) {
	dir := b.TempDir()
	j := openTest(b, dir, &Options{Sync: SyncNever, LowWater: -1})
	const batch = 1000
	for i := range 1_000_000 / batch {
		list := events(fmt.Sprintf("b%d", i), batch)
		for _, e := range list {
			e.ReceivedAt = time.Now()
		}
		require.NoError(b, j.Write(b.Context(), list))
	}
	b.ResetTimer()
	for range b.N {
		d, err := sinks.NewDedupe(j, &sinks.DedupeOptions{Stored: j.RecentIDs(b.Context(), 24*time.Hour, 1_000_000)})
		require.NoError(b, err)
		require.NoError(b, d.Write(b.Context(), []*inlet.Event{event("b7-0")}))
		require.EqualValues(b, 1, d.Stats().Duplicates)
	}
}
