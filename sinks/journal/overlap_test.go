package journal

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestOverlap(t *testing.T) {
	t.Parallel()
	t.Run("reaches destinations that are beyond it", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		m.Put(seg1, lines(1, 5))
		m.Put(seg3, others(3, 2))
		require.NoError(t, newCursors(m, memfs.Dir).save("d", cursor{seq: 5, holds: true}))
		var log strings.Builder
		j := openMem(t, m, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.EqualValues(t, 2, j.Stats().Renumbered)
		require.Contains(t, log.String(), "events=2 from=3 to=4 newFrom=6 newTo=7", "the numbers are reported")
		to := &target{}
		drain(t, deliver(t, j, to, nil))
		require.Equal(t, []string{"x3", "x4"}, to.ids())
		require.Equal(t, others(3, 2), m.Content("quarantine/"+seg3), "the original is kept")
	})
	t.Run("never has the numbers of a cursor", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		m.Put(seg1, lines(1, 5))
		m.Put(seg3, others(3, 2))
		require.NoError(t, newCursors(m, memfs.Dir).save("d", cursor{seq: 100, holds: true}))
		j := openMem(t, m, Options{})
		to := &target{}
		drain(t, deliver(t, j, to, nil))
		require.Equal(t, []string{"x3", "x4"}, to.ids())
		require.EqualValues(t, 102, j.Stats().LastSeq)
	})
	t.Run("original cannot be moved", func(t *testing.T) {
		t.Parallel()
		m, broken := memfs.New(), switchedOn()
		m.Put(seg1, lines(1, 5))
		m.Put(seg3, others(3, 2))
		m.Fault = func(op, name string, size int) (int, error) {
			if op == "rename" && filepath.Base(name) == seg3 && broken.IsOn() {
				return 0, errIO
			}
			return size, nil
		}
		j := openMem(t, m, Options{})
		write(t, j, "new")
		closeNow(t, j)
		broken.Set(false)
		require.Equal(t, []string{"m1", "m2", "m3", "m4", "m5", "new", "x3", "x4"}, stored(t, openMem(t, m, Options{})), "once each")
	})
	t.Run("disk full", func(t *testing.T) {
		t.Parallel()
		m, full := memfs.New(), switchedOn()
		m.Put(seg1, lines(1, 5))
		m.Put(seg3, others(3, 2))
		m.Fault = memfs.Failing("write", errNoSpace, full)
		closeNow(t, openMem(t, m, Options{}))
		require.Equal(t, []string{seg1, seg3}, m.Names())
		full.Set(false)
		require.Equal(t, []string{"m1", "m2", "m3", "m4", "m5", "x3", "x4"}, stored(t, openMem(t, m, Options{})))
	})
}

// TestNumbers is about numbers that a line cannot hold, wherever they come from.
func TestNumbers(t *testing.T) {
	t.Parallel()
	for _, seq := range []uint64{math.MaxUint64, math.MaxUint64 - 1, 1 << 63, maxSeq + 1, maxSeq, maxFirst + 1} {
		t.Run(fmt.Sprintf("cursor at %d", seq), func(t *testing.T) {
			t.Parallel()
			m := memfs.New()
			m.Put(seg1, lines(1, 2))
			require.NoError(t, newCursors(m, memfs.Dir).save("d", cursor{seq: seq}))
			var log strings.Builder
			j := openMem(t, m, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			require.Contains(t, log.String(), "cursor unreadable")
			write(t, j, "a")
			require.Equal(t, []string{"m1", "m2", "a"}, stored(t, j))
			to := &target{}
			drain(t, deliver(t, j, to, nil))
			require.Equal(t, []string{"m1", "m2", "a"}, to.ids())
			closeNow(t, j)
			require.Equal(t, []string{"m1", "m2", "a"}, stored(t, openMem(t, m, Options{})))
		})
		t.Run(fmt.Sprintf("start at %d", seq), func(t *testing.T) {
			t.Parallel()
			j := openMem(t, memfs.New(), Options{})
			_, err := j.Deliver("d", &target{}, &DeliverOptions{Start: FromSeq(seq)})
			require.ErrorIs(t, err, errNumberTooHigh)
			_, err = j.Replay(t.Context(), &target{}, &DeliverOptions{Start: FromSeq(seq)})
			require.ErrorIs(t, err, errNumberTooHigh)
			require.Empty(t, j.Deliveries())
		})
	}
	t.Run("highest that is believed", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		require.NoError(t, newCursors(m, memfs.Dir).save("d", cursor{seq: maxFirst}))
		j := openMem(t, m, Options{})
		write(t, j, "a", "b")
		require.Equal(t, []string{"a", "b"}, stored(t, j))
	})
	t.Run("used up", func(t *testing.T) {
		t.Parallel()
		j := openMem(t, memfs.New(), Options{})
		j.commit.seq = maxSeq
		require.ErrorIs(t, j.Write(t.Context(), events("refused", 2)), errUsedUp)
		write(t, j, "b")
		require.ErrorIs(t, writeOne(t, j, "refused"), errUsedUp)
		require.NoError(t, j.Flush(t.Context()))
		require.Equal(t, []string{"b"}, stored(t, j))
	})
}

// TestIrregular is about directories, links and pipes with the name of a file of the journal.
func TestIrregular(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need privileges")
	}
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte(lines(1, 1)+"secret"), 0o600))
	things := map[string]func(t *testing.T, name string){
		"directory": func(t *testing.T, name string) {
			require.NoError(t, os.MkdirAll(filepath.Join(name, "inner"), 0o700))
		},
		"link to a file":      func(t *testing.T, name string) { require.NoError(t, os.Symlink(secret, name)) },
		"link to a directory": func(t *testing.T, name string) { require.NoError(t, os.Symlink(filepath.Dir(secret), name)) },
		"link to nothing":     func(t *testing.T, name string) { require.NoError(t, os.Symlink("nowhere", name)) },
		"pipe":                makePipe,
	}
	for what, makeThing := range things {
		for _, name := range []string{
			seg1, part1, seg3 + ".suspect", part3, seg3, part1 + ".tmp", seg3 + ".tmp", aheadName,
			"18446744073709551615.ndjson", "cursors/d", "cursors/d.tmp",
		} {
			t.Run(what+" named "+name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				require.NoError(t, os.MkdirAll(filepath.Join(dir, "cursors"), 0o700))
				require.NoError(t, os.WriteFile(filepath.Join(dir, seg2), []byte(lines(2, 1)), 0o600))
				makeThing(t, filepath.Join(dir, name))
				j := openTest(t, dir, &Options{LowWater: -1})
				write(t, j, "a")
				require.Equal(t, []string{"m2", "a"}, stored(t, j))
				_, err := os.Lstat(filepath.Join(dir, "quarantine", filepath.Base(name)))
				require.NoError(t, err, "it is set aside")
				to := &target{}
				d := deliver(t, j, to, nil)
				drain(t, d)
				require.Equal(t, []string{"m2", "a"}, to.ids())
				require.NoError(t, d.Stop(t.Context()))
				closeNow(t, j)
				data, err := os.ReadFile(secret)
				require.NoError(t, err)
				require.Equal(t, lines(1, 1)+"secret", string(data), "and not followed")
				_, err = os.Stat(filepath.Join(dir, "cursors", "d"))
				require.NoError(t, err)
			})
		}
	}
}
