package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// write writes a file, and creates its directory.
func write(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}

// onlyLine returns the line of a closed journal with one event.
func (s *site) onlyLine(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "00000000000000000001.ndjson"))
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(text), "\n"))
	return strings.TrimSpace(string(text))
}

func TestSegments(t *testing.T) {
	t.Parallel()
	const one, two, three = "00000000000000000001", "00000000000000000002", "00000000000000000003"
	for name, c := range map[string]struct{ files, want []string }{
		"none":                      {},
		"the newest first":          {[]string{one + ".ndjson", two + ".ndjson", three + ".ndjson.part"}, []string{three + ".ndjson.part", two + ".ndjson", one + ".ndjson"}},
		"a file that was set aside": {[]string{one + ".ndjson.suspect"}, []string{one + ".ndjson.suspect"}},
		"the last of several names": {[]string{one + ".ndjson", one + ".ndjson.part", two + ".ndjson.part", two + ".ndjson.suspect"}, []string{two + ".ndjson.suspect", one + ".ndjson"}},
		"no files without events":   {[]string{one + ".ndjson.tmp", "LOCK", "write-key", "quarantine/" + one + ".ndjson"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, file := range c.files {
				write(t, filepath.Join(dir, file), "")
			}
			files, err := segments(dir)
			require.NoError(t, err)
			var names []string
			for _, file := range files {
				require.True(t, filepath.IsAbs(file))
				names = append(names, filepath.Base(file))
			}
			require.Equal(t, c.want, names)
		})
	}
	t.Run("a directory that does not exist", func(t *testing.T) {
		t.Parallel()
		_, err := segments(filepath.Join(t.TempDir(), "nowhere"))
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}

// A name of a directory is not treated as a pattern. Each of these, if it were one, would match
// other directories of the test.
func TestCountDirName(t *testing.T) {
	t.Parallel()
	db, parent := duckDB(t), t.TempDir()
	line := `{"type":"track","event":"E","receivedAt":"2020-01-01T00:00:00Z"}` + "\n"
	write(t, filepath.Join(parent, "axb", "00000000000000000001.ndjson"), strings.Repeat(line, 100))
	for _, name := range []string{
		"a b", "a'b", `a"b`, "a*b", "a?b", "a[x]b", "a[!y]b", "a[b", "a]b", "**", "*", "?", "a{b,c}", `a\b`, "~", "-", "$HOME", "%41", "a\nb", "a,b",
		"'); DROP TABLE events; --", "日本語 🛒",
	} {
		dir := filepath.Join(parent, name)
		write(t, filepath.Join(dir, "00000000000000000001.ndjson"), line)
		rows, err := count(t.Context(), db, dir)
		require.NoError(t, err, "%q", name)
		require.Equal(t, map[string]int64{"E": 1}, byName(rows), "%q", name)
	}
}

func TestGone(t *testing.T) {
	t.Parallel()
	db, s := duckDB(t), newSite(t, nil)
	require.Equal(t, http.StatusOK, s.track(`1`, "E"))
	files, err := segments(s.dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.False(t, gone(files[0]))
	s.close(t) // seals it
	_, err = query(t.Context(), db, countsSQL, literal(files))
	require.Error(t, err)
	require.True(t, gone(files[0]))
}

func TestCountUnreadable(t *testing.T) {
	t.Parallel()
	db, dir := duckDB(t), t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "00000000000000000001.ndjson")))
	_, err := count(t.Context(), db, dir)
	require.ErrorContains(t, err, "00000000000000000001.ndjson")
}
