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

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal"
)

// childEnv carries the task of a child, which is this test binary again.
const childEnv = "INLET_TORTURE_CHILD"

// A task is what a child is to do until it is killed, or told to stop: write events
// to a journal, say which were acknowledged, and deliver them.
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

// A writer is the child's side of the pipe. It says, in a line each,
//
//	ready              the journal is open
//	a TIME PREFIX N    events PREFIX-0 to PREFIX-(N-1) were acknowledged
//	e TIME TEXT        a write failed
//	p TEXT             the journal is poisoned
//	t TAKING           a destination has taken events
//	r REPORT           how a destination does
//	closed             all is closed, as it was told
type writer struct {
	task
	journal *journal.Journal
	outlets []*outlet
	delays  *stopwatch
	out     sync.Mutex
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

// run writes until it is told to stop, and then ends as a server does.
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
