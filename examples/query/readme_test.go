package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks/journal"
)

// The commands in the README give the same counts as the program, for a journal that is open and
// whose last line is incomplete.
func TestReadme(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*journal.Options{"appended to": nil, "written ahead": {WriteAhead: true, SegmentBytes: 4 << 20}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, s := duckDB(t), newSite(t, o)
			s.sendHostile(t, 120) // an older jq skips deeper events
			write(t, s.dir+"/00000000000000009999.ndjson.part", `{"type":"track","event":"torn","receivedAt":"2020-`)
			want, err := count(t.Context(), db, s.dir)
			require.NoError(t, err)
			require.Equal(t, tracks(want), byName(countWithShell(t, s.dir)), "jq")
			sql := shell(t, s.dir, `duckdb() { printf %s "$2"; }; `+block(t, "duckdb "))
			counted, err := query(t.Context(), db, sql)
			require.NoError(t, err)
			require.Equal(t, tracks(want), byName(counted), "DuckDB")
		})
	}
}

// tracks removes the counts of the other calls that sendHostile makes.
func tracks(rows []row) map[string]int64 {
	n := byName(rows)
	delete(n, "page")
	delete(n, "identify")
	return n
}

// block returns the block of the README that begins so.
func block(t *testing.T, begin string) string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(readme), "\n```sh\n"+begin)
	require.True(t, found)
	text, _, _ = strings.Cut(text, "\n```\n")
	return begin + text
}

// shell runs a script with the directory in DIR, and returns what it prints.
func shell(t *testing.T, dir, script string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), "DIR="+dir)
	out, err := cmd.Output()
	require.NoError(t, err)
	return string(out)
}

// countWithShell runs the command in the README for jq.
func countWithShell(t *testing.T, dir string) (rows []row) {
	t.Helper()
	if _, err := exec.LookPath("jq"); err != nil {
		missing(t, "jq is not installed")
	}
	for line := range strings.Lines(shell(t, dir, block(t, "grep "))) {
		var n int64
		var minuteAndEvent [2]string
		d := json.NewDecoder(strings.NewReader(line))
		require.NoError(t, d.Decode(&n), line)
		require.NoError(t, d.Decode(&minuteAndEvent), line)
		minute, err := time.Parse("2006-01-02T15:04", minuteAndEvent[0])
		require.NoError(t, err)
		rows = append(rows, row{minute, minuteAndEvent[1], n})
	}
	return rows
}
