package admission_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestInFlight(t *testing.T) {
	t.Parallel()
	t.Run("lets in up to its limit", func(t *testing.T) {
		t.Parallel()
		var f admission.InFlight
		f.Init(2)
		require.NoError(t, f.Enter())
		require.NoError(t, f.Enter())
		require.ErrorIs(t, f.Enter(), admission.ErrFull)
		f.Leave()
		require.NoError(t, f.Enter(), "a refused request is not counted")
	})
	t.Run("waits for those in flight", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var f admission.InFlight
			f.Init(2)
			require.NoError(t, f.Enter())
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, f.Close(ctx), context.DeadlineExceeded)
			require.True(t, f.Closed())
			require.ErrorIs(t, f.Enter(), admission.ErrClosed)
			time.AfterFunc(time.Second, f.Leave)
			require.NoError(t, f.Close(t.Context()))
		})
	})
	t.Run("closes at once without requests", func(t *testing.T) {
		t.Parallel()
		var f admission.InFlight
		f.Init(1)
		require.False(t, f.Closed())
		require.NoError(t, f.Close(t.Context()))
		require.True(t, errors.Is(f.Enter(), admission.ErrClosed))
	})
}

func TestQueue(t *testing.T) {
	t.Parallel()
	t.Run("always lets a few in", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			q := admission.NewQueue(50 * time.Millisecond)
			for range 15 {
				require.True(t, q.Begin(time.Now()))
				time.Sleep(time.Hour)
				require.False(t, q.Full(time.Now()))
			}
		})
	})
	t.Run("is full while writes do not end", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			q := admission.NewQueue(50 * time.Millisecond)
			began := time.Now()
			few := q.Begin(began)
			time.Sleep(time.Millisecond)
			q.End(began, few) // from which it knows how long a write takes at rest
			for range 40 {
				q.Begin(time.Now())
			}
			for range 4 {
				time.Sleep(50 * time.Millisecond)
				q.Full(time.Now())
			}
			require.True(t, q.Full(time.Now()))
			for range 40 {
				q.End(began, false)
			}
			require.False(t, q.Full(time.Now()))
		})
	})
}
