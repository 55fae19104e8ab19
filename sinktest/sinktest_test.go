package sinktest_test

import (
	"context"
	"runtime"
	"testing"
	"time"

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

func TestRunDecorator(t *testing.T) {
	t.Parallel()

	t.Run("unwraps", func(t *testing.T) {
		t.Parallel()
		sinktest.RunDecorator(t, sinktest.DecoratorHarness{
			New:      func(_ testing.TB, inner inlet.Sink) inlet.Sink { return wrapper{Sink: inner} },
			Features: sinktest.Features{Durability: inlet.DurabilityMemory, Ordered: true},
		})
	})

	// The decorator writes pages to another sink than the one that it is given.
	t.Run("stores elsewhere", func(t *testing.T) {
		t.Parallel()
		type pages struct {
			*sinks.Route
			store *sinks.Memory
		}
		sinktest.RunDecorator(t, sinktest.DecoratorHarness{
			New: func(t testing.TB, inner inlet.Sink) inlet.Sink {
				p := pages{store: new(sinks.Memory)}
				var err error
				p.Route, err = sinks.NewRoute([]sinks.Rule{{
					Name: "pages", Sink: p.store, Match: func(e *inlet.Event) bool { return e.Type == inlet.TypePage },
				}}, inner)
				require.NoError(t, err)
				return p
			},
			Read: func(_ testing.TB, s inlet.Sink, stored []*inlet.Event) []*inlet.Event {
				return append(stored, s.(pages).store.Events()...)
			},
			Features: sinktest.Features{Partial: true},
		})
	})
}

func TestCheckDecorator(t *testing.T) {
	t.Parallel()
	good := func(inner inlet.Sink) inlet.Sink { return inner }

	t.Run("without Read and Features", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, sinktest.CheckDecorator(t.Context(), good, nil, nil))
	})

	t.Run("names the inner sink of a breach", func(t *testing.T) {
		t.Parallel()
		err := sinktest.CheckDecorator(t.Context(), newAble(func(a *able) { a.flush = says }), nil, nil)
		require.EqualError(t, err, "over a sink that works: "+innerFlush+
			": Flush of the inner sink fails, and that of the decorator returns <nil>"+
			" (fix: implement the method, or Unwrap if the decorator has nothing to do in it)")
	})

	t.Run("nil decorator", func(t *testing.T) {
		t.Parallel()
		err := sinktest.CheckDecorator(t.Context(), func(inlet.Sink) inlet.Sink { return nil }, nil, nil)
		require.ErrorContains(t, err, "the constructor returned nil")
	})

	t.Run("stops with its context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := sinktest.CheckDecorator(ctx, good, nil, nil)
		require.ErrorIs(t, err, context.Canceled)
	})

	t.Run("hooks of the author replace those of the suite", func(t *testing.T) {
		t.Parallel()
		stalled, panicked := 0, 0
		err := sinktest.CheckDecorator(t.Context(), good, nil, &sinktest.Features{
			Stall: func(inlet.Sink) func() { stalled++; return func() {} },
			Panic: func(inlet.Sink) func() { panicked++; return func() {} },
		})
		require.NoError(t, err)
		require.Positive(t, stalled)
		require.Positive(t, panicked)
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()

	t.Run("without Read and Features", func(t *testing.T) {
		t.Parallel()
		newSink := func() inlet.Sink { return &broken{write: panicsAfterClose} }
		require.Contains(t, breaches(sinktest.Check(t.Context(), newSink, nil, nil)), closeBeside)
		require.NoError(t, sinktest.Check(t.Context(), func() inlet.Sink { return new(broken) }, nil, nil))
		require.ErrorContains(t, sinktest.Check(t.Context(), func() inlet.Sink { return nil }, nil, nil), "the constructor returned nil")
	})

	t.Run("stops with its context", func(t *testing.T) {
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
	})

	t.Run("panic and goexit", func(t *testing.T) {
		t.Parallel()
		for want, write := range map[string]func(){
			"panic: oops\n\ngoroutine ":    func() { panic("oops") },
			"the call ended its goroutine": runtime.Goexit,
		} {
			err := sinktest.Check(t.Context(), func() inlet.Sink {
				return inlet.SinkFunc(func(context.Context, []*inlet.Event) error { write(); return nil })
			}, nil, &sinktest.Features{Patience: time.Minute})
			require.ErrorContains(t, err, large+": "+want)
		}
	})
}
