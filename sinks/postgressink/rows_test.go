package postgressink

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinktest"
)

// TestArrays compares the arrays that are built by hand with what pgx reads in them.
func TestArrays(t *testing.T) {
	t.Parallel()
	events := sinktest.Events(100)
	var r rows
	for range 2 { // the memory is reused
		r.fill(events, false)
		params, types := pgtype.NewMap(), arrayTypes
		for i, param := range r.arrays() {
			if columnTypes[i] == oidTimestamptz {
				var times []*time.Time
				require.NoError(t, params.Scan(types[i], 1, param, &times))
				require.Len(t, times, len(events))
				continue
			}
			var texts []*string
			require.NoError(t, params.Scan(types[i], 1, param, &texts))
			require.Len(t, texts, len(events))
			for k, e := range events {
				want := map[string]string{
					"source_id": e.Source.ID, "message_id": e.MessageID, "type": string(e.Type), "user_id": e.UserID,
					"anonymous_id": e.AnonymousID, "group_id": e.GroupID, "payload": string(e.AppendJSON(nil)),
				}
				name := columnNames[i]
				switch want, found := want[name]; {
				case found && want == "":
					require.Nil(t, texts[k], name)
				case found:
					require.Equal(t, want, *texts[k], name)
				}
			}
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{
		time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
		time.Date(1969, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)),
	} {
		var c column
		c.clear()
		c.addTime(at)
		var got []time.Time
		require.NoError(t, pgtype.NewMap().Scan(oidTimestamptzArray, 1, c.array(oidTimestamptz), &got))
		require.True(t, at.Truncate(time.Microsecond).Equal(got[0]), "%v, not %v", got[0], at)
	}
	for at, want := range map[time.Time]int64{ // which the server refuses, unlike the infinities
		time.Date(600000, 1, 1, 0, 0, 0, 0, time.UTC):  math.MaxInt64 - 1,
		time.Date(-600000, 1, 1, 0, 0, 0, 0, time.UTC): math.MinInt64 + 1,
		time.Unix(1<<62, 0):                            math.MaxInt64 - 1,
		time.Unix(-1<<62, 0):                           math.MinInt64 + 1,
	} {
		require.Equal(t, want, microseconds(at), at)
	}
}

func TestNUL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"a":"\u0000"}`:        `{"a":"\ufffd"}`,
		`{"a":"\\u0000"}`:       `{"a":"\\u0000"}`,
		`{"a":"\\\u0000"}`:      `{"a":"\\\ufffd"}`,
		`{"\u0000":"x\u0000y"}`: `{"\ufffd":"x\ufffdy"}`,
		`{"a":"\u00000"}`:       `{"a":"\ufffd0"}`,
		`{"a":"\\\\u0000"}`:     `{"a":"\\\\u0000"}`,
	} {
		got := []byte(text)
		require.Equal(t, text != want, replaceNUL(got), text)
		require.Equal(t, want, string(got))
		require.True(t, json.Valid(got))
	}
	keys := map[string]bool{}
	for _, id := range []string{"a\x00b", "a\uFFFDb", "a\x00\x00b", "a\x00", "\x00a", "\x00", "\uFFFD", "ab"} {
		key := keyText(id)
		require.NotContains(t, key, "\x00")
		require.False(t, keys[key], "%q", id)
		keys[key] = true
	}
}

func TestRowsAllocations(t *testing.T) {
	list := sinktest.Events(500)
	var r rows
	r.fill(list, true)
	require.LessOrEqual(t, testing.AllocsPerRun(10, func() { r.fill(list, true); r.arrays() }), 600.0)
}

func TestSizeOf(t *testing.T) {
	t.Parallel()
	for _, e := range sinktest.Events(42) {
		require.GreaterOrEqual(t, sizeOf(e), len(e.AppendJSON(nil))/2)
	}
	require.Greater(t, sizeOf(&inlet.Event{Source: &inlet.Source{}, Properties: make(json.RawMessage, 9999)}), 9999)
}
