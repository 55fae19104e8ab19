package httpsink_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinktest"
)

func TestAllocationsDoNotGrowWithTheEvents(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and drops what is pooled")
	}
	batch := sinktest.Events(400)
	s := newOffline(t, answered, nil)
	few := testing.AllocsPerRun(100, func() { require.NoError(t, s.Write(t.Context(), batch[:1])) })
	many := testing.AllocsPerRun(100, func() { require.NoError(t, s.Write(t.Context(), batch)) })
	require.Less(t, many-few, 8.0, "%v for one event, %v for %d", few, many, len(batch))
	require.Less(t, few, 60.0)
}
