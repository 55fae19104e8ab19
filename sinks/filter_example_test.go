package sinks_test

import (
	"context"
	"fmt"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

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
	fmt.Println(ids(store.Events()), sink.Dropped(), "dropped")
	// Output:
	// <nil>
	// [a c] 1 dropped
}
