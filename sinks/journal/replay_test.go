package journal

import (
	"context"
	"fmt"
	"io/fs"
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

// Retention removes segments while a replay reads the ones before them.
func TestReplayRetention(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		keep  int // events that retention leaves
		batch int
	}{"one by one": {20, 1}, "in batches": {20, 7}, "few": {4, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := memfs.New()
				j := openMem(t, m, Options{SegmentBytes: two, RetainBytes: int64(tt.keep) * two / 2})
				ids := func(from, to int) (ids []string) {
					for i := from; i < to; i++ {
						ids = append(ids, fmt.Sprintf("e-%03d", i))
					}
					return ids
				}
				write(t, j, ids(0, tt.keep)...)
				to, writes, skipped := &target{}, 0, uint64(0)
				to.answer = func([]string) error {
					if writes++; writes == 1 {
						write(t, j, ids(100, 100+2*tt.keep)...)
						synctest.Wait()
					}
					return nil
				}
				n, err := j.Replay(t.Context(), to, &DeliverOptions{MaxEvents: tt.batch, OnSkipped: func(n uint64) { skipped += n }})
				require.NoError(t, err)
				require.Len(t, to.ids(), int(n))
				require.EqualValues(t, tt.keep, n+skipped, "each is replayed, or reported")
				require.Positive(t, skipped)
			})
		})
	}
	t.Run("between the list and the open", func(t *testing.T) {
		t.Parallel()
		for _, lost := range []int{1, 3, 5} { // of the segments 1, 3, 5, with two events each
			synctest.Test(t, func(t *testing.T) {
				m := memfs.New()
				j := openMem(t, m, Options{SegmentBytes: two})
				write(t, j, "1", "2", "3", "4", "5", "6", "7")
				gone := entry{uint64(lost), extSealed}.path(memfs.Dir)
				m.Fault = func(op, name string, size int) (int, error) {
					if op == "open" && name == gone {
						return 0, fs.ErrNotExist
					}
					return size, nil
				}
				to, skipped := &target{}, uint64(0)
				n, err := j.Replay(t.Context(), to, &DeliverOptions{MaxEvents: 3, OnSkipped: func(n uint64) { skipped += n }})
				require.NoError(t, err)
				require.EqualValues(t, 2, skipped)
				require.EqualValues(t, 5, n)
				require.NotContains(t, to.ids(), fmt.Sprint(lost))
				require.Contains(t, to.ids(), "7")
			})
		}
	})
	t.Run("OnSkipped panics", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{SegmentBytes: two})
			write(t, j, "1", "2", "3", "4")
			d, err := j.Deliver("d", &target{}, &DeliverOptions{Start: FromSeq(1), OnSkipped: func(uint64) { panic("no") }})
			require.NoError(t, err)
			drain(t, d)
			require.NoError(t, d.Stop(t.Context()))
			require.NoError(t, m.Remove(entry{1, extSealed}.path(memfs.Dir)))
			n, err := j.Replay(t.Context(), &target{}, &DeliverOptions{OnSkipped: func(uint64) { panic("no") }})
			require.NoError(t, err)
			require.EqualValues(t, 2, n)
		})
	})
}
