package sinktest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

func ExampleCheck() {
	newSink := func() inlet.Sink { return new(sinks.Memory) }
	read := func(s inlet.Sink) []*inlet.Event { return s.(*sinks.Memory).Events() }

	err := sinktest.Check(context.Background(), newSink, read, &sinktest.Features{Ordered: true})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleCheckDecorator() {
	// It hands on Write, and nothing else.
	newDecorator := func(inner inlet.Sink) inlet.Sink { return inlet.SinkFunc(inner.Write) }

	err := sinktest.CheckDecorator(context.Background(), newDecorator, nil, nil)
	fmt.Println(err)
	// Output:
	// over a sink that works: a decorator must hand on Flush and what it says: that of the inner sink fails, and that of the decorator says: <nil>
	// over a sink that works: a decorator must hand on Check and what it says: that of the inner sink fails, and that of the decorator says: <nil>
	// over a sink that works: a decorator must hand on Close and what it says: that of the inner sink fails, and that of the decorator says: <nil>
	// over a sink that works: a decorator must close the sink that it wraps exactly once: it was closed 0 times
	// over a sink that fails now and then: a decorator must close the sink that it wraps exactly once: it was closed 0 times
}

func ExampleFlaky() {
	var store sinks.Memory
	sink := sinktest.Flaky(&store, &sinktest.FlakyOptions{Event: 3})

	err := sink.Write(context.Background(), sinktest.Events(4))
	var batch *inlet.BatchError
	if errors.As(err, &batch) {
		for _, item := range batch.Items {
			fmt.Println(item.Index, item.Err)
		}
	}
	fmt.Println(len(store.Events()), "stored")
	// Output:
	// 2 event 3: sinktest: failed on purpose
	// 3 stored
}

func ExampleEvents() {
	for _, e := range sinktest.Events(3) {
		fmt.Println(e.Type, e.UserID, e.Source.ID)
	}
	// Output:
	// track user-0 source-0
	// identify user-1 source-1
	// page user-2 source-2
}
