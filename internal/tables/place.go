package tables

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/wire"
)

// maxDepth is how many names deep below properties, traits and context values get columns.
const maxDepth = 3

// maxPath is the maximum length of a path that gets a column, in bytes.
const maxPath = 1000

// A Reason is why a value is left over.
type Reason uint8

// The reasons.
const (
	ReasonType    Reason = iota // the column has another type
	ReasonColumns               // the table has MaxColumns
	ReasonTables                // the event has no table of its own
	ReasonDepth                 // it is too deep
	ReasonName                  // its name cannot be one of a column
	ReasonRow                   // the row is full
	ReasonSchema                // the column may not be made
	Reasons                     // how many there are
)

// String returns the reason in a word.
func (r Reason) String() string {
	return [...]string{"type", "columns", "tables", "depth", "name", "row", "schema"}[r]
}

// Rows gets the values of rows, in any order within a row. Columns without a value are null.
type Rows interface {
	// Begin begins a row of a table.
	Begin(t *Table)
	// String is the text of a field, never empty.
	String(c *Column, text string)
	// Text is a text, as JSON.
	Text(c *Column, quoted []byte)
	Bool(c *Column, value bool)
	Int(c *Column, value int64)
	Float(c *Column, value float64)
	Time(c *Column, value time.Time)
	// JSON is an array, a number, or the object of what is left over, as JSON. It is valid until
	// JSON returns.
	JSON(c *Column, raw []byte)
	// Left is called for each value that is left over for a reason.
	Left(r Reason)
}

// A Want is a value that has no column.
type Want struct {
	Path string
	Type Type
}

// Missing are the columns that events need and that do not exist, by table, in order.
type Missing struct {
	Names  []string // of tables
	Wants  map[string][]Want
	tables map[string]*Table // the new ones
	paths  map[string]map[string]bool
	events int // new tables
}

// Any reports whether there are any.
func (m *Missing) Any() bool { return len(m.Names) > 0 }

func (m *Missing) note(table string) {
	if _, known := m.Wants[table]; known {
		return
	}
	if m.Wants == nil {
		m.Wants, m.paths = map[string][]Want{}, map[string]map[string]bool{}
	}
	m.Names = append(m.Names, table)
	m.Wants[table], m.paths[table] = nil, map[string]bool{}
}

// A Placer finds the places of events in a schema. Make one with [NewPlacer].
type Placer struct {
	schema  *Schema
	out     Rows
	missing *Missing // nil if nothing may be made
	known   map[string]*Table
	row     row
	names   [maxDepth + 1][]byte // quoted, of the value at hand; the first one is the root
	extra   []byte
	path    []byte
}

// A row is the one at hand.
type row struct {
	table *Table
	event *inlet.Event
	room  int    // bytes
	cause Reason // why nothing has a column, or Reasons
}

// NewPlacer returns a placer that gives rows to out. Where missing is not nil, it notes there what
// does not exist, and the rows are not complete.
func NewPlacer(s *Schema, out Rows, missing *Missing) *Placer {
	return &Placer{schema: s, out: out, missing: missing, known: map[string]*Table{}}
}

// Place gives the rows of an event to Rows: that of the table of its type, and, for a track, that
// of the table of its name.
func (p *Placer) Place(e *inlet.Event) {
	t := p.schema.tables[baseOf(e.Type)]
	if e.Type != inlet.TypeTrack {
		p.begin(t, e, "")
		p.values(context, e.Context)
		p.content(e)
		p.rest(e)
		p.end()
		return
	}
	name, own := p.eventTable(e.Name)
	p.begin(t, e, name)
	p.values(context, e.Context)
	if own == nil {
		p.row.cause = ReasonTables
		p.content(e)
	}
	p.rest(e)
	p.end()
	if own == nil {
		return
	}
	p.begin(own, e, name)
	p.values(context, e.Context)
	p.content(e)
	p.end()
}

// content places the properties and traits of an event.
func (p *Placer) content(e *inlet.Event) {
	p.values(properties, e.Properties)
	p.values(traits, e.Traits)
}

// maxKnown is how many names of events a placer keeps the tables of.
const maxKnown = 2000

// eventTable returns the table of the events of a name, nil if they have none.
func (p *Placer) eventTable(event string) (name string, t *Table) {
	if t, found := p.known[event]; found {
		return t.Name, t
	}
	name = TableOf(event)
	if t = p.findTable(name); t != nil && event != "" {
		if len(p.known) >= maxKnown {
			clear(p.known)
		}
		p.known[event] = t
		return name, t
	}
	return name, nil
}

func (p *Placer) findTable(name string) *Table {
	t, m := p.schema.tables[name], p.missing
	if t != nil || m == nil || p.schema.lacks[name] {
		return t
	}
	if t = m.tables[name]; t == nil && m.events < p.schema.Room() {
		m.note(name)
		m.events++
		if m.tables == nil {
			m.tables = map[string]*Table{}
		}
		t = p.schema.newTable(name)
		m.tables[name] = t
	}
	return t
}

// begin begins a row, with its fields.
func (p *Placer) begin(t *Table, e *inlet.Event, eventName string) {
	p.row = row{table: t, event: e, room: p.schema.opts.RowBytes, cause: Reasons}
	p.extra = p.extra[:0]
	p.out.Begin(t)
	for _, c := range t.Columns {
		switch c.Field {
		case FieldNone:
			return // the fields come first
		case FieldExtra:
		case FieldReceivedAt, FieldSentAt, FieldOriginalTimestamp, FieldTimestamp:
			if at := timeOf(c.Field, e); !at.IsZero() {
				p.out.Time(c, at)
				p.row.room -= 8
			}
		default:
			text := eventName
			if c.Field != FieldEventName {
				text = textOf(c.Field, e)
			}
			if text != "" {
				p.out.String(c, text)
				p.row.room -= textRoom(len(text))
			}
		}
	}
}

func timeOf(f Field, e *inlet.Event) time.Time {
	switch f {
	case FieldReceivedAt:
		return e.ReceivedAt
	case FieldSentAt:
		return e.SentAt
	case FieldOriginalTimestamp:
		return e.OriginalTimestamp
	}
	return e.Timestamp
}

func textOf(f Field, e *inlet.Event) string {
	switch f {
	case FieldSource:
		return e.Source.ID
	case FieldID:
		return e.MessageID
	case FieldAnonymousID:
		return e.AnonymousID
	case FieldUserID:
		return e.UserID
	case FieldGroupID:
		return e.GroupID
	case FieldPreviousID:
		return e.PreviousID
	}
	return e.Name
}

// textRoom is how much of a row a text of n bytes needs, moved out of it if it is long.
func textRoom(n int) int { return min(n+4, 24) + 4 }

// end ends the row, with what is left over.
func (p *Placer) end() {
	if len(p.extra) > 0 {
		p.out.JSON(p.row.table.Of(FieldExtra), append(p.extra, '}'))
	}
}

// rest leaves over what has no columns by design, so that it is not lost.
func (p *Placer) rest(e *inlet.Event) {
	if e.Integrations != nil && !wire.EmptyObject(e.Integrations) {
		p.names[0] = append(p.names[0][:0], `"integrations"`...)
		p.leave(0, e.Integrations)
	}
	t := p.row.table
	if t.Of(FieldGroupID) == nil {
		p.leaveText(canonical.GroupID, e.GroupID)
	}
	if t.Of(FieldPreviousID) == nil {
		p.leaveText(canonical.PreviousID, e.PreviousID)
	}
	if t.Of(FieldName) == nil {
		p.leaveText(canonical.Name, e.Name)
	}
	if e.Warnings != 0 {
		p.names[0] = append(p.names[0][:0], `"warnings"`...)
		codes := []byte{'['}
		for code := range e.Warnings.Codes() {
			codes = append(wire.AppendString(codes, code), ',')
		}
		codes[len(codes)-1] = ']'
		p.leave(0, codes)
	}
	if wire.Kind(e.Extra) != '{' {
		return
	}
	for w := wire.Walk(e.Extra); w.Next(); {
		if wire.Kind(w.Value) != 'n' && !wire.EmptyObject(w.Value) {
			p.names[0] = append(p.names[0][:0], w.Name...)
			p.leave(0, w.Value)
		}
	}
}

func (p *Placer) leaveText(name, text string) {
	if text != "" {
		p.names[0] = wire.AppendString(p.names[0][:0], name)
		p.leave(0, wire.AppendString(nil, text))
	}
}

// values places the values of a raw field. Anything but an object is left over.
func (p *Placer) values(root string, object []byte) {
	if wire.Kind(object) == 0 {
		return
	}
	p.names[0] = append(append(append(p.names[0][:0], '"'), root...), '"')
	if wire.Kind(object) != '{' {
		p.leave(0, object)
		return
	}
	p.object(p.row.table.nodes[string(p.names[0])], object, 1)
}

// object places the values of an object, whose names are at a depth.
func (p *Placer) object(n *node, object []byte, depth int) {
	for w := wire.Walk(object); w.Next(); {
		kind := wire.Kind(w.Value)
		if kind == 'n' || kind == '{' && wire.EmptyObject(w.Value) {
			continue
		}
		p.names[depth] = w.Name
		var child *node
		if n != nil {
			child = n.children[string(w.Name)]
		}
		switch {
		case kind != '{':
			p.value(child, w.Value, depth)
		case depth < maxDepth:
			p.object(child, w.Value, depth+1)
		default:
			p.leaveFor(ReasonDepth, w.Value, depth)
		}
	}
}

// value places a value other than an object.
func (p *Placer) value(n *node, raw []byte, depth int) {
	switch {
	case p.row.cause != Reasons:
		p.leaveFor(p.row.cause, raw, depth)
	case p.isName(depth, raw):
	case n != nil && n.column != nil:
		need := textRoom(len(raw))
		if t := n.column.Type; t == Bool || t == Int || t == Float || t == Time {
			need = 8
		}
		switch {
		case need > p.row.room:
			p.leaveFor(ReasonRow, raw, depth)
		case put(p.out, n.column, raw):
			p.row.room -= need
		default:
			p.leaveFor(ReasonType, raw, depth)
		}
	case p.row.table.full:
		p.leaveFor(ReasonColumns, raw, depth)
	case n != nil && n.refused:
		p.leaveFor(ReasonName, raw, depth)
	default:
		p.unknown(raw, depth)
	}
}

// isName reports whether a value is the name of a page or screen once more, as browser libraries
// send it: it is in the column of the name already.
func (p *Placer) isName(depth int, raw []byte) bool {
	if depth != 1 || string(p.names[1]) != `"name"` || string(p.names[0]) != `"properties"` {
		return false
	}
	e := p.row.event
	return (e.Type == inlet.TypePage || e.Type == inlet.TypeScreen) && e.Name != "" && wire.Kind(raw) == '"' && wire.Text(raw) == e.Name
}

// unknown notes that a value has no column, or leaves it over if it cannot get one.
func (p *Placer) unknown(raw []byte, depth int) {
	path := p.pathOf(depth)
	if len(path) > maxPath || bytes.IndexByte(path, 0) >= 0 {
		p.leaveFor(ReasonName, raw, depth)
		return
	}
	t, m := p.row.table, p.missing
	if m == nil {
		p.leaveFor(ReasonSchema, raw, depth)
		return
	}
	m.note(t.Name)
	if paths := m.paths[t.Name]; !paths[string(path)] && len(t.Columns)+len(paths) < p.schema.opts.MaxColumns {
		paths[string(path)] = true
		m.Wants[t.Name] = append(m.Wants[t.Name], Want{Path: string(path), Type: p.schema.opts.typeOf(raw)})
	}
}

// pathOf returns the path of the value at hand, which is valid until the next call.
func (p *Placer) pathOf(depth int) []byte {
	p.path = p.path[:0]
	for i, quoted := range p.names[:depth+1] {
		if i > 0 {
			p.path = append(p.path, '.')
		}
		name, plain := wire.Plain(quoted)
		if !plain {
			name = wire.AppendText(nil, quoted)
		}
		if bytes.ContainsAny(name, `.\`) {
			name = []byte(escapeName(string(name)))
		}
		p.path = append(p.path, name...)
	}
	return p.path
}

// leaveFor leaves a value over, for a reason.
func (p *Placer) leaveFor(r Reason, raw []byte, depth int) {
	p.out.Left(r)
	p.leave(depth, raw)
}

// leave adds a value to those that are left over, under its path. An engine that cannot hold U+0000
// replaces it, so a path with it ends in a hash.
func (p *Placer) leave(depth int, raw []byte) {
	if len(p.extra) == 0 {
		p.extra = append(p.extra, '{')
	} else {
		p.extra = append(p.extra, ',')
	}
	path := p.pathOf(depth)
	if bytes.IndexByte(path, 0) >= 0 {
		hash := sha256.Sum256(path)
		path = append(append(slices.Clone(path), '#'), hex.EncodeToString(hash[:16])...)
	}
	p.extra = wire.AppendString(p.extra, string(path))
	p.extra = append(append(p.extra, ':'), raw...)
}
