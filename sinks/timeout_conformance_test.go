package sinks_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

func TestTimeoutConformance(t *testing.T) {
	t.Parallel()
	sinktest.RunDecorator(t, sinktest.DecoratorHarness{
		New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
			silent := slog.New(slog.DiscardHandler) // of panics on purpose
			return newTimeout(t, inner, time.Minute, &sinks.TimeoutOptions{Logger: silent})
		},
		Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true, Bounds: true},
	})
}
