package sinks_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

func TestBatchConformance(t *testing.T) {
	t.Parallel()
	decorates := func(o sinks.BatchOptions, f sinktest.Features) func(*testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			f.Durability, f.Gathers = inlet.DurabilityMemory, true
			o.Logger = slog.New(slog.DiscardHandler) // of panics on purpose
			sinktest.RunDecorator(t, sinktest.DecoratorHarness{
				New:      func(t testing.TB, inner inlet.Sink) inlet.Sink { return newBatch(t, inner, &o) },
				Features: f,
			})
		}
	}
	waits := sinktest.Features{Ordered: true, Partial: true}
	t.Run("by default", decorates(sinks.BatchOptions{}, waits))
	t.Run("in small batches", decorates(sinks.BatchOptions{MaxEvents: 5}, waits))
	t.Run("with a delay", decorates(sinks.BatchOptions{MaxEvents: 50, MaxDelay: time.Millisecond}, waits))
	t.Run("asynchronous", decorates(
		sinks.BatchOptions{MaxEvents: 50, Async: true, OnError: func([]*inlet.Event, error) {}},
		// No panics: the Flush that comes after one says, rightly, that events are
		// lost which were acknowledged before it.
		sinktest.Features{Ordered: true, Buffers: true, Panic: func(inlet.Sink) func() { return func() {} }},
	))
}

// batched is a Batch that knows its sink.
type batched struct {
	*sinks.Batch
	inner *deaf
}

func TestBatchConformanceOverASinkThatLooksAtNoContext(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, sinktest.Harness{
		New: func(t testing.TB) inlet.Sink {
			inner := new(deaf)
			return batched{newBatch(t, inner, nil), inner}
		},
		Read: func(_ testing.TB, s inlet.Sink) []*inlet.Event { return s.(batched).inner.Events() },
		Features: sinktest.Features{Ordered: true, Grace: time.Second, Stall: func(s inlet.Sink) func() {
			release := s.(batched).inner.stall()
			return func() { release(nil) }
		}},
	})
}
