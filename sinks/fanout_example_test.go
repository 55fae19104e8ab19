package sinks_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

func ExampleNewFanout() {
	var archive, warehouse sinks.Memory
	dashboard := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return errors.New("no one is listening") })
	sink, err := sinks.NewFanout([]sinks.Leg{
		{Name: "archive", Sink: &archive},
		{Name: "warehouse", Sink: &warehouse},
		{Name: "dashboard", Sink: dashboard, BestEffort: true},
	}, &sinks.FanoutOptions{
		OnBestEffortFailure: func(_ context.Context, leg string, events int, err error) {
			fmt.Printf("%s: %d events: %v\n", leg, events, err)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sink.Write(context.Background(), events("a", "b")))
	fmt.Println(len(archive.Events()), len(warehouse.Events()))
	for _, s := range sink.Stats() {
		fmt.Printf("%s: %d stored, %d failed\n", s.Name, s.Stored, s.Failed)
	}
	// Output:
	// dashboard: 2 events: no one is listening
	// <nil>
	// 2 2
	// archive: 2 stored, 0 failed
	// warehouse: 2 stored, 0 failed
	// dashboard: 0 stored, 2 failed
}
