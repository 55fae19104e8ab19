package postgressink

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/tables"
)

// The rows of a transaction, as the binary form of the arrays of each table's statement.

// rowBytes is how much of a row is filled: a row must fit into a page of 8 KiB, with long values
// moved out of it.
const rowBytes = 7000

// reservedColumns are names that values do not get: those of PostgreSQL's own columns, and of ours
// that have no value of an event.
var reservedColumns = []string{"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "oid", "uuid_ts", "_seq"}

// A columnType is how a type is written in SQL, and passed.
type columnType struct {
	sql            string
	element, array uint32 // of the parameter
	cast           bool   // from the parameter
}

const (
	oidBool        = 16
	oidInt8        = 20
	oidFloat8      = 701
	oidBoolArray   = 1000
	oidInt8Array   = 1016
	oidFloat8Array = 1022
)

var columnTypesByType = map[tables.Type]columnType{
	tables.Text:    {"text", oidText, oidTextArray, false},
	tables.Bool:    {"boolean", oidBool, oidBoolArray, false},
	tables.Int:     {"bigint", oidInt8, oidInt8Array, false},
	tables.Float:   {"double precision", oidFloat8, oidFloat8Array, false},
	tables.Decimal: {"numeric", oidText, oidTextArray, true},
	tables.Time:    {"timestamptz", oidTimestamptz, oidTimestamptzArray, false},
	tables.JSON:    {"jsonb", oidText, oidTextArray, true},
}

// A batch is the rows of a transaction, by table. It is a [tables.Rows].
type batch struct {
	tables   map[*tables.Table]*tableRows
	now      [2]*tableRows // of the rows of the event at hand
	replaced uint64
}

func newBatch() *batch { return &batch{tables: map[*tables.Table]*tableRows{}} }

// tableRows are the rows of a table.
type tableRows struct {
	table   *tables.Table
	columns []column // by index; only used ones have a value in this batch
	used    []bool
	count   uint32
	left    [tables.Reasons]uint64

	// The text of the last statement, which is that of the next one if it has the same columns.
	sql     string
	sqlUsed []bool
	sqlWith *tables.Table // the State
}

// clear empties the batch, and keeps its memory for tables of the schema.
func (b *batch) clear(schema *tables.Schema) {
	b.now, b.replaced = [2]*tableRows{}, 0
	for t, r := range b.tables {
		if schema.Table(t.Name) != t {
			delete(b.tables, t)
			continue
		}
		clear(r.used)
		r.count, r.left = 0, [tables.Reasons]uint64{}
	}
}

// fill replaces the rows by those of events, and returns what they need that does not exist.
func (b *batch) fill(schema *tables.Schema, events []*inlet.Event, missing *tables.Missing) {
	b.clear(schema)
	p := tables.NewPlacer(schema, b, missing)
	for _, e := range events {
		p.Place(e)
	}
}

// list returns the tables that have rows, in the order of their names: transactions that use the
// same tables lock them in the same order.
func (b *batch) list() (list []*tableRows) {
	for _, r := range b.tables {
		if r.count > 0 {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *tableRows) int { return strings.Compare(a.table.Name, b.table.Name) })
	return list
}

// memory returns how much memory the batch holds, in bytes.
func (b *batch) memory() (total int) {
	for _, r := range b.tables {
		for i := range r.columns {
			total += cap(r.columns[i].data)
		}
	}
	return total
}

// Begin begins a row.
func (b *batch) Begin(at int, t *tables.Table) {
	r := b.tables[t]
	if r == nil {
		r = &tableRows{table: t, columns: make([]column, len(t.Columns)), used: make([]bool, len(t.Columns))}
		b.tables[t] = r
	}
	r.count++
	b.now[at] = r
}

// Left counts a value that is left over.
func (b *batch) Left(at int, why tables.Reason) { b.now[at].left[why]++ }

// column returns the column that a value of the row is added to next.
func (b *batch) column(at int, c *tables.Column) *column {
	r := b.now[at]
	col := &r.columns[c.Index]
	if !r.used[c.Index] {
		r.used[c.Index] = true
		if col.data == nil {
			col.data = make([]byte, 0, 512)
		}
		col.begin()
	}
	col.pad(r.count - 1)
	return col
}

// begin empties the column, whose data is not nil.
func (c *column) begin() {
	c.data = slices.Grow(c.data[:0], arrayHeader)[:arrayHeader]
	c.nulls, c.count = false, 0
}

// pad adds nulls until there are n values.
func (c *column) pad(n uint32) {
	for c.count < n {
		c.addNull()
	}
}

// String adds the text of a field.
func (b *batch) String(at int, c *tables.Column, text string) {
	col := b.column(at, c)
	switch {
	case strings.IndexByte(text, 0) < 0:
		col.addKey(text)
	case c.Required():
		col.addKey(keyText(text))
	default:
		b.replaced++
		col.addText(text)
	}
}

// Text adds the text of a JSON string.
func (b *batch) Text(at int, c *tables.Column, quoted []byte) {
	if b.column(at, c).addQuoted(quoted) {
		b.replaced++
	}
}

// Bool adds a value.
func (b *batch) Bool(at int, c *tables.Column, value bool) {
	col := b.column(at, c)
	col.count++
	bit := byte(0)
	if value {
		bit = 1
	}
	col.data = append(binary.BigEndian.AppendUint32(col.data, 1), bit)
}

// Int adds a value.
func (b *batch) Int(at int, c *tables.Column, value int64) { b.column(at, c).addUint64(uint64(value)) }

// Float adds a value.
func (b *batch) Float(at int, c *tables.Column, value float64) {
	b.column(at, c).addUint64(math.Float64bits(value))
}

// Time adds a value.
func (b *batch) Time(at int, c *tables.Column, value time.Time) { b.column(at, c).addTime(value) }

// JSON adds a value as text.
func (b *batch) JSON(at int, c *tables.Column, raw []byte) {
	col := b.column(at, c)
	start := len(col.data) + 4
	col.addKey("")
	col.data = append(col.data, raw...)
	if replaceNUL(col.data[start:]) {
		b.replaced++
	}
	col.setLength(start)
}

func (c *column) addUint64(value uint64) {
	c.count++
	c.data = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(c.data, 8), value)
}

// setLength notes the length of the last value, which begins at start.
func (c *column) setLength(start int) {
	binary.BigEndian.PutUint32(c.data[start-4:], uint32(len(c.data)-start))
}

// addQuoted adds the text of a JSON string, with U+FFFD for U+0000.
func (c *column) addQuoted(quoted []byte) (replaced bool) {
	start := len(c.data) + 4
	c.addKey("")
	data, plain := tables.AppendText(c.data, quoted)
	c.data = data
	if text := c.data[start:]; !plain && bytes.IndexByte(text, 0) >= 0 {
		c.data = append(c.data[:start], bytes.ReplaceAll(text, []byte{0}, []byte("\uFFFD"))...)
		replaced = true
	}
	c.setLength(start)
	return replaced
}

// A statement is one of a transaction.
type statement struct {
	sql    string
	params [][]byte
	types  []uint32
}

// insert returns the statement that inserts the rows. For a table with a State it returns how many
// are new; state is that table.
func (s *Tables) insert(r *tableRows, state *tables.Table) (st statement) {
	if r.sql == "" || r.sqlWith != state || !slices.Equal(r.used, r.sqlUsed) {
		r.sql, r.sqlWith, r.sqlUsed = s.insertText(r, state), state, append(r.sqlUsed[:0], r.used...)
	}
	st.sql = r.sql
	for i, c := range r.table.Columns {
		if r.used[i] {
			r.columns[i].pad(r.count)
			t := columnTypesByType[c.Type]
			st.params, st.types = append(st.params, r.columns[i].array(t.element)), append(st.types, t.array)
		}
	}
	return st
}

func (s *Tables) insertText(r *tableRows, state *tables.Table) (text string) {
	var into, values, params, names []string
	for i, c := range r.table.Columns {
		if !r.used[i] {
			continue
		}
		t := columnTypesByType[c.Type]
		name := fmt.Sprintf("c%d", i)
		value := name
		if t.cast {
			value += "::" + t.sql
		}
		into, values, names = append(into, quoteName(c.Name)), append(values, value), append(names, name)
		params = append(params, fmt.Sprintf("$%d", len(params)+1))
	}
	list := func(parts []string) string { return strings.Join(parts, ", ") }
	text = fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM unnest(%s) AS e(%s) ON CONFLICT DO NOTHING",
		s.name(r.table.Name), list(into), list(values), list(params), list(names))
	if state != nil {
		text = s.withState(r, state, text)
	}
	return text
}

// maxStateKey is how long the id of a person or group may be to have a row of latest values, in
// bytes: longer ones do not fit into an index.
const maxStateKey = 1000

// withState returns a statement that runs insert, and adds the new rows to the table of the latest
// values of each person or group. The latest row that has a value decides. Rows come in the order
// of their keys, so that concurrent transactions lock them in the same order.
func (s *Tables) withState(r *tableRows, state *tables.Table, insert string) string {
	id, source := quoteName(state.Of(tables.FieldID).Name), quoteName(state.Of(tables.FieldSource).Name)
	at := quoteName(state.Of(tables.FieldReceivedAt).Name)
	key := quoteName(r.table.Of(r.table.StateKey).Name)
	into := []string{source, id, at}
	values := []string{source, key, "max(" + at + ")"}
	set := []string{"uuid_ts = now()", fmt.Sprintf("%s = greatest(u.%[1]s, excluded.%[1]s)", at)}
	for i, c := range r.table.Columns {
		name := quoteName(c.Name)
		switch {
		case !r.used[i], c.Field != tables.FieldNone && c.Field != tables.FieldExtra:
			continue
		case c.Field == tables.FieldNone && state.Find(c.Path) == nil:
			continue
		}
		into = append(into, name)
		values = append(values, fmt.Sprintf("(array_agg(%s ORDER BY %s DESC, _seq DESC) FILTER (WHERE %[1]s IS NOT NULL))[1]", name, at))
		set = append(set, fmt.Sprintf("%s = CASE WHEN excluded.%s >= u.%[2]s THEN coalesce(excluded.%[1]s, u.%[1]s) ELSE coalesce(u.%[1]s, excluded.%[1]s) END", name, at))
	}
	list := func(parts []string) string { return strings.Join(parts, ", ") }
	return fmt.Sprintf(`WITH n AS (%s RETURNING *), s AS (INSERT INTO %s AS u (%s) SELECT %s FROM n
WHERE octet_length(%s) BETWEEN 1 AND %d GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (%s, %s) DO UPDATE SET %s) SELECT count(*) FROM n`,
		insert, s.name(state.Name), list(into), list(values), key, maxStateKey, source, id, list(set))
}
