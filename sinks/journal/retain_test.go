package journal

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// two is the size of a segment for two events.
const two = 1500

// fillSegments writes events until n segments have been started.
func fillSegments(t testing.TB, j *Journal, n int) (ids []string) {
	t.Helper()
	for j.Stats().Segments < uint64(n) {
		id := fmt.Sprintf("f%d", j.Stats().LastSeq+1)
		write(t, j, id)
		ids = append(ids, id)
	}
	return ids
}

// segmentNames returns the segments in m.
func segmentNames(m *memfs.FS) []string {
	return slices.DeleteFunc(m.Names(), func(name string) bool { return !strings.Contains(name, ".ndjson") })
}

// fileTimes are the times of six segments of one event each, which were written a day apart,
// the last of them a day ago: at 60 hours, two are young enough.
var fileTimes = map[string]struct {
	written, received func(i int, at time.Time) time.Time
	left              int
}{
	"right times":                  {written: asItWas, received: asItWas, left: 2},
	"right times, late events":     {written: asItWas, received: years(-3), left: 2},
	"oldest file in the future":    {written: only(0, years(30)), received: asItWas, left: 2},
	"two files in the future":      {written: both(only(0, years(30)), only(2, years(9))), received: asItWas, left: 2},
	"all files in the future":      {written: years(1), received: asItWas, left: 2},
	"oldest file touched just now": {written: only(0, days(6)), received: asItWas, left: 2},
	"oldest file a bit ahead":      {written: only(0, days(5)), received: asItWas, left: 2},
	"newest file in the past":      {written: only(5, years(-40)), received: asItWas, left: 2},
	"all files in the past":        {written: years(-40), received: asItWas, left: 2},
	"oldest event in the future":   {written: asItWas, received: only(0, years(30)), left: 2},
	"all events in the future":     {written: asItWas, received: years(30), left: 2},
	"all in the future":            {written: years(30), received: years(30), left: 6},
	"oldest one in the future":     {written: only(0, years(30)), received: only(0, years(30)), left: 2},
}

func asItWas(_ int, at time.Time) time.Time { return at }

func days(n int) func(int, time.Time) time.Time {
	return func(_ int, at time.Time) time.Time { return at.AddDate(0, 0, n) }
}

func years(n int) func(int, time.Time) time.Time {
	return func(_ int, at time.Time) time.Time { return at.AddDate(n, 0, 0) }
}

// only changes the time of one segment.
func only(segment int, change func(int, time.Time) time.Time) func(int, time.Time) time.Time {
	return func(i int, at time.Time) time.Time {
		if i == segment {
			return change(i, at)
		}
		return at
	}
}

// both changes a time twice.
func both(a, b func(int, time.Time) time.Time) func(int, time.Time) time.Time {
	return func(i int, at time.Time) time.Time { return b(i, a(i, at)) }
}

func TestRetain(t *testing.T) {
	t.Parallel()
	t.Run("by bytes", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		j := openMem(t, m, Options{SegmentBytes: two, RetainBytes: 3 * two})
		fillSegments(t, j, 10)
		require.NoError(t, j.Check(t.Context()))
		stats := j.Stats()
		require.LessOrEqual(t, stats.Retained, int64(3*two))
		require.Positive(t, stats.Removed)
		kept := segmentNames(m)
		require.GreaterOrEqual(t, len(kept), 2, "%v", kept)
		closeNow(t, j)
		require.Equal(t, len(kept), len(segmentNames(m.PowerCut())), "and on the disk too")

		j = openMem(t, m, Options{SegmentBytes: two, RetainBytes: two})
		require.Len(t, stored(t, j), int(stats.LastSeq)-removedEvents(t, kept), "what was sealed before counts")
		write(t, j, "new")
		require.LessOrEqual(t, j.Stats().Retained, int64(two))
		require.Contains(t, stored(t, j), "new")
	})
	t.Run("by age", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{SegmentBytes: two, RetainAge: time.Hour})
			for range 1000 {
				write(t, j, fmt.Sprintf("e%d", j.Stats().LastSeq))
				time.Sleep(10 * time.Second)
			}
			require.LessOrEqual(t, len(segmentNames(m)), 3600/10/2+2, "two events a segment, an hour of them")
		})
	})
	t.Run("clock that jumps ahead", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{SegmentBytes: two, RetainAge: 24 * time.Hour})
			fillSegments(t, j, 20)
			closeNow(t, j)
			require.Len(t, segmentNames(m), 20)

			time.Sleep(10 * 365 * 24 * time.Hour) // all are old now, as if by one bad answer of a time server
			j = openMem(t, m, Options{SegmentBytes: two, RetainAge: 24 * time.Hour})
			synctest.Wait()
			require.Len(t, segmentNames(m), 19, "one at the open")
			time.Sleep(5*time.Minute + time.Second)
			synctest.Wait()
			require.Len(t, segmentNames(m), 14, "and one a minute")
			time.Sleep(time.Hour)
			require.Len(t, segmentNames(m), 1, "the newest stays, or numbers would begin anew")
			write(t, j, "new")
			time.Sleep(time.Hour)
			require.Equal(t, []string{"new"}, stored(t, j))
			require.Greater(t, j.Stats().LastSeq, uint64(20))
		})
	})
	for name, test := range fileTimes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, now := memfs.New(), time.Now()
				for i := range 6 {
					name, at := entry{uint64(i + 1), extSealed}.name(), now.Add(-time.Duration(6-i)*24*time.Hour)
					e := event(fmt.Sprintf("m%d", i+1))
					e.ReceivedAt = test.received(i, at)
					m.Put(name, string(lineOf(e, uint64(i+1))))
					m.SetWritten(name, test.written(i, at))
				}
				j := openMem(t, m, Options{RetainAge: 60 * time.Hour})
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				ids := stored(t, j)
				require.Len(t, ids, test.left, "%v", ids)
				require.Equal(t, fmt.Sprintf("m%d", 6-test.left+1), ids[0], "the oldest go")
			})
		})
	}
	t.Run("removal fails", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, broken := memfs.New(), new(memfs.Switch)
			m.Fault = memfs.Failing("remove", errIO, broken)
			j := openMem(t, m, Options{SegmentBytes: two, RetainBytes: two})
			broken.Set(true)
			ids := fillSegments(t, j, 5)
			require.Equal(t, ids, stored(t, j), "and is no reason to refuse anything")
			broken.Set(false)
			fillSegments(t, j, 6)
			require.LessOrEqual(t, j.Stats().Retained, int64(two))
		})
	})
	t.Run("already deleted", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		j := openMem(t, m, Options{SegmentBytes: two, RetainBytes: 2 * two})
		fillSegments(t, j, 2)
		require.NoError(t, m.Remove(memfs.Dir+"/00000000000000000001.ndjson"))
		fillSegments(t, j, 6)
		require.LessOrEqual(t, j.Stats().Retained, int64(2*two))
		_, _, err := m.Stat(memfs.Dir + "/00000000000000000001.ndjson")
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
}

// removedEvents returns how many events were in segments before the oldest of names.
func removedEvents(t *testing.T, names []string) int {
	t.Helper()
	e, ok := parseName(names[0])
	require.True(t, ok)
	return int(e.first) - 1
}

func TestRetainDestination(t *testing.T) {
	t.Parallel()
	t.Run("Block holds segments", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, to := memfs.New(), &target{answer: down}
			o := Options{SegmentBytes: two, RetainBytes: 3 * two, RetainAge: time.Hour}
			j := openMem(t, m, o)
			d := deliver(t, j, to, nil)
			var acked []string
			var err error
			for i := 0; err == nil; i++ {
				id := fmt.Sprint("e", i)
				if err = writeOne(t, j, id); err == nil {
					acked = append(acked, id)
				}
				require.Less(t, i, 100)
			}
			require.ErrorIs(t, err, ErrBehind)
			require.ErrorContains(t, err, ": d", "it is named")
			require.False(t, inlet.IsPermanent(err))
			_, ok := inlet.RetryDelay(err)
			require.True(t, ok)
			require.ErrorIs(t, j.Check(t.Context()), ErrBehind)
			require.GreaterOrEqual(t, len(segmentNames(m)), 3)

			time.Sleep(100 * time.Hour)
			require.ErrorIs(t, j.Check(t.Context()), ErrBehind)
			require.Equal(t, acked, stored(t, j), "age removes nothing either")
			require.NoError(t, d.Stop(t.Context()))
			closeNow(t, j)
			j = openMem(t, m, o)
			require.ErrorIs(t, writeOne(t, j, "refused"), ErrBehind, "it holds without a delivery too")
			require.Equal(t, acked, stored(t, j))
			require.Equal(t, []DeliveryStats{{Name: "d", Behind: uint64(len(acked))}}, j.Deliveries())

			to.answers(nil)
			d = deliver(t, j, to, nil)
			drain(t, d)
			time.Sleep(2 * time.Second)
			require.NoError(t, writeOne(t, j, "after"))
			require.NoError(t, j.Check(t.Context()))
			drain(t, d)
			require.Equal(t, append(acked, "after"), to.ids())
			require.True(t, j.Deliveries()[0].Running)
		})
	})
	t.Run("never refused for an unsaved cursor", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			j := openMem(t, memfs.New(), Options{SegmentBytes: two, RetainBytes: two})
			one := deliver(t, j, &target{}, nil)
			other, err := j.Deliver("other", &target{}, nil)
			require.NoError(t, err)
			for i := range 100 { // within the second in which a cursor is saved
				require.NoError(t, writeOne(t, j, fmt.Sprint(i)))
				drain(t, one)
				drain(t, other)
			}
			require.Greater(t, j.Stats().Removed, uint64(40))
			require.NoError(t, j.Check(t.Context()))
		})
	})
	t.Run("Forget", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{SegmentBytes: two, RetainBytes: two})
			d := deliver(t, j, &target{answer: down}, nil)
			for i := 0; writeOne(t, j, fmt.Sprint(i)) == nil; i++ {
				require.Less(t, i, 100)
			}
			require.Error(t, j.Forget("d"), "not while it is delivered to")
			require.Error(t, j.Forget("other"))
			require.NoError(t, d.Stop(t.Context()))
			require.NoError(t, j.Forget("d"))
			require.Empty(t, j.Deliveries())
			time.Sleep(time.Second)
			require.NoError(t, writeOne(t, j, "after"))
			require.NotContains(t, m.PowerCut().Names(), "cursors/d")
			closeNow(t, j)
			require.ErrorIs(t, j.Forget("d"), inlet.ErrClosed, "another journal may hold the directory")
		})
	})
	t.Run("DropOldest", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, to := memfs.New(), &target{answer: down}
			j := openMem(t, m, Options{SegmentBytes: two, RetainBytes: 3 * two})
			o := &DeliverOptions{WhenFull: DropOldest, MaxEvents: 1}
			d := deliver(t, j, to, o)
			write(t, j, "first")
			synctest.Wait() // it has that in its hands
			ids := fillSegments(t, j, 10)
			synctest.Wait() // for what is removed after an acknowledgement
			require.NoError(t, j.Check(t.Context()), "writers are not refused")
			left := stored(t, j)
			to.answers(nil)
			drain(t, d)
			got := to.ids()
			require.Equal(t, "first", got[0])
			require.Equal(t, left, got[len(got)-len(left):], "all that is left, in order")
			missed := 1 + len(ids) - len(got)
			require.Positive(t, missed)
			require.EqualValues(t, missed, d.Stats().Dropped, "and what is not is counted")

			require.NoError(t, d.Stop(t.Context()))
			fillSegments(t, j, 20)
			synctest.Wait()
			left = stored(t, j)
			to = &target{}
			d = deliver(t, j, to, o)
			drain(t, d)
			require.Equal(t, left, to.ids(), "while it was stopped too")
			require.Positive(t, d.Stats().Dropped)
		})
	})
	t.Run("cursor saved before the removal", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{SegmentBytes: two, RetainBytes: two})
			m.Fault = func(op, name string, size int) (int, error) {
				if e, ok := parseName(filepath.Base(name)); ok && op == "remove" && e.ext == extSealed {
					at, err := newCursors(m.PowerCut(), memfs.Dir).readCursor("d")
					require.NoError(t, err)
					require.GreaterOrEqual(t, at.seq, e.first)
					require.Zero(t, slices.IndexFunc(segmentNames(m), func(n string) bool { return n == e.name() }), "the oldest first")
				}
				return size, nil
			}
			deliver(t, j, &target{}, nil)
			for i := range 40 {
				if err := writeOne(t, j, fmt.Sprint(i)); err != nil {
					require.ErrorIs(t, err, ErrBehind)
				}
				time.Sleep(time.Second)
			}
			require.Positive(t, j.Stats().Removed)
		})
	})
	// Neither the position of a destination counts, nor a cursor that is being written.
	t.Run("not for an unsaved cursor", func(t *testing.T) {
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
	})
}
