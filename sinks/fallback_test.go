package sinks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

func newFallback(t testing.TB, front, back inlet.Sink, drain func(context.Context) error, o *sinks.FallbackOptions) *sinks.Fallback {
	if o == nil {
		o = new(sinks.FallbackOptions)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f, err := sinks.NewFallback(front, back, drain, o)
	require.NoError(t, err)
	return f
}

// downForever is a sink that never works.
type downForever struct{}

func (downForever) Write(context.Context, []*inlet.Event) error { return errInner }
func (downForever) Check(context.Context) error                 { return errInner }
func (downForever) Durability() inlet.Durability                { return inlet.DurabilityReplicated }

// flushing is a sink whose Flush does what the test says.
type flushing struct {
	sinks.Memory
	flush func(ctx context.Context) error
}

func (s *flushing) Flush(ctx context.Context) error { return s.flush(ctx) }

// A switchable is a Memory that fails with an error, and counts the Writes.
type switchable struct {
	sinks.Memory
	mu     sync.Mutex
	err    error
	writes int
	closed func()
}

func (s *switchable) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *switchable) Write(ctx context.Context, events []*inlet.Event) error {
	s.mu.Lock()
	err := s.err
	s.writes++
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.Memory.Write(ctx, events)
}

func (s *switchable) Check(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *switchable) Close(context.Context) error {
	if s.closed != nil {
		s.closed()
	}
	return nil
}

// A backlog is a back that is drained when the test says so.
type backlog struct {
	switchable
	free chan struct{} // receives once for each Drain that succeeds
}

func newBacklog() *backlog { return &backlog{free: make(chan struct{})} }

func (b *backlog) Drain(ctx context.Context) error {
	select {
	case <-b.free:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func eventsOf(ids ...string) []*inlet.Event {
	list := make([]*inlet.Event, len(ids))
	for i, id := range ids {
		list[i] = &inlet.Event{Type: inlet.TypeTrack, MessageID: id, Source: &inlet.Source{ID: "web"}, ReceivedAt: time.Now(), Timestamp: time.Now()}
	}
	return list
}

func TestFallback(t *testing.T) {
	t.Parallel()
	bubble := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, f)
		})
	}
	start := func(t *testing.T, o *sinks.FallbackOptions) (f *sinks.Fallback, front *switchable, back *backlog) {
		front, back = new(switchable), newBacklog()
		drained := true // until the first failure
		f = newFallback(t, front, back, func(ctx context.Context) error {
			if drained {
				drained = false
				return nil
			}
			return back.Drain(ctx)
		}, o)
		t.Cleanup(func() { require.NoError(t, f.Close(context.Background())) })
		return f, front, back
	}

	bubble("to the back and again to the front", func(t *testing.T) {
		f, front, back := start(t, nil)
		require.NoError(t, f.Write(t.Context(), eventsOf("a")))
		front.set(errInner)
		require.NoError(t, f.Write(t.Context(), eventsOf("b", "c")))
		front.set(nil)
		require.NoError(t, f.Write(t.Context(), eventsOf("d")), "to the back, though the front works: b is not there yet")
		require.Equal(t, []string{"a"}, ids(front.Events()))
		require.Equal(t, []string{"b", "c", "d"}, ids(back.Events()))
		require.True(t, f.Stats().Down)
		back.free <- struct{}{}
		back.free <- struct{}{} // once more while Writes wait
		synctest.Wait()
		require.Equal(t, sinks.FallbackStats{Failures: 1, Front: 1, Back: 3}, f.Stats())
		require.NoError(t, f.Write(t.Context(), eventsOf("e")))
		require.Equal(t, []string{"a", "e"}, ids(front.Events()))
	})
	bubble("events that fail are the only ones for the back", func(t *testing.T) {
		f, front, back := start(t, nil)
		refused := inlet.Permanent(errors.New("poison"))
		front.set(&inlet.BatchError{Items: []inlet.ItemError{{Index: 1, Err: errInner}, {Index: 2, Err: refused}, {Index: 3, Err: errInner}}})
		back.set(&inlet.BatchError{Items: []inlet.ItemError{{Index: 1, Err: errInner}}})
		err := f.Write(t.Context(), eventsOf("a", "b", "c", "d"))
		require.Equal(t, []error{nil, nil, refused, errInner}, inlet.ItemErrors(err, 4))
	})
	bubble("what the front refuses is refused", func(t *testing.T) {
		f, front, back := start(t, nil)
		refused := inlet.Permanent(errInner)
		front.set(refused)
		require.Equal(t, refused, f.Write(t.Context(), eventsOf("a")))
		require.Zero(t, back.writes)
		require.False(t, f.Stats().Down)
	})
	bubble("both fail", func(t *testing.T) {
		f, front, back := start(t, nil)
		front.set(errInner)
		full := inlet.RetryAfter(errors.New("full"), time.Minute)
		back.set(full)
		require.Equal(t, full, f.Write(t.Context(), eventsOf("a")))
		require.Equal(t, full, f.Write(t.Context(), eventsOf("a")))
		require.Equal(t, 1, front.writes)
	})
	bubble("a front that hangs", func(t *testing.T) {
		for limit, want := range map[time.Duration]time.Duration{0: 2 * time.Second, time.Minute: 2 * time.Second, time.Second: 500 * time.Millisecond} {
			back := newBacklog()
			first := true
			front := inlet.SinkFunc(func(ctx context.Context, _ []*inlet.Event) error { <-ctx.Done(); return ctx.Err() })
			f := newFallback(t, front, back, func(ctx context.Context) error {
				if first {
					first = false
					return nil
				}
				return back.Drain(ctx)
			}, nil)
			ctx, cancel := t.Context(), func() {}
			if limit > 0 {
				ctx, cancel = context.WithTimeout(ctx, limit)
			}
			begin := time.Now()
			require.NoError(t, f.Write(ctx, eventsOf("a")))
			require.Equal(t, want, time.Since(begin))
			require.NoError(t, f.Write(ctx, eventsOf("b")))
			require.Equal(t, want, time.Since(begin), "the front is not asked again")
			cancel()
			require.NoError(t, f.Close(t.Context()))
		}
	})
	bubble("a context that is done", func(t *testing.T) {
		f, front, back := start(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		front.set(context.Canceled)
		require.ErrorIs(t, f.Write(ctx, eventsOf("a")), context.Canceled)
		require.Zero(t, back.writes)
		require.False(t, f.Stats().Down, "it says nothing about the front")
	})
	bubble("Writes wait for the switch, for MaxHold at most", func(t *testing.T) {
		f, front, back := start(t, &sinks.FallbackOptions{MaxHold: time.Second})
		front.set(errInner)
		require.NoError(t, f.Write(t.Context(), eventsOf("a")))
		front.set(nil)
		back.free <- struct{}{}
		synctest.Wait() // the second Drain waits
		begin := time.Now()
		require.NoError(t, f.Write(t.Context(), eventsOf("b")))
		require.Equal(t, time.Second, time.Since(begin))
		require.Equal(t, []string{"a", "b"}, ids(back.Events()))

		back.free <- struct{}{}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, f.Write(ctx, eventsOf("c")), context.DeadlineExceeded)
		done := make(chan error)
		go func() { done <- f.Write(t.Context(), eventsOf("d")) }()
		synctest.Wait()
		back.free <- struct{}{}
		require.NoError(t, <-done)
		require.Equal(t, []string{"d"}, ids(front.Events()))
	})
	bubble("a backlog that is far behind does not hold Writes", func(t *testing.T) {
		f, front, back := start(t, nil)
		front.set(errInner)
		require.NoError(t, f.Write(t.Context(), eventsOf("a")))
		synctest.Wait()
		time.Sleep(time.Hour)
		back.free <- struct{}{} // it took an hour
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, f.Write(t.Context(), eventsOf("b")))
		require.Zero(t, time.Since(begin))
	})
	bubble("a Write to the back that is slow is waited for", func(t *testing.T) {
		front, back, slow := new(switchable), new(sinks.Memory), make(chan struct{})
		front.set(errInner)
		f := newFallback(t, front, inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			<-slow
			return back.Write(ctx, events)
		}), func(context.Context) error { return nil }, nil)
		done := make(chan error)
		go func() { done <- f.Write(t.Context(), eventsOf("a")) }()
		synctest.Wait()
		time.Sleep(time.Hour)
		require.True(t, f.Stats().Down, "the back has nothing yet, but will")
		close(slow)
		require.NoError(t, <-done)
		time.Sleep(time.Second)
		require.False(t, f.Stats().Down)
		require.NoError(t, f.Close(t.Context()))
	})
	bubble("the beginning of an outage holds no Writes", func(t *testing.T) {
		back := new(sinks.Memory)
		f := newFallback(t, downForever{}, inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
			time.Sleep(10 * time.Millisecond)
			return back.Write(ctx, events)
		}), func(ctx context.Context) error {
			if len(back.Events()) == 0 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}, nil)
		begin := time.Now()
		for i := range 10 {
			require.NoError(t, f.Write(t.Context(), eventsOf(fmt.Sprint(i))))
		}
		require.Equal(t, 100*time.Millisecond, time.Since(begin))
		require.NoError(t, f.Close(t.Context()))
	})
	bubble("Flush reaches the back while the front hangs", func(t *testing.T) {
		var flushed []error
		front := &flushing{flush: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		back := &flushing{flush: func(ctx context.Context) error { flushed = append(flushed, ctx.Err()); return nil }}
		f := newFallback(t, front, back, func(context.Context) error { return nil }, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, f.Flush(ctx), context.DeadlineExceeded)
		require.Equal(t, []error{nil}, flushed)
		front.flush = func(context.Context) error { panic("flush") }
		require.ErrorContains(t, f.Flush(t.Context()), "flush")
	})
	bubble("after a restart the backlog comes first", func(t *testing.T) {
		front, back := new(switchable), newBacklog()
		f := newFallback(t, front, back, back.Drain, nil)
		require.NoError(t, f.Write(t.Context(), eventsOf("a")))
		require.Zero(t, front.writes)
		require.Equal(t, []string{"a"}, ids(back.Events()))
		require.NoError(t, f.Close(t.Context()))
	})
	bubble("a drain that panics", func(t *testing.T) {
		front, calls := new(switchable), 0
		f := newFallback(t, front, new(sinks.Memory), func(context.Context) error {
			if calls++; calls < 3 {
				panic("drain")
			}
			return nil
		}, nil)
		require.True(t, f.Stats().Down)
		time.Sleep(time.Minute)
		require.False(t, f.Stats().Down)
		require.NoError(t, f.Close(t.Context()))
	})
	bubble("Check", func(t *testing.T) {
		f, front, back := start(t, nil)
		require.NoError(t, f.Check(t.Context()))
		front.set(errInner)
		require.NoError(t, f.Check(t.Context()), "the back works")
		back.set(errInner)
		require.ErrorIs(t, f.Check(t.Context()), errInner)
		front.set(nil)
		require.NoError(t, f.Check(t.Context()), "the front works")
		front.set(errInner)
		require.Error(t, f.Write(t.Context(), eventsOf("a")))
		front.set(nil)
		require.ErrorIs(t, f.Check(t.Context()), errInner, "it is the back's turn")
	})
	bubble("Close", func(t *testing.T) {
		f, front, back := start(t, nil)
		var order []string
		front.closed = func() { order = append(order, "front") }
		back.closed = func() { order = append(order, "back") }
		front.set(errInner)
		require.NoError(t, f.Write(t.Context(), eventsOf("a")))
		require.NoError(t, f.Close(t.Context()))
		require.NoError(t, f.Close(t.Context()))
		require.Equal(t, []string{"back", "front"}, order)
		require.ErrorIs(t, f.Write(t.Context(), eventsOf("b")), inlet.ErrClosed)
		require.ErrorIs(t, f.Check(t.Context()), inlet.ErrClosed)
	})
	bubble("log", func(t *testing.T) {
		var log bytes.Buffer
		f, front, back := start(t, &sinks.FallbackOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 2 {
			front.set(errInner)
			for range 3 {
				require.NoError(t, f.Write(t.Context(), eventsOf("a")))
			}
			front.set(nil)
			back.free <- struct{}{}
			back.free <- struct{}{}
			synctest.Wait()
		}
		require.Equal(t, 2, strings.Count(log.String(), "front failed"), log.String())
		require.Equal(t, 2, strings.Count(log.String(), "front has everything"))
	})
	t.Run("durability", func(t *testing.T) {
		t.Parallel()
		for d := inlet.DurabilityUnknown; d <= inlet.DurabilityReplicated; d++ {
			f := newFallback(t, downForever{}, durable{d}, func(context.Context) error { return nil }, nil)
			require.Equal(t, d, f.Durability())
			f = newFallback(t, durable{d}, downForever{}, func(context.Context) error { return nil }, nil)
			require.Equal(t, d, f.Durability())
		}
	})
}

// durable declares a durability.
type durable struct{ d inlet.Durability }

func (durable) Write(context.Context, []*inlet.Event) error { return nil }
func (s durable) Durability() inlet.Durability              { return s.d }

// TestFallbackJournal has a journal as the back, and a front that goes down and comes back, with
// concurrent writers that each write one event after the other. The front must get the events of
// each writer in order, and all of them.
func TestFallbackJournal(t *testing.T) {
	t.Parallel()
	silent := slog.New(slog.DiscardHandler)
	front := new(switchable)
	j, err := journal.Open(t.TempDir(), &journal.Options{Logger: silent})
	require.NoError(t, err)
	d, err := j.Deliver("front", front, &journal.DeliverOptions{MinBackoff: time.Millisecond, MaxBackoff: 5 * time.Millisecond})
	require.NoError(t, err)
	f := newFallback(t, front, j, d.Drain, &sinks.FallbackOptions{MaxHold: 10 * time.Second})

	const writers, outages = 4, 6
	var stop atomic.Bool
	var wg sync.WaitGroup
	var written [writers]int
	for w := range writers {
		wg.Go(func() {
			for ; !stop.Load(); written[w]++ {
				if err := f.Write(t.Context(), eventsOf(fmt.Sprintf("%d-%06d", w, written[w]))); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	until := func(what string, holds func() bool) {
		require.Eventually(t, holds, 2*time.Minute, time.Millisecond, what)
	}
	for range outages {
		before := f.Stats()
		until("written to the front", func() bool { return f.Stats().Front >= before.Front+20 })
		front.set(errInner)
		until("written to the back", func() bool { return f.Stats().Back >= before.Back+20 })
		front.set(nil)
		until("up again", func() bool { return !f.Stats().Down })
	}
	stop.Store(true)
	wg.Wait()
	require.NoError(t, d.Drain(t.Context()))
	require.NoError(t, f.Close(t.Context()))
	got := make([]int, writers)
	for _, e := range front.Events() {
		var w, n int
		_, err := fmt.Sscanf(e.MessageID, "%d-%d", &w, &n)
		require.NoError(t, err)
		require.Equal(t, got[w], n, "the next of writer %d", w)
		got[w]++
	}
	require.Equal(t, written[:], got)
}
