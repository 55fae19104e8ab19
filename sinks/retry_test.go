package sinks_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

func newRetry(t testing.TB, inner inlet.Sink, o *sinks.RetryOptions) *sinks.Retry {
	r, err := sinks.NewRetry(inner, o)
	require.NoError(t, err)
	return r
}

func TestRetry(t *testing.T) {
	t.Parallel()
	refused := inlet.Permanent(errors.New("poison"))
	mixed := &inlet.BatchError{Items: []inlet.ItemError{{Index: 3, Err: errInner}, {Index: 0, Err: refused}, {Index: 1, Err: inlet.ErrClosed}}}
	tests := []struct {
		name    string
		answers []error
		failed  []int // of a b c d
		inner   [][]string
		stored  []string
	}{
		{
			name:   "a stored event is written once",
			inner:  [][]string{{"a", "b", "c", "d"}},
			stored: []string{"a", "b", "c", "d"},
		},
		{
			name:    "a failed batch is retried",
			answers: []error{errInner, errInner},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b", "c", "d"}, {"a", "b", "c", "d"}},
			stored:  []string{"a", "b", "c", "d"},
		},
		{
			name:    "three attempts by default",
			answers: []error{errInner, errInner, errInner, errInner},
			failed:  []int{0, 1, 2, 3},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b", "c", "d"}, {"a", "b", "c", "d"}},
		},
		{
			name:    "only failed events are retried, in order",
			answers: []error{items(errInner, 3, 1), items(errInner, 1)},
			inner:   [][]string{{"a", "b", "c", "d"}, {"b", "d"}, {"d"}},
			stored:  []string{"a", "c", "b", "d"},
		},
		{
			name:    "indices refer to the caller's slice",
			answers: []error{items(errInner, 3, 1), items(errInner, 1), items(errInner, 0)},
			failed:  []int{3},
			inner:   [][]string{{"a", "b", "c", "d"}, {"b", "d"}, {"d"}},
			stored:  []string{"a", "c", "b"},
		},
		{
			name:    "a refused event is not retried",
			answers: []error{refused},
			failed:  []int{0, 1, 2, 3},
			inner:   [][]string{{"a", "b", "c", "d"}},
		},
		{
			name:    "a closed sink is not retried",
			answers: []error{inlet.ErrClosed},
			failed:  []int{0, 1, 2, 3},
			inner:   [][]string{{"a", "b", "c", "d"}},
		},
		{
			name:    "each event by its own error",
			answers: []error{mixed},
			failed:  []int{0, 1},
			inner:   [][]string{{"a", "b", "c", "d"}, {"d"}},
			stored:  []string{"c", "d"},
		},
		{
			name:    "a refusal in a later attempt is not retried",
			answers: []error{items(errInner, 1, 2), items(refused, 0)},
			failed:  []int{1},
			inner:   [][]string{{"a", "b", "c", "d"}, {"b", "c"}},
			stored:  []string{"a", "d", "c"},
		},
		{
			name:    "a malformed batch error fails all events",
			answers: []error{items(refused, 1, 7), items(refused, 1, 1)},
			inner:   [][]string{{"a", "b", "c", "d"}, {"a", "b", "c", "d"}, {"a", "b", "c", "d"}},
			stored:  []string{"a", "b", "c", "d"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				inner := &scripted{answers: tt.answers}
				r := newRetry(t, inner, nil)
				err := r.Write(t.Context(), events("a", "b", "c", "d"))
				requireFailed(t, tt.failed, err, 4)
				require.Equal(t, tt.inner, inner.calls)
				require.Equal(t, append([]string{}, tt.stored...), ids(inner.Events()))
				require.EqualValues(t, len(tt.inner)-1, r.Stats().Retries)
			})
		})
	}
}

func TestRetryErrors(t *testing.T) {
	t.Parallel()
	errOf := func(text string) error { return errors.New(text) }

	t.Run("unchanged, if it is for all events", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			last := inlet.RetryAfter(errOf("third"), time.Second)
			inner := &scripted{answers: []error{errOf("first"), errOf("second"), last}}
			require.Equal(t, last, newRetry(t, inner, nil).Write(t.Context(), events("a", "b")))
		})
	})

	t.Run("per event, if they failed in different attempts", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := &scripted{answers: []error{
				&inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: inlet.Permanent(errOf("refused"))}, {Index: 2, Err: errOf("first")}}},
				errOf("second"), errOf("third"),
			}}
			errs := inlet.ItemErrors(newRetry(t, inner, nil).Write(t.Context(), events("a", "b", "c")), 3)
			require.EqualError(t, errs[0], "refused")
			require.True(t, inlet.IsPermanent(errs[0]))
			require.NoError(t, errs[1])
			require.EqualError(t, errs[2], "third")
		})
	})
}

func TestRetrySlice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent, calls := events("a", "b"), 0
		r := newRetry(t, inlet.SinkFunc(func(_ context.Context, got []*inlet.Event) error {
			calls++
			require.Same(t, &sent[0], &got[0])
			return errInner
		}), nil)
		require.Equal(t, errInner, r.Write(t.Context(), sent))
		require.Equal(t, 3, calls)
	})
}

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	options := &sinks.RetryOptions{Attempts: 5, MinDelay: 100 * time.Millisecond, MaxDelay: 250 * time.Millisecond}
	soon := func(asked time.Duration) error { return inlet.RetryAfter(errInner, asked) }

	// write returns the times between the attempts, and what is left of the last.
	write := func(t *testing.T, ctx context.Context, answers ...error) (waits []time.Duration, total time.Duration, err error) {
		start := time.Now()
		last := start
		inner := &scripted{answers: answers}
		err = newRetry(t, inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			waits = append(waits, time.Since(last))
			last = time.Now()
			return inner.Write(ctx, events)
		}), options).Write(ctx, events("a", "b"))
		return waits[1:], time.Since(start), err
	}

	t.Run("random, with a maximum that doubles", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			longest := make([]time.Duration, 4)
			for range 300 {
				waits, _, err := write(t, t.Context(), errInner, errInner, errInner, errInner)
				require.NoError(t, err)
				require.Len(t, waits, 4)
				for i, wait := range waits {
					require.Positive(t, wait)
					longest[i] = max(longest[i], wait)
				}
			}
			for i, bound := range []time.Duration{100, 200, 250, 250} {
				require.LessOrEqual(t, longest[i], bound*time.Millisecond)
				require.Greater(t, longest[i], bound*time.Millisecond*9/10)
			}
		})
	})

	t.Run("at least RetryAfter, and random", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			seen := map[time.Duration]bool{}
			for range 50 {
				waits, _, err := write(t, t.Context(), soon(3*time.Second))
				require.NoError(t, err)
				require.Greater(t, waits[0], 3*time.Second)
				require.LessOrEqual(t, waits[0], 3*time.Second+100*time.Millisecond)
				seen[waits[0]] = true
			}
			require.Greater(t, len(seen), 40)
		})
	})

	t.Run("the longest RetryAfter of the pending events", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			waits, _, err := write(t, t.Context(), &inlet.BatchError{Items: []inlet.ItemError{
				{Index: 0, Err: soon(time.Second)},
				{Index: 1, Err: inlet.Permanent(soon(time.Hour))},
			}}, soon(2*time.Second), errInner)
			requireFailed(t, []int{1}, err, 2)
			require.Less(t, waits[0], 2*time.Second, "the refused event does not count")
			require.Greater(t, waits[1], 2*time.Second)
			require.LessOrEqual(t, waits[2], 250*time.Millisecond, "nor does an earlier RetryAfter")
		})
	})

	t.Run("none if the deadline is earlier", func(t *testing.T) {
		t.Parallel()
		for _, asked := range []time.Duration{10 * time.Second, 10*time.Second - 1, math.MaxInt64} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				waits, total, err := write(t, ctx, soon(asked))
				require.Equal(t, soon(asked), err)
				require.Empty(t, waits)
				require.Zero(t, total)
			})
		}
	})

	t.Run("ends with the context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(5*time.Second, func() { cancel(inlet.Permanent(errInner)) })
			waits, total, err := write(t, ctx, soon(time.Hour))
			require.Equal(t, soon(time.Hour), err)
			require.Empty(t, waits)
			require.Equal(t, 5*time.Second, total)
		})
	})

	t.Run("none if the context is done", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			waits, total, err := write(t, ctx, errInner)
			require.Equal(t, errInner, err)
			require.Empty(t, waits)
			require.Zero(t, total)
		})
	})
}

func TestRetryOptions(t *testing.T) {
	t.Parallel()

	t.Run("defaults wait for moments", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			down := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return errInner })
			r := newRetry(t, down, nil)
			for range 100 {
				start := time.Now()
				require.Equal(t, errInner, r.Write(t.Context(), events("a")))
				require.LessOrEqual(t, time.Since(start), 150*time.Millisecond)
			}
		})
	})

	t.Run("one attempt", func(t *testing.T) {
		t.Parallel()
		inner := &scripted{answers: []error{items(errInner, 1)}}
		r := newRetry(t, inner, &sinks.RetryOptions{Attempts: 1})
		requireFailed(t, []int{1}, r.Write(t.Context(), events("a", "b")), 2)
		require.Len(t, inner.calls, 1)
		require.Zero(t, r.Stats().Retries)
	})
}

func TestRetryPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		r := newRetry(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
			if calls++; calls == 2 {
				panic("broken")
			}
			return errInner
		}), nil)
		require.PanicsWithValue(t, "broken", func() { r.Write(t.Context(), events("a")) })
		require.Equal(t, 2, calls)
	})
}

func TestRetryAbilities(t *testing.T) {
	t.Parallel()
	inner := new(closeCounter)
	r := newRetry(t, inner, nil)
	require.Equal(t, inlet.DurabilityMemory, inlet.DurabilityOf(r))
	require.NoError(t, inlet.Close(t.Context(), r))
	require.Equal(t, 1, inner.closed)
	require.Equal(t, inlet.ErrClosed, r.Write(t.Context(), events("a")))
	require.Zero(t, r.Stats().Retries)
}
