package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// deadLettered returns a delivery whose destination has rejected events of those ids, and
// accepts everything from now on.
func deadLettered(t *testing.T, m *memfs.FS, o Options, d *DeliverOptions, ids ...string) (*Journal, *Delivery, *target) {
	t.Helper()
	to := &target{answer: everything}
	j := openMem(t, m, o)
	delivery := deliver(t, j, to, d)
	require.NoError(t, j.Write(t.Context(), named(ids...)))
	drain(t, delivery)
	to.answers(nil)
	return j, delivery, to
}

func all(*inlet.Event) bool { return true }

func TestRedrive(t *testing.T) {
	t.Parallel()
	t.Run("each letter once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j, d, to := deadLettered(t, m, Options{}, nil, "a", "b", "c")
			n, err := d.Redrive(t.Context(), nil)
			require.NoError(t, err)
			require.EqualValues(t, 3, n)
			require.Equal(t, []string{"a", "b", "c"}, to.ids())
			n, err = d.Redrive(t.Context(), all)
			require.NoError(t, err)
			require.Zero(t, n)
			require.EqualValues(t, 3, d.Stats().Redriven)

			closeNow(t, j)
			j = openMem(t, m.PowerCut(), Options{})
			d = deliver(t, j, to, nil)
			n, err = d.Redrive(t.Context(), nil)
			require.NoError(t, err)
			require.Zero(t, n, "nor after a restart")
			require.Len(t, to.ids(), 3)
			closeNow(t, j)
			_, err = d.Redrive(t.Context(), nil)
			require.ErrorIs(t, err, inlet.ErrClosed)
		})
	})
	t.Run("what the filter excludes is sent later", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			_, d, to := deadLettered(t, m, Options{}, &DeliverOptions{MaxEvents: 2}, "a", "b", "c", "d", "e", "f", "g")
			odd := func(letter *inlet.Event) bool {
				r, ok := sinks.RefusalOf(letter)
				require.True(t, ok)
				require.Equal(t, "d", r.By)
				return (letter.MessageID[0]-'a')%2 == 1
			}
			n, err := d.Redrive(t.Context(), odd)
			require.NoError(t, err)
			require.EqualValues(t, 3, n)
			require.Equal(t, []string{"b", "d", "f"}, to.ids())
			require.Equal(t, string(withChecksum([]byte(`{"redriven":[[2,2],[4,4],[6,6]]`))), m.Content("dead/d/REDRIVEN"))
			n, err = d.Redrive(t.Context(), nil)
			require.NoError(t, err)
			require.EqualValues(t, 4, n)
			require.Equal(t, []string{"b", "d", "f", "a", "c", "e", "g"}, to.ids())
			require.Equal(t, string(withChecksum([]byte(`{"redriven":[[1,7]]`))), m.Content("dead/d/REDRIVEN"))
		})
	})
	t.Run("the event is the one that was refused", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, d, _ := deadLettered(t, memfs.New(), Options{}, nil, "a")
			var got []*inlet.Event
			d.to = inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
				got = append(got, inlet.CloneEvents(events)...)
				return nil
			})
			_, err := d.Redrive(t.Context(), nil)
			require.NoError(t, err)
			require.Len(t, got, 1)
			require.True(t, event("a").Equal(got[0]))
		})
	})
	t.Run("no letters", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{})
			n, err := deliver(t, j, new(target), nil).Redrive(t.Context(), nil)
			require.NoError(t, err)
			require.Zero(t, n)
			require.False(t, slices.ContainsFunc(m.Names(), func(name string) bool { return strings.HasPrefix(name, "dead/") }))
		})
	})
	t.Run("letters elsewhere", func(t *testing.T) {
		t.Parallel()
		j := openMem(t, memfs.New(), Options{})
		_, err := deliver(t, j, new(target), &DeliverOptions{DeadLetter: new(target)}).Redrive(t.Context(), nil)
		require.ErrorIs(t, err, errLettersElsewhere)
	})
	t.Run("refused again", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j, d, to := deadLettered(t, m, Options{}, nil, "a", "b", "c")
			to.answers(refuses(inlet.Permanent(errors.New("still bad")), "b"))
			n, err := d.Redrive(t.Context(), nil)
			require.NoError(t, err)
			require.EqualValues(t, 2, n)
			require.EqualValues(t, 4, d.Stats().Refused)
			require.Equal(t, []string{"a", "b", "c", "b"}, storedLetters(t, j, "d"))
			to.answers(nil)
			n, err = d.Redrive(t.Context(), nil)
			require.NoError(t, err)
			require.EqualValues(t, 1, n, "the new letter")
			require.Equal(t, []string{"a", "c", "b"}, to.ids())
			closeNow(t, j)
			require.Equal(t, "still bad", reasonsOf(t, m, "d")["b"])
		})
	})
	t.Run("a temporary failure is repeated", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, d, to := deadLettered(t, memfs.New(), Options{}, nil, "a", "b", "c")
			to.answers(failing("b"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			n, err := d.Redrive(ctx, nil)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.EqualValues(t, 1, n)
			require.Equal(t, []string{"a"}, to.ids())
			to.answers(nil)
			n, err = d.Redrive(t.Context(), nil)
			require.NoError(t, err)
			require.EqualValues(t, 2, n)
			require.Equal(t, []string{"a", "b", "c"}, to.ids())
		})
	})
	t.Run("the delivery goes on, and one at a time", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j, d, to := deadLettered(t, memfs.New(), Options{}, nil, "a")
			release := make(chan struct{})
			to.answers(func(ids []string) error {
				if ids[0] == "a" {
					<-release
				}
				return nil
			})
			outcome := make(chan error)
			go func() {
				_, err := d.Redrive(t.Context(), nil)
				outcome <- err
			}()
			synctest.Wait()
			write(t, j, "next")
			drain(t, d)
			require.Equal(t, []string{"next"}, to.ids())
			_, err := d.Redrive(t.Context(), nil)
			require.ErrorContains(t, err, "running Redrive")
			close(release)
			require.NoError(t, <-outcome)
			require.Equal(t, []string{"next", "a"}, to.ids())
		})
	})
	t.Run("ends with the delivery", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j, d, to := deadLettered(t, memfs.New(), Options{}, nil, "a")
			to.answers(down)
			outcome := make(chan error)
			go func() {
				_, err := d.Redrive(t.Context(), nil)
				outcome <- err
			}()
			time.Sleep(time.Second)
			closeNow(t, j)
			require.Error(t, <-outcome)
		})
	})
	t.Run("a damaged file", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			_, d, to := deadLettered(t, m, Options{}, nil, "a", "b")
			_, err := d.Redrive(t.Context(), nil)
			require.NoError(t, err)
			m.Put("dead/d/REDRIVEN", "garbage")
			n, err := d.Redrive(t.Context(), nil)
			require.NoError(t, err)
			require.EqualValues(t, 2, n)
			require.Equal(t, []string{"a", "b", "a", "b"}, to.ids())
		})
	})
	t.Run("a letter that cannot be marked", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, broken := memfs.New(), true
			_, d, to := deadLettered(t, m, Options{}, &DeliverOptions{MaxEvents: 1}, "a", "b")
			m.Fault = func(op, name string, size int) (int, error) {
				if broken && op == "rename" && strings.Contains(name, redrivenName) {
					return 0, errIO
				}
				return size, nil
			}
			n, err := d.Redrive(t.Context(), nil)
			require.ErrorIs(t, err, errIO)
			require.EqualValues(t, 1, n)
			broken = false
			_, err = d.Redrive(t.Context(), nil)
			require.NoError(t, err)
			require.Equal(t, []string{"a", "a", "b"}, to.ids(), "no more than one batch comes again")
		})
	})
	t.Run("while letters are removed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{DeadLetterBytes: 64 << 10})
			to := &target{answer: everything}
			d := deliver(t, j, to, &DeliverOptions{MaxEvents: 5, PauseAfter: -1})
			require.NoError(t, j.Write(t.Context(), named(numbered("old", 60)...)))
			drain(t, d)
			n := 0
			to.answers(func(batch []string) error {
				switch {
				case strings.HasPrefix(batch[0], "new"):
					return inlet.Permanent(errDown)
				case n == 0: // while it has the first batch of old ones
					n++
					require.NoError(t, j.Write(t.Context(), named(numbered("new", 100)...)))
					drain(t, d)
					synctest.Wait()
				}
				return nil
			})
			sent, err := d.Redrive(t.Context(), nil)
			require.NoError(t, err)
			require.Len(t, to.ids(), int(sent))
			require.Less(t, int(sent), 60, "some were removed")
			require.Positive(t, d.Stats().Removed)
		})
	})
}

// storedLetters returns the ids of the letters of a running delivery, in order.
func storedLetters(t *testing.T, j *Journal, name string) []string {
	t.Helper()
	j.dead.mu.Lock()
	letters := j.dead.boxes[name].journal
	j.dead.mu.Unlock()
	return stored(t, letters)
}

// A Redrive that is cut short at any call, by a power cut or a kill, loses no letter, and sends
// none again but those of one batch.
func TestRedriveEveryCall(t *testing.T) {
	t.Parallel()
	ids := []string{"a", "b", "c", "d", "e", "f", "g"}
	const batch = 2
	for calls := 0; ; calls++ {
		end := false
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			o := &DeliverOptions{MaxEvents: batch}
			j, d, to := deadLettered(t, m, Options{}, o, ids...)
			time.Sleep(2 * maxSaveInterval) // or the delivery repeats what it has sent
			synctest.Wait()
			var after []*memfs.FS
			var taken [][]string
			n := 0
			m.Fault = func(_, _ string, size int) (int, error) {
				if n++; n == calls+1 {
					r := rand.New(rand.NewPCG(uint64(calls), 1))
					after = append(after, m.PowerCut(), m.TornPowerCut(r), m.Kill())
					taken = append(taken, to.ids())
				}
				return size, nil
			}
			_, err := d.Redrive(t.Context(), nil)
			require.NoError(t, err)
			m.Fault = nil
			closeNow(t, j)
			if end = len(after) == 0; end {
				return
			}
			for _, cut := range after {
				j := openMem(t, cut, Options{})
				again := new(target)
				d := deliver(t, j, again, o)
				_, err := d.Redrive(t.Context(), nil)
				require.NoError(t, err)
				got := append(slices.Clone(taken[0]), again.ids()...)
				require.Subset(t, got, ids, "after %d calls", calls)
				require.LessOrEqual(t, len(got), len(ids)+batch, "after %d calls", calls)
				closeNow(t, j)
			}
		})
		if end {
			require.Greater(t, calls, 10)
			return
		}
	}
}

// A Redrive, the delivery and its letters go on at the same time.
func TestRedriveConcurrent(t *testing.T) {
	t.Parallel()
	j := openTest(t, t.TempDir(), &Options{Sync: SyncNever})
	var mu sync.Mutex
	got, refused := map[string]int{}, map[string]bool{}
	to := inlet.SinkFunc(func(_ context.Context, events []*inlet.Event) error {
		mu.Lock()
		defer mu.Unlock()
		var bad []inlet.ItemError
		for i, e := range events {
			if !refused[e.MessageID] {
				refused[e.MessageID] = true
				bad = append(bad, inlet.ItemError{Index: i, Err: inlet.Permanent(errDown)})
				continue
			}
			got[e.MessageID]++
		}
		if bad != nil {
			return &inlet.BatchError{Items: bad}
		}
		return nil
	})
	d := deliver(t, j, to, &DeliverOptions{MaxEvents: 7})
	const n = 150
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := range n {
			write(t, j, fmt.Sprint(i))
		}
	}()
	for done := false; !done; {
		select {
		case <-written:
			done = true
			drain(t, d)
		default:
		}
		_, err := d.Redrive(t.Context(), nil)
		require.NoError(t, err)
	}
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, got, n)
	for id, times := range got {
		require.Equal(t, 1, times, id)
	}
}

func TestSeqRanges(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var ranges seqRanges
		want := map[uint64]bool{}
		for range 20 {
			var seqs []uint64
			at := uint64(r.IntN(20))
			for range r.IntN(10) {
				at += 1 + uint64(r.IntN(4))
				seqs = append(seqs, at)
				want[at] = true
			}
			ranges = ranges.with(seqs)
		}
		for seq := range uint64(70) {
			require.Equal(t, want[seq], ranges.has(seq), "%d in %v", seq, ranges)
		}
		for i := 1; i < len(ranges); i++ {
			require.Greater(t, ranges[i][0], ranges[i-1][1]+1, "%v", ranges)
		}
		rest := ranges.after(30)
		for seq := uint64(31); seq < 70; seq++ {
			require.Equal(t, want[seq], rest.has(seq))
		}
	}
}
