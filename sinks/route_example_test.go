package sinks_test

import (
	"context"
	"fmt"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

func ExampleNewRoute() {
	var people, orders, rest sinks.Memory
	sink, err := sinks.NewRoute([]sinks.Rule{
		{Name: "people", Sink: &people, Match: func(e *inlet.Event) bool { return e.Type == inlet.TypeIdentify }},
		{Name: "orders", Sink: &orders, Match: func(e *inlet.Event) bool { return e.Name == "Order Completed" }},
	}, &rest)
	if err != nil {
		fmt.Println(err)
		return
	}
	batch := events("a", "b", "c", "d")
	batch[1].Name = "Order Completed"
	batch[2].Type, batch[2].Name = inlet.TypeIdentify, ""
	fmt.Println(sink.Write(context.Background(), batch))
	fmt.Println(ids(people.Events()), ids(orders.Events()), ids(rest.Events()))
	// Output:
	// <nil>
	// [c] [b] [a d]
}
