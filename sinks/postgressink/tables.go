package postgressink

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/tables"
)

// TablesOptions configure [NewTables]. A nil pointer means all defaults.
type TablesOptions struct {
	// Schema is the schema of the tables. It should have no others. Defaults to "inlet".
	Schema string
	// Migrate lets the sink create the schema, tables and columns. Defaults to false: NewTables
	// fails with the statements to run in its text, and values without a column go to _extra.
	Migrate bool

	// MaxColumns is the maximum number of columns of a table; values without one go to _extra.
	// Defaults to 400.
	MaxColumns int
	// MaxTables is the maximum number of tables of events; further events are rows of tracks only,
	// with their properties in _extra. Defaults to 500.
	MaxTables int
	// Timestamps makes the column of a text in the form of RFC 3339 a timestamptz, which keeps the
	// moment without its zone. Defaults to false: text.
	Timestamps bool
	// Numeric makes the columns of all numbers numeric, so that a column which began with whole
	// numbers holds fractions. Defaults to false: bigint for whole numbers, else double precision
	// if that holds the number exactly, else numeric.
	Numeric bool

	// MaxBytes limits the events of a transaction in bytes: a larger Write is several ones. An
	// event that is larger has a transaction of its own. Defaults to 8 MiB.
	MaxBytes int
	// MaxConcurrent is the maximum number of Writes that use a connection at the same time;
	// further ones wait. It is also the size of the pool that NewTables makes for a connection
	// string. Defaults to 8, or to the size of a pool of the caller's if that is smaller.
	MaxConcurrent int
	// Logger receives statements that change the database. Defaults to slog.Default() at
	// construction.
	Logger *slog.Logger
}

// Defaults; see TablesOptions.
const (
	defaultSchema     = "inlet"
	defaultMaxColumns = 400
	defaultMaxTables  = 500
)

// withDefaults returns a copy with the defaults filled in.
func (o *TablesOptions) withDefaults() TablesOptions {
	var f TablesOptions
	if o != nil {
		f = *o
	}
	f.Schema = cmp.Or(f.Schema, defaultSchema)
	f.MaxColumns = cmp.Or(f.MaxColumns, defaultMaxColumns)
	f.MaxTables = cmp.Or(f.MaxTables, defaultMaxTables)
	f.MaxBytes = cmp.Or(f.MaxBytes, defaultMaxBytes)
	f.MaxConcurrent = cmp.Or(f.MaxConcurrent, defaultMaxConcurrent)
	if f.Logger == nil {
		f.Logger = slog.Default()
	}
	return f
}

// The numbers of columns that a table may have: those that every table has, and some for values;
// PostgreSQL has at most 1,600, dropped ones included.
const (
	minColumns = 30
	maxColumns = 1500
)

// maxSchemaName is how long the name of a schema may be in bytes: PostgreSQL cuts it there.
const maxSchemaName = 63

// check returns all faults. It is called with the defaults filled in.
func (o *TablesOptions) check() error {
	var schema error
	if len(o.Schema) > maxSchemaName || strings.ContainsRune(o.Schema, 0) {
		schema = check.Fault("Schema", "is %q, must have 1 to %d bytes, without U+0000", o.Schema, maxSchemaName)
	}
	return check.Options("postgressink", "TablesOptions",
		schema,
		check.AtLeast("MaxColumns", o.MaxColumns, minColumns),
		check.AtMost("MaxColumns", o.MaxColumns, maxColumns),
		check.AtLeast("MaxTables", o.MaxTables, 1),
		check.AtMost("MaxTables", o.MaxTables, 10_000),
		check.AtLeast("MaxBytes", o.MaxBytes, 1),
		check.AtMost("MaxBytes", o.MaxBytes, maxEventBytes),
		check.AtLeast("MaxConcurrent", o.MaxConcurrent, 1),
		check.AtMost("MaxConcurrent", o.MaxConcurrent, 1000),
	)
}

// Tables stores events in typed tables, with the names that Segment gives those of a warehouse.
// Make one with [NewTables].
//
// Acknowledgement: nil means that every event has its rows, committed as Durability says. They may
// be older: an event whose key is stored already is not stored again, in any table.
//
// Order: the rows of a Write are inserted in the order of its events, which the column _seq of each
// table shows. Writes that run concurrently have none.
//
// Splitting: a Write of more than TablesOptions.MaxBytes is several transactions. The
// [*inlet.BatchError] then lists the events that are not stored, or not known to be.
//
// Failures: as those of [Sink].
//
// Context: Write returns soon after ctx is done, which closes the connection that it uses. The
// outcome is then unknown.
//
// Concurrency: all methods may be called concurrently. TablesOptions.MaxConcurrent limits the
// connections. Any number of processes may write to the same tables.
//
// Memory: while a Write runs, the sink holds the parameters of one transaction for it, in memory
// that is reused, and the names of all tables and columns. The pool that NewTables makes for a
// connection string has goroutines, which end with Close.
type Tables struct {
	server
	opts    TablesOptions
	batches sync.Pool // of *batch

	mu     sync.Mutex // for changes of schema
	schema atomic.Pointer[tables.Schema]
	left   leftovers
}

// NewTables connects, and returns a sink that stores events in tables of the database. The target
// is as that of [New].
//
// It fails if the server cannot be reached, and if the tables that always exist are missing or are
// not what the sink needs: the error then has the statements to run. With TablesOptions.Migrate it
// runs them itself, and creates tables and columns as values come. No error has a password.
func NewTables[T Target](ctx context.Context, target T, o *TablesOptions) (*Tables, error) {
	opts := o.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	s := &Tables{opts: opts}
	if err := s.open(ctx, target, quoteName(opts.Schema), opts.MaxConcurrent, opts.Logger); err != nil {
		return nil, err
	}
	s.writes = s.writesColumn
	s.schema.Store(s.emptySchema())
	s.batches.New = func() any { return newBatch() }
	if err := s.prepare(ctx); err != nil {
		if s.ownPool {
			s.pool.Close()
		}
		return nil, err
	}
	return s, nil
}

// writesColumn reports whether the sink writes a column of one of its tables.
func (s *Tables) writesColumn(table, column string) bool {
	t := s.schema.Load().Table(table)
	return t != nil && slices.ContainsFunc(t.Columns, func(c *tables.Column) bool { return c.Name == column })
}

// emptySchema returns the schema of tables without values.
func (s *Tables) emptySchema() *tables.Schema {
	return tables.NewSchema(tables.Options{
		MaxColumns: s.opts.MaxColumns, MaxTables: s.opts.MaxTables, RowBytes: rowBytes,
		Reserved: reservedColumns, Times: s.opts.Timestamps, Decimals: s.opts.Numeric,
	})
}

// Write stores the events that are not stored yet.
//
// The error is a [*inlet.BatchError] if the outcomes differ; any other error applies to all
// events. After Close it is [inlet.ErrClosed].
func (s *Tables) Write(ctx context.Context, events []*inlet.Event) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	w := &write{server: &s.server, events: events, maxBytes: s.opts.MaxBytes, insert: s.insertPart}
	return w.run(ctx)
}

// TablesStats is a snapshot of the counters of [Tables].
type TablesStats struct {
	Stored       uint64 // events that got rows
	Duplicates   uint64 // events that had them already
	Refused      uint64 // events whose data the server rejects
	Replaced     uint64 // values in which U+0000 became U+FFFD
	Transactions uint64 // transactions that wrote events, failed ones included

	Events  int        // tables of events that this sink knows
	Columns int        // columns of values that this sink knows, in all tables
	Extra   []Leftover // by table and reason
}

// A Leftover is how many values went to the column _extra of a table, those of duplicates included.
type Leftover struct {
	Table string
	// Reason is "type" where the column of the path has another type, "columns" where the table
	// has MaxColumns, "tables" where the event has no table of its own, "depth" where it is more
	// than three names deep, "name" where its name cannot be that of a column, "row" where the row
	// would be too large, and "schema" where the column may not be created.
	Reason string
	Count  uint64
}

// Stats returns the counters since NewTables.
func (s *Tables) Stats() TablesStats {
	schema := s.schema.Load()
	stats := TablesStats{
		Stored: s.stat.stored.Load(), Duplicates: s.stat.duplicates.Load(), Refused: s.stat.refused.Load(),
		Replaced: s.stat.replaced.Load(), Transactions: s.stat.statements.Load(),
		Events: schema.Events(), Extra: s.left.list(),
	}
	for _, name := range schema.Names() {
		stats.Columns += len(schema.Table(name).Specs())
	}
	return stats
}

// leftovers counts what goes to _extra.
type leftovers struct {
	mu     sync.Mutex
	counts map[string]*[tables.Reasons]uint64
}

func (l *leftovers) add(table string, counts *[tables.Reasons]uint64) {
	if *counts == ([tables.Reasons]uint64{}) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = map[string]*[tables.Reasons]uint64{}
	}
	sum := l.counts[table]
	if sum == nil {
		sum = new([tables.Reasons]uint64)
		l.counts[table] = sum
	}
	for i, n := range counts {
		sum[i] += n
	}
}

func (l *leftovers) list() (list []Leftover) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for table, counts := range l.counts {
		for i, n := range counts {
			if n > 0 {
				list = append(list, Leftover{Table: table, Reason: tables.Reason(i).String(), Count: n})
			}
		}
	}
	slices.SortFunc(list, func(a, b Leftover) int {
		return cmp.Or(strings.Compare(a.Table, b.Table), strings.Compare(a.Reason, b.Reason))
	})
	return list
}

// name returns the name of a table, as it is written in SQL.
func (s *Tables) name(table string) string { return tableName{s.opts.Schema, table}.sql() }

// lockName is that of the lock for changes.
func (s *Tables) lockName() string { return fmt.Sprintf("tables of %s", s.opts.Schema) }
