//go:build torture && linux

package torture

import (
	"bytes"
	crand "crypto/rand"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// tails are what may follow the lines of an active file.
var tails = map[string]func(r *rand.Rand, content []byte) []byte{
	"torn":    torn,
	"garbage": func(r *rand.Rand, content []byte) []byte { return append(content, noise(1+r.IntN(8192))...) },
	"zeros":   func(r *rand.Rand, content []byte) []byte { return append(content, make([]byte, 1+r.IntN(1<<20))...) },
	"a block that was never written": func(r *rand.Rand, content []byte) []byte {
		at := (len(content)/2 + r.IntN(len(content)/4)) &^ 511
		copy(content[at:at+512], bytes.Repeat([]byte{'\n'}, 512))
		return content
	},
}

// torn cuts within a line.
func torn(r *rand.Rand, content []byte) []byte {
	return bytes.TrimSuffix(content[:len(content)-1-r.IntN(min(4096, len(content)-1))], []byte{'\n'})
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = crand.Read(b) // never fails
	return b
}

// TestDamagedTail damages the end of the file that a kill left, and opens it.
func TestDamagedTail(t *testing.T) {
	for form, ahead := range forms {
		for kind, damage := range tails {
			t.Run(form+" "+kind, func(t *testing.T) {
				r, dir, o := random(t), t.TempDir(), newOracle()
				fillAndKill(t, dir, o, ahead)
				hit := damageActive(t, r, dir, damage)
				for id := range hit {
					delete(o.must, id)
				}
				v := o.requireKept(t, dir)
				require.NotZero(t, v.damaged)
				t.Logf("%d lines hit; %v", len(hit), v)
			})
		}
	}
}

// damageActive damages the active file where its lines end, and returns the ids
// of those that the damage destroyed.
func damageActive(t *testing.T, r *rand.Rand, dir string, damage func(*rand.Rand, []byte) []byte) map[string]bool {
	t.Helper()
	name := activeFile(t, dir)
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	written := min(len(bytes.TrimRight(content, "\n"))+1, len(content))
	damaged := damage(r, bytes.Clone(content[:written]))
	hit, after := ids(content), ids(damaged)
	maps.DeleteFunc(hit, func(id string, _ bool) bool { return after[id] })
	require.NoError(t, os.WriteFile(name, append(damaged, content[written:]...), 0o600))
	return hit
}

// ids returns the ids of the undamaged lines.
func ids(content []byte) map[string]bool {
	found := map[string]bool{}
	for line := range bytes.Lines(content) {
		if id, ok := readLine(line); ok {
			found[id] = true
		}
	}
	return found
}

// fillAndKill leaves some thousand events in dir, the last of them in an active
// file, all known to o. A kill that comes soon after a segment was sealed leaves
// little or nothing there, and is followed by another.
func fillAndKill(t *testing.T, dir string, o *oracle, ahead bool) {
	t.Helper()
	const enough, attempts = 16 << 10, 20
	for i := 0; activeBytes(t, dir) < enough; i++ {
		require.Less(t, i, attempts, "no kill leaves an active file")
		do := crashTask(dir, fmt.Sprintf("d%d", i), ahead)
		do.Writers, do.SegmentBytes = 16, 1<<20
		c := start(t, do, 2)
		c.awaitAcks(t, 1500)
		c.kill()
		o.add(c)
	}
}

// activeBytes returns how many bytes of lines are in the active file, if there is one.
func activeBytes(t *testing.T, dir string) int {
	t.Helper()
	name, found := findActive(t, dir)
	if !found {
		return 0
	}
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	return len(bytes.TrimRight(content, "\n"))
}

// activeFile returns the file that a killed process was writing.
func activeFile(t *testing.T, dir string) string {
	t.Helper()
	name, found := findActive(t, dir)
	require.True(t, found)
	return name
}

// findActive is activeFile where there may be none: while one is sealed and the
// next is made.
func findActive(t *testing.T, dir string) (name string, found bool) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.part"))
	require.NoError(t, err)
	if len(names) != 1 {
		return "", false
	}
	return names[0], true
}

// TestBitFlips flips single bits, in sealed and active files, every fourth
// of them in a newline, and opens what is left.
func TestBitFlips(t *testing.T) {
	for form, ahead := range forms {
		t.Run(form, func(t *testing.T) {
			r, dir, o := random(t), t.TempDir(), newOracle()
			fillAndKill(t, dir, o, ahead)
			lost := 0
			for i := range *flips / 2 {
				damaged := filepath.Join(t.TempDir(), "journal")
				require.NoError(t, os.CopyFS(damaged, os.DirFS(dir)))
				name, at, bit := flip(t, r, damaged, i%4 == 0)
				v := o.judge(t, damaged)
				require.LessOrEqual(t, v.lost, 1, "bit %d of byte %d of %s: %v", bit, at, name, v)
				lost += v.lost
				require.NoError(t, os.RemoveAll(damaged))
			}
			t.Logf("%d flips, %d events lost, at most 1 each", *flips/2, lost)
		})
	}
}

// flip flips a bit of some line in some file of dir.
func flip(t *testing.T, r *rand.Rand, dir string, newline bool) (name string, at, bit int) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.ndjson*"))
	require.NoError(t, err)
	for len(names) > 0 {
		name = names[r.IntN(len(names))]
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		lines := bytes.TrimRight(content, "\n")
		if len(lines) == 0 {
			continue // it is filled ahead
		}
		at, bit = r.IntN(len(lines)), r.IntN(8)
		if newline {
			at += bytes.IndexByte(content[at:], '\n')
		}
		content[at] ^= 1 << bit
		require.NoError(t, os.WriteFile(name, content, 0o600))
		return name, at, bit
	}
	return
}

// accidents are what an operator or logrotate may do to the file that is being
// written.
var accidents = map[string]struct {
	do    func(name string) error
	spare bool // the lines are still there, in a file of another name
}{
	"deleted":   {do: os.Remove},
	"truncated": {do: func(name string) error { return os.Truncate(name, 0) }},
	"renamed":   {do: func(name string) error { return os.Rename(name, name+".1") }, spare: true},
}

func TestActiveFileGone(t *testing.T) {
	for form, ahead := range forms {
		for accident, a := range accidents {
			t.Run(form+" "+accident, func(t *testing.T) { takeAway(t, ahead, a.do, a.spare) })
		}
	}
}

// takeAway has such an accident happen to the active file. What is acknowledged after it was
// noticed must stay; at most one group may be acknowledged before.
func takeAway(t *testing.T, ahead bool, accident func(string) error, spare bool) {
	dir := t.TempDir()
	do := crashTask(dir, "l", ahead)
	do.Writers, do.Batch, do.SegmentBytes = 8, 1, 64<<20
	c := start(t, do, 2)
	if ahead {
		c.await(t, patience, "write into a file that was filled ahead", func() bool {
			return activeLength(t, dir) == do.SegmentBytes
		})
	}
	c.awaitAcks(t, 2000)
	name := activeFile(t, dir)
	require.NoError(t, accident(name))
	at := time.Now()
	c.await(t, 10*time.Second, "notice", func() bool { return len(c.failures) > 0 })
	c.awaitAcks(t, 2000)
	c.kill()
	noticed := c.failures[0]
	require.Contains(t, noticed.text, "deleted, moved or truncated")

	blind := newOracle().addIf(c, func(a ack) bool { return a.at.After(at) && a.at.Before(noticed.at) })
	require.LessOrEqual(t, blind, 2*do.Writers, "acknowledged before it was noticed")
	after, all := newOracle(), newOracle()
	after.addIf(c, sinceThen(noticed.at))
	v := after.requireKept(t, dir)
	if all.add(c); spare {
		requireAll(t, all, dir, name)
	}
	t.Logf("noticed after %v, %d acknowledged meanwhile; after it: %v", noticed.at.Sub(at).Round(10*time.Microsecond), blind, v)
}

// activeLength returns the length of the active file, or 0 while there is none.
func activeLength(t *testing.T, dir string) int64 {
	t.Helper()
	name, found := findActive(t, dir)
	if !found {
		return 0
	}
	info, err := os.Stat(name)
	if err != nil {
		return 0 // sealed meanwhile
	}
	return info.Size()
}

// sinceThen returns a function that reports for each acknowledgement, in order, whether its
// write began after a time. The first that a writer reports after it need not be one: a
// writer may report a failure before another reports that its write in the group before was
// acknowledged.
func sinceThen(at time.Time) func(ack) bool {
	reported := map[string]bool{}
	return func(a ack) bool {
		if !a.at.After(at) {
			return false
		}
		writer := a.prefix[:strings.LastIndexByte(a.prefix, '-')]
		again := reported[writer]
		reported[writer] = true
		return again
	}
}

// requireAll requires that everything acknowledged is in the journal's files or in the one
// that was renamed.
func requireAll(t *testing.T, o *oracle, dir, renamed string) {
	t.Helper()
	content, err := os.ReadFile(renamed + ".1")
	require.NoError(t, err)
	found := ids(content)
	maps.Copy(found, readFiles(t, dir))
	require.Zero(t, missing(found, o.must))
}

// cursorDamages are what may have become of the file of a cursor between two
// runs, given its content and that of an older copy.
var cursorDamages = []struct {
	kind string
	do   func(name string, content, older []byte) error
}{
	{"noise", func(name string, content, _ []byte) error { return os.WriteFile(name, noise(len(content)), 0o600) }},
	{"empty", func(name string, _, _ []byte) error { return os.Truncate(name, 0) }},
	{"cut", func(name string, content, _ []byte) error { return os.Truncate(name, int64(len(content)/2)) }},
	{"older", func(name string, _, older []byte) error { return os.WriteFile(name, older, 0o600) }},
	{"another number", func(name string, content, _ []byte) error {
		content[len(`{"seq":"000000`)]++
		return os.WriteFile(name, content, 0o600)
	}},
	{"deleted", func(name string, _, _ []byte) error { return os.Remove(name) }},
}

// A cursor is a hint: if it is damaged the destination gets events again, and loses none,
// although it is behind and segments are removed all the time.
func TestDamagedCursor(t *testing.T) {
	x := newRoute(t, t.TempDir(), calmTask(destination{Name: "store", Slow: 60 * time.Millisecond}))
	x.SegmentBytes, x.RetainBytes = 32<<10, 256<<10
	cursor := filepath.Join(x.Dir, "cursors", "store")
	var older []byte
	for _, damage := range cursorDamages {
		c := x.start(t, 2)
		c.awaitAcks(t, 400)
		c.awaitReport(t, "store", "be behind", func(r report) bool { return r.Behind > 2*maxEvents && r.Delivered > 2*maxEvents })
		c.kill()
		x.hear(c)
		before := len(x.taken(t, x.Destinations[0]))
		content, err := os.ReadFile(cursor)
		require.NoError(t, err)
		if older == nil {
			older = bytes.Clone(content)
		}
		require.NoError(t, damage.do(cursor, content, older))
		x.requireNothingLost(t)
		t.Logf("%s: %d events again", damage.kind, len(x.taken(t, x.Destinations[0]))-before)
	}
	require.NotZero(t, x.archive.gone())
	t.Log(x)
}
