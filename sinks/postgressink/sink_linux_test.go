package postgressink

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

// TestSink has one server for all of its subtests, which have a table each.
func TestSink(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	conn := s.Connect(t)
	exec(t, conn, "CREATE ROLE reader LOGIN")
	run := t.Run // one after the other: they share a connection

	run("rows", func(t *testing.T) {
		sink := open(t, s, Options{})
		e := event("a\x00b")
		e.Name, e.GroupID = "x\x00y", "g"
		e.ReceivedAt = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
		require.NoError(t, sink.Write(t.Context(), []*inlet.Event{e}))
		var row struct {
			Source, ID, Type, Name, User, Anonymous, Group string
			Received, At                                   time.Time
		}
		err := conn.QueryRow(t.Context(), `SELECT source_id, message_id, type, name, user_id, anonymous_id, group_id, received_at, "timestamp" FROM `+sink.table.sql()).
			Scan(&row.Source, &row.ID, &row.Type, &row.Name, &row.User, &row.Anonymous, &row.Group, &row.Received, &row.At)
		require.NoError(t, err)
		require.Equal(t, "web", row.Source)
		require.Equal(t, keyText("a\x00b"), row.ID)
		require.Equal(t, []string{"track", "x\uFFFDy", "u1", "a1", "g"}, []string{row.Type, row.Name, row.User, row.Anonymous, row.Group})
		require.True(t, e.ReceivedAt.Truncate(time.Microsecond).Equal(row.Received), row.Received)
		require.True(t, day.Truncate(time.Microsecond).Equal(row.At), row.At)
		stored := read(t, conn, sink.opts.Table)
		require.Equal(t, "a\x00b", stored[0].MessageID, "the payload is exact")
	})

	run("the queries of docs/SINKS.md", func(t *testing.T) {
		page, err := os.ReadFile("../../docs/SINKS.md")
		require.NoError(t, err)
		_, block, found := strings.Cut(string(page), "```sql\n-- the latest orders\n")
		require.True(t, found)
		block, _, _ = strings.Cut(block, "```")
		latest, remove, found := strings.Cut(block, "-- everything about a person\n")
		require.True(t, found)
		sink := open(t, s, Options{})
		own := strings.NewReplacer("inlet_events", sink.table.sql())
		list := events("m", 3)
		list[1].UserID, list[1].AnonymousID = "user-1", "other"
		list[2].AnonymousID = "a-2"
		list[2].Properties = json.RawMessage(`{"total":1,"text":"\u0000"}`)
		require.NoError(t, sink.Write(t.Context(), list))
		rows, err := conn.Query(t.Context(), own.Replace(latest))
		require.NoError(t, err)
		orders, err := pgx.CollectRows(rows, pgx.RowToMap)
		require.NoError(t, err)
		require.Len(t, orders, 3)
		totals := []any{orders[0]["total"], orders[1]["total"], orders[2]["total"]}
		require.ElementsMatch(t, []any{"27.50", "27.50", nil}, totals)
		exec(t, conn, own.Replace(remove))
		left := read(t, conn, sink.opts.Table)
		require.Len(t, left, 1)
		require.Equal(t, "m-0", left[0].MessageID)
	})

	run("names of tables with any text", func(t *testing.T) {
		for _, setting := range []string{"on", "off"} {
			dsn := s.DSN("options='-c standard_conforming_strings=" + setting + "'")
			for _, name := range []string{`a"b`, `a'b`, `\'||x||'`, `\`, `a\`, `\\'`, `a%sb`, `a; DROP TABLE x;--`, "ü", "A b", "a$$b"} {
				for _, partition := range []bool{false, true} {
					o := Options{Table: fmt.Sprintf("%s %s %t", name, setting, partition), Migrate: true, PartitionByMonth: partition}
					sink, err := New(t.Context(), dsn, &o)
					require.NoError(t, err, o.Table)
					require.NoError(t, sink.Write(t.Context(), events("m", 2)), o.Table)
					require.NoError(t, sink.Close(t.Context()))
					require.Len(t, read(t, conn, o.Table), 2)
				}
			}
		}
	})

	run("once", func(t *testing.T) {
		sink := open(t, s, Options{})
		list := events("m", 50)
		for range 3 {
			require.NoError(t, sink.Write(t.Context(), append(list, list[0])))
		}
		other := event("m-0")
		other.Source = &inlet.Source{ID: "another"}
		require.NoError(t, sink.Write(t.Context(), []*inlet.Event{other}))
		require.Equal(t, int64(51), one[int64](t, conn, "SELECT count(*) FROM "+sink.table.sql()))
		stats := sink.Stats()
		require.EqualValues(t, 51, stats.Stored)
		require.EqualValues(t, 103, stats.Duplicates)
		require.EqualValues(t, 4, stats.Statements)
	})

	run("once, with a unique index of the host's own", func(t *testing.T) {
		sink := open(t, s, Options{})
		exec(t, conn, "CREATE UNIQUE INDEX ON "+sink.table.sql()+" (user_id)")
		require.NoError(t, sink.Write(t.Context(), events("m", 5)))
		require.Equal(t, int64(1), one[int64](t, conn, "SELECT count(*) FROM "+sink.table.sql()))
	})

	run("concurrent Writes of the same events in different orders", func(t *testing.T) {
		sink := open(t, s, Options{})
		list := events("m", 60)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			mine := append(append([]*inlet.Event{}, list[i*7:]...), list[:i*7]...)
			wg.Go(func() {
				for range 5 {
					if errs[i] == nil {
						errs[i] = sink.Write(t.Context(), mine)
					}
				}
			})
		}
		wg.Wait()
		for _, err := range errs { // a conflict may be temporary, never more
			require.False(t, inlet.IsPermanent(err), err)
		}
		require.NoError(t, sink.Write(t.Context(), list))
		require.Equal(t, int64(60), one[int64](t, conn, "SELECT count(*) FROM "+sink.table.sql()))
	})

	run("parts", func(t *testing.T) {
		sink := open(t, s, Options{MaxBytes: 10_000})
		list := events("m", 100)
		list[50].Properties = json.RawMessage(`{"large":"` + strings.Repeat("x", 50_000) + `"}`)
		require.NoError(t, sink.Write(t.Context(), list))
		require.Greater(t, sink.Stats().Statements, uint64(8))
		stored := read(t, conn, sink.opts.Table)
		require.Len(t, stored, 100)
		for i, e := range stored {
			require.True(t, list[i].Equal(e), "in order, and equal")
		}
	})

	run("jsonb", func(t *testing.T) {
		sink := open(t, s, Options{JSONB: true})
		list := events("m", 3)
		list[0].Properties = json.RawMessage(`{"n":"a\u0000b"}`)
		list[1].Properties = json.RawMessage(`{"n":1E200000}`)
		err := sink.Write(t.Context(), list)
		var batch *inlet.BatchError
		require.ErrorAs(t, err, &batch)
		require.Len(t, batch.Items, 1)
		require.Equal(t, 1, batch.Items[0].Index)
		require.True(t, inlet.IsPermanent(batch.Items[0].Err))
		require.ErrorContains(t, batch.Items[0].Err, "22003")
		require.EqualValues(t, 1, sink.Stats().Replaced)
		require.EqualValues(t, 1, sink.Stats().Refused)
		require.Equal(t, "a\uFFFDb", one[string](t, conn, "SELECT payload->'properties'->>'n' FROM "+sink.table.sql()+" WHERE message_id = 'm-0'"))
	})

	run("Migrate", func(t *testing.T) {
		name := table(t)
		_, err := New(t.Context(), s.DSN(), &Options{Table: name})
		require.ErrorContains(t, err, "run these statements, or set Migrate:\nCREATE TABLE IF NOT EXISTS ")
		_, ddl, _ := strings.Cut(err.Error(), "Migrate:\n")
		exec(t, conn, ddl)
		sink, err := New(t.Context(), s.DSN(), &Options{Table: name})
		require.NoError(t, err)
		require.NoError(t, sink.Write(t.Context(), events("m", 1)))
		require.NoError(t, sink.Close(t.Context()))

		exec(t, conn, fmt.Sprintf("ALTER TABLE %s DROP COLUMN group_id", name))
		_, err = New(t.Context(), s.DSN(), &Options{Table: name})
		require.ErrorContains(t, err, `ADD COLUMN IF NOT EXISTS "group_id" text`)
		sink, err = New(t.Context(), s.DSN(), &Options{Table: name, Migrate: true})
		require.NoError(t, err)
		require.NoError(t, sink.Write(t.Context(), events("n", 1)))
		require.NoError(t, sink.Close(t.Context()))

		for ddl, want := range map[string]string{
			"ALTER TABLE %s DROP CONSTRAINT " + name + "_pkey":                          "ADD PRIMARY KEY (source_id, message_id)",
			"ALTER TABLE %s ALTER COLUMN payload TYPE jsonb USING payload::text::jsonb": "column payload of table",
			"ALTER TABLE %s DROP COLUMN message_id":                                     "it is another table, choose Table",
		} {
			_, err := conn.Exec(t.Context(), "BEGIN; "+fmt.Sprintf(ddl, name)+"; COMMIT")
			require.NoError(t, err)
			_, err = New(t.Context(), s.DSN(), &Options{Table: name})
			require.ErrorContains(t, err, want)
			_, err = conn.Exec(t.Context(), fmt.Sprintf("DROP TABLE %s", name))
			require.NoError(t, err)
			sink, err := New(t.Context(), s.DSN(), &Options{Table: name, Migrate: true})
			require.NoError(t, err)
			require.NoError(t, sink.Close(t.Context()))
		}
	})

	run("Migrate by many at the same time", func(t *testing.T) {
		name := table(t)
		var wg sync.WaitGroup
		errs := make([]error, 10)
		for i := range errs {
			wg.Go(func() {
				sink, err := New(t.Context(), s.DSN(), &Options{Table: name, Migrate: true, MaxConcurrent: 1, PartitionByMonth: true})
				if errs[i] = err; err == nil {
					errs[i] = sink.Write(t.Context(), events("m", 3))
					require.NoError(t, sink.Close(context.Background()))
				}
			})
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	})

	run("a user that may only insert and read", func(t *testing.T) {
		sink := open(t, s, Options{})
		_, err := New(t.Context(), s.DSN("user=reader"), &Options{Table: table(t), Migrate: true})
		require.ErrorContains(t, err, "42501")
		require.ErrorContains(t, err, "the user lacks a permission")
		exec(t, conn, "GRANT INSERT, SELECT ON "+sink.table.sql()+" TO reader")
		weak, err := New(t.Context(), s.DSN("user=reader"), &Options{Table: sink.opts.Table})
		require.NoError(t, err)
		require.NoError(t, weak.Write(t.Context(), events("m", 2)))
		exec(t, conn, "REVOKE INSERT ON "+sink.table.sql()+" FROM reader")
		err = weak.Write(t.Context(), events("n", 2))
		require.ErrorContains(t, err, "42501")
		require.False(t, inlet.IsPermanent(err))
		require.NoError(t, weak.Close(t.Context()))
	})

	run("WriteTx", func(t *testing.T) {
		sink := open(t, s, Options{})
		exec(t, conn, "CREATE TABLE orders (id int)")
		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), "INSERT INTO orders VALUES (1)")
		require.NoError(t, err)
		require.NoError(t, sink.WriteTx(t.Context(), tx, events("m", 3)...))
		require.NoError(t, sink.WriteTx(t.Context(), tx), "no events")
		other := s.Connect(t)
		require.Zero(t, one[int](t, other, "SELECT count(*)::int FROM "+sink.table.sql()), "not before the commit")
		require.NoError(t, tx.Commit(t.Context()))
		require.Equal(t, 3, one[int](t, other, "SELECT count(*)::int FROM "+sink.table.sql()))
		require.ErrorIs(t, sink.WriteTx(t.Context(), tx, events("n", 1)...), pgx.ErrTxClosed, "afterwards nothing is stored outside of it")

		tx, err = conn.Begin(t.Context())
		require.NoError(t, err)
		require.NoError(t, sink.WriteTx(t.Context(), tx, events("rolled", 1)...))
		require.NoError(t, tx.Rollback(t.Context()))
		require.Equal(t, 3, one[int](t, other, "SELECT count(*)::int FROM "+sink.table.sql()))

		tx, err = conn.Begin(t.Context())
		require.NoError(t, err)
		bad := event("x" + incompressible)
		err = sink.WriteTx(t.Context(), tx, event("good"), bad)
		require.True(t, inlet.IsPermanent(err), err)
		_, err = tx.Exec(t.Context(), "INSERT INTO orders VALUES (2)")
		require.NoError(t, err, "the transaction remains usable")
		require.NoError(t, tx.Commit(t.Context()))
		require.Equal(t, 2, one[int](t, other, "SELECT count(*)::int FROM orders"))
		require.Equal(t, 3, one[int](t, other, "SELECT count(*)::int FROM "+sink.table.sql()))

		for _, e := range []*inlet.Event{nil, {}, {MessageID: "a", Type: "track", ReceivedAt: day}} {
			require.True(t, inlet.IsPermanent(sink.WriteTx(t.Context(), tx, e)))
		}
	})

	run("a pool of the host's", func(t *testing.T) {
		pool, err := pgxpool.New(t.Context(), s.DSN())
		require.NoError(t, err)
		defer pool.Close()
		sink, err := New(t.Context(), pool, &Options{Table: table(t), Migrate: true})
		require.NoError(t, err)
		require.NoError(t, sink.Write(t.Context(), events("m", 2)))
		tx, err := pool.Begin(t.Context())
		require.NoError(t, err)
		require.NoError(t, sink.WriteTx(t.Context(), tx, event("tx")))
		require.NoError(t, tx.Commit(t.Context()))
		require.NoError(t, sink.Close(t.Context()))
		require.NoError(t, pool.Ping(t.Context()), "Close leaves it")
		require.ErrorIs(t, sink.WriteTx(t.Context(), tx, event("x")), inlet.ErrClosed)
		_, err = New(t.Context(), (*pgxpool.Pool)(nil), nil)
		require.ErrorContains(t, err, "target is nil")
	})

	run("String", func(t *testing.T) {
		exec(t, conn, "CREATE ROLE secretive LOGIN SUPERUSER PASSWORD 'hunter2'")
		sink, err := New(t.Context(), s.DSN("user=secretive", "password=hunter2"), &Options{Table: table(t), Migrate: true})
		require.NoError(t, err)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			require.NotContains(t, fmt.Sprintf(verb, sink), "hunter2")
		}
		require.Contains(t, sink.String(), "/postgres")
		require.NoError(t, sink.Close(t.Context()))
	})

	run("partitions", func(t *testing.T) {
		var log testkit.Log
		sink := open(t, s, Options{PartitionByMonth: true, Logger: log.Logger()})
		names := func() []string {
			rows, err := conn.Query(t.Context(), "SELECT right(inhrelid::regclass::text, 8) FROM pg_inherits WHERE inhparent = to_regclass($1) ORDER BY 1", sink.table.sql())
			require.NoError(t, err)
			list, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			return list
		}
		require.Len(t, names(), 2, "this month and the next")
		list := events("m", 3)
		list[1].ReceivedAt = time.Date(2025, 12, 31, 23, 59, 59, 999999999, time.UTC)
		list[2].ReceivedAt = time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 7200)) // 2025 in UTC
		require.NoError(t, sink.Write(t.Context(), list))
		require.NoError(t, sink.Write(t.Context(), list))
		require.Contains(t, names(), "_2025_12")
		require.Contains(t, names(), "_2026_03")
		require.NotContains(t, names(), "_2026_01")
		require.Equal(t, 3, one[int](t, conn, "SELECT count(*)::int FROM "+sink.table.sql()), "no duplicate within a month")
		again := event("m-0")
		again.ReceivedAt = day.Add(time.Hour)
		require.NoError(t, sink.Write(t.Context(), []*inlet.Event{again}))
		require.Equal(t, 3, one[int](t, conn, "SELECT count(*)::int FROM "+sink.table.sql()), "nor of another time")
		again.ReceivedAt = day.AddDate(0, 1, 0)
		require.NoError(t, sink.Write(t.Context(), []*inlet.Event{again}))
		require.Equal(t, 4, one[int](t, conn, "SELECT count(*)::int FROM "+sink.table.sql()), "but of another month")
		require.Contains(t, log.String(), "_2025_12")

		exec(t, conn, "DROP TABLE "+sink.table.with("_2026_03"))
		require.NoError(t, sink.Write(t.Context(), list), "a partition that somebody drops comes again")
		require.Contains(t, names(), "_2026_03")

		fixed, err := New(t.Context(), s.DSN(), &Options{Table: sink.opts.Table, PartitionByMonth: true})
		require.NoError(t, err)
		list[0].ReceivedAt = time.Date(2024, 5, 5, 0, 0, 0, 0, time.UTC)
		err = fixed.Write(t.Context(), list)
		require.ErrorContains(t, err, "no partition for the month of an event")
		require.False(t, inlet.IsPermanent(err), "an operator can create it")
		require.NoError(t, fixed.Close(t.Context()))
		_, err = New(t.Context(), s.DSN(), &Options{Table: sink.opts.Table})
		require.ErrorContains(t, err, "PartitionByMonth is false")

		kept, err := New(t.Context(), s.DSN(), &Options{Table: sink.opts.Table, PartitionByMonth: true, Retain: time.Since(day) - 24*time.Hour, Logger: log.Logger()})
		require.NoError(t, err)
		require.NotContains(t, names(), "_2025_12", "dropped")
		require.Contains(t, names(), "_2026_03", "kept")
		require.NoError(t, kept.Close(t.Context()))
	})

	run("unlogged table", func(t *testing.T) {
		sink := open(t, s, Options{})
		require.Equal(t, inlet.DurabilityFsync, sink.Durability())
		exec(t, conn, "ALTER TABLE "+sink.table.sql()+" SET UNLOGGED")
		weak, err := New(t.Context(), s.DSN(), &Options{Table: sink.opts.Table})
		require.NoError(t, err)
		require.Equal(t, inlet.DurabilityMemory, weak.Durability())
		require.NoError(t, weak.Close(t.Context()))
	})

	run("commits are synchronous, whatever the user's settings", func(t *testing.T) {
		exec(t, conn, "CREATE ROLE hasty LOGIN SUPERUSER; ALTER ROLE hasty SET synchronous_commit = off")
		sink, err := New(t.Context(), s.DSN("user=hasty"), &Options{Table: table(t), Migrate: true, MaxConcurrent: 1})
		require.NoError(t, err)
		defer sink.Close(context.Background())
		exec(t, conn, fmt.Sprintf(`CREATE FUNCTION hasty_check() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF current_setting('synchronous_commit') <> 'on' THEN RAISE 'not synchronous'; END IF; RETURN NEW; END $$;
			CREATE TRIGGER c BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION hasty_check()`, sink.table.sql()))
		require.NoError(t, sink.Write(t.Context(), events("m", 2)))
		pooled, err := sink.pool.Acquire(t.Context())
		require.NoError(t, err)
		defer pooled.Release()
		require.Equal(t, "off", one[string](t, pooled.Conn(), "SHOW synchronous_commit"), "only in the transaction")
	})

	run("Check", func(t *testing.T) {
		sink := open(t, s, Options{})
		require.NoError(t, sink.Check(t.Context()))
	})

	run("a dropped table comes again with Migrate", func(t *testing.T) {
		sink := open(t, s, Options{})
		require.NoError(t, sink.Write(t.Context(), events("m", 1)))
		exec(t, conn, "DROP TABLE "+sink.table.sql())
		require.NoError(t, sink.Write(t.Context(), events("n", 2)))
		require.Len(t, read(t, conn, sink.opts.Table), 2)
		exec(t, conn, "ALTER TABLE "+sink.table.sql()+" DROP COLUMN anonymous_id")
		require.NoError(t, sink.Write(t.Context(), events("o", 2)))
	})

	run("poison in a large batch", func(t *testing.T) {
		sink := open(t, s, Options{MaxBytes: 40_000})
		list := events("m", 200)
		for _, i := range []int{0, 77, 78, 199} {
			list[i].MessageID += incompressible
		}
		var batch *inlet.BatchError
		require.ErrorAs(t, sink.Write(t.Context(), list), &batch)
		var failed []int
		for _, item := range batch.Items {
			require.True(t, inlet.IsPermanent(item.Err))
			require.ErrorContains(t, item.Err, "54000")
			failed = append(failed, item.Index)
		}
		require.Equal(t, []int{0, 77, 78, 199}, failed)
		require.Len(t, read(t, conn, sink.opts.Table), 196)
	})
}

func TestDurability(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t, "fsync=off")
	conn := s.Connect(t)
	sink := open(t, s, Options{})
	require.Equal(t, inlet.DurabilityOSBuffer, sink.Durability())
	require.NoError(t, sink.Write(t.Context(), events("m", 1)))

	set := func(name, value string) {
		exec(t, conn, fmt.Sprintf("ALTER SYSTEM SET %s = %s", name, value))
		require.True(t, one[bool](t, conn, "SELECT pg_reload_conf()"))
		require.Eventually(t, func() bool {
			// a connection that is new has read the settings
			fresh, err := pgx.Connect(context.Background(), s.DSN())
			require.NoError(t, err)
			defer fresh.Close(context.Background())
			return "'"+one[string](t, fresh, "SHOW "+name)+"'" == value
		}, waitLong, tick)
	}
	set("synchronous_standby_names", "'none'")
	require.Equal(t, inlet.DurabilityOSBuffer, settings{standbys: true}.durability(), "a standby does not make up for it here")
	require.Equal(t, inlet.DurabilityReplicated, settings{standbys: true, fsync: true}.durability())
	require.Equal(t, inlet.DurabilityFsync, settings{fsync: true}.durability())
	set("synchronous_standby_names", "''")

	sink.durability = inlet.DurabilityFsync // as if the server had promised that at first
	err := sink.Write(t.Context(), events("n", 1))
	require.ErrorIs(t, err, errWeak)
	require.False(t, inlet.IsPermanent(err))
	require.ErrorIs(t, sink.Check(t.Context()), errWeak)
	sink.durability = inlet.DurabilityOSBuffer
	require.NoError(t, sink.Write(t.Context(), events("n", 1)))
}
