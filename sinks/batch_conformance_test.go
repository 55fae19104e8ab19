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
			f.Durability, f.Gathers, f.Bounds = inlet.DurabilityMemory, true, true
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
		sinktest.Features{Ordered: true, Buffers: true},
	))
}
