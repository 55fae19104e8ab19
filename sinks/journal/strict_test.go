package journal

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// A script writes a few events to a journal of tiny segments, closes it, opens
// it again and writes more. It goes on whatever fails, and remembers what was
// acknowledged.
type script struct {
	fs   *memfs.FS
	next int

	mu    sync.Mutex
	calls int // to the file system
	acked []string
}

// newScript has fault called, in turn, with the number of each call.
func newScript(fault func(s *script, call int, op, name string, size int) (int, error)) *script {
	s := &script{fs: memfs.New()}
	s.fs.Fault = func(op, name string, size int) (int, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls++
		return fault(s, s.calls, op, name, size)
	}
	return s
}

func scriptOptions(m *memfs.FS, ahead bool) *Options {
	return &Options{SegmentBytes: 1500, WriteAhead: ahead, fs: m}
}

func (s *script) run(ctx context.Context, ahead bool) {
	for range 2 {
		j, err := Open(memfs.Dir, scriptOptions(s.fs, ahead))
		if err != nil {
			continue
		}
		for range 4 {
			synctest.Wait() // for the file ahead, so that every run is the same
			s.write(ctx, j)
		}
		_ = j.Close(ctx) // what fails is sealed by the next Open
	}
}

func (s *script) write(ctx context.Context, j *Journal) {
	batch := []*inlet.Event{event(fmt.Sprintf("e%d", s.next)), event(fmt.Sprintf("e%d", s.next+1))}
	s.next += 2
	if j.Write(ctx, batch) == nil {
		s.mu.Lock()
		s.acked = append(s.acked, batch[0].MessageID, batch[1].MessageID)
		s.mu.Unlock()
	}
	time.Sleep(2 * time.Second) // beyond any pause
}

// requireAll opens a journal on m and holds that all of ids are there, once, and
// that it works.
func requireAll(t *testing.T, m *memfs.FS, ahead bool, ids []string, msg string, args ...any) {
	t.Helper()
	j, err := Open(memfs.Dir, scriptOptions(m, ahead))
	require.NoError(t, err, msg, args)
	write(t, j, "works")
	found := stored(t, j)
	require.NoError(t, j.Close(t.Context()))
	require.Subset(t, found, ids, msg, args)
	require.Contains(t, found, "works")
	slices.Sort(found)
	require.Len(t, slices.Compact(found), len(found), "twice: "+msg, args)
}

// eachForm runs f for both forms of segments.
func eachForm(t *testing.T, f func(t *testing.T, ahead bool)) {
	for name, ahead := range map[string]bool{"appended": false, "written ahead": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, ahead)
		})
	}
}

// The power goes after every single call to the file system. What is left is
// what was flushed, and of what was not any part: sectors in any order.
func TestPowerCutsAfterEveryCall(t *testing.T) {
	t.Parallel()
	eachForm(t, func(t *testing.T, ahead bool) {
		for calls := 1; ; calls++ {
			if cutAfter(t, ahead, calls) {
				t.Logf("%d calls", calls-1)
				return
			}
		}
	})
}

// cutAfter reports whether there are not so many calls.
func cutAfter(t *testing.T, ahead bool, calls int) (end bool) {
	synctest.Test(t, func(t *testing.T) {
		var after []*memfs.FS
		var acked []string
		s := newScript(func(s *script, call int, _, _ string, size int) (int, error) {
			if call == calls+1 { // before the next call is after this one
				for seed := range uint64(4) {
					after = append(after, s.fs.TornPowerCut(rand.New(rand.NewPCG(uint64(calls), seed))))
				}
				after = append(after, s.fs.PowerCut())
				acked = slices.Clone(s.acked)
			}
			return size, nil
		})
		s.run(t.Context(), ahead)
		end = s.calls <= calls
		for i, m := range after {
			requireAll(t, m, ahead, acked, "cut %d after %d calls", i, calls)
		}
	})
	return end
}

// Every call fails once, in every way. What was acknowledged stays, before and
// after a power cut, and the journal goes on.
func TestEveryCallFailsOnce(t *testing.T) {
	t.Parallel()
	faults := map[string]error{
		"EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC, "EINTR": syscall.EINTR, "EMFILE": syscall.EMFILE,
		"a short write": nil,
	}
	for name, cause := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachForm(t, func(t *testing.T, ahead bool) {
				for call := 1; ; call++ {
					if failAt(t, ahead, call, cause) {
						t.Logf("%d calls", call-1)
						return
					}
				}
			})
		})
	}
}

// failAt reports whether there are not so many calls.
func failAt(t *testing.T, ahead bool, call int, cause error) (end bool) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript(func(_ *script, n int, op, name string, size int) (int, error) {
			switch {
			case n != call:
				return size, nil
			case cause == nil:
				return size / 2, nil // of a write
			}
			return size / 2, &fs.PathError{Op: op, Path: name, Err: cause}
		})
		s.run(t.Context(), ahead)
		synctest.Wait()
		end = s.calls < call
		s.fs.Fault = nil
		if !end {
			require.GreaterOrEqual(t, len(s.acked), 8, "it goes on after call %d failed", call)
		}
		requireAll(t, s.fs.PowerCut(), ahead, s.acked, "power cut, call %d", call)
		requireAll(t, s.fs, ahead, s.acked, "call %d", call)
	})
	return end
}
