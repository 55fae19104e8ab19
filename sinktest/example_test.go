package sinktest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// In a test of the package that has the sink.
func ExampleRun() {
	testConformance := func(t *testing.T) {
		sinktest.Run(t, sinktest.Harness{
			New:      func(testing.TB) inlet.Sink { return new(sinks.Memory) },
			Read:     func(_ testing.TB, s inlet.Sink) []*inlet.Event { return s.(*sinks.Memory).Events() },
			Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true},
		})
	}
	_ = testConformance // go test calls it
}

// In a test of the package that has the decorator.
func ExampleRunDecorator() {
	testConformance := func(t *testing.T) {
		sinktest.RunDecorator(t, sinktest.DecoratorHarness{
			New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
				s, err := sinks.NewRetry(inner, nil)
				if err != nil {
					t.Fatal(err)
				}
				return s
			},
			Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true, Partial: true},
		})
	}
	_ = testConformance // go test calls it
}

func ExampleCheck() {
	newSink := func() inlet.Sink { return new(sinks.Memory) }
	read := func(s inlet.Sink) []*inlet.Event { return s.(*sinks.Memory).Events() }

	err := sinktest.Check(context.Background(), newSink, read, &sinktest.Features{Ordered: true})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleCheckDecorator() {
	// It passes on Write, and nothing else.
	newDecorator := func(inner inlet.Sink) inlet.Sink { return inlet.SinkFunc(inner.Write) }

	err := sinktest.CheckDecorator(context.Background(), newDecorator, nil, nil)
	fmt.Println(err)
	// Output:
	// over a sink that works: a decorator must pass on Flush and its error: Flush of the inner sink fails, and that of the decorator returns <nil> (fix: implement the method, or Unwrap if the decorator has nothing to do in it)
	// over a sink that works: a decorator must pass on Check and its error: Check of the inner sink fails, and that of the decorator returns <nil> (fix: implement the method, or Unwrap if the decorator has nothing to do in it)
	// over a sink that works: a decorator must pass on Close and its error: Close of the inner sink fails, and that of the decorator returns <nil> (fix: implement the method, or Unwrap if the decorator has nothing to do in it)
	// over a sink that works: a decorator must close its inner sink exactly once: the inner sink was closed 0 times (fix: close the inner sink in Close, guarded by a sync.Once)
	// over a sink that fails at times: a decorator must close its inner sink exactly once: the inner sink was closed 0 times (fix: close the inner sink in Close, guarded by a sync.Once)
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
