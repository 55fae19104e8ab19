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

	"github.com/stretchr/testify/require"
)

// tails are what may stand where the lines of an active file end.
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

// TestTails damages the end of the file that a kill left, and opens it.
func TestTails(t *testing.T) {
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
// of those that the damage itself took.
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

// ids returns those of the lines that are unharmed.
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

// TestBitFlips flips one bit at a time, in sealed and active files, every fourth
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
