package commandersact_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/commandersact"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/internal/wire"
)

// onArrival are options with the time at which the payloads of these tests arrived.
var onArrival = commandersact.Options{ReceivedAt: time.UnixMilli(1_700_000_000_000)}

// migrate migrates a payload and returns a report that belongs to the caller.
func migrate(dst, src []byte, o commandersact.Options) ([]byte, commandersact.Report, error) {
	m := commandersact.Get()
	defer m.Release()
	out, err := m.Migrate(dst, src, o)
	report := m.Report()
	report.Notes = slices.Clone(report.Notes)
	return out, report, err
}

// migrated returns the 2.0 form of a payload and the report.
func migrated(t testing.TB, payload string) (string, commandersact.Report) {
	t.Helper()
	out, report, err := migrate(nil, []byte(payload), onArrival)
	require.NoError(t, err)
	return string(out), report
}

// vectors are those of the migration's specification.
var vectors = []struct{ name, v1, v2 string }{
	{
		"TV1 vendor's example",
		`{"event_name":"search","event_id":"E1","event_timestamp":1639044446636,"properties":{"search_term":"t-shirts","user":{"id":"12345","consent_categories":[1,3]}},"page":{"title":"Search page","location":"https://shop.com/s"},"device":{"user_agent":"UA","ip":"102.3.4.56","cookie":"_fbp=1"}}`,
		`{"event_name":"search","search_term":"t-shirts","user":{"id":"12345","consent_categories":["1","3"]},"context":{"event_id":"E1","event_timestamp":1639044446636,"page":{"title":"Search page","url":"https://shop.com/s"},"device":{"user_agent":"UA","ip":"102.3.4.56","cookie":"_fbp=1"},"version":2}}`,
	},
	{
		"TV2 first spellings",
		`{"event":"search","eventId":"E2","properties":{"search_term":"x","user":{"id":"1"}},"device":{"userAgent":"UA","cookies":"a=1"},"eventTimestamp":"2015-12-12T19:11:01.249Z"}`,
		`{"event_name":"search","search_term":"x","user":{"id":"1"},"context":{"event_id":"E2","event_timestamp":1449947461249,"device":{"user_agent":"UA","cookie":"a=1"},"version":2}}`,
	},
	{
		"TV3 misspelt id",
		`{"event":"search","event_Id":"E3","properties":{"search_term":"x"},"event_timestamp":"1639044446636"}`,
		`{"event_name":"search","search_term":"x","context":{"event_id":"E3","event_timestamp":1639044446636,"version":2}}`,
	},
	{
		"TV5 locale and user agent",
		`{"event_name":"search","event_id":"E5","properties":{"url":"https://w/p","path":"/p"},"locale":"fr","userAgent":"UA","event_timestamp":"1639044446636"}`,
		`{"event_name":"search","url":"https://w/p","path":"/p","context":{"event_id":"E5","event_timestamp":1639044446636,"device":{"lang":"fr","user_agent":"UA"},"version":2}}`,
	},
	{
		"TV6 vendor's browser sender",
		`{"event":"page_view","properties":{"url":"https://w/","created":"2023-05-01T10:00:00.000Z","user":{"consent_categories":["1"],"rejected_vendors":[]},"integrations":{"facebook":{"event_id":"E6"}}},"page":{"url":"https://w/","viewport":{"width":1,"height":2}},"device":{"cookie":"","screen":{"width":3,"height":4}},"eventId":"E6","version":1,"generatorVersion":"80.3","containerVersion":"3.1"}`,
		`{"event_name":"page_view","url":"https://w/","created":"2023-05-01T10:00:00.000Z","user":{"consent_categories":["1"],"rejected_vendors":[]},"integrations":{"facebook":{"event_id":"E6"}},"context":{"event_id":"E6","page":{"url":"https://w/","viewport":{"width":1,"height":2}},"device":{"cookie":"","screen":{"width":3,"height":4}},"generatorVersion":"80.3","containerVersion":"3.1","event_timestamp":1682935200000,"version":2}}`,
	},
	{
		"TV8 version 2.0",
		`{"event_name":"search","user":{"id":"1","consent_categories":[1,3]},"context":{"event_id":"E8","event_timestamp":"1639044446636","page":{"title":"t"}},"search_term":"x"}`,
		`{"event_name":"search","user":{"id":"1","consent_categories":[1,3]},"context":{"event_id":"E8","event_timestamp":"1639044446636","page":{"title":"t"}},"search_term":"x"}`,
	},
	{"TV10 version 2.0 without a context", `{"event_name":"login","method":"LinkedIn"}`, `{"event_name":"login","method":"LinkedIn"}`},
	{
		"TV11 properties and a context",
		`{"event_name":"x","properties":{"a":1},"context":{"event_id":"E11"},"event_timestamp":1639044446636}`,
		`{"event_name":"x","a":1,"context":{"event_id":"E11","event_timestamp":1639044446636,"version":2}}`,
	},
	{"TV13 no name", `{"properties":{"a":1}}`, `{"properties":{"a":1}}`},
}

func TestMigrateVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			got, _ := migrated(t, v.v1)
			require.Equal(t, v.v2, got)
			again, report := migrated(t, got)
			require.Equal(t, got, again)
			require.Zero(t, report.Migrated)
		})
	}
}

func TestMigrateAppend(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		out, _, err := migrate([]byte("before "), []byte(v.v1), onArrival)
		require.NoError(t, err)
		require.Equal(t, "before "+v.v2, string(out))
	}
}

func TestMigrateTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, at, want string
		code           commandersact.Code
	}{
		{"milliseconds", `1639044446636`, `1639044446636`, ""},
		{"milliseconds in a string", `"1639044446636"`, `1639044446636`, ""},
		{"fraction of a millisecond is cut", `1639044446636.75`, `1639044446636`, ""},
		{"exponent", `1.639044446636e12`, `1639044446636`, ""},
		{"smallest milliseconds", `100000000000`, `100000000000`, ""},
		{"largest milliseconds", `99999999999999`, `99999999999999`, ""},
		{"seconds", `1639044446`, `1639044446000`, commandersact.CodeTimestampSeconds},
		{"seconds in a string", `"0001639044446"`, `1639044446000`, commandersact.CodeTimestampSeconds},
		{"fraction of a second is kept", `1639044446.636`, `1639044446636`, commandersact.CodeTimestampSeconds},
		{"ISO 8601 with Z", `"2015-12-12T19:11:01.249Z"`, `1449947461249`, ""},
		{"ISO 8601 with an offset", `"2025-04-18T07:53:39.974+02:00"`, `1744955619974`, ""},
		{"ISO 8601 with an escape", `"2015-12-12T19:11:01.249\u005a"`, `1449947461249`, ""},
		{"ISO 8601 without a zone", `"2015-12-12T19:11:01"`, `1449947461000`, commandersact.CodeTimestampZone},
		{"before the smallest milliseconds", `"1970-01-02T00:00:00Z"`, `1700000000000`, commandersact.CodeTimestampInvalid},
		{"microseconds", `1639044446636000`, `1700000000000`, commandersact.CodeTimestampInvalid},
		{"too small for seconds", `99999999`, `1700000000000`, commandersact.CodeTimestampInvalid},
		{"negative number", `-1639044446636`, `1700000000000`, commandersact.CodeTimestampInvalid},
		{"zero", `0`, `1700000000000`, commandersact.CodeTimestampInvalid},
		{"day first", `"11/01/2022 14:32"`, `1700000000000`, commandersact.CodeTimestampInvalid},
		{"object", `{"t":1}`, `1700000000000`, commandersact.CodeTimestampInvalid},
		{"null", `null`, `1700000000000`, commandersact.CodeTimestampMissing},
		{"empty string", `""`, `1700000000000`, commandersact.CodeTimestampMissing},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, report := migrated(t, `{"event_name":"x","event_id":"E","event_timestamp":`+c.at+`,"properties":{"user":{"consistent_anonymous_id":"a"}}}`)
			require.Equal(t, `{"event_name":"x","user":{"consistent_anonymous_id":"a"},"context":{"event_id":"E","event_timestamp":`+c.want+`,"version":2}}`, got)
			if c.code == "" {
				require.Empty(t, report.Notes)
				return
			}
			require.Len(t, report.Notes, 1)
			require.Equal(t, commandersact.KindWarning, report.Notes[0].Kind)
			require.Equal(t, c.code, report.Notes[0].Code)
		})
	}
}

// Of two values for one place, an empty one gives way, whatever its name and its type,
// and is reported.
func TestMigrateEmpty(t *testing.T) {
	t.Parallel()
	for _, pair := range []struct {
		current, older string // names, below the object
		object, to     string // "" for the root
		empty          []string
		value          string
	}{
		{"user_agent", "userAgent", "device", "device", nil, `"UA"`},
		{"cookie", "cookies", "device", "device", nil, `"a=1"`},
		{"url", "location", "page", "page", nil, `"https://shop.example/"`},
		{"event_id", "eventId", "", "", nil, `"E"`},
		{"event_id", "event_Id", "", "", nil, `"E"`},
		{"eventId", "event_Id", "", "", nil, `"E"`},
		{"event_timestamp", "eventTimestamp", "", "", []string{`0`, `"soon"`, `"0001-01-01T00:00:00Z"`}, `1639044446636`},
		{"event_name", "event", "", "root", nil, `"x"`},
	} {
		for _, empty := range append([]string{`null`, `""`, `" \t"`, `"\u00a0"`, `{}`, `[]`, `[ ]`}, pair.empty...) {
			for _, swapped := range []bool{false, true} {
				name := pair.current + " and " + pair.older + ", " + empty
				first, second := pair.current, pair.older
				if swapped {
					first, second = second, first
				}
				members := `"` + first + `":` + empty + `,"` + second + `":` + pair.value
				payload := `{"event_name":"n",` + members + `,"properties":{}}`
				switch {
				case pair.object != "":
					payload = `{"event_name":"n","` + pair.object + `":{` + members + `},"properties":{}}`
				case pair.to == "root":
					payload = `{` + members + `,"properties":{}}`
				}
				got, report := migrated(t, payload)
				want := pair.current
				if want == "eventId" {
					want = "event_id"
				}
				require.Contains(t, got, `"`+want+`":`+pair.value, name)
				if swapped && pair.older == "location" {
					continue // both stay, as the note says
				}
				require.NotContains(t, got, `"`+pair.older+`"`, name)
				lost := 0
				for _, n := range report.Notes {
					if n.Kind == commandersact.KindConflict && string(n.Value) == empty {
						lost++
					}
				}
				if pair.to != "root" {
					require.Equal(t, 1, lost, "%s: %v", name, report.Notes)
				}
				again, _ := migrated(t, got)
				require.Equal(t, got, again)
			}
		}
	}
}

// What 1.0 has in several objects is found wherever it says something.
func TestMigrateEmptyObjects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ v1, v2 string }{
		{`"userAgent":"UA","device":{"user_agent":""}`, `"device":{"user_agent":"UA"}`},
		{`"userAgent":"UA","device":{"userAgent":" "}`, `"device":{"user_agent":"UA"}`},
		{`"userAgent":"UA","device":{"user_agent":[],"userAgent":null}`, `"device":{"user_agent":"UA"}`},
		{`"userAgent":"UA","device":{"user_agent":"","userAgent":"old"}`, `"userAgent":"UA","device":{"user_agent":"old"}`},
		{`"userAgent":"UA","locale":"fr","device":[]`, `"device":{"user_agent":"UA","lang":"fr"}`},
		{`"locale":"fr","device":{"lang":{}}`, `"device":{"lang":"fr"}`},
		{`"userAgent":"UA","device":[],"context":{"device":{"lang":"fr"}}`, `"device":{"user_agent":"UA","lang":"fr"}`},
		{`"locale":"fr","device":{},"context":{"device":{"os":"o"}}`, `"device":{"lang":"fr","os":"o"}`},
		{`"device":null,"context":{"device":{"lang":"fr"}}`, `"device":{"lang":"fr"}`},
		{`"page":"","context":{"page":{"url":"u"}}`, `"page":{"url":"u"}`},
		{`"page":[],"context":{"page":{"url":"u"}}`, `"page":{"url":"u"}`},
		{`"app":{},"context":{"app":{"name":"a"}}`, `"app":{"name":"a"}`},
		{`"more":"","context":{"more":5}`, `"more":5`},
		{`"generatorVersion":"","context":{"generatorVersion":"1"}`, `"generatorVersion":"1"`},
		{`"userAgent":"UA","locale":"fr","device":null`, `"device":{"user_agent":"UA","lang":"fr"}`},
		{`"userAgent":"UA","device":""`, `"device":{"user_agent":"UA"}`},
		{`"device":null`, `"device":null`},
		{`"device":"x","userAgent":"UA"`, `"device":"x","userAgent":"UA"`},
		{`"page":{"url":""},"context":{"page":{"url":"u"}}`, `"page":{"url":"u"}`},
		{`"app":{"name":null,"ids":[]},"context":{"app":{"name":"a","ids":{"b":1}}}`, `"app":{"name":"a","ids":{"b":1}}`},
	} {
		got, _ := migrated(t, `{"event_name":"x","event_id":"E","event_timestamp":1639044446636,`+c.v1+`,"properties":{}}`)
		require.JSONEq(t, `{"event_name":"x","context":{"event_id":"E","event_timestamp":1639044446636,`+c.v2+`,"version":2}}`, got, c.v1)
	}
}

// Where objects are merged, the one that wins does so only with what says something.
func TestMigrateEmptyInMerges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ inner, root, user, lost string }{
		{`{"id":""}`, `{"id":"1"}`, `{"id":"1"}`, `properties.user.id ""`},
		{`{"id":null,"a":1}`, `{"id":"1","b":2}`, `{"id":"1","a":1,"b":2}`, `properties.user.id null`},
		{`{"id":"\u00a0 "}`, `{"id":5}`, `{"id":5}`, `properties.user.id "\u00a0 "`},
		{`{"id":"1"}`, `{"id":""}`, `{"id":"1"}`, `user.id ""`},
		{`{"id":""}`, `{"id":null}`, `{"id":""}`, `user.id null`},
		{`{"at":{"city":""}}`, `{"at":{"city":"c"}}`, `{"at":{"city":"c"}}`, `properties.user.at.city ""`},
		{`{"at":[]}`, `{"at":{"city":"c"}}`, `{"at":{"city":"c"}}`, `properties.user.at []`},
		{`{"consent_categories":[]}`, `{"consent_categories":[1]}`, `{"consent_categories":[]}`, `user.consent_categories [1]`},
		{`{"consent_categories":null}`, `{"consent_categories":[1]}`, `{"consent_categories":["1"]}`, `properties.user.consent_categories null`},
		{`{"ok":false,"n":0}`, `{"ok":true,"n":1}`, `{"ok":false,"n":0}`, `user.ok true, user.n 1`},
		{`{"i\u0064":""}`, `{"id":"1"}`, `{"i\u0064":"1"}`, `properties.user.id ""`},
	} {
		got, report := migrated(t, `{"event_name":"x","properties":{"user":`+c.inner+`},"user":`+c.root+`,"event_timestamp":1639044446636}`)
		require.Equal(t, `{"event_name":"x","user":`+c.user+`,"context":{"event_timestamp":1639044446636,"version":2}}`, got)
		var lost []string
		for _, n := range report.Notes {
			if n.Kind == commandersact.KindConflict {
				lost = append(lost, n.Field+" "+string(n.Value))
			}
		}
		require.Equal(t, c.lost, strings.Join(lost, ", "), c.inner)
	}
}

// A time that cannot be read stays, next to a readable one that a reader of 2.0 uses.
func TestMigrateCreated(t *testing.T) {
	t.Parallel()
	const created = `"created":"2026-11-20T00:00:00Z"`
	for _, c := range []struct{ v1, context string }{
		{`"event_timestamp":"soon","properties":{` + created + `}`, `"event_timestamp":"soon",` + created},
		{`"event_timestamp":0,"properties":{` + created + `}`, `"event_timestamp":0,` + created},
		{`"event_timestamp":null,"properties":{` + created + `}`, `"event_timestamp":1795132800000`},
		{`"event_timestamp":"soon","properties":{"created":"soon"}`, `"event_timestamp":"soon"`},
		{`"event_timestamp":"soon","created":"x","properties":{` + created + `}`, `"event_timestamp":"soon","created":"x"`},
		{`"event_timestamp":"soon","context":{"created":"x"},"properties":{` + created + `}`, `"event_timestamp":"soon","created":"x"`},
	} {
		out, _, err := migrate(nil, []byte(`{"event_name":"x","event_id":"E",`+c.v1+`}`), commandersact.Options{})
		require.NoError(t, err)
		require.Contains(t, string(out), `"context":{"event_id":"E",`+c.context+`,"version":2}`, c.v1)
	}
}

// The empty list that PHP writes for an empty map counts as an empty object where 2.0 has one.
func TestMigratePHP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v1, v2 string // behind the name
		notes  int    // of empty lists
	}{
		{`"properties":[]`, `"context":{"version":2}`, 0},
		{`"properties":[ ]`, `"context":{"version":2}`, 0},
		{`"properties":[],"context":[]`, `"context":{"version":2}`, 1},
		{`"properties":{},"context":[]`, `"context":{"version":2}`, 1},
		{`"properties":{"context":[],"a":1}`, `"a":1,"context":{"version":2}`, 1},
		{`"properties":{},"page":[],"device":[],"app":[]`, `"context":{"page":{},"device":{},"app":{},"version":2}`, 3},
		{`"properties":{"user":[]}`, `"user":{},"context":{"version":2}`, 1},
		{`"properties":{"user":[]},"user":{"id":"1"}`, `"user":{"id":"1"},"context":{"version":2}`, 1},
		{`"properties":{"user":{"id":"1"}},"user":[]`, `"user":{"id":"1"},"context":{"version":2}`, 1},
		{`"properties":{"user":[]},"user":[]`, `"user":{},"context":{"version":2}`, 2},
		{`"properties":{},"user":[]`, `"user":{},"context":{"version":2}`, 1},
		{`"properties":{"integrations":[],"partners":[]}`, `"integrations":{},"partners":{},"context":{"version":2}`, 2},
		{`"properties":{"integrations":[]},"integrations":{"a":1}`, `"integrations":{"a":1},"context":{"version":2}`, 1},
		{`"properties":[],"integrations":[],"partners":[]`, `"integrations":{},"partners":{},"context":{"version":2}`, 2},
		{`"version":1,"properties":[]`, `"context":{"version":2}`, 0},
		{`"properties":{"items":[],"tags":[ ]}`, `"items":[],"tags":[ ],"context":{"version":2}`, 0},
		{`"properties":[],"more":[]`, `"context":{"more":[],"version":2}`, 0},
	} {
		payload := `{"event_name":"x",` + c.v1 + `}`
		got, report, err := migrate(nil, []byte(payload), commandersact.Options{})
		require.NoError(t, err)
		require.Equal(t, `{"event_name":"x",`+c.v2+`}`, string(got), payload)
		notes := 0
		for _, n := range report.Notes {
			require.NotEqual(t, commandersact.KindConflict, n.Kind, payload)
			if n.Code == commandersact.CodeEmptyList {
				notes++
			}
		}
		require.Equal(t, c.notes, notes, payload)
	}
	for _, v2 := range []string{
		`{"event_name":"x","properties":[],"context":{"version":2}}`,
		`{"event_name":"x","context":[]}`,
		`{"event_name":"x","user":[],"page":[]}`,
	} {
		got, report := migrated(t, v2)
		require.Equal(t, v2, got)
		require.Zero(t, report.Migrated)
	}
}

// The golden files of the public migration, of which this reads the 2.0 form, are in the
// root package.
func TestMigrateFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/migrate/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		payload, err := os.ReadFile(file)
		require.NoError(t, err)
		golden, err := os.ReadFile(strings.TrimSuffix(file, ".json") + ".golden")
		require.NoError(t, err)
		got, report := migrated(t, string(payload))
		want, _, found := strings.Cut(string(golden), "\n{\"events\":")
		require.True(t, found, file)
		require.Equal(t, want, strings.TrimSuffix(got, "\n"), file)
		again, twice := migrated(t, got)
		require.Equal(t, got, again, file)
		require.Zero(t, twice.Migrated, file)
		require.Equal(t, report.Failed, twice.Failed, file)
	}
}

func TestMigrateReject(t *testing.T) {
	t.Parallel()
	strict := commandersact.Options{Strict: true}
	for name, c := range map[string]struct {
		payload string
		options commandersact.Options
		want    commandersact.Note
	}{
		"not an object":         {`[1]`, onArrival, commandersact.Note{Code: commandersact.CodeNotObject}},
		"event not an object":   {`{"batch":[5]}`, onArrival, commandersact.Note{Code: commandersact.CodeNotObject}},
		"duplicate name":        {`{"a":1,"a":2}`, onArrival, commandersact.Note{Code: commandersact.CodeDuplicateName, Field: "a"}},
		"strict, time in root":  {`{"event_name":"x","event_timestamp":"soon","properties":{}}`, strict, commandersact.Note{Code: commandersact.CodeTimestampInvalid, Field: "event_timestamp"}},
		"strict, time in inner": {`{"event_name":"x","properties":{"context":{"event_timestamp":"soon"}}}`, strict, commandersact.Note{Code: commandersact.CodeTimestampInvalid, Field: "event_timestamp"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, report, err := migrate(nil, []byte(c.payload), c.options)
			require.NoError(t, err)
			require.Equal(t, c.payload, string(got))
			c.want.Kind = commandersact.KindFailure
			require.Equal(t, commandersact.Report{Events: 1, Failed: 1, Notes: []commandersact.Note{c.want}}, report)
		})
	}
	out, _, err := migrate([]byte("before"), []byte(`{"a":'b'}`), onArrival)
	require.Error(t, err)
	require.Equal(t, "before", string(out))
}

func TestMigrateStructure(t *testing.T) {
	t.Parallel()
	const event = `{"event":"x","properties":{"a":1,"b":[[2]]}}`
	limits := wire.Limits{Depth: 9, Members: 9, Bytes: 99, Items: 9}
	for name, c := range map[string]struct {
		limits wire.Limits
		code   commandersact.Code
	}{
		"within the limits": {limits, ""},
		"too deep":          {wire.Limits{Depth: 2, Members: 9, Bytes: 99, Items: 9}, commandersact.CodeTooDeep},
		"too many members":  {wire.Limits{Depth: 9, Members: 2, Bytes: 99, Items: 9}, commandersact.CodeTooManyMembers},
		"too large":         {wire.Limits{Depth: 9, Members: 9, Bytes: 20, Items: 9}, commandersact.CodeEventTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m commandersact.Migrator
			var from, into wire.Document
			require.NoError(t, m.Load(&from, []byte(`{"batch":[`+event+`,{"event_name":"y"}]}`), c.limits))
			_, changed, err := m.Migrate(nil, &into, onArrival)
			require.NoError(t, err)
			require.Equal(t, c.code == "", changed)
			if c.code != "" {
				note := commandersact.Note{Kind: commandersact.KindFailure, Code: c.code}
				require.Equal(t, commandersact.Report{Events: 2, Failed: 1, Notes: []commandersact.Note{note}}, m.Report())
			}
		})
	}
}

func TestMigrateAllocs(t *testing.T) {
	if testkit.Race {
		t.Skip("pools forget under the race detector")
	}
	const event = `{"event_name":"search","event_id":"E1","event_timestamp":1639044446636,"properties":{"search_term":"t-shirts","user":{"id":"12345","consent_categories":[1,3]}},"page":{"title":"Search page","location":"https://shop.example/s"},"device":{"user_agent":"UA","ip":"192.0.2.56","cookies":"_fbp=1"}}`
	for name, payload := range map[string]string{
		"event": event,
		"batch": `{"batch":[` + strings.Repeat(event+",", 99) + event + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			var m commandersact.Migrator
			var from, into wire.Document
			var out []byte
			body := []byte(payload)
			limits := wire.Limits{Depth: 100, Members: 10_000, Bytes: 1 << 20, Items: 1_000}
			require.Zero(t, testing.AllocsPerRun(100, func() {
				from.Reset()
				if m.Load(&from, body, limits) != nil {
					panic("the payload is not valid")
				}
				var changed bool
				out, changed, _ = m.Migrate(out[:0], &into, commandersact.Options{ReceivedAt: time.UnixMilli(1), CountOnly: true})
				if !changed {
					panic("the payload is not 1.0")
				}
				m.Reset()
			}))
		})
	}
	t.Run("version 2.0", func(t *testing.T) {
		dst, v2 := make([]byte, 0, 1<<10), []byte(`{"event_name":"login","context":{"event_id":"E"}}`)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			_, _, _ = migrate(dst, v2, commandersact.Options{})
		}))
	})
}

// Which events have plain contexts. What that means is checked by requirePlainContext.
func TestPlainContexts(t *testing.T) {
	t.Parallel()
	const time = `"event_timestamp":1639044446636`
	for name, test := range map[string]struct {
		event string
		plain bool
	}{
		"usual":                {`{"event_name":"e","event_id":"i",` + time + `,"page":{},"properties":{"a":1}}`, true},
		"no id":                {`{"event_name":"e",` + time + `,"device":{"userAgent":"a"},"properties":{}}`, true},
		"an id in camel case":  {`{"event_name":"e","eventId":"i",` + time + `,"properties":{}}`, true},
		"a time as text":       {`{"event_name":"e","event_timestamp":"2022-01-01T10:00:00Z","properties":{}}`, true},
		"a time behind":        {`{"event_name":"e","page":{},` + time + `,"event_id":"i","properties":{}}`, true},
		"no time":              {`{"event_name":"e","event_id":"i","page":{},"properties":{}}`, false},
		"a time from created":  {`{"event_name":"e","properties":{"created":"2022-01-01T10:00:00Z"}}`, false},
		"created in the root":  {`{"event_name":"e",` + time + `,"created":"x","properties":{}}`, false},
		"created with escapes": {`{"event_name":"e",` + time + `,"cre\u0061ted":"x","properties":{}}`, false},
		"a context":            {`{"event_name":"e",` + time + `,"context":{"a":1},"properties":{}}`, false},
		"a context inside":     {`{"event_name":"e",` + time + `,"properties":{"context":{"eventId":"i"}}}`, false},
		"2.0 without context":  {`{"event_name":"e",` + time + `}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for body, plain := range map[string]bool{
				test.event:                       test.plain,
				`{"batch":[` + test.event + `]}`: test.plain,
				`{"batch":[` + test.event + `,{"context":{}}]}`: false, // is of 2.0
				`{"batch":[3,` + test.event + `]}`:              false, // is refused
			} {
				var m commandersact.Migrator
				var from, into wire.Document
				require.NoError(t, m.Load(&from, []byte(body), wire.Limits{}))
				_, changed, err := m.Migrate(nil, &into, commandersact.Options{})
				require.NoError(t, err)
				require.True(t, changed, body)
				root, items := m.PlainContexts()
				require.Equal(t, plain && body == test.event, root, body)
				require.Equal(t, plain && body != test.event, items, body)
				requirePromises(t, body)
			}
		})
	}
}
