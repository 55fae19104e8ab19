package journal

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestReplay(t *testing.T) {
	t.Parallel()
	t.Run("everything before the call", func(t *testing.T) {
		t.Parallel()
		j := openTest(t, t.TempDir(), &Options{SegmentBytes: two})
		write(t, j, "a", "b", "c", "d", "e")
		to := &target{}
		n, err := j.Replay(t.Context(), to, &DeliverOptions{MaxEvents: 2})
		require.NoError(t, err)
		require.EqualValues(t, 5, n)
		require.Equal(t, []string{"a", "b", "c", "d", "e"}, to.ids())
		require.Len(t, to.writes(), 3)
		require.Empty(t, j.Deliveries(), "it leaves no cursor")
	})
	t.Run("filter and start", func(t *testing.T) {
		t.Parallel()
		j := openTest(t, t.TempDir(), nil)
		write(t, j, "a", "b", "c", "d", "e")
		to := &target{}
		n, err := j.Replay(t.Context(), to, &DeliverOptions{
			Start:  FromSeq(2),
			Filter: func(e *inlet.Event) bool { return e.MessageID != "d" },
		})
		require.NoError(t, err)
		require.EqualValues(t, 3, n)
		require.Equal(t, []string{"b", "c", "e"}, to.ids())
	})
	t.Run("retries until the context is done", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{})
			write(t, j, "a", "b")
			to := &target{answer: refuses(errDown, "b")}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			n, err := j.Replay(ctx, to, nil)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.EqualValues(t, 1, n, "that much the sink has")
			require.Greater(t, len(to.writes()), 10)

			tries := 0
			n, err = j.Replay(t.Context(), &target{answer: func([]string) error {
				if tries++; tries < 4 {
					return errDown
				}
				return nil
			}}, nil)
			require.NoError(t, err)
			require.EqualValues(t, 2, n)
		})
	})
	t.Run("permanently rejected event", func(t *testing.T) {
		t.Parallel()
		j := openTest(t, t.TempDir(), nil)
		write(t, j, "a", "b", "c")
		to := &target{answer: refuses(inlet.Permanent(errDown), "b")}
		n, err := j.Replay(t.Context(), to, &DeliverOptions{MaxEvents: 1})
		require.ErrorIs(t, err, errDown)
		require.EqualValues(t, 1, n)

		letters, to := &target{}, &target{answer: to.answer}
		n, err = j.Replay(t.Context(), to, &DeliverOptions{DeadLetter: letters})
		require.NoError(t, err)
		require.EqualValues(t, 3, n)
		require.Equal(t, []string{"a", "c"}, to.ids())
		require.Equal(t, []string{"b"}, letters.ids())
	})
}
