package sinks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

func newTimeout(t testing.TB, inner inlet.Sink, limit time.Duration, o *sinks.TimeoutOptions) *sinks.Timeout {
	s, err := sinks.NewTimeout(inner, limit, o)
	require.NoError(t, err)
	return s
}

// deaf is a Memory that hangs on demand and ignores its context.
type deaf struct {
	sinks.Memory
	entered atomic.Int64 // Writes that have begun to hang
	stalled atomic.Pointer[stall]
	closed  int
}

type stall struct {
	over chan struct{}
	err  error
}

// stall makes all Writes hang until release is called. They then panic with err,
// unless it is nil.
func (s *deaf) stall() (release func(err error)) {
	w := &stall{over: make(chan struct{})}
	s.stalled.Store(w)
	return func(err error) {
		s.stalled.Store(nil)
		w.err = err
		close(w.over)
	}
}

func (s *deaf) Write(ctx context.Context, events []*inlet.Event) error {
	if w := s.stalled.Load(); w != nil {
		s.entered.Add(1)
		<-w.over
		if w.err != nil {
			panic(w.err)
		}
	}
	return s.Memory.Write(ctx, events)
}

func (s *deaf) Close(ctx context.Context) error {
	s.closed++
	return s.Memory.Close(ctx)
}

func TestTimeout(t *testing.T) {
	t.Parallel()

	t.Run("in time", func(t *testing.T) {
		t.Parallel()
		for _, want := range []error{nil, errInner, inlet.Permanent(errInner), inlet.RetryAfter(errInner, time.Minute), items(errInner, 1)} {
			synctest.Test(t, func(t *testing.T) {
				inner := &scripted{answers: []error{want}}
				s := newTimeout(t, inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
					time.Sleep(time.Second - 1)
					return inner.Write(ctx, events)
				}), time.Second, nil)
				require.Equal(t, want, s.Write(t.Context(), events("a", "b")))
				require.Zero(t, s.Stats().Hanging)
			})
		}
	})

	t.Run("context of the inner write", func(t *testing.T) {
		t.Parallel()
		type key struct{}
		for _, tt := range []struct {
			name                string
			limit, caller, want time.Duration
		}{
			{"limit", time.Second, time.Minute, time.Second},
			{"earlier deadline of the caller", time.Minute, time.Second, time.Second},
		} {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), tt.caller)
					defer cancel()
					s := newTimeout(t, inlet.SinkFunc(func(ctx context.Context, _ []*inlet.Event) error {
						deadline, ok := ctx.Deadline()
						require.True(t, ok)
						require.Equal(t, tt.want, time.Until(deadline))
						require.Equal(t, "value", ctx.Value(key{}))
						return ctx.Err()
					}), tt.limit, nil)
					require.NoError(t, s.Write(ctx, events("a")))
				})
			})
		}
	})

	t.Run("the inner sink gets clones", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(deaf)
			release := inner.stall()
			s := newTimeout(t, inner, time.Second, nil)
			sent := events("a", "b")
			sent[0].Properties = json.RawMessage(`{"n":1}`)
			require.Error(t, s.Write(t.Context(), sent))
			copy(sent[0].Properties, "garbage")
			sent[0].Name = "changed"
			sent[1] = nil
			release(nil)
			synctest.Wait()
			require.Equal(t, []string{"a", "b"}, ids(inner.Events()))
			require.Equal(t, `{"n":1}`, string(inner.Events()[0].Properties))
			require.Equal(t, "Signed Up", inner.Events()[0].Name)
		})
	})

	t.Run("abilities", func(t *testing.T) {
		t.Parallel()
		var log []string
		inner := &noted{name: "inner", log: &log, err: errInner, durability: inlet.DurabilityFsync}
		s := newTimeout(t, inner, time.Second, nil)
		require.Equal(t, errInner, inlet.Flush(t.Context(), s))
		require.Equal(t, errInner, inlet.Check(t.Context(), s))
		require.Equal(t, []string{"flush inner", "check inner"}, log)
		require.Equal(t, inlet.DurabilityFsync, inlet.DurabilityOf(s))
	})
}

func TestTimeoutHanging(t *testing.T) {
	t.Parallel()
	requireUnknown := func(t *testing.T, err, cause error) {
		require.ErrorIs(t, err, cause)
		require.False(t, inlet.IsPermanent(err))
		require.Len(t, inlet.ItemErrors(err, 2), 2, "all events have failed")
	}

	t.Run("at the limit", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(deaf)
			release := inner.stall()
			s := newTimeout(t, inner, time.Second, nil)
			start := time.Now()
			requireUnknown(t, s.Write(t.Context(), events("a", "b")), context.DeadlineExceeded)
			require.Equal(t, time.Second, time.Since(start))
			require.Equal(t, 1, s.Stats().Hanging)
			release(nil)
			synctest.Wait()
			require.Zero(t, s.Stats().Hanging)
		})
	})

	t.Run("with its context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(deaf)
			release := inner.stall()
			s := newTimeout(t, inner, time.Minute, nil)
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(inlet.Permanent(errInner)) })
			start := time.Now()
			requireUnknown(t, s.Write(ctx, events("a", "b")), context.Canceled)
			require.Equal(t, time.Second, time.Since(start))
			release(nil)
		})
	})

	t.Run("context done before the write", func(t *testing.T) {
		t.Parallel()
		inner := new(sinks.Memory)
		s := newTimeout(t, inner, time.Minute, nil)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(inlet.Permanent(errInner))
		for range 100 {
			requireUnknown(t, s.Write(ctx, events("a", "b")), context.Canceled)
		}
		require.Empty(t, inner.Events())
	})
}

func TestTimeoutBulkhead(t *testing.T) {
	t.Parallel()

	t.Run("rejects calls", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(deaf)
			release := inner.stall()
			s := newTimeout(t, inner, time.Second, &sinks.TimeoutOptions{MaxHanging: 2})
			for range 2 {
				require.NoError(t, inlet.Check(t.Context(), s))
				require.ErrorIs(t, s.Write(t.Context(), events("a")), context.DeadlineExceeded)
			}
			start := time.Now()
			err := s.Write(t.Context(), events("b"))
			require.ErrorIs(t, err, inlet.ErrOverloaded)
			require.False(t, inlet.IsPermanent(err))
			require.Zero(t, time.Since(start))
			require.ErrorIs(t, inlet.Check(t.Context(), s), inlet.ErrOverloaded)
			require.EqualValues(t, 2, inner.entered.Load())

			release(nil)
			synctest.Wait()
			require.NoError(t, inlet.Check(t.Context(), s))
			require.NoError(t, s.Write(t.Context(), events("c")))
			require.NotContains(t, ids(inner.Events()), "b")
		})
	})

	t.Run("bounds goroutines", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(deaf)
			release := inner.stall()
			s := newTimeout(t, inner, time.Second, nil)
			for range 1000 {
				require.Error(t, s.Write(t.Context(), events("a")))
			}
			require.Equal(t, 16, s.Stats().Hanging, "the default")
			require.EqualValues(t, 16, inner.entered.Load())
			release(nil)
		})
	})

	// The caller and the inner Write end at the same time, and every call must be
	// counted.
	t.Run("write ends as its caller leaves", func(t *testing.T) {
		t.Parallel()
		const calls = 3000
		inner, acknowledged := new(sinks.Memory), 0
		s := newTimeout(t, inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			ctx.Value(leaveKey{}).(context.CancelFunc)()
			return inner.Write(ctx, events)
		}), time.Minute, &sinks.TimeoutOptions{MaxHanging: calls})
		for range calls {
			ctx, leave := context.WithCancel(t.Context())
			if err := s.Write(context.WithValue(ctx, leaveKey{}, leave), events("a")); err == nil {
				acknowledged++
			} else {
				require.ErrorIs(t, err, context.Canceled)
			}
		}
		require.NoError(t, s.Close(t.Context()))
		require.Zero(t, s.Stats().Hanging)
		require.Len(t, inner.Events(), calls)
		t.Logf("%d of %d acknowledged", acknowledged, calls)
	})
}

func TestTimeoutPanics(t *testing.T) {
	t.Parallel()

	t.Run("in the caller while it waits", func(t *testing.T) {
		t.Parallel()
		s := newTimeout(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error { panic(errInner) }), time.Minute, nil)
		defer func() {
			cause, ok := recover().(error)
			require.True(t, ok)
			require.ErrorIs(t, cause, errInner)
			require.ErrorContains(t, cause, "timeout_test.go", "the stack is that of the write")
			require.Zero(t, s.Stats().Hanging)
			require.NoError(t, s.Close(t.Context()), "no write is running")
		}()
		s.Write(t.Context(), events("a"))
	})

	t.Run("after the caller has returned, logged and counted", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			inner := new(deaf)
			release := inner.stall()
			s := newTimeout(t, inner, time.Second, &sinks.TimeoutOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			require.ErrorIs(t, s.Write(t.Context(), events("a")), context.DeadlineExceeded)
			require.Empty(t, log.String())
			release(errInner)
			synctest.Wait()
			require.EqualValues(t, 1, s.Stats().Panics)
			require.Zero(t, s.Stats().Hanging)
			require.Contains(t, log.String(), errInner.Error())
			require.Contains(t, log.String(), "timeout_test.go", "no stack")
		})
	})

	t.Run("goexit of the inner write is a failure", func(t *testing.T) {
		t.Parallel()
		s := newTimeout(t, inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
			runtime.Goexit()
			return nil
		}), time.Minute, nil)
		require.Error(t, s.Write(t.Context(), events("a")))
		require.NoError(t, s.Close(t.Context()))
	})
}

func TestTimeoutClose(t *testing.T) {
	t.Parallel()

	t.Run("waits for hanging writes, closes the inner sink once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(deaf)
			release := inner.stall()
			s := newTimeout(t, inner, time.Second, nil)
			require.Error(t, s.Write(t.Context(), events("a")))
			first, second := closeBeside(t, s), closeBeside(t, s)
			synctest.Wait()
			require.Zero(t, inner.closed)
			require.Equal(t, inlet.ErrClosed, s.Write(t.Context(), events("b")))
			require.Equal(t, inlet.ErrClosed, inlet.Check(t.Context(), s))
			release(nil)
			require.NoError(t, <-first)
			require.NoError(t, <-second)
			require.NoError(t, inlet.Close(t.Context(), s))
			require.Equal(t, 1, inner.closed)
			require.Equal(t, []string{"a"}, ids(inner.Events()), "the inner sink was open until then")
		})
	})

	t.Run("waits for calls in flight", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(deaf)
			release := inner.stall()
			s := newTimeout(t, inner, time.Minute, nil)
			written := write(t, s, "a")
			synctest.Wait()
			closed := closeBeside(t, s)
			synctest.Wait()
			release(nil)
			require.NoError(t, <-written)
			require.NoError(t, <-closed)
		})
	})

	t.Run("gives up with its context, can be called again", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			inner := new(deaf)
			release := inner.stall()
			s := newTimeout(t, inner, time.Second, nil)
			require.Error(t, s.Write(t.Context(), events("a")))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			require.ErrorIs(t, s.Close(ctx), context.DeadlineExceeded)
			require.Equal(t, time.Minute, time.Since(start))
			require.Equal(t, 1, inner.closed)

			again := closeBeside(t, s)
			synctest.Wait()
			require.Empty(t, again, "a write still hangs")
			release(nil)
			require.NoError(t, <-again)
			require.Equal(t, 1, inner.closed)
			require.Empty(t, inner.Events())
		})
	})

	t.Run("returns the error of the inner sink", func(t *testing.T) {
		t.Parallel()
		var log []string
		s := newTimeout(t, &noted{log: &log, err: errInner}, time.Second, nil)
		require.ErrorIs(t, s.Close(t.Context()), errInner)
		require.ErrorIs(t, s.Close(t.Context()), errInner)
		require.Len(t, log, 1)
	})
}

// closeBeside closes in a goroutine and returns the channel of its result.
func closeBeside(t *testing.T, s inlet.Sink) chan error {
	result := make(chan error, 1)
	go func() { result <- inlet.Close(t.Context(), s) }()
	return result
}

type leaveKey struct{}
