package sinks_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/sinks"
)

func newRoute(t testing.TB, otherwise inlet.Sink, rules ...sinks.Rule) *sinks.Route {
	r, err := sinks.NewRoute(rules, otherwise)
	require.NoError(t, err)
	return r
}

// begins is a rule named like its prefix, for events whose message ID begins with it.
func begins(prefix string, s inlet.Sink) sinks.Rule {
	return sinks.Rule{Name: prefix, Sink: s, Match: func(e *inlet.Event) bool {
		return len(e.MessageID) >= len(prefix) && e.MessageID[:len(prefix)] == prefix
	}}
}

func TestRoute(t *testing.T) {
	t.Parallel()

	t.Run("outcome", func(t *testing.T) {
		t.Parallel()
		refused := inlet.Permanent(errInner)
		tests := []struct {
			name    string
			a, b, o error // what the sinks return
			write   []string
			calls   [3][][]string // what a, b and otherwise were given
			want    []string
		}{
			{
				name: "first rule that matches", write: []string{"b1", "a1", "ab", "x", "b2"},
				calls: [3][][]string{{{"a1", "ab"}}, {{"b1", "b2"}}, {{"x"}}},
				want:  []string{stored, stored, stored, stored, stored},
			},
			{
				name: "no call without events", write: []string{"x", "a1"},
				calls: [3][][]string{{{"a1"}}, nil, {{"x"}}},
				want:  []string{stored, stored},
			},
			{
				name: "all events for one sink", write: []string{"b1", "b2"},
				calls: [3][][]string{nil, {{"b1", "b2"}}, nil},
				want:  []string{stored, stored},
			},
			{
				name: "failures are of one sink's events", a: refused, b: errInner, write: []string{"b1", "a1", "x", "a2", "b2"},
				calls: [3][][]string{{{"a1", "a2"}}, {{"b1", "b2"}}, {{"x"}}},
				want:  []string{temporary, permanent, stored, permanent, temporary},
			},
			{
				name: "indices refer to the caller's slice", a: items(errInner, 1), o: items(refused, 0, 2), write: []string{"x", "a1", "y", "b1", "a2", "z"},
				calls: [3][][]string{{{"a1", "a2"}}, {{"b1"}}, {{"x", "y", "z"}}},
				want:  []string{permanent, stored, stored, stored, temporary, permanent},
			},
			{
				name: "indices of the same slice", b: items(refused, 1), write: []string{"b1", "b2"},
				calls: [3][][]string{nil, {{"b1", "b2"}}, nil},
				want:  []string{stored, permanent},
			},
			{
				name: "a malformed batch error of one sink", a: items(refused, 4), write: []string{"b1", "a1"},
				calls: [3][][]string{{{"a1"}}, {{"b1"}}, nil},
				want:  []string{stored, temporary},
			},
			{
				name: "a malformed batch error of the only sink", a: items(refused, 4), write: []string{"a1", "a2"},
				calls: [3][][]string{{{"a1", "a2"}}, nil, nil},
				want:  []string{temporary, temporary},
			},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				a, b, o := &scripted{answers: []error{tt.a}}, &scripted{answers: []error{tt.b}}, &scripted{answers: []error{tt.o}}
				r := newRoute(t, o, begins("a", a), begins("ab", b), begins("b", b))
				err := r.Write(t.Context(), events(tt.write...))
				require.Equal(t, tt.want, verdicts(t, err, len(tt.write)))
				require.Equal(t, tt.calls, [3][][]string{a.calls, b.calls, o.calls})
			})
		}
	})

	t.Run("without rules", func(t *testing.T) {
		t.Parallel()
		var store sinks.Memory
		require.NoError(t, newRoute(t, &store).Write(t.Context(), events("x", "y")))
		require.Equal(t, []string{"x", "y"}, ids(store.Events()))
	})

	t.Run("copies its rules", func(t *testing.T) {
		t.Parallel()
		var store sinks.Memory
		rules := []sinks.Rule{begins("a", &store)}
		r, err := sinks.NewRoute(rules, new(sinks.Discard))
		require.NoError(t, err)
		rules[0] = sinks.Rule{}
		require.NoError(t, r.Write(t.Context(), events("a1")))
		require.Len(t, store.Events(), 1)
	})

	t.Run("same slice for one sink", func(t *testing.T) {
		t.Parallel()
		var got []*inlet.Event
		r := newRoute(t, new(sinks.Memory), begins("a", inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
			got = events
			return inlet.RetryAfter(errInner, time.Minute)
		})))
		sent := events("a1", "a2")
		err := r.Write(t.Context(), sent)
		require.Same(t, &sent[0], &got[0])
		_, partial := errors.AsType[*inlet.BatchError](err)
		require.False(t, partial)
		require.EqualError(t, err, `sinks: Route: rule "a": inner sink failed`)
		delay, _ := inlet.RetryDelay(err)
		require.Equal(t, time.Minute, delay)
	})

	t.Run("errors name the rule", func(t *testing.T) {
		t.Parallel()
		bad := testsink.Failing(errInner)
		r := newRoute(t, testsink.Failing(errInner), begins("a", bad), begins("b", new(sinks.Memory)))
		errs := inlet.ItemErrors(r.Write(t.Context(), events("a1", "x", "b1")), 3)
		require.EqualError(t, errs[0], `sinks: Route: rule "a": inner sink failed`)
		require.EqualError(t, errs[1], `sinks: Route: otherwise: inner sink failed`)
		require.NoError(t, errs[2])
	})

	t.Run("one write per sink", func(t *testing.T) {
		t.Parallel()
		same, other := &scripted{}, &scripted{answers: []error{nil, errInner}}
		r := newRoute(t, same, begins("a", same), begins("b", other), begins("c", same), begins("d", other))
		require.NoError(t, r.Write(t.Context(), events("c1", "b1", "a1", "x", "d1", "c2")))
		require.Equal(t, [][]string{{"c1", "a1", "x", "c2"}}, same.calls)
		require.Equal(t, [][]string{{"b1", "d1"}}, other.calls)
		require.EqualError(t, r.Write(t.Context(), events("d1")), `sinks: Route: rule "b", rule "d": inner sink failed`)
	})

	// The outcome of each event of many calls must be what happened to it, in its sink.
	t.Run("random outcomes", func(t *testing.T) {
		t.Parallel()
		rnd := rand.New(rand.NewPCG(5, 6))
		for range 300 {
			targets := make([]judge, 4)
			to := make(map[string]int)
			asked := make(map[string]int)
			var rules []sinks.Rule
			for i := range 3 {
				rules = append(rules, sinks.Rule{Name: strconv.Itoa(i), Sink: &targets[i], Match: func(e *inlet.Event) bool {
					asked[e.MessageID]++
					return to[e.MessageID] == i
				}})
			}
			batch, fates := judged(rnd, 1+rnd.IntN(2*100))
			want := [4][]string{{}, {}, {}, {}}
			for i, e := range batch {
				n := rnd.IntN(1 + rnd.IntN(4))
				to[e.MessageID] = n
				if fates[i] == stored {
					want[n] = append(want[n], e.MessageID)
				}
			}
			err := newRoute(t, &targets[3], rules...).Write(t.Context(), batch)
			require.Equal(t, fates, verdicts(t, err, len(batch)))
			for i := range targets {
				require.Equal(t, want[i], ids(targets[i].Events()), "in the client's order")
			}
			for id, times := range asked {
				require.Equal(t, min(to[id]+1, 3), times, "each rule is called once at most")
			}
		}
	})

	t.Run("concurrent sinks", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			a, b, o := &slow{takes: time.Second}, &slow{takes: time.Minute}, &slow{takes: time.Second}
			r := newRoute(t, o, begins("a", a), begins("b", b))
			start := time.Now()
			require.NoError(t, r.Write(t.Context(), events("b", "a", "x")))
			require.Equal(t, time.Minute, time.Since(start))
			require.NoError(t, r.Write(t.Context(), events("x", "a")))
			require.Equal(t, time.Minute+time.Second, time.Since(start))
		})
	})

	t.Run("sinks that are not comparable", func(t *testing.T) {
		t.Parallel()
		count := 0
		f := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error { count += len(events); return nil })
		type boxed struct{ inlet.Sink }
		r := newRoute(t, boxed{f}, begins("a", boxed{f}))
		require.NoError(t, r.Write(t.Context(), events("a1")))
		require.NoError(t, r.Write(t.Context(), events("x")))
		require.Equal(t, 2, count)
	})
}

func TestRoutePanics(t *testing.T) {
	t.Parallel()
	breaks := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { panic("broken") })

	t.Run("of Match, nothing is written", func(t *testing.T) {
		t.Parallel()
		var store sinks.Memory
		r := newRoute(t, &store, sinks.Rule{Name: "a", Sink: &store, Match: func(e *inlet.Event) bool {
			if e.MessageID == "y" {
				panic("match")
			}
			return true
		}})
		require.Equal(t, "match", panicOf(func() { r.Write(t.Context(), events("x", "y")) }))
		require.Empty(t, store.Events())
	})

	t.Run("of a sink, when all sinks have returned", func(t *testing.T) {
		t.Parallel()
		for _, prefixes := range [][]string{{"a", "b"}, {"b", "a"}} {
			synctest.Test(t, func(t *testing.T) {
				other := &slow{takes: time.Hour}
				bySink := map[string]inlet.Sink{"a": breaks, "b": other}
				r := newRoute(t, new(sinks.Memory), begins(prefixes[0], bySink[prefixes[0]]), begins(prefixes[1], bySink[prefixes[1]]))
				err, ok := panicOf(func() { r.Write(t.Context(), events("a1", "b1")) }).(error)
				require.True(t, ok)
				require.Len(t, other.Events(), 1)
				require.ErrorContains(t, err, `sinks: Route: rule "a": panic: broken`)
				require.ErrorContains(t, err, "TestRoutePanics.func1", "the stack is that of the sink")
			})
		}
	})

	t.Run("of the only sink of a call", func(t *testing.T) {
		t.Parallel()
		r := newRoute(t, new(sinks.Memory), begins("a", breaks))
		require.Equal(t, "broken", panicOf(func() { r.Write(t.Context(), events("a1")) }))
	})
}

func TestRouteAbilities(t *testing.T) {
	t.Parallel()

	t.Run("reach every sink once", func(t *testing.T) {
		t.Parallel()
		a, b, o := &able{durability: inlet.DurabilityFsync}, &able{durability: inlet.DurabilityMemory}, &able{durability: inlet.DurabilityFsync}
		r := newRoute(t, o, begins("a", a), begins("b", b), begins("c", a), begins("d", o))
		require.NoError(t, inlet.Flush(t.Context(), r))
		require.NoError(t, inlet.Check(t.Context(), r))
		require.Equal(t, inlet.DurabilityMemory, inlet.DurabilityOf(r))
		require.NoError(t, inlet.Close(t.Context(), r))
		require.NoError(t, inlet.Close(t.Context(), r))
		for _, s := range []*able{a, b, o} {
			require.Equal(t, []int{1, 1, 1}, []int{s.flushed, s.checked, s.closed})
		}
	})

	t.Run("fail if one sink does", func(t *testing.T) {
		t.Parallel()
		a, b, o := &able{}, &able{err: errInner}, &able{err: inlet.ErrOverloaded}
		r := newRoute(t, o, begins("a", a), begins("b", b))
		for _, ask := range []func(context.Context) error{r.Flush, r.Check, r.Close, r.Close} {
			err := ask(t.Context())
			require.ErrorContains(t, err, `rule "b": inner sink failed`)
			require.ErrorContains(t, err, `otherwise: inlet: sink is overloaded`)
		}
		require.Equal(t, []int{1, 1, 1}, []int{a.closed, b.closed, o.closed})
	})

	t.Run("no durability with a Discard", func(t *testing.T) {
		t.Parallel()
		r := newRoute(t, new(sinks.Discard), begins("a", new(sinks.Memory)))
		require.Equal(t, inlet.DurabilityUnknown, inlet.DurabilityOf(r))
	})

	t.Run("after Close", func(t *testing.T) {
		t.Parallel()
		o := &able{}
		r := newRoute(t, o)
		require.NoError(t, r.Close(t.Context()))
		require.ErrorIs(t, r.Write(t.Context(), events("x")), inlet.ErrClosed)
		require.ErrorIs(t, r.Check(t.Context()), inlet.ErrClosed)
		require.Empty(t, o.Events())
		require.Zero(t, o.checked)
	})
}
