package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	for name, c := range map[string]config{"appended to": {events: 1200}, "written ahead": {events: 1200, writeAhead: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			duckDB(t) // or skip
			c.temporary = t.TempDir()
			var out bytes.Buffer
			require.NoError(t, run(t.Context(), c, &out))
			while, after, closed := strings.Cut(out.String(), "1200 events are acknowledged, and the journal is closed:\n")
			require.True(t, closed, out.String())
			require.Regexp(t, `[1-9]\d* events are acknowledged, and more are coming:\n\nMINUTE +EVENT +COUNT\n20\d\d-\d\d-\d\d \d\d:\d\d  Order Completed  \d+\n`, while)
			require.Equal(t, 1200, sum(t, after))
			requireEmpty(t, c.temporary)
		})
	}
}

// sum adds up the last column of a table.
func sum(t *testing.T, table string) (n int) {
	t.Helper()
	for _, count := range regexp.MustCompile(`(?m) (\d+)$`).FindAllStringSubmatch(table, -1) {
		more, err := strconv.Atoi(count[1])
		require.NoError(t, err)
		n += more
	}
	return n
}

func TestRunInterrupted(t *testing.T) {
	t.Parallel()
	duckDB(t) // or skip
	c := config{events: 1_000_000, temporary: t.TempDir()}
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	var out bytes.Buffer
	require.NoError(t, run(ctx, c, &out))
	last := regexp.MustCompile(`(?m)^(\d+) events are acknowledged, and the journal is closed:$`).FindStringSubmatch(out.String())
	require.Len(t, last, 2, "%s", out.String())
	acknowledged, err := strconv.Atoi(last[1])
	require.NoError(t, err)
	require.Less(t, acknowledged, c.events)
	requireEmpty(t, c.temporary)
}

func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestRunDir(t *testing.T) {
	t.Parallel()
	duckDB(t) // or skip
	s := newSite(t, nil)
	require.Equal(t, http.StatusOK, s.track(`1`, "A", "B", "A"))
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), config{dir: s.dir}, &out))
	require.Regexp(t, `^MINUTE +EVENT  COUNT\n\S+ \S+  A      2\n\S+ \S+  B      1\n$`, out.String())
}

func TestRunNoDir(t *testing.T) {
	t.Parallel()
	duckDB(t) // or skip
	err := run(t.Context(), config{dir: filepath.Join(t.TempDir(), "nowhere")}, new(bytes.Buffer))
	require.ErrorContains(t, err, "nowhere")
}

func TestTable(t *testing.T) {
	t.Parallel()
	minute := time.Date(2026, 5, 4, 3, 2, 0, 0, time.UTC)
	var out bytes.Buffer
	require.NoError(t, printTable(&out, []row{
		{minute, "Signed Up", 12}, {minute, "\x1b[2Ja\tb\n", 3}, {minute.Add(time.Minute), "日本語 🛒", 4}, {minute, "\u202e", 5}, {minute, `a "b"`, 6},
		{minute, strings.Repeat("é", 61), 7},
	}))
	require.Equal(t, strings.Join([]string{
		`MINUTE            EVENT                                                          COUNT`,
		`2026-05-04 03:02  Signed Up                                                      12`,
		`2026-05-04 03:02  "\x1b[2Ja\tb\n"                                                3`,
		`2026-05-04 03:03  日本語 🛒                                                          4`,
		`2026-05-04 03:02  "\u202e"                                                       5`,
		`2026-05-04 03:02  "a \"b\""                                                      6`,
		`2026-05-04 03:02  ` + strings.Repeat("é", 60) + `…  7`, "",
	}, "\n"), out.String())
}
