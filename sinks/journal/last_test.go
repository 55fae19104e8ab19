package journal

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// archiveSealed moves all sealed files to an archive, where none may replace another.
func archiveSealed(t *testing.T, m *memfs.FS, dir string, archive map[string]string) {
	t.Helper()
	for _, name := range m.Names() {
		base, ok := strings.CutPrefix(name, dir)
		if e, segment := parseName(base); ok && segment && e.ext == extSealed {
			content := m.Content(name)
			if old, ok := archive[name]; ok { // a repair that was interrupted and repeated
				require.Equal(t, old, content, "a file of the archive would be overwritten")
			}
			archive[name] = content
			require.NoError(t, m.Remove(memfs.Dir+"/"+name))
		}
	}
	require.NoError(t, m.SyncDir(memfs.Dir))
}

func TestLast(t *testing.T) {
	t.Parallel()
	t.Run("numbers and names go on after all files are gone", func(t *testing.T) {
		t.Parallel()
		m, archive := memfs.New(), map[string]string{}
		last := uint64(0)
		for i := range 5 {
			j := openMem(t, m, Options{SegmentBytes: 1})
			write(t, j, fmt.Sprint(i, "a"), fmt.Sprint(i, "b"))
			require.Greater(t, j.Stats().LastSeq, last)
			last = j.Stats().LastSeq
			closeNow(t, j)
			archiveSealed(t, m, "", archive)
		}
		require.Len(t, archive, 10)
		require.EqualValues(t, 10, last)
	})
	t.Run("after a power cut at any call", func(t *testing.T) {
		t.Parallel()
		for _, start := range []string{"empty", "a crash left an active file", "a crash left a damaged file", "an earlier version's"} {
			for calls := 0; ; calls++ {
				m, archive := memfs.New(), map[string]string{}
				switch start {
				case "a crash left an active file":
					m.Put(part1, lines(1, 3))
				case "a crash left a damaged file":
					m.Put(part1, lines(1, 1)+"damaged\n"+lines(3, 1))
				case "an earlier version's":
					m.Put(seg1, lines(1, 3))
				}
				var cut *memfs.FS
				n := 0
				m.Fault = func(_, _ string, size int) (int, error) {
					if n++; n == calls+1 {
						cut = m.PowerCut()
					}
					return size, nil
				}
				openWriteClose(t, m)
				if cut == nil {
					break
				}
				if start == "an earlier version's" && !slices.Contains(cut.Names(), lastName) {
					continue // it was not opened by this version
				}
				archiveSealed(t, cut, "", archive)
				used := uint64(0) // the highest number that an archived file has
				for name, content := range archive {
					e, _ := parseName(name)
					s := newScanner(strings.NewReader(content), e.first)
					for s.next() == nil {
						used = max(used, s.last)
					}
				}
				j := openMem(t, cut, Options{})
				write(t, j, "next")
				require.Greater(t, j.Stats().LastSeq, used, "%s, %d calls", start, calls)
				closeNow(t, j)
				archiveSealed(t, cut, "", archive)
			}
		}
	})
	t.Run("a directory of an earlier version", func(t *testing.T) {
		t.Parallel()
		m, archive := memfs.New(), map[string]string{}
		m.Put(seg1, lines(1, 3))
		j := openMem(t, m, Options{})
		closeNow(t, j)
		archiveSealed(t, m, "", archive)
		j = openMem(t, m, Options{})
		write(t, j, "next")
		require.EqualValues(t, 4, j.Stats().LastSeq)
	})
	t.Run("a deleted directory begins anew", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		write(t, openMem(t, m, Options{}), "a", "b")
		j := openMem(t, memfs.New(), Options{})
		write(t, j, "c")
		require.EqualValues(t, 1, j.Stats().LastSeq)
	})
	t.Run("a copy that is older than the archive goes on where an empty file says", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		m.Put(seg1, lines(1, 3))
		m.Put(entry{5001, extActive}.name(), "")
		j := openMem(t, m, Options{})
		require.NotContains(t, m.Names(), entry{5001, extActive}.name())
		write(t, j, "next")
		require.EqualValues(t, 5001, j.Stats().LastSeq)
	})
	t.Run("a damaged file", func(t *testing.T) {
		t.Parallel()
		good := `{"last":"0000000000000123","sealed":"0000000000000120"`
		for content, want := range map[string]uint64{
			"":                                 4,
			"garbage":                          4,
			good:                               4,
			string(withChecksum([]byte(good))): 124,
			strings.Replace(string(withChecksum([]byte(good))), "12", "13", 1):                         4,
			string(withChecksum([]byte(`{"last":"0000000000000002","sealed":"0000000000000000"`))):     4,
			string(withChecksum([]byte(`{"last":"9000000000000000","sealed":"0000000000000000"`))):     4,
			string(withChecksum([]byte(`{"last":"99999999999999999999","sealed":"0000000000000000"`))): 4,
			string(withChecksum([]byte(`{"last":"-1","sealed":"0000000000000000"`))):                   4,
		} {
			m := memfs.New()
			m.Put(seg1, lines(1, 3))
			m.Put(lastName, content)
			j := openMem(t, m, Options{})
			write(t, j, "next")
			require.Equal(t, want, j.Stats().LastSeq, content)
			closeNow(t, j)
			require.Equal(t, string(lastNumbers{want, want}.encode()), m.Content(lastName))
		}
	})
	t.Run("something else has the name", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		m.PutSpecial(lastName)
		j := openMem(t, m, Options{})
		write(t, j, "a")
		closeNow(t, j)
		require.Contains(t, m.Names(), lastName)
		require.Contains(t, m.Names(), "quarantine/"+lastName)
	})
	t.Run("it cannot be written", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		m.Fault = func(op, name string, size int) (int, error) {
			if op == "create" && strings.HasSuffix(name, lastName+extTemporary) {
				return 0, fs.ErrPermission
			}
			return size, nil
		}
		j := openMem(t, m, Options{SegmentBytes: 1})
		write(t, j, "a", "b")
		closeNow(t, j)
		require.Equal(t, []string{"a", "b"}, stored(t, openMem(t, m, Options{})), "the events do not depend on it")
	})
	t.Run("what is gone is reported to those who wait for it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, Options{})
			d := deliver(t, j, &target{answer: down}, nil)
			write(t, j, "a", "b", "c")
			require.NoError(t, d.Stop(t.Context()))
			closeNow(t, j)
			archiveSealed(t, m, "", map[string]string{})
			j, to := openMem(t, m, Options{}), new(target)
			write(t, j, "d")
			d = deliver(t, j, to, nil)
			drain(t, d)
			require.Equal(t, []string{"d"}, to.ids())
			require.EqualValues(t, 3, d.Stats().Dropped)
			require.NoError(t, d.Stop(t.Context()))
		})
	})
	t.Run("quarantine", func(t *testing.T) {
		t.Parallel()
		m, archive := memfs.New(), map[string]bool{}
		for range 3 {
			j := openMem(t, m, Options{})
			write(t, j, "a")
			cut := m.Kill()
			closeNow(t, j)
			for _, name := range cut.Names() {
				if e, ok := parseName(name); ok && e.ext == extActive {
					cut.Put(name, "damaged: "+name)
				}
			}
			m = cut
			closeNow(t, openMem(t, m, Options{}))
			for _, name := range m.Names() {
				if strings.HasPrefix(name, "quarantine/") {
					require.False(t, archive[name], "a file of the archive would be overwritten")
					archive[name] = true
					require.NoError(t, m.Remove(memfs.Dir+"/"+name))
				}
			}
		}
		require.Len(t, archive, 3)
	})
	t.Run("dead letters", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, archive := memfs.New(), map[string]string{}
			for i := range 3 {
				j := openMem(t, m, Options{})
				d := deliver(t, j, &target{answer: everything}, nil)
				write(t, j, fmt.Sprint(i))
				drain(t, d)
				closeNow(t, j)
				archiveSealed(t, m, "dead/d/", archive)
			}
			require.Len(t, archive, 3)
		})
	})
}

// openWriteClose has a journal seal several files.
func openWriteClose(t *testing.T, m *memfs.FS) {
	t.Helper()
	j, err := Open(memfs.Dir, &Options{SegmentBytes: 1, fs: m})
	require.NoError(t, err)
	write(t, j, "a", "b")
	closeNow(t, j)
}
