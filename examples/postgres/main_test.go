package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	slog.SetLogLoggerLevel(slog.LevelWarn) // as main does
	os.Exit(m.Run())
}

// needPostgreSQL skips a test where PostgreSQL is not installed. With INLET_REQUIRE_CLIENTS=1,
// which promises that it is, it fails the test.
func needPostgreSQL(t *testing.T) {
	t.Helper()
	if _, err := installed(); err != nil {
		if os.Getenv("INLET_REQUIRE_CLIENTS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// newServer returns a server that lasts as long as the test.
func newServer(t *testing.T) *server {
	t.Helper()
	needPostgreSQL(t)
	dir, err := os.MkdirTemp("", "inlet-postgres-") // other users cannot enter those of t
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	s, err := startServer(dir)
	require.NoError(t, err)
	return s
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	stopped := false
	t.Cleanup(func() {
		if !stopped {
			s.stop()
		}
	})
	conn, err := pgx.Connect(t.Context(), s.dsn)
	require.NoError(t, err)
	defer conn.Close(context.Background())

	// The README shows what the first run prints, and each run adds its own visitors.
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, shown, _ := strings.Cut(block(t, string(readme), "```text\nA PostgreSQL"), ".\n")
	require.Equal(t, anyRepeats(shown), anyRepeats(runs(t, config{dsn: s.dsn, people: 1000})))
	second := runs(t, config{dsn: s.dsn, people: 20})
	require.Contains(t, second, "The table has 32 new events, and ")
	require.Equal(t, 2, strings.Count(second, "Product Viewed   1020    100.0%"), second)
	require.Equal(t, 2, strings.Count(second, "Order Completed  102     10.0%   2524.90"), second)

	// Both forms ask for the order of the steps.
	for _, table := range []string{"inlet_example_events", "inlet_example.order_completed"} {
		_, err = conn.Exec(t.Context(), `UPDATE `+table+` SET "timestamp" = "timestamp" - interval '1 day'`)
		require.NoError(t, err)
	}
	_, err = conn.Exec(t.Context(), `UPDATE inlet_example_events SET "timestamp" = "timestamp" + interval '1 day' WHERE name <> 'Order Completed'`)
	require.NoError(t, err)
	for _, sql := range []string{eventsSQL, tablesSQL} {
		steps, err := ask(t.Context(), conn, sql)
		require.NoError(t, err)
		require.Equal(t, []step{{1, "Product Viewed", 1020, ""}, {2, "Product Added", 510, ""}, {3, "Order Completed", 0, "0"}}, steps)
	}

	_, err = conn.Exec(t.Context(), block(t, string(readme), "```sql\n"))
	require.NoError(t, err)
	var left int
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_class WHERE relname LIKE '%inlet%'").Scan(&left))
	require.Zero(t, left)

	s.stop()
	stopped = true
	_, err = pgx.Connect(t.Context(), s.dsn)
	require.Error(t, err, "the server has ended")
}

// block returns what follows a text until the end of the block.
func block(t *testing.T, page, begin string) string {
	t.Helper()
	_, text, found := strings.Cut(page, begin)
	require.True(t, found, begin)
	text, _, _ = strings.Cut(text, "```\n")
	return text
}

// anyRepeats leaves out how many calls came twice: an SDK that waits too long repeats some, too.
func anyRepeats(text string) string {
	return regexp.MustCompile(`and [0-9]+ that came twice were`).ReplaceAllString(text, "and some that came twice were")
}

// runs returns what the program prints, without spaces at the ends of lines, as documents have it.
func runs(t *testing.T, c config) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), c, &out))
	return regexp.MustCompile(` +\n`).ReplaceAllString(out.String(), "\n")
}

// A database that cannot be reached ends the program, and leaves no directory and no secret.
func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var out bytes.Buffer
	err := run(t.Context(), config{dsn: "postgres://u:hush@127.0.0.1:1/db?connect_timeout=5", people: 1}, &out)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hush")
	require.Empty(t, out.String())
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// Without a server that starts there is a reason, and nothing is left.
func TestServerDoesNotStart(t *testing.T) {
	t.Parallel()
	needPostgreSQL(t)
	dir, err := os.MkdirTemp("", "inlet-postgres-")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "x"), nil, 0o600))
	_, err = startServer(dir)
	require.ErrorContains(t, err, "initdb")
}
