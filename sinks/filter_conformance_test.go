package sinks_test

import (
	"testing"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinktest"
)

func TestFilterConformance(t *testing.T) {
	t.Parallel()
	const unwanted = "unwanted"
	sinktest.RunDecorator(t, sinktest.DecoratorHarness{
		New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
			return newFilter(t, inner, func(e *inlet.Event) bool { return e.Dialect != unwanted })
		},
		Features: sinktest.Features{
			Durability: inlet.DurabilityMemory,
			Ordered:    true,
			Drop:       func(e *inlet.Event) { e.Dialect = unwanted },
		},
	})
}
