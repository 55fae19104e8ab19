package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A sender sends events to a journal in the background, and then closes it.
type sender struct {
	store        *journal.Journal
	api          *inlet.Handler
	acknowledged atomic.Int64
	done         chan struct{}
	err          error // why it ended early; readable after done
}

// startSender sends c.events events to a journal in dir, unless ctx ends before.
func startSender(ctx context.Context, dir string, c config) (*sender, error) {
	store, err := journal.Open(dir, &journal.Options{WriteAhead: c.writeAhead})
	if err != nil {
		return nil, err
	}
	api, err := inlet.New(store, nil)
	if err != nil {
		return nil, errors.Join(err, store.Close(ctx))
	}
	s := &sender{store: store, api: api, done: make(chan struct{})}
	go s.run(ctx, c.events)
	return s, nil
}

func (s *sender) run(ctx context.Context, events int) {
	defer close(s.done)
	err := s.send(ctx, events)
	s.err = errors.Join(err, s.store.Close(context.WithoutCancel(ctx)))
}

// send sends an event every millisecond, from the host's own program. Events of clients arrive by
// HTTP, and are processed in the same way from there.
func (s *sender) send(ctx context.Context, events int) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	source := &inlet.Source{ID: "query"}
	for i := 0; i < events && ctx.Err() == nil; i++ {
		if err := s.api.Ingest(context.WithoutCancel(ctx), source, visit(i)); err != nil {
			return err
		}
		s.acknowledged.Add(1)
		<-tick.C
	}
	return nil
}

// visit returns the i-th event of the visitors.
func visit(i int) *inlet.Event {
	names := [...]string{"Product Viewed", "Product Viewed", "Product Added", "Product Viewed", "Order Completed"}
	return &inlet.Event{Type: inlet.TypeTrack, Name: names[i%len(names)], UserID: fmt.Sprintf("user-%d", i%100)}
}

// wait waits until the journal is closed.
func (s *sender) wait() error {
	<-s.done
	return s.err
}
