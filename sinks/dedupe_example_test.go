package sinks_test

import (
	"context"
	"fmt"
	"time"

	"github.com/inlet-go/inlet/sinks"
)

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
	fmt.Println(len(store.Events()), "stored,", sink.Duplicates(), "duplicate")
	// Output:
	// <nil>
	// <nil>
	// 3 stored, 1 duplicate
}
