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

// Rows gets the values of rows, in any order within a row. Columns without a value are null. An
// event has one row or two, at 0 and 1, which are begun before their values come.
type Rows interface {
	// Begin begins a row of a table.
	Begin(at int, t *Table)
	// String is the text of a field, never empty.
	String(at int, c *Column, text string)
	// Text is a text, as JSON.
	Text(at int, c *Column, quoted []byte)
	Bool(at int, c *Column, value bool)
	Int(at int, c *Column, value int64)
	Float(at int, c *Column, value float64)
	Time(at int, c *Column, value time.Time)
	// JSON is an array, a number, or the object of what is left over, as JSON. It is valid until
	// JSON returns.
	JSON(at int, c *Column, raw []byte)
	// Left is called for each value that is left over for a reason.
	Left(at int, why Reason)
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
	event   *inlet.Event
	rows    []row                // of the event: one, or two with values of the same context
	names   [maxDepth + 1][]byte // quoted, of the value at hand; the first one is the root
	path    []byte
}

// A row is one of the event at hand.
type row struct {
	table *Table
	room  int    // bytes
	cause Reason // why nothing has a column, or Reasons
	extra []byte
}

// NewPlacer returns a placer that gives rows to out. Where missing is not nil, it notes there what
// does not exist, and the rows are not complete.
func NewPlacer(s *Schema, out Rows, missing *Missing) *Placer {
	return &Placer{schema: s, out: out, missing: missing, known: map[string]*Table{}, rows: make([]row, 2)}
}

// Place gives the rows of an event to Rows: that of the table of its type, and, for a track, that
// of the table of its name.
func (p *Placer) Place(e *inlet.Event) {
	p.event = e
	base := p.schema.tables[baseOf(e.Type)]
	if e.Type != inlet.TypeTrack {
		p.begin(0, base, "")
		p.values(context, e.Context, 0, 1)
		p.content(0)
		p.rest()
		p.end(1)
		return
	}
	name, own := p.eventTable(e.Name)
	p.begin(0, base, name)
	if own == nil {
		p.values(context, e.Context, 0, 1)
		p.rows[0].cause = ReasonTables
		p.content(0)
		p.rest()
		p.end(1)
		return
	}
	p.begin(1, own, name)
	p.values(context, e.Context, 0, 2)
	p.content(1)
	p.rest()
	p.end(2)
}

// content places the properties and traits of the event in a row.
func (p *Placer) content(at int) {
	p.values(properties, p.event.Properties, at, at+1)
	p.values(traits, p.event.Traits, at, at+1)
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
func (p *Placer) begin(at int, t *Table, eventName string) {
	r := &p.rows[at]
	*r = row{table: t, room: p.schema.opts.RowBytes, cause: Reasons, extra: r.extra[:0]}
	p.out.Begin(at, t)
	for _, c := range t.Columns {
		switch c.Field {
		case FieldNone:
			return // the fields come first
		case FieldExtra:
		case FieldReceivedAt, FieldSentAt, FieldOriginalTimestamp, FieldTimestamp:
			if moment := timeOf(c.Field, p.event); !moment.IsZero() {
				p.out.Time(at, c, moment)
				r.room -= fixedRoom
			}
		default:
			text := eventName
			if c.Field != FieldEventName {
				text = textOf(c.Field, p.event)
			}
			if text != "" {
				p.out.String(at, c, text)
				r.room -= textRoom(len(text))
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

// fixedRoom is how much of a row a number, a time or a truth value needs, and textRoom how much a
// text of n bytes does, moved out of it if it is long.
const fixedRoom = 8

func textRoom(n int) int { return min(n+4, 24) + 4 }

// roomOf returns how much of a row a value needs in a column.
func roomOf(t Type, raw []byte) int {
	switch t {
	case Bool, Int, Float, Time:
		return fixedRoom
	}
	return textRoom(len(raw))
}

// end ends the first n rows, with what is left over.
func (p *Placer) end(n int) {
	for at := range n {
		if r := &p.rows[at]; len(r.extra) > 0 {
			r.extra = append(r.extra, '}')
			p.out.JSON(at, r.table.Of(FieldExtra), r.extra)
		}
	}
}

// rest leaves over, in the first row, what has no columns by design, so that it is not lost.
func (p *Placer) rest() {
	e, t := p.event, p.rows[0].table
	if e.Integrations != nil && !wire.EmptyObject(e.Integrations) {
		p.leaveMember(canonical.Integrations, e.Integrations)
	}
	if e.GroupID != "" && t.Of(FieldGroupID) == nil {
		p.leaveMember(canonical.GroupID, wire.AppendString(nil, e.GroupID))
	}
	if e.PreviousID != "" && t.Of(FieldPreviousID) == nil {
		p.leaveMember(canonical.PreviousID, wire.AppendString(nil, e.PreviousID))
	}
	if e.Name != "" && t.Of(FieldName) == nil {
		p.leaveMember(canonical.Name, wire.AppendString(nil, e.Name))
	}
	if e.Warnings != 0 {
		p.leaveMember(canonical.Warnings, warnings(e))
	}
	if wire.Kind(e.Extra) != '{' {
		return
	}
	for w := wire.Walk(e.Extra); w.Next(); {
		if wire.Kind(w.Value) != 'n' && !wire.EmptyObject(w.Value) {
			p.names[0] = append(p.names[0][:0], w.Name...)
			p.leave(0, w.Value, 0)
		}
	}
}

// warnings returns the codes of an event's warnings, of which there is one at least.
func warnings(e *inlet.Event) []byte {
	codes := []byte{'['}
	for code := range e.Warnings.Codes() {
		codes = append(wire.AppendString(codes, code), ',')
	}
	codes[len(codes)-1] = ']'
	return codes
}

// leaveMember leaves over a member of the event in the first row.
func (p *Placer) leaveMember(name string, raw []byte) {
	p.root(name)
	p.leave(0, raw, 0)
}

// root makes a member of the event the one at hand.
func (p *Placer) root(name string) {
	p.names[0] = append(append(append(p.names[0][:0], '"'), name...), '"')
}

// values places the values of a raw field in the rows from inclusive to to exclusive. Anything but
// an object is left over.
func (p *Placer) values(root string, object []byte, from, to int) {
	if wire.Kind(object) == 0 {
		return
	}
	p.root(root)
	if wire.Kind(object) != '{' {
		for at := from; at < to; at++ {
			p.leave(at, object, 0)
		}
		return
	}
	var nodes [2]*node
	for at := from; at < to; at++ {
		nodes[at] = p.rows[at].table.nodes.children[string(p.names[0])]
	}
	p.object(nodes, object, 1, from, to)
}

// object places the values of an object, whose names are at a depth. Each row has its own node.
func (p *Placer) object(nodes [2]*node, object []byte, depth, from, to int) {
	var next [2]int
	for w := wire.Walk(object); w.Next(); {
		kind := wire.Kind(w.Value)
		if kind == 'n' || kind == '{' && wire.EmptyObject(w.Value) {
			continue
		}
		p.names[depth] = w.Name
		if kind == '{' && depth == maxDepth {
			for at := from; at < to; at++ {
				p.leaveFor(ReasonDepth, at, w.Value, depth)
			}
			continue
		}
		var children [2]*node
		for at := from; at < to; at++ {
			children[at] = nodes[at].child(w.Name, &next[at])
			if kind != '{' {
				p.value(at, children[at], w.Value, depth)
			}
		}
		if kind == '{' {
			p.object(children, w.Value, depth+1, from, to)
		}
	}
}

// value places a value other than an object in a row.
func (p *Placer) value(at int, n *node, raw []byte, depth int) {
	r := &p.rows[at]
	switch {
	case r.cause != Reasons:
		p.leaveFor(r.cause, at, raw, depth)
	case p.isName(depth, raw):
	case n != nil && n.column != nil:
		need := roomOf(n.column.Type, raw)
		switch {
		case need > r.room:
			p.leaveFor(ReasonRow, at, raw, depth)
		case put(p.out, at, n.column, raw):
			r.room -= need
		default:
			p.leaveFor(ReasonType, at, raw, depth)
		}
	case r.table.full:
		p.leaveFor(ReasonColumns, at, raw, depth)
	case n != nil && n.refused:
		p.leaveFor(ReasonName, at, raw, depth)
	default:
		p.unknown(at, raw, depth)
	}
}

// isName reports whether a value is the name of a page or screen once more, as browser libraries
// send it: it is in the column of the name already.
func (p *Placer) isName(depth int, raw []byte) bool {
	if depth != 1 || string(p.names[1]) != `"name"` || string(p.names[0]) != `"properties"` {
		return false
	}
	e := p.event
	return (e.Type == inlet.TypePage || e.Type == inlet.TypeScreen) && e.Name != "" && wire.Kind(raw) == '"' && wire.Text(raw) == e.Name
}

// unknown notes that a value has no column, or leaves it over if it cannot get one.
func (p *Placer) unknown(at int, raw []byte, depth int) {
	path := p.pathOf(depth)
	if len(path) > maxPath || bytes.IndexByte(path, 0) >= 0 {
		p.leaveFor(ReasonName, at, raw, depth)
		return
	}
	t, m := p.rows[at].table, p.missing
	if m == nil {
		p.leaveFor(ReasonSchema, at, raw, depth)
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

// leaveFor leaves a value over in a row, for a reason.
func (p *Placer) leaveFor(why Reason, at int, raw []byte, depth int) {
	p.out.Left(at, why)
	p.leave(at, raw, depth)
}

// leave adds a value to those that are left over in a row, under its path. An engine that cannot
// hold U+0000 replaces it, so a path with it ends in a hash.
func (p *Placer) leave(at int, raw []byte, depth int) {
	extra := p.rows[at].extra
	if len(extra) == 0 {
		extra = append(extra, '{')
	} else {
		extra = append(extra, ',')
	}
	path := p.pathOf(depth)
	if bytes.IndexByte(path, 0) >= 0 {
		hash := sha256.Sum256(path)
		path = append(append(slices.Clone(path), '#'), hex.EncodeToString(hash[:16])...)
	}
	extra = wire.AppendString(extra, string(path))
	p.rows[at].extra = append(append(extra, ':'), raw...)
}
