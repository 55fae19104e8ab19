package sinks_test

import (
	"context"
	"fmt"
	"os"

	"github.com/inlet-go/inlet/sinks"
)

func ExampleNewNDJSON() {
	sink, err := sinks.NewNDJSON(os.Stdout, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sink.Write(context.Background(), events("a", "b")))
	// Output:
	// {"type":"track","event":"Signed Up","messageId":"a","userId":"u","receivedAt":"2026-01-02T03:04:05Z","sourceId":"web"}
	// {"type":"track","event":"Signed Up","messageId":"b","userId":"u","receivedAt":"2026-01-02T03:04:05Z","sourceId":"web"}
	// <nil>
}
