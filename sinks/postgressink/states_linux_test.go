package postgressink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/sinkkit"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

// A state is an SQLSTATE that the server sends for a reason of its own, and what that is.
//
// In the statements %[1]s is the table, and %[2]s the role of the sink.
type state struct {
	cause string // statements of an administrator
	undo  string // and those that repair it
	check string // what a trigger does for each row
	group string // the group of events whose data is right
	bad   func(*inlet.Event)
	lock  bool // somebody else has locked the table
}

func group(id string) func(*inlet.Event) { return func(e *inlet.Event) { e.GroupID = id } }

// refusals are states that one event causes, with more words where it is one of several.
var refusals = map[string]state{
	"22001":                {cause: "ALTER TABLE %[1]s ALTER group_id TYPE varchar(3)", bad: group("long")},
	"22003":                {check: "PERFORM NEW.group_id::smallint", group: "1", bad: group("70000")},
	"22007":                {check: "PERFORM NEW.group_id::date", group: "2026-01-01", bad: group("in May")},
	"22008":                {bad: func(e *inlet.Event) { e.Timestamp = time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC) }},
	"22008 beyond 64 bits": {bad: func(e *inlet.Event) { e.Timestamp = time.Date(600000, 1, 1, 0, 0, 0, 0, time.UTC) }},
	"22008 before 64 bits": {bad: func(e *inlet.Event) { e.Timestamp = time.Date(-600000, 1, 1, 0, 0, 0, 0, time.UTC) }},
	"22021":                {bad: func(e *inlet.Event) { e.UserID = "\xff" }},
	"22P02":                {check: "PERFORM NEW.group_id::uuid", group: "50314b8e-9bcf-0000-0000-000000000000", bad: group("x")},
	"22P03":                {check: "IF NEW.group_id = 'x' THEN RAISE SQLSTATE '22P03'; END IF", bad: group("x")},
	"22P05":                {check: "PERFORM NEW.payload::text::jsonb", bad: func(e *inlet.Event) { e.Properties = []byte(`{"a":"\u0000"}`) }},
	"23502":                {cause: "ALTER TABLE %[1]s ALTER user_id SET NOT NULL", bad: func(e *inlet.Event) { e.UserID = "" }},
	"23503":                {cause: "CREATE TABLE groups (id text PRIMARY KEY); INSERT INTO groups VALUES ('a'); ALTER TABLE %[1]s ADD FOREIGN KEY (group_id) REFERENCES groups", group: "a", bad: group("b")},
	"23514":                {cause: "ALTER TABLE %[1]s ADD CHECK (group_id <> 'x')", bad: group("x")},
	"54000":                {bad: func(e *inlet.Event) { e.MessageID = incompressible }},
	"54001": {bad: func(e *inlet.Event) {
		e.Properties = []byte(`{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}")
	}},
}

// outages are states that no event causes.
var outages = map[string]state{
	"0A000": {cause: "CREATE RULE r AS ON INSERT TO %[1]s DO ALSO NOTIFY inserted", undo: "DROP RULE r ON %[1]s"},
	"23502": {cause: "ALTER TABLE %[1]s ADD must text NOT NULL", undo: "ALTER TABLE %[1]s DROP must"},
	"26000": {check: "EXECUTE 'EXECUTE absent'"},
	"28000": {
		cause: "ALTER ROLE %[2]s NOLOGIN; SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '%[2]s'",
		undo:  "ALTER ROLE %[2]s LOGIN",
	},
	"42501": {cause: "REVOKE INSERT ON %[1]s FROM %[2]s", undo: "GRANT INSERT ON %[1]s TO %[2]s"},
	"42703": {cause: "ALTER TABLE %[1]s RENAME name TO title", undo: "ALTER TABLE %[1]s RENAME title TO name"},
	"42804": {cause: "ALTER TABLE %[1]s ALTER name TYPE int USING 0", undo: "ALTER TABLE %[1]s ALTER name TYPE text"},
	"42P01": {cause: "ALTER TABLE %[1]s RENAME TO away_%[1]s", undo: "ALTER TABLE away_%[1]s RENAME TO %[1]s"},
	"42P05": {check: "EXECUTE 'PREPARE twice AS SELECT 1'; EXECUTE 'PREPARE twice AS SELECT 1'"},
	"53200": {check: "PERFORM pg_advisory_xact_lock(n) FROM generate_series(1, 1000000) n"},
	"53300": {
		cause: "ALTER ROLE %[2]s CONNECTION LIMIT 0; SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '%[2]s'",
		undo:  "ALTER ROLE %[2]s CONNECTION LIMIT -1",
	},
	"53400": {
		cause: "ALTER ROLE %[2]s SET temp_file_limit = 0; ALTER ROLE %[2]s SET work_mem = '64kB'; SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '%[2]s'",
		check: "PERFORM n FROM generate_series(1, 100000) n ORDER BY n DESC OFFSET 50000",
	},
	"55P03": {
		cause: "ALTER ROLE %[2]s SET lock_timeout = '20ms'; SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '%[2]s'",
		undo:  "ALTER ROLE %[2]s RESET lock_timeout; SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '%[2]s'",
		lock:  true,
	},
	"57014": {
		cause: "ALTER ROLE %[2]s SET statement_timeout = '50ms'; SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '%[2]s'",
		undo:  "ALTER ROLE %[2]s RESET statement_timeout; SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '%[2]s'",
		lock:  true,
	},
	"57P01": {check: "PERFORM pg_terminate_backend(pg_backend_pid())"},
	"58030": {check: "RAISE SQLSTATE '58030'"},
	"58P01": {check: "PERFORM pg_read_file('/absent')"},
	"P0001": {check: "RAISE EXCEPTION 'not today'"},
	"XX000": {check: "RAISE SQLSTATE 'XX000'"},
}

// TestSQLStates makes the server send each state, with a role and a table for each.
func TestSQLStates(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	conn := s.Connect(t)
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			code := name[:5]
			b := newBroken(t, s, conn, c)
			list := b.events("m", 5)
			c.bad(list[3])
			var batch *inlet.BatchError
			require.ErrorAs(t, b.sink.Write(t.Context(), list), &batch)
			require.Len(t, batch.Items, 1, "only the event whose data it is")
			require.Equal(t, 3, batch.Items[0].Index)
			require.True(t, inlet.IsPermanent(batch.Items[0].Err))
			require.Equal(t, code, sqlState(batch.Items[0].Err), batch.Items[0].Err)
			require.Less(t, len(batch.Items[0].Err.Error()), 1200)
			require.EqualValues(t, 4, one[int](t, conn, "SELECT count(*)::int FROM "+b.sink.table.sql()))
			require.Equal(t, Stats{Stored: 4, Refused: 1, Statements: b.sink.Stats().Statements}, b.sink.Stats())
		})
	}
	for code, c := range outages {
		t.Run(code, func(t *testing.T) {
			b := newBroken(t, s, conn, c)
			list := b.events("m", 5)
			for range 3 {
				err := b.sink.Write(t.Context(), list)
				require.Equal(t, code, sqlState(err), err)
				require.False(t, inlet.IsPermanent(err))
				require.NotContains(t, fmt.Sprintf("%T", err), "Batch", "it is all of them")
			}
			b.repair(t)
			require.NoError(t, b.sink.Write(t.Context(), list), "it resumes by itself")
			require.Equal(t, 5, one[int](t, conn, "SELECT count(*)::int FROM "+b.sink.table.sql()))
			require.Zero(t, b.sink.Stats().Refused)
		})
	}
}

// A broken is a sink whose table has a fault.
type broken struct {
	sink   *Sink
	conn   *pgx.Conn
	state  state
	names  []any
	unlock func()
}

func newBroken(t *testing.T, s *pgserver.Server, conn *pgx.Conn, c state) *broken {
	name := table(t)
	role := "user_of_" + name
	open(t, s, Options{Table: name})
	exec(t, conn, fmt.Sprintf("CREATE ROLE %s LOGIN; GRANT INSERT, SELECT ON %s TO %[1]s", role, name))
	sink, err := New(t.Context(), s.DSN("user="+role), &Options{Table: name})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sink.Close(context.Background())) })
	b := &broken{sink: sink, conn: conn, state: c, names: []any{name, role}, unlock: func() {}}
	if c.check != "" {
		c.cause += fmt.Sprintf(`; CREATE FUNCTION check_%[1]s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN %[2]s; RETURN NEW; END $$;
			CREATE TRIGGER checks BEFORE INSERT ON %[1]s FOR EACH ROW EXECUTE FUNCTION check_%[1]s()`, name, c.check)
	}
	b.exec(t, c.cause)
	if c.lock {
		other := s.Connect(t)
		exec(t, other, "BEGIN")
		exec(t, other, "LOCK TABLE "+name)
		b.unlock = func() { exec(t, other, "ROLLBACK") }
	}
	return b
}

// exec executes statements, if there are any.
func (b *broken) exec(t *testing.T, statements string) {
	for statement := range strings.SplitSeq(statements, "; SELECT pg_terminate") { // in a transaction of its own
		if strings.HasPrefix(statement, "_backend") {
			statement = "SELECT pg_terminate" + statement
		}
		statement = strings.ReplaceAll(strings.ReplaceAll(statement, "%[1]s", b.names[0].(string)), "%[2]s", b.names[1].(string))
		if statement = strings.Trim(statement, "; "); statement != "" {
			exec(t, b.conn, statement)
		}
	}
}

func (b *broken) repair(t *testing.T) {
	b.unlock()
	b.exec(t, b.state.undo)
	if b.state.check != "" {
		b.exec(t, "DROP TRIGGER checks ON %[1]s")
	}
}

func (b *broken) events(prefix string, n int) []*inlet.Event {
	list := events(prefix, n)
	for _, e := range list {
		e.GroupID = b.state.group
	}
	return list
}

// TestHugeEvents requires that an event which PostgreSQL could not take is refused, and not read.
func TestHugeEvents(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	conn := s.Connect(t)
	unreadable, err := syscall.Mmap(-1, 0, maxEventBytes, syscall.PROT_NONE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	require.NoError(t, err)
	defer func() { require.NoError(t, syscall.Munmap(unreadable)) }()
	list := events("m", 4)
	list[1].Properties, list[3].Context = unreadable, unreadable
	raw, typed := open(t, s, Options{}), openTables(t, s, TablesOptions{})
	for _, sink := range []inlet.Sink{raw, typed} {
		var batch *inlet.BatchError
		require.ErrorAs(t, sink.Write(t.Context(), list), &batch)
		require.Len(t, batch.Items, 2)
		for i, item := range batch.Items {
			require.Equal(t, 2*i+1, item.Index)
			require.True(t, inlet.IsPermanent(item.Err))
			require.ErrorContains(t, item.Err, "more than 536870912")
		}
	}
	require.Len(t, read(t, conn, raw.opts.Table), 2)
	typed.mustHave(t, conn, list[0], list[2])
	require.EqualValues(t, 2, raw.Stats().Refused)
	require.EqualValues(t, 2, typed.Stats().Refused)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	require.True(t, inlet.IsPermanent(raw.WriteTx(t.Context(), tx, list[0], list[1])))
	require.NoError(t, tx.Commit(t.Context()))
	require.Len(t, read(t, conn, raw.opts.Table), 2)
}

// TestConflicts has another transaction in the way, which is waited for.
func TestConflicts(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	conn := s.Connect(t)
	// blocked waits until a session waits for a lock that another one holds.
	blocked := func(t *testing.T, _ *Sink, by *pgx.Conn) {
		require.Eventually(t, func() bool {
			return one[bool](t, conn, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1::int = ANY (pg_blocking_pids(pid)))", by.PgConn().PID())
		}, waitLong, tick)
	}
	insert := func(t *testing.T, c *pgx.Conn, sink *Sink, id string) {
		exec(t, c, "INSERT INTO "+sink.table.sql()+" (source_id, message_id, received_at, type, payload) VALUES ('web', $1, now(), 'track', '{}') ON CONFLICT DO NOTHING", id)
	}
	write := func(t *testing.T, sink *Sink, list []*inlet.Event) <-chan error {
		done := make(chan error, 1)
		go func() { done <- sink.Write(t.Context(), list) }()
		return done
	}

	t.Run("40001", func(t *testing.T) {
		exec(t, conn, "CREATE ROLE strict LOGIN; ALTER ROLE strict SET default_transaction_isolation = 'repeatable read'")
		name := open(t, s, Options{}).opts.Table
		exec(t, conn, "GRANT INSERT, SELECT ON "+name+" TO strict")
		sink, err := New(t.Context(), s.DSN("user=strict"), &Options{Table: name})
		require.NoError(t, err)
		defer sink.Close(context.Background())
		other := s.Connect(t)
		exec(t, other, "BEGIN")
		insert(t, other, sink, "m-1")
		done := write(t, sink, events("m", 3))
		blocked(t, sink, other)
		exec(t, other, "COMMIT")
		require.NoError(t, <-done)
		require.EqualValues(t, 2, sink.Stats().Statements, "it was tried again")
		require.EqualValues(t, 2, sink.Stats().Stored)
	})
	t.Run("40P01", func(t *testing.T) {
		sink := open(t, s, Options{})
		exec(t, conn, "CREATE ROLE hasty LOGIN; ALTER ROLE hasty SET deadlock_timeout = '10ms'; GRANT INSERT, SELECT ON "+sink.opts.Table+" TO hasty")
		hasty, err := New(t.Context(), s.DSN("user=hasty"), &Options{Table: sink.opts.Table})
		require.NoError(t, err)
		defer hasty.Close(context.Background())
		other, gate := s.Connect(t), s.Connect(t)
		exec(t, other, "SET deadlock_timeout = '10min'")
		exec(t, other, "BEGIN")
		insert(t, other, hasty, "m-2")
		exec(t, gate, "BEGIN")
		insert(t, gate, hasty, "m-1")
		done := write(t, hasty, events("m", 3)) // inserts m-0 and waits for the gate
		blocked(t, hasty, gate)
		waits := make(chan struct{})
		go func() {
			defer close(waits)
			insert(t, other, hasty, "m-0") // waits for the sink, which will wait for it
		}()
		require.Eventually(t, func() bool {
			return one[bool](t, conn, "SELECT cardinality(pg_blocking_pids($1::int)) > 0", other.PgConn().PID())
		}, waitLong, tick)
		exec(t, gate, "COMMIT")
		<-waits // the sink was the victim
		exec(t, other, "COMMIT")
		require.NoError(t, <-done)
		require.Equal(t, 3, one[int](t, conn, "SELECT count(*)::int FROM "+sink.table.sql()))
		require.Greater(t, hasty.Stats().Statements, uint64(1))
	})
	t.Run("a Write whose context ends", func(t *testing.T) {
		sink := open(t, s, Options{})
		other := s.Connect(t)
		exec(t, other, "BEGIN")
		insert(t, other, sink, "m-1")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- sink.Write(ctx, events("m", 3)) }()
		blocked(t, sink, other)
		cancel()
		err := <-done
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "the outcome is unknown")
		require.False(t, inlet.IsPermanent(err))
		exec(t, other, "ROLLBACK")
		require.NoError(t, sink.Write(t.Context(), events("m", 3)))
		require.Equal(t, 3, one[int](t, conn, "SELECT count(*)::int FROM "+sink.table.sql()))
	})
	t.Run("WriteTx of one who waits holds no slot", func(t *testing.T) {
		sink := open(t, s, Options{MaxConcurrent: 1})
		other := s.Connect(t)
		tx, err := other.Begin(t.Context())
		require.NoError(t, err)
		require.NoError(t, sink.WriteTx(t.Context(), tx, event("m-1")))
		done := write(t, sink, events("m", 3)) // has the only slot
		blocked(t, sink, other)
		require.NoError(t, sink.WriteTx(t.Context(), tx, event("m-2")))
		require.NoError(t, tx.Commit(t.Context()))
		require.NoError(t, <-done)
		require.Equal(t, 3, one[int](t, conn, "SELECT count(*)::int FROM "+sink.table.sql()))
	})
	t.Run("WriteTx in all connections of a pool, and a partition is missing", func(t *testing.T) {
		sink := open(t, s, Options{MaxConcurrent: 1, PartitionByMonth: true})
		tx, err := sink.pool.Begin(t.Context())
		require.NoError(t, err)
		require.NoError(t, sink.WriteTx(t.Context(), tx), "nothing")
		now := event("now")
		now.ReceivedAt = time.Now()
		require.NoError(t, sink.WriteTx(t.Context(), tx, now), "its month has a partition")
		err = sink.WriteTx(t.Context(), tx, event("m-1"))
		require.ErrorContains(t, err, "no other connection of the pool became free")
		require.False(t, inlet.IsPermanent(err))
		require.NoError(t, tx.Commit(t.Context()), "the transaction remains usable")
		require.Equal(t, 1, one[int](t, conn, "SELECT count(*)::int FROM "+sink.table.sql()))
		require.EqualValues(t, 1, sink.Stats().Stored)
		tx, err = conn.Begin(t.Context())
		require.NoError(t, err)
		require.NoError(t, sink.WriteTx(t.Context(), tx, event("m-1")), "another connection is free")
		require.NoError(t, tx.Commit(t.Context()))
		require.True(t, inlet.IsPermanent(sink.WriteTx(t.Context(), nil, event("m-1"))))
	})
	t.Run("WriteTx after a partition was dropped", func(t *testing.T) {
		sink := open(t, s, Options{PartitionByMonth: true})
		require.NoError(t, sink.Write(t.Context(), events("m", 1)))
		exec(t, conn, "DROP TABLE "+sink.table.with("_2026_03"))
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		require.NoError(t, sink.WriteTx(t.Context(), tx, events("m", 2)...))
		require.NoError(t, tx.Commit(t.Context()))
		require.Equal(t, 2, one[int](t, conn, "SELECT count(*)::int FROM "+sink.table.sql()))
	})
	t.Run("WriteTx in a transaction of another database", func(t *testing.T) {
		sink := open(t, s, Options{})
		tx, err := s.Connect(t, "dbname=template1").Begin(t.Context())
		require.NoError(t, err)
		err = sink.WriteTx(t.Context(), tx, event("m-1"))
		require.Equal(t, "42P01", sqlState(err), err)
		require.False(t, inlet.IsPermanent(err))
		require.NoError(t, tx.Commit(t.Context()), "the transaction remains usable")
	})
	t.Run("WriteTx of an event that is refused counts nothing", func(t *testing.T) {
		sink := open(t, s, Options{MaxBytes: 1})
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		bad := event("m-1")
		bad.MessageID = incompressible
		require.True(t, inlet.IsPermanent(sink.WriteTx(t.Context(), tx, event("m-0"), bad)))
		require.NoError(t, tx.Rollback(t.Context()))
		require.Zero(t, sink.Stats().Stored)
		tx, err = conn.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "SELECT 1/0")
		require.Error(t, err)
		err = sink.WriteTx(t.Context(), tx, event("m-0"))
		require.Equal(t, "25P02", sqlState(err), "the transaction had failed before")
		require.False(t, inlet.IsPermanent(err))
		require.NoError(t, tx.Rollback(t.Context()))
	})
}

// TestEncodings requires that a database that cannot hold every text is refused, and that texts are
// sent in the encoding that they have.
func TestEncodings(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	conn := s.Connect(t)
	for _, name := range []string{"LATIN1", "SQL_ASCII"} {
		exec(t, conn, fmt.Sprintf("CREATE DATABASE %s ENCODING '%[1]s' TEMPLATE template0", strings.ToLower(name)))
		_, err := New(t.Context(), s.DSN("dbname="+strings.ToLower(name)), &Options{Migrate: true})
		require.ErrorContains(t, err, "server_encoding is "+name+", must be UTF8")
	}
	exec(t, conn, "CREATE ROLE latin LOGIN SUPERUSER; ALTER ROLE latin SET client_encoding = 'LATIN1'")
	for _, dsn := range []string{s.DSN("user=latin"), s.DSN("client_encoding=LATIN1")} {
		sink, err := New(t.Context(), dsn, &Options{Table: table(t), Migrate: true})
		require.NoError(t, err)
		require.NoError(t, sink.Write(t.Context(), []*inlet.Event{event("日本é")}))
		require.NoError(t, sink.Close(t.Context()))
		require.Equal(t, "日本é", one[string](t, conn, "SELECT message_id FROM "+sink.table.sql()))
		require.Equal(t, "日本é", read(t, conn, sink.opts.Table)[0].MessageID)
	}
	sink := open(t, s, Options{})
	host := s.Connect(t, "user=latin")
	tx, err := host.Begin(t.Context())
	require.NoError(t, err)
	require.ErrorContains(t, sink.WriteTx(t.Context(), tx, event("é")), "client_encoding is LATIN1, must be UTF8")
	require.NoError(t, tx.Commit(t.Context()), "the transaction remains usable")
}

// TestErrorTexts requires that the text of an error does not hold all the data of an event.
func TestErrorTexts(t *testing.T) {
	t.Parallel()
	s := &server{secrets: sinkkit.NewSecrets("[password]", "hunter2")}
	long := &pgconn.PgError{Severity: "ERROR", Code: "22P02", Message: strings.Repeat("日", 100_000)}
	err := s.classify(context.Background(), "insert", long)
	require.Less(t, len(err.Error()), 1200)
	require.ErrorContains(t, err, "(SQLSTATE 22P02)")
	require.True(t, inlet.IsPermanent(err))
	require.ErrorIs(t, err, error(long))
	ddl := errors.New(strings.Repeat("x", 5000))
	require.ErrorContains(t, s.classify(context.Background(), "prepare table", ddl), ddl.Error(), "of New")
	short := &pgconn.PgError{Severity: "ERROR", Code: "22P02", Message: "x"}
	require.ErrorContains(t, s.classify(context.Background(), "insert", short), "insert: ERROR: x (SQLSTATE 22P02)")
}

// TestRefusedConnections is about servers that refuse connections for reasons of their own.
func TestRefusedConnections(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	conn := s.Connect(t)
	exec(t, conn, "CREATE ROLE secretive LOGIN PASSWORD 'hunter2'; GRANT ALL ON SCHEMA public TO secretive")

	t.Run("28P01: the password was changed", func(t *testing.T) {
		hba, err := os.ReadFile(s.Data() + "/pg_hba.conf")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(s.Data()+"/pg_hba.conf", append([]byte("local all secretive scram-sha-256\n"), hba...), 0o600))
		require.True(t, one[bool](t, conn, "SELECT pg_reload_conf()"))
		require.Eventually(t, func() bool { // a wrong one is refused once the file is read
			wrong, err := pgx.Connect(context.Background(), s.DSN("user=secretive", "password=wrong"))
			if err == nil {
				_ = wrong.Close(context.Background())
			}
			return err != nil
		}, waitLong, tick)
		sink, err := New(t.Context(), s.DSN("user=secretive", "password=hunter2"), &Options{Table: table(t), Migrate: true})
		require.NoError(t, err)
		defer sink.Close(context.Background())
		require.NoError(t, sink.Write(t.Context(), events("m", 1)))
		exec(t, conn, "ALTER ROLE secretive PASSWORD 'other'")
		sink.pool.Reset()
		for range 2 {
			err = sink.Write(t.Context(), events("n", 2))
			require.Equal(t, "28P01", sqlState(err), err)
			require.False(t, inlet.IsPermanent(err))
			require.NotContains(t, err.Error(), "hunter2")
		}
		exec(t, conn, "ALTER ROLE secretive PASSWORD 'hunter2'")
		require.NoError(t, sink.Write(t.Context(), events("n", 2)))
	})
	t.Run("3D000: the database was dropped", func(t *testing.T) {
		exec(t, conn, "CREATE DATABASE other")
		sink, err := New(t.Context(), s.DSN("dbname=other"), &Options{Table: table(t), Migrate: true})
		require.NoError(t, err)
		defer sink.Close(context.Background())
		require.NoError(t, sink.Write(t.Context(), events("m", 1)))
		exec(t, conn, "DROP DATABASE other WITH (FORCE)")
		for range 2 {
			err = sink.Write(t.Context(), events("n", 2))
			require.Equal(t, "3D000", sqlState(err), err)
			require.False(t, inlet.IsPermanent(err))
		}
		exec(t, conn, "CREATE DATABASE other")
		require.NoError(t, sink.Write(t.Context(), events("n", 2)), "with the table made again")
		require.Len(t, read(t, s.Connect(t, "dbname=other"), sink.opts.Table), 2)
	})
	t.Run("55000: the database takes no connections", func(t *testing.T) {
		exec(t, conn, "CREATE DATABASE closed")
		sink, err := New(t.Context(), s.DSN("dbname=closed"), &Options{Table: table(t), Migrate: true})
		require.NoError(t, err)
		defer sink.Close(context.Background())
		require.NoError(t, sink.Write(t.Context(), events("m", 1)))
		exec(t, conn, "ALTER DATABASE closed ALLOW_CONNECTIONS false")
		sink.pool.Reset()
		for range 2 {
			err = sink.Write(t.Context(), events("n", 2))
			require.Equal(t, "55000", sqlState(err), err)
			require.False(t, inlet.IsPermanent(err))
		}
		exec(t, conn, "ALTER DATABASE closed ALLOW_CONNECTIONS true")
		require.NoError(t, sink.Write(t.Context(), events("n", 2)))
		require.Len(t, read(t, s.Connect(t, "dbname=closed"), sink.opts.Table), 3)
	})
	t.Run("3F000: the schema was dropped", func(t *testing.T) {
		exec(t, conn, "CREATE SCHEMA mine")
		sink := open(t, s, Options{Table: "mine.events"})
		require.NoError(t, sink.Write(t.Context(), events("m", 1)))
		exec(t, conn, "DROP SCHEMA mine CASCADE")
		err := sink.Write(t.Context(), events("n", 2))
		require.ErrorContains(t, err, "3F000")
		require.False(t, inlet.IsPermanent(err))
		exec(t, conn, "CREATE SCHEMA mine")
		require.NoError(t, sink.Write(t.Context(), events("n", 2)))
	})
	t.Run("08P01: a pooler without its server", func(t *testing.T) {
		b := pgserver.StartBouncer(t, s, "server_login_retry = 1", "query_wait_timeout = 1")
		sink, err := New(t.Context(), b.DSN(), &Options{Table: table(t), Migrate: true})
		require.NoError(t, err)
		defer sink.Close(context.Background())
		require.NoError(t, sink.Write(t.Context(), events("m", 1)))
		s.Stop()
		err = sink.Write(t.Context(), events("n", 2))
		require.Equal(t, "08P01", sqlState(err), err)
		require.False(t, inlet.IsPermanent(err))
		s.Run(t)
		require.Eventually(t, func() bool { return sink.Write(t.Context(), events("n", 2)) == nil }, waitLong, tick)
	})
	t.Run("XX001: a page of the table is damaged", func(t *testing.T) {
		sink := open(t, s, Options{})
		require.NoError(t, sink.Write(t.Context(), events("m", 1)))
		file := filepath.Join(s.Data(), one[string](t, s.Connect(t), "SELECT pg_relation_filepath('"+sink.opts.Table+"')"))
		s.Stop()
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, append(bytes.Repeat([]byte{0xff}, 24), data[24:]...), 0o600))
		s.Run(t)
		err = sink.Write(t.Context(), events("n", 2))
		require.Equal(t, "XX001", sqlState(err), err)
		require.False(t, inlet.IsPermanent(err))
		s.Stop()
		require.NoError(t, os.WriteFile(file, data, 0o600))
		s.Run(t)
		require.NoError(t, sink.Write(t.Context(), events("n", 2)))
	})
	t.Run("57P03: a standby that does not accept connections yet", func(t *testing.T) {
		sink := open(t, s, Options{})
		s.Stop()
		require.NoError(t, os.WriteFile(s.Data()+"/standby.signal", nil, 0o600))
		require.NoError(t, pgserver.Own(s.Data()+"/standby.signal"))
		s.Set("hot_standby=off")
		s.RunUntil(t, func() bool {
			err := sink.Write(t.Context(), events("m", 2))
			require.False(t, inlet.IsPermanent(err))
			if sqlState(err) != "57P03" {
				return false
			}
			wait, ok := inlet.RetryDelay(err)
			return ok && wait == time.Second
		})
		s.Stop()
		require.NoError(t, os.Remove(s.Data()+"/standby.signal"))
		s.Run(t)
		require.NoError(t, sink.Write(t.Context(), events("m", 2)))
	})
	t.Run("53300: max_connections was lowered", func(t *testing.T) {
		sink := open(t, s, Options{})
		s.Stop()
		s.Set("max_connections=2", "superuser_reserved_connections=0", "max_wal_senders=0")
		s.Run(t)
		var others []*pgx.Conn
		require.Eventually(t, func() bool { // the connection of Run may still count
			c, err := pgx.Connect(context.Background(), s.DSN())
			if err == nil {
				others = append(others, c)
			}
			return len(others) == 2
		}, waitLong, tick)
		err := sink.Write(t.Context(), events("m", 2))
		require.Equal(t, "53300", sqlState(err), err)
		wait, ok := inlet.RetryDelay(err)
		require.True(t, ok)
		require.Equal(t, time.Second, wait)
		for _, c := range others {
			require.NoError(t, c.Close(t.Context()))
		}
		require.Eventually(t, func() bool { return sink.Write(t.Context(), events("m", 2)) == nil }, waitLong, tick)
	})
}

// TestStops is about a server that ends, or loses a file, with both forms of sinks.
func TestStops(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	raw, typed := open(t, s, Options{}), openTables(t, s, TablesOptions{})
	var stored []*inlet.Event
	// write writes events, which must be stored if it succeeds.
	write := func(sink inlet.Sink, list []*inlet.Event) error {
		err := sink.Write(t.Context(), list)
		require.False(t, inlet.IsPermanent(err), err)
		require.NotContains(t, fmt.Sprintf("%T", err), "Batch", "it is all of them")
		return err
	}
	// resume requires that both write the events that they were to write, and that each is stored
	// once.
	resume := func(t *testing.T, list []*inlet.Event) {
		require.Eventually(t, func() bool { return write(raw, list) == nil && write(typed, list) == nil }, waitLong, tick)
		stored = append(stored, list...)
		conn := s.Connect(t)
		defer conn.Close(context.Background()) // a server waits for it when it stops
		require.Equal(t, len(stored), one[int](t, conn, "SELECT count(*)::int FROM "+raw.table.sql()))
		typed.mustHave(t, conn, stored...)
		require.Zero(t, raw.Stats().Refused+typed.Stats().Refused)
	}
	resume(t, events("first", 2))

	t.Run("57P03: a server that stops", func(t *testing.T) {
		list := events("stops", 3)
		conn := s.Connect(t)
		s.Refuse()
		for _, sink := range []inlet.Sink{raw, typed} {
			require.Eventually(t, func() bool {
				raw.pool.Reset()
				typed.pool.Reset()
				err := write(sink, list)
				wait, ok := inlet.RetryDelay(err)
				return sqlState(err) == "57P03" && ok && wait == time.Second
			}, waitLong, tick)
		}
		require.NoError(t, conn.Close(t.Context()))
		require.Eventually(t, s.Ended, waitLong, tick)
		require.Error(t, write(raw, list))
		require.Error(t, write(typed, list))
		s.Run(t)
		resume(t, list)
	})
	t.Run("58P01: a file is lost", func(t *testing.T) {
		list := events("file", 3)
		var files []string
		for _, name := range []string{raw.table.sql(), typed.name("tracks")} {
			files = append(files, filepath.Join(s.Data(), one[string](t, s.Connect(t), "SELECT pg_relation_filepath($1)", name)))
		}
		s.Stop()
		for _, file := range files {
			require.NoError(t, os.Rename(file, file+".away"))
		}
		s.Run(t)
		for _, sink := range []inlet.Sink{raw, typed, raw, typed} {
			err := write(sink, list)
			require.Equal(t, "58P01", sqlState(err), err)
		}
		s.Stop()
		for _, file := range files {
			require.NoError(t, os.Rename(file+".away", file))
		}
		s.Run(t)
		resume(t, list)
	})
	t.Run("another connection crashes", func(t *testing.T) {
		list := events("crash", 3)
		other, conn := s.Connect(t), s.Connect(t)
		exec(t, other, "BEGIN")
		exec(t, other, "LOCK TABLE "+raw.table.sql()+", "+typed.name("tracks"))
		done := make(chan error, 2)
		for _, sink := range []inlet.Sink{raw, typed} {
			go func() { done <- sink.Write(t.Context(), list) }()
		}
		require.Eventually(t, func() bool {
			return one[int](t, conn, "SELECT count(*)::int FROM pg_stat_activity WHERE $1::int = ANY (pg_blocking_pids(pid))", other.PgConn().PID()) == 2
		}, waitLong, tick)
		require.NoError(t, syscall.Kill(int(other.PgConn().PID()), syscall.SIGKILL)) // which the server takes for a crash
		for range 2 {
			require.False(t, inlet.IsPermanent(<-done))
		}
		resume(t, list)
	})
}
