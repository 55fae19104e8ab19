package journal

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	t.Run("every second if it moved", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{})
			d := deliver(t, j, &target{}, nil)
			require.EqualValues(t, 0, savedCursor(t, m).seq, "from the start, so that FromNow holds too")
			time.Sleep(time.Hour)
			m.Ops()
			for i := range 100 {
				write(t, j, fmt.Sprint(i))
				time.Sleep(50 * time.Millisecond)
			}
			time.Sleep(time.Hour)
			saves := 0
			for _, op := range m.Ops() {
				if op == "rename d.tmp" {
					saves++
				}
			}
			require.LessOrEqual(t, saves, 7, "in 5 seconds")
			require.GreaterOrEqual(t, saves, 5)
			require.EqualValues(t, 100, savedCursor(t, m).seq)
			require.EqualValues(t, 100, d.Stats().Saved)
		})
	})
	// No time passes here, so a cursor can only be saved for the bytes.
	t.Run("every 4 MiB", func(t *testing.T) {
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
	})
	t.Run("save fails", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, full := memfs.New(), new(memfs.Switch)
			m.Fault = func(op, _ string, size int) (int, error) {
				if full.IsOn() && op == "create" {
					return 0, errNoSpace
				}
				return size, nil
			}
			j, to := openMem(t, m, Options{}), &target{}
			write(t, j, "a")
			d := deliver(t, j, to, nil)
			drain(t, d)
			time.Sleep(time.Minute)
			full.Set(true)
			write(t, j, "b", "c")
			time.Sleep(time.Minute)
			require.Equal(t, []string{"a", "b", "c"}, to.ids())
			require.EqualValues(t, 1, d.Stats().Saved)
			require.EqualValues(t, 3, d.Stats().Position)
			full.Set(false)
			time.Sleep(2 * time.Second)
			require.EqualValues(t, 3, d.Stats().Saved, "as soon as it can be")
		})
	})
	t.Run("first save fails", func(t *testing.T) {
		t.Parallel()
		m, full := memfs.New(), new(memfs.Switch)
		m.Fault = memfs.Failing("create", errNoSpace, full)
		j := openMem(t, m, Options{})
		full.Set(true)
		_, err := j.Deliver("d", &target{}, &DeliverOptions{Start: FromNow()})
		require.True(t, isFull(err), "or a restart would not know what now was: %v", err)
		full.Set(false)
		deliver(t, j, &target{}, nil)
	})
	// The store saves cursors too, possibly while a delivery ends.
	t.Run("not after the end", func(t *testing.T) {
		t.Parallel()
		j := openMem(t, memfs.New(), Options{})
		d := deliver(t, j, &target{}, nil)
		write(t, j, "a")
		drain(t, d)
		require.NoError(t, d.Stop(t.Context()))
		require.NoError(t, j.Forget("d"))
		require.ErrorIs(t, d.checkpoint.save(), inlet.ErrClosed)
		require.Empty(t, j.Deliveries())
	})
}

// savedCursor returns the cursor of the destination "d" on the disk.
func savedCursor(t *testing.T, m *memfs.FS) cursor {
	t.Helper()
	at, err := newCursors(m.PowerCut(), memfs.Dir).readCursor("d")
	require.NoError(t, err)
	return at
}

func TestCursor(t *testing.T) {
	t.Parallel()
	t.Run("damaged", func(t *testing.T) {
		t.Parallel()
		good := string(cursor{seq: 3, holds: true}.encode())
		damages := map[string]string{
			"empty":          "",
			"cut":            good[:len(good)/2],
			"another number": `{"seq":"0000000000000004"` + good[len(`{"seq":"0000000000000004"`):],
			"noise":          "\x00\xff{",
			"another format": `{"seq":3,"holds":true,"_c":"00000000"}`,
		}
		for name, content := range damages {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				m, to := memfs.New(), &target{}
				j := openMem(t, m, Options{})
				write(t, j, "a", "b", "c")
				drain(t, deliver(t, j, &target{}, nil))
				closeNow(t, j)
				require.Equal(t, good, m.Content("cursors/d"))
				m.Put("cursors/d", content)
				j = openMem(t, m, Options{})
				drain(t, deliver(t, j, to, &DeliverOptions{Start: FromNow()}))
				require.Equal(t, []string{"a", "b", "c"}, to.ids())
			})
		}
	})
	t.Run("its numbers are not used again", func(t *testing.T) {
		t.Parallel()
		m, to := memfs.New(), &target{}
		j := openMem(t, m, Options{})
		write(t, j, "a", "b", "c")
		drain(t, deliver(t, j, to, nil))
		closeNow(t, j)
		require.NoError(t, m.Remove(memfs.Dir+"/00000000000000000001.ndjson"), "removed by an operator")
		j = openMem(t, m, Options{})
		d := deliver(t, j, to, nil)
		write(t, j, "d", "e")
		drain(t, d)
		require.Equal(t, []string{"a", "b", "c", "d", "e"}, to.ids())
		require.EqualValues(t, 5, j.Stats().LastSeq)
	})
}

// FuzzCursor checks that a damaged file is never read as another cursor.
func FuzzCursor(f *testing.F) {
	f.Add(uint64(123), true, uint64(0), uint16(10), byte('9'))
	f.Add(uint64(0), false, uint64(500), uint16(0), byte(0))
	f.Add(^uint64(0), true, ^uint64(0), uint16(60), byte(' '))
	f.Fuzz(func(t *testing.T, seq uint64, holds bool, batch uint64, at uint16, b byte) {
		want := cursor{seq: seq, holds: holds, batch: batch}
		file := want.encode()
		got, err := decodeCursor(file)
		require.NoError(t, err)
		require.Equal(t, want, got)
		file[int(at)%len(file)] = b
		if got, err := decodeCursor(file); err == nil {
			require.Equal(t, want, got)
		}
		if got, err := decodeCursor(file[:int(at)%len(file)]); err == nil {
			require.Equal(t, want, got)
		}
	})
}
