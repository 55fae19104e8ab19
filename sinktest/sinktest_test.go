package sinktest_test

import (
	"testing"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

func TestRun(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, sinktest.Harness{
		New:      func(testing.TB) inlet.Sink { return new(sinks.Memory) },
		Read:     func(_ testing.TB, s inlet.Sink) []*inlet.Event { return s.(*sinks.Memory).Events() },
		Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true},
	})
}
