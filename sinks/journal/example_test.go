package journal_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A journal is opened, given to the handler as its sink, and closed last.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	j, err := journal.Open(dir, &journal.Options{SegmentAge: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	err = j.Write(ctx, []*inlet.Event{{
		Type: inlet.TypeTrack, Name: "Order Completed", MessageID: "m1", UserID: "u1",
		ReceivedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Source:     &inlet.Source{ID: "web"},
	}})
	fmt.Println("stored:", err == nil, "durability:", j.Durability())
	if err := j.Close(ctx); err != nil {
		log.Fatal(err)
	}

	lines, err := os.ReadFile(dir + "/00000000000000000001.ndjson")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", lines)
	// Output:
	// stored: true durability: fsync
	// {"type":"track","event":"Order Completed","messageId":"m1","userId":"u1","receivedAt":"2026-01-02T03:04:05Z","sourceId":"web","_seq":"0000000000000001","_c":"8521fc42"}
}

// Events reads back what is stored, for a replay into another sink.
func ExampleJournal_Events() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	j, err := journal.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer j.Close(ctx)
	for _, id := range []string{"m1", "m2", "m3"} {
		event := &inlet.Event{Type: inlet.TypeTrack, Name: "Signed Up", MessageID: id}
		if err := j.Write(ctx, []*inlet.Event{event}); err != nil {
			log.Fatal(err)
		}
	}
	for record, err := range j.Events(ctx, 2) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(record.Seq, record.Event.Name, record.Event.MessageID)
	}
	// Output:
	// 2 Signed Up m2
	// 3 Signed Up m3
}

// A destination is fed from the journal at its own pace. Stop notes how far it has
// come, and so does Close; the next Deliver of that name goes on there.
func ExampleJournal_Deliver() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	j, err := journal.Open(dir, &journal.Options{RetainBytes: 10 << 30})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer j.Close(ctx)

	warehouse := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		for _, e := range events {
			fmt.Println("warehouse:", e.Name, e.MessageID)
		}
		return nil // all stored; with any other answer they come again
	})
	delivery, err := j.Deliver("warehouse", warehouse, &journal.DeliverOptions{WhenFull: journal.DropOldest})
	if err != nil {
		log.Fatal(err)
	}
	err = j.Write(ctx, []*inlet.Event{
		{Type: inlet.TypeTrack, Name: "Signed Up", MessageID: "m1"},
		{Type: inlet.TypeTrack, Name: "Signed In", MessageID: "m2"},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := delivery.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	stats := delivery.Stats()
	fmt.Println("delivered:", stats.Delivered, "behind:", stats.Behind)
	// Output:
	// warehouse: Signed Up m1
	// warehouse: Signed In m2
	// delivered: 2 behind: 0
}

// A host that is shut down permanently drains its journal before it gives up the directory:
// the destinations have everything then.
func ExampleJournal_Drain() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	j, err := journal.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, name := range []string{"archive", "warehouse"} {
		if _, err := j.Deliver(name, inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil }), nil); err != nil {
			log.Fatal(err)
		}
	}
	err = j.Write(ctx, []*inlet.Event{{Type: inlet.TypeTrack, Name: "Signed Up", MessageID: "m1"}})
	if err != nil {
		log.Fatal(err)
	}

	if err := j.Drain(ctx); err != nil {
		log.Fatal(err) // it names the destinations that lack events: keep the directory
	}
	for _, d := range j.Deliveries() {
		fmt.Println(d.Name, "has", d.Delivered, "and lacks", d.Behind)
	}
	fmt.Println("dead letters:", j.Stats().DeadLetters)
	if err := j.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// archive has 1 and lacks 0
	// warehouse has 1 and lacks 0
	// dead letters: 0
}

// With LockTimeout the process that replaces another one waits until that has closed the journal.
func ExampleOptions_lockTimeout() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	before, err := journal.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	_, err = journal.Open(dir, nil)
	fmt.Println("refused:", errors.Is(err, journal.ErrLocked))

	go before.Close(ctx) // as the other process does on SIGTERM
	after, err := journal.Open(dir, &journal.Options{LockTimeout: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("opened:", after.Check(ctx) == nil)
	if err := after.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// refused: true
	// opened: true
}

// An event that a destination never accepts blocks it. Skip makes it a dead letter, and Redrive
// sends that again once the cause is fixed.
func ExampleDelivery_Redrive() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	j, err := journal.Open(dir, &journal.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer j.Close(ctx)
	var repaired atomic.Bool
	warehouse := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		for _, e := range events {
			if e.Name == "Signed Up" && !repaired.Load() {
				return errors.New("no such table") // temporary, so it is tried again
			}
			fmt.Println("warehouse:", e.Name)
		}
		return nil
	})
	delivery, err := j.Deliver("warehouse", warehouse, &journal.DeliverOptions{MaxEvents: 1})
	if err != nil {
		log.Fatal(err)
	}
	err = j.Write(ctx, []*inlet.Event{
		{Type: inlet.TypeTrack, Name: "Signed Up", MessageID: "m1"},
		{Type: inlet.TypeTrack, Name: "Signed In", MessageID: "m2"},
	})
	if err != nil {
		log.Fatal(err)
	}
	for delivery.Stats().Blocking == "" {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("blocked by", delivery.Stats().Blocking)
	if err := delivery.Skip(ctx); err != nil {
		log.Fatal(err)
	}
	if err := delivery.Drain(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("not blocked:", errors.Is(delivery.Skip(ctx), journal.ErrNotBlocked))

	repaired.Store(true)
	n, err := delivery.Redrive(ctx, func(letter *inlet.Event) bool {
		refusal, _ := sinks.RefusalOf(letter)
		return refusal.Error == "skipped: no such table"
	})
	fmt.Println("sent again:", n, err)
	// Output:
	// blocked by m1
	// warehouse: Signed In
	// not blocked: true
	// warehouse: Signed Up
	// sent again: 1 <nil>
}

// Replay sends what is stored to another sink, here some of it to the terminal.
func ExampleJournal_Replay() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	j, err := journal.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer j.Close(ctx)
	for _, name := range []string{"Signed Up", "Signed In", "Signed Up"} {
		if err := j.Write(ctx, []*inlet.Event{{Type: inlet.TypeTrack, Name: name, MessageID: "m"}}); err != nil {
			log.Fatal(err)
		}
	}
	terminal, err := sinks.NewNDJSON(os.Stdout, nil)
	if err != nil {
		log.Fatal(err)
	}
	n, err := j.Replay(ctx, terminal, &journal.DeliverOptions{
		Start:  journal.FromSeq(2),
		Filter: func(e *inlet.Event) bool { return e.Name == "Signed Up" },
	})
	fmt.Println(n, "events", err)
	// Output:
	// {"type":"track","event":"Signed Up","messageId":"m"}
	// 1 events <nil>
}

// After a restart Dedupe reloads the ids that are stored, so that a client that retries
// makes no second event.
func ExampleJournal_RecentIDs() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	for range 2 { // starts of a server
		j, err := journal.Open(dir, nil)
		if err != nil {
			log.Fatal(err)
		}
		sink, err := sinks.NewDedupe(j, &sinks.DedupeOptions{Stored: j.RecentIDs(ctx, 24*time.Hour, 1_000_000)})
		if err != nil {
			log.Fatal(err)
		}
		err = sink.Write(ctx, []*inlet.Event{{
			Type: inlet.TypeTrack, Name: "Signed Up", MessageID: "m1", ReceivedAt: time.Now(), Source: &inlet.Source{ID: "web"},
		}})
		fmt.Println("acknowledged:", err == nil, "duplicates:", sink.Stats().Duplicates)
		if err := inlet.Close(ctx, sink); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// acknowledged: true duplicates: 0
	// acknowledged: true duplicates: 1
}

// replayFrom writes three events, two of them in 2026, and prints the names of those that a
// replay from the start sends.
func replayFrom(start journal.Start) {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	j, err := journal.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	defer j.Close(ctx)
	for i, name := range []string{"Signed Up", "Signed In", "Signed Out"} {
		received := time.Date(2025+i, 12, 31, 0, 0, 0, 0, time.UTC)
		e := &inlet.Event{Type: inlet.TypeTrack, Name: name, MessageID: name, ReceivedAt: received}
		if err := j.Write(ctx, []*inlet.Event{e}); err != nil {
			log.Fatal(err)
		}
	}
	sink := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		for _, e := range events {
			fmt.Println(e.Name)
		}
		return nil
	})
	n, err := j.Replay(ctx, sink, &journal.DeliverOptions{Start: start})
	fmt.Println(n, "events", err)
}

func ExampleFromOldest() {
	replayFrom(journal.FromOldest())
	// Output:
	// Signed Up
	// Signed In
	// Signed Out
	// 3 events <nil>
}

func ExampleFromNow() {
	replayFrom(journal.FromNow())
	// Output: 0 events <nil>
}

func ExampleFromSeq() {
	replayFrom(journal.FromSeq(2))
	// Output:
	// Signed In
	// Signed Out
	// 2 events <nil>
}

func ExampleFromTime() {
	replayFrom(journal.FromTime(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)))
	// Output:
	// Signed Out
	// 1 events <nil>
}

// Read and Verify need no journal, and work while another process has it open.
func ExampleVerify() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	j, err := journal.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer j.Close(ctx)
	for _, id := range []string{"m1", "m2", "m3"} {
		e := &inlet.Event{Type: inlet.TypeTrack, Name: "Order Completed", MessageID: id, UserID: "u1", Source: &inlet.Source{ID: "web"}}
		if err := j.Write(ctx, []*inlet.Event{e}); err != nil {
			log.Fatal(err)
		}
	}

	report, err := journal.Verify(ctx, dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("events:", report.Events, "faults:", report.FaultCount)
	for r, err := range journal.Read(ctx, dir, &journal.ReadOptions{Last: 2}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Seq, r.Event.MessageID)
	}
	// Output:
	// events: 3 faults: 0
	// 2 m2
	// 3 m3
}

// A person's events are erased while no journal has the directory open. The destinations that have
// them already have to be asked.
func ExampleErase() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	j, err := journal.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, user := range []string{"u1", "u2", "u1"} {
		e := &inlet.Event{Type: inlet.TypeTrack, Name: "Order Completed", MessageID: user, UserID: user, Source: &inlet.Source{ID: "web"}}
		if err := j.Write(ctx, []*inlet.Event{e}); err != nil {
			log.Fatal(err)
		}
	}
	if err := j.Close(ctx); err != nil {
		log.Fatal(err)
	}

	erased, err := journal.Erase(ctx, dir, func(e *inlet.Event) bool { return e.UserID == "u1" }, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("erased:", erased.Events)
	for _, d := range erased.Destinations {
		fmt.Println(d.Name, "has", d.Received)
	}
	for r, err := range journal.Read(ctx, dir, nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Seq, r.Event.UserID)
	}
	// Output:
	// erased: 2
	// 2 u2
}
