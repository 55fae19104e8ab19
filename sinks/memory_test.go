package sinks_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

func TestMemory(t *testing.T) {
	t.Parallel()

	t.Run("keeps copies in the order of the calls", func(t *testing.T) {
		t.Parallel()
		var m sinks.Memory
		e := event("a")
		e.Properties = json.RawMessage(`{"n":1}`)
		require.NoError(t, m.Write(t.Context(), []*inlet.Event{e, event("b")}))
		copy(e.Properties, "garbage")
		e.Name = "changed"
		require.NoError(t, m.Write(t.Context(), []*inlet.Event{event("c")}))

		stored := m.Events()
		require.Equal(t, []string{"a", "b", "c"}, ids(stored))
		require.Equal(t, `{"n":1}`, string(stored[0].Properties))
		require.Equal(t, "Signed Up", stored[0].Name)
	})

	t.Run("Events returns a copy of the slice", func(t *testing.T) {
		t.Parallel()
		var m sinks.Memory
		require.NoError(t, m.Write(t.Context(), events("a", "b")))
		m.Events()[0] = nil
		require.Equal(t, []string{"a", "b"}, ids(m.Events()))
	})

	t.Run("Reset removes events and does not reopen", func(t *testing.T) {
		t.Parallel()
		var m sinks.Memory
		require.NoError(t, m.Write(t.Context(), events("a")))
		m.Reset()
		require.Empty(t, m.Events())
		require.NoError(t, m.Write(t.Context(), events("b")))
		require.NoError(t, m.Close(t.Context()))
		m.Reset()
		require.ErrorIs(t, m.Write(t.Context(), events("c")), inlet.ErrClosed)
	})

	t.Run("a write beyond Capacity stores nothing", func(t *testing.T) {
		t.Parallel()
		m := sinks.Memory{Capacity: 2}
		require.NoError(t, m.Write(t.Context(), events("a")))
		require.ErrorIs(t, m.Write(t.Context(), events("b", "c")), inlet.ErrOverloaded)
		require.NoError(t, m.Check(t.Context()))
		require.NoError(t, m.Write(t.Context(), events("d")))
		require.ErrorIs(t, m.Check(t.Context()), inlet.ErrOverloaded)
		require.Equal(t, []string{"a", "d"}, ids(m.Events()))
	})

	t.Run("closed and still readable", func(t *testing.T) {
		t.Parallel()
		var m sinks.Memory
		require.NoError(t, m.Write(t.Context(), events("a")))
		require.NoError(t, m.Close(t.Context()))
		require.NoError(t, m.Close(t.Context()))
		require.ErrorIs(t, m.Check(t.Context()), inlet.ErrClosed)
		require.Equal(t, []string{"a"}, ids(m.Events()))
		require.Equal(t, inlet.DurabilityMemory, inlet.DurabilityOf(&m))
	})
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	var d sinks.Discard
	require.NoError(t, d.Write(t.Context(), events("a", "b")))
	require.NoError(t, d.Write(t.Context(), events("a")))
	require.EqualValues(t, 3, d.Stats().Events)
	require.Equal(t, inlet.DurabilityUnknown, inlet.DurabilityOf(&d), "it stores nothing and must not declare that it does")

	require.NoError(t, d.Close(t.Context()))
	require.NoError(t, d.Close(t.Context()))
	require.ErrorIs(t, d.Write(t.Context(), events("c")), inlet.ErrClosed)
	require.EqualValues(t, 3, d.Stats().Events)
}
