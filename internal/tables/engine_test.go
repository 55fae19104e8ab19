package tables_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/tables"
)

// An engine is one in memory: it has the tables that it was asked for, and the rows.
type engine struct {
	t       testing.TB
	schema  *tables.Schema
	fixed   bool // nothing is made
	rows    []*stored
	now     [2]*stored      // of the event
	left    map[string]int  // by reason
	foreign map[string]bool // tables that are not ours
}

// A stored row has the values of fields by column, and all others by path.
type stored struct {
	table  *tables.Table
	fields map[string]string
	values map[string]string // as JSON
	extra  map[string]string
}

func newEngine(t testing.TB, o tables.Options) *engine {
	return &engine{t: t, schema: tables.NewSchema(o), left: map[string]int{}}
}

func options() tables.Options {
	return tables.Options{MaxColumns: 60, MaxTables: 10, RowBytes: 7000, Reserved: []string{"ctid", "_seq"}}
}

// write places events, and returns the rows.
func (g *engine) write(events ...*inlet.Event) []*stored {
	var missing tables.Missing
	g.place(events, &missing)
	if g.fixed || !missing.Any() {
		return g.rows
	}
	for _, name := range missing.Names {
		g.create(name, missing.Wants[name])
	}
	g.place(events, nil)
	return g.rows
}

func (g *engine) place(events []*inlet.Event, missing *tables.Missing) {
	g.rows, g.left = nil, map[string]int{}
	if g.fixed {
		missing = nil
	}
	p := tables.NewPlacer(g.schema, g, missing)
	for _, e := range events {
		p.Place(e)
	}
}

// create does what an engine does: it makes the table and its columns.
func (g *engine) create(name string, wants []tables.Want) {
	t := g.schema.Table(name)
	if t == nil {
		if g.foreign[name] || g.schema.Room() == 0 {
			g.schema = g.schema.Refuse(name, wants)
			return
		}
		g.schema = g.schema.With(name, nil)
		t = g.schema.Table(name)
	}
	specs := g.schema.Choose(t, wants, func(string) bool { return false })
	g.schema = g.schema.With(name, append(t.Specs(), specs...)).Refuse(name, wants)
}

func (g *engine) Begin(at int, t *tables.Table) {
	if found := g.schema.Table(t.Name); found != nil && found != t {
		g.t.Fatalf("table %s is not that of the schema", t.Name)
	}
	g.now[at] = &stored{table: t, fields: map[string]string{}, values: map[string]string{}}
	g.rows = append(g.rows, g.now[at])
}

func (g *engine) Left(_ int, r tables.Reason) { g.left[r.String()]++ }

func (g *engine) put(at int, c *tables.Column, value string) {
	row := g.now[at]
	if row.table.Columns[c.Index] != c {
		g.t.Fatalf("column %s is not one of table %s", c.Name, row.table.Name)
	}
	into, key := row.values, c.Path
	if c.Field != tables.FieldNone {
		into, key = row.fields, c.Name
	}
	if _, twice := into[key]; twice {
		g.t.Fatalf("column %s gets a value twice", c.Name)
	}
	into[key] = value
}

func (g *engine) requireType(c *tables.Column, want tables.Type) {
	if c.Type != want {
		g.t.Fatalf("column %s has another type", c.Name)
	}
}

func (g *engine) String(at int, c *tables.Column, text string) {
	g.requireType(c, tables.Text)
	if text == "" {
		g.t.Fatalf("column %s gets an empty text", c.Name)
	}
	g.put(at, c, text)
}

func (g *engine) Text(at int, c *tables.Column, quoted []byte) {
	g.requireType(c, tables.Text)
	text, plain := tables.AppendText(nil, quoted)
	require.False(g.t, plain && bytes.ContainsRune(text, 0))
	g.put(at, c, normal(g.t, quote(string(text))))
}

func (g *engine) Bool(at int, c *tables.Column, value bool) {
	g.requireType(c, tables.Bool)
	g.put(at, c, strconv.FormatBool(value))
}

func (g *engine) Int(at int, c *tables.Column, value int64) {
	g.requireType(c, tables.Int)
	g.put(at, c, normal(g.t, strconv.AppendInt(nil, value, 10)))
}

func (g *engine) Float(at int, c *tables.Column, value float64) {
	g.requireType(c, tables.Float)
	g.put(at, c, normal(g.t, strconv.AppendFloat(nil, value, 'g', -1, 64)))
}

func (g *engine) Time(at int, c *tables.Column, value time.Time) {
	g.requireType(c, tables.Time)
	if c.Field == tables.FieldNone {
		g.put(at, c, "time "+value.UTC().Format(time.RFC3339Nano))
		return
	}
	g.put(at, c, value.UTC().Format(time.RFC3339Nano))
}

func (g *engine) JSON(at int, c *tables.Column, raw []byte) {
	if c.Field == tables.FieldExtra {
		row := g.now[at]
		require.Nil(g.t, row.extra)
		row.extra = map[string]string{}
		for path, value := range members(g.t, raw) {
			if strings.Contains(path, "\x00") { // ends in a hash
				require.Regexp(g.t, "#[0-9a-f]{32}$", path)
				path = path[:strings.LastIndex(path, "#")]
			}
			require.NotContains(g.t, row.extra, path)
			row.extra[path] = normal(g.t, value)
		}
		return
	}
	require.Contains(g.t, []tables.Type{tables.JSON, tables.Decimal}, c.Type)
	g.put(at, c, normal(g.t, raw))
}

// members returns the members of an object, and fails if a name occurs twice.
func members(t testing.TB, object []byte) map[string]json.RawMessage {
	d := json.NewDecoder(bytes.NewReader(object))
	_, err := d.Token()
	require.NoError(t, err, string(object))
	found := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		require.NoError(t, err, string(object))
		var value json.RawMessage
		require.NoError(t, d.Decode(&value), string(object))
		require.NotContains(t, found, name)
		found[name.(string)] = value
	}
	require.True(t, json.Valid(object), string(object))
	return found
}

// normal returns JSON in which equal values have one form.
func normal(t testing.TB, raw []byte) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var value any
	require.NoError(t, d.Decode(&value), string(raw))
	text, err := json.Marshal(numbers(value))
	require.NoError(t, err)
	return string(text)
}

func numbers(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = numbers(member)
		}
	case []any:
		for i, element := range v {
			v[i] = numbers(element)
		}
	case json.Number:
		return number(v.String())
	}
	return value
}

// number returns a number in one form. One with a large exponent is compared as text.
func number(text string) string {
	if strings.Trim(text, "-0.") == "" {
		return "number " + strings.TrimRight(strings.TrimSuffix(text, ".0"), ".0") + "0"
	}
	if _, exponent, found := strings.Cut(strings.ToLower(text), "e"); found && len(exponent) > 4 {
		return "number " + text
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return "number " + text
	}
	return "number " + r.String()
}

// leaves returns what is in an event at each path, as [Rows] must get it.
func leaves(t testing.TB, e *inlet.Event) map[string]string {
	found := map[string]string{}
	for root, object := range map[string]json.RawMessage{"properties": e.Properties, "traits": e.Traits, "context": e.Context} {
		if object != nil {
			addLeaves(t, found, root, object, 1)
		}
	}
	for root, object := range map[string]json.RawMessage{"integrations": e.Integrations} {
		if object != nil && len(members(t, object)) > 0 {
			found[root] = normal(t, object)
		}
	}
	if e.Extra != nil {
		for name, value := range members(t, e.Extra) {
			if text := string(bytes.TrimSpace(value)); text != "null" && !isEmpty(t, value) {
				found[escape(name)] = normal(t, value)
			}
		}
	}
	return found
}

func isEmpty(t testing.TB, value []byte) bool { return value[0] == '{' && len(members(t, value)) == 0 }

func escape(name string) string { return strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(name) }

func addLeaves(t testing.TB, found map[string]string, path string, object []byte, depth int) {
	for name, value := range members(t, object) {
		path := path + "." + escape(name)
		switch {
		case string(value) == "null", isEmpty(t, value):
		case value[0] == '{' && depth < 3:
			addLeaves(t, found, path, value, depth+1)
		default:
			found[path] = normal(t, value)
		}
	}
}

// requireAll requires that the rows of an event have all of its values, each once and nothing else.
// Values of the context are in each row.
func requireAll(t testing.TB, e *inlet.Event, rows []*stored) {
	want := leaves(t, e)
	got := map[string]string{}
	for _, row := range rows {
		require.Equal(t, e.MessageID, row.fields["id"])
		for path, value := range row.values {
			require.NotContains(t, row.extra, path, "in the column or left over")
			addOnce(t, got, path, value)
		}
		for path, value := range row.extra {
			addOnce(t, got, path, value)
		}
	}
	if e.Type == inlet.TypePage || e.Type == inlet.TypeScreen {
		if name := want["properties.name"]; got["properties.name"] == "" && name == normal(t, quote(e.Name)) {
			require.Equal(t, e.Name, rows[0].fields["name"])
			delete(want, "properties.name")
		}
	}
	for path := range maps.Keys(want) {
		if at, isTime := strings.CutPrefix(got[path], "time "); isTime { // the moment is the same
			var text string
			require.NoError(t, json.Unmarshal([]byte(want[path]), &text))
			parsed, err := time.Parse(time.RFC3339Nano, text)
			require.NoError(t, err)
			require.Equal(t, parsed.UTC().Format(time.RFC3339Nano), at)
			got[path] = want[path]
		}
	}
	require.Equal(t, want, got)
}

func quote(text string) []byte {
	quoted, _ := json.Marshal(text)
	return quoted
}

func addOnce(t testing.TB, got map[string]string, path, value string) {
	if old, found := got[path]; found {
		require.True(t, strings.HasPrefix(path, "context."), "%s is in two rows", path)
		plain := func(value string) string { return strings.Trim(strings.TrimPrefix(value, "time "), `"`) } // one of the columns may hold times
		require.Equal(t, plain(old), plain(value))
	}
	got[path] = value
}

// requireSound requires of all tables what every engine relies on.
func requireSound(t testing.TB, s *tables.Schema, o tables.Options) {
	t.Helper()
	require.LessOrEqual(t, s.Events(), o.MaxTables)
	for _, name := range s.Names() {
		table := s.Table(name)
		require.NoError(t, unsound(table, o), name)
		require.LessOrEqual(t, len(table.Columns), o.MaxColumns, name)
		require.True(t, 0 < len(name) && len(name) <= 63, name)
	}
}

func unsound(table *tables.Table, o tables.Options) error {
	names := map[string]bool{}
	for i, c := range table.Columns {
		isValue := c.Field == tables.FieldNone
		switch {
		case c.Index != i, isValue && table.Find(c.Path) != c:
			return fmt.Errorf("column %q cannot be found", c.Name)
		case names[c.Name]:
			return fmt.Errorf("there are two columns %q", c.Name)
		case c.Name == "" || len(c.Name) > 63 || strings.ContainsRune(c.Name, 0), isValue && slices.Contains(o.Reserved, c.Name):
			return fmt.Errorf("column %q has a name that it must not have", c.Name)
		}
		names[c.Name] = true
	}
	return nil
}

func event(typ inlet.Type, name string, properties string) *inlet.Event {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := &inlet.Event{
		Type: typ, Name: name, MessageID: fmt.Sprint("m-", name), UserID: "u", Timestamp: at, ReceivedAt: at, Source: &inlet.Source{ID: "web"},
	}
	if typ == inlet.TypeIdentify || typ == inlet.TypeGroup {
		e.Traits = json.RawMessage(properties)
	} else {
		e.Properties = json.RawMessage(properties)
	}
	return e
}
