package natssink_test

import (
	"context"
	"log"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
	"github.com/inlet-go/inlet/sinks/natssink"
)

// The stream is the sink of the handler: a 200 means that three machines have the events.
func ExampleNew() {
	ctx := context.Background()
	sink, err := natssink.New(ctx, "nats://n1.example,nats://n2.example,nats://n3.example", &natssink.Options{
		Migrate: true, Replicas: 3,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer sink.Close(ctx)

	handler, err := inlet.New(sink, &inlet.Options{RequireDurability: inlet.DurabilityReplicated})
	if err != nil {
		log.Fatal(err)
	}
	_ = handler
}

// While the stream is down, the journal takes the events, and feeds the stream afterwards.
func ExampleNew_fallback() {
	ctx := context.Background()
	stream, err := natssink.New(ctx, "nats://n1.example,nats://n2.example,nats://n3.example", &natssink.Options{
		Migrate: true, Replicas: 3,
	})
	if err != nil {
		log.Fatal(err)
	}
	store, err := journal.Open("inlet-data", nil)
	if err != nil {
		log.Fatal(err)
	}
	delivery, err := store.Deliver("stream", stream, &journal.DeliverOptions{MaxEvents: 1000})
	if err != nil {
		log.Fatal(err)
	}
	sink, err := sinks.NewFallback(stream, store, delivery.Drain, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer sink.Close(ctx)

	handler, err := inlet.New(sink, &inlet.Options{RequireDurability: inlet.DurabilityFsync})
	if err != nil {
		log.Fatal(err)
	}
	_ = handler
}
