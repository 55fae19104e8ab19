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

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
)

// A server is what the sinks have in common: the connections, what the server promises, and the
// end.
type server struct {
	pool          *pgxpool.Pool
	ownPool       bool
	maxConcurrent int
	durability    inlet.Durability
	secrets       sinkkit.Secrets
	log           *slog.Logger
	stores        string // the name of the table or schema, as in SQL
	where         string // for String
	// writes reports whether the sink writes a column.
	writes func(table, column string) bool

	gate    *sinkkit.Gate
	stat    counters
	closing sync.Once
	closed  chan struct{} // closed when the pool is
}

type counters struct{ stored, duplicates, refused, replaced, statements atomic.Uint64 }

// open connects to a target.
func (s *server) open(ctx context.Context, target any, stores string, maxConcurrent int, log *slog.Logger) error {
	s.stores, s.maxConcurrent, s.log, s.closed = stores, maxConcurrent, log, make(chan struct{})
	if pool, ok := target.(*pgxpool.Pool); ok {
		return s.use(pool)
	}
	return s.connect(ctx, target.(string))
}

// connect makes a pool for a connection string.
func (s *server) connect(ctx context.Context, dsn string) error {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil { // its text may have a part of the password
		return errors.New("postgressink: target is not a valid connection string; it is not quoted, since it may have a password")
	}
	config.MaxConns = int32(s.maxConcurrent)
	cc := config.ConnConfig
	cc.RuntimeParams["client_encoding"] = encoding
	if severalHosts(cc) && cc.ValidateConnect == nil { // after a failover, the one that accepts writes
		cc.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if cc.RuntimeParams["application_name"] == "" {
		cc.RuntimeParams["application_name"] = "inlet"
	}
	cc.OnNotice = noteNotReplicated
	s.describe(cc)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return s.classify(ctx, "connect", err)
	}
	s.pool, s.ownPool, s.gate = pool, true, sinkkit.NewGate(s.maxConcurrent)
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
func (s *server) use(pool *pgxpool.Pool) error {
	if pool == nil {
		return errors.New("postgressink: target is nil")
	}
	config := pool.Config()
	s.describe(config.ConnConfig)
	s.pool, s.gate = pool, sinkkit.NewGate(min(s.maxConcurrent, int(config.MaxConns)))
	return nil
}

// describe notes where the database is, and which text must not be shown.
func (s *server) describe(cc *pgx.ConnConfig) {
	s.secrets = sinkkit.NewSecrets("[password]", cc.Password)
	s.where = fmt.Sprintf("postgressink to %s of %s:%d/%s", s.stores, cc.Host, cc.Port, cc.Database)
}

// Close waits for the Writes that run, and then closes the pool that New has made. Every other
// call fails with [inlet.ErrClosed]. If ctx is done first, Close returns its error, the pool is
// closed later, and Close may be called again.
func (s *server) Close(ctx context.Context) error {
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
func (s *server) Check(ctx context.Context) error {
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
	if found.readOnly {
		s.dropConnections(ctx, conn)
		return errors.New("postgressink: check: " + hints[readOnlyCode])
	}
	return s.checkDurability(found)
}

// Durability returns what New has read from the server: see the documentation of the package.
func (s *server) Durability() inlet.Durability { return s.durability }

// String returns where the sink stores events, without user and password.
func (s *server) String() string { return s.where }

// GoString returns String: otherwise fmt would print the fields, with the password.
func (s *server) GoString() string { return s.String() }

// maxAttempts is how often a transaction is tried that fails for a reason which does not last.
const maxAttempts = 3

// try runs a transaction that writes, again if that may help immediately: after a conflict, and
// once on another connection if this one was dead. The function returns the settings of the server
// that it has read in its transaction.
func (s *server) try(ctx context.Context, run func(*pgconn.PgConn) (settings, error)) (err error) {
	for attempt := 1; attempt <= maxAttempts; attempt++ {
		var dead bool
		if dead, err = s.tryOnce(ctx, run); err == nil || ctx.Err() != nil {
			return err
		}
		if !isConflict(err) && !(dead && attempt == 1) {
			return err
		}
	}
	return err
}

// tryOnce runs a transaction on a connection of the pool. It reports whether the connection is dead
// now.
func (s *server) tryOnce(ctx context.Context, run func(*pgconn.PgConn) (settings, error)) (dead bool, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	pg := conn.Conn().PgConn()
	if err := checkEncoding(pg); err != nil {
		return false, err
	}
	_ = notReplicated(pg) // of a change of the database
	found, err := run(pg)
	s.stat.statements.Add(1)
	if err == nil && notReplicated(pg) {
		err = errNotReplicated
	}
	if err != nil {
		if endsConnection(err) {
			s.dropConnections(ctx, conn)
		}
		return conn.Conn().IsClosed(), err
	}
	return false, s.checkDurability(found)
}

// dropConnections closes a connection to a server that no longer accepts writes, and the others of
// the pool if that is the sink's.
func (s *server) dropConnections(ctx context.Context, conn *pgxpool.Conn) {
	_ = conn.Conn().Close(ctx)
	if s.ownPool {
		s.pool.Reset()
	}
}

// encoding is that of all texts in the protocol.
const encoding = "UTF8"

// checkEncoding returns an error if the server would take the bytes of a text for other characters,
// or could not store some. A pooler may not say what it is.
func checkEncoding(conn *pgconn.PgConn) error {
	for _, name := range []string{"server_encoding", "client_encoding"} {
		if got := conn.ParameterStatus(name); got != "" && got != encoding {
			return fmt.Errorf("%s is %s, must be %s", name, got, encoding)
		}
	}
	return nil
}

// Settings of a server that decide how durable a commit is, and whether there can be one.
type settings struct {
	fsync    bool
	standbys bool // synchronous standbys are required
	readOnly bool
	commit   string
}

// settingsStatement makes commits of the transaction as durable as the server can, lets the server
// send warnings, both without an effect on others that use the connection, and reads the settings.
const settingsStatement = `SELECT CASE current_setting('synchronous_commit')
	WHEN 'remote_apply' THEN 'remote_apply' ELSE set_config('synchronous_commit', 'on', true) END,
	current_setting('fsync'), current_setting('synchronous_standby_names'), current_setting('transaction_read_only'),
	CASE current_setting('client_min_messages') WHEN 'error' THEN set_config('client_min_messages', 'warning', true) END`

func settingsOf(row [][]byte) settings {
	if len(row) != 5 {
		return settings{}
	}
	return settings{commit: string(row[0]), fsync: string(row[1]) == "on", standbys: len(row[2]) > 0, readOnly: string(row[3]) == "on"}
}

// confirmStatement writes something, which no table holds.
const confirmStatement = `SELECT pg_logical_emit_message(true, 'inlet', ''::text)`

// confirm waits until everything that the server has committed is as durable as its settings say.
//
// A row that is found stored need not be: its own transaction may still wait for a standby, or has
// ended without one since its client gave up or the server was restarted, or its client did not
// want to wait. A transaction that writes nothing does not wait either. So this one writes, and
// what was written before it is durable once it is.
func (s *server) confirm(ctx context.Context, conn *pgconn.PgConn) error {
	if s.durability < inlet.DurabilityFsync {
		return nil
	}
	var b pgconn.Batch
	b.ExecParams(settingsStatement, nil, nil, nil, nil)
	b.ExecParams(confirmStatement, nil, nil, nil, nil)
	_, err := conn.ExecBatch(ctx, &b).ReadAll()
	return err
}

func readSettings(ctx context.Context, conn *pgconn.PgConn) (settings, error) {
	if err := checkEncoding(conn); err != nil {
		return settings{}, err
	}
	result := conn.ExecParams(ctx, settingsStatement, nil, nil, nil, nil).Read()
	if result.Err != nil {
		return settings{}, result.Err
	}
	if len(result.Rows) != 1 {
		return settings{}, errors.New("the server returned no settings")
	}
	return settingsOf(result.Rows[0]), nil
}

// durability returns what a commit means to a server with the settings.
func (f settings) durability() inlet.Durability {
	switch {
	case !f.fsync:
		return inlet.DurabilityOSBuffer
	case f.standbys:
		return inlet.DurabilityReplicated
	}
	return inlet.DurabilityFsync
}

var errWeak = errors.New("postgressink: the server's settings promise less durability than was declared")

// checkDurability returns an error if the server promises less than New has found.
func (s *server) checkDurability(found settings) error {
	if got := found.durability(); got < s.durability {
		return fmt.Errorf("%w: %v, declared was %v", errWeak, got, s.durability)
	}
	return nil
}

// lockTimeout is how long a change of the database waits for others that use a table, so that it
// does not make these wait for longer.
const lockTimeout = "2s"

// change runs statements in one transaction, under a lock by name: IF NOT EXISTS alone fails if two
// processes run it concurrently. The first one makes the table; the others then find it. The
// function, which is called under the lock, returns the statements; it sees what others have
// committed.
func (s *server) change(ctx context.Context, conn *pgxpool.Conn, name string, find func() ([]string, error)) error {
	begin := fmt.Sprintf("BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(hashtextextended('inlet ' || %s, 0)); SET LOCAL lock_timeout = '%s'",
		quoteLiteral(name), lockTimeout)
	pg := conn.Conn().PgConn()
	_, err := pg.Exec(ctx, begin).ReadAll()
	var statements []string
	if err == nil {
		statements, err = find()
	}
	if err == nil {
		_, err = pg.Exec(ctx, strings.Join(append(statements, "COMMIT"), "; ")).ReadAll()
	}
	if err != nil {
		if _, undone := pg.Exec(ctx, "ROLLBACK").ReadAll(); undone != nil {
			_ = conn.Conn().Close(ctx)
		}
		return err
	}
	if len(statements) > 0 {
		s.log.Info("postgressink: database changed", "statements", statements)
	}
	return nil
}
