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
	over := func(inner func() inlet.Sink, attempts int, f sinktest.Features) func(*testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			f.Durability = inlet.DurabilityMemory
			sinktest.Run(t, sinktest.Harness{
				New: func(t testing.TB) inlet.Sink {
					return newRetry(t, inner(), &sinks.RetryOptions{Attempts: attempts, MinDelay: time.Microsecond})
				},
				Read:     readMemory,
				Features: f,
			})
		}
	}

	t.Run("plain", over(func() inlet.Sink { return new(sinks.Memory) }, 3, sinktest.Features{Ordered: true}))

	t.Run("over a sink that fails now and then", over(
		func() inlet.Sink { return sinktest.Flaky(new(sinks.Memory), nil) }, 2,
		sinktest.Features{Partial: true, Fails: true},
	))

	t.Run("over a sink whose failures always pass in time", over(
		func() inlet.Sink { return sinktest.Flaky(new(sinks.Memory), &sinktest.FlakyOptions{Call: 3, Event: 4}) }, 100,
		sinktest.Features{Partial: true},
	))

	t.Run("over a sink that hangs", over(
		func() inlet.Sink { return &hanging{hold: make(chan struct{}, 1)} }, 3,
		sinktest.Features{Ordered: true, Stall: func(s inlet.Sink) func() { return s.(*sinks.Retry).Unwrap().(*hanging).stall() }},
	))
}
