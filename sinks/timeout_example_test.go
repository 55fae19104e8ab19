package sinks_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

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
	fmt.Println("in time:", !errors.Is(err, context.DeadlineExceeded), "hanging:", sink.Hanging())
	close(answer)
	fmt.Println(sink.Close(context.Background()), "hanging:", sink.Hanging())
	// Output:
	// in time: false hanging: 1
	// <nil> hanging: 0
}
