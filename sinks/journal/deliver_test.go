package journal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestDeliver(t *testing.T) {
	t.Parallel()
	t.Run("stored and new events", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{SegmentBytes: 1500})
			write(t, j, "a", "b", "c")
			to := &target{}
			d := deliver(t, j, to, nil)
			drain(t, d)
			require.Equal(t, []string{"a", "b", "c"}, to.ids())
			write(t, j, "d", "e", "f", "g")
			synctest.Wait()
			require.Equal(t, []string{"a", "b", "c", "d", "e", "f", "g"}, to.ids(), "at once, and across segments")
			stats := d.Stats()
			require.EqualValues(t, 7, stats.Position)
			require.EqualValues(t, 7, stats.Delivered)
			require.Zero(t, stats.Behind+stats.Refused+stats.Dropped)
			require.Zero(t, stats.Age)
		})
	})
	t.Run("events are equal", func(t *testing.T) {
		t.Parallel()
		j := openTest(t, t.TempDir(), nil)
		want := events("m", 7)
		require.NoError(t, j.Write(t.Context(), want))
		to := &sinks.Memory{}
		drain(t, deliver(t, j, to, &DeliverOptions{MaxEvents: 3}))
		got := to.Events()
		require.Len(t, got, len(want))
		for i := range want {
			require.True(t, want[i].Equal(got[i]), "%s", got[i].AppendJSON(nil))
		}
	})
	t.Run("continues at its cursor", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, to := memfs.New(), &target{}
			j := openMem(t, m, Options{})
			d := deliver(t, j, to, nil)
			write(t, j, "a", "b")
			drain(t, d)
			require.NoError(t, d.Stop(t.Context()))
			write(t, j, "c")
			synctest.Wait()
			require.Equal(t, []string{"a", "b"}, to.ids(), "a stopped one gets nothing")

			deliver(t, j, to, &DeliverOptions{Start: FromNow()})
			synctest.Wait()
			require.Equal(t, []string{"a", "b", "c"}, to.ids(), "Start is for new destinations only")
			closeNow(t, j)

			j = openMem(t, m, Options{})
			write(t, j, "d")
			drain(t, deliver(t, j, to, nil))
			require.Equal(t, []string{"a", "b", "c", "d"}, to.ids())
		})
	})
	t.Run("destinations are isolated", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{})
			broken, hangs, works := &target{answer: down}, newHung(), &target{}
			deliver(t, j, broken, nil)
			_, err := j.Deliver("hangs", hangs, nil)
			require.NoError(t, err)
			_, err = j.Deliver("works", works, nil)
			require.NoError(t, err)
			for i := range 20 {
				start := time.Now()
				write(t, j, fmt.Sprint(i))
				synctest.Wait()
				require.Len(t, works.ids(), i+1)
				require.Zero(t, time.Since(start))
				time.Sleep(time.Minute)
			}
			require.Empty(t, broken.ids())
			broken.answers(nil)
			hangs.release()
			time.Sleep(2 * time.Minute)
			require.Equal(t, works.ids(), broken.ids())
			require.Equal(t, works.ids(), hangs.ids())
		})
	})
}

func TestDeliverStart(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		start Start
		want  []string
	}{
		{"at the oldest event", FromOldest(), []string{"0", "1", "2", "3", "4", "5", "6", "7", "later"}},
		{"now", FromNow(), []string{"later"}},
		{"at a number", FromSeq(6), []string{"5", "6", "7", "later"}},
		{"at a number that nothing has yet", FromSeq(9), []string{"later"}},
		{"time", FromTime(day.Add(3 * time.Hour)), []string{"3", "4", "5", "6", "7", "later"}},
		{"time between two events", FromTime(day.Add(150 * time.Minute)), []string{"3", "4", "5", "6", "7", "later"}},
		{"time before everything", FromTime(day.Add(-time.Hour)), []string{"0", "1", "2", "3", "4", "5", "6", "7", "later"}},
		{"time in the future", FromTime(day.Add(24 * time.Hour)), []string{"later"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				j := openMem(t, memfs.New(), Options{SegmentBytes: 1500})
				for i := range 8 {
					writeAt(t, j, fmt.Sprint(i), day.Add(time.Duration(i)*time.Hour))
				}
				to := &target{}
				d := deliver(t, j, to, &DeliverOptions{Start: test.start})
				write(t, j, "later")
				drain(t, d)
				require.Equal(t, test.want, to.ids())
				require.Zero(t, d.Stats().Dropped)
			})
		})
	}
}

func TestDeliverBatch(t *testing.T) {
	t.Parallel()
	t.Run("bounds", func(t *testing.T) {
		t.Parallel()
		line := len(lineOf(event("m-0"), 1))
		for name, test := range map[string]struct {
			o    DeliverOptions
			want []int // events a write
		}{
			"the defaults":        {DeliverOptions{}, []int{500, 200}},
			"events":              {DeliverOptions{MaxEvents: 300}, []int{300, 300, 100}},
			"bytes, of two lines": {DeliverOptions{MaxBytes: 2*line - 10, MaxEvents: 1000}, nil},
			"less than one line":  {DeliverOptions{MaxBytes: 1}, nil},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				j, to := openTest(t, t.TempDir(), nil), &target{}
				require.NoError(t, j.Write(t.Context(), events("m", 700)))
				drain(t, deliver(t, j, to, &test.o))
				require.Len(t, to.ids(), 700)
				var sizes []int
				for _, c := range to.writes() {
					sizes = append(sizes, len(c.ids))
				}
				if test.want != nil {
					require.Equal(t, test.want, sizes)
					return
				}
				most := 1 + test.o.MaxBytes/line // the last may go beyond
				require.Equal(t, most, sizes[0])
				require.LessOrEqual(t, slices.Max(sizes), most)
			})
		}
	})
	t.Run("deadline", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{})
			write(t, j, "a")
			var left time.Duration
			d := deliver(t, j, inlet.SinkFunc(func(ctx context.Context, _ []*inlet.Event) error {
				deadline, _ := ctx.Deadline()
				left = time.Until(deadline)
				return nil
			}), &DeliverOptions{Timeout: time.Minute})
			drain(t, d)
			require.Equal(t, time.Minute, left)
		})
	})
}

func TestDeliverFails(t *testing.T) {
	t.Parallel()
	t.Run("retried before later events", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{})
			to := &target{answer: refuses(errDown, "b", "d")}
			for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
				writeAt(t, j, id, time.Now())
			}
			d := deliver(t, j, to, &DeliverOptions{MaxEvents: 4})
			time.Sleep(time.Hour)
			require.Equal(t, []string{"a", "c"}, to.ids(), "the second batch waits, however long it takes")
			stats := d.Stats()
			require.ErrorIs(t, stats.Err, errDown)
			require.Greater(t, stats.Failures, 10)
			require.GreaterOrEqual(t, stats.Age, time.Hour)
			require.EqualValues(t, 6, stats.Behind)
			require.False(t, stats.NextTry.Before(time.Now()))
			for _, c := range to.writes()[1:5] {
				require.Equal(t, []string{"b", "d"}, c.ids, "what was accepted is not written again")
			}
			to.answers(nil)
			drain(t, d)
			require.Equal(t, []string{"a", "c", "b", "d", "e", "f"}, to.ids())
			require.NoError(t, d.Stats().Err)
		})
	})
	t.Run("probes with one event after five failures", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{})
			to := &target{answer: down}
			require.NoError(t, j.Write(t.Context(), events("m", 10)))
			d := deliver(t, j, to, nil)
			time.Sleep(time.Hour)
			to.answers(nil)
			drain(t, d)
			writes := to.writes()
			for i, c := range writes[:len(writes)-2] {
				if i < maxBatchFailures {
					require.Len(t, c.ids, 10, "attempt %d", i)
				} else {
					require.Len(t, c.ids, 1, "attempt %d", i)
				}
			}
			require.Len(t, writes[len(writes)-2].ids, 1, "the probe that worked")
			require.Len(t, writes[len(writes)-1].ids, 9, "then the rest immediately")
			require.Equal(t, writes[len(writes)-2].at, writes[len(writes)-1].at)
			require.Len(t, to.ids(), 10)
		})
	})
	t.Run("backoff", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{})
			to := &target{answer: down}
			write(t, j, "a")
			d := deliver(t, j, to, &DeliverOptions{MinBackoff: time.Second, MaxBackoff: time.Minute})
			time.Sleep(time.Hour)
			writes := to.writes()
			longest := time.Duration(0)
			for i := 1; i < len(writes); i++ {
				wait := writes[i].at.Sub(writes[i-1].at)
				require.LessOrEqual(t, wait, min(time.Second<<min(i-1, 10), time.Minute))
				longest = max(longest, wait)
			}
			require.Greater(t, longest, 30*time.Second)
			to.answers(func([]string) error { return inlet.RetryAfter(errDown, 5*time.Minute) })
			time.Sleep(time.Minute)
			before := len(to.writes())
			time.Sleep(time.Hour)
			require.LessOrEqual(t, len(to.writes())-before, 12)
			require.NoError(t, d.Stop(t.Context()))
		})
	})
	t.Run("panic", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{})
			to := &target{answer: func([]string) error { panic("oops") }}
			write(t, j, "a")
			d := deliver(t, j, to, nil)
			synctest.Wait()
			require.ErrorContains(t, d.Stats().Err, "oops")
			to.answers(nil)
			drain(t, d)
			require.Equal(t, []string{"a"}, to.ids())
		})
	})
}

func TestDeliverDeadLetter(t *testing.T) {
	t.Parallel()
	t.Run("permanently rejected", func(t *testing.T) {
		t.Parallel()
		tests := map[string]func(ids []string) error{
			"by an error of the event": refuses(inlet.Permanent(errDown), "b"),
			"by an error of all of them": func(ids []string) error {
				if strings.Contains(strings.Join(ids, ""), "b") {
					return inlet.Permanent(errDown)
				}
				return nil
			},
		}
		for name, answer := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					m := memfs.New()
					j := openMem(t, m, Options{})
					to := &target{answer: answer}
					write(t, j, "a", "b", "c", "d", "e")
					d := deliver(t, j, to, nil)
					drain(t, d)
					require.Equal(t, []string{"a", "c", "d", "e"}, to.ids())
					require.EqualValues(t, 1, d.Stats().Refused)
					require.NoError(t, d.Stop(t.Context()))

					letters, err := Open(memfs.Dir+"/dead/d", &Options{fs: m})
					require.NoError(t, err)
					require.Equal(t, []string{"b"}, stored(t, letters))
					for r, err := range letters.Events(t.Context(), 0) {
						require.NoError(t, err)
						refusal, ok := sinks.RefusalOf(r.Event)
						require.True(t, ok)
						require.Contains(t, refusal.Error, errDown.Error())
						require.Equal(t, "d", refusal.By)
					}
					closeNow(t, letters)
				})
			})
		}
	})
	t.Run("sink of the caller fails", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{})
			letters := &target{answer: down}
			to := &target{answer: refuses(inlet.Permanent(errDown), "b")}
			write(t, j, "a", "b", "c")
			d := deliver(t, j, to, &DeliverOptions{DeadLetter: letters, MaxEvents: 2})
			time.Sleep(time.Hour)
			require.Equal(t, []string{"a"}, to.ids(), "the next batch waits: the letter is not lost")
			letters.answers(nil)
			drain(t, d)
			require.Equal(t, []string{"b"}, letters.ids())
			require.Equal(t, []string{"a", "c"}, to.ids())
		})
	})
	t.Run("journal fails", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, full := memfs.New(), new(memfs.Switch)
			m.Fault = func(op, name string, size int) (int, error) {
				if full.IsOn() && op == "write" && strings.Contains(name, deadLetterDir) {
					return 0, errNoSpace
				}
				return size, nil
			}
			j := openMem(t, m, Options{})
			to := &target{answer: refuses(inlet.Permanent(errDown), "b")}
			full.Set(true)
			write(t, j, "a", "b", "c")
			d := deliver(t, j, to, &DeliverOptions{MaxEvents: 2})
			time.Sleep(time.Hour)
			require.Equal(t, []string{"a"}, to.ids(), "the next batch waits")
			require.ErrorIs(t, d.Stats().Err, ErrStorageFull)
			require.Zero(t, d.Stats().Refused)
			full.Set(false)
			drain(t, d)
			require.Equal(t, []string{"a", "c"}, to.ids())
			require.NoError(t, d.Stop(t.Context()))
			letters := openTest(t, memfs.Dir+"/dead/d", &Options{fs: m})
			require.Equal(t, []string{"b"}, stored(t, letters))
		})
	})
}

func TestDeliverFilter(t *testing.T) {
	t.Parallel()
	t.Run("excludes events", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{})
			to := &target{}
			d := deliver(t, j, to, &DeliverOptions{Filter: func(e *inlet.Event) bool { return e.MessageID < "c" }})
			write(t, j, "a", "c", "b", "d")
			drain(t, d)
			require.Equal(t, []string{"a", "b"}, to.ids())
			require.EqualValues(t, 4, d.Stats().Position, "those that are filtered out are settled")
		})
	})
	t.Run("panic", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{SegmentBytes: two})
			broken, to := new(memfs.Switch), &target{}
			broken.Set(true)
			write(t, j, "a", "b", "c", "d", "e")
			filter := func(e *inlet.Event) bool {
				if e.MessageID == "d" && broken.IsOn() {
					panic("oops")
				}
				return e.MessageID < "b" || e.MessageID == "c"
			}
			d := deliver(t, j, to, &DeliverOptions{Filter: filter})
			time.Sleep(time.Hour)
			require.Equal(t, []string{"a", "c"}, to.ids(), "it is neither delivered nor passed over")
			require.ErrorContains(t, d.Stats().Err, "oops")
			n, err := j.Replay(t.Context(), &target{}, &DeliverOptions{Filter: filter})
			require.ErrorContains(t, err, "oops")
			require.EqualValues(t, 2, n)
			broken.Set(false)
			drain(t, d)
			require.Equal(t, []string{"a", "c"}, to.ids())
			require.NoError(t, d.Stats().Err, "also if nothing is delivered after it")
			require.Zero(t, d.Stats().Dropped)
		})
	})
}

func TestDeliverStop(t *testing.T) {
	t.Parallel()
	t.Run("waits for the Write", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, to := memfs.New(), newHung()
			j := openMem(t, m, Options{})
			write(t, j, "a")
			d := deliver(t, j, to, nil)
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, d.Stop(ctx), context.DeadlineExceeded)
			require.ErrorIs(t, j.Close(ctx), context.DeadlineExceeded, "and so does Close")
			_, err := Open(memfs.Dir, &Options{fs: m})
			require.ErrorIs(t, err, ErrLocked, "the directory is held as long as it may be written to")
			to.release()
			require.NoError(t, d.Stop(t.Context()))
			closeNow(t, j)
			require.ErrorIs(t, d.Drain(t.Context()), nil, "it was accepted")

			j = openMem(t, m, Options{})
			drain(t, deliver(t, j, to, nil))
			require.Equal(t, []string{"a"}, to.ids(), "and was noted")
		})
	})
	t.Run("cancels the Write", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{})
			write(t, j, "a")
			d := deliver(t, j, inlet.SinkFunc(func(ctx context.Context, _ []*inlet.Event) error {
				<-ctx.Done()
				return ctx.Err()
			}), &DeliverOptions{Timeout: time.Minute})
			synctest.Wait()
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.Error(t, d.Stop(ctx))
			require.NoError(t, d.Stop(t.Context()))
			require.Equal(t, time.Second, time.Since(start))
			require.ErrorIs(t, d.Drain(t.Context()), inlet.ErrClosed)
		})
	})
}

func TestDeliverOptions(t *testing.T) {
	t.Parallel()
	t.Run("defaults", func(t *testing.T) {
		t.Parallel()
		var none *DeliverOptions
		require.Equal(t, DeliverOptions{
			MaxEvents: 500, MaxBytes: 1 << 20, MinEvents: 1, Timeout: 30 * time.Second,
			MinBackoff: 100 * time.Millisecond, MaxBackoff: time.Minute, WhenFull: Block, PauseAfter: 3,
		}, none.withDefaults())
		require.Equal(t, time.Hour, (&DeliverOptions{MinBackoff: time.Hour}).withDefaults().MaxBackoff)
	})
	t.Run("faults", func(t *testing.T) {
		t.Parallel()
		j := openTest(t, t.TempDir(), nil)
		for _, name := range []string{"", "A", "a.b", "../x", "a/b", strings.Repeat("a", 65)} {
			_, err := j.Deliver(name, &target{}, nil)
			require.ErrorContains(t, err, "name", "%q", name)
		}
		for field, o := range map[string]DeliverOptions{
			"MaxEvents":  {MaxEvents: -1},
			"MaxBytes":   {MaxBytes: -1},
			"Timeout":    {Timeout: -1},
			"MinBackoff": {MinBackoff: -1},
			"MinEvents":  {MinEvents: -1},
			"MaxDelay":   {MinEvents: 2, MaxDelay: -1},
			"MaxBackoff": {MinBackoff: 2, MaxBackoff: 1},
			"WhenFull":   {WhenFull: 2},
		} {
			_, err := j.Deliver("d", &target{}, &o)
			require.ErrorContains(t, err, "journal: DeliverOptions: "+field+" is ")
			_, err = j.Replay(t.Context(), &target{}, &o)
			require.ErrorContains(t, err, "journal: DeliverOptions: "+field+" is ")
		}
		for want, o := range map[string]DeliverOptions{
			"MinEvents is 7, needs MaxDelay":        {MinEvents: 7},
			"MaxDelay is 1s, needs MinEvents":       {MaxDelay: time.Second},
			"MinEvents is 501, must be at most 500": {MinEvents: 501, MaxDelay: 1},
			"MinEvents is 4, must be at most 3":     {MinEvents: 4, MaxEvents: 3, MaxDelay: 1},
			"MinEvents is -5, must be at least 1":   {MinEvents: -5},
			"MaxDelay is -1ns, must be at least 0":  {MinEvents: 2, MaxDelay: -1},
		} {
			_, err := j.Deliver("d", &target{}, &o)
			require.ErrorContains(t, err, want)
		}
		_, err := j.Deliver("d", nil, nil)
		require.Error(t, err)
		d := deliver(t, j, &target{}, nil)
		_, err = j.Deliver("d", &target{}, nil)
		require.ErrorContains(t, err, "already")
		require.Equal(t, "d", d.Name())
		closeNow(t, j)
		_, err = j.Deliver("e", &target{}, nil)
		require.ErrorIs(t, err, inlet.ErrClosed)
	})
}

// A hung is a target that ignores its context and does not return until it is released.
type hung struct {
	target
	until chan struct{}
}

func newHung() *hung { return &hung{until: make(chan struct{})} }

func (h *hung) release() { close(h.until) }

func (h *hung) Write(ctx context.Context, events []*inlet.Event) error {
	<-h.until
	return h.target.Write(ctx, events)
}
