package journal

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

func TestTail(t *testing.T) {
	t.Parallel()
	t.Run("not beyond the watermark", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		j := openMem(t, m, Options{})
		write(t, j, "a", "b")
		name := "00000000000000000001.ndjson.part"
		whole := int64(len(m.Content(name)))
		m.Put(name, m.Content(name)+`{"type":"track","mess`)
		r := tail{j: j}
		at := j.progress.now()
		require.Equal(t, watermark{segment: 1, size: whole, last: 2}, at)
		for range 2 {
			require.NoError(t, r.advance(t.Context(), at))
		}
		for range 3 {
			require.ErrorIs(t, r.advance(t.Context(), at), io.EOF)
		}
		require.Zero(t, j.Stats().Damaged, "half a line is not damage: it may become whole")
		r.close()
	})
	// A listing that is read in pieces while a segment is renamed may have neither name.
	t.Run("listing without the segment being sealed", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		listed := &hidingFS{FS: m}
		j := openTest(t, memfs.Dir, &Options{fs: listed})
		write(t, j, "a", "b", "c")
		listed.hide = "00000000000000000001.ndjson.part"
		to := &target{}
		d := deliver(t, j, to, nil)
		drain(t, d)
		require.Equal(t, []string{"a", "b", "c"}, to.ids())
		require.Empty(t, listed.hide, "it was hidden")
	})
	// A segment is sealed after it was listed and before it is opened.
	t.Run("segment renamed after the listing", func(t *testing.T) {
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
	})
	t.Run("deleted segment", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		j := openTest(t, dir, &Options{SegmentBytes: two})
		write(t, j, "a", "b", "c", "d", "e")
		require.NoError(t, os.Remove(filepath.Join(dir, "00000000000000000003.ndjson")))
		to := &target{}
		d := deliver(t, j, to, nil)
		drain(t, d)
		require.Equal(t, []string{"a", "b", "e"}, to.ids())
		require.Zero(t, d.Stats().Dropped, "it was gone before it was looked for, as if it had never been")
	})
	t.Run("newest segment deleted", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{SegmentBytes: two})
			write(t, j, "a", "b", "c")
			m.Fault = func(op, name string, size int) (int, error) {
				if op == "open" && strings.HasPrefix(filepath.Base(name), "00000000000000000003.") {
					return 0, fs.ErrNotExist
				}
				return size, nil
			}
			to := &target{}
			d := deliver(t, j, to, nil)
			drain(t, d)
			require.Equal(t, []string{"a", "b"}, to.ids())
			require.EqualValues(t, 1, d.Stats().Dropped, "it was deleted just now")
		})
	})
}

// Readers of the end of the journal, across segments that are started, sealed and removed
// concurrently, get every line once, complete and in order.
func TestTailConcurrent(t *testing.T) {
	t.Parallel()
	for _, ahead := range []bool{false, true} {
		t.Run(fmt.Sprintf("written ahead %t", ahead), func(t *testing.T) {
			t.Parallel()
			j := openTest(t, t.TempDir(), &Options{
				SegmentBytes: 8 << 10, RetainBytes: 64 << 10, WriteAhead: ahead, MaxGroupBytes: 4 << 10, LowWater: -1,
			})
			var first *Delivery
			all := make([]*target, 3)
			for i := range all {
				all[i] = &target{}
				d, err := j.Deliver(fmt.Sprintf("d%d", i), all[i], &DeliverOptions{MaxEvents: 1 + 7*i, MinBackoff: time.Millisecond})
				require.NoError(t, err)
				if i == 0 {
					first = d
				}
				defer func() {
					drain(t, d)
					require.Equal(t, all[0].ids(), all[i].ids())
				}()
			}
			var writers sync.WaitGroup
			acked := make([][]string, 4)
			for w := range acked {
				writers.Go(func() {
					for i := 0; i < 300; i++ {
						id := fmt.Sprintf("w%d-%d", w, i)
						if writeOne(t, j, id) != nil { // beyond what is retained; destinations are behind
							time.Sleep(10 * time.Millisecond)
							i--
							continue
						}
						acked[w] = append(acked[w], id)
					}
				})
			}
			writers.Wait()
			drain(t, first)
			got := all[0].ids()
			require.ElementsMatch(t, slices.Concat(acked...), got)
			for w := range acked {
				mine := slices.DeleteFunc(slices.Clone(got), func(id string) bool { return id[:2] != fmt.Sprintf("w%d", w) })
				require.Equal(t, acked[w], mine, "in the order of its writer")
			}
			require.Zero(t, j.Stats().Damaged)
			require.Positive(t, j.Stats().Removed)
		})
	}
}

func TestTailUnreadable(t *testing.T) {
	t.Parallel()
	t.Run("retried, then skipped", func(t *testing.T) {
		t.Parallel()
		for failures, want := range map[int][]string{2: {"a", "b", "c", "d", "e"}, 1000: {"c", "d", "e"}} {
			t.Run(fmt.Sprintf("%d failures", failures), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					m := memfs.New()
					j := openMem(t, m, Options{SegmentBytes: two})
					write(t, j, "a", "b", "c", "d", "e")
					left := failures
					m.Fault = func(op, name string, size int) (int, error) {
						if op == "open" && filepath.Base(name) == "00000000000000000001.ndjson" && left > 0 {
							left--
							return 0, errIO
						}
						return size, nil
					}
					to := &target{}
					d := deliver(t, j, to, nil)
					time.Sleep(time.Minute)
					drain(t, d)
					require.Equal(t, want, to.ids())
					require.EqualValues(t, 5-len(want), d.Stats().Dropped)
					require.NoError(t, d.Stop(t.Context()))
				})
			})
		}
	})
	// A lack of descriptors is not a fault of the file, and the active file gets more lines.
	t.Run("never skipped for other faults", func(t *testing.T) {
		t.Parallel()
		tests := map[string]struct {
			name string
			err  error
		}{
			"no descriptors left":              {"00000000000000000001.ndjson", syscall.EMFILE},
			"the one that is being written":    {"00000000000000000005.ndjson.part", errIO},
			"no descriptors for the directory": {"journal", syscall.EMFILE},
			"the directory is away":            {"journal", fs.ErrNotExist},
		}
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					m, broken, failures := memfs.New(), new(memfs.Switch), new(atomic.Int64)
					j := openMem(t, m, Options{SegmentBytes: two})
					write(t, j, "a", "b", "c", "d", "e")
					m.Fault = func(op, name string, size int) (int, error) {
						if broken.IsOn() && (op == "open" || op == "list") && filepath.Base(name) == test.name {
							failures.Add(1)
							return 0, test.err
						}
						return size, nil
					}
					broken.Set(true)
					to := &target{}
					d := deliver(t, j, to, nil)
					time.Sleep(time.Minute)
					require.LessOrEqual(t, failures.Load(), int64(61), "a second apart")
					broken.Set(false)
					write(t, j, "f")
					time.Sleep(time.Minute)
					drain(t, d)
					require.Equal(t, []string{"a", "b", "c", "d", "e", "f"}, to.ids())
					require.Zero(t, d.Stats().Dropped)
					require.NoError(t, d.Stop(t.Context()))
				})
			})
		}
	})
}

// A hidingFS leaves a name out of the first listing that has it.
type hidingFS struct {
	osfs.FS
	mu   sync.Mutex
	hide string
}

func (h *hidingFS) List(dir string) ([]string, error) {
	names, err := h.FS.List(dir)
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := slices.Index(names, h.hide); i >= 0 {
		names, h.hide = slices.Delete(names, i, i+1), ""
	}
	return names, err
}
