package sinks_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

func TestMemoryConformance(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, sinktest.Harness{
		New:      func(testing.TB) inlet.Sink { return new(sinks.Memory) },
		Read:     readMemory,
		Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true},
	})
}

// readMemory reads the Memory at the end of a chain of decorators.
func readMemory(t testing.TB, s inlet.Sink) []*inlet.Event {
	for {
		switch inner := s.(type) {
		case interface{ Events() []*inlet.Event }:
			return inner.Events()
		case inlet.Unwrapper:
			s = inner.Unwrap()
		default:
			require.FailNow(t, "there is no Memory in the chain")
		}
	}
}

func TestDiscardConformance(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, sinktest.Harness{New: func(testing.TB) inlet.Sink { return new(sinks.Discard) }})
}
