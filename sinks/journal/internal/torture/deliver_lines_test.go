//go:build torture && linux

package torture

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A line is an event as a plain reader finds it.
type line struct {
	id   string
	size int
}

// readLines returns the good lines of files, in order.
func readLines(t *testing.T, names []string) (lines []line) {
	t.Helper()
	for _, name := range names {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		for l := range bytes.Lines(content) {
			if id, ok := readLine(l); ok {
				lines = append(lines, line{id, len(l)})
			}
		}
	}
	return lines
}

func idsOf(lines []line) map[string]bool {
	found := map[string]bool{}
	for _, l := range lines {
		found[l.id] = true
	}
	return found
}

func union(sets ...map[string]bool) map[string]bool {
	all := map[string]bool{}
	for _, s := range sets {
		maps.Copy(all, s)
	}
	return all
}

// segmentFiles returns the segments in dir, in the order of their events.
func segmentFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.ndjson*"))
	require.NoError(t, err)
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, ".tmp") })
}
