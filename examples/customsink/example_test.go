package main

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/inlet-go/inlet"
)

// The README has this sink.
func Example() {
	sink := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		var lines []byte
		for _, e := range events {
			lines = append(e.AppendJSON(lines), '\n')
		}
		_, err := os.Stdout.Write(lines)
		return err // nil: all stored; anything else: the client sends them again
	})

	err := sink.Write(context.Background(), []*inlet.Event{{
		Type: inlet.TypeTrack, Name: "Signed Up", MessageID: "m1", UserID: "user-1",
		Timestamp:  time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		ReceivedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Source:     &inlet.Source{ID: "website"},
	}})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// {"type":"track","event":"Signed Up","messageId":"m1","userId":"user-1","timestamp":"2026-01-02T03:04:05Z","receivedAt":"2026-01-02T03:04:05Z","sourceId":"website"}
}
