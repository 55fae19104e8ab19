package journal

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	t.Run("numbers increase across restarts", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		for _, ids := range [][]string{{"a", "b"}, {}, {"c"}, {"d", "e", "f"}} {
			j, err := Open(dir, nil)
			require.NoError(t, err)
			write(t, j, ids...)
			require.NoError(t, j.Close(t.Context()))
		}
		require.Equal(t, []string{
			"00000000000000000001.ndjson", "00000000000000000003.ndjson", "00000000000000000004.ndjson", "LAST", "LOCK",
		}, files(t, dir))
		j := openTest(t, dir, nil)
		require.Equal(t, []string{"a", "b", "c", "d", "e", "f"}, stored(t, j))
		require.EqualValues(t, 6, j.Stats().LastSeq)
	})
	t.Run("locks the directory", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		j, err := Open(dir, nil)
		require.NoError(t, err)
		_, err = Open(dir, nil)
		require.ErrorIs(t, err, ErrLocked)
		require.NoError(t, j.Close(t.Context()))
		openTest(t, dir, nil)
	})
	t.Run("file modes", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "journal")
		j := openTest(t, dir, nil)
		write(t, j, "a")
		info, err := os.Stat(dir)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
		for _, name := range files(t, dir) {
			info, err := os.Stat(filepath.Join(dir, name))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
		}
	})
	t.Run("errors", func(t *testing.T) {
		t.Parallel()
		t.Run("a directory that cannot be written", func(t *testing.T) {
			t.Parallel()
			m := memfs.New()
			m.Fault = memfs.Failing("create", fs.ErrPermission, switchedOn())
			_, err := Open(memfs.Dir, &Options{fs: m})
			require.ErrorIs(t, err, fs.ErrPermission)
			m.Fault = nil
			openMem(t, m, Options{})
		})
		t.Run("a file in place of the directory", func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), "file")
			require.NoError(t, os.WriteFile(name, nil, 0o600))
			_, err := Open(name, nil)
			require.ErrorContains(t, err, "file")
		})
		t.Run("a full disk is no reason", func(t *testing.T) {
			t.Parallel()
			m := memfs.New()
			m.Fault = memfs.Failing("create", errNoSpace, switchedOn())
			j := openMem(t, m, Options{})
			require.ErrorIs(t, writeOne(t, j, "a"), ErrStorageFull)
		})
		t.Run("options that can never work", func(t *testing.T) {
			t.Parallel()
			for field, o := range map[string]Options{
				"SegmentBytes": {SegmentBytes: -1}, "SegmentAge": {SegmentAge: -1}, "Sync": {Sync: 3},
				"Interval": {Interval: -1}, "MaxGroupBytes": {MaxGroupBytes: -1}, "MaxQueueBytes": {MaxQueueBytes: -1},
			} {
				_, err := Open(t.TempDir(), &o)
				require.ErrorContains(t, err, "journal: Options: "+field+" is ")
			}
		})
	})
	t.Run("all faults of the options", func(t *testing.T) {
		t.Parallel()
		_, err := Open(t.TempDir(), &Options{SegmentBytes: -1, Sync: 3, RetainAge: -1})
		require.EqualError(t, err, "journal: Options: SegmentBytes is -1, must be at least 1\n"+
			"Sync is 3, must be one of [0 1 2]\nRetainAge is -1ns, must be at least 0s")
	})
	t.Run("logs to slog.Default unless configured", func(t *testing.T) {
		t.Parallel()
		var none *Options
		require.Same(t, slog.Default(), none.withDefaults().Logger)
		own := slog.New(slog.DiscardHandler)
		require.Same(t, own, (&Options{Logger: own}).withDefaults().Logger)
	})
	t.Run("retention options", func(t *testing.T) {
		t.Parallel()
		for field, o := range map[string]Options{
			"RetainBytes": {RetainBytes: 1},
			"RetainAge":   {RetainAge: -1},
		} {
			_, err := Open(t.TempDir(), &o)
			require.ErrorContains(t, err, "journal: Options: "+field+" is ")
		}
		_, err := Open(t.TempDir(), &Options{RetainBytes: -1})
		require.ErrorContains(t, err, "journal: Options: RetainBytes is -1")
	})
}

func TestWrite(t *testing.T) {
	t.Parallel()
	t.Run("read back", func(t *testing.T) {
		t.Parallel()
		j := openTest(t, filepath.Join(t.TempDir(), "deep", "journal"), nil)
		want := events("m", 5)
		require.NoError(t, j.Write(t.Context(), want[:2]))
		require.NoError(t, j.Write(t.Context(), want[2:]))
		var got []*inlet.Event
		for r, err := range j.Events(t.Context(), 0) {
			require.NoError(t, err)
			got = append(got, r.Event)
			require.EqualValues(t, len(got), r.Seq)
		}
		require.Len(t, got, len(want))
		for i := range want {
			require.True(t, want[i].Equal(got[i]), "%s", got[i].AppendJSON(nil))
		}
	})
	t.Run("context done before", func(t *testing.T) {
		t.Parallel()
		j := openTest(t, t.TempDir(), nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := j.Write(ctx, events("a", 1))
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, inlet.IsPermanent(err))
		require.Empty(t, stored(t, j))
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	t.Run("twice, and what works after it", func(t *testing.T) {
		t.Parallel()
		j, err := Open(t.TempDir(), nil)
		require.NoError(t, err)
		write(t, j, "a")
		require.NoError(t, j.Close(t.Context()))
		require.NoError(t, j.Close(t.Context()), "a second Close says the same")
		require.ErrorIs(t, j.Write(t.Context(), events("b", 1)), inlet.ErrClosed)
		require.ErrorIs(t, j.Check(t.Context()), inlet.ErrClosed)
		require.NoError(t, j.Flush(t.Context()), "what was written is on the disk")
		require.Equal(t, []string{"a"}, stored(t, j), "it can still be read")
	})
	t.Run("waits for the last destination", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, to := memfs.New(), newHung()
			j := openMem(t, m, Options{})
			write(t, j, "a")
			deliver(t, j, to, nil)
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, j.Close(ctx), context.DeadlineExceeded)
			_, err := Open(memfs.Dir, &Options{fs: m})
			require.ErrorIs(t, err, ErrLocked, "its cursor is still to be saved")
			to.release()
			closeNow(t, j)
			openMem(t, m, Options{})
			require.EqualValues(t, 1, savedCursor(t, m).seq)
		})
	})
}
