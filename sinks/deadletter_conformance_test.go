package sinks_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// withLetters is a DeadLetter that knows where its letters are.
type withLetters struct {
	*sinks.DeadLetter
	letters inlet.Sink
}

// withRefused adds to what is stored the events that were put aside.
func withRefused(t testing.TB, s inlet.Sink, stored []*inlet.Event) []*inlet.Event {
	for _, letter := range readMemory(t, s.(withLetters).letters) {
		stored = append(stored, sinks.WithoutRefusal(letter))
	}
	return stored
}

func TestDeadLetterConformance(t *testing.T) {
	t.Parallel()
	// Each is put between the DeadLetter and the sink of the suite.
	between := func(decorate func(inlet.Sink) inlet.Sink, letters func() inlet.Sink, f sinktest.Features) func(*testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			f.Durability, f.Partial = inlet.DurabilityMemory, true // Close may come between the two sinks
			sinktest.RunDecorator(t, sinktest.DecoratorHarness{
				New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
					d := withLetters{letters: letters()}
					d.DeadLetter = newDeadLetter(t, decorate(inner), d.letters, nil)
					return d
				},
				Read:     withRefused,
				Features: f,
			})
		}
	}
	itself := func(s inlet.Sink) inlet.Sink { return s }
	refusing := func(s inlet.Sink) inlet.Sink { return sinktest.Flaky(s, &sinktest.FlakyOptions{Refuse: 5}) }
	few := func(s inlet.Sink) inlet.Sink { return picky{s} }
	usual := func(s inlet.Sink) inlet.Sink {
		return newRetry(t, newTimeout(t, s, time.Minute, nil), &sinks.RetryOptions{MinDelay: time.Microsecond})
	}
	memory := func() inlet.Sink { return new(sinks.Memory) }

	t.Run("over the sink itself", between(itself, memory, sinktest.Features{Ordered: true}))
	t.Run("over a sink that refuses every fifth event", between(refusing, memory, sinktest.Features{}))
	t.Run("around the decorators that it is used with", between(usual, memory, sinktest.Features{Ordered: true}))
	t.Run("over a sink that takes few events at once", between(few, memory, sinktest.Features{Ordered: true}))
}

// TestDeadLetterConformanceOfTheLetters makes a letter of every event.
func TestDeadLetterConformanceOfTheLetters(t *testing.T) {
	t.Parallel()
	over := func(letters func() inlet.Sink, f sinktest.Features) func(*testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			f.Durability, f.Ordered, f.Partial = inlet.DurabilityMemory, true, true
			sinktest.Run(t, sinktest.Harness{
				New: func(t testing.TB) inlet.Sink {
					d := withLetters{letters: letters()}
					d.DeadLetter = newDeadLetter(t, refusesAll{}, d.letters, nil)
					return d
				},
				Read:     func(t testing.TB, s inlet.Sink) []*inlet.Event { return withRefused(t, s, nil) },
				Features: f,
			})
		}
	}
	t.Run("which are stored", over(func() inlet.Sink { return new(sinks.Memory) }, sinktest.Features{}))
	t.Run("of which some fail", over(
		func() inlet.Sink { return sinktest.Flaky(new(sinks.Memory), nil) }, sinktest.Features{Fails: true},
	))
	t.Run("whose sink hangs", over(
		func() inlet.Sink { return &hanging{hold: make(chan struct{}, 1)} },
		sinktest.Features{Stall: func(s inlet.Sink) func() { return s.(withLetters).letters.(*hanging).stall() }},
	))
}

// picky refuses every batch of more than 8 events.
type picky struct{ inlet.Sink }

func (s picky) Unwrap() inlet.Sink { return s.Sink }

func (s picky) Write(ctx context.Context, events []*inlet.Event) error {
	if len(events) > 8 {
		return inlet.Permanent(errors.New("too many events"))
	}
	return s.Sink.Write(ctx, events)
}

// refusesAll refuses all events, by name.
type refusesAll struct{}

func (refusesAll) Durability() inlet.Durability { return inlet.DurabilityReplicated }

func (refusesAll) Write(_ context.Context, events []*inlet.Event) error {
	all := make([]int, len(events))
	for i := range all {
		all[i] = i
	}
	return items(inlet.Permanent(errInner), all...)
}
