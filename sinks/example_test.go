package sinks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

func ExampleNewBatch() {
	// A warehouse that wants few large inserts.
	warehouse := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		fmt.Println("insert of", len(events))
		return nil
	})
	sink, err := sinks.NewBatch(warehouse, &sinks.BatchOptions{MaxEvents: 3, MaxDelay: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	results := make(chan error)
	for _, id := range []string{"a", "b", "c"} { // three concurrent clients
		go func() { results <- sink.Write(ctx, events(id)) }()
	}
	fmt.Println(<-results, <-results, <-results)
	fmt.Println(sink.Close(ctx))
	// Output:
	// insert of 3
	// <nil> <nil> <nil>
	// <nil>
}

// With Async, a client does not wait for the inner sink, and only OnError receives
// its failures.
func ExampleNewBatch_async() {
	var stored, spare sinks.Memory
	ctx := context.Background()
	sink, err := sinks.NewBatch(&stored, &sinks.BatchOptions{
		Async: true,
		OnError: func(events []*inlet.Event, err error) {
			fmt.Println(err)
			_ = spare.Write(ctx, events)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sink.Write(ctx, events("a", "b")), sink.Durability())
	fmt.Println(sink.Close(ctx), ids(stored.Events()))
	// Output:
	// <nil> memory
	// <nil> [a b]
}

func ExampleNewDeadLetter() {
	// A warehouse that never accepts the event b.
	var stored, letters sinks.Memory
	warehouse := inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
		for _, e := range events {
			if e.MessageID == "b" {
				return inlet.Permanent(errors.New("no such column"))
			}
		}
		return stored.Write(ctx, events)
	})
	sink, err := sinks.NewDeadLetter(warehouse, &letters, &sinks.DeadLetterOptions{Name: "warehouse"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sink.Write(context.Background(), events("a", "b", "c")))
	fmt.Println(ids(stored.Events()), "stored,", sink.Stats().Letters, "refused")
	for _, letter := range letters.Events() {
		why, _ := sinks.RefusalOf(letter)
		fmt.Printf("%s: %s: %s\n", letter.MessageID, why.By, why.Error)
	}
	// Output:
	// <nil>
	// [a c] stored, 1 refused
	// b: warehouse: no such column
}

// A letter is an event with the reason of its refusal.
func ExampleRefusalOf() {
	letter := event("b")
	letter.Extra = []byte(`{"plan":"pro","_refused":{"error":"no such column","at":"2026-01-02T03:04:05Z","by":"warehouse"}}`)
	for _, e := range []*inlet.Event{event("a"), letter} {
		refusal, refused := sinks.RefusalOf(e)
		fmt.Printf("%s %t %q %q\n", e.MessageID, refused, refusal.By, refusal.Error)
	}
	// Output:
	// a false "" ""
	// b true "warehouse" "no such column"
}

// Once the cause is fixed, letters can be sent again.
func ExampleWithoutRefusal() {
	letter := event("b")
	letter.Extra = []byte(`{"plan":"pro","_refused":{"error":"no such column","at":"2026-01-02T03:04:05Z"}}`)
	var fixed sinks.Memory
	err := fixed.Write(context.Background(), []*inlet.Event{sinks.WithoutRefusal(letter)})
	fmt.Println(err, string(fixed.Events()[0].Extra))
	// Output: <nil> {"plan":"pro"}
}

func ExampleNewDedupe() {
	var store sinks.Memory
	sink, err := sinks.NewDedupe(&store, &sinks.DedupeOptions{Window: time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	fmt.Println(sink.Write(ctx, events("a", "b")))
	fmt.Println(sink.Write(ctx, events("b", "c"))) // the client sends b again
	fmt.Println(len(store.Events()), "stored,", sink.Stats().Duplicates, "duplicate")
	// Output:
	// <nil>
	// <nil>
	// 3 stored, 1 duplicate
}

func ExampleDiscard() {
	var sink sinks.Discard
	err := sink.Write(context.Background(), events("a", "b", "c"))
	fmt.Println(err, sink.Stats().Events)
	// Output: <nil> 3
}

func ExampleNewFanout() {
	var archive, warehouse sinks.Memory
	dashboard := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return errors.New("no one is listening") })
	sink, err := sinks.NewFanout([]sinks.Leg{
		{Name: "archive", Sink: &archive},
		{Name: "warehouse", Sink: &warehouse},
		{Name: "dashboard", Sink: dashboard, BestEffort: true},
	}, &sinks.FanoutOptions{
		OnBestEffortFailure: func(_ context.Context, leg string, events int, err error) {
			fmt.Printf("%s: %d events: %v\n", leg, events, err)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sink.Write(context.Background(), events("a", "b")))
	fmt.Println(len(archive.Events()), len(warehouse.Events()))
	for _, s := range sink.Stats().Legs {
		fmt.Printf("%s: %d stored, %d failed\n", s.Name, s.Stored, s.Failed)
	}
	// Output:
	// dashboard: 2 events: no one is listening
	// <nil>
	// 2 2
	// archive: 2 stored, 0 failed
	// warehouse: 2 stored, 0 failed
	// dashboard: 0 stored, 2 failed
}

func ExampleNewFilter() {
	var store sinks.Memory
	sink, err := sinks.NewFilter(&store, func(e *inlet.Event) bool { return e.Name != "Heartbeat" })
	if err != nil {
		fmt.Println(err)
		return
	}
	batch := events("a", "b", "c")
	batch[1].Name = "Heartbeat"
	fmt.Println(sink.Write(context.Background(), batch))
	fmt.Println(ids(store.Events()), sink.Stats().Dropped, "dropped")
	// Output:
	// <nil>
	// [a c] 1 dropped
}

func ExampleMemory() {
	var sink sinks.Memory
	err := sink.Write(context.Background(), []*inlet.Event{{
		Type:       inlet.TypeTrack,
		Name:       "Order Completed",
		MessageID:  "m1",
		UserID:     "u1",
		ReceivedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Source:     &inlet.Source{ID: "web"},
	}})
	fmt.Println(err)
	for _, e := range sink.Events() {
		fmt.Printf("%s\n", e.AppendJSON(nil))
	}
	// Output:
	// <nil>
	// {"type":"track","event":"Order Completed","messageId":"m1","userId":"u1","receivedAt":"2026-01-02T03:04:05Z","sourceId":"web"}
}

func ExampleNewNDJSON() {
	sink, err := sinks.NewNDJSON(os.Stdout, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sink.Write(context.Background(), events("a", "b")))
	// Output:
	// {"type":"track","event":"Signed Up","messageId":"a","userId":"u","receivedAt":"2026-01-02T03:04:05Z","sourceId":"web"}
	// {"type":"track","event":"Signed Up","messageId":"b","userId":"u","receivedAt":"2026-01-02T03:04:05Z","sourceId":"web"}
	// <nil>
}

func ExampleNewFallback() {
	// A stream that is down during the first write.
	ctx, calls := context.Background(), 0
	var stored sinks.Memory
	stream := inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
		if calls++; calls == 1 {
			return errors.New("no leader")
		}
		return stored.Write(ctx, events)
	})
	dir, err := os.MkdirTemp("", "inlet")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store, err := journal.Open(dir, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	delivery, err := store.Deliver("stream", stream, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	sink, err := sinks.NewFallback(stream, store, delivery.Drain, &sinks.FallbackOptions{
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sink.Write(ctx, events("a", "b")), sink.Write(ctx, events("c")))
	fmt.Println(delivery.Drain(ctx), sink.Close(ctx))
	fmt.Println(ids(stored.Events()))
	// Output:
	// <nil> <nil>
	// <nil> <nil>
	// [a b c]
}

func ExampleNewRetry() {
	// A store whose connection is cut during the first write.
	calls := 0
	var stored sinks.Memory
	store := inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
		if calls++; calls == 1 {
			return errors.New("connection reset")
		}
		return stored.Write(ctx, events)
	})
	sink, err := sinks.NewRetry(store, &sinks.RetryOptions{Attempts: 3, MinDelay: time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sink.Write(context.Background(), events("a", "b")))
	fmt.Println(ids(stored.Events()), "stored after", sink.Stats().Retries, "retry")
	// Output:
	// <nil>
	// [a b] stored after 1 retry
}

func ExampleNewRoute() {
	var people, orders, rest sinks.Memory
	sink, err := sinks.NewRoute([]sinks.Rule{
		{Name: "people", Sink: &people, Match: func(e *inlet.Event) bool { return e.Type == inlet.TypeIdentify }},
		{Name: "orders", Sink: &orders, Match: func(e *inlet.Event) bool { return e.Name == "Order Completed" }},
	}, &rest)
	if err != nil {
		fmt.Println(err)
		return
	}
	batch := events("a", "b", "c", "d")
	batch[1].Name = "Order Completed"
	batch[2].Type, batch[2].Name = inlet.TypeIdentify, ""
	fmt.Println(sink.Write(context.Background(), batch))
	fmt.Println(ids(people.Events()), ids(orders.Events()), ids(rest.Events()))
	// Output:
	// <nil>
	// [c] [b] [a d]
}

func ExampleNewTimeout() {
	// A client library that hangs and knows no context.
	answer := make(chan struct{})
	library := inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
		<-answer
		return nil
	})
	sink, err := sinks.NewTimeout(library, 10*time.Millisecond, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = sink.Write(context.Background(), events("a"))
	fmt.Println("in time:", !errors.Is(err, context.DeadlineExceeded), "hanging:", sink.Stats().Hanging)
	close(answer)
	fmt.Println(sink.Close(context.Background()), "hanging:", sink.Stats().Hanging)
	// Output:
	// in time: false hanging: 1
	// <nil> hanging: 0
}

func ExampleNewTransform() {
	var store sinks.Memory
	pseudonyms := map[string]string{"u": "7f3a"}
	sink, err := sinks.NewTransform(&store, func(_ context.Context, e *inlet.Event) error {
		pseudonym, ok := pseudonyms[e.UserID]
		if !ok {
			return inlet.Permanent(errors.New("the user is not known"))
		}
		e.UserID = pseudonym
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	batch := events("a", "b")
	batch[1].UserID = "stranger"
	fmt.Println(sink.Write(context.Background(), batch))
	for _, e := range store.Events() {
		fmt.Println(e.MessageID, e.UserID)
	}
	fmt.Println(batch[0].UserID) // what was lent is as it was
	// Output:
	// inlet: 1 events failed, first at index 1: sinks: Transform: the user is not known
	// a 7f3a
	// u
}
