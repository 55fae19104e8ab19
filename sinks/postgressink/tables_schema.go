package postgressink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/tables"
)

// The tables and columns: which there are, and the statements that make what is missing.
//
// The table _inlet_columns has a row for each of the sink's tables, with an empty path, and one for
// each column of a value. Only tables in it are the sink's.

const registry = "_inlet_columns"

// createRegistry returns the statements that create the schema and the registry, where they are
// missing. The schema is looked for first: IF NOT EXISTS needs the right to create one.
func (s *Tables) createRegistry(c *catalogue) (statements []string) {
	if !c.hasSchema {
		statements = append(statements, "CREATE SCHEMA "+quoteName(s.opts.Schema))
	}
	if !c.hasRegistry {
		statements = append(statements, "CREATE TABLE "+s.name(registry)+` (
	table_name text NOT NULL, path text NOT NULL, column_name text NOT NULL, type text NOT NULL,
	position bigint GENERATED ALWAYS AS IDENTITY,
	PRIMARY KEY (table_name, path), UNIQUE (table_name, column_name)
)`)
	}
	return statements
}

// A catalogue is what the server knows about some tables.
type catalogue struct {
	hasSchema   bool
	hasRegistry bool
	registered  map[string][]tables.Spec // of the sink's tables
	events      int                      // tables in the registry, whichever were asked for
	relations   map[string]*relation
}

// A relation is anything in the schema that has the name of a table.
type relation struct {
	isTable, unlogged bool
	columns           map[string]bool
}

// The statements look into the catalogue's tables: functions such as to_regclass may not know yet
// what another process has just created.
const (
	existsStatement = `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
	EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2)`
	registryStatement = `SELECT table_name, path, column_name, type,
	(SELECT count(*) FROM %[1]s WHERE path = '') FROM %[1]s WHERE table_name = ANY($1) OR cardinality($1) = 0 ORDER BY position`
	relationsStatement = `SELECT c.relname, c.relkind IN ('r', 'p'), c.relkind IN ('r', 'p') AND c.relpersistence <> 'p', coalesce(a.attname, '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = $1 AND c.relname = ANY($2)
UNION ALL
SELECT t.typname, false, false, '' FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = $1 AND t.typname = ANY($2) AND t.typrelid = 0 AND t.typelem = 0`
)

// readAll reads what there is of all tables of the registry, and of those that always exist, at one
// moment: another process may be making them.
func (s *Tables) readAll(ctx context.Context, conn *pgxpool.Conn) (*catalogue, error) {
	pg := conn.Conn().PgConn()
	_, err := pg.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").ReadAll()
	var c *catalogue
	if err == nil {
		c, err = s.read(ctx, pg, nil)
	}
	if _, ended := pg.Exec(ctx, "ROLLBACK").ReadAll(); ended != nil {
		_ = conn.Conn().Close(ctx)
		return nil, cmp.Or(err, ended)
	}
	return c, err
}

// read reads what there is of some tables, or, with nil, of those of readAll.
func (s *Tables) read(ctx context.Context, pg *pgconn.PgConn, names []string) (*catalogue, error) {
	c := &catalogue{registered: map[string][]tables.Spec{}, relations: map[string]*relation{}}
	schema := []byte(s.opts.Schema)
	found := pg.ExecParams(ctx, existsStatement, [][]byte{schema, []byte(registry)}, []uint32{oidText, oidText}, nil, nil).Read()
	if found.Err != nil {
		return nil, found.Err
	}
	c.hasSchema, c.hasRegistry = string(found.Rows[0][0]) == "t", string(found.Rows[0][1]) == "t"
	if c.hasRegistry {
		rows := pg.ExecParams(ctx, fmt.Sprintf(registryStatement, s.name(registry)), [][]byte{textArray(names)}, []uint32{oidTextArray}, []int16{1}, nil).Read()
		if rows.Err != nil {
			return nil, rows.Err
		}
		if err := c.addRegistered(rows.Rows); err != nil {
			return nil, err
		}
	}
	if names == nil {
		names = c.names()
	}
	rows := pg.ExecParams(ctx, relationsStatement, [][]byte{schema, textArray(names)}, []uint32{oidText, oidTextArray}, []int16{0, 1}, nil).Read()
	for _, row := range rows.Rows {
		r := c.relations[string(row[0])]
		if r == nil {
			r = &relation{columns: map[string]bool{}}
			c.relations[string(row[0])] = r
		}
		r.isTable, r.unlogged = string(row[1]) == "t", string(row[2]) == "t"
		r.columns[string(row[3])] = true
	}
	return c, rows.Err
}

// names returns the tables of the registry and those that always exist, in order.
func (c *catalogue) names() []string {
	names := tables.Always()
	for name := range c.registered {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// textArray returns a parameter.
func textArray(texts []string) []byte {
	var c column
	c.clear()
	if len(texts) == 0 { // an array without elements has no dimensions
		return append([]byte{0, 0, 0, 0, 0, 0, 0, 0}, 0, 0, 0, oidText)
	}
	for _, text := range texts {
		c.addKey(text)
	}
	return c.array(oidText)
}

// addRegistered adds rows of the registry.
func (c *catalogue) addRegistered(rows [][][]byte) error {
	for _, row := range rows {
		table, path := string(row[0]), string(row[1])
		if _, err := fmt.Sscan(string(row[4]), &c.events); err != nil {
			return err
		}
		specs := c.registered[table]
		if path != "" {
			t, known := typeBySQL[string(row[3])]
			if !known {
				return fmt.Errorf("table %s has a type for column %q of table %q that is not known: %q", registry, row[2], table, row[3])
			}
			specs = append(specs, tables.Spec{Path: path, Name: string(row[2]), Type: t})
		}
		c.registered[table] = specs
	}
	return nil
}

var typeBySQL = func() map[string]tables.Type {
	m := map[string]tables.Type{}
	for t, c := range columnTypesByType {
		m[c.sql] = t
	}
	return m
}()

// lacking is what a table lacks.
type lacking struct {
	statements []string
	specs      []tables.Spec // the columns of values that it has with them
	essential  bool          // no Write works without the statements
	refused    bool          // something else has its name, or there are too many
}

// lacks returns what a table lacks in order to have its columns of the registry, and those for
// wants.
func (s *Tables) lacks(c *catalogue, name string, wants []tables.Want) (l lacking, err error) {
	schema := s.schema.Load()
	specs, isOurs := c.registered[name]
	rel := c.relations[name]
	t := schema.With(name, specs).Table(name)
	isEvent := t.IsEvent()
	switch {
	case rel != nil && (!isOurs || !rel.isTable):
		if isEvent {
			return lacking{refused: true}, nil
		}
		return l, fmt.Errorf("table %s exists, and is not listed in %s: choose another Schema", s.name(name), s.name(registry))
	case !isOurs && isEvent && c.events >= s.opts.MaxTables+len(tables.Always()):
		return lacking{refused: true}, nil
	}
	taken := func(name string) bool { return rel != nil && rel.columns[name] }
	added := schema.Choose(t, wants, taken)
	if t.IsState {
		added = s.mirrored(c, t, taken)
	}
	l.specs = slices.Concat(specs, added)
	if err := s.addTable(&l, schema.With(name, l.specs).Table(name), rel); err != nil {
		return l, err
	}
	if !isOurs {
		added = append([]tables.Spec{{}}, added...)
	}
	s.register(&l, name, added)
	return l, nil
}

// mirrored returns the columns that a table of latest values lacks of those of its events.
func (s *Tables) mirrored(c *catalogue, state *tables.Table, taken func(string) bool) (specs []tables.Spec) {
	for name, of := range c.registered {
		if t := s.schema.Load().Table(name); t == nil || t.State != state.Name {
			continue
		}
		for _, spec := range of {
			if state.Find(spec.Path) == nil && !taken(spec.Name) {
				specs = append(specs, spec)
			}
		}
	}
	return specs
}

// addTable adds the statement that creates a table, or adds the columns that it lacks.
func (s *Tables) addTable(l *lacking, t *tables.Table, rel *relation) error {
	var parts []string
	for _, c := range t.Columns {
		definition := quoteName(c.Name) + " " + columnTypesByType[c.Type].sql
		switch {
		case rel == nil && c.Required():
			parts = append(parts, "\t"+definition+" NOT NULL")
		case rel == nil:
			parts = append(parts, "\t"+definition)
		case rel.columns[c.Name]:
			continue
		case c.Required():
			return fmt.Errorf("table %s has no column %s, which every row must have", s.name(t.Name), c.Name)
		default:
			parts = append(parts, "ADD COLUMN "+definition)
		}
		l.essential = l.essential || c.Field != tables.FieldNone && !t.IsEvent()
	}
	switch {
	case rel == nil:
		parts = append(parts, "\tuuid_ts timestamptz NOT NULL DEFAULT now()")
		if !t.IsState {
			parts = append(parts, "\t_seq bigint GENERATED ALWAYS AS IDENTITY")
		}
		parts = append(parts, "\tPRIMARY KEY (_source_id, id)")
		l.statements = append(l.statements, fmt.Sprintf("CREATE TABLE %s (\n%s\n)", s.name(t.Name), strings.Join(parts, ",\n")))
	case parts != nil:
		l.statements = append(l.statements, fmt.Sprintf("ALTER TABLE %s %s", s.name(t.Name), strings.Join(parts, ", ")))
	}
	return nil
}

// register adds the statement that lists columns in the registry.
func (s *Tables) register(l *lacking, table string, specs []tables.Spec) {
	if len(specs) == 0 {
		return
	}
	var values []string
	for _, spec := range specs {
		values = append(values, fmt.Sprintf("(%s, %s, %s, %s)", quoteLiteral(table), quoteLiteral(spec.Path), quoteLiteral(spec.Name), quoteLiteral(columnTypesByType[spec.Type].sql)))
	}
	l.statements = append(l.statements, fmt.Sprintf("INSERT INTO %s (table_name, path, column_name, type) VALUES %s", s.name(registry), strings.Join(values, ", ")))
}

// prepare finds the durability of the server, and makes sure that the tables are what they must be.
func (s *Tables) prepare(ctx context.Context) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return s.classify(ctx, "connect", err)
	}
	defer conn.Release()
	found, err := readSettings(ctx, conn.Conn().PgConn())
	if err != nil {
		return s.classify(ctx, "read settings", err)
	}
	if err := s.load(ctx, conn); err != nil {
		return s.classify(ctx, "prepare tables", err)
	}
	s.durability = found.durability()
	unlogged, err := s.isUnlogged(ctx, conn)
	if err != nil {
		return s.classify(ctx, "prepare tables", err)
	}
	if unlogged {
		s.durability = inlet.DurabilityMemory
	}
	return nil
}

// isUnlogged reports whether the server would empty one of the tables after a crash.
func (s *Tables) isUnlogged(ctx context.Context, conn *pgxpool.Conn) (bool, error) {
	c, err := s.readAll(ctx, conn)
	if err != nil {
		return false, err
	}
	for _, rel := range c.relations {
		if rel.unlogged {
			return true, nil
		}
	}
	return false, nil
}

// load reads the tables, and creates what is in the registry or must always exist, and does not.
func (s *Tables) load(ctx context.Context, conn *pgxpool.Conn) error {
	c, err := s.readAll(ctx, conn)
	if err != nil {
		return err
	}
	statements := s.createRegistry(c)
	essential := statements != nil
	var incomplete []string
	for _, name := range c.names() {
		l, err := s.lacks(c, name, nil)
		if err != nil {
			return err
		}
		if l.statements != nil {
			incomplete, statements = append(incomplete, name), append(statements, l.statements...)
			essential = essential || l.essential
		}
	}
	switch {
	case statements == nil:
	case s.opts.Migrate:
		if err := s.createAll(ctx, conn, incomplete); err != nil {
			return err
		}
		if c, err = s.readAll(ctx, conn); err != nil {
			return err
		}
	case essential:
		return fmt.Errorf("schema %s is not ready; run these statements, or set Migrate:\n%s;", quoteName(s.opts.Schema), strings.Join(statements, ";\n"))
	}
	s.adopt(c)
	return nil
}

// createAll creates the registry, and what some tables lack.
func (s *Tables) createAll(ctx context.Context, conn *pgxpool.Conn, names []string) error {
	err := s.change(ctx, conn, s.lockName(), func() ([]string, error) {
		c, err := s.read(ctx, conn.Conn().PgConn(), []string{registry})
		if err != nil {
			return nil, err
		}
		return s.createRegistry(c), nil
	})
	for _, name := range names {
		if err == nil {
			err = s.ensure(ctx, conn, name, nil)
		}
	}
	return err
}

// ensure creates what a table lacks, in a transaction of its own: one that changed several tables
// could wait for a Write which waits for it.
func (s *Tables) ensure(ctx context.Context, conn *pgxpool.Conn, name string, wants []tables.Want) error {
	names := []string{name}
	for _, other := range tables.Always() {
		if s.schema.Load().Table(other).State == name {
			names = append(names, other)
		}
	}
	var l lacking
	err := s.change(ctx, conn, s.lockName(), func() ([]string, error) {
		c, err := s.read(ctx, conn.Conn().PgConn(), names)
		if err == nil {
			l, err = s.lacks(c, name, wants)
		}
		return l.statements, err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	schema := s.schema.Load()
	if !l.refused {
		schema = schema.With(name, l.specs)
	}
	s.schema.Store(schema.Refuse(name, wants))
	return nil
}

// ensureAll creates what events need and does not exist.
func (s *Tables) ensureAll(ctx context.Context, m *tables.Missing) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return s.classify(ctx, "connect", err)
	}
	defer conn.Release()
	for _, name := range slices.Sorted(slices.Values(m.Names)) {
		if err = s.ensure(ctx, conn, name, m.Wants[name]); err != nil {
			break
		}
		if t := s.schema.Load().Table(name); t != nil && t.State != "" {
			if err = s.ensure(ctx, conn, t.State, nil); err != nil {
				break
			}
		}
	}
	if err != nil {
		return s.classify(ctx, "change tables", err)
	}
	return nil
}

// adopt takes the tables and columns that exist.
func (s *Tables) adopt(c *catalogue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	schema := s.emptySchema()
	for name, specs := range c.registered {
		rel := c.relations[name]
		if rel == nil {
			continue
		}
		lost := func(spec tables.Spec) bool { return !rel.columns[spec.Name] }
		schema = schema.With(name, slices.DeleteFunc(slices.Clone(specs), lost))
	}
	s.schema.Store(schema)
}

// reload makes the tables again what they must be, after an error that says that they are not.
func (s *Tables) reload(ctx context.Context, cause error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := s.load(ctx, conn); err != nil {
		return errors.Join(cause, err)
	}
	return nil
}
