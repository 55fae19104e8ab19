package sinks_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

func ExampleNewTransform() {
	var store sinks.Memory
	pseudonyms := map[string]string{"u": "7f3a"}
	sink, err := sinks.NewTransform(&store, func(_ context.Context, e *inlet.Event) error {
		pseudonym, ok := pseudonyms[e.UserID]
		if !ok {
			return inlet.Permanent(errors.New("the user is not known"))
		}
		e.UserID = pseudonym
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	batch := events("a", "b")
	batch[1].UserID = "stranger"
	fmt.Println(sink.Write(context.Background(), batch))
	for _, e := range store.Events() {
		fmt.Println(e.MessageID, e.UserID)
	}
	fmt.Println(batch[0].UserID) // what was lent is as it was
	// Output:
	// inlet: 1 events failed, first at index 1: sinks: Transform: the user is not known
	// a 7f3a
	// u
}
