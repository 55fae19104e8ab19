package sinks_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

func newFilter(t testing.TB, inner inlet.Sink, keep func(*inlet.Event) bool) *sinks.Filter {
	f, err := sinks.NewFilter(inner, keep)
	require.NoError(t, err)
	return f
}

func TestFilter(t *testing.T) {
	t.Parallel()

	t.Run("outcome", func(t *testing.T) {
		t.Parallel()
		tests := []struct {
			name    string
			answer  error // of the inner sink
			write   []string
			inner   [][]string // what the inner sink was given
			failed  []int
			dropped uint64
		}{
			{"all kept", nil, []string{"a", "b"}, [][]string{{"a", "b"}}, nil, 0},
			{"some kept", nil, []string{"-", "a", "-", "-", "b"}, [][]string{{"a", "b"}}, nil, 3},
			{"none kept", errInner, []string{"-", "-"}, nil, nil, 2},
			{"kept events fail", errInner, []string{"-", "a", "-", "b"}, [][]string{{"a", "b"}}, []int{1, 3}, 2},
			{"some kept events fail", items(errInner, 1), []string{"-", "a", "-", "b", "c"}, [][]string{{"a", "b", "c"}}, []int{3}, 2},
			{"a malformed batch error fails kept events", items(inlet.Permanent(errInner), 9), []string{"-", "a"}, [][]string{{"a"}}, []int{1}, 1},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				inner := &scripted{answers: []error{tt.answer}}
				f := newFilter(t, inner, func(e *inlet.Event) bool { return e.MessageID != "-" })
				requireFailed(t, tt.failed, f.Write(t.Context(), events(tt.write...)), len(tt.write))
				require.Equal(t, tt.inner, inner.calls)
				require.Equal(t, tt.dropped, f.Stats().Dropped)
			})
		}
	})

	t.Run("same slice if all are kept", func(t *testing.T) {
		t.Parallel()
		var got []*inlet.Event
		f := newFilter(t, inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
			got = events
			return inlet.RetryAfter(errInner, time.Minute)
		}), func(*inlet.Event) bool { return true })
		sent := events("a", "b")
		err := f.Write(t.Context(), sent)
		require.Same(t, &sent[0], &got[0])
		require.Equal(t, inlet.RetryAfter(errInner, time.Minute), err, "and the error is unchanged")
	})

	// The outcome of each event of many calls must be what happened to it.
	t.Run("random outcomes", func(t *testing.T) {
		t.Parallel()
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 300 {
			var inner judge
			batch, fates := judged(rnd, 1+rnd.IntN(2*100))
			want := idsOf(batch, fates, stored)
			keep := make(map[string]bool)
			for i, e := range batch {
				keep[e.MessageID] = rnd.IntN(3) > 0
				if !keep[e.MessageID] {
					fates[i] = stored
					want = slices.DeleteFunc(want, func(id string) bool { return id == e.MessageID })
				}
			}
			f := newFilter(t, &inner, func(e *inlet.Event) bool { return keep[e.MessageID] })
			require.Equal(t, fates, verdicts(t, f.Write(t.Context(), batch), len(batch)))
			require.Equal(t, want, ids(inner.Events()))
		}
	})

	t.Run("panic", func(t *testing.T) {
		t.Parallel()
		var inner sinks.Memory
		f := newFilter(t, &inner, func(*inlet.Event) bool { panic("keep") })
		require.Equal(t, "keep", panicOf(func() { f.Write(t.Context(), events("a")) }))
		require.Empty(t, inner.Events())
		require.Zero(t, f.Stats().Dropped)
	})

	t.Run("abilities", func(t *testing.T) {
		t.Parallel()
		inner := &able{durability: inlet.DurabilityFsync}
		f := newFilter(t, inner, func(*inlet.Event) bool { return true })
		require.NoError(t, inlet.Close(t.Context(), f))
		require.Equal(t, 1, inner.closed)
		require.Equal(t, inlet.DurabilityFsync, inlet.DurabilityOf(f))
	})
}
