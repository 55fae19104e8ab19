package sinks_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

func ExampleNewDeadLetter() {
	// A warehouse that never takes the event b.
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
	fmt.Println(ids(stored.Events()), "stored,", sink.Letters(), "put aside")
	for _, letter := range letters.Events() {
		why, _ := sinks.RefusalOf(letter)
		fmt.Printf("%s: %s: %s\n", letter.MessageID, why.By, why.Error)
	}
	// Output:
	// <nil>
	// [a c] stored, 1 put aside
	// b: warehouse: no such column
}

// Once the cause is mended, letters can be sent again.
func ExampleWithoutRefusal() {
	letter := event("b")
	letter.Extra = []byte(`{"plan":"pro","_refused":{"error":"no such column","at":"2026-01-02T03:04:05Z"}}`)
	var mended sinks.Memory
	err := mended.Write(context.Background(), []*inlet.Event{sinks.WithoutRefusal(letter)})
	fmt.Println(err, string(mended.Events()[0].Extra))
	// Output: <nil> {"plan":"pro"}
}
