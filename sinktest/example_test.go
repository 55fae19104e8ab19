package sinktest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
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

// A store in whose text U+0000 cannot be, as in jsonb, and which orders the members of objects.
func ExampleFeatures() {
	newSink := func() inlet.Sink { return new(document) }
	read := func(s inlet.Sink) []*inlet.Event { return s.(*document).Events() }

	err := sinktest.Check(context.Background(), newSink, read, &sinktest.Features{
		Partial: true, NoNUL: true,
		Same: func(written, stored *inlet.Event) bool {
			return reflect.DeepEqual(decoded(written), decoded(stored))
		},
	})
	fmt.Println(err)
	// Output: <nil>
}

// A document is such a store.
type document struct{ sinks.Memory }

func (d *document) Write(ctx context.Context, events []*inlet.Event) error {
	var stored []*inlet.Event
	var refused []inlet.ItemError
	for i, e := range inlet.CloneEvents(events) {
		if bytes.Contains(e.AppendJSON(nil), []byte(`\u0000`)) {
			refused = append(refused, inlet.ItemError{Index: i, Err: inlet.Permanent(errors.New("U+0000 in a text"))})
			continue
		}
		e.Properties = normalised(e.Properties)
		stored = append(stored, e)
	}
	if err := d.Memory.Write(ctx, stored); err != nil {
		return err
	}
	if refused != nil {
		return &inlet.BatchError{Items: refused}
	}
	return nil
}

// decoded is an event as a value to compare, with its numbers as they were written.
func decoded(e *inlet.Event) (value any) {
	d := json.NewDecoder(bytes.NewReader(e.AppendJSON(nil)))
	d.UseNumber()
	_ = d.Decode(&value) // invalid JSON is nil, and differs
	return value
}
