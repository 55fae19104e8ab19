package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// everything is an answer that rejects all events permanently.
func everything([]string) error { return inlet.Permanent(errDown) }

// large returns n events of about so many bytes.
func large(prefix string, n, size int) []*inlet.Event {
	list := events(prefix, n)
	for _, e := range list {
		e.Properties = json.RawMessage(`{"text":"` + strings.Repeat("x", size) + `"}`)
	}
	return list
}

// sizeBelow returns the size of all files of m whose names begin with prefix.
func sizeBelow(m *memfs.FS, prefix string) (size int) {
	for _, name := range names(m) {
		if strings.HasPrefix(name, prefix) {
			size += len(m.Content(name))
		}
	}
	return size
}

func TestDeadLetterBytes(t *testing.T) {
	t.Parallel()
	t.Run("the oldest go", func(t *testing.T) {
		t.Parallel()
		for _, retain := range []int64{8 << 20, 1 << 20} {
			synctest.Test(t, func(t *testing.T) {
				m, log := memfs.New(), new(bytes.Buffer)
				j := openMem(t, m, Options{SegmentBytes: retain / 4, RetainBytes: retain, Logger: slog.New(slog.NewTextHandler(log, nil))})
				d := deliver(t, j, &target{answer: everything}, &DeliverOptions{PauseAfter: -1})
				limit := int(retain / 4)
				const writes, each = 60, 50
				for i := range writes {
					require.NoError(t, j.Write(t.Context(), large(fmt.Sprint(i), each, 1<<10)))
					drain(t, d)
					synctest.Wait()
					require.LessOrEqual(t, sizeBelow(m, "dead/"), limit+limit/deadLetterSegments)
					require.LessOrEqual(t, sizeBelow(m, ""), int(retain+retain/4), "and the segment that is written")
				}
				stats := d.Stats()
				require.EqualValues(t, writes*each, stats.Refused)
				require.EqualValues(t, sizeBelow(m, "dead/"), j.Stats().DeadLetters)
				require.Equal(t, 1, strings.Count(log.String(), "oldest dead letters removed"), "no time has passed")
				require.Equal(t, sampledLines, strings.Count(log.String(), "event permanently rejected"))
				require.NoError(t, d.Stop(t.Context()))
				require.Equal(t, 2, strings.Count(log.String(), "oldest dead letters removed"), "the rest of them")
				left := lettersOf(t, m, "d")
				require.EqualValues(t, writes*each-len(left), stats.Removed)
				require.Equal(t, fmt.Sprintf("%d-%d", writes-1, each-1), left[len(left)-1])
			})
		}
	})
	t.Run("one that is larger than the limit", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{DeadLetterBytes: 1000})
			d := deliver(t, j, &target{answer: everything}, &DeliverOptions{PauseAfter: -1})
			require.NoError(t, j.Write(t.Context(), large("a", 3, 5000)))
			drain(t, d)
			require.NoError(t, d.Stop(t.Context()))
			require.Equal(t, []string{"a-2"}, lettersOf(t, m, "d"), "the newest stays")
			require.EqualValues(t, 2, d.Stats().Removed)
		})
	})
	t.Run("shares", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			const limit = 1 << 20
			m := memfs.New()
			j := openMem(t, m, Options{DeadLetterBytes: limit})
			rejecting := func(name string) *Delivery {
				d, err := j.Deliver(name, &target{answer: everything}, &DeliverOptions{PauseAfter: -1})
				require.NoError(t, err)
				drain(t, d)
				synctest.Wait()
				return d
			}
			require.NoError(t, j.Write(t.Context(), large("a", 1500, 1<<10)))
			idle := rejecting("idle")
			require.InDelta(t, limit, sizeBelow(m, "dead/idle/"), limit/16)
			require.NoError(t, idle.Stop(t.Context()))
			for n, name := range []string{"open", "third", "fourth"} {
				rejecting(name)
				require.LessOrEqual(t, sizeBelow(m, "dead/"), limit+limit/8, name)
				require.InDelta(t, limit/(n+2), sizeBelow(m, "dead/"+name+"/"), limit/16)
			}
			require.InDelta(t, limit/4, sizeBelow(m, "dead/idle/"), limit/16, "one without a delivery")
			require.InDelta(t, limit/4, sizeBelow(m, "dead/open/"), limit/16, "one with nothing to do")
		})
	})
	t.Run("what is there already", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{})
			require.NoError(t, j.Write(t.Context(), large("a", 3000, 1<<10)))
			drain(t, deliver(t, j, &target{answer: everything}, &DeliverOptions{PauseAfter: -1}))
			closeNow(t, j)
			require.Greater(t, sizeBelow(m, "dead/"), 3<<20)
			j = openMem(t, m, Options{DeadLetterBytes: 4 << 20})
			require.Greater(t, sizeBelow(m, "dead/"), 3<<20)
			require.EqualValues(t, sizeBelow(m, "dead/"), j.Stats().DeadLetters)
			closeNow(t, j)
			m.Put("dead/not a destination", "x")
			openMem(t, m, Options{SegmentBytes: 1 << 20, RetainBytes: 4 << 20})
			synctest.Wait()
			require.Positive(t, sizeBelow(m, "dead/d/"), "its only segment stays")
			require.Equal(t, 3000, len(lettersOf(t, m, "d")))
		})
	})
	t.Run("segments get what dead letters leave", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			const retain = 1 << 20
			m := memfs.New()
			j := openMem(t, m, Options{SegmentBytes: 32 << 10, RetainBytes: retain, DeadLetterBytes: retain / 2})
			d := deliver(t, j, &target{answer: everything}, &DeliverOptions{PauseAfter: -1})
			for i := range 100 {
				require.NoError(t, j.Write(t.Context(), large(fmt.Sprint(i), 20, 1<<10)))
				drain(t, d)
			}
			synctest.Wait()
			require.InDelta(t, retain/2, sizeBelow(m, "dead/"), retain/16)
			require.InDelta(t, retain, sizeBelow(m, ""), retain/16)
		})
	})
}

// A journal of dead letters that has stopped after failed flushes is opened again.
func TestDeadLetterFlush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, failing := memfs.New(), new(memfs.Switch)
		m.Fault = func(op, name string, size int) (int, error) {
			if failing.IsOn() && op == "sync" && strings.Contains(name, deadLetterDir) {
				return 0, errIO
			}
			return size, nil
		}
		j := openMem(t, m, Options{})
		to := &target{answer: refuses(inlet.Permanent(errDown), "b", "d")}
		write(t, j, "a")
		d := deliver(t, j, to, &DeliverOptions{MaxEvents: 1, MaxBackoff: 5 * time.Second})
		drain(t, d)
		failing.Set(true)
		write(t, j, "b", "c", "d", "e")
		// The journal of letters stops at its second failed flush, and is opened again half a
		// minute later, so that the next failure is again the first.
		stopped := 0
		for range 60 {
			time.Sleep(10 * time.Second)
			require.ErrorIs(t, d.Stats().Err, ErrSyncFailed)
			if errors.Is(d.Stats().Err, ErrPoisoned) {
				stopped++
			}
		}
		require.Greater(t, stopped, 30)
		require.Equal(t, []string{"a"}, to.ids(), "the letter is not lost")
		failing.Set(false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, d.Drain(ctx))
		require.Equal(t, []string{"a", "c", "e"}, to.ids())
		require.NoError(t, d.Stop(t.Context()))
		require.Subset(t, lettersOf(t, m, "d"), []string{"b", "d"})
	})
}

// An operator may remove dead letters with the lock while the journal runs.
func TestDeadLetterLockRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := memfs.New()
		j := openMem(t, m, Options{})
		to := &target{answer: refuses(inlet.Permanent(errDown), "b", "d")}
		d := deliver(t, j, to, &DeliverOptions{MaxEvents: 1, MaxBackoff: 5 * time.Second})
		write(t, j, "a", "b", "c")
		drain(t, d)
		m.Unlock(deadLetterDir + "/d/" + lockName)
		write(t, j, "d", "e")
		drain(t, d)
		require.Equal(t, []string{"a", "c", "e"}, to.ids())
		require.NoError(t, d.Stop(t.Context()))
		require.Subset(t, lettersOf(t, m, "d"), []string{"b", "d"})
	})
}

func TestQuarantineBytes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		limit int64
		left  []string
	}{
		"all fit":              {3000, []string{"1", "2", "3"}},
		"the oldest goes":      {2999, []string{"2", "3"}},
		"the newest is larger": {999, []string{"3"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := memfs.New()
				for _, n := range []int{1, 2, 3} {
					m.Put(fmt.Sprintf("quarantine/%020d.ndjson.suspect", n), strings.Repeat("x", 1000))
				}
				j := openMem(t, m, Options{QuarantineBytes: tt.limit})
				var want []string
				for _, n := range tt.left {
					want = append(want, fmt.Sprintf("quarantine/%020s.ndjson.suspect", n))
				}
				var names []string
				for _, name := range m.Names() {
					if strings.HasPrefix(name, "quarantine/") {
						names = append(names, name)
					}
				}
				require.Equal(t, want, names)
				require.EqualValues(t, 1000*len(want), j.Stats().Quarantined)
				require.EqualValues(t, 3-len(want), j.Stats().Discarded)
			})
		})
	}
	t.Run("what this Open sets aside", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			for n := range 50 {
				m.Put(fmt.Sprintf("%020d.ndjson.part", n+1), strings.Repeat("damaged\n", 125))
			}
			j := openMem(t, m, Options{SegmentBytes: 1000, RetainBytes: 80_000})
			require.EqualValues(t, 10_000, j.Stats().Quarantined, "an eighth")
			require.Equal(t, 10_000, sizeBelow(m, "quarantine/"))
			require.EqualValues(t, 40, j.Stats().Discarded)
		})
	})
}

// While a destination catches up its age is that of what it gets next, whenever one looks.
func TestDeliveryAge(t *testing.T) {
	t.Parallel()
	const days = 60
	for name, filter := range map[string]func(*inlet.Event) bool{
		"all": nil, "none": func(*inlet.Event) bool { return false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := memfs.New()
				var d *Delivery
				started := make(chan struct{})
				begun := time.Now()
				newest, looks, reading := begun, 0, new(memfs.Switch)
				look := func() {
					if !reading.IsOn() {
						return
					}
					s := d.Stats()
					if s.Behind == 0 {
						return
					}
					looks++
					waited := time.Since(begun.Add(time.Duration(s.Position) * time.Hour))
					require.InDelta(t, waited.Hours(), s.Age.Hours(), 50, "at %d", s.Position)
					require.GreaterOrEqual(t, s.Age, waited-time.Hour, "never younger than it is")
				}
				m.Fault = func(op, _ string, size int) (int, error) {
					if op == "list" || op == "open" {
						look()
					}
					return size, nil
				}
				j := openMem(t, m, Options{SegmentBytes: two}) // so that batches begin with a listing
				for range days * 24 {
					writeAt(t, j, fmt.Sprint(looks), newest)
					newest = newest.Add(time.Hour)
				}
				time.Sleep(time.Until(newest))
				wanted := func(e *inlet.Event) bool {
					<-started
					reading.Set(true)
					look()
					return filter == nil || filter(e)
				}
				sink := inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
					look()
					return nil
				})
				d = deliver(t, j, sink, &DeliverOptions{MaxEvents: 24, MaxBytes: 24 << 10, Filter: wanted})
				close(started)
				drain(t, d)
				synctest.Wait()
				require.GreaterOrEqual(t, looks, days*24)
				require.Zero(t, d.Stats().Age)
			})
		})
	}
	t.Run("from a cursor, before anything is read", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, hung := memfs.New(), new(memfs.Switch)
			var reads atomic.Int64
			m.Fault = func(op, _ string, size int) (int, error) {
				if op == "open" && hung.IsOn() && reads.Add(1) > 1 {
					return 0, errIO
				}
				return size, nil
			}
			j := openMem(t, m, Options{})
			writeAt(t, j, "a", time.Now())
			d := deliver(t, j, &target{}, nil)
			drain(t, d)
			require.NoError(t, d.Stop(t.Context()))
			writeAt(t, j, "b", time.Now())
			closeNow(t, j)
			time.Sleep(days * 24 * time.Hour)
			j = openMem(t, m, Options{})
			hung.Set(true)
			d = deliver(t, j, &target{}, nil)
			require.GreaterOrEqual(t, d.Stats().Age, days*24*time.Hour)
			time.Sleep(2 * time.Second)
			require.GreaterOrEqual(t, d.Stats().Age, days*24*time.Hour)
			hung.Set(false)
			drain(t, d)
			require.Zero(t, d.Stats().Age)
		})
	})
}
