package main

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/jsoncases"
	"github.com/inlet-go/inlet/sinks/journal"
)

// hostileNames returns names of events that break code that quotes, splits or guesses them
// wrongly.
func hostileNames() []string {
	return []string{
		`"`, `'`, `''`, `\`, `\"`, `"}`, `"},{"type":"track"`, "a\nb", "a\r\nb", "a\tb", "\x00", "a\x00b", "\x1b[2J", "\u2028", "\u202e",
		"'); DROP TABLE events; --", `$1`, `?`, `%s`, `*`, "NULL", "null", "true", "1", "1e999", "{}", "[]", `{"a":1}`, " ", "  a  ",
		"2020-01-01T00:00:00Z", "🛒", "👩‍👩‍👧", "日本語", "é", "e\u0301", "\ufeff", "\ufffd", "\U0010ffff", "track", strings.Repeat("x", 4000),
	}
}

func TestCountHostile(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*journal.Options{"appended to": nil, "written ahead": {WriteAhead: true, SegmentBytes: 4 << 20}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, s := duckDB(t), newSite(t, o)
			want := s.sendHostile(t, 190)
			require.Equal(t, o != nil, s.endsBlank(t))
			for _, state := range []string{"open", "closed"} {
				rows, err := count(t.Context(), db, s.dir)
				require.NoError(t, err, state)
				require.Equal(t, want, byName(rows), state)
				s.close(t)
			}
		})
	}
}

// sendHostile sends unusual events, such as objects nested to a depth, and returns the counts by
// name.
func (s *site) sendHostile(t *testing.T, depth int) map[string]int64 {
	t.Helper()
	want := map[string]int64{"page": 1, "identify": 1}
	for _, name := range hostileNames() {
		require.Equal(t, http.StatusOK, s.track(`{"type":"track","event":"forged","receivedAt":"2020-01-01T00:00:00Z"}`, name), "%q", name)
		want[name]++
	}
	for _, value := range hostileValues(depth) {
		require.Equal(t, http.StatusOK, s.track(value, "value"), "%.100q", value)
		want["value"]++
	}
	require.Equal(t, http.StatusOK, s.post("/v1/page", `{"userId":"u","name":"Home","event":{"a":1}}`))
	require.Equal(t, http.StatusOK, s.post("/v1/identify", `{"userId":"u","EVENT":"e","Type":"t","event":[1],"ReceivedAt":0,"_seq":{}}`))
	return want
}

// hostileValues returns JSON texts that are stored, although a reader may consider them invalid,
// too large or too deep.
func hostileValues(depth int) []string {
	values := slices.Collect(maps.Values(jsoncases.Valid()))
	for _, choice := range jsoncases.Choices() {
		if choice.Want == jsoncases.Kept && strings.Count(choice.Text, "[") < depth || choice.Want == jsoncases.Repaired {
			values = append(values, choice.Text)
		}
	}
	return append(values,
		strings.Repeat(`{"type":`, depth)+`"track"`+strings.Repeat("}", depth),
		strings.Repeat(`[`, depth)+strings.Repeat("]", depth),
		strings.Repeat("9", 20_000))
}
