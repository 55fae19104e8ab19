package sinks_test

import (
	"testing"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

func TestRetryConformance(t *testing.T) {
	t.Parallel()
	sinktest.RunDecorator(t, sinktest.DecoratorHarness{
		New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
			return newRetry(t, inner, &sinks.RetryOptions{MinDelay: time.Microsecond})
		},
		Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true, Partial: true},
	})
}

// TestRetryHidesWhatPassesInTime promises over a flaky sink what only one that
// works can keep.
func TestRetryHidesWhatPassesInTime(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, sinktest.Harness{
		New: func(t testing.TB) inlet.Sink {
			flaky := sinktest.Flaky(new(sinks.Memory), &sinktest.FlakyOptions{Call: 3, Event: 4})
			return newRetry(t, flaky, &sinks.RetryOptions{Attempts: 100, MinDelay: time.Microsecond})
		},
		Read:     readMemory,
		Features: sinktest.Features{Durability: inlet.DurabilityMemory, Partial: true},
	})
}
