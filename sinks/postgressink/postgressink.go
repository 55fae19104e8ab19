package postgressink

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Sink stores events in a table of PostgreSQL. Make one with [New].
//
// Acknowledgement: nil means that every event has a row, committed as Durability says. The row may
// be older: an event whose key is stored already is not stored again.
//
// Order: the rows of a Write are inserted in the order of its events. Writes that run
// concurrently have none.
//
// Splitting: a Write of more than Options.MaxBytes is several statements, each a transaction. The
// [*inlet.BatchError] then lists the events that are not stored, or not known to be.
//
// Failures: only what is wrong with the data of an event is permanent, and the event is found by
// writing smaller parts. A transaction that the server ends because of another one, and a
// connection that turns out to be dead, are tried once more immediately.
//
// Context: Write returns soon after ctx is done, which closes the connection that it uses. The
// outcome is then unknown.
//
// Concurrency: all methods may be called concurrently. Options.MaxConcurrent limits the
// connections.
//
// Memory: while a Write runs, the sink holds the parameters of one statement for it, in memory
// that is reused. The pool that New makes for a connection string has goroutines, which end with
// Close.
type Sink struct {
	server
	opts   Options
	table  tableName
	insert string
	rows   sync.Pool // of *rows
	months months
}

// A Target is where a database is: a connection string, in the form of a URL or of keywords and
// values, or a pool of the caller's.
type Target interface{ string | *pgxpool.Pool }

// New connects, and returns a sink that stores events in a table of the database. The target is a
// connection string, with everything that libpq reads from one and from the environment, or a
// pool, which the caller closes after the sink.
//
// It fails if the server cannot be reached, and if the table is missing or is not what the sink
// needs: the error then has the statements to run. With Options.Migrate it runs them itself, under
// an advisory lock, so that any number of processes may start at once. No error has a password.
func New[T Target](ctx context.Context, target T, o *Options) (*Sink, error) {
	opts := o.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	s := &Sink{opts: opts, table: opts.tableName()}
	if err := s.open(ctx, target, s.table.sql(), opts.MaxConcurrent, opts.Logger); err != nil {
		return nil, err
	}
	s.writes = func(_, column string) bool { return slices.Contains(columnNames[:], column) } // of a partition, too
	s.insert = insertStatement(s.table, opts.JSONB)
	s.rows.New = func() any { return new(rows) }
	if err := s.prepare(ctx); err != nil {
		if s.ownPool {
			s.pool.Close()
		}
		return nil, err
	}
	return s, nil
}

// insertStatement returns the statement of a Write.
func insertStatement(table tableName, jsonb bool) string {
	var into, values, arrays, names []string
	for i, column := range columnNames {
		value := fmt.Sprintf("c%d", i)
		names = append(names, value)
		arrays = append(arrays, fmt.Sprintf("$%d", i+1))
		into = append(into, quoteName(column))
		if column == "payload" {
			value += "::" + payloadType(jsonb)
		}
		values = append(values, value)
	}
	list := func(parts []string) string { return strings.Join(parts, ", ") }
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM unnest(%s) AS e(%s) ON CONFLICT DO NOTHING",
		table.sql(), list(into), list(values), list(arrays), list(names))
}

func payloadType(jsonb bool) string {
	if jsonb {
		return "jsonb"
	}
	return "json"
}

// Stats is a snapshot of the counters of a [Sink].
type Stats struct {
	Stored     uint64 // events that got a row
	Duplicates uint64 // events that had one already
	Refused    uint64 // events whose data the server rejects
	Replaced   uint64 // events in whose payload U+0000 became U+FFFD; see Options.JSONB
	Statements uint64 // statements that wrote events, failed ones included
}

// Stats returns the counters since New.
func (s *Sink) Stats() Stats {
	return Stats{
		Stored: s.stat.stored.Load(), Duplicates: s.stat.duplicates.Load(), Refused: s.stat.refused.Load(),
		Replaced: s.stat.replaced.Load(), Statements: s.stat.statements.Load(),
	}
}

// months are the months whose partitions are known to exist, and when old ones were looked for.
type months struct {
	mu     sync.Mutex
	known  map[time.Time]bool
	looked time.Time
}
