package sinkkit_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
	"github.com/inlet-go/inlet/internal/sinkkit"
)

func TestGate(t *testing.T) {
	t.Parallel()
	t.Run("slots", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g := sinkkit.NewGate(2)
			require.NoError(t, g.Enter(t.Context()))
			require.NoError(t, g.Enter(t.Context()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, g.Enter(ctx), context.DeadlineExceeded)
			require.ErrorIs(t, g.Enter(ctx), context.DeadlineExceeded, "a context that is done")
			require.False(t, g.Leave())
			require.NoError(t, g.Enter(t.Context()))
			g.Leave()
			g.Leave()
		})
	})
	t.Run("Close", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			g, waiting := sinkkit.NewGate(1), make(chan error, 1)
			require.NoError(t, g.Enter(t.Context()))
			go func() { waiting <- g.Enter(t.Context()) }()
			synctest.Wait()
			require.False(t, g.IsClosed())
			drained := g.Close()
			require.True(t, g.IsClosed())
			require.ErrorIs(t, <-waiting, inlet.ErrClosed)
			select {
			case <-drained:
				require.Fail(t, "drained while a Write runs")
			default:
			}
			require.True(t, g.Leave())
			<-drained
			require.Equal(t, drained, g.Close(), "again")
			require.ErrorIs(t, g.Enter(t.Context()), inlet.ErrClosed)
		})
	})
}

func TestPartEnd(t *testing.T) {
	t.Parallel()
	sizes := []int{3, 3, 9, 1, 1, 1, 1}
	fit := func(from, to int) bool {
		sum := 0
		for _, n := range sizes[from:to] {
			sum += n
		}
		return sum <= 6
	}
	var ends []int
	for from := 0; from < len(sizes); {
		from = sinkkit.PartEnd(from, len(sizes), 3, fit)
		ends = append(ends, from)
	}
	require.Equal(t, []int{2, 3, 6, 7}, ends)
}

func TestFailures(t *testing.T) {
	t.Parallel()
	var f sinkkit.Failures
	require.NoError(t, f.Err())
	errFailed := errors.New("failed")
	f.Add(1, errFailed)
	f.AddAll(3, 5, inlet.Permanent(errFailed))
	require.Equal(t, 3, f.Len())
	var batch *inlet.BatchError
	require.ErrorAs(t, f.Err(), &batch)
	require.NoError(t, itemerrors.Validate(batch, 5))
	require.Equal(t, []error{nil, errFailed, nil, inlet.Permanent(errFailed), inlet.Permanent(errFailed)}, inlet.ItemErrors(batch, 5))
}

func TestKeyOf(t *testing.T) {
	t.Parallel()
	key := func(source, id string) sinkkit.Key {
		return sinkkit.KeyOf(&inlet.Event{MessageID: id, Source: &inlet.Source{ID: source}})
	}
	require.Equal(t, key("a", "b"), key("a", "b"))
	require.NotEqual(t, key("ab", "c"), key("a", "bc"))
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	s := sinkkit.NewSecrets("[hidden]", "hunter22", "", "hunter2")
	require.Equal(t, "a [hidden] b [hidden]", s.Hide("a hunter22 b hunter2"))
	require.Equal(t, "nothing", s.Hide("nothing"))
	require.Equal(t, "nothing", sinkkit.NewSecrets("x").Hide("nothing"))
	require.NoError(t, s.HideError(nil))
	plain := fmt.Errorf("plain: %w", inlet.ErrClosed)
	require.Equal(t, plain, s.HideError(plain))
	require.EqualError(t, s.HideError(errors.New("with hunter2")), "with [hidden]")
}
