package journal

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// requireRefused requires that j stores nothing, and says so.
func requireRefused(t *testing.T, j *Journal) {
	t.Helper()
	for range 3 {
		err := writeOne(t, j, "refused")
		require.ErrorIs(t, err, ErrLockLost)
		require.False(t, inlet.IsPermanent(err))
		_, ok := inlet.RetryDelay(err)
		require.True(t, ok)
		require.ErrorIs(t, j.Check(t.Context()), ErrLockLost)
	}
}

func TestLockLost(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be removed")
	}
	lock := func(dir string) string { return filepath.Join(dir, lockName) }
	tests := map[string]func(dir string) error{
		"LOCK deleted":  func(dir string) error { return os.Remove(lock(dir)) },
		"LOCK moved":    func(dir string) error { return os.Rename(lock(dir), lock(dir)+".old") },
		"LOCK replaced": func(dir string) error { return errors.Join(os.Remove(lock(dir)), os.WriteFile(lock(dir), nil, 0o600)) },
		"LOCK is a directory": func(dir string) error {
			return errors.Join(os.Remove(lock(dir)), os.Mkdir(lock(dir), 0o700))
		},
		"directory deleted": os.RemoveAll,
		"directory deleted and made again": func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700))
		},
		"directory moved": func(dir string) error { return os.Rename(dir, dir+".old") },
		"directory replaced by a copy": func(dir string) error {
			return errors.Join(os.Rename(dir, dir+".old"), os.CopyFS(dir, os.DirFS(dir+".old")))
		},
		"directory replaced by a link": func(dir string) error {
			other := dir + ".other"
			return errors.Join(os.Mkdir(other, 0o700), os.WriteFile(lock(other), nil, 0o600), os.RemoveAll(dir), os.Symlink(other, dir))
		},
	}
	for name, takeAway := range tests {
		for _, when := range []string{"idle", "active"} {
			t.Run(name+", "+when, func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "journal")
				var log strings.Builder
				j, err := Open(dir, &Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), LowWater: -1})
				require.NoError(t, err)
				require.NoError(t, j.Check(t.Context()))
				if when == "active" {
					write(t, j, "a")
				}
				require.NoError(t, takeAway(dir))
				before := treeOf(t, filepath.Dir(dir))
				requireRefused(t, j)
				err = j.Close(t.Context())
				require.True(t, err == nil || errors.Is(err, ErrLockLost), "%v", err)
				require.Equal(t, before, treeOf(t, filepath.Dir(dir)), "it touches nothing")
				require.Equal(t, 1, strings.Count(log.String(), "lock lost"), "logged once: %s", log.String())
			})
		}
	}
}

// treeOf returns the names below dir.
func treeOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	}))
	return names
}

// Two journals in one directory: whatever either has acknowledged is read by the third.
func TestLockLostSecond(t *testing.T) {
	t.Parallel()
	m := memfs.New()
	first, err := Open(memfs.Dir, &Options{SegmentBytes: two, fs: m})
	require.NoError(t, err)
	to := &target{}
	deliver(t, first, to, nil)
	var acked []string
	try := func(j *Journal, id string) bool {
		ok := writeOne(t, j, id) == nil
		if ok {
			acked = append(acked, id)
		}
		return ok
	}
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		require.True(t, try(first, id))
	}
	m.Unlock(lockName)
	second, err := Open(memfs.Dir, &Options{SegmentBytes: two, fs: m})
	require.NoError(t, err)
	for _, id := range []string{"f", "g", "h", "i"} {
		require.True(t, try(second, id))
		require.False(t, try(first, "never "+id))
	}
	_ = first.Close(t.Context())
	at, err := newCursors(m, memfs.Dir).readCursor("d")
	require.NoError(t, err)
	require.Less(t, at.seq, uint64(6), "it replaces no cursor of the second")
	require.True(t, try(second, "j"))
	closeNow(t, second)
	third := openMem(t, m, Options{})
	require.Equal(t, acked, stored(t, third))
	require.Zero(t, third.Stats().Renumbered, "nothing overlaps")
}

// A lock file that is moved away and back was locked all the time.
func TestLockBack(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file cannot be moved")
	}
	dir := filepath.Join(t.TempDir(), "journal")
	j := openTest(t, dir, nil)
	write(t, j, "a")
	require.NoError(t, os.Rename(dir, dir+".old"))
	requireRefused(t, j)
	require.NoError(t, os.Rename(dir+".old", dir))
	write(t, j, "b")
	require.NoError(t, j.Check(t.Context()))
	require.Equal(t, []string{"a", "b"}, stored(t, j))
}

// The lock is lost while a group is being flushed.
func TestLockLostMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := memfs.New()
		j, err := Open(memfs.Dir, &Options{fs: m})
		require.NoError(t, err)
		m.Fault = func(op, _ string, size int) (int, error) {
			if op == "sync" {
				m.Unlock(lockName)
			}
			return size, nil
		}
		requireRefused(t, j)
		require.Empty(t, stored(t, j))
		time.Sleep(time.Hour)
		require.Equal(t, []string{part1}, m.Names(), "it is not sealed by age either")
		_ = j.Close(t.Context())
		require.Equal(t, []string{part1}, m.Names())
	})
}

// A cursor of the second journal is not replaced by the first, whose positions are about other
// events.
func TestLockLostCursor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := memfs.New()
		j, err := Open(memfs.Dir, &Options{fs: m})
		require.NoError(t, err)
		d := deliver(t, j, &target{}, nil)
		write(t, j, "a", "b", "c")
		drain(t, d)
		m.Unlock(lockName)
		theirs := cursor{seq: 1, holds: true}
		require.NoError(t, newCursors(m, memfs.Dir).save("d", theirs))
		time.Sleep(time.Minute)
		require.ErrorIs(t, d.Stop(t.Context()), ErrLockLost)
		_ = j.Close(t.Context())
		got, err := newCursors(m, memfs.Dir).readCursor("d")
		require.NoError(t, err)
		require.Equal(t, theirs, got)
	})
}

func TestLockTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 30 * time.Second
	// open opens a second journal, and returns how long that took and what was logged.
	open := func(m *memfs.FS, timeout time.Duration) (j *Journal, took time.Duration, log string, err error) {
		var lines strings.Builder
		began := time.Now()
		j, err = Open(memfs.Dir, &Options{LockTimeout: timeout, fs: m, Logger: slog.New(slog.NewTextHandler(&lines, nil))})
		return j, time.Since(began), lines.String(), err
	}
	bubble := func(name string, f func(t *testing.T, m *memfs.FS)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { f(t, memfs.New()) })
		})
	}
	bubble("0 does not wait", func(t *testing.T, m *memfs.FS) {
		openMem(t, m, Options{})
		_, took, log, err := open(m, 0)
		require.ErrorIs(t, err, ErrLocked)
		require.Zero(t, took)
		require.Empty(t, log)
	})
	bubble("a free directory is not waited for", func(t *testing.T, m *memfs.FS) {
		j, took, log, err := open(m, timeout)
		require.NoError(t, err)
		require.Zero(t, took)
		require.Empty(t, log)
		closeNow(t, j)
	})
	bubble("the lock is given up in time", func(t *testing.T, m *memfs.FS) {
		first := openMem(t, m, Options{})
		time.AfterFunc(10*time.Second, func() {
			write(t, first, "a")
			closeNow(t, first)
		})
		j, took, log, err := open(m, timeout)
		require.NoError(t, err)
		require.GreaterOrEqual(t, took, 10*time.Second)
		require.LessOrEqual(t, took, 10*time.Second+lockInterval)
		require.Equal(t, []string{"a"}, stored(t, j), "it reads what the first has written meanwhile")
		require.Equal(t, 2, strings.Count(log, "\n"), "%s", log)
		require.Contains(t, log, "waiting")
		require.Contains(t, log, "waited=10")
		write(t, j, "b")
		closeNow(t, j)
	})
	bubble("the first process ends without Close", func(t *testing.T, m *memfs.FS) {
		first, err := Open(memfs.Dir, &Options{fs: m})
		require.NoError(t, err)
		write(t, first, "a")
		time.AfterFunc(time.Second, func() { m.Unlock(lockName) })
		j, took, _, err := open(m, timeout)
		require.NoError(t, err)
		require.Less(t, took, 2*time.Second)
		require.Equal(t, []string{"a"}, stored(t, j))
		closeNow(t, j)
		_ = first.Close(t.Context())
	})
	bubble("the time is up", func(t *testing.T, m *memfs.FS) {
		first := openMem(t, m, Options{})
		write(t, first, "a")
		before := names(m)
		_, took, log, err := open(m, timeout)
		require.ErrorIs(t, err, ErrLocked)
		require.ErrorContains(t, err, "waited 30s")
		require.Equal(t, timeout, took)
		require.Equal(t, 1, strings.Count(log, "\n"), "%s", log)
		require.Equal(t, before, names(m), "it changes nothing")
		write(t, first, "b")
	})
	bubble("a time that is shorter than an attempt", func(t *testing.T, m *memfs.FS) {
		first := openMem(t, m, Options{})
		time.AfterFunc(lockInterval/4, func() { closeNow(t, first) })
		j, took, _, err := open(m, lockInterval/2)
		require.NoError(t, err)
		require.Equal(t, lockInterval/2, took)
		closeNow(t, j)
	})
	bubble("several wait, one after the other gets it", func(t *testing.T, m *memfs.FS) {
		first := openMem(t, m, Options{})
		opened := 0
		for range 5 {
			go func() {
				j, _, _, err := open(m, timeout)
				if err == nil {
					opened++
					time.Sleep(time.Second)
					closeNow(t, j)
				}
			}()
		}
		closeNow(t, first)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 5, opened)
	})
	t.Run("a lock file that cannot be opened is not waited for", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, lockName), 0o700))
		_, err := Open(dir, &Options{LockTimeout: time.Hour})
		require.Error(t, err)
		require.NotErrorIs(t, err, ErrLocked)
	})
	t.Run("on the disk", func(t *testing.T) {
		t.Parallel()
		if runtime.GOOS == "windows" {
			t.Skip("the directory is not locked")
		}
		dir := t.TempDir()
		first, err := Open(dir, nil)
		require.NoError(t, err)
		_, err = Open(dir, &Options{LockTimeout: 1})
		require.ErrorIs(t, err, ErrLocked)
		waiting := make(logged, 1)
		closed := make(chan error, 1)
		go func() {
			<-waiting
			closed <- first.Close(context.Background())
		}()
		second, err := Open(dir, &Options{LockTimeout: time.Hour, Logger: slog.New(slog.NewTextHandler(waiting, nil))})
		require.NoError(t, err)
		require.NoError(t, <-closed)
		closeNow(t, second)
	})
	t.Run("a negative one is refused", func(t *testing.T) {
		t.Parallel()
		_, err := Open(t.TempDir(), &Options{LockTimeout: -1})
		require.ErrorContains(t, err, "LockTimeout")
	})
}

// logged receives once anything is logged.
type logged chan struct{}

func (l logged) Write(p []byte) (int, error) {
	select {
	case l <- struct{}{}:
	default:
	}
	return len(p), nil
}

// Not parallel: it changes the default logger. A failing disk must not be a secret because a host
// gave no options.
func TestLoggerDefault(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	for name, o := range map[string]*Options{"no options": nil, "no logger": {LowWater: -1}} {
		t.Run(name, func(t *testing.T) {
			var atOpen, later strings.Builder
			slog.SetDefault(slog.New(slog.NewTextHandler(&atOpen, nil)))
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, part1), []byte("damaged\n"), 0o600))
			j, err := Open(dir, o)
			require.NoError(t, err)
			slog.SetDefault(slog.New(slog.NewTextHandler(&later, nil)))
			require.Contains(t, atOpen.String(), "journal: ", "what Open repairs")
			d := deliver(t, j, &target{answer: func([]string) error { return inlet.Permanent(errDown) }}, nil)
			write(t, j, "a")
			drain(t, d)
			closeNow(t, j)
			require.Contains(t, atOpen.String(), "permanently rejected", "what its deliveries meet")
			require.Empty(t, later.String())
		})
	}
}
