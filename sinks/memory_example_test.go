package sinks_test

import (
	"context"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

func ExampleMemory() {
	var sink sinks.Memory
	err := sink.Write(context.Background(), []*inlet.Event{{
		Type:       inlet.TypeTrack,
		Name:       "Order Completed",
		MessageID:  "m1",
		UserID:     "u1",
		ReceivedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Source:     &inlet.Source{ID: "web"},
	}})
	fmt.Println(err)
	for _, e := range sink.Events() {
		fmt.Printf("%s\n", e.AppendJSON(nil))
	}
	// Output:
	// <nil>
	// {"type":"track","event":"Order Completed","messageId":"m1","userId":"u1","receivedAt":"2026-01-02T03:04:05Z","sourceId":"web"}
}
