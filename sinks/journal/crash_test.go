package journal

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestEveryCall(t *testing.T) {
	t.Parallel()
	// A power cut after every single call to the file system leaves what was flushed, and any
	// part of the rest: sectors in any order.
	t.Run("power cut after it", func(t *testing.T) {
		t.Parallel()
		eachForm(t, func(t *testing.T, ahead bool) {
			for calls := 1; ; calls++ {
				if cutAfter(t, ahead, calls) {
					t.Logf("%d calls", calls-1)
					return
				}
			}
		})
	})
	// Every call fails once, in every way. What was acknowledged stays, before and after a power
	// cut, and the journal continues.
	t.Run("fails once", func(t *testing.T) {
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
	})
}

// A script writes a few events to a journal of tiny segments, closes it, opens it again and
// writes more. It continues after every failure, and records what was acknowledged.
type script struct {
	fs   *memfs.FS
	next int

	mu    sync.Mutex
	calls int // to the file system
	acked []string
}

func TestDeliverEveryCall(t *testing.T) {
	t.Parallel()
	// A power cut after every single call. The destination has received what was acknowledged
	// or receives it after the restart, although retention removes all that it may.
	t.Run("power cut after it", func(t *testing.T) {
		t.Parallel()
		for calls := 1; ; calls++ {
			end := false
			synctest.Test(t, func(t *testing.T) { end = cutDelivery(t, calls) })
			if end {
				t.Logf("%d calls", calls-1)
				return
			}
		}
	})
	t.Run("fails once", func(t *testing.T) {
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
	})
}

func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("several seconds of writing and killing")
	}
	dir := t.TempDir()
	acked := map[string]bool{}
	for round, procs := range []int{1, 2, 8} {
		for _, id := range killRound(t, dir, round, procs) {
			acked[id] = true
		}
		j, err := Open(dir, nil)
		require.NoError(t, err)
		found := map[string]bool{}
		for _, id := range stored(t, j) {
			require.False(t, found[id], "%s is stored twice", id)
			found[id] = true
		}
		for id := range acked {
			require.True(t, found[id], "%s was acknowledged and is gone", id)
		}
		t.Logf("round %d, GOMAXPROCS %d: %d acknowledged, %d stored, %+v", round, procs, len(acked), len(found), j.Stats())
		require.NoError(t, j.Close(t.Context()))
	}
}

// A deliveryScript is a script with a destination that fails every first attempt, and one
// segment per event.
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

// cutDelivery cuts the power after a number of calls. It returns true if there are fewer.
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

// requireDelivered opens a journal on what is left, delivers, and requires that everything
// acknowledged was delivered.
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

// newScript returns a script that calls fault with the number of each call.
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

// requireAll opens a journal on m and requires that it has each of ids once, and that it
// works.
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

// cutAfter cuts the power after a number of calls. It returns true if there are fewer.
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

// failAt makes one call fail. It returns true if there are fewer calls.
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

// A child process is this test binary. With these environment variables it writes to a
// journal and prints what is acknowledged, until it is killed.
const (
	childEnv   = "INLET_JOURNAL_CHILD"
	childRound = "INLET_JOURNAL_ROUND"
)

// runChild writes from many goroutines, some events one by one and some in
// batches, and prints the ids of those that are acknowledged.
func runChild(dir string) int {
	j, err := Open(dir, &Options{SegmentBytes: 1 << 20})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var out sync.Mutex
	var writers sync.WaitGroup
	for w := range 16 {
		writers.Go(func() {
			for i := 0; ; i++ {
				batch := events(fmt.Sprintf("r%s-w%d-%d", os.Getenv(childRound), w, i), 1+i%3)
				if j.Write(context.Background(), batch) != nil {
					return
				}
				var acks strings.Builder
				for _, e := range batch {
					acks.WriteString(e.MessageID + "\n")
				}
				out.Lock()
				os.Stdout.WriteString(acks.String())
				out.Unlock()
			}
		})
	}
	writers.Wait()
	return 1
}

// killRound returns what a child acknowledged before it was killed.
func killRound(t *testing.T, dir string, round, procs int) []string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+dir, childRound+"="+strconv.Itoa(round), "GOMAXPROCS="+strconv.Itoa(procs))
	child.Stderr = os.Stderr
	pipe, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	defer child.Process.Kill()
	acks := bufio.NewReader(pipe)
	first, err := acks.ReadString('\n') // a busy machine takes its time to start a process
	require.NoError(t, err)
	kill := time.AfterFunc(700*time.Millisecond, func() { child.Process.Kill() })
	defer kill.Stop()
	acked := append([]string{strings.TrimSuffix(first, "\n")}, readAcks(acks)...)
	_ = child.Wait() // killed
	return acked
}

// readAcks returns the complete lines of r.
func readAcks(r *bufio.Reader) (acked []string) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return acked
		}
		acked = append(acked, strings.TrimSuffix(line, "\n"))
	}
}
