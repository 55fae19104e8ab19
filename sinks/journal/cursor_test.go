package journal

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestACursorIsSavedOnceASecondAndOnlyWhenItMoved(t *testing.T) {
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
}

// savedCursor reads the cursor of the destination "d" that is on the disk.
func savedCursor(t *testing.T, m *memfs.FS) cursor {
	t.Helper()
	at, err := newCursors(m.PowerCut(), memfs.Dir).readCursor("d")
	require.NoError(t, err)
	return at
}

func TestACursorThatIsDamagedMeansEverythingAgain(t *testing.T) {
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
}

func TestNumbersThatADestinationHasSeenAreNotGivenOutAgain(t *testing.T) {
	t.Parallel()
	m, to := memfs.New(), &target{}
	j := openMem(t, m, Options{})
	write(t, j, "a", "b", "c")
	drain(t, deliver(t, j, to, nil))
	closeNow(t, j)
	require.NoError(t, m.Remove(memfs.Dir+"/00000000000000000001.ndjson"), "somebody cleans up")
	j = openMem(t, m, Options{})
	d := deliver(t, j, to, nil)
	write(t, j, "d", "e")
	drain(t, d)
	require.Equal(t, []string{"a", "b", "c", "d", "e"}, to.ids())
	require.EqualValues(t, 5, j.Stats().LastSeq)
}

func TestACursorThatCannotBeSavedHoldsUpNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, full := memfs.New(), new(memfs.Switch)
		m.Fault = func(op, name string, size int) (int, error) {
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
}

func TestANewDestinationNeedsACursorOnTheDisk(t *testing.T) {
	t.Parallel()
	m, full := memfs.New(), new(memfs.Switch)
	m.Fault = memfs.Failing("create", errNoSpace, full)
	j := openMem(t, m, Options{})
	full.Set(true)
	_, err := j.Deliver("d", &target{}, &DeliverOptions{Start: FromNow()})
	require.True(t, isFull(err), "or a restart would not know what now was: %v", err)
	full.Set(false)
	deliver(t, j, &target{}, nil)
}

// A script of deliveries: two runs with a crash between any two calls to the file
// system, a destination that fails every first attempt, and one segment an event.
type deliveryScript struct {
	script
	to    *target
	tried map[string]bool
}

func newDeliveryScript(fault func(s *deliveryScript, call int, size int) (int, error)) *deliveryScript {
	d := &deliveryScript{to: &target{}, tried: map[string]bool{}}
	d.fs = memfs.New()
	d.to.answer = d.answer
	d.fs.Fault = func(_, _ string, size int) (int, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.calls++
		return fault(d, d.calls, size)
	}
	return d
}

// answer fails each batch once.
func (d *deliveryScript) answer(ids []string) error {
	key := fmt.Sprint(ids)
	if !d.tried[key] {
		d.tried[key] = true
		return errDown
	}
	return nil
}

func (d *deliveryScript) run(t *testing.T) {
	for range 2 {
		j, err := Open(memfs.Dir, deliveryOptions(d.fs))
		if err != nil {
			continue
		}
		for err = errDown; err != nil; { // a fault may forbid it once
			_, err = j.Deliver("d", d.to, nil)
		}
		for range 3 {
			d.write(t.Context(), j)
		}
		_ = j.Close(t.Context())
	}
}

func deliveryOptions(m *memfs.FS) *Options {
	return &Options{SegmentBytes: 1500, RetainBytes: 1500, fs: m}
}

// The power goes after every single call. What was acknowledged, the destination
// has got before or gets now, although retention removes all that it may.
func TestPowerCutsWhileDelivering(t *testing.T) {
	t.Parallel()
	for calls := 1; ; calls++ {
		end := false
		synctest.Test(t, func(t *testing.T) { end = cutDelivery(t, calls) })
		if end {
			t.Logf("%d calls", calls-1)
			return
		}
	}
}

// cutDelivery reports whether there are not so many calls.
func cutDelivery(t *testing.T, calls int) (end bool) {
	var after []*memfs.FS
	var acked, taken []string
	s := newDeliveryScript(func(d *deliveryScript, call, size int) (int, error) {
		if call == calls+1 {
			taken = d.to.ids()
			acked = slices.Clone(d.acked)
			for seed := range uint64(3) {
				after = append(after, d.fs.TornPowerCut(rand.New(rand.NewPCG(uint64(calls), seed))))
			}
			after = append(after, d.fs.PowerCut())
		}
		return size, nil
	})
	s.run(t)
	for i, m := range after {
		requireDelivered(t, m, acked, taken, "cut %d after %d calls", i, calls)
	}
	return s.calls <= calls
}

// requireDelivered opens a journal on what is left, delivers, and holds that
// nothing is missing of what was acknowledged.
func requireDelivered(t *testing.T, m *memfs.FS, acked, taken []string, msg string, args ...any) {
	t.Helper()
	j, err := Open(memfs.Dir, deliveryOptions(m))
	require.NoError(t, err, msg, args)
	to := &target{}
	d := deliver(t, j, to, nil)
	write(t, j, "works")
	drain(t, d)
	closeNow(t, j)
	got := append(taken, to.ids()...)
	require.Subset(t, got, append(acked, "works"), msg, args)
	require.Zero(t, d.Stats().Dropped, msg, args)
}

func TestEveryCallFailsOnceWhileDelivering(t *testing.T) {
	t.Parallel()
	for call := 1; ; call++ {
		end := false
		synctest.Test(t, func(t *testing.T) {
			s := newDeliveryScript(func(_ *deliveryScript, n, size int) (int, error) {
				if n == call {
					return size / 2, errIO
				}
				return size, nil
			})
			s.run(t)
			end = s.calls < call
			s.fs.Fault = nil
			requireDelivered(t, s.fs, s.acked, s.to.ids(), "call %d failed", call)
		})
		if end {
			t.Logf("%d calls", call-1)
			return
		}
	}
}

// What is read as a cursor is what was written, whatever became of the file: a byte
// that went bad never makes another number of it.
func FuzzCursor(f *testing.F) {
	f.Add(uint64(123), true, uint16(10), byte('9'))
	f.Add(uint64(0), false, uint16(0), byte(0))
	f.Add(^uint64(0), true, uint16(60), byte(' '))
	f.Fuzz(func(t *testing.T, seq uint64, holds bool, at uint16, b byte) {
		want := cursor{seq, holds}
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
