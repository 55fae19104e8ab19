package postgressink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/inlet-go/inlet"
)

// The table: what it must be, what is missing, and the statements that make it so.

// columnDefinitions are the definitions of the columns.
func columnDefinitions(jsonb bool) [len(columnNames)]string {
	return [...]string{
		"text NOT NULL", "text NOT NULL", "timestamptz NOT NULL", "timestamptz", "text NOT NULL",
		"text", "text", "text", "text", payloadType(jsonb) + " NOT NULL",
	}
}

// typesInCatalogue are the types of columnDefinitions, as the catalogue names them.
func typeInCatalogue(definition string) string {
	name, _, _ := strings.Cut(definition, " ")
	if name == "timestamptz" {
		return "timestamp with time zone"
	}
	return name
}

// createTable returns the statement that creates the table.
func (s *Sink) createTable() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (\n", s.table.sql())
	for i, definition := range columnDefinitions(s.opts.JSONB) {
		fmt.Fprintf(&b, "\t%q %s,\n", columnNames[i], definition)
	}
	if s.opts.PartitionByMonth { // whose columns cannot be identities before PostgreSQL 17
		return b.String() + "\t\"seq\" bigserial\n) PARTITION BY RANGE (received_at)"
	}
	return b.String() + "\t\"seq\" bigint GENERATED ALWAYS AS IDENTITY,\n\tPRIMARY KEY (source_id, message_id)\n)"
}

// createPartition returns the statement that creates the partition of a month. The key is one of
// the partition: PostgreSQL would require received_at in one of the whole table, and that is
// another time whenever a client sends an event again.
func (s *Sink) createPartition(month time.Time) string {
	const form = "2006-01-02 00:00:00+00"
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s PARTITION OF %s (PRIMARY KEY (source_id, message_id)) FOR VALUES FROM ('%s') TO ('%s')",
		s.table.with(month.Format(partitionSuffix)), s.table.sql(), month.Format(form), month.AddDate(0, 1, 0).Format(form))
}

// A found table is what the catalogue says about it.
type foundTable struct {
	exists      bool
	partitioned bool
	unlogged    bool
	columns     map[string]string // types
	keys        int               // unique indexes on the key, of the table and of its partitions
	partitions  int
}

// tableStatement reads what foundTable holds.
const tableStatement = `SELECT c.relkind = 'p', EXISTS (
		SELECT FROM pg_class u WHERE u.relpersistence <> 'p' AND (u.oid = c.oid OR u.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid))
	),
	(SELECT count(*) FROM pg_inherits h WHERE h.inhparent = c.oid),
	(SELECT count(DISTINCT x.indrelid) FROM pg_index x
		WHERE (x.indrelid = c.oid OR x.indrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid))
		AND x.indisunique AND x.indisvalid AND x.indimmediate AND x.indpred IS NULL AND x.indexprs IS NULL
		AND ARRAY['message_id', 'source_id']::name[] = (
			SELECT array_agg(a.attname ORDER BY a.attname) FROM pg_attribute a
			WHERE a.attrelid = x.indrelid AND a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1]))),
	(SELECT string_agg(a.attname || '=' || format_type(a.atttypid, NULL), ';') FROM pg_attribute a
		WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class c WHERE c.oid = to_regclass($1)`

func (s *Sink) readTable(ctx context.Context, conn *pgconn.PgConn) (foundTable, error) {
	result := conn.ExecParams(ctx, tableStatement, [][]byte{[]byte(s.table.sql())}, nil, nil, nil).Read()
	if result.Err != nil || len(result.Rows) == 0 {
		return foundTable{}, result.Err
	}
	row := result.Rows[0]
	t := foundTable{exists: true, partitioned: string(row[0]) == "t", unlogged: string(row[1]) == "t", columns: map[string]string{}}
	_, err := fmt.Sscan(string(row[2])+" "+string(row[3]), &t.partitions, &t.keys)
	for _, column := range strings.Split(string(row[4]), ";") {
		name, typ, _ := strings.Cut(column, "=")
		t.columns[name] = typ
	}
	return t, err
}

// lacks returns the statements that make the table what it must be, or an error if none can.
func (s *Sink) lacks(t foundTable) (statements []string, err error) {
	if !t.exists {
		statements = append(statements, s.createTable())
		if s.opts.PartitionByMonth {
			statements = append(statements, s.partitionsAhead()...)
		}
		return statements, nil
	}
	if t.partitioned != s.opts.PartitionByMonth {
		return nil, fmt.Errorf("table %s exists, and PartitionByMonth is %t: rename the table, or change the option", s.table.sql(), s.opts.PartitionByMonth)
	}
	for i, definition := range columnDefinitions(s.opts.JSONB) {
		name, want := columnNames[i], typeInCatalogue(definition)
		switch got, found := t.columns[name]; {
		case !found && strings.Contains(definition, "NOT NULL"):
			return nil, fmt.Errorf("table %s has no column %s, which every row must have: it is another table, choose Table", s.table.sql(), name)
		case !found:
			statements = append(statements, fmt.Sprintf("ALTER TABLE %s ADD COLUMN IF NOT EXISTS %q %s", s.table.sql(), name, definition))
		case got != want:
			return nil, fmt.Errorf("column %s of table %s is %s, must be %s", name, s.table.sql(), got, want)
		}
	}
	if !t.partitioned && t.keys == 0 {
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (source_id, message_id)", s.table.sql()))
	}
	if t.partitioned && t.keys < t.partitions {
		return nil, fmt.Errorf("a partition of table %s has no unique index on (source_id, message_id): events would be stored twice", s.table.sql())
	}
	return statements, nil
}

// prepare finds the durability of the server, and makes sure that the table is what it must be.
func (s *Sink) prepare(ctx context.Context) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return s.classify(ctx, "connect", err)
	}
	found, err := readSettings(ctx, conn.Conn().PgConn())
	if err != nil {
		conn.Release()
		return s.classify(ctx, "read settings", err)
	}
	err = s.prepareTable(ctx, conn)
	if err == nil {
		var t foundTable
		if t, err = s.readTable(ctx, conn.Conn().PgConn()); err == nil && t.unlogged {
			s.durability = inlet.DurabilityMemory
		} else {
			s.durability = found.durability()
		}
	}
	conn.Release()
	if err != nil {
		return s.classify(ctx, "prepare table", err)
	}
	s.retain(ctx)
	return nil
}

// prepareTable looks at the table, and changes it if it must and may be changed.
func (s *Sink) prepareTable(ctx context.Context, conn *pgxpool.Conn) error {
	t, err := s.readTable(ctx, conn.Conn().PgConn())
	if err != nil {
		return err
	}
	statements, err := s.lacks(t)
	if err != nil || len(statements) == 0 {
		return err
	}
	if !s.opts.Migrate {
		return fmt.Errorf("table %s is not ready; run these statements, or set Migrate:\n%s;", s.table.sql(), strings.Join(statements, ";\n"))
	}
	return s.change(ctx, conn, s.table.name, given(statements))
}

// migrate makes the table again what it must be, after an error that says that it is not.
func (s *Sink) migrate(ctx context.Context, cause error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if err := s.prepareTable(ctx, conn); err != nil {
		return errors.Join(cause, err)
	}
	return nil
}

// quoteLiteral returns a text as it is written in SQL, whatever standard_conforming_strings is: a
// backslash means itself.
func quoteLiteral(text string) string {
	text = strings.ReplaceAll(text, "'", "''")
	if strings.Contains(text, `\`) {
		return " E'" + strings.ReplaceAll(text, `\`, `\\`) + "'"
	}
	return "'" + text + "'"
}

// given returns a function that returns statements.
func given(statements []string) func() ([]string, error) {
	return func() ([]string, error) { return statements, nil }
}
