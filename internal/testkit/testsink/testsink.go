// Package testsink has the sinks that the tests of several packages use.
package testsink

import (
	"context"
	"sync"

	"github.com/inlet-go/inlet"
)

// A Keeper is a sink that keeps copies of the events it is given. The zero value is
// ready to use. Its methods may be called concurrently.
type Keeper struct {
	// Respond decides what Write returns, after the events were kept. Defaults to nil:
	// every Write succeeds. Set it before the first Write.
	Respond func(ctx context.Context, events []*inlet.Event) error

	mu      sync.Mutex
	batches [][]*inlet.Event
}

// Failing returns a Keeper whose every Write returns err.
func Failing(err error) *Keeper {
	return &Keeper{Respond: func(context.Context, []*inlet.Event) error { return err }}
}

// Write keeps copies of the events, then calls Respond.
func (k *Keeper) Write(ctx context.Context, events []*inlet.Event) error {
	k.mu.Lock()
	k.batches = append(k.batches, inlet.CloneEvents(events))
	k.mu.Unlock()
	if k.Respond != nil {
		return k.Respond(ctx, events)
	}
	return nil
}

// Batches returns the copies of the events, one slice per call of Write.
func (k *Keeper) Batches() [][]*inlet.Event {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([][]*inlet.Event(nil), k.batches...)
}

// Events returns the copies of the events of all calls, in the order of the calls.
func (k *Keeper) Events() (events []*inlet.Event) {
	for _, batch := range k.Batches() {
		events = append(events, batch...)
	}
	return events
}

// Calls returns how often Write was called.
func (k *Keeper) Calls() int { return len(k.Batches()) }

// Reset forgets the events and the calls.
func (k *Keeper) Reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.batches = nil
}

// IDs returns the message ids of Events.
func (k *Keeper) IDs() []string {
	events := k.Events()
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.MessageID
	}
	return ids
}
