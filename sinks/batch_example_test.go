package sinks_test

import (
	"context"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
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
	for _, id := range []string{"a", "b", "c"} { // three clients at once
		go func() { results <- sink.Write(ctx, events(id)) }()
	}
	fmt.Println(<-results, <-results, <-results)
	fmt.Println(sink.Close(ctx))
	// Output:
	// insert of 3
	// <nil> <nil> <nil>
	// <nil>
}

// With Async, a client does not wait for the inner sink, and nobody but OnError
// hears that it failed.
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
