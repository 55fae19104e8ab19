package journal

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestDrain(t *testing.T) {
	t.Parallel()
	within := func(t *testing.T, d time.Duration) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		t.Cleanup(cancel)
		return ctx
	}
	start := func(t *testing.T, j *Journal, name string, sink inlet.Sink, o *DeliverOptions) *Delivery {
		d, err := j.Deliver(name, sink, o)
		require.NoError(t, err)
		return d
	}
	// done reports whether a call of Drain has returned, and with what.
	type result struct {
		err  error
		done bool
	}
	drain := func(ctx context.Context, j *Journal) *result {
		r := new(result)
		go func() { r.err = j.Drain(ctx); r.done = true }()
		synctest.Wait()
		return r
	}
	bubble := func(name string, f func(t *testing.T, m *memfs.FS, j *Journal)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := memfs.New()
				f(t, m, openMem(t, m, Options{}))
			})
		})
	}
	bubble("waits for all destinations", func(t *testing.T, _ *memfs.FS, j *Journal) {
		fast, slow, dropping := &target{}, &target{answer: down}, &target{answer: down}
		start(t, j, "fast", fast, nil)
		start(t, j, "slow", slow, nil)
		start(t, j, "dropping", dropping, &DeliverOptions{WhenFull: DropOldest})
		write(t, j, "a", "b")
		r := drain(t.Context(), j)
		require.False(t, r.done)
		slow.answers(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.False(t, r.done)
		dropping.answers(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.True(t, r.done)
		require.NoError(t, r.err)
		for _, to := range []*target{fast, slow, dropping} {
			require.Equal(t, []string{"a", "b"}, to.ids())
		}
	})
	bubble("not for what is acknowledged later", func(t *testing.T, _ *memfs.FS, j *Journal) {
		to := &target{answer: refuses(errDown, "b")}
		start(t, j, "d", to, nil)
		write(t, j, "a")
		require.NoError(t, j.Drain(within(t, time.Minute)))
		write(t, j, "b")
		require.ErrorIs(t, j.Drain(within(t, time.Minute)), context.DeadlineExceeded)
		r := drain(t.Context(), j)
		write(t, j, "c")
		to.answers(refuses(errDown, "c"))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.True(t, r.done)
		require.NoError(t, r.err)
	})
	bubble("events that are filtered out, and dead letters, are settled", func(t *testing.T, _ *memfs.FS, j *Journal) {
		start(t, j, "filters", &target{answer: down}, &DeliverOptions{Filter: func(*inlet.Event) bool { return false }})
		start(t, j, "rejects", &target{answer: func([]string) error { return inlet.Permanent(errDown) }}, nil)
		write(t, j, "a")
		require.NoError(t, j.Drain(within(t, time.Minute)))
		require.Positive(t, j.Stats().DeadLetters)
	})
	bubble("without destinations, events or both", func(t *testing.T, _ *memfs.FS, j *Journal) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, j.Drain(ended), "nothing is to be waited for")
		write(t, j, "a")
		require.NoError(t, j.Drain(ended))
		d := start(t, j, "d", &target{answer: down}, &DeliverOptions{Start: FromNow()})
		require.NoError(t, j.Drain(ended))
		require.NoError(t, d.Stop(t.Context()))
		require.NoError(t, j.Drain(ended), "it lacks nothing, although it has no delivery")
	})
	bubble("out of time: names those that lack events, and why", func(t *testing.T, _ *memfs.FS, j *Journal) {
		start(t, j, "down", &target{answer: down}, nil)
		start(t, j, "healthy", &target{}, nil)
		start(t, j, "rejecting", &target{answer: func([]string) error { return fmt.Errorf("busy: %w", errDown) }}, nil)
		write(t, j, "a", "b", "c")
		err := j.Drain(within(t, time.Minute))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, `journal: destination "down" lacks up to 3 events (the destination is down): context deadline exceeded`+"\n"+
			`journal: destination "rejecting" lacks up to 3 events (busy: the destination is down): context deadline exceeded`)
		require.False(t, inlet.IsPermanent(err))
	})
	bubble("a permanent cause does not make it permanent", func(t *testing.T, _ *memfs.FS, j *Journal) {
		start(t, j, "d", &target{answer: func([]string) error { return errors.Join(errDown, inlet.Permanent(errDown)) }}, nil)
		write(t, j, "a")
		err := j.Drain(within(t, time.Nanosecond))
		require.Equal(t, err != nil, errors.Is(err, context.DeadlineExceeded))
		require.False(t, inlet.IsPermanent(err))
	})
	bubble("a destination whose delivery ends", func(t *testing.T, _ *memfs.FS, j *Journal) {
		d := start(t, j, "d", &target{answer: down}, nil)
		other := &target{answer: down}
		start(t, j, "other", other, nil)
		write(t, j, "a")
		r := drain(t.Context(), j)
		require.NoError(t, d.Stop(t.Context()))
		synctest.Wait()
		require.False(t, r.done, "it waits for the others")
		other.answers(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.True(t, r.done)
		require.ErrorIs(t, r.err, inlet.ErrClosed)
		require.ErrorContains(t, r.err, `"d" lacks up to 1 events (no delivery runs)`)
		require.NotContains(t, r.err.Error(), "other")
	})
	bubble("a delivery that replaces one is waited for", func(t *testing.T, _ *memfs.FS, j *Journal) {
		d := start(t, j, "d", &target{answer: down}, nil)
		first := start(t, j, "a", &target{answer: down}, nil)
		write(t, j, "a")
		r := drain(t.Context(), j) // waits for a first
		require.NoError(t, d.Stop(t.Context()))
		start(t, j, "d", &target{}, nil)
		require.NoError(t, first.Stop(t.Context()))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.True(t, r.done)
		require.ErrorContains(t, r.err, `"a"`)
		require.NotContains(t, r.err.Error(), `"d"`)
	})
	bubble("a destination without a delivery, until it is forgotten", func(t *testing.T, m *memfs.FS, j *Journal) {
		start(t, j, "gone", &target{answer: down}, nil)
		write(t, j, "a")
		require.NoError(t, j.Close(t.Context()))
		err := j.Drain(t.Context())
		require.ErrorIs(t, err, inlet.ErrClosed, "of a closed journal")
		require.ErrorContains(t, err, `"gone" lacks up to 1 events`)

		j = openMem(t, m, Options{})
		start(t, j, "d", &target{}, nil)
		require.ErrorContains(t, j.Drain(within(t, time.Minute)), `"gone" lacks up to 1 events`)
		require.NoError(t, j.Forget("gone"))
		require.NoError(t, j.Drain(within(t, time.Minute)))
		require.NoError(t, j.Close(t.Context()))
		require.NoError(t, j.Drain(within(t, time.Minute)), "closed, and everything is settled")
	})
	bubble("a Deliver that fails leaves nothing to wait for", func(t *testing.T, m *memfs.FS, j *Journal) {
		require.NoError(t, start(t, j, "d", &target{}, nil).Stop(t.Context()))
		write(t, j, "a")
		m.Fault = func(op, _ string, size int) (int, error) {
			if op == "create" {
				return 0, errIO
			}
			return size, nil
		}
		_, err := j.Deliver("d", &target{}, &DeliverOptions{WhenFull: DropOldest})
		m.Fault = nil
		require.Error(t, err)
		require.ErrorIs(t, j.Drain(t.Context()), inlet.ErrClosed)
	})
}
