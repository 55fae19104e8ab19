package postgressink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
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
	pool       *pgxpool.Pool
	ownPool    bool
	opts       Options
	table      tableName
	insert     string
	durability inlet.Durability
	secrets    sinkkit.Secrets
	log        *slog.Logger
	where      string // for String

	gate *sinkkit.Gate
	rows sync.Pool // of *rows
	stat counters

	months  months
	closing sync.Once
	closed  chan struct{} // closed when the pool is
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
	s := &Sink{opts: opts, table: opts.tableName(), log: opts.Logger, closed: make(chan struct{})}
	var err error
	switch target := any(target).(type) {
	case string:
		err = s.connect(ctx, target)
	case *pgxpool.Pool:
		err = s.use(target)
	}
	if err != nil {
		return nil, err
	}
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

// connect makes a pool for a connection string.
func (s *Sink) connect(ctx context.Context, dsn string) error {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil { // its text may have a part of the password
		return errors.New("postgressink: target is not a valid connection string; it is not quoted, since it may have a password")
	}
	config.MaxConns = int32(s.opts.MaxConcurrent)
	cc := config.ConnConfig
	if severalHosts(cc) && cc.ValidateConnect == nil { // after a failover, the one that accepts writes
		cc.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if cc.RuntimeParams["application_name"] == "" {
		cc.RuntimeParams["application_name"] = "inlet"
	}
	s.describe(cc)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return s.classify(ctx, "connect", err)
	}
	s.pool, s.ownPool, s.gate = pool, true, sinkkit.NewGate(s.opts.MaxConcurrent)
	return nil
}

// severalHosts reports whether a connection string names several servers. One server has several
// entries, too, if it is tried with and without TLS.
func severalHosts(cc *pgx.ConnConfig) bool {
	return slices.ContainsFunc(cc.Fallbacks, func(f *pgconn.FallbackConfig) bool {
		return f.Host != cc.Host || f.Port != cc.Port
	})
}

// use uses a pool of the caller's.
func (s *Sink) use(pool *pgxpool.Pool) error {
	if pool == nil {
		return errors.New("postgressink: target is nil")
	}
	config := pool.Config()
	s.describe(config.ConnConfig)
	s.pool, s.gate = pool, sinkkit.NewGate(min(s.opts.MaxConcurrent, int(config.MaxConns)))
	return nil
}

// describe notes where the database is, and which text must not be shown.
func (s *Sink) describe(cc *pgx.ConnConfig) {
	s.secrets = sinkkit.NewSecrets("[password]", cc.Password)
	s.where = fmt.Sprintf("postgressink to %s of %s:%d/%s", s.table.sql(), cc.Host, cc.Port, cc.Database)
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

// Close waits for the Writes that run, and then closes the pool that New has made. Every other
// call fails with [inlet.ErrClosed]. If ctx is done first, Close returns its error, the pool is
// closed later, and Close may be called again.
func (s *Sink) Close(ctx context.Context) error {
	drained := s.gate.Close()
	s.closing.Do(func() {
		go func() {
			<-drained
			if s.ownPool {
				s.pool.Close()
			}
			close(s.closed)
		}()
	})
	select {
	case <-s.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("postgressink: writes are still in flight: %w", ctx.Err())
	}
}

// Check asks the server whether it accepts writes as durably as Durability says. It returns
// [inlet.ErrClosed] after Close.
func (s *Sink) Check(ctx context.Context) error {
	if s.gate.IsClosed() {
		return inlet.ErrClosed
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return s.classify(ctx, "connect", err)
	}
	defer conn.Release()
	found, err := readSettings(ctx, conn.Conn().PgConn())
	if err != nil {
		return s.classify(ctx, "check", err)
	}
	return s.checkDurability(found)
}

// Durability returns what New has read from the server: see the documentation of the package.
func (s *Sink) Durability() inlet.Durability { return s.durability }

// String returns where the sink stores events, without user and password.
func (s *Sink) String() string { return s.where }

// GoString returns String: otherwise fmt would print the fields, with the password.
func (s *Sink) GoString() string { return s.String() }

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

type counters struct{ stored, duplicates, refused, replaced, statements atomic.Uint64 }

// months are the months whose partitions are known to exist, and when old ones were looked for.
type months struct {
	mu     sync.Mutex
	known  map[time.Time]bool
	looked time.Time
}
