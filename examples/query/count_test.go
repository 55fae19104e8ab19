package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/sinks/journal"
)

func TestCountWhileWritten(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*journal.Options{
		"one file, appended to":     nil,
		"one file, written ahead":   {WriteAhead: true, SegmentBytes: 8 << 20},
		"many files, appended to":   {SegmentBytes: 8 << 10},
		"many files, written ahead": {WriteAhead: true, SegmentBytes: 8 << 10},
		"one file per write":        {SegmentBytes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, s := duckDB(t), newSite(t, o)
			stop := s.load(t)
			for range 10 {
				require.Equal(t, http.StatusOK, s.track(`1`, threeNames...))
				fewest := s.acknowledged.Load() / 3
				rows, err := count(t.Context(), db, s.dir)
				most := s.sent.Load() / 3 // an event is stored before it is acknowledged
				require.NoError(t, err)
				for _, name := range threeNames {
					require.GreaterOrEqual(t, byName(rows)[name], fewest)
					require.LessOrEqual(t, byName(rows)[name], most)
				}
			}
			stop()
			require.Greater(t, s.acknowledged.Load(), int64(3*10), "no client sent anything meanwhile")
			if o != nil && o.SegmentBytes > 1<<20 {
				require.True(t, s.endsBlank(t))
			}
			s.requireExact(t)
			s.close(t)
			s.requireExact(t)
		})
	}
}

var threeNames = []string{"A", "B", "C"}

// load sends events from several clients until stop is called, or they have sent enough.
func (s *site) load(t *testing.T) (stop func()) {
	t.Helper()
	var clients sync.WaitGroup
	t.Cleanup(clients.Wait)
	ctx, cancel := context.WithCancel(t.Context())
	for range 3 {
		clients.Go(func() {
			for i := 0; i < 400 && ctx.Err() == nil; i++ {
				s.track(`"`+strings.Repeat("x", 200)+`"`, threeNames...)
			}
		})
	}
	return func() { cancel(); clients.Wait() }
}

// requireExact requires that all acknowledged events are counted, a third of them for each name.
func (s *site) requireExact(t *testing.T) {
	t.Helper()
	require.Equal(t, s.sent.Load(), s.acknowledged.Load(), "the sink refused events")
	rows, err := count(t.Context(), duckDB(t), s.dir)
	require.NoError(t, err)
	each := s.acknowledged.Load() / 3
	require.Equal(t, map[string]int64{"A": each, "B": each, "C": each}, byName(rows))
}

// The minute is that of the arrival of an event.
func TestCountMinutes(t *testing.T) {
	t.Parallel()
	db, s := duckDB(t), newSite(t, nil)
	begin := time.Now().UTC().Truncate(time.Minute)
	require.Equal(t, http.StatusOK, s.post("/v1/track", `{"event":"E","userId":"u","timestamp":"2020-01-01T00:00:00Z"}`))
	rows, err := count(t.Context(), db, s.dir)
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Equal(t, "E", rows[0].event)
	require.WithinRange(t, rows[0].minute, begin, time.Now())
	require.Zero(t, rows[0].minute.Second())
}

// Only complete lines count. The test cuts a line at every byte, like one that is read while it
// is written, or of which only the end is read.
func TestCountIncompleteLines(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	require.Equal(t, http.StatusOK, s.track(`{"type":"track","event":"forged","receivedAt":"2020-01-01T00:00:00Z"}`, "🛒 \"}"))
	s.close(t)
	line := s.onlyLine(t)
	for name, cut := range map[string]func(at int) string{
		"its start, at the end":      func(at int) string { return line + "\n" + line[:at] },
		"its start, and blank lines": func(at int) string { return line + "\n" + line[:at] + strings.Repeat("\n", 100) },
		"its end":                    func(at int) string { return line[len(line)-at:] + "\n" + line + "\n" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for at := 1; at < len(line); at++ {
				write(t, fmt.Sprintf("%s/%020d.ndjson.part", dir, at), cut(at))
			}
			rows, err := count(t.Context(), duckDB(t), dir)
			require.NoError(t, err)
			require.Equal(t, map[string]int64{"🛒 \"}": int64(len(line) - 1)}, byName(rows))
		})
	}
}
