package journal

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

// aheadOptions returns options for small segments that are written ahead.
func aheadOptions() Options { return Options{WriteAhead: true, SegmentBytes: 4 << 10} }

func TestWriteAhead(t *testing.T) {
	t.Parallel()
	t.Run("blank lines follow the events", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, aheadOptions())
			synctest.Wait() // it is filled
			require.Equal(t, []string{aheadName}, names(m))
			ops(m)
			write(t, j, "a")
			synctest.Wait()
			require.Equal(t, []string{
				"create " + part1, "rename " + aheadName, "overwrite " + part1, "syncdir journal",
			}, ops(m)[:4], "a durable name before anything is acknowledged")
			require.Equal(t, []string{aheadName, part1}, names(m), "the next one is filled")
			content := m.Content(part1)
			require.Len(t, content, 4<<10)
			require.Equal(t, string(lineOf(event("a"), 1)), strings.TrimRight(content, "\n")+"\n", "blank lines follow")
			write(t, j, "b")
			require.Equal(t, []string{"a", "b"}, stored(t, j))
			require.NoError(t, j.Close(t.Context()))
			require.Equal(t, []string{seg1}, names(m))
			require.Equal(t, string(lineOf(event("a"), 1))+string(lineOf(event("b"), 2)), m.Content(seg1), "trimmed")
		})
	})
	t.Run("trimmed durably before the seal", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			j := openMem(t, m, aheadOptions())
			synctest.Wait()
			write(t, j, "a")
			synctest.Wait()
			ops(m)
			require.NoError(t, j.Close(t.Context()))
			require.Equal(t, []string{
				"truncate " + part1, "sync " + part1, "rename " + part1, "syncdir journal", "remove " + aheadName,
			}, ops(m))
		})
	})
	t.Run("writers do not wait for it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, filled := memfs.New(), make(chan struct{})
			m.Fault = func(op, name string, size int) (int, error) {
				if op == "write" && strings.HasSuffix(name, extTemporary) {
					<-filled
				}
				return size, nil
			}
			j := openMem(t, m, aheadOptions())
			write(t, j, "a", "b")
			require.NotContains(t, m.Content(part1), "\n\n")
			close(filled)
			synctest.Wait()
			write(t, j, "c")
			synctest.Wait()
			require.Equal(t, []string{seg1, part3}, names(m)[1:], "the file ahead is used as soon as it is there")
			require.Contains(t, m.Content(part3), "\n\n")
			require.Equal(t, []string{"a", "b", "c"}, stored(t, j))
		})
	})
	t.Run("needs free space", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			o := aheadOptions()
			o.LowWater = 1 << 20
			m.SetFree(1<<20 + 2*o.SegmentBytes - 1)
			j := openMem(t, m, o)
			write(t, j, "a")
			synctest.Wait()
			require.Equal(t, []string{part1}, names(m))
			m.SetFree(1<<20 + 2*o.SegmentBytes)
			write(t, j, events("b", 8)[7].MessageID)
			for i := range 10 {
				write(t, j, fmt.Sprintf("c%d", i))
			}
			synctest.Wait()
			require.Contains(t, names(m), aheadName, "the next segment looks again")
		})
	})
	t.Run("failed write leaves no blank lines", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m, full := memfs.New(), new(memfs.Switch)
			j := openMem(t, m, Options{WriteAhead: true, SegmentBytes: 1 << 20})
			synctest.Wait()
			m.Fault = memfs.Failing("write", errNoSpace, full)
			write(t, j, "a")
			synctest.Wait()
			full.Set(true)
			require.ErrorIs(t, writeOne(t, j, "refused"), ErrStorageFull)
			require.Equal(t, string(lineOf(event("a"), 1)), m.Content(part1), "cut, and appended to from now on")
			full.Set(false)
			time.Sleep(time.Second)
			write(t, j, "b")
			require.Equal(t, []string{"a", "b"}, stored(t, j))
		})
	})
	t.Run("Close stops it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := memfs.New()
			var blocks atomic.Int32
			m.Fault = func(op, _ string, size int) (int, error) {
				if op == "write" {
					blocks.Add(1)
					time.Sleep(time.Second)
				}
				return size, nil
			}
			j := openMem(t, m, Options{WriteAhead: true})
			synctest.Wait()
			require.NoError(t, j.Close(t.Context()))
			require.EqualValues(t, 1, blocks.Load())
			require.Empty(t, names(m))
		})
	})
}

func TestWriteAheadFails(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"write", "sync", "create", "rename", "overwrite"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, calls := memfs.New(), 0
				m.Fault = func(got, name string, size int) (int, error) {
					if got == op && (strings.HasSuffix(name, aheadName) || op == "overwrite") {
						if calls++; calls == 1 {
							return 0, errIO
						}
					}
					return size, nil
				}
				j := openMem(t, m, aheadOptions())
				synctest.Wait()
				_ = writeOne(t, j, "may fail")
				time.Sleep(time.Second)
				for i := range 20 {
					write(t, j, fmt.Sprintf("b%d", i))
				}
				synctest.Wait()
				require.Subset(t, stored(t, j), []string{"b0", "b19"})
				require.Contains(t, names(m), aheadName, "it is tried again")
			})
		})
	}
}

func TestWriteAheadRecovery(t *testing.T) {
	t.Parallel()
	blank := strings.Repeat("\n", 100_000)
	for name, test := range map[string]struct {
		content string
		ids     []string
		sealed  string
	}{
		"unused":             {content: blank},
		"clean":              {lines(1, 2) + blank, []string{"m1", "m2"}, lines(1, 2)},
		"torn":               {lines(1, 2) + lines(3, 1)[:100] + blank, []string{"m1", "m2"}, lines(1, 2)},
		"a hole in the last": {lines(1, 1) + lines(2, 1)[:50] + blank[:512] + lines(3, 1)[20:] + lines(4, 1) + blank, []string{"m1", "m4"}, lines(1, 1) + lines(4, 1)},
		"to the last byte":   {lines(1, 2), []string{"m1", "m2"}, lines(1, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := memfs.New()
			m.Put(part1, test.content)
			m.Put(aheadName, blank)
			j := openMem(t, m, Options{})
			require.Equal(t, test.ids, stored(t, j))
			require.NotContains(t, names(m), aheadName)
			if test.sealed != "" {
				require.Equal(t, test.sealed, m.Content(seg1))
			}
		})
	}
}

func TestWriteAheadReaders(t *testing.T) {
	t.Parallel()
	// Readers of JSON lines ignore blank lines.
	t.Run("jq", func(t *testing.T) {
		t.Parallel()
		if _, err := exec.LookPath("jq"); err != nil {
			t.Skip("jq is not installed")
		}
		dir := t.TempDir()
		j := openTest(t, dir, &Options{WriteAhead: true, SegmentBytes: 1 << 20})
		var name string
		require.Eventually(t, func() bool { // the first may be appended to
			write(t, j, "a", "b")
			list, err := filepath.Glob(filepath.Join(dir, "*.part"))
			require.NoError(t, err)
			name = list[0]
			content, err := os.ReadFile(name)
			require.NoError(t, err)
			return bytes.HasSuffix(content, []byte("\n\n"))
		}, time.Minute, time.Millisecond)
		write(t, j, "c", "d")
		out, err := exec.Command("jq", "-r", ".messageId", name).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.True(t, strings.HasSuffix(string(out), "b\nc\nd\n"), "%s", out)
	})
	t.Run("blank lines are skipped fast", func(t *testing.T) {
		t.Parallel()
		s := newScanner(bytes.NewReader(append(bytes.Repeat([]byte{'\n'}, 8<<20), lines(1, 1)...)), 1)
		start := time.Now()
		require.NoError(t, s.next())
		require.Less(t, time.Since(start), 10*time.Second, "each is looked at once, not once per line")
		require.True(t, s.good)
		require.EqualValues(t, 8<<20+len(lines(1, 1)), s.offset)
	})
}
