//go:build torture && linux

package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"errors"
	"slices"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinktest"
)

// childEnv carries the task of a child, which is this test binary again.
const childEnv = "INLET_TORTURE_CHILD"

// A task is what a child does until it is killed or stopped: it writes events to a journal,
// reports which were acknowledged, and delivers them.
type task struct {
	Dir          string
	Prefix       string // of its message ids
	Writers      int
	Batch        int           // the largest; the least is 1
	Rest         time.Duration // of a writer after each write
	Sync         journal.SyncPolicy
	SegmentBytes int64
	RetainBytes  int64
	LowWater     int64
	WriteAhead   bool
	Destinations []destination
}

func runChild(config string) int {
	var do task
	if err := json.Unmarshal([]byte(config), &do); err != nil {
		panic(err)
	}
	w := writer{task: do, delays: newStopwatch(do)}
	err := w.open()
	if err == nil {
		w.say("ready")
		err = w.run()
	}
	if err != nil {
		w.fail(err)
		return 1
	}
	w.say("closed")
	return 0
}

// A writer is the child's side of the pipe. It writes one line for each of these:
//
//	ready              the journal is open
//	a TIME PREFIX N    events PREFIX-0 to PREFIX-(N-1) were acknowledged
//	e TIME TEXT        a write failed
//	p TEXT             the journal is poisoned
//	t TAKING           a destination has taken events
//	r REPORT           how a destination does
//	closed             everything is closed, after SIGTERM
type writer struct {
	task
	journal *journal.Journal
	outlets []*outlet
	delays  *stopwatch
	out     sync.Mutex

	reporting sync.Mutex
}

// open opens the journal and begins to deliver.
func (w *writer) open() (err error) {
	w.journal, err = journal.Open(w.Dir, &journal.Options{
		Sync: w.Sync, SegmentBytes: w.SegmentBytes, RetainBytes: w.RetainBytes, LowWater: w.LowWater, WriteAhead: w.WriteAhead,
		OnPoisoned: func(err error) { w.say("p " + oneLine(err)) },
		Logger:     slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	for _, d := range w.Destinations {
		if err == nil {
			err = w.deliver(d)
		}
	}
	return err
}

// run writes until SIGTERM, and then ends as a server does.
func (w *writer) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var writers sync.WaitGroup
	for i := range w.Writers {
		writers.Go(func() { w.write(ctx, i) })
	}
	if len(w.Destinations) > 0 {
		go w.report()
	}
	writers.Wait()
	return w.close()
}

func (w *writer) say(line string) {
	w.out.Lock()
	defer w.out.Unlock()
	os.Stdout.WriteString(line + "\n")
}

func (w *writer) fail(err error) {
	w.say(fmt.Sprintf("e %d %s", time.Now().UnixNano(), oneLine(err)))
}

// write writes until ctx is done, with a short rest after an error.
func (w *writer) write(ctx context.Context, number int) {
	for i := 0; ctx.Err() == nil; i++ {
		prefix := fmt.Sprintf("%s-w%d-%d", w.Prefix, number, i)
		n := 1 + i%w.Batch
		if err := w.journal.Write(context.Background(), batch(prefix, n)); err != nil {
			w.fail(err)
			time.Sleep(20 * time.Millisecond)
			continue
		}
		w.delays.acked(prefix)
		w.say(fmt.Sprintf("a %d %s %d", time.Now().UnixNano(), prefix, n))
		time.Sleep(w.Rest)
	}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// batch returns n events with ids prefix-0 ...
func batch(prefix string, n int) []*inlet.Event {
	list := make([]*inlet.Event, n)
	for i := range list {
		list[i] = event(fmt.Sprintf("%s-%d", prefix, i))
	}
	return list
}

// event returns an event of about the usual size that an oracle can check by
// itself: it holds a sum of its id.
func event(id string) *inlet.Event {
	return &inlet.Event{
		Type: inlet.TypeTrack, Name: "Order Completed", MessageID: id, UserID: "u1", AnonymousID: "a1",
		ReceivedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Source: &inlet.Source{ID: "web"},
		Properties: json.RawMessage(fmt.Sprintf(`{"sum":"%016x","pad":"%s"}`, sum(id), strings.Repeat("x", len(id)*37%300))),
	}
}

func sum(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64()
}

// A destination is what a child delivers to: a journal in a directory of its own,
// and what is wrong on the way to it.
type destination struct {
	Name     string
	Dir      string
	WhenFull journal.FullPolicy
	Flaky    sinktest.FlakyOptions
	Slow     time.Duration // rest of each Write
	Trouble  trouble       // until the file up is there
	Timed    bool          // whether the child measures its delays
}

type trouble string

const (
	down  trouble = "down"  // no Write succeeds
	hangs trouble = "hangs" // none returns
)

// up is the file that ends the trouble.
func (d *destination) up() string { return d.Dir + ".up" }

// Bounds of a Write to a destination.
const (
	maxEvents = 100
	maxBytes  = 256 << 10
)

// deliverOptions are those of child and oracle alike.
func (d *destination) deliverOptions() *journal.DeliverOptions {
	return &journal.DeliverOptions{
		MaxEvents: maxEvents, MaxBytes: maxBytes, WhenFull: d.WhenFull,
		MinBackoff: time.Millisecond, MaxBackoff: 200 * time.Millisecond,
	}
}

// An outlet is a destination in a child. It reports what it accepts.
type outlet struct {
	destination
	w        *writer
	store    *journal.Journal
	delivery *journal.Delivery
}

// deliver begins to deliver to d.
func (w *writer) deliver(d destination) (err error) {
	o := &outlet{destination: d, w: w}
	o.store, err = journal.Open(d.Dir, &journal.Options{
		SegmentBytes: w.SegmentBytes, LowWater: -1, WriteAhead: w.WriteAhead, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	o.delivery, err = w.journal.Deliver(d.Name, sinktest.Flaky(o, &d.Flaky), d.deliverOptions())
	w.outlets = append(w.outlets, o)
	return err
}

var errDown = errors.New("the destination is down")

func (o *outlet) Write(ctx context.Context, events []*inlet.Event) error {
	for o.Trouble != "" && !exists(o.up()) {
		if o.Trouble == down {
			return errDown
		}
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(o.Slow)
	if err := o.store.Write(ctx, events); err != nil {
		return err
	}
	o.w.sayJSON("t", taking{o.Name, len(events), time.Now()})
	if o.Timed {
		o.w.delays.taken(events)
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// A taking is a Write to a destination that succeeded.
type taking struct {
	Name string
	N    int
	At   time.Time
}

// A report is the progress of a destination.
type report struct {
	Name                              string
	Saved, Behind, Delivered, Dropped uint64
	Refused                           uint64
	P99                               time.Duration // from the acknowledgement of an event to its taking
}

// report reports forever.
func (w *writer) report() {
	for ; ; time.Sleep(50 * time.Millisecond) {
		w.reportOnce()
	}
}

func (w *writer) reportOnce() {
	w.reporting.Lock()
	defer w.reporting.Unlock()
	p99 := w.delays.p99()
	for _, s := range w.journal.Deliveries() {
		w.sayJSON("r", report{s.Name, s.Saved, s.Behind, s.Delivered, s.Dropped, s.Refused, p99})
	}
}

func (w *writer) sayJSON(word string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.say(fmt.Sprintf("%s %s", word, text))
}

// close waits until everything is delivered, and closes what is open.
func (w *writer) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, o := range w.outlets {
		if err := o.delivery.Drain(ctx); err != nil {
			return err
		}
	}
	w.reportOnce()
	w.reporting.Lock() // and stays locked: a closed journal does not know what its deliveries have dropped
	err := w.journal.Close(ctx)
	for _, o := range w.outlets {
		err = errors.Join(err, o.store.Close(ctx))
	}
	return err
}

// A stopwatch measures how long after its acknowledgement the first event of a
// write is taken: not at all, if that comes first. Nil measures nothing.
type stopwatch struct {
	prefix string // of the ids of this process

	mu     sync.Mutex
	began  map[string]time.Time // of writes that are one of the two yet
	delays []time.Duration
}

func newStopwatch(do task) *stopwatch {
	if !slices.ContainsFunc(do.Destinations, func(d destination) bool { return d.Timed }) {
		return nil
	}
	return &stopwatch{prefix: do.Prefix, began: map[string]time.Time{}}
}

// acked notes that a write was acknowledged.
func (s *stopwatch) acked(prefix string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.began[prefix]; taken {
		delete(s.began, prefix)
		s.delays = append(s.delays, 0)
		return
	}
	s.began[prefix] = time.Now()
}

// taken notes that events were taken.
func (s *stopwatch) taken(events []*inlet.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		prefix, first := strings.CutSuffix(e.MessageID, "-0")
		if !first || !strings.HasPrefix(prefix, s.prefix) {
			continue
		}
		began, acked := s.began[prefix]
		if !acked {
			s.began[prefix] = time.Now()
			continue
		}
		delete(s.began, prefix)
		s.delays = append(s.delays, time.Since(began))
	}
}

// p99 is the delay that one in a hundred exceeds, with those that are not over yet.
func (s *stopwatch) p99() time.Duration {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	sorted := slices.Clone(s.delays)
	for _, began := range s.began {
		sorted = append(sorted, time.Since(began))
	}
	s.mu.Unlock()
	slices.Sort(sorted)
	return append(sorted, 0)[len(sorted)*99/100]
}
