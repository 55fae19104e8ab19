package sinks_test

import (
	"testing"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

func TestTimeoutConformance(t *testing.T) {
	t.Parallel()
	over := func(inner func() inlet.Sink, f sinktest.Features) func(*testing.T) {
		return func(t *testing.T) {
			t.Parallel()
			f.Durability = inlet.DurabilityMemory
			sinktest.Run(t, sinktest.Harness{
				New:      func(t testing.TB) inlet.Sink { return newTimeout(t, inner(), time.Minute, nil) },
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

	t.Run("over a sink that hangs and looks at no context", over(
		func() inlet.Sink { return new(deaf) },
		sinktest.Features{Ordered: true, Grace: time.Second, Stall: func(s inlet.Sink) func() {
			release := s.(*sinks.Timeout).Unwrap().(*deaf).stall()
			return func() { release(nil) }
		}},
	))
}
