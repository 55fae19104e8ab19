package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// Time stands still here, so that only the bytes can be what a cursor is saved for.
func TestACursorIsSavedEveryFourMebibytesToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, to := memfs.New(), &target{}
		j := openMem(t, m, Options{})
		for i := range 100 {
			e := event(fmt.Sprint(i))
			e.Properties = json.RawMessage(`"` + strings.Repeat("x", 64<<10) + `"`)
			require.NoError(t, j.Write(t.Context(), []*inlet.Event{e}))
		}
		d := deliver(t, j, to, nil)
		drain(t, d)
		require.Len(t, to.ids(), 100)
		saved := savedCursor(t, m).seq
		require.GreaterOrEqual(t, saved, uint64(64), "what was not saved is less than 4 MiB and a batch")
		require.Less(t, saved, uint64(100), "and it is not saved with every batch")
	})
}

func TestADeadLetterThatTheJournalCannotKeepWaits(t *testing.T) {
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
}

// A segment is sealed between the moment when it is listed and that when it is
// opened.
func TestASegmentIsFoundByTheNameThatItHasGotSince(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, to := memfs.New(), &target{}
		j := openMem(t, m, Options{SegmentBytes: two})
		write(t, j, "a", "b")
		var once sync.Once
		m.Fault = func(op, name string, size int) (int, error) {
			if op == "open" && filepath.Base(name) == "00000000000000000001.ndjson.part" {
				once.Do(func() { write(t, j, "c") })
			}
			return size, nil
		}
		d := deliver(t, j, to, nil)
		synctest.Wait()
		require.Equal(t, []string{"a", "b", "c"}, to.ids())
		require.Zero(t, d.Stats().Dropped)
	})
}

// Neither what a destination has taken counts, nor a cursor that is just being
// written.
func TestNothingIsRemovedForACursorThatIsNotOnTheDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, removed, saves := memfs.New(), 0, 0
		j := openMem(t, m, Options{SegmentBytes: two, RetainBytes: 2 * two})
		d := deliver(t, j, &target{}, nil)
		synctest.Wait()
		m.Fault = func(op, name string, size int) (int, error) {
			e, segment := parseName(filepath.Base(name))
			switch {
			case op == "remove" && segment && e.ext == extSealed:
				removed++
				require.Greater(t, savedCursor(t, m).seq, e.first, "two events a segment")
			case op == "sync" && filepath.Base(name) == "d.tmp":
				saves++
				go func() { _ = writeOne(t, j, "an occasion to remove something") }()
				time.Sleep(time.Millisecond) // until that is over, unless it is the store that saves
			}
			return size, nil
		}
		for i := range 100 {
			if err := writeOne(t, j, fmt.Sprint(i)); err != nil {
				require.ErrorIs(t, err, ErrBehind)
				time.Sleep(time.Second)
			}
			synctest.Wait()
		}
		require.NoError(t, d.Stop(t.Context()))
		synctest.Wait()
		require.Greater(t, removed, 10)
		require.Greater(t, saves, 5)
	})
}

func TestTheDirectoryIsHeldUntilTheLastDestinationHasReturned(t *testing.T) {
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
}
