package sinks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// newBatch makes a Batch that is closed at the end of the test.
func newBatch(t testing.TB, inner inlet.Sink, o *sinks.BatchOptions) *sinks.Batch {
	b, err := sinks.NewBatch(inner, o)
	require.NoError(t, err)
	t.Cleanup(func() { b.Close(context.Background()) })
	return b
}

// busy makes each Write take a second and ignore its context.
func busy(s inlet.Sink) inlet.Sink {
	return inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
		time.Sleep(time.Second)
		return s.Write(ctx, events)
	})
}

// begin starts a Write and waits until it is blocked.
func begin(t *testing.T, s inlet.Sink, ids ...string) chan error {
	result := write(t, s, ids...)
	synctest.Wait()
	return result
}

func TestBatch(t *testing.T) {
	t.Parallel()

	t.Run("groups concurrent writes", func(t *testing.T) {
		t.Parallel()
		poison := inlet.Permanent(errors.New("poison"))
		tests := []struct {
			name    string
			o       sinks.BatchOptions
			answers []error
			calls   [][]string // the first is being written when the others come
			failed  [][]int    // of each call
			inner   [][]string
			stored  int
		}{
			{
				name:   "one inner write, in order",
				calls:  [][]string{{"a"}, {"b", "c"}, {"d"}, {"e"}},
				inner:  [][]string{{"a"}, {"b", "c", "d", "e"}},
				stored: 5,
			},
			{
				name:   "at most MaxEvents",
				o:      sinks.BatchOptions{MaxEvents: 2},
				calls:  [][]string{{"a"}, {"b"}, {"c"}, {"d"}, {"e"}, {"f"}},
				inner:  [][]string{{"a"}, {"b", "c"}, {"d", "e"}, {"f"}},
				stored: 6,
			},
			{
				name:   "keeps a call together",
				o:      sinks.BatchOptions{MaxEvents: 3},
				calls:  [][]string{{"a"}, {"b", "c"}, {"d", "e"}, {"f"}},
				inner:  [][]string{{"a"}, {"b", "c"}, {"d", "e", "f"}},
				stored: 6,
			},
			{
				name:   "splits a call that is too large",
				o:      sinks.BatchOptions{MaxEvents: 3},
				calls:  [][]string{{"a"}, {"b"}, {"c", "d", "e", "f"}, {"g", "h"}, {"i"}},
				inner:  [][]string{{"a"}, {"b"}, {"c", "d", "e"}, {"f", "g", "h"}, {"i"}},
				stored: 9,
			},
			{
				name:    "each caller gets the errors of its events",
				answers: []error{nil, items(errInner, 0, 2, 4)},
				calls:   [][]string{{"a"}, {"b", "c"}, {"d"}, {"e", "f"}, {"g"}},
				failed:  [][]int{nil, {0}, {0}, {1}, nil},
				inner:   [][]string{{"a"}, {"b", "c", "d", "e", "f", "g"}},
				stored:  4,
			},
			{
				name:    "errors of a call in several batches",
				o:       sinks.BatchOptions{MaxEvents: 2},
				answers: []error{nil, items(errInner, 1), nil, errInner},
				calls:   [][]string{{"a"}, {"b", "c", "d", "e", "f"}},
				failed:  [][]int{nil, {1, 4}},
				inner:   [][]string{{"a"}, {"b", "c"}, {"d", "e"}, {"f"}},
				stored:  4,
			},
			{
				name:    "a temporary failure fails all events",
				answers: []error{nil, errInner},
				calls:   [][]string{{"a"}, {"b", "c"}, {"d"}},
				failed:  [][]int{nil, {0, 1}, {0}},
				inner:   [][]string{{"a"}, {"b", "c", "d"}},
				stored:  1,
			},
			{
				name:    "a refusal hits only the refused event",
				answers: []error{nil, poison, nil, poison, poison},
				calls:   [][]string{{"a"}, {"b", "c"}, {"d"}, {"e"}},
				failed:  [][]int{nil, nil, {0}, nil},
				inner:   [][]string{{"a"}, {"b", "c", "d", "e"}, {"b", "c"}, {"d", "e"}, {"d"}, {"e"}},
				stored:  4,
			},
			{
				name:    "a malformed batch error fails all events",
				answers: []error{nil, items(poison, 0, 9)},
				calls:   [][]string{{"a"}, {"b"}, {"c"}},
				failed:  [][]int{nil, {0}, {0}},
				inner:   [][]string{{"a"}, {"b", "c"}},
				stored:  1,
			},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					inner := &scripted{answers: tt.answers}
					b := newBatch(t, busy(inner), &tt.o)
					results := make([]chan error, len(tt.calls))
					for i, call := range tt.calls {
						results[i] = begin(t, b, call...)
					}
					for i, call := range tt.calls {
						var failed []int
						if tt.failed != nil {
							failed = tt.failed[i]
						}
						requireFailed(t, failed, <-results[i], len(call))
					}
					require.Equal(t, tt.inner, inner.calls)
					require.Len(t, inner.Events(), tt.stored)
					require.Zero(t, b.Stats().Pending)
				})
			})
		}
	})

	t.Run("error class", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := &scripted{answers: []error{
				&inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: inlet.Permanent(errInner)}, {Index: 1, Err: inlet.RetryAfter(errInner, time.Minute)}}},
			}}
			b := newBatch(t, inner, nil)
			errs := inlet.ItemErrors(b.Write(t.Context(), events("a", "b", "c")), 3)
			require.True(t, inlet.IsPermanent(errs[0]))
			require.False(t, inlet.IsPermanent(errs[1]))
			after, ok := inlet.RetryDelay(errs[1])
			require.True(t, ok)
			require.Equal(t, time.Minute, after)
			require.NoError(t, errs[2])
		})
	})

	t.Run("maximum bytes", func(t *testing.T) {
		t.Parallel()
		const most = 10_000
		batch := sinktest.Events(500)
		batch[7].Properties = append(append([]byte(`{"a":"`), bytes.Repeat([]byte("x"), 2*most)...), `"}`...)
		for _, callSize := range []int{1, 3, len(batch)} {
			synctest.Test(t, func(t *testing.T) {
				inner, writes, large := new(sinks.Memory), 0, 0
				b := newBatch(t, busy(inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
					size := 0
					for _, e := range events {
						size += len(e.AppendJSON(nil))
					}
					if len(events) > 1 {
						require.LessOrEqual(t, size, most)
					}
					if writes++; size > most/2 {
						large++
					}
					return inner.Write(ctx, events)
				})), &sinks.BatchOptions{MaxBytes: most, Async: true, OnError: func([]*inlet.Event, error) {}})
				for call := range slices.Chunk(batch, callSize) {
					require.NoError(t, b.Write(t.Context(), call))
				}
				require.NoError(t, b.Flush(t.Context()))
				require.Equal(t, ids(batch), ids(inner.Events()))
				require.Greater(t, large, writes*3/4, "the estimate is not far too large")
			})
		}
	})

	t.Run("overload", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			name string
			o    sinks.BatchOptions
		}{
			{"in number", sinks.BatchOptions{MaxPending: 3}},
			{"in bytes", sinks.BatchOptions{MaxPendingBytes: 1500}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					inner := new(scripted)
					b := newBatch(t, busy(inner), &tt.o)
					first := begin(t, b, "a")
					second := begin(t, b, "b", "c")
					require.Equal(t, 2, b.Stats().Pending)
					err := b.Write(t.Context(), events("d", "e"))
					require.ErrorIs(t, err, inlet.ErrOverloaded)
					require.False(t, inlet.IsPermanent(err))
					third := begin(t, b, "f")
					require.NoError(t, <-first)
					require.NoError(t, <-second)
					require.NoError(t, <-third)
					require.Equal(t, [][]string{{"a"}, {"b", "c", "f"}}, inner.calls)

					fourth := begin(t, b, "g")
					fifth := begin(t, b, "h", "i", "j", "k", "l")
					require.Empty(t, fifth, "one event is always accepted if nothing waits")
					require.NoError(t, b.Flush(t.Context()), "and so is a Flush")
					require.NoError(t, <-fourth)
					require.NoError(t, <-fifth)
				})
			})
		}
	})

	t.Run("check", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var log []string
			inner := &noted{name: "inner", log: &log, err: errInner}
			b := newBatch(t, inner, nil)
			require.Equal(t, errInner, inlet.Check(t.Context(), b))

			full := newBatch(t, busy(&sinks.Memory{}), &sinks.BatchOptions{MaxPending: 2})
			first := begin(t, full, "a")
			require.NoError(t, inlet.Check(t.Context(), full))
			second := begin(t, full, "b", "c")
			require.ErrorIs(t, inlet.Check(t.Context(), full), inlet.ErrOverloaded)
			require.NoError(t, <-first)
			require.NoError(t, <-second)
			require.NoError(t, full.Close(t.Context()))
			require.Equal(t, inlet.ErrClosed, inlet.Check(t.Context(), full))
		})
	})
}

func TestBatchDelay(t *testing.T) {
	t.Parallel()
	// written returns how long a Write of the ids takes, on its own.
	written := func(t *testing.T, o sinks.BatchOptions, ids ...string) time.Duration {
		b := newBatch(t, &sinks.Memory{}, &o)
		time.Sleep(time.Hour) // whatever has been idle
		start := time.Now()
		require.NoError(t, b.Write(t.Context(), events(ids...)))
		return time.Since(start)
	}

	t.Run("none by default", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			require.Zero(t, written(t, sinks.BatchOptions{}, "a"))
		})
	})

	t.Run("waits for other events", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(scripted)
			b := newBatch(t, inner, &sinks.BatchOptions{MaxDelay: time.Minute})
			start := time.Now()
			first := begin(t, b, "a")
			time.Sleep(59 * time.Second)
			second := begin(t, b, "b")
			require.NoError(t, <-first)
			require.NoError(t, <-second)
			require.Equal(t, time.Minute, time.Since(start), "from the first event on")
			require.Equal(t, [][]string{{"a", "b"}}, inner.calls)
		})
	})

	t.Run("includes the time of the inner write before", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := newBatch(t, busy(&sinks.Memory{}), &sinks.BatchOptions{MaxDelay: time.Second})
			start := time.Now()
			first := begin(t, b, "a")
			time.Sleep(1200 * time.Millisecond) // a is being written, until 2 s
			second := begin(t, b, "b")
			require.NoError(t, <-first)
			require.NoError(t, <-second)
			require.Equal(t, 3200*time.Millisecond, time.Since(start))
		})
	})

	t.Run("ends at MaxEvents", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			require.Zero(t, written(t, sinks.BatchOptions{MaxDelay: time.Minute, MaxEvents: 2}, "a", "b"))
		})
	})

	t.Run("ends at MaxBytes", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			require.Zero(t, written(t, sinks.BatchOptions{MaxDelay: time.Minute, MaxBytes: 400}, "a", "b"))
			require.Equal(t, time.Minute, written(t, sinks.BatchOptions{MaxDelay: time.Minute, MaxBytes: 5000}, "a", "b"))
		})
	})

	t.Run("ends with Flush", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := newBatch(t, &sinks.Memory{}, &sinks.BatchOptions{MaxDelay: time.Minute})
			start := time.Now()
			result := begin(t, b, "a")
			require.NoError(t, b.Flush(t.Context()))
			require.NoError(t, <-result)
			require.Zero(t, time.Since(start))
		})
	})

	t.Run("ends with Close", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := newBatch(t, &sinks.Memory{}, &sinks.BatchOptions{MaxDelay: time.Minute})
			start := time.Now()
			result := begin(t, b, "a")
			require.NoError(t, b.Close(t.Context()))
			require.NoError(t, <-result)
			require.Zero(t, time.Since(start))
		})
	})
}

func TestBatchContext(t *testing.T) {
	t.Parallel()
	requireUnknown := func(t *testing.T, err error) {
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, inlet.IsPermanent(err))
		require.Len(t, inlet.ItemErrors(err, 2), 2, "all events have failed")
	}
	// leaving returns a context that is done after d, for a reason of its own.
	leaving := func(t *testing.T, d time.Duration) context.Context {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(d, func() { cancel(inlet.Permanent(errInner)) })
		return ctx
	}

	t.Run("events of a caller that gave up are not written", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(scripted)
			b := newBatch(t, busy(inner), &sinks.BatchOptions{MaxEvents: 2})
			first := begin(t, b, "a")
			ctx := leaving(t, time.Second/2)
			requireUnknown(t, b.Write(ctx, events("b", "c", "d")))
			require.Zero(t, b.Stats().Pending)
			require.NoError(t, <-first)
			require.NoError(t, b.Write(t.Context(), events("e")))
			require.Equal(t, [][]string{{"a"}, {"e"}}, inner.calls)
		})
	})

	t.Run("nor is the rest of a call that was split", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(scripted)
			b := newBatch(t, busy(inner), &sinks.BatchOptions{MaxEvents: 2, MaxPendingBytes: 1500})
			requireUnknown(t, b.Write(leaving(t, time.Second*3/2), events("a", "b", "c", "d", "e")))
			require.Zero(t, b.Stats().Pending)
			result := begin(t, b, "f", "g")
			require.ErrorIs(t, b.Write(t.Context(), events("h", "i")), inlet.ErrOverloaded, "its bytes are subtracted once")
			require.NoError(t, <-result)
			require.Equal(t, [][]string{{"a", "b"}, {"c", "d"}, {"f", "g"}}, inner.calls)
		})
	})

	t.Run("an outcome that arrives as the context ends", func(t *testing.T) {
		t.Parallel()
		var leave context.CancelFunc
		b := newBatch(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
			leave()
			return nil
		}), nil)
		for range 10_000 {
			ctx, cancel := context.WithCancel(t.Context())
			leave = cancel
			err := b.Write(ctx, events("a"))
			cancel()
			if err == nil {
				return
			}
			require.ErrorIs(t, err, context.Canceled)
		}
		require.Fail(t, "it never is")
	})

	t.Run("events are cloned", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(scripted)
			b := newBatch(t, busy(inner), nil)
			sent := events("a", "b")
			sent[0].Properties = []byte(`{"n":1}`)
			requireUnknown(t, b.Write(leaving(t, time.Second/2), sent))
			copy(sent[0].Properties, "garbage")
			sent[0].Name, sent[1] = "changed", nil
			require.NoError(t, b.Flush(t.Context()))
			require.Equal(t, []string{"a", "b"}, ids(inner.Events()))
			require.Equal(t, `{"n":1}`, string(inner.Events()[0].Properties))
			require.Equal(t, "Signed Up", inner.Events()[0].Name)
		})
	})

	t.Run("done before the write", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			for _, async := range []bool{false, true} {
				inner := new(scripted)
				b := newBatch(t, inner, &sinks.BatchOptions{Async: async, OnError: func([]*inlet.Event, error) {}})
				ctx := leaving(t, 0)
				time.Sleep(time.Nanosecond)
				requireUnknown(t, b.Write(ctx, events("a", "b")))
				require.NoError(t, b.Flush(t.Context()))
				require.Empty(t, inner.calls)
			}
		})
	})

	t.Run("inner write has a deadline and no values", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			type key struct{}
			b := newBatch(t, inlet.SinkFunc(func(ctx context.Context, _ []*inlet.Event) error {
				require.Nil(t, ctx.Value(key{}))
				<-ctx.Done()
				return ctx.Err()
			}), nil)
			start := time.Now()
			err := b.Write(context.WithValue(t.Context(), key{}, "value"), events("a"))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 10*time.Second, time.Since(start))
		})
	})
}

func TestBatchFlush(t *testing.T) {
	t.Parallel()

	t.Run("waits for queued events, flushes the inner sink", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var log []string
			inner := &noted{name: "inner", log: &log, err: errInner}
			b := newBatch(t, inlet.SinkFunc(inner.Write), &sinks.BatchOptions{MaxEvents: 2})
			require.NoError(t, b.Flush(t.Context()), "nothing to do")

			b = newBatch(t, slowly{inner}, &sinks.BatchOptions{MaxEvents: 2})
			begin(t, b, "a")
			begin(t, b, "b", "c", "d")
			start := time.Now()
			require.ErrorIs(t, b.Flush(t.Context()), errInner)
			require.Equal(t, 3*time.Second, time.Since(start))
			require.Equal(t, []string{"a", "b", "c", "d"}, ids(inner.Events()))
			require.Equal(t, []string{"flush inner"}, log)
		})
	})

	t.Run("returns with its context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := newBatch(t, busy(&sinks.Memory{}), &sinks.BatchOptions{MaxDelay: time.Minute})
			first := begin(t, b, "a")
			require.NoError(t, b.Flush(t.Context()))
			require.NoError(t, <-first)

			second := begin(t, b, "b")
			time.Sleep(time.Minute)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
			defer cancel()
			require.ErrorIs(t, b.Flush(ctx), context.DeadlineExceeded)
			require.NoError(t, <-second)
			start := time.Now()
			require.NoError(t, b.Write(t.Context(), events("c")))
			require.Equal(t, time.Minute+time.Second, time.Since(start), "no flush is left")
		})
	})

	t.Run("fails after Close", func(t *testing.T) {
		t.Parallel()
		b := newBatch(t, &sinks.Memory{}, nil)
		require.NoError(t, b.Close(t.Context()))
		require.Equal(t, inlet.ErrClosed, b.Flush(t.Context()))
	})
}

// slowly is a noted sink whose Writes take a second each.
type slowly struct{ *noted }

func (s slowly) Write(ctx context.Context, events []*inlet.Event) error {
	return busy(s.noted).Write(ctx, events)
}

func TestBatchClose(t *testing.T) {
	t.Parallel()

	t.Run("writes queued events, closes the inner sink once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(closeCounter)
			b := newBatch(t, inlet.Sink(slowCloser{inner}), &sinks.BatchOptions{MaxEvents: 1})
			results := []chan error{begin(t, b, "a"), begin(t, b, "b"), begin(t, b, "c")}
			first, second := closeBeside(t, b), closeBeside(t, b)
			synctest.Wait()
			require.Equal(t, inlet.ErrClosed, b.Write(t.Context(), events("d")))
			for _, result := range results {
				require.NoError(t, <-result)
			}
			require.NoError(t, <-first)
			require.NoError(t, <-second)
			require.NoError(t, inlet.Close(t.Context(), b))
			require.Equal(t, 1, inner.closed)
			require.Equal(t, []string{"a", "b", "c"}, ids(inner.Events()))
		})
	})

	t.Run("gives up with its context, can be called again", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(deaf)
			release := inner.stall()
			b := newBatch(t, inner, nil)
			first, second := begin(t, b, "a"), begin(t, b, "b")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			require.ErrorIs(t, b.Close(ctx), context.DeadlineExceeded)
			require.Equal(t, time.Second, time.Since(start))
			require.Equal(t, 1, inner.closed)

			again := closeBeside(t, b)
			synctest.Wait()
			require.Empty(t, again, "a write still hangs")
			release(nil)
			require.NoError(t, <-again)
			require.Equal(t, 1, inner.closed)
			require.ErrorIs(t, <-first, inlet.ErrClosed, "the error of the inner sink")
			err := <-second
			require.ErrorIs(t, err, context.Canceled)
			require.False(t, inlet.IsPermanent(err))
			require.EqualValues(t, 1, inner.entered.Load(), "what waited was not written")
		})
	})

	t.Run("cancels inner writes with its context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := &hanging{hold: make(chan struct{}, 1)}
			inner.hold <- struct{}{}
			b := newBatch(t, inner, &sinks.BatchOptions{WriteTimeout: time.Hour})
			result := begin(t, b, "a")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, b.Close(ctx), context.DeadlineExceeded)
			require.ErrorIs(t, <-result, context.Canceled)
		})
	})

	t.Run("returns the error of the inner sink", func(t *testing.T) {
		t.Parallel()
		var log []string
		b := newBatch(t, &noted{log: &log, err: errInner}, nil)
		require.ErrorIs(t, b.Close(t.Context()), errInner)
		require.ErrorIs(t, b.Close(t.Context()), errInner)
		require.Len(t, log, 1)
	})
}

// slowCloser is a closeCounter whose Writes take a second.
type slowCloser struct{ *closeCounter }

func (s slowCloser) Write(ctx context.Context, events []*inlet.Event) error {
	return busy(s.closeCounter).Write(ctx, events)
}

func TestBatchAsync(t *testing.T) {
	t.Parallel()

	t.Run("returns once the events are queued", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(scripted)
			b := newBatch(t, busy(inner), &sinks.BatchOptions{Async: true, OnError: func([]*inlet.Event, error) {}})
			start := time.Now()
			sent := events("a", "b")
			sent[0].Properties = []byte(`{"n":1}`)
			require.NoError(t, b.Write(t.Context(), sent))
			copy(sent[0].Properties, "garbage")
			require.NoError(t, b.Write(t.Context(), events("c")))
			require.NoError(t, b.Write(t.Context(), events("d")))
			require.Zero(t, time.Since(start))
			require.Empty(t, inner.Events())
			require.NoError(t, b.Close(t.Context()))
			require.Equal(t, []string{"a", "b", "c", "d"}, ids(inner.Events()))
			require.Equal(t, `{"n":1}`, string(inner.Events()[0].Properties))
		})
	})

	t.Run("OnError gets failed events and their errors", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := &scripted{answers: []error{nil, items(errInner, 1, 3), errInner}}
			type report struct {
				ids  []string
				errs []error
			}
			var reports []report
			b := newBatch(t, busy(inner), &sinks.BatchOptions{Async: true, MaxEvents: 4, OnError: func(events []*inlet.Event, err error) {
				reports = append(reports, report{ids(events), inlet.ItemErrors(err, len(events))})
			}})
			for _, call := range [][]string{{"a"}, {"b", "c"}, {"d", "e"}, {"f"}} {
				require.NoError(t, b.Write(t.Context(), events(call...)))
				synctest.Wait()
			}
			require.ErrorContains(t, b.Flush(t.Context()), "3 events", "they were acknowledged")
			require.Len(t, reports, 2)
			require.Equal(t, []string{"c", "e"}, reports[0].ids)
			require.ErrorContains(t, reports[0].errs[0], "item 1")
			require.ErrorContains(t, reports[0].errs[1], "item 3")
			require.Equal(t, report{[]string{"f"}, []error{errInner}}, reports[1])
			require.EqualValues(t, 3, b.Stats().Failed)
			require.NoError(t, b.Flush(t.Context()), "nothing new has failed")
		})
	})

	t.Run("OnError gets what Close could not write", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(deaf)
			release := inner.stall()
			var lost []string
			b := newBatch(t, inner, &sinks.BatchOptions{Async: true, OnError: func(events []*inlet.Event, _ error) { lost = append(lost, ids(events)...) }})
			require.NoError(t, b.Write(t.Context(), events("a")))
			synctest.Wait()
			require.NoError(t, b.Write(t.Context(), events("b", "c")))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.Error(t, b.Close(ctx))
			release(nil)
			require.NoError(t, b.Close(t.Context()))
			require.Equal(t, []string{"a", "b", "c"}, lost)
		})
	})

	t.Run("durability is memory at most", func(t *testing.T) {
		t.Parallel()
		var log []string
		for inner, want := range map[inlet.Durability]inlet.Durability{
			inlet.DurabilityReplicated: inlet.DurabilityMemory,
			inlet.DurabilityMemory:     inlet.DurabilityMemory,
			inlet.DurabilityUnknown:    inlet.DurabilityUnknown,
		} {
			sink := &noted{log: &log, durability: inner}
			async := newBatch(t, sink, &sinks.BatchOptions{Async: true, OnError: func([]*inlet.Event, error) {}})
			require.Equal(t, want, inlet.DurabilityOf(async))
			require.Equal(t, inner, inlet.DurabilityOf(newBatch(t, sink, nil)))
		}
	})
}

func TestBatchPanics(t *testing.T) {
	t.Parallel()

	t.Run("in the inner sink, a temporary failure", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			calls := 0
			inner := new(sinks.Memory)
			b := newBatch(t, busy(inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
				if calls++; calls == 2 {
					panic(inlet.Permanent(errInner))
				}
				return inner.Write(ctx, events)
			})), &sinks.BatchOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			first, second, third := begin(t, b, "a"), begin(t, b, "b"), begin(t, b, "c")
			require.NoError(t, <-first)
			for _, result := range []chan error{second, third} {
				err := <-result
				require.ErrorContains(t, err, errInner.Error())
				require.False(t, inlet.IsPermanent(err))
			}
			require.Contains(t, log.String(), errInner.Error())
			require.Contains(t, log.String(), "batch_test.go", "no stack")
			require.NoError(t, b.Write(t.Context(), events("d")))
			require.Equal(t, []string{"a", "d"}, ids(inner.Events()))
		})
	})

	t.Run("in the inner sink, reported to OnError", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var lost []string
			b := newBatch(t, busy(inlet.SinkFunc(func(context.Context, []*inlet.Event) error { panic("broken") })), &sinks.BatchOptions{
				Async: true, Logger: slog.New(slog.DiscardHandler),
				OnError: func(events []*inlet.Event, _ error) { lost = append(lost, ids(events)...) },
			})
			require.NoError(t, b.Write(t.Context(), events("a")))
			require.Error(t, b.Flush(t.Context()))
			require.Equal(t, []string{"a"}, lost)
		})
	})

	t.Run("in OnError", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			inner := &scripted{answers: []error{errInner}}
			b := newBatch(t, busy(inner), &sinks.BatchOptions{
				Async: true, Logger: slog.New(slog.NewTextHandler(&log, nil)),
				OnError: func([]*inlet.Event, error) { panic("broken hook") },
			})
			require.NoError(t, b.Write(t.Context(), events("a")))
			require.Error(t, b.Flush(t.Context()))
			require.NoError(t, b.Write(t.Context(), events("b")))
			require.NoError(t, b.Flush(t.Context()))
			require.Equal(t, []string{"b"}, ids(inner.Events()))
			require.Contains(t, log.String(), "broken hook")
		})
	})
}

// TestBatchStress lets many callers, some of which give up, write calls of many
// sizes over an inner sink that fails at random, and requires that what was
// acknowledged is stored, and what was refused is not.
func TestBatchStress(t *testing.T) {
	t.Parallel()
	const writers, calls = 16, 150
	var inner sinks.Memory
	b := newBatch(t, sinktest.Flaky(&inner, &sinktest.FlakyOptions{Call: 5, Event: 7, Refuse: 11}),
		&sinks.BatchOptions{MaxEvents: 8, MaxDelay: 10 * time.Microsecond})
	var mu sync.Mutex
	said := map[string]error{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 7))
			for c := range calls {
				batch := make([]string, 1+rnd.IntN(20))
				for i := range batch {
					batch[i] = fmt.Sprintf("%d-%d-%d", w, c, i)
				}
				patience := time.Duration(rnd.IntN(5)) * time.Millisecond
				if c%4 == 0 {
					patience = time.Hour // some never give up, on the slowest machine
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				err := b.Write(ctx, events(batch...))
				cancel()
				if errors.Is(err, context.DeadlineExceeded) {
					continue
				}
				errs := inlet.ItemErrors(err, len(batch))
				mu.Lock()
				for i, id := range batch {
					said[id] = nil
					if errs != nil {
						said[id] = errs[i]
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.NoError(t, b.Close(t.Context()))
	require.Zero(t, b.Stats().Pending)
	stored := map[string]bool{}
	for _, id := range ids(inner.Events()) {
		require.False(t, stored[id], "%s is stored twice", id)
		stored[id] = true
	}
	outcomes := map[bool]int{}
	for id, err := range said {
		require.Equal(t, err == nil, stored[id], "%s: %v", id, err)
		outcomes[err == nil]++
	}
	require.Greater(t, outcomes[true], 100)
	require.Greater(t, outcomes[false], 100)
}
