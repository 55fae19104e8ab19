package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal"
)

// missing skips a test for lack of a program or library. With INLET_REQUIRE_CLIENTS=1, which
// promises that all of them are installed, it fails the test.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("INLET_REQUIRE_CLIENTS") == "1" {
		t.Fatal("INLET_REQUIRE_CLIENTS=1, but " + what)
	}
	t.Skip(what)
}

// duckDB returns a DuckDB for this test only.
func duckDB(t *testing.T) *sql.DB {
	t.Helper()
	if !slices.Contains(sql.Drivers(), "duckdb") {
		missing(t, "the test was built without cgo, or DuckDB has no library for this system")
	}
	db, err := openDuckDB()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// A site is a handler that writes to a journal, with the numbers of events that were sent to it
// and that it has acknowledged.
type site struct {
	dir                string
	store              *journal.Journal
	api                http.Handler
	sent, acknowledged atomic.Int64
}

func newSite(t *testing.T, o *journal.Options) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	var err error
	s.store, err = journal.Open(s.dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { s.close(t) })
	if o != nil && o.WriteAhead {
		s.awaitAhead(t, o.SegmentBytes)
	}
	s.api, err = inlet.New(s.store, &inlet.Options{AllowAnonymous: true})
	require.NoError(t, err)
	return s
}

// awaitAhead waits for a file of blank lines, which the first or second events are written over.
func (s *site) awaitAhead(t *testing.T, size int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		file, err := os.Stat(s.dir + "/00000000000000000000.ndjson.tmp")
		return err == nil && file.Size() == size
	}, 20*time.Second, time.Millisecond)
}

// endsBlank reports whether the file that is being written to ends in blank lines.
func (s *site) endsBlank(t *testing.T) bool {
	t.Helper()
	files, err := segments(s.dir)
	require.NoError(t, err)
	text, err := os.ReadFile(files[0])
	require.NoError(t, err)
	return bytes.HasSuffix(text, []byte("\n\n"))
}

func (s *site) close(t *testing.T) {
	t.Helper()
	require.NoError(t, s.store.Close(context.Background()))
}

// track sends an event of each name in one batch, with value as one of their properties, and
// returns the status.
func (s *site) track(value string, names ...string) int {
	var batch bytes.Buffer
	for _, name := range names {
		event, _ := json.Marshal(name)
		batch.WriteString(`,{"type":"track","userId":"u","event":` + string(event) + `,"properties":{"v":` + value + `}}`)
	}
	s.sent.Add(int64(len(names)))
	status := s.post("/v1/batch", `{"batch":[`+strings.TrimPrefix(batch.String(), ",")+`]}`)
	if status == http.StatusOK {
		s.acknowledged.Add(int64(len(names)))
	}
	return status
}

func (s *site) post(path, body string) int {
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
	return w.Code
}

// byName returns the counts by name, over all minutes.
func byName(rows []row) map[string]int64 {
	n := map[string]int64{}
	for _, r := range rows {
		n[r.event] += r.count
	}
	return n
}
