package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs/memfs"
)

const (
	seg1  = "00000000000000000001.ndjson"
	part1 = seg1 + ".part"
	seg2  = "00000000000000000002.ndjson"
	seg3  = "00000000000000000003.ndjson"
	seg5  = "00000000000000000005.ndjson"
	seg6  = "00000000000000000006.ndjson"
	part3 = seg3 + ".part"
	part5 = "00000000000000000005.ndjson.part"
)

// leftovers are what a crash, a disk or a person may leave in the directory.
var leftovers = map[string]struct {
	before  map[string]string
	ids     []string // what is read after Open
	after   []string // the files then
	damaged uint64
	next    uint64 // the least number that may come next
}{
	"nothing": {next: 1},
	"an active file without damage is sealed": {
		before: map[string]string{part1: lines(1, 3)},
		ids:    []string{"m1", "m2", "m3"}, after: []string{seg1}, next: 4,
	},
	"an empty active file is removed": {
		before: map[string]string{seg1: lines(1, 2), part3: ""},
		ids:    []string{"m1", "m2"}, after: []string{seg1}, next: 3,
	},
	"a torn tail is kept out": {
		before: map[string]string{part1: lines(1, 2) + lines(3, 1)[:100]},
		ids:    []string{"m1", "m2"}, after: []string{seg1, "quarantine/" + part1}, damaged: 1, next: 4,
	},
	"a last line that lacks its newline is kept out": {
		before: map[string]string{part1: strings.TrimSuffix(lines(1, 2), "\n")},
		ids:    []string{"m1"}, after: []string{seg1, "quarantine/" + part1}, damaged: 1, next: 3,
	},
	"a tail of garbage": {
		before: map[string]string{part1: lines(1, 2) + "\xff\x00garbage\n{}\n\"x\n"},
		ids:    []string{"m1", "m2"}, after: []string{seg1, "quarantine/" + part1}, damaged: 3, next: 4,
	},
	"a tail of zeros": {
		before: map[string]string{part1: lines(1, 2) + strings.Repeat("\x00", 1<<20)},
		ids:    []string{"m1", "m2"}, after: []string{seg1, "quarantine/" + part1}, damaged: 1, next: 1 << 13,
	},
	"good lines after a damaged one are kept": {
		before: map[string]string{part1: lines(1, 1) + strings.Replace(lines(2, 1), "EUR", "USD", 1) + lines(3, 2)},
		ids:    []string{"m1", "m3", "m4"}, after: []string{seg1, "quarantine/" + part1}, damaged: 1, next: 5,
	},
	"a file of nothing but garbage": {
		before: map[string]string{part1: "garbage"},
		after:  []string{"quarantine/" + part1}, damaged: 1, next: 2,
	},
	"an old block that has reappeared": {
		before: map[string]string{part3: lines(3, 2) + lines(1, 2) + lines(5, 1)},
		ids:    []string{"m3", "m4", "m5"}, after: []string{seg3, "quarantine/" + part3}, damaged: 2, next: 6,
	},
	"blank lines are nothing": {
		before: map[string]string{part1: "\n\n" + lines(1, 2) + strings.Repeat("\n", 1000)},
		ids:    []string{"m1", "m2"}, after: []string{seg1}, next: 3,
	},
	"a suspect file is written anew": {
		before: map[string]string{seg1 + ".suspect": lines(1, 2), part3: lines(3, 1)},
		ids:    []string{"m1", "m2", "m3"}, after: []string{seg1, seg3, "quarantine/" + seg1 + ".suspect"}, next: 4,
	},
	"a repair that was cut short after the copy": {
		before: map[string]string{seg1: lines(1, 2), part1: lines(1, 2) + "torn"},
		ids:    []string{"m1", "m2"}, after: []string{seg1, "quarantine/" + part1}, next: 4,
	},
	"a repair that was cut short before": {
		before: map[string]string{part1 + ".tmp": lines(1, 1), part1: lines(1, 2) + "torn"},
		ids:    []string{"m1", "m2"}, after: []string{seg1, "quarantine/" + part1}, damaged: 1, next: 4,
	},
	"a quarantine that has the name already": {
		before: map[string]string{"quarantine/" + part1: "old", part1: "new"},
		after:  []string{"quarantine/" + part1, "quarantine/" + part1 + ".2"}, damaged: 1, next: 2,
	},
	"a sealed file with a damaged end": {
		before: map[string]string{seg1: lines(1, 2) + lines(3, 1)[:100]},
		ids:    []string{"m1", "m2"}, after: []string{seg1}, next: 4,
	},
	"two writers in turn": {
		before: map[string]string{seg1: lines(1, 2), seg2: others(2, 3), seg3: lines(3, 3)},
		ids:    []string{"m1", "m2", "m3", "m4", "m5", "x2", "x3", "x4"},
		after:  []string{seg1, seg3, seg6, "quarantine/" + seg2}, next: 9,
	},
	"two writers, one of them slow": {
		before: map[string]string{seg1: lines(1, 5), seg2: others(2, 1), seg3: others(3, 2)},
		ids:    []string{"m1", "m2", "m3", "m4", "m5", "x2", "x3", "x4"},
		after:  []string{seg1, seg6, "00000000000000000007.ndjson", "quarantine/" + seg2, "quarantine/" + seg3}, next: 9,
	},
	"two writers, damage in both": {
		before: map[string]string{seg1: "x\n" + lines(1, 4) + "damaged", seg3: others(3, 1) + "damaged\n" + others(5, 1) + "\xff"},
		ids:    []string{"m1", "m2", "m3", "m4", "x3", "x5"},
		after:  []string{seg1, "00000000000000000007.ndjson", "quarantine/" + seg3}, next: 8,
	},
	"two writers, the second was killed": {
		before: map[string]string{seg1: lines(1, 4), seg3 + ".part": others(3, 1) + "torn"},
		ids:    []string{"m1", "m2", "m3", "m4", "x3"},
		after:  []string{seg1, seg5, "quarantine/" + seg3, "quarantine/" + seg3 + ".part"}, damaged: 1, next: 6,
	},
	"two writers of one name": {
		before: map[string]string{seg1: lines(1, 2), part1: others(1, 3)},
		ids:    []string{"m1", "m2", "x1", "x2", "x3"},
		after:  []string{seg1, "00000000000000000004.ndjson", "quarantine/" + part1}, next: 7,
	},
	"two writers of one name, both in trouble": {
		before: map[string]string{part1: lines(1, 2), seg1 + ".suspect": others(1, 1)},
		ids:    []string{"m1", "m2", "x1"},
		after:  []string{seg1, seg3, "quarantine/" + seg1 + ".suspect"}, next: 4,
	},
	"the highest number there is": {
		before: map[string]string{seg1: lines(1, 2), "18446744073709551615.ndjson": others(7, 1)},
		ids:    []string{"m1", "m2", "x7"},
		after:  []string{seg1, seg3, "quarantine/18446744073709551615.ndjson"}, next: 4,
	},
	"numbers that cannot be": {
		before: map[string]string{
			"18446744073709551614.ndjson.part": "", "99999999999999999999.ndjson.suspect": "garbage",
			"00009999999999999999.ndjson": lines(1, 1), "00005000000000000001.ndjson": "",
		},
		ids: []string{"m1"},
		after: []string{
			seg1, "quarantine/00005000000000000001.ndjson", "quarantine/00009999999999999999.ndjson",
			"quarantine/18446744073709551614.ndjson.part", "quarantine/99999999999999999999.ndjson.suspect",
		}, next: 2,
	},
	"a line with a number that cannot be": {
		before: map[string]string{part1: lines(1, 1) + string(lineOf(event("x"), maxSeq)) + lines(2, 1)},
		ids:    []string{"m1", "m2"}, after: []string{seg1, "quarantine/" + part1}, damaged: 1, next: 3,
	},
	"damage that looks like a number": {
		before: map[string]string{seg1: lines(1, 1) + strings.Replace(lines(2, 1), `"_seq":"0`, `"_seq":"4`, 1), seg3: lines(3, 2)},
		ids:    []string{"m1", "m3", "m4"}, after: []string{seg1, seg3}, next: 5,
	},
	"files of others": {
		before: map[string]string{"notes.txt": "x", "1.ndjson": "x", "00000000000000000001.json": "x", "copy.tmp": "x"},
		after:  []string{"00000000000000000001.json", "1.ndjson", "copy.tmp", "notes.txt"}, next: 1,
	},
}

// others returns the lines of a second writer, numbered from first on, with ids "x"+number.
func others(first, n int) string {
	var b strings.Builder
	for seq := first; seq < first+n; seq++ {
		b.Write(lineOf(event(fmt.Sprintf("x%d", seq)), uint64(seq)))
	}
	return b.String()
}

func TestRecovery(t *testing.T) {
	t.Parallel()
	for name, test := range leftovers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := memfs.New()
			for file, content := range test.before {
				m.Put(file, content)
			}
			j := openMem(t, m, Options{})
			require.Equal(t, test.damaged, j.Stats().Damaged)
			require.Equal(t, test.ids, stored(t, j))
			require.Equal(t, test.after, names(m))
			write(t, j, "next")
			require.Equal(t, append(slices.Clone(test.ids), "next"), stored(t, j))
			require.GreaterOrEqual(t, j.Stats().LastSeq, test.next)
			require.NoError(t, j.Close(t.Context()))
			again := openMem(t, m.PowerCut(), Options{})
			require.Equal(t, append(slices.Clone(test.ids), "next"), stored(t, again), "and after a power cut")
		})
	}
}

// A recovery may be interrupted after any of its steps, by a kill or a power cut, and is
// repeated by the next Open.
func TestRecoveryInterrupted(t *testing.T) {
	t.Parallel()
	for name, test := range leftovers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for steps := 0; ; steps++ {
				m := memfs.New()
				for file, content := range test.before {
					m.Put(file, content)
				}
				if !cutShort(m, steps) {
					return
				}
				for how, after := range map[string]*memfs.FS{"power cut": m.PowerCut(), "kill": m.Kill()} {
					j := openMem(t, after, Options{})
					require.Equal(t, test.ids, stored(t, j), "%s after %d steps", how, steps)
				}
			}
		})
	}
}

// cutShort opens and closes a journal on m whose operations fail after the given number of
// steps, and reports whether any did.
func cutShort(m *memfs.FS, steps int) (cut bool) {
	m.Fault = func(_, _ string, size int) (int, error) {
		if steps--; steps < 0 {
			cut = true
			return 0, errIO
		}
		return size, nil
	}
	if j, err := Open(memfs.Dir, &Options{fs: m}); err == nil {
		_ = j.Close(context.Background())
	}
	return cut
}

func TestRecoveryRepair(t *testing.T) {
	t.Parallel()
	t.Run("copies before it moves the original", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []string{
			"create " + part1 + ".tmp", "write " + part1 + ".tmp", "sync " + part1 + ".tmp",
			"rename " + part1 + ".tmp", "syncdir journal",
			"rename " + part1, "syncdir quarantine", "syncdir journal",
		}, repairs(t, lines(1, 1)+"damaged\n"+lines(3, 1)))
	})
	t.Run("keeps a damaged end before it is cut off", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []string{
			"create " + part1, "write " + part1, "sync " + part1, "syncdir quarantine",
			"truncate " + part1, "sync " + part1, "rename " + part1, "syncdir journal",
		}, repairs(t, lines(1, 1)+"torn"+strings.Repeat("\n", 1000)))
	})
	t.Run("quarantines what is cut off", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		m.Put(part1, lines(1, 2)+"\n\ntorn\n\n\xff"+strings.Repeat("\n", 1000))
		j := openMem(t, m, Options{})
		require.EqualValues(t, 2, j.Stats().Damaged)
		require.Equal(t, lines(1, 2), m.Content(seg1))
		require.Equal(t, "\n\ntorn\n\n\xff\n", m.Content("quarantine/"+part1))
	})
	t.Run("damaged newline costs no event", func(t *testing.T) {
		t.Parallel()
		damage := func(line string) string { return strings.TrimSuffix(line, "\n") + "\x0b" }
		m := memfs.New()
		m.Put(seg1, lines(1, 1)+damage(lines(2, 1))+lines(3, 1)+damage(lines(4, 1)))
		m.Put(part5, damage(lines(5, 1))+lines(6, 1))
		j := openMem(t, m, Options{})
		require.EqualValues(t, 1, j.Stats().Damaged)
		require.Equal(t, lines(5, 2), m.Content(strings.TrimSuffix(part5, ".part")))
		require.Equal(t, []string{"m1", "m2", "m3", "m4", "m5", "m6"}, stored(t, j))
	})
	t.Run("event that contains a line", func(t *testing.T) {
		t.Parallel()
		e := event("m1")
		e.Extra = []byte(`{"x":` + strings.TrimSuffix(lines(7, 1), "\n") + `}`)
		line := strings.Replace(string(lineOf(e, 1)), "EUR", "USD", 1)
		require.Zero(t, lineWithin([]byte(line)))
		m := memfs.New()
		m.Put(part1, line+lines(2, 1))
		require.Equal(t, []string{"m2"}, stored(t, openMem(t, m, Options{})))
	})
	t.Run("sealed file survives a power cut", func(t *testing.T) {
		t.Parallel()
		m := memfs.New()
		j := openMem(t, m, Options{Sync: SyncNever})
		write(t, j, "a", "b")
		killed := m.Kill()
		again := openMem(t, killed, Options{})
		require.Equal(t, []string{"a", "b"}, stored(t, again), "the system still has what was not flushed")
		require.Equal(t, []string{"a", "b"}, stored(t, openMem(t, killed.PowerCut(), Options{})), "now it may be relied upon")
	})
	t.Run("reads only the end of the newest file", func(t *testing.T) {
		t.Parallel()
		content := lines(1, 1000)
		r := recovery{dir: memfs.Dir, fs: memfs.New()}
		r.fs.(*memfs.FS).Put(seg1, content)
		s, err := r.scanFrom(entry{1, extSealed}, nil, maxTailBytes)
		require.NoError(t, err)
		require.EqualValues(t, maxTailBytes, s.offset)
		require.NoError(t, r.readNewest([]entry{{1, extSealed}}))
		require.EqualValues(t, 1000, r.last)

		r.fs.(*memfs.FS).Put(seg1, content+strings.Repeat("x", 2*maxTailBytes))
		require.NoError(t, r.readNewest([]entry{{1, extSealed}}))
		require.Greater(t, r.last, uint64(1000), "a damaged end has the whole file read")
	})
}

// repairs returns the operations of Open on an active file with the content.
func repairs(t *testing.T, content string) []string {
	t.Helper()
	m := memfs.New()
	m.Put(part1, content)
	openMem(t, m, Options{})
	ops := slices.DeleteFunc(ops(m), func(op string) bool {
		return strings.HasPrefix(op, "list") || strings.HasPrefix(op, "open")
	})
	require.Equal(t, []string{
		"create 00000000000000000000.ndjson.part.tmp", "remove 00000000000000000000.ndjson.part.tmp",
	}, ops[:2])
	return ops[2:]
}

func TestRecoverySpeed(t *testing.T) {
	if testing.Short() || testkit.Race {
		t.Skip("writes 64 MiB")
	}
	dir := t.TempDir()
	content := lines(1, 1<<26/len(lines(1, 1)))
	require.NoError(t, os.WriteFile(filepath.Join(dir, part1), []byte(content+"torn"), 0o600))
	start := time.Now()
	j := openTest(t, dir, nil)
	took := time.Since(start)
	t.Logf("%d lines in %v", j.Stats().LastSeq, took)
	require.Less(t, took, 30*time.Second, "a hundred times the goal: beyond any busy machine's")
}
