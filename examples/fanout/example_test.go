package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/inlet-go/inlet/sinks/httpsink"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A destination is a name and a sink. This one connects when the first event is delivered.
func Example() {
	dir, err := os.MkdirTemp("", "fanout")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := journal.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}

	warehouse, err := httpsink.New("https://events.shop.example", "its-write-key", nil)
	if err != nil {
		log.Fatal(err)
	}
	delivery, err := store.Deliver("warehouse", warehouse, nil)
	if err != nil {
		log.Fatal(err)
	}

	fmt.Println(delivery.Name(), "is", delivery.Stats().Behind, "behind")
	if err := store.Close(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: warehouse is 0 behind
}
