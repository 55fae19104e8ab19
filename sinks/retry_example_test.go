package sinks_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

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
	fmt.Println(ids(stored.Events()), "stored after", sink.Retries(), "retry")
	// Output:
	// <nil>
	// [a b] stored after 1 retry
}
