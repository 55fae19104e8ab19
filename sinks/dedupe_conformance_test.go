package sinks_test

import (
	"testing"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

func TestDedupeConformance(t *testing.T) {
	t.Parallel()
	sinktest.RunDecorator(t, sinktest.DecoratorHarness{
		New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
			return newDedupe(t, inner, &sinks.DedupeOptions{MaxIDs: 10_000})
		},
		Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true, Dedupes: true, Partial: true},
	})
}
