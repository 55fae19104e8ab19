package tables

import (
	"maps"
	"slices"
	"strings"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/wire"
)

// Options are the limits of an engine, and what its user wants. All are required, except as noted.
type Options struct {
	// MaxColumns is the maximum number of columns of a table.
	MaxColumns int
	// MaxTables is the maximum number of tables of events.
	MaxTables int
	// RowBytes is how much a row may need at least, with long values moved out of it. A value
	// beyond it is left over.
	RowBytes int
	// Reserved are names that no column of a value gets, since the engine has them. May be nil.
	Reserved []string
	// Times makes the column of a text in the form of RFC 3339 one of times. May be false.
	Times bool
	// Decimals makes the columns of all numbers Decimal. May be false.
	Decimals bool
}

// A Field is what a column holds that every table of its kind has.
type Field uint8

// The fields. FieldNone is that of a column whose value is at a path.
const (
	FieldNone Field = iota
	FieldSource
	FieldID
	FieldReceivedAt
	FieldSentAt
	FieldOriginalTimestamp
	FieldTimestamp
	FieldAnonymousID
	FieldUserID
	FieldGroupID
	FieldPreviousID
	FieldName      // of the event as it was sent
	FieldEventName // the name of the event's table
	FieldExtra     // what is left over, a JSON object
)

// A Column is a column of a table. It is read-only.
type Column struct {
	Name  string
	Type  Type
	Path  string // of its value in the canonical form of an event, with dots; "" for a Field
	Field Field
	Index int // in Table.Columns
}

// Required reports whether each row has a value.
func (c *Column) Required() bool {
	return c.Field == FieldSource || c.Field == FieldID || c.Field == FieldReceivedAt
}

// A Table is a table. It is read-only.
type Table struct {
	Name    string
	Columns []*Column
	// State is the table that has the latest values of each person or group of this one, or "".
	// Its rows are known by the values of StateKey.
	State    string
	StateKey Field
	// IsState reports whether the table is a State.
	IsState bool

	root  string // "properties", "traits" or ""
	nodes node   // whose children are the roots
	names map[string]bool
	full  bool
}

// IsEvent reports whether the table is that of the events of a name.
func (t *Table) IsEvent() bool { return !t.IsState && bases[t.Name] == nil }

// A node is a name on the way to values.
type node struct {
	quoted   string
	children map[string]*node // by quoted name
	ordered  []*node          // the children in the order in which events mostly have them
	column   *Column
	refused  bool // has no column although there was room: the engine did not make it
}

// child returns the node of a member. The one at next is tried first, and next is moved behind what
// is found. A nil node has no children.
func (n *node) child(quoted []byte, next *int) *node {
	if n == nil {
		return nil
	}
	if i := *next; i < len(n.ordered) && n.ordered[i].quoted == string(quoted) {
		*next = i + 1
		return n.ordered[i]
	}
	return n.children[string(quoted)]
}

// A base is a table that always exists.
type base struct {
	root     string
	fields   []Field // in addition to those that every table has
	state    string
	stateKey Field
}

const (
	properties = "properties"
	traits     = "traits"
	context    = "context"
)

// bases are the tables that hold each event once, by name.
var bases = map[string]*base{
	"tracks":     {fields: []Field{FieldEventName, FieldName}},
	"identifies": {root: traits, state: "users", stateKey: FieldUserID},
	"pages":      {root: properties, fields: []Field{FieldName}},
	"screens":    {root: properties, fields: []Field{FieldName}},
	"groups":     {root: traits, fields: []Field{FieldGroupID}, state: "accounts", stateKey: FieldGroupID},
	"aliases":    {root: traits, fields: []Field{FieldPreviousID}},
}

// isState reports whether a table is one of latest values.
func isState(name string) bool {
	for _, b := range bases {
		if b.state == name {
			return true
		}
	}
	return false
}

// baseOf returns the name of the table that holds the events of a type.
func baseOf(t inlet.Type) string {
	switch t {
	case inlet.TypeIdentify:
		return "identifies"
	case inlet.TypePage:
		return "pages"
	case inlet.TypeScreen:
		return "screens"
	case inlet.TypeGroup:
		return "groups"
	case inlet.TypeAlias:
		return "aliases"
	}
	return "tracks"
}

// common are the fields of every table that holds events, and ofStates those of the others.
var (
	common = []Field{
		FieldSource, FieldID, FieldReceivedAt, FieldSentAt, FieldOriginalTimestamp, FieldTimestamp,
		FieldAnonymousID, FieldUserID, FieldExtra,
	}
	ofStates = []Field{FieldSource, FieldID, FieldReceivedAt, FieldExtra}
)

// column returns the column of a field. Names that Segment does not have begin with an underscore.
func (f Field) column(t *Table) *Column {
	c := &Column{Type: Text, Field: f}
	switch f {
	case FieldSource:
		c.Name = "_source_id"
	case FieldID:
		c.Name = "id"
	case FieldReceivedAt:
		c.Name, c.Type = "received_at", Time
	case FieldSentAt:
		c.Name, c.Type = "sent_at", Time
	case FieldOriginalTimestamp:
		c.Name, c.Type = "original_timestamp", Time
	case FieldTimestamp:
		c.Name, c.Type = "timestamp", Time
	case FieldAnonymousID:
		c.Name = "anonymous_id"
	case FieldUserID:
		c.Name = "user_id"
	case FieldGroupID:
		c.Name = "group_id"
	case FieldPreviousID:
		c.Name = "previous_id"
	case FieldEventName:
		c.Name = "event"
	case FieldName:
		c.Name = "name"
		if t.root == "" || t.IsEvent() {
			c.Name = "event_text"
		}
	case FieldExtra:
		c.Name, c.Type = "_extra", JSON
	}
	return c
}

// newTable returns a table without columns of values.
func (s *Schema) newTable(name string) *Table {
	t := &Table{Name: name, names: map[string]bool{}}
	fields := common
	switch b := bases[name]; {
	case b != nil:
		t.root, t.State, t.StateKey = b.root, b.state, b.stateKey
		fields = slices.Concat(fields, b.fields)
	case isState(name):
		t.IsState = true
		fields = ofStates
	default:
		t.root = properties
		fields = slices.Concat(fields, []Field{FieldEventName, FieldName})
	}
	for _, f := range fields {
		t.add(f.column(t))
	}
	for _, name := range s.opts.Reserved {
		t.names[name] = true
	}
	// The columns of a table and of its State have the same names.
	for _, b := range bases {
		if b.state == name {
			for _, f := range slices.Concat(common, b.fields) {
				t.names[f.column(t).Name] = true
			}
		}
	}
	t.full = len(t.Columns) >= s.opts.MaxColumns
	return t
}

func (t *Table) add(c *Column) {
	c.Index = len(t.Columns)
	t.Columns = append(t.Columns, c)
	t.names[c.Name] = true
}

// A Schema is which tables and columns there are. It is read-only.
type Schema struct {
	opts   *Options
	tables map[string]*Table
	events int             // tables of events
	lacks  map[string]bool // tables of events that the engine did not make
}

// NewSchema returns the schema of tables that have no values yet: those that always exist.
func NewSchema(o Options) *Schema {
	s := &Schema{opts: &o, tables: map[string]*Table{}, lacks: map[string]bool{}}
	for _, name := range Always() {
		s.tables[name] = s.newTable(name)
	}
	return s
}

// Names returns the names of the tables, in order.
func (s *Schema) Names() []string { return slices.Sorted(maps.Keys(s.tables)) }

// Table returns a table, or nil.
func (s *Schema) Table(name string) *Table { return s.tables[name] }

// Events returns how many tables of events there are.
func (s *Schema) Events() int { return s.events }

// Room returns how many more tables of events there may be.
func (s *Schema) Room() int { return max(0, s.opts.MaxTables-s.events) }

// A Spec is the column of a value, as an engine stores it.
type Spec struct {
	Path, Name string
	Type       Type
}

// With returns a schema in which a table has exactly the columns of values in specs. The table may
// be new.
func (s *Schema) With(name string, specs []Spec) *Schema {
	t := s.newTable(name)
	for _, spec := range specs {
		c := &Column{Name: spec.Name, Type: spec.Type, Path: spec.Path}
		t.add(c)
		t.at(spec.Path).column = c
	}
	t.full = len(t.Columns) >= s.opts.MaxColumns
	return s.with(t)
}

// with returns a schema with a table.
func (s *Schema) with(t *Table) *Schema {
	changed := *s
	changed.tables = maps.Clone(s.tables)
	changed.tables[t.Name] = t
	if s.tables[t.Name] == nil && t.IsEvent() {
		changed.events++
	}
	return &changed
}

// Refuse returns a schema that does not ask again for what an engine did not make: a table if wants
// is nil, columns otherwise. Columns that exist are ignored.
func (s *Schema) Refuse(name string, wants []Want) *Schema {
	t := s.tables[name]
	if t == nil {
		changed := *s
		changed.lacks = maps.Clone(s.lacks)
		if len(changed.lacks) >= s.opts.MaxTables {
			clear(changed.lacks)
		}
		changed.lacks[name] = true
		return &changed
	}
	var refused []string
	for _, w := range wants {
		if n := t.find(w.Path); n == nil || n.column == nil {
			refused = append(refused, w.Path)
		}
	}
	if refused == nil {
		return s
	}
	changed := s.With(name, t.Specs())
	for _, path := range refused {
		changed.tables[name].at(path).refused = true
	}
	return changed
}

// Specs returns the columns of values.
func (t *Table) Specs() (specs []Spec) {
	for _, c := range t.Columns {
		if c.Field == FieldNone {
			specs = append(specs, Spec{Path: c.Path, Name: c.Name, Type: c.Type})
		}
	}
	return specs
}

// Find returns the column of the values at a path, or nil.
func (t *Table) Find(path string) *Column {
	if n := t.find(path); n != nil {
		return n.column
	}
	return nil
}

// Of returns the column of a field, or nil.
func (t *Table) Of(f Field) *Column {
	i := slices.IndexFunc(t.Columns, func(c *Column) bool { return c.Field == f })
	if i < 0 {
		return nil
	}
	return t.Columns[i]
}

func (t *Table) find(path string) *node {
	n := &t.nodes
	for _, name := range splitPath(path) {
		if n = n.children[string(wire.AppendString(nil, name))]; n == nil {
			return nil
		}
	}
	return n
}

// at returns the node of a path, which it makes if needed.
func (t *Table) at(path string) *node {
	n := &t.nodes
	for _, name := range splitPath(path) {
		quoted := string(wire.AppendString(nil, name))
		child := n.children[quoted]
		if child == nil {
			child = &node{quoted: quoted}
			if n.children == nil {
				n.children = map[string]*node{}
			}
			n.children[quoted] = child
			n.ordered = append(n.ordered, child)
		}
		n = child
	}
	return n
}

// Choose returns the columns that a table gets for wants: those that have none yet, as far as there
// is room, with names that no other column has. The function reports names that the engine's table
// has in addition to the columns of t.
func (s *Schema) Choose(t *Table, wants []Want, taken func(name string) bool) (specs []Spec) {
	used := maps.Clone(t.names)
	free := func(name string) bool { return !used[name] && !taken(name) }
	for _, w := range wants {
		if t.Find(w.Path) != nil {
			continue
		}
		if len(t.Columns)+len(specs) >= s.opts.MaxColumns {
			break
		}
		name := nameOf(w.Path)
		if !free(name) {
			name = withHash(name, w.Path)
		}
		if free(name) {
			used[name] = true
			specs = append(specs, Spec{Path: w.Path, Name: name, Type: w.Type})
		}
	}
	return specs
}

// nameOf returns the name of the column for the values at a path: that of the member, and of the
// objects that it is in. Only the context is part of it.
func nameOf(path string) string {
	names := splitPath(path)
	if names[0] != context {
		names = names[1:]
	}
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = Clean(name)
		if i > 0 {
			parts[i] = strings.TrimLeft(parts[i], "_")
		}
	}
	return fit(strings.Join(parts, "_"), path)
}

// TableOf returns the name of the table of the events with a name. Names that clean to the same one
// share a table.
func TableOf(event string) string {
	name := Clean(event)
	if bases[name] != nil || isState(name) {
		return withHash(name, name)
	}
	return fit(name, name)
}

// Always returns the names of the tables that always exist, in order.
func Always() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name := range bases {
			if !yield(name) || bases[name].state != "" && !yield(bases[name].state) {
				return
			}
		}
	})
}
