package sinktest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

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

func TestCheckWithoutReadAndFeatures(t *testing.T) {
	t.Parallel()
	newSink := func() inlet.Sink { return &broken{write: panicsAfterClose} }
	require.Contains(t, breaches(sinktest.Check(t.Context(), newSink, nil, nil)), closeBeside)
	require.NoError(t, sinktest.Check(t.Context(), func() inlet.Sink { return new(broken) }, nil, nil))
	require.ErrorContains(t, sinktest.Check(t.Context(), func() inlet.Sink { return nil }, nil, nil), "there is no sink")
}

func TestCheckStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := sinktest.Check(ctx, func() inlet.Sink {
		if calls++; calls == 3 {
			cancel()
		}
		return new(broken)
	}, nil, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 3, calls)
}
