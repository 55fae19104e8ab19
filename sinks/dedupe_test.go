package sinks_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinks"
)

var errInner = errors.New("inner sink failed")

// scripted returns the next of its answers from each Write, and stores the events that
// these do not name; after the last it stores everything.
type scripted struct {
	sinks.Memory
	mu      sync.Mutex
	answers []error
	calls   [][]string
}

func (s *scripted) Write(ctx context.Context, events []*inlet.Event) error {
	s.mu.Lock()
	s.calls = append(s.calls, ids(events))
	var err error
	if len(s.answers) > 0 {
		err, s.answers = s.answers[0], s.answers[1:]
	}
	s.mu.Unlock()
	errs := inlet.ItemErrors(err, len(events))
	for i, e := range events {
		if errs == nil || errs[i] == nil {
			s.Memory.Write(ctx, []*inlet.Event{e})
		}
	}
	return err
}

func newDedupe(t testing.TB, inner inlet.Sink, o *sinks.DedupeOptions) *sinks.Dedupe {
	d, err := sinks.NewDedupe(inner, o)
	require.NoError(t, err)
	return d
}

func TestDedupe(t *testing.T) {
	t.Parallel()
	malformed := &inlet.BatchError{Items: []inlet.ItemError{{Index: 7, Err: inlet.Permanent(errInner)}}}
	failing := func(indices ...int) error {
		e := new(inlet.BatchError)
		for _, i := range indices {
			e.Items = append(e.Items, inlet.ItemError{Index: i, Err: fmt.Errorf("item %d: %w", i, errInner)})
		}
		return e
	}
	type call struct {
		write  []string
		failed []int // indices; nil is success
	}
	tests := []struct {
		name       string
		answers    []error
		calls      []call
		inner      [][]string // what the inner sink was given
		stored     []string
		duplicates uint64
	}{
		{
			name:   "no duplicates",
			calls:  []call{{write: []string{"a", "b"}}, {write: []string{"c"}}},
			inner:  [][]string{{"a", "b"}, {"c"}},
			stored: []string{"a", "b", "c"},
		},
		{
			name:       "a stored event is not passed on",
			calls:      []call{{write: []string{"a", "b"}}, {write: []string{"c", "a", "d", "b"}}},
			inner:      [][]string{{"a", "b"}, {"c", "d"}},
			stored:     []string{"a", "b", "c", "d"},
			duplicates: 2,
		},
		{
			name:       "a call of duplicates does not reach the inner sink",
			calls:      []call{{write: []string{"a", "b"}}, {write: []string{"b", "a"}}},
			inner:      [][]string{{"a", "b"}},
			stored:     []string{"a", "b"},
			duplicates: 2,
		},
		{
			name:       "a duplicate in one call",
			calls:      []call{{write: []string{"a", "b", "a", "a"}}},
			inner:      [][]string{{"a", "b"}},
			stored:     []string{"a", "b"},
			duplicates: 2,
		},
		{
			name:    "a duplicate in one call shares the failure of the first",
			answers: []error{failing(0)},
			calls:   []call{{write: []string{"a", "b", "a"}, failed: []int{0, 2}}},
			inner:   [][]string{{"a", "b"}},
			stored:  []string{"b"},
		},
		{
			name:       "an id is retried after a failure of the batch",
			answers:    []error{errInner},
			calls:      []call{{write: []string{"a", "b"}, failed: []int{0, 1}}, {write: []string{"a", "b"}}, {write: []string{"b"}}},
			inner:      [][]string{{"a", "b"}, {"a", "b"}},
			stored:     []string{"a", "b"},
			duplicates: 1,
		},
		{
			name:       "an id is retried after a permanent failure",
			answers:    []error{inlet.Permanent(errInner)},
			calls:      []call{{write: []string{"a"}, failed: []int{0}}, {write: []string{"a"}}, {write: []string{"a"}}},
			inner:      [][]string{{"a"}, {"a"}},
			stored:     []string{"a"},
			duplicates: 1,
		},
		{
			name:       "only the failed ids of a batch are retried",
			answers:    []error{failing(1)},
			calls:      []call{{write: []string{"a", "b", "c"}, failed: []int{1}}, {write: []string{"a", "b", "c"}}},
			inner:      [][]string{{"a", "b", "c"}, {"b"}},
			stored:     []string{"a", "c", "b"},
			duplicates: 2,
		},
		{
			name:    "indices refer to the caller's slice",
			answers: []error{nil, failing(1, 2)},
			calls: []call{
				{write: []string{"a", "b"}},
				{write: []string{"a", "c", "b", "d", "c", "e", "d"}, failed: []int{3, 5, 6}},
			},
			inner:      [][]string{{"a", "b"}, {"c", "d", "e"}},
			stored:     []string{"a", "b", "c"},
			duplicates: 3,
		},
		{
			name:       "a malformed batch error fails all written events",
			answers:    []error{nil, malformed, malformed},
			calls:      []call{{write: []string{"a"}}, {write: []string{"a", "b", "c"}, failed: []int{1, 2}}, {write: []string{"b", "c"}, failed: []int{0, 1}}},
			inner:      [][]string{{"a"}, {"b", "c"}, {"b", "c"}},
			stored:     []string{"a"},
			duplicates: 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inner := &scripted{answers: tt.answers}
			d := newDedupe(t, inner, &sinks.DedupeOptions{MaxIDs: 100})
			for _, c := range tt.calls {
				requireFailed(t, c.failed, d.Write(t.Context(), events(c.write...)), len(c.write))
			}
			require.Equal(t, tt.inner, inner.calls)
			require.Equal(t, tt.stored, ids(inner.Events()))
			require.Equal(t, tt.duplicates, d.Stats().Duplicates)
		})
	}
}

// requireFailed requires that err fails exactly the events at the given
// indices of n, temporarily or with the error of the inner sink.
func requireFailed(t *testing.T, want []int, err error, n int) {
	t.Helper()
	var batch *inlet.BatchError
	if errors.As(err, &batch) {
		require.NoError(t, itemerrors.Validate(batch, n))
	}
	var failed []int
	for i, err := range inlet.ItemErrors(err, n) {
		if err != nil {
			failed = append(failed, i)
		}
	}
	require.Equal(t, want, failed)
}

func TestDedupeSlice(t *testing.T) {
	t.Parallel()
	var got []*inlet.Event
	d := newDedupe(t, inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		got = events
		return inlet.RetryAfter(errInner, time.Minute)
	}), &sinks.DedupeOptions{MaxIDs: 10})
	sent := events("a", "b")
	err := d.Write(t.Context(), sent)
	require.Same(t, &sent[0], &got[0])
	require.Equal(t, inlet.RetryAfter(errInner, time.Minute), err, "and returns the error itself")
}

func TestDedupeScope(t *testing.T) {
	t.Parallel()

	t.Run("an id of another source is another id", func(t *testing.T) {
		t.Parallel()
		var inner sinks.Memory
		d := newDedupe(t, &inner, &sinks.DedupeOptions{MaxIDs: 10})
		for _, pair := range [][2]string{{"ab", "c"}, {"a", "bc"}, {"", "abc"}, {"ab", "c"}} {
			e := event(pair[1])
			e.Source = &inlet.Source{ID: pair[0]}
			require.NoError(t, d.Write(t.Context(), []*inlet.Event{e}))
		}
		require.Len(t, inner.Events(), 3)
		require.EqualValues(t, 1, d.Stats().Duplicates)
	})

	t.Run("an id with another type is the same id", func(t *testing.T) {
		t.Parallel()
		var inner sinks.Memory
		d := newDedupe(t, &inner, nil)
		for _, typ := range []inlet.Type{inlet.TypeIdentify, inlet.TypeTrack, inlet.TypeIdentify} {
			e := event("a")
			e.Type = typ
			require.NoError(t, d.Write(t.Context(), []*inlet.Event{e}))
		}
		require.Len(t, inner.Events(), 1)
		require.Equal(t, inlet.TypeIdentify, inner.Events()[0].Type)
		require.EqualValues(t, 2, d.Stats().Duplicates)
	})

	t.Run("a generated id is not a duplicate", func(t *testing.T) {
		t.Parallel()
		var inner sinks.Memory
		d := newDedupe(t, &inner, &sinks.DedupeOptions{MaxIDs: 10})
		sent := events("a", "a", "b", "b")
		sent[0].Warnings = inlet.WarnMessageIDGenerated
		sent[1].Warnings = inlet.WarnMessageIDGenerated
		require.NoError(t, d.Write(t.Context(), sent))
		require.Equal(t, []string{"a", "a", "b"}, ids(inner.Events()))
		require.NoError(t, d.Write(t.Context(), events("a")))
		require.Len(t, inner.Events(), 4, "and the id is not remembered")
		require.EqualValues(t, 1, d.Stats().Duplicates)
	})
}

func TestDedupeStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		aged := func(id string, age time.Duration) *inlet.Event {
			e := event(id)
			e.ReceivedAt = time.Now().Add(-age)
			return e
		}
		generated := aged("generated", time.Minute)
		generated.Warnings = inlet.WarnMessageIDGenerated
		before := []*inlet.Event{
			aged("too old", 25*time.Hour), aged("forgotten", 3*time.Hour), aged("a", 2*time.Hour),
			generated, aged("b", time.Hour), aged("c", -time.Hour), // of a clock that was set back
		}
		var inner sinks.Memory
		d := newDedupe(t, &inner, &sinks.DedupeOptions{MaxIDs: 3, Stored: sequence(before, nil)})
		require.NoError(t, d.Write(t.Context(), events("a", "b", "c")))
		require.Empty(t, inner.Events())
		require.NoError(t, d.Write(t.Context(), events("generated", "too old", "forgotten")))
		require.Equal(t, []string{"generated", "too old", "forgotten"}, ids(inner.Events()))

		d = newDedupe(t, &inner, &sinks.DedupeOptions{MaxIDs: 10, Stored: sequence(before, nil)})
		time.Sleep(22*time.Hour + time.Minute)
		inner.Reset()
		require.NoError(t, d.Write(t.Context(), events("a", "b", "c")))
		require.Equal(t, []string{"a"}, ids(inner.Events()), "each for a day since it was received")

		_, err := sinks.NewDedupe(&inner, &sinks.DedupeOptions{Stored: sequence(before, errInner)})
		require.ErrorIs(t, err, errInner)
	})
}

// sequence yields events, and then err if it is not nil.
func sequence(events []*inlet.Event, err error) iter.Seq2[*inlet.Event, error] {
	return func(yield func(*inlet.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func TestDedupeWindow(t *testing.T) {
	t.Parallel()

	t.Run("an id expires", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var inner sinks.Memory
			d := newDedupe(t, &inner, &sinks.DedupeOptions{MaxIDs: 10, Window: time.Hour})
			write := func() int {
				require.NoError(t, d.Write(t.Context(), events("a")))
				return len(inner.Events())
			}
			require.Equal(t, 1, write())
			time.Sleep(time.Hour - 1)
			require.Equal(t, 1, write(), "a duplicate does not extend it")
			time.Sleep(time.Nanosecond)
			require.Equal(t, 2, write())
			time.Sleep(time.Hour - 1)
			require.Equal(t, 2, write())
		})
	})

	t.Run("the window is a day by default", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var inner sinks.Memory
			d := newDedupe(t, &inner, nil)
			require.NoError(t, d.Write(t.Context(), events("a")))
			time.Sleep(24*time.Hour - 1)
			require.NoError(t, d.Write(t.Context(), events("a")))
			require.Len(t, inner.Events(), 1)
			time.Sleep(time.Nanosecond)
			require.NoError(t, d.Write(t.Context(), events("a")))
			require.Len(t, inner.Events(), 2)
		})
	})

	t.Run("the oldest id is evicted", func(t *testing.T) {
		t.Parallel()
		var inner sinks.Memory
		d := newDedupe(t, &inner, &sinks.DedupeOptions{MaxIDs: 3})
		for _, id := range []string{"a", "b", "c", "a", "d", "b", "a", "c"} {
			require.NoError(t, d.Write(t.Context(), events(id)))
		}
		require.Equal(t, []string{"a", "b", "c", "d", "a"}, ids(inner.Events()), "d evicts a, a evicts b")
	})
}

// TestDedupeModel compares the table with a plain list.
func TestDedupeModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size, life = 13, 60 * time.Second
		type stored struct {
			id string
			at time.Time
		}
		var model []stored
		var inner sinks.Discard
		d := newDedupe(t, &inner, &sinks.DedupeOptions{MaxIDs: size, Window: life})
		rnd := rand.New(rand.NewPCG(1, 2))
		for range 20_000 {
			id := strconv.Itoa(rnd.IntN(40))
			known := false
			for _, s := range model[max(0, len(model)-size):] {
				known = known || s.id == id && time.Since(s.at) < life
			}
			if !known {
				model = append(model, stored{id, time.Now()})
			}
			require.NoError(t, d.Write(t.Context(), events(id)))
			require.EqualValues(t, len(model), inner.Stats().Events)
			time.Sleep(time.Duration(rnd.IntN(6000)) * time.Millisecond)
		}
	})
}

// gate blocks the writes of one id until it gets their outcome.
type gate struct {
	sinks.Memory
	id      string
	entered chan struct{}
	outcome chan error
}

func newGate(id string) *gate {
	return &gate{id: id, entered: make(chan struct{}), outcome: make(chan error)}
}

func (g *gate) Write(ctx context.Context, events []*inlet.Event) error {
	if events[0].MessageID == g.id {
		g.entered <- struct{}{}
		if err := <-g.outcome; err != nil {
			return err
		}
	}
	return g.Memory.Write(ctx, events)
}

func TestDedupeWaiting(t *testing.T) {
	t.Parallel()

	t.Run("a duplicate waits for the event in flight", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := newGate("a")
			d := newDedupe(t, g, &sinks.DedupeOptions{MaxIDs: 10})
			first := write(t, d, "a")
			<-g.entered
			second := write(t, d, "b", "a", "c")
			synctest.Wait()
			require.Equal(t, []string{"b", "c"}, ids(g.Events()), "its own events are written first")
			require.Empty(t, second)
			g.outcome <- nil
			require.NoError(t, <-first)
			require.NoError(t, <-second)
			require.Equal(t, []string{"b", "c", "a"}, ids(g.Events()))
			require.EqualValues(t, 1, d.Stats().Duplicates)
		})
	})

	t.Run("a waiting call retries if the other one fails", func(t *testing.T) {
		t.Parallel()
		for _, failure := range []error{errInner, inlet.Permanent(errInner)} {
			synctest.Test(t, func(t *testing.T) {
				g := newGate("a")
				d := newDedupe(t, g, &sinks.DedupeOptions{MaxIDs: 10})
				first := write(t, d, "a")
				<-g.entered
				second, third := write(t, d, "a", "a"), write(t, d, "a")
				synctest.Wait()
				g.outcome <- failure
				require.Equal(t, failure, <-first)
				<-g.entered
				g.outcome <- nil
				require.NoError(t, <-second)
				require.NoError(t, <-third)
				require.Equal(t, []string{"a"}, ids(g.Events()))
				require.EqualValues(t, 2, d.Stats().Duplicates)
			})
		}
	})

	t.Run("waiting ends with the context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := newGate("a")
			d := newDedupe(t, g, &sinks.DedupeOptions{MaxIDs: 10})
			first := write(t, d, "a")
			<-g.entered
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, inlet.Permanent(errInner))
			defer cancel()
			start := time.Now()
			err := d.Write(ctx, events("b", "a", "b", "a"))
			require.Equal(t, time.Second, time.Since(start))
			requireFailed(t, []int{1, 3}, err, 4)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.False(t, inlet.IsPermanent(err))
			g.outcome <- nil
			require.NoError(t, <-first)
			require.Equal(t, []string{"b", "a"}, ids(g.Events()))
			require.EqualValues(t, 1, d.Stats().Duplicates, "the second b")
		})
	})

	t.Run("calls with each other's ids do not deadlock", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var inner sinks.Memory
			slow := inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
				time.Sleep(time.Second)
				return inner.Write(ctx, events)
			})
			d := newDedupe(t, slow, &sinks.DedupeOptions{MaxIDs: 10})
			first, second := write(t, d, "a", "x", "b"), write(t, d, "b", "y", "a")
			require.NoError(t, <-first)
			require.NoError(t, <-second)
			require.ElementsMatch(t, []string{"a", "b", "x", "y"}, ids(inner.Events()))
		})
	})
}

// write writes in a goroutine and returns the channel of its result.
func write(t *testing.T, s inlet.Sink, ids ...string) chan error {
	result := make(chan error, 1)
	go func() { result <- s.Write(t.Context(), events(ids...)) }()
	return result
}

func TestDedupePanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var inner sinks.Memory
		calls := 0
		d := newDedupe(t, inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			if calls++; calls == 1 {
				time.Sleep(time.Second)
				panic("inner sink")
			}
			return inner.Write(ctx, events)
		}), &sinks.DedupeOptions{MaxIDs: 10})

		panicked := make(chan any, 1)
		go func() {
			defer func() { panicked <- recover() }()
			d.Write(t.Context(), events("a", "b"))
		}()
		synctest.Wait()
		require.NoError(t, d.Write(t.Context(), events("b")), "waiting calls are woken")
		require.Equal(t, "inner sink", <-panicked, "the panic reaches the caller")
		require.NoError(t, d.Write(t.Context(), events("a")))
		require.Equal(t, []string{"b", "a"}, ids(inner.Events()))
		require.Zero(t, d.Stats().Duplicates)
	})
}

// TestDedupeStress lets many calls write few ids over an inner sink that
// fails at random, and requires that what was acknowledged is stored, and once.
func TestDedupeStress(t *testing.T) {
	t.Parallel()
	const writers, calls, idCount = 8, 300, 400
	var inner sinks.Memory
	var n atomic.Uint64
	flaky := inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
		switch n.Add(1) % 5 {
		case 0:
			return errInner
		case 1:
			inner.Write(ctx, events[1:])
			return &inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: errInner}}}
		}
		return inner.Write(ctx, events)
	})
	d := newDedupe(t, flaky, &sinks.DedupeOptions{MaxIDs: idCount})
	var acknowledged sync.Map
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 7))
			for range calls {
				batch := make([]string, 1+rnd.IntN(12))
				for i := range batch {
					batch[i] = strconv.Itoa(rnd.IntN(idCount))
				}
				errs := inlet.ItemErrors(d.Write(t.Context(), events(batch...)), len(batch))
				for i, id := range batch {
					if errs == nil || errs[i] == nil {
						acknowledged.Store(id, true)
					}
				}
			}
		})
	}
	wg.Wait()
	stored := make(map[string]int)
	for _, id := range ids(inner.Events()) {
		stored[id]++
	}
	for id, times := range stored {
		require.Equal(t, 1, times, "id %s is stored more than once", id)
	}
	acknowledged.Range(func(id, _ any) bool {
		require.Contains(t, stored, id)
		return true
	})
	require.NotZero(t, d.Stats().Duplicates)
}

func TestDedupeClose(t *testing.T) {
	t.Parallel()
	inner := &closeCounter{}
	d := newDedupe(t, inner, &sinks.DedupeOptions{MaxIDs: 1})
	require.NoError(t, inlet.Close(t.Context(), d))
	require.Equal(t, 1, inner.closed)
	require.Equal(t, inlet.DurabilityMemory, inlet.DurabilityOf(d))
}

type closeCounter struct {
	sinks.Memory
	closed int
}

func (c *closeCounter) Close(ctx context.Context) error {
	c.closed++
	return c.Memory.Close(ctx)
}

var nowhere = inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return nil })

// distinct makes n events with different ids.
func distinct(n int) []*inlet.Event {
	batch := make([]*inlet.Event, n)
	for i := range batch {
		batch[i] = event("0b5c1a52-7d5e-4f0e-9a37-" + strconv.Itoa(100_000_000_000+i))
	}
	return batch
}

func TestDedupeAllocations(t *testing.T) {
	if testing.CoverMode() != "" || testkit.Race {
		t.Skip("the race detector and coverage allocate themselves")
	}
	const size, runs = 100, 150
	tests := []struct {
		name   string
		fresh  int // events of each call that are new
		budget float64
	}{
		{"no duplicates", size, 0},
		{"only duplicates", 0, 0},
		{"some duplicates", size / 2, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDedupe(t, nowhere, &sinks.DedupeOptions{MaxIDs: 1000})
			all := distinct((runs + 3) * size)
			next := 0
			require.NoError(t, d.Write(t.Context(), all[:size]))
			got := testing.AllocsPerRun(runs, func() {
				next += tt.fresh
				require.NoError(t, d.Write(t.Context(), all[next:][:size]))
			})
			require.LessOrEqual(t, got, tt.budget)
		})
	}
}

// TestDedupeMemory checks the documented 32 bytes per remembered id.
func TestDedupeMemory(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector has memory of its own")
	}
	const idCount = 1_000_000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	batch := distinct(1000)
	write := func(d *sinks.Dedupe, first int) {
		for i, e := range batch {
			e.MessageID = strconv.Itoa(first + i)
		}
		require.NoError(t, d.Write(t.Context(), batch))
	}
	before := heap()
	d := newDedupe(t, nowhere, &sinks.DedupeOptions{MaxIDs: idCount})
	for first := 0; first < idCount; first += len(batch) {
		write(d, first)
	}
	perID := float64(heap()-before) / idCount
	t.Logf("%.2f bytes per id", perID)
	require.InDelta(t, 32, perID, 1)
	write(d, 0)
	require.EqualValues(t, len(batch), d.Stats().Duplicates, "the oldest are still there")
}

// BenchmarkDedupe measures the cost per event, over an inner sink without cost,
// with a full window of a million ids.
func BenchmarkDedupe(b *testing.B) {
	all := distinct(2_000_000)
	for _, size := range []int{1, 100} {
		b.Run("events="+strconv.Itoa(size), func(b *testing.B) {
			d := newDedupe(b, nowhere, nil)
			for i := 0; i < 1_000_000; i += 1000 {
				require.NoError(b, d.Write(b.Context(), all[i:][:1000]))
			}
			next := 1_000_000
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Write(b.Context(), all[next:][:size]); err != nil {
					b.Fatal(err)
				}
				if next += size; next+size > len(all) {
					next = 0
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/event")
		})
	}
}
