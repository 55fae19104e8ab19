package sinks_test

import (
	"context"
	"errors"
	"testing"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// withLetters is a DeadLetter that knows its sinks. What it acknowledges is in
// one of them.
type withLetters struct {
	*sinks.DeadLetter
	inner, letters inlet.Sink
}

func readWithLetters(t testing.TB, s inlet.Sink) []*inlet.Event {
	d := s.(withLetters)
	events := readMemory(t, d.inner)
	for _, letter := range readMemory(t, d.letters) {
		events = append(events, sinks.WithoutRefusal(letter))
	}
	return events
}

func TestDeadLetterConformance(t *testing.T) {
	t.Parallel()
	over := func(inner, letters func() inlet.Sink, f sinktest.Features) func(*testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			f.Durability = inlet.DurabilityMemory
			sinktest.Run(t, sinktest.Harness{
				New: func(t testing.TB) inlet.Sink {
					d := withLetters{inner: inner(), letters: letters()}
					d.DeadLetter = newDeadLetter(t, d.inner, d.letters, nil)
					return d
				},
				Read:     readWithLetters,
				Features: f,
			})
		}
	}
	memory := func() inlet.Sink { return new(sinks.Memory) }
	flaky := func() inlet.Sink { return sinktest.Flaky(new(sinks.Memory), nil) }

	t.Run("plain", over(memory, memory, sinktest.Features{Ordered: true}))

	t.Run("over sinks that fail now and then", over(flaky, flaky, sinktest.Features{Partial: true, Fails: true}))

	t.Run("over a sink that refuses every fifth event", over(
		func() inlet.Sink { return sinktest.Flaky(new(sinks.Memory), &sinktest.FlakyOptions{Refuse: 5}) }, memory,
		sinktest.Features{},
	))

	t.Run("over a sink that takes single events only", over(
		func() inlet.Sink { return &picky{most: 1} }, memory,
		sinktest.Features{Ordered: true, Partial: true},
	))

	t.Run("over a sink that hangs", over(
		func() inlet.Sink { return &hanging{hold: make(chan struct{}, 1)} }, memory,
		sinktest.Features{Ordered: true, Stall: func(s inlet.Sink) func() { return s.(withLetters).inner.(*hanging).stall() }},
	))

	t.Run("over a sink of letters that hangs", over(
		func() inlet.Sink { return sinktest.Flaky(new(sinks.Memory), &sinktest.FlakyOptions{Refuse: 2}) },
		func() inlet.Sink { return &hanging{hold: make(chan struct{}, 1)} },
		sinktest.Features{Partial: true, Stall: func(s inlet.Sink) func() { return s.(withLetters).letters.(*hanging).stall() }},
	))
}

// stall makes the sink hang until release is called.
func (h *hanging) stall() (release func()) {
	h.hold <- struct{}{}
	return func() { <-h.hold }
}

// picky is a Memory that refuses every batch of more than so many events.
type picky struct {
	sinks.Memory
	most int
}

func (s *picky) Write(ctx context.Context, events []*inlet.Event) error {
	if len(events) > s.most {
		return inlet.Permanent(errors.New("too many events"))
	}
	return s.Memory.Write(ctx, events)
}
