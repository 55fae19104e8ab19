package sinks_test

import (
	"context"
	"testing"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

func TestDedupeConformance(t *testing.T) {
	t.Parallel()
	over := func(inner func() inlet.Sink, f sinktest.Features) func(*testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			f.Dedupes, f.Durability = true, inlet.DurabilityMemory
			sinktest.Run(t, sinktest.Harness{
				New: func(t testing.TB) inlet.Sink {
					return newDedupe(t, inner(), &sinks.DedupeOptions{MaxIDs: 10_000})
				},
				Read:     readMemory,
				Features: f,
			})
		}
	}

	t.Run("plain", over(func() inlet.Sink { return new(sinks.Memory) }, sinktest.Features{Ordered: true}))

	t.Run("over a sink that fails now and then", over(
		func() inlet.Sink { return sinktest.Flaky(new(sinks.Memory), nil) },
		sinktest.Features{Ordered: true, Partial: true, Fails: true},
	))

	t.Run("over a sink that hangs", over(
		func() inlet.Sink { return &hanging{hold: make(chan struct{}, 1)} },
		sinktest.Features{Ordered: true, Stall: func(s inlet.Sink) func() {
			h := s.(inlet.Unwrapper).Unwrap().(*hanging)
			h.hold <- struct{}{}
			return func() { <-h.hold }
		}},
	))
}

// hanging is a Memory that takes one write at a time, and none while its token
// is held.
type hanging struct {
	sinks.Memory
	hold chan struct{}
}

func (h *hanging) Write(ctx context.Context, events []*inlet.Event) error {
	select {
	case h.hold <- struct{}{}:
		defer func() { <-h.hold }()
		return h.Memory.Write(ctx, events)
	case <-ctx.Done():
		return ctx.Err()
	}
}
