package sinks_test

import (
	"context"
	"fmt"

	"github.com/inlet-go/inlet/sinks"
)

func ExampleDiscard() {
	var sink sinks.Discard
	err := sink.Write(context.Background(), events("a", "b", "c"))
	fmt.Println(err, sink.Events())
	// Output: <nil> 3
}
