package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// writeOne writes one event.
func writeOne(t testing.TB, j *Journal, id string) error {
	return j.Write(t.Context(), []*inlet.Event{event(id)})
}

func TestSegment(t *testing.T) {
	t.Parallel()
	t.Run("durable name before an acknowledgement", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{})
			ops(m)
			write(t, j, "a")
			require.Equal(t, []string{
				"create 00000000000000000001.ndjson.part", "syncdir journal",
				"write 00000000000000000001.ndjson.part", "sync 00000000000000000001.ndjson.part",
			}, ops(m))
			require.NoError(t, j.Close(t.Context()))
			require.Equal(t, []string{"rename 00000000000000000001.ndjson.part", "syncdir journal"}, ops(m))
		})
	})
	t.Run("acknowledged events survive a power cut", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{SegmentBytes: 2000})
			var acked []string
			for _, e := range events("a", 30) {
				require.NoError(t, j.Write(t.Context(), []*inlet.Event{e}))
				acked = append(acked, e.MessageID)
				after := openMem(t, m.PowerCut(), Options{})
				require.Equal(t, acked, stored(t, after))
				write(t, after, "next")
				require.Equal(t, append(acked[:len(acked):len(acked)], "next"), stored(t, after))
			}
			require.Greater(t, len(names(m)), 5)
		})
	})
	t.Run("sealed by size and age", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			one := int64(len(lineOf(event("a"), 1)))
			j := openMem(t, m, Options{SegmentBytes: 2 * one})
			write(t, j, "a", "b", "c", "d", "e")
			require.Equal(t, []string{
				"00000000000000000001.ndjson", "00000000000000000003.ndjson", "00000000000000000005.ndjson.part",
			}, names(m))
			time.Sleep(defaultSegmentAge - time.Nanosecond)
			synctest.Wait()
			require.Contains(t, names(m), "00000000000000000005.ndjson.part")
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			require.Contains(t, names(m), "00000000000000000005.ndjson", "without another write")
			write(t, j, "f")
			require.Contains(t, names(m), "00000000000000000006.ndjson.part")
			require.Equal(t, []string{"a", "b", "c", "d", "e", "f"}, stored(t, j))
			require.EqualValues(t, 4, j.Stats().Segments)
		})
	})
	t.Run("removed if empty", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			m.Fault = memfs.Failing("write", errNoSpace, switchedOn())
			j := openMem(t, m, Options{})
			require.Error(t, writeOne(t, j, "refused"))
			require.Len(t, names(m), 1)
			require.NoError(t, j.Close(t.Context()))
			require.Empty(t, names(m))
		})
	})
	t.Run("seal fails", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, broken := memfs.New(), switchedOn()
			m.Fault = memfs.Failing("rename", fs.ErrPermission, broken)
			j, err := Open(memfs.Dir, &Options{SegmentBytes: 1, fs: m})
			require.NoError(t, err)
			write(t, j, "a", "b")
			require.ErrorIs(t, j.Close(t.Context()), fs.ErrPermission)
			broken.Set(false)
			again := openMem(t, m, Options{})
			require.Equal(t, []string{"a", "b"}, stored(t, again))
			require.Equal(t, []string{"00000000000000000001.ndjson", "00000000000000000002.ndjson"}, names(m))
		})
	})
	t.Run("flushed when sealed", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{Sync: SyncNever, SegmentBytes: 1})
			write(t, j, "a", "b", "c")
			require.Equal(t, []string{"a", "b"}, stored(t, openMem(t, m.PowerCut(), Options{})), "c is not sealed")
			require.NoError(t, j.Close(t.Context()))
			require.Equal(t, []string{"a", "b", "c"}, stored(t, openMem(t, m.PowerCut(), Options{})))
		})
	})
}

func TestSyncPolicy(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		options    Options
		durability inlet.Durability
		atOnce     bool // a power cut spares what was acknowledged
		inTime     bool // the same, an interval later
	}{
		"always":   {Options{Sync: SyncAlways}, inlet.DurabilityFsync, true, true},
		"interval": {Options{Sync: SyncInterval, Interval: time.Minute}, inlet.DurabilityOSBuffer, false, true},
		"never":    {Options{Sync: SyncNever}, inlet.DurabilityOSBuffer, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := memfs.New()
				j := openMem(t, m, test.options)
				require.Equal(t, test.durability, j.Durability())
				spared := func() bool { return len(stored(t, openMem(t, m.PowerCut(), Options{}))) == 2 }
				write(t, j, "a", "b")
				require.Equal(t, test.atOnce, spared())
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Equal(t, test.inTime, spared())
				require.NoError(t, j.Flush(t.Context()))
				require.True(t, spared(), "a Flush flushes")
				require.NoError(t, j.Close(t.Context()))
				require.True(t, spared())
			})
		})
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	t.Run("while writing", func(t *testing.T) {
		t.Parallel()
		tests := map[string]error{"ENOSPC": errNoSpace, "a short write without an error": nil}
		for name, cause := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { fullDisk(t, cause) })
			})
		}
	})
	t.Run("while flushing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, full := memfs.New(), new(memfs.Switch)
			m.Fault = memfs.Failing("sync", errNoSpace, full)
			j := openMem(t, m, Options{})
			full.Set(true)
			for range 5 {
				require.ErrorIs(t, writeOne(t, j, "refused"), ErrStorageFull)
				time.Sleep(time.Second)
			}
			full.Set(false)
			write(t, j, "after")
			require.Equal(t, []string{"after"}, stored(t, j))
			require.Len(t, names(m), 1)
		})
	})
	t.Run("below the low-water mark", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{})
			write(t, j, "a")
			m.SetFree(1<<40/100 - 1) // the default is 1 % of this one
			require.ErrorIs(t, j.Check(t.Context()), ErrStorageFull)
			time.Sleep(time.Second)
			require.ErrorIs(t, writeOne(t, j, "refused"), ErrStorageFull)
			m.SetFree(1 << 40 / 100)
			time.Sleep(time.Second)
			require.NoError(t, j.Check(t.Context()))
			write(t, j, "b")
			m.SetFree(0)
			off := openMem(t, memfs.New(), Options{LowWater: -1})
			write(t, off, "c")
		})
	})
}

func fullDisk(t *testing.T, cause error) {
	m, full := memfs.New(), new(memfs.Switch)
	m.Fault = memfs.Failing("write", cause, full)
	j := openMem(t, m, Options{})
	write(t, j, "before")
	intact := m.Content("00000000000000000001.ndjson.part")

	full.Set(true)
	err := writeOne(t, j, "refused")
	require.Error(t, err)
	require.Equal(t, cause != nil, isFull(err))
	require.False(t, inlet.IsPermanent(err))
	delay, ok := inlet.RetryDelay(err)
	require.True(t, ok)
	require.Equal(t, time.Second, delay)
	require.Equal(t, intact, m.Content("00000000000000000001.ndjson.part"), "the half line is cut off")
	require.Error(t, j.Check(t.Context()))

	ops(m)
	require.Error(t, writeOne(t, j, "refused too"))
	require.Empty(t, ops(m), "the disk is tried once a second")

	full.Set(false)
	time.Sleep(time.Second)
	require.NoError(t, j.Check(t.Context()))
	write(t, j, "after")
	require.Equal(t, []string{"before", "after"}, stored(t, j))
	require.Equal(t, []string{"00000000000000000001.ndjson.part"}, names(m))
}

func TestWriteFails(t *testing.T) {
	t.Parallel()
	t.Run("I/O error", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, broken := memfs.New(), new(memfs.Switch)
			m.Fault = memfs.Failing("write", errIO, broken)
			j := openMem(t, m, Options{})
			write(t, j, "before")
			for range 3 {
				broken.Set(true)
				require.ErrorIs(t, writeOne(t, j, "refused"), syscall.EIO)
				time.Sleep(time.Second)
			}
			broken.Set(false)
			write(t, j, "after")
			require.Equal(t, []string{"00000000000000000001.ndjson.suspect", "00000000000000000005.ndjson.part"}, names(m),
				"files in which nothing was acknowledged do not pile up")
			require.Equal(t, []string{"before", "after"}, stored(t, j))
		})
	})
	t.Run("file cannot be cut", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, broken := memfs.New(), new(memfs.Switch)
			m.Fault = func(op, _ string, size int) (int, error) {
				switch {
				case op == "write" && broken.IsOn():
					return size / 2, errNoSpace
				case op == "truncate":
					return 0, errIO
				}
				return size, nil
			}
			j := openMem(t, m, Options{})
			write(t, j, "before")
			broken.Set(true)
			require.ErrorIs(t, writeOne(t, j, "refused"), ErrStorageFull)
			broken.Set(false)
			time.Sleep(time.Second)
			write(t, j, "after")
			require.Equal(t, []string{"00000000000000000001.ndjson.suspect", "00000000000000000003.ndjson.part"}, names(m))
			require.Equal(t, []string{"before", "after"}, stored(t, j))
		})
	})
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		for _, op := range []string{"create", "syncdir"} {
			t.Run(op, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					m, broken := memfs.New(), new(memfs.Switch)
					m.Fault = memfs.Failing(op, syscall.EMFILE, broken)
					j := openMem(t, m, Options{})
					broken.Set(true)
					for range 3 {
						require.ErrorIs(t, writeOne(t, j, "refused"), syscall.EMFILE)
						time.Sleep(time.Second)
					}
					broken.Set(false)
					write(t, j, "after")
					require.Equal(t, []string{"after"}, stored(t, j))
				})
			})
		}
	})
}

func TestFlushFails(t *testing.T) {
	t.Parallel()
	t.Run("never retried on the same file", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, broken := memfs.New(), new(memfs.Switch)
			m.Fault = memfs.Failing("sync", errIO, broken)
			j := openMem(t, m, Options{OnPoisoned: func(err error) { t.Error(err) }})
			write(t, j, "a", "b")
			for range 2 {
				ops(m)
				broken.Set(true)
				err := writeOne(t, j, "refused")
				require.ErrorIs(t, err, ErrSyncFailed)
				require.ErrorIs(t, err, syscall.EIO)
				require.False(t, inlet.IsPermanent(err))
				broken.Set(false)
				write(t, j, "after")
				syncs := onlySyncs(ops(m))
				require.Len(t, syncs, 2)
				require.NotEqual(t, syncs[0], syncs[1], "the file that failed is not flushed again")
				require.NoError(t, j.Check(t.Context()))
				time.Sleep(poisonWindow)
			}
			require.Subset(t, stored(t, j), []string{"a", "b", "after"})
		})
	})
	t.Run("second failure poisons", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, broken := memfs.New(), new(memfs.Switch)
			m.Fault = memfs.Failing("sync", errIO, broken)
			var calls []error
			j := openMem(t, m, Options{OnPoisoned: func(err error) { calls = append(calls, err) }})
			write(t, j, "a", "b")
			broken.Set(true)
			require.NotErrorIs(t, writeOne(t, j, "c"), ErrPoisoned)
			time.Sleep(poisonWindow - time.Second)
			require.ErrorIs(t, writeOne(t, j, "d"), ErrPoisoned)
			broken.Set(false)
			ops(m)
			for range 3 {
				err := writeOne(t, j, "e")
				require.ErrorIs(t, err, ErrPoisoned)
				require.False(t, inlet.IsPermanent(err))
				require.ErrorIs(t, j.Check(t.Context()), ErrPoisoned)
				time.Sleep(time.Hour)
			}
			require.Empty(t, ops(m), "a poisoned journal leaves the disk alone")
			require.Len(t, calls, 1)
			require.ErrorIs(t, calls[0], ErrPoisoned)
			require.NoError(t, j.Close(t.Context()))

			again := openMem(t, m.PowerCut(), Options{})
			require.Equal(t, []string{"a", "b"}, stored(t, again))
			write(t, again, "f")
			require.Equal(t, []string{"a", "b", "f"}, stored(t, again))
		})
	})
	t.Run("by interval", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, broken := memfs.New(), new(memfs.Switch)
			m.Fault = memfs.Failing("sync", errIO, broken)
			j := openMem(t, m, Options{Sync: SyncInterval})
			broken.Set(true)
			write(t, j, "a")
			time.Sleep(2 * time.Second)
			write(t, j, "b")
			time.Sleep(2 * time.Second)
			require.ErrorIs(t, writeOne(t, j, "c"), ErrPoisoned)
			require.Equal(t, []string{"a", "b"}, stored(t, j), "what the process still has is not thrown away")
		})
	})
}

// onlySyncs returns the flushes of files among the operations.
func onlySyncs(ops []string) []string {
	ops = slices.DeleteFunc(ops, func(op string) bool { return !strings.HasPrefix(op, "sync ") })
	return ops
}

func TestDiskHangs(t *testing.T) {
	t.Parallel()
	t.Run("writers give up", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, g := memfs.New(), newGate("sync")
			m.Fault = g.fault
			one := len(lineOf(event("a0"), 1))
			j := openMem(t, m, Options{MaxQueueBytes: 3 * one})
			write(t, j, "a0")
			g.shut.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			outcome := make(chan error)
			for _, id := range []string{"a1", "a2", "a3"} {
				go func() { outcome <- j.Write(ctx, []*inlet.Event{event(id)}) }()
			}
			synctest.Wait()
			err := writeOne(t, j, "a4")
			require.ErrorIs(t, err, inlet.ErrOverloaded)
			_, ok := inlet.RetryDelay(err)
			require.True(t, ok)

			start := time.Now()
			for range 3 {
				require.ErrorIs(t, <-outcome, context.DeadlineExceeded)
			}
			require.Equal(t, 5*time.Second, time.Since(start))
			time.Sleep(stallAfter)
			require.ErrorIs(t, j.Check(t.Context()), ErrStalled)
			require.Equal(t, 15*time.Second, j.Stats().Busy)
			closing, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, j.Close(closing), context.DeadlineExceeded)

			close(g.open)
			require.NoError(t, j.Close(t.Context()))
			require.ElementsMatch(t, []string{"a0", "a1", "a2", "a3"}, stored(t, j), "the committer completes abandoned writes")
		})
	})
	t.Run("abandoned write keeps its buffer", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, g := memfs.New(), newGate("sync")
			m.Fault = g.fault
			j := openMem(t, m, Options{})
			g.shut.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			go j.Write(t.Context(), events("busy", 1))
			synctest.Wait()
			require.ErrorIs(t, j.Write(ctx, events("left", 1)), context.DeadlineExceeded)
			for i := range 8 {
				go func() { _ = writeOne(t, j, fmt.Sprintf("late-%d", i)) }()
			}
			synctest.Wait()
			g.shut.Store(false)
			close(g.open)
			require.NoError(t, j.Flush(t.Context()))
			require.ElementsMatch(t, []string{
				"busy-0", "left-0", "late-0", "late-1", "late-2", "late-3", "late-4", "late-5", "late-6", "late-7",
			}, stored(t, j))
		})
	})
	t.Run("Check fails", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, g := memfs.New(), newGate("write")
			m.Fault = g.fault
			g.shut.Store(true)
			j := openMem(t, m, Options{})
			go j.Write(t.Context(), events("a", 1))
			synctest.Wait()
			require.NoError(t, j.Check(t.Context()))
			time.Sleep(stallAfter + time.Second)
			require.ErrorIs(t, j.Check(t.Context()), ErrStalled)
			g.shut.Store(false)
			close(g.open)
			require.NoError(t, j.Flush(t.Context()))
			require.NoError(t, j.Check(t.Context()))
		})
	})
}

func TestActiveFileGone(t *testing.T) {
	t.Parallel()
	tests := map[string]func(name string) error{
		"deleted": os.Remove,
		"moved":   func(name string) error { return os.Rename(name, name+".old") },
		"cut":     func(name string) error { return os.Truncate(name, 0) },
		"replaced": func(name string) error {
			return errors.Join(os.Remove(name), os.WriteFile(name, []byte(strings.Repeat("x", 1000)), 0o600))
		},
	}
	for name, takeAway := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var log strings.Builder
			j := openTest(t, dir, &Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			write(t, j, "a")
			require.NoError(t, takeAway(filepath.Join(dir, part1)))
			require.ErrorIs(t, writeOne(t, j, "b"), ErrFileGone)
			write(t, j, "c")
			require.Contains(t, stored(t, j), "c")
			require.NoError(t, j.Close(t.Context()))
			require.Contains(t, log.String(), part1)
		})
	}
}

// A gate stops an operation until it is opened.
type gate struct {
	op   string
	shut atomic.Bool
	open chan struct{}
}

func newGate(op string) *gate { return &gate{op: op, open: make(chan struct{})} }

func (g *gate) fault(op, _ string, size int) (int, error) {
	if op == g.op && g.shut.Load() {
		<-g.open
	}
	return size, nil
}
