package journal

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

const victim = "the-victim"

func isVictim(e *inlet.Event) bool { return e.UserID == victim }

// eraseVictim erases the victim's events.
func eraseVictim(ctx context.Context, m *memfs.FS) (*Erasure, error) {
	return Erase(ctx, memfs.Dir, isVictim, &EraseOptions{Texts: []string{victim}, Logger: slog.New(slog.DiscardHandler), fs: m})
}

// victimEvent is event, of the victim if the number is even.
func victimEvent(n int) *inlet.Event {
	e := event(fmt.Sprintf("m%d", n))
	if n%2 == 0 {
		e.UserID = victim
	}
	return e
}

// victimLines returns the lines with the numbers from first to last.
func victimLines(first, last int, keep func(n int) bool) string {
	var b strings.Builder
	for n := first; n <= last; n++ {
		if keep(n) {
			b.Write(lineOf(victimEvent(n), uint64(n)))
		}
	}
	return b.String()
}

func always(int) bool { return true }

func odd(n int) bool { return n%2 == 1 }

// crimeScene has the victim everywhere: in segments, an active and a suspect file, quarantine and
// dead letters.
func crimeScene() *memfs.FS {
	m := memfs.New()
	m.Put(seg1, victimLines(1, 4, always))
	m.Put(seg5, victimLines(5, 5, always))
	m.Put(seg6, victimLines(6, 6, always))
	m.Put("00000000000000000007.ndjson.suspect", victimLines(7, 8, always))
	m.Put("00000000000000000009.ndjson.part", victimLines(9, 12, always)+string(lineOf(victimEvent(14), 13))[:300])
	m.Put("quarantine/a", victimLines(1, 2, always)+"\x00"+victim+"\n\x00other\n")
	m.Put("quarantine/b", victimLines(2, 2, always))
	m.Put("quarantine/c", victimLines(1, 1, always))
	m.Put("dead/d/"+seg1, victimLines(1, 3, always))
	m.Put("cursors/d", string(cursor{seq: 6, holds: true}.encode()))
	return m
}

// requireErased requires that nothing of the victim is left, and that all others are.
func requireErased(t *testing.T, m *memfs.FS, what string, args ...any) {
	t.Helper()
	for _, name := range m.Names() {
		require.False(t, strings.Contains(m.Content(name), victim), "%s in %s", fmt.Sprintf(what, args...), name)
	}
	requireOthers(t, m, what, args...)
}

// requireOthers requires that the events of others are there, once, with their numbers.
func requireOthers(t *testing.T, m *memfs.FS, what string, args ...any) {
	t.Helper()
	read := func(dir string) (all []string) {
		for r, err := range Read(t.Context(), dir, &ReadOptions{fs: m}) {
			require.NoError(t, err)
			if !isVictim(r.Event) {
				all = append(all, fmt.Sprintf("%d=%s", r.Seq, r.Event.MessageID))
			}
		}
		return all
	}
	require.Equal(t, strings.Fields("1=m1 3=m3 5=m5 7=m7 9=m9 11=m11"), read(memfs.Dir), fmt.Sprintf(what, args...))
	require.Equal(t, strings.Fields("1=m1 3=m3"), read(memfs.Dir+"/dead/d"), fmt.Sprintf(what, args...))
}

func TestErase(t *testing.T) {
	t.Parallel()
	t.Run("everywhere, and nothing else", func(t *testing.T) {
		t.Parallel()
		m := crimeScene()
		done, err := eraseVictim(t.Context(), m)
		require.NoError(t, err)
		requireErased(t, m, "after")
		require.Equal(t, &Erasure{
			Events: 6, Segments: 4, Letters: 1, Quarantined: 5, Unreadable: 1,
			Destinations: []ErasedDestination{{Name: "d", Received: 3, Pending: 3, Letters: 1}},
		}, done)
		require.Equal(t, victimLines(1, 4, odd), m.Content(seg1))
		require.Equal(t, victimLines(5, 5, odd), m.Content(seg5))
		require.Empty(t, m.Content(seg6))
		require.Equal(t, victimLines(1, 1, always)+"\x00other\n", m.Content("quarantine/a"))
		require.Equal(t, victimLines(1, 1, always), m.Content("quarantine/c"))
		require.NotContains(t, m.Names(), "quarantine/b")
		for _, name := range m.Names() {
			require.NotContains(t, name, extTemporary)
		}
		report, err := Verify(t.Context(), memfs.Dir, &VerifyOptions{fs: m})
		require.NoError(t, err)
		require.Empty(t, report.Faults)

		again, err := eraseVictim(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, &Erasure{Unreadable: 1, Destinations: []ErasedDestination{{Name: "d"}}}, again)
	})
	t.Run("numbers are not given out again, and destinations miss nothing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			m.Put(seg1, victimLines(1, 2, always))
			m.Put(seg3, victimLines(4, 4, always))
			_, err := eraseVictim(t.Context(), m)
			require.NoError(t, err)
			j := openMem(t, m, Options{LowWater: -1})
			write(t, j, "new")
			to := new(target)
			d := deliver(t, j, to, nil)
			drain(t, d)
			require.Equal(t, []string{"m1", "new"}, to.ids())
			require.Zero(t, d.Stats().Dropped)
			require.Equal(t, uint64(5), j.Stats().LastSeq)
		})
	})
	t.Run("everything, and the last number is kept", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		m.Put(seg1, victimLines(2, 2, always))
		_, err := Erase(t.Context(), memfs.Dir, func(*inlet.Event) bool { return true }, &EraseOptions{fs: m})
		require.NoError(t, err)
		j := openMem(t, m.PowerCut(), Options{LowWater: -1})
		write(t, j, "new")
		require.Equal(t, uint64(3), j.Stats().LastSeq)
	})
	t.Run("damaged lines", func(t *testing.T) {
		t.Parallel()
		usd := strings.Replace(string(lineOf(victimEvent(2), 2)), "EUR", "USD", 1)
		other := strings.Replace(string(lineOf(victimEvent(3), 3)), "EUR", "USD", 1)
		content := victimLines(1, 1, always) + usd + other + victimLines(5, 5, always)
		for _, damaged := range []bool{false, true} {
			m := memfs.New()
			m.Put(seg1, content)
			o := &EraseOptions{Texts: []string{victim}, Damaged: damaged, fs: m}
			done, err := Erase(t.Context(), memfs.Dir, isVictim, o)
			require.NoError(t, err)
			if damaged {
				other = ""
			}
			require.Equal(t, victimLines(1, 1, always)+other+victimLines(5, 5, always), m.Content(seg1))
			require.Equal(t, uint64(2), done.Damaged+done.Unreadable)
			require.Equal(t, damaged, done.Unreadable == 0)
		}
	})
	t.Run("what is no file is said", func(t *testing.T) {
		t.Parallel()
		m := crimeScene()
		m.PutSpecial("quarantine/link")
		done, err := eraseVictim(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, []string{"quarantine/link"}, done.Unchecked)
	})
	t.Run("failures", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		openMem(t, m, Options{LowWater: -1})
		_, err := eraseVictim(t.Context(), m)
		require.ErrorIs(t, err, ErrLocked)
		_, err = Erase(t.Context(), t.TempDir()+"/none", isVictim, nil)
		require.Error(t, err)
		_, err = Erase(t.Context(), t.TempDir(), nil, &EraseOptions{Texts: []string{""}})
		require.ErrorContains(t, err, "match is nil")
		require.ErrorContains(t, err, "Texts")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		scene := crimeScene()
		_, err = eraseVictim(ctx, scene)
		require.ErrorIs(t, err, context.Canceled)
		requireOthers(t, scene, "canceled")
	})
}

// After every single call to the file system the power is cut, or the call fails in every way. What
// was to stay is there, once, and a second Erase erases what is left.
func TestEraseEveryCall(t *testing.T) {
	t.Parallel()
	counted := crimeScene()
	var calls atomic.Int64
	counted.Fault = func(_, _ string, size int) (int, error) { calls.Add(1); return size, nil }
	_, err := eraseVictim(t.Context(), counted)
	require.NoError(t, err)
	require.Greater(t, calls.Load(), int64(100))
	for name, cause := range map[string]error{"power cut": nil, "kill": nil, "EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step := int64(1)
			if testing.Short() {
				step = 7
			}
			for call := int64(1); call <= calls.Load(); call += step {
				m := crimeScene()
				ctx, cancel := context.WithCancel(t.Context())
				var n atomic.Int64
				m.Fault = func(_, _ string, size int) (int, error) {
					at := n.Add(1)
					switch {
					case cause == nil && at >= call: // nothing reaches the disk any more
						cancel()
						return 0, syscall.EIO
					case at == call:
						return size / 2, cause
					}
					return size, nil
				}
				_, err := eraseVictim(ctx, m)
				cancel()
				m.Fault = nil
				after := m.Kill()
				if name == "power cut" {
					after = m.PowerCut()
				}
				if err == nil {
					requireErased(t, after, "%s at call %d was no failure", name, call)
				}
				again, err := eraseVictim(t.Context(), after)
				require.NoError(t, err, "%s at call %d", name, call)
				requireErased(t, after, "%s at call %d", name, call)
				require.LessOrEqual(t, again.Events, uint64(6))
				requireErased(t, after.PowerCut(), "%s at call %d, and a power cut", name, call)
			}
		})
	}
}

// An Erase waits for no reader, and a reader that is in the middle of a segment goes on.
func TestEraseWhileRead(t *testing.T) {
	t.Parallel()
	m := crimeScene()
	var got []string
	for r, err := range Read(t.Context(), memfs.Dir, &ReadOptions{fs: m}) {
		require.NoError(t, err)
		if r.Seq == 1 {
			_, err := eraseVictim(t.Context(), m)
			require.NoError(t, err)
		}
		if !isVictim(r.Event) {
			got = append(got, r.Event.MessageID)
		}
	}
	require.Equal(t, strings.Fields("m1 m3 m5 m7 m9 m11"), got)
}
