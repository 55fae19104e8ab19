package admission_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/admission"
	"github.com/inlet-go/inlet/internal/lanes"
	"github.com/inlet-go/inlet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestInFlight(t *testing.T) {
	t.Parallel()
	t.Run("lets in up to its limit", func(t *testing.T) {
		t.Parallel()
		var f admission.InFlight
		f.Init(2)
		var a, b, c admission.Pass
		require.NoError(t, f.Enter(&a, 1))
		require.NoError(t, f.Enter(&b, 2))
		require.ErrorIs(t, f.Enter(&c, 3), admission.ErrFull)
		f.Leave(&c)
		f.Leave(&a)
		f.Leave(&a)
		require.NoError(t, f.Enter(&c, 3), "a refused request is not counted")
		require.ErrorIs(t, f.Enter(&a, 1), admission.ErrFull)
	})
	t.Run("a request that is being answered gives its place to another", func(t *testing.T) {
		t.Parallel()
		var f admission.InFlight
		f.Init(16)
		var all [24]admission.Pass
		for i := range 16 {
			require.NoError(t, f.Enter(&all[i], lanes.Lane(i)))
		}
		for i := range 3 {
			require.Equal(t, i < 2, f.Answer(&all[i]), "few are an eighth")
			require.NoError(t, f.Enter(&all[16+i], 5))
			require.ErrorIs(t, f.Enter(&all[23], 6), admission.ErrFull)
		}
		f.Leave(&all[0])
		require.True(t, f.Answer(&all[3]))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for i := range all {
			require.ErrorIs(t, f.Close(ctx), context.Canceled)
			f.Leave(&all[(i+4)%24]) // those that are being answered come last
			if i == 23 {
				require.NoError(t, f.Close(ctx))
			}
		}
	})
	t.Run("waits for those in flight", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var f admission.InFlight
			f.Init(2)
			var p, late admission.Pass
			require.NoError(t, f.Enter(&p, 0))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, f.Close(ctx), context.DeadlineExceeded)
			require.True(t, f.Closed())
			require.ErrorIs(t, f.Enter(&late, 1), admission.ErrClosed)
			time.AfterFunc(time.Second, func() { f.Leave(&p) })
			require.NoError(t, f.Close(t.Context()))
		})
	})
	t.Run("closes at once without requests", func(t *testing.T) {
		t.Parallel()
		var f admission.InFlight
		f.Init(1)
		require.False(t, f.Closed())
		require.NoError(t, f.Close(t.Context()))
		require.True(t, errors.Is(f.Enter(new(admission.Pass), 0), admission.ErrClosed))
	})
}

func TestQueue(t *testing.T) {
	t.Parallel()
	t.Run("always lets a few in", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			q := admission.NewQueue(50 * time.Millisecond)
			for range 15 {
				require.True(t, q.Begin(0, time.Now()))
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
			few := q.Begin(0, began)
			time.Sleep(time.Millisecond)
			q.End(0, began, few) // from which it knows how long a write takes at rest
			for range 40 {
				q.Begin(0, time.Now())
			}
			for range 4 {
				time.Sleep(50 * time.Millisecond)
				q.Full(time.Now())
			}
			require.True(t, q.Full(time.Now()))
			for range 40 {
				q.End(0, began, false)
			}
			require.False(t, q.Full(time.Now()))
		})
	})
}
