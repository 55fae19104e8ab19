package sinks_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

func TestDiscard(t *testing.T) {
	t.Parallel()
	var d sinks.Discard
	require.NoError(t, d.Write(t.Context(), events("a", "b")))
	require.NoError(t, d.Write(t.Context(), events("a")))
	require.EqualValues(t, 3, d.Events())
	require.Equal(t, inlet.DurabilityUnknown, inlet.DurabilityOf(&d), "it stores nothing and must not say that it does")

	require.NoError(t, d.Close(t.Context()))
	require.NoError(t, d.Close(t.Context()))
	require.ErrorIs(t, d.Write(t.Context(), events("c")), inlet.ErrClosed)
	require.EqualValues(t, 3, d.Events())
}
