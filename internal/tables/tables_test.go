package tables_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/tables"
	"github.com/inlet-go/inlet/sinktest"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Order Completed": "order_completed", "orderId": "order_id", "order_id": "order_id", "userID": "user_id",
		"HTTPServer": "httpserver", "page2Url": "page2_url", "UTM Source": "utm_source", "iPhone": "i_phone",
		"already_snakeCase": "already_snake_case", "kebab-case": "kebab_case", "a.b/c": "a_b_c", "  x  ": "x",
		"2fa": "_2fa", "2FA": "_2fa", "__proto__": "proto", "_extra": "extra", "$device_id": "device_id",
		"": "_", "!!!": "_", "\x00": "_", "Größe": "größe", "日本": "日本", "a\U0001F389b": "a_b", "É": "é", "a__b": "a_b",
	} {
		require.Equal(t, want, tables.Clean(name), "%q", name)
		require.Equal(t, want, tables.Clean(want), "%q again", name)
	}
}

func TestTableOf(t *testing.T) {
	t.Parallel()
	require.Equal(t, "order_completed", tables.TableOf("Order Completed"))
	require.Equal(t, tables.TableOf("order_completed"), tables.TableOf("OrderCompleted"))
	seen := map[string]string{}
	for _, event := range []string{"Users", "tracks", "PAGES", "accounts", "identifies", strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("ü", 100), strings.Repeat("ü", 101)} {
		name := tables.TableOf(event)
		require.LessOrEqual(t, len(name), 63)
		require.True(t, utf8.ValidString(name))
		require.NotContains(t, tables.Always(), name)
		require.Empty(t, seen[name], "%s has the table of another", event)
		seen[name] = event
	}
}

func TestTypes(t *testing.T) {
	t.Parallel()
	types := map[tables.Type]string{tables.Text: "text", tables.Bool: "bool", tables.Int: "int", tables.Float: "float", tables.Decimal: "decimal", tables.Time: "time", tables.JSON: "json"}
	for value, want := range map[string]string{
		`true`: "bool", `false`: "bool", `"x"`: "text", `""`: "text", `[]`: "json", `[{"a":1}]`: "json",
		`0`: "int", `-1`: "int", `9223372036854775807`: "int", `-9223372036854775808`: "int", `9223372036854775808`: "decimal",
		`-0`: "float", `1.5`: "float", `1.0`: "float", `1e3`: "float", `0.1`: "float", `27.50`: "float", `1e308`: "float", `5e-324`: "float",
		`1e400`: "decimal", `1e-400`: "decimal", `0.1000000000000000055511151231257827`: "decimal", `123456789012345678901234567890`: "decimal",
		`1e23`: "float", `9007199254740993.5`: "decimal", `1E+2`: "float", `1e99999999999999999999`: "decimal",
		`"2026-03-01T12:00:00Z"`: "time", `"2026-03-01T12:00:00.123456+02:00"`: "time", `"2026-03-01T12:00:00.1234567Z"`: "text",
		`"2026-03-01T12:00:00.1234560001Z"`: "text", `"2026-03-01"`: "text", `"2026-03-01 12:00:00Z"`: "text", `"0000-01-01T00:00:00Z"`: "text",
		`"2026-02-30T00:00:00Z"`: "text", `"2026-03-01T12:00:00,5Z"`: "text", `"2026-03-01T12:00:00"`: "text",
	} {
		o := options()
		o.Times = true
		g := newEngine(t, o)
		e := event(inlet.TypeTrack, "Typed", `{"v":`+value+`}`)
		requireAll(t, e, g.write(e))
		c := g.schema.Table("typed").Find("properties.v")
		require.NotNil(t, c, value)
		require.Equal(t, want, types[c.Type], value)
		require.Empty(t, g.left, value)
		o.Times, o.Decimals = false, true
		g = newEngine(t, o)
		requireAll(t, e, g.write(e))
		if c := g.schema.Table("typed").Find("properties.v"); strings.Trim(value, `"tf[`) == value {
			require.Equal(t, tables.Decimal, c.Type, value)
		} else {
			require.NotEqual(t, tables.Time, c.Type, value)
		}
	}
}

// TestOtherTypes has values that come after those which have decided the type of a column.
func TestOtherTypes(t *testing.T) {
	t.Parallel()
	values := []string{
		`true`, `"text"`, `""`, `1`, `-0`, `1.0`, `1.5`, `1e400`, `9223372036854775808`, `[1]`, `{"deep":1}`, `null`, `{}`, `"2026-03-01T12:00:00Z"`,
		`0.1000000000000000055511151231257827`, `1e99999999999`, `"\u0000"`, `"1"`, `"true"`,
	}
	for _, first := range values {
		for _, times := range []bool{false, true} {
			o := options()
			o.Times = times
			g := newEngine(t, o)
			e := event(inlet.TypeTrack, "Typed", `{"v":`+first+`}`)
			requireAll(t, e, g.write(e))
			var before tables.Type
			if c := g.schema.Table("typed"); c != nil && c.Find("properties.v") != nil {
				before = c.Find("properties.v").Type
			}
			for _, then := range values {
				e := event(inlet.TypeTrack, "Typed", `{"v":`+then+`}`)
				requireAll(t, e, g.write(e))
				if before != 0 {
					require.Equal(t, before, g.schema.Table("typed").Find("properties.v").Type, "a type never changes")
				}
			}
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	write := func(o tables.Options, e *inlet.Event, first ...*inlet.Event) *engine {
		g := newEngine(t, o)
		for _, e := range first {
			requireAll(t, e, g.write(e))
		}
		requireAll(t, e, g.write(e))
		requireSound(t, g.schema, o)
		return g
	}
	few := options()
	few.MaxColumns = 15
	track := func(name, properties string) *inlet.Event { return event(inlet.TypeTrack, name, properties) }

	require.Equal(t, map[string]int{"type": 1}, write(options(), track("A", `{"n":1.5}`), track("A", `{"n":1}`)).left)
	require.Equal(t, map[string]int{"columns": 3}, write(few, track("A", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1}`)).left)
	require.Equal(t, map[string]int{"depth": 1}, write(options(), track("A", `{"a":{"b":{"c":{"d":1,"e":2}}}}`)).left)
	require.Equal(t, map[string]int{"name": 2}, write(options(), track("A", `{"a\u0000":1,"a\ufffd":2,"`+strings.Repeat("x", 1000)+`":3}`)).left)
	none := options()
	none.MaxTables = 1
	require.Equal(t, map[string]int{"tables": 2}, write(none, track("B", `{"a":1,"b":{"c":2}}`), track("A", `{}`)).left)
	row := options()
	row.RowBytes = 100
	require.Equal(t, map[string]int{"row": 2}, write(row, track("A", `{"a":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","b":"bbbbbbbbbbbbbbbbbbbbbbbbbbb","c":1}`)).left)

	g := newEngine(t, options())
	g.fixed = true
	e := event(inlet.TypePage, "Home", `{"a":1,"name":"Home"}`)
	requireAll(t, e, g.write(e))
	require.Equal(t, map[string]int{"schema": 1}, g.left)

	g = newEngine(t, options())
	g.foreign = map[string]bool{"orders": true}
	for range 2 {
		e := track("Orders", `{"a":1}`)
		requireAll(t, e, g.write(e))
		require.Equal(t, map[string]int{"tables": 1}, g.left)
	}
}

// TestNames has names that clean to the same one, to none, and to those of other columns.
func TestNames(t *testing.T) {
	t.Parallel()
	o := options()
	g := newEngine(t, o)
	names := []string{
		"a b", "a_b", "aB", "A B", "a.b", "", "!", "?", "__proto__", "constructor", "_extra", "id", "ID", "received_at", "receivedAt",
		"event", "event_text", "user_id", "_source_id", "ctid", "_seq", "select", "order", "e\u0301", "\u00e9", "context_page_url",
		strings.Repeat("long", 20), strings.Repeat("long", 20) + "x", strings.Repeat("ü", 40), "\\", "\\.", ".", "a\\.b", "a\\", "日本", "2fa",
	}
	object := map[string]int{}
	for i, name := range names {
		object[name] = i
	}
	text, err := json.Marshal(object)
	require.NoError(t, err)
	e := event(inlet.TypeTrack, "Names", string(text))
	e.Context = json.RawMessage(`{"page":{"url":"u"},"page_url":"v","pageUrl":"w"}`)
	requireAll(t, e, g.write(e))
	require.Empty(t, g.left, "each has a column")
	requireSound(t, g.schema, o)
	table := g.schema.Table("names")

	before := table.Specs()
	e2 := event(inlet.TypeTrack, "Names", string(text))
	requireAll(t, e2, g.write(e2))
	require.Equal(t, before, g.schema.Table("names").Specs(), "a name stays")
	reloaded := tables.NewSchema(o).With("names", before)
	for _, spec := range before {
		require.Equal(t, spec.Name, reloaded.Table("names").Find(spec.Path).Name)
	}
}

// TestManyEvents writes 10,000 events with names of their own, and one with 2,000 properties.
func TestManyEvents(t *testing.T) {
	t.Parallel()
	o := options()
	o.MaxTables, o.MaxColumns = 500, 400
	g := newEngine(t, o)
	var list []*inlet.Event
	for i := range 10_000 {
		list = append(list, event(inlet.TypeTrack, fmt.Sprintf("Event %d", i), fmt.Sprintf(`{"n%d":%d}`, i, i)))
	}
	rows := g.write(list...)
	require.Equal(t, 500, g.schema.Events())
	require.Len(t, rows, 10_500)
	require.Equal(t, map[string]int{"tables": 9_500}, g.left)
	for i, next := 0, 0; i < len(list); i++ {
		end := next + 1
		for end < len(rows) && rows[end].table.Name != "tracks" {
			end++
		}
		if i%101 == 0 {
			requireAll(t, list[i], rows[next:end])
		}
		next = end
	}
	var wide strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&wide, `,"p%d":"some text of the %dth"`, i, i)
	}
	e := event(inlet.TypeTrack, "Event 1", "{"+wide.String()[1:]+"}")
	requireAll(t, e, g.write(e))
	requireSound(t, g.schema, o)
	require.Equal(t, 400, len(g.schema.Table("event_1").Columns))
	require.Equal(t, 2000, len(rowsValues(g.rows))+g.left["columns"]+g.left["row"])
}

func rowsValues(rows []*stored) map[string]string {
	all := map[string]string{}
	for _, r := range rows {
		for path, value := range r.values {
			all[path] = value
		}
	}
	return all
}

// TestSamples writes the events of the conformance suite.
func TestSamples(t *testing.T) {
	t.Parallel()
	o := options()
	g := newEngine(t, o)
	for _, e := range sinktest.Events(84) {
		rows := g.write(e)
		want := leaves(t, e)
		for path := range leavesOfEnvelope(e) {
			require.Contains(t, rows[0].extra, path)
			delete(rows[0].extra, path)
		}
		require.NotNil(t, want)
		requireAll(t, e, rows)
	}
	requireSound(t, g.schema, o)
}

// leavesOfEnvelope returns the paths of fields of an event that its table has no column for.
func leavesOfEnvelope(e *inlet.Event) map[string]bool {
	found := map[string]bool{}
	if e.Warnings != 0 {
		found["warnings"] = true
	}
	return found
}

// An author makes events at random: of few names, so that they meet, with every kind of value.
type author struct{ *rand.Rand }

var fragments = []string{
	"a", "b", "aB", "a b", "a_b", "A", "", ".", "\\", "id", "_extra", "name", "user_id", "received_at", "event", "__proto__", "\x00", "\uFFFD",
	"ü", "e\u0301", "日本", "\U0001F389", "2", "ctid", "order", "page", "properties", "context", "traits", "'", `"`, "$1", "%s", ";--",
}

func (a author) name() string {
	name := fragments[a.IntN(len(fragments))]
	if a.IntN(4) == 0 {
		name += fragments[a.IntN(len(fragments))]
	}
	if a.IntN(40) == 0 {
		name = strings.Repeat(name+"x", 40)
	}
	return name
}

var scalars = []string{
	"true", "false", "null", `""`, `"x"`, `"\u0000"`, `"2026-03-01T12:00:00Z"`, `"\ud83c\udf89"`, "0", "-0", "1", "1.5", "1.0", "1e5", "-7.25e-3",
	"9223372036854775807", "9223372036854775808", "1e400", "0.1000000000000000055511151231257827", "1E200000", "[]", `[1,{"a":null}]`, "{}", `[[[]]]`,
}

func (a author) value(depth int) string {
	if depth > 0 && a.IntN(3) == 0 {
		return a.object(depth - 1)
	}
	return scalars[a.IntN(len(scalars))]
}

func (a author) object(depth int) string {
	seen := map[string]bool{}
	parts := []string{}
	for range a.IntN(6) {
		name := a.name()
		if seen[name] {
			continue
		}
		seen[name] = true
		parts = append(parts, string(quote(name))+":"+a.value(depth))
	}
	if a.IntN(5) == 0 {
		return "{ " + strings.Join(parts, " ,\n") + " }"
	}
	return "{" + strings.Join(parts, ",") + "}"
}

var eventTypes = []inlet.Type{inlet.TypeTrack, inlet.TypeTrack, inlet.TypeTrack, inlet.TypeIdentify, inlet.TypePage, inlet.TypeScreen, inlet.TypeGroup, inlet.TypeAlias}

func (a author) event() *inlet.Event {
	e := event(eventTypes[a.IntN(len(eventTypes))], a.name(), a.object(4))
	e.Context = json.RawMessage(a.object(4))
	switch a.IntN(4) {
	case 0:
		e.Traits, e.Integrations = json.RawMessage(a.object(2)), json.RawMessage(a.object(2))
	case 1:
		e.Context, e.Extra = nil, json.RawMessage(`{"channel":"web","a.b":`+a.value(2)+`}`)
	}
	switch e.Type { // as in every event, the others have none
	case inlet.TypeIdentify, inlet.TypeGroup, inlet.TypeAlias:
		e.Name = ""
	}
	return e
}

// requireNothingLost writes events at random to tables that fill up.
func requireNothingLost(t testing.TB, seed uint64, events int) {
	a := author{rand.New(rand.NewPCG(seed, 0))}
	o := options()
	o.MaxColumns, o.MaxTables, o.RowBytes = 15+a.IntN(60), 1+a.IntN(12), 150+a.IntN(3000)
	o.Times, o.Decimals = a.IntN(2) == 0, a.IntN(3) == 0
	g := newEngine(t, o)
	for range events {
		e := a.event()
		rows := g.write(e)
		requireAll(t, e, rows)
	}
	requireSound(t, g.schema, o)
}

func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	for seed := range uint64(25) {
		requireNothingLost(t, seed, 30)
	}
}

func FuzzPlace(f *testing.F) {
	a := author{rand.New(rand.NewPCG(1, 0))}
	for range 20 {
		f.Add([]byte(a.object(4)))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		e := event(inlet.TypeTrack, "Fuzz", "{}")
		if e.UnmarshalJSON([]byte(`{"type":"track","event":"Fuzz","messageId":"m","properties":`+string(object)+`}`)) != nil || e.Properties == nil || e.Properties[0] != '{' {
			return
		}
		e.MessageID, e.Source = "m-Fuzz", &inlet.Source{ID: "web"}
		e.Extra, e.Warnings = nil, 0
		g := newEngine(t, options())
		requireAll(t, e, g.write(e))
	})
}
