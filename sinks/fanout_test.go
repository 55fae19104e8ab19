package sinks_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/sinks"
)

func newFanout(t testing.TB, o *sinks.FanoutOptions, legs ...sinks.Leg) *sinks.Fanout {
	f, err := sinks.NewFanout(legs, o)
	require.NoError(t, err)
	return f
}

func TestFanout(t *testing.T) {
	t.Parallel()

	t.Run("outcome", func(t *testing.T) {
		t.Parallel()
		refused := inlet.Permanent(errInner)
		tests := []struct {
			name       string
			legs       []error // the error of each required leg
			bestEffort []error // the error of each best-effort leg
			want       []string
			whole      bool // the error is not a batch error
		}{
			{"all store", []error{nil, nil}, nil, []string{stored, stored, stored}, true},
			{"one leg fails", []error{nil, errInner}, nil, []string{temporary, temporary, temporary}, true},
			{"the only leg fails permanently", []error{refused}, nil, []string{permanent, permanent, permanent}, true},
			{"all fail permanently", []error{refused, refused}, nil, []string{permanent, permanent, permanent}, true},
			{"one fails permanently, one temporarily", []error{refused, errInner}, nil, []string{temporary, temporary, temporary}, true},
			{"one fails temporarily, one permanently", []error{errInner, refused}, nil, []string{temporary, temporary, temporary}, true},
			{"one fails for an event", []error{nil, items(errInner, 1)}, nil, []string{stored, temporary, stored}, false},
			{"two fail for different events", []error{items(refused, 2), items(errInner, 0)}, nil, []string{temporary, stored, permanent}, false},
			{"two fail for an event, then temporarily", []error{items(refused, 1), items(errInner, 1)}, nil, []string{stored, temporary, stored}, false},
			{"two fail for an event, then permanently", []error{items(errInner, 1), items(refused, 1)}, nil, []string{stored, temporary, stored}, false},
			{"one fails permanently, one for an event", []error{refused, items(errInner, 0)}, nil, []string{temporary, permanent, permanent}, false},
			{"one fails and one for an event", []error{items(refused, 0), errInner}, nil, []string{temporary, temporary, temporary}, false},
			{"a malformed batch error fails all events", []error{items(refused, 7)}, nil, []string{temporary, temporary, temporary}, false},
			{"best-effort legs may fail", []error{nil}, []error{errInner, refused, items(errInner, 1)}, []string{stored, stored, stored}, true},
			{"best-effort legs do not replace required ones", []error{items(errInner, 2)}, []error{nil}, []string{stored, stored, temporary}, false},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				var legs []sinks.Leg
				for i, err := range tt.legs {
					legs = append(legs, sinks.Leg{Name: string(rune('a' + i)), Sink: testsink.Failing(err)})
				}
				for i, err := range tt.bestEffort {
					legs = append(legs, sinks.Leg{Name: string(rune('n' + i)), Sink: testsink.Failing(err), BestEffort: true})
				}
				err := newFanout(t, nil, legs...).Write(t.Context(), events("x", "y", "z"))
				require.Equal(t, tt.want, verdicts(t, err, 3))
				_, partial := errors.AsType[*inlet.BatchError](err)
				require.Equal(t, tt.whole, !partial)
			})
		}
	})

	t.Run("errors name the leg", func(t *testing.T) {
		t.Parallel()
		problem := &inlet.Problem{Code: inlet.CodeInvalidEvent, Message: "no such user"}
		f := newFanout(t, nil,
			sinks.Leg{Name: "fine", Sink: new(sinks.Memory)},
			sinks.Leg{Name: "archive", Sink: testsink.Failing(inlet.RetryAfter(inlet.ErrOverloaded, time.Minute))},
		)
		err := f.Write(t.Context(), events("x"))
		require.EqualError(t, err, `sinks: Fanout: leg "archive": inlet: sink is overloaded`)
		require.ErrorIs(t, err, inlet.ErrOverloaded)
		delay, ok := inlet.RetryDelay(err)
		require.True(t, ok)
		require.Equal(t, time.Minute, delay)

		f = newFanout(t, nil, sinks.Leg{Name: "crm", Sink: testsink.Failing(items(inlet.Permanent(problem), 1))})
		err = f.Write(t.Context(), events("x", "y"))
		item := inlet.ItemErrors(err, 2)[1]
		require.ErrorContains(t, item, `leg "crm"`)
		require.ErrorIs(t, item, problem, "the public problem is kept")
	})

	t.Run("same slice for all legs", func(t *testing.T) {
		t.Parallel()
		got := make([][]*inlet.Event, 3)
		legs := make([]sinks.Leg, 3)
		for i := range legs {
			legs[i] = sinks.Leg{Name: string(rune('a' + i)), BestEffort: i == 1, Sink: inlet.SinkFunc(
				func(_ context.Context, events []*inlet.Event) error { got[i] = events; return nil })}
		}
		sent := events("x", "y")
		require.NoError(t, newFanout(t, nil, legs...).Write(t.Context(), sent))
		for _, events := range got {
			require.Len(t, events, 2)
			require.Same(t, &sent[0], &events[0])
		}
	})

	t.Run("concurrent legs", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			a, b, c := &slow{takes: time.Second}, &slow{takes: time.Minute}, &slow{takes: time.Second}
			f := newFanout(t, nil, sinks.Leg{Name: "a", Sink: a}, sinks.Leg{Name: "b", Sink: b, BestEffort: true}, sinks.Leg{Name: "c", Sink: c})
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			start := time.Now()
			require.NoError(t, f.Write(ctx, events("x")))
			require.Equal(t, time.Minute, time.Since(start), "the events are lent to b until it returns")
			require.Len(t, b.Events(), 1)
		})
	})

	t.Run("last leg needs no goroutine", func(t *testing.T) {
		t.Parallel()
		for _, n := range []int{1, 2, 3} {
			on := make([]string, n)
			legs := make([]sinks.Leg, n)
			for i := range legs {
				legs[i] = sinks.Leg{Name: string(rune('a' + i)), Sink: inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
					on[i] = goroutine()
					return nil
				})}
			}
			require.NoError(t, newFanout(t, nil, legs...).Write(t.Context(), events("x")))
			require.Equal(t, goroutine(), on[n-1])
			for _, id := range on[:n-1] {
				require.NotEqual(t, goroutine(), id)
			}
		}
	})

	t.Run("copies its legs", func(t *testing.T) {
		t.Parallel()
		var store sinks.Memory
		legs := []sinks.Leg{{Name: "store", Sink: &store}}
		f, err := sinks.NewFanout(legs, nil)
		require.NoError(t, err)
		legs[0] = sinks.Leg{}
		require.NoError(t, f.Write(t.Context(), events("x")))
		require.Len(t, store.Events(), 1)
	})
}

// slow is a Memory whose writes take a while and ignore their context.
type slow struct {
	sinks.Memory
	takes time.Duration
}

func (s *slow) Write(ctx context.Context, events []*inlet.Event) error {
	time.Sleep(s.takes)
	return s.Memory.Write(ctx, events)
}

// failure is a call of OnBestEffortFailure.
type failure struct {
	leg    string
	events int
	err    error
}

// failures collects the calls of OnBestEffortFailure.
func failures(reported *[]failure) *sinks.FanoutOptions {
	return &sinks.FanoutOptions{OnBestEffortFailure: func(_ context.Context, leg string, events int, err error) {
		*reported = append(*reported, failure{leg, events, err})
	}}
}

func TestFanoutStats(t *testing.T) {
	t.Parallel()
	var reported []failure
	f := newFanout(t, failures(&reported),
		sinks.Leg{Name: "partly", Sink: &scripted{answers: []error{items(errInner, 1)}}, BestEffort: true},
		sinks.Leg{Name: "store", Sink: &scripted{answers: []error{nil, items(errInner, 0)}}},
		sinks.Leg{Name: "away", Sink: testsink.Failing(errInner), BestEffort: true},
		sinks.Leg{Name: "fine", Sink: new(sinks.Memory), BestEffort: true},
	)
	require.NoError(t, f.Write(t.Context(), events("x", "y", "z")))
	require.Equal(t, []failure{{"partly", 1, items(errInner, 1)}, {"away", 3, errInner}}, reported)
	require.Error(t, f.Write(t.Context(), events("x")))
	require.Equal(t, []failure{{"away", 1, errInner}}, reported[2:], "the failure of a required leg is returned")
	require.Equal(t, []sinks.LegStats{
		{Name: "partly", Stored: 3, Failed: 1},
		{Name: "store", Stored: 3, Failed: 1},
		{Name: "away", Stored: 0, Failed: 4},
		{Name: "fine", Stored: 4, Failed: 0},
	}, f.Stats().Legs)
}

func TestFanoutPanics(t *testing.T) {
	t.Parallel()
	breaks := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { panic(errInner) })

	t.Run("of a required leg, when all legs have returned", func(t *testing.T) {
		t.Parallel()
		for _, last := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				other := &slow{takes: time.Hour}
				legs := []sinks.Leg{{Name: "broken", Sink: breaks}, {Name: "other", Sink: other}}
				if last {
					legs[0], legs[1] = legs[1], legs[0]
				}
				f := newFanout(t, nil, legs...)
				cause := panicOf(func() { f.Write(t.Context(), events("x")) })
				require.Len(t, other.Events(), 1)
				err, ok := cause.(error)
				require.True(t, ok)
				require.ErrorContains(t, err, `sinks: Fanout: leg "broken": panic: inner sink failed`)
				require.ErrorContains(t, err, "TestFanoutPanics.func1", "the stack is that of the leg")
				require.ErrorIs(t, err, errInner)
			})
		}
	})

	t.Run("of a best-effort leg is a failure", func(t *testing.T) {
		t.Parallel()
		for _, last := range []bool{false, true} {
			var reported []failure
			legs := []sinks.Leg{{Name: "broken", Sink: breaks, BestEffort: true}, {Name: "store", Sink: new(sinks.Memory)}}
			if last {
				legs[0], legs[1] = legs[1], legs[0]
			}
			f := newFanout(t, failures(&reported), legs...)
			require.NoError(t, f.Write(t.Context(), events("x", "y")))
			require.Len(t, reported, 1)
			require.Equal(t, 2, reported[0].events)
			require.ErrorIs(t, reported[0].err, errInner)
			require.ErrorContains(t, reported[0].err, "TestFanoutPanics.func1")
			require.Contains(t, f.Stats().Legs, sinks.LegStats{Name: "broken", Failed: 2})
		}
	})

	t.Run("of a required leg, other failures are reported", func(t *testing.T) {
		t.Parallel()
		var reported []failure
		f := newFanout(t, failures(&reported),
			sinks.Leg{Name: "broken", Sink: breaks}, sinks.Leg{Name: "away", Sink: testsink.Failing(errInner), BestEffort: true})
		require.NotNil(t, panicOf(func() { f.Write(t.Context(), events("x")) }))
		require.Equal(t, []failure{{"away", 1, errInner}}, reported)
		require.Equal(t, []sinks.LegStats{{Name: "broken", Failed: 1}, {Name: "away", Failed: 1}}, f.Stats().Legs)
	})

	t.Run("in other methods are errors", func(t *testing.T) {
		t.Parallel()
		f := newFanout(t, nil, sinks.Leg{Name: "broken", Sink: explosive{}}, sinks.Leg{Name: "store", Sink: new(sinks.Memory)})
		for _, ask := range []func(context.Context) error{f.Flush, f.Check, f.Close, f.Close} {
			require.ErrorContains(t, ask(t.Context()), `leg "broken": panic: no`)
		}
	})

	t.Run("a handler answers 503 and survives", func(t *testing.T) {
		t.Parallel()
		f := newFanout(t, nil, sinks.Leg{Name: "broken", Sink: breaks}, sinks.Leg{Name: "store", Sink: new(sinks.Memory)})
		var log strings.Builder
		h, err := inlet.New(f, &inlet.Options{AllowAnonymous: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/track", strings.NewReader(`{"event":"Signed Up","userId":"u"}`)))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Contains(t, log.String(), "TestFanoutPanics.func1", "the log has the stack")
	})
}

// explosive is a sink that panics in everything except Write.
type explosive struct{}

func (explosive) Write(context.Context, []*inlet.Event) error { return nil }
func (explosive) Flush(context.Context) error                 { panic("no") }
func (explosive) Check(context.Context) error                 { panic("no") }
func (explosive) Close(context.Context) error                 { panic("no") }

func TestFanoutGoexit(t *testing.T) {
	t.Parallel()
	ends := inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
		runtime.Goexit()
		return nil
	})
	f := newFanout(t, nil, sinks.Leg{Name: "gone", Sink: ends}, sinks.Leg{Name: "store", Sink: new(sinks.Memory)})
	err := f.Write(t.Context(), events("x"))
	require.ErrorContains(t, err, `leg "gone"`)
	require.False(t, inlet.IsPermanent(err))

	t.Run("of the caller, after the other legs", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			other := &slow{takes: time.Second}
			f := newFanout(t, nil, sinks.Leg{Name: "other", Sink: other}, sinks.Leg{Name: "gone", Sink: ends})
			var wg sync.WaitGroup
			wg.Go(func() {
				defer func() { require.Len(t, other.Events(), 1) }()
				f.Write(t.Context(), events("x"))
			})
			wg.Wait()
		})
	})
}

func TestFanoutAbilities(t *testing.T) {
	t.Parallel()

	t.Run("Flush flushes all legs", func(t *testing.T) {
		t.Parallel()
		var reported []failure
		fine, away, odd := &able{}, &able{err: errInner}, &able{err: items(errInner, 0)}
		f := newFanout(t, failures(&reported), sinks.Leg{Name: "fine", Sink: fine}, sinks.Leg{Name: "away", Sink: away, BestEffort: true})
		require.NoError(t, f.Flush(t.Context()))
		require.Equal(t, []int{1, 1}, []int{fine.flushed, away.flushed})
		require.Equal(t, []failure{{"away", 0, errInner}}, reported)

		f = newFanout(t, nil, sinks.Leg{Name: "fine", Sink: fine}, sinks.Leg{Name: "away", Sink: away}, sinks.Leg{Name: "odd", Sink: odd})
		err := f.Flush(t.Context())
		require.ErrorContains(t, err, `leg "away": inner sink failed`)
		require.ErrorContains(t, err, `leg "odd": `, "of any kind")
	})

	t.Run("Check checks the required legs", func(t *testing.T) {
		t.Parallel()
		fine, away := &able{}, &able{err: errInner}
		f := newFanout(t, nil, sinks.Leg{Name: "fine", Sink: fine}, sinks.Leg{Name: "away", Sink: away, BestEffort: true})
		require.NoError(t, inlet.Check(t.Context(), f))
		require.Equal(t, []int{1, 0}, []int{fine.checked, away.checked})

		f = newFanout(t, nil, sinks.Leg{Name: "fine", Sink: fine}, sinks.Leg{Name: "away", Sink: away})
		require.ErrorContains(t, f.Check(t.Context()), `leg "away": inner sink failed`)
	})

	t.Run("Durability is the lowest of the required legs", func(t *testing.T) {
		t.Parallel()
		f := newFanout(t, nil,
			sinks.Leg{Name: "a", Sink: &able{durability: inlet.DurabilityFsync}},
			sinks.Leg{Name: "b", Sink: &able{durability: inlet.DurabilityOSBuffer}},
			sinks.Leg{Name: "c", Sink: new(sinks.Discard), BestEffort: true},
		)
		require.Equal(t, inlet.DurabilityOSBuffer, inlet.DurabilityOf(f))
	})

	t.Run("it is not an Unwrapper", func(t *testing.T) {
		t.Parallel()
		_, ok := inlet.Sink(new(sinks.Fanout)).(inlet.Unwrapper)
		require.False(t, ok)
	})
}

func TestFanoutClose(t *testing.T) {
	t.Parallel()

	t.Run("closes each leg once", func(t *testing.T) {
		t.Parallel()
		fine, away, other := &able{}, &able{err: errInner}, &able{err: inlet.ErrOverloaded}
		f := newFanout(t, nil, sinks.Leg{Name: "fine", Sink: fine},
			sinks.Leg{Name: "away", Sink: away}, sinks.Leg{Name: "other", Sink: other, BestEffort: true})
		first := f.Close(t.Context())
		require.ErrorIs(t, first, errInner)
		require.ErrorIs(t, first, inlet.ErrOverloaded)
		require.Equal(t, first, f.Close(t.Context()))
		require.Equal(t, []int{1, 1, 1}, []int{fine.closed, away.closed, other.closed})
	})

	t.Run("later calls fail and reach no leg", func(t *testing.T) {
		t.Parallel()
		inner := &able{}
		f := newFanout(t, nil, sinks.Leg{Name: "inner", Sink: inner})
		require.NoError(t, f.Close(t.Context()))
		require.ErrorIs(t, f.Write(t.Context(), events("x")), inlet.ErrClosed)
		require.ErrorIs(t, f.Check(t.Context()), inlet.ErrClosed)
		require.Empty(t, inner.Events())
		require.Zero(t, inner.checked)
	})

	t.Run("is concurrent; a second call waits for the first", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := newFanout(t, nil, sinks.Leg{Name: "a", Sink: closesSlowly{}}, sinks.Leg{Name: "b", Sink: closesSlowly{}})
			start := time.Now()
			first := make(chan error, 1)
			go func() { first <- f.Close(t.Context()) }()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, f.Close(ctx), context.DeadlineExceeded)
			require.ErrorIs(t, f.Close(t.Context()), errInner)
			require.Equal(t, time.Minute, time.Since(start))
			require.ErrorIs(t, <-first, errInner)
			require.ErrorIs(t, f.Close(ctx), errInner, "a known result needs no time")
		})
	})
}

// closesSlowly is a sink whose Close takes a minute, and fails.
type closesSlowly struct{}

func (closesSlowly) Write(context.Context, []*inlet.Event) error { return nil }
func (closesSlowly) Close(context.Context) error {
	time.Sleep(time.Minute)
	return errInner
}
