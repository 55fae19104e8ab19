package postgressink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

var quiet = slog.New(slog.DiscardHandler)

// openTables returns a sink for a schema of the test's own.
func openTables(t testing.TB, s *pgserver.Server, o TablesOptions) *Tables {
	t.Helper()
	if o.Schema == "" {
		o.Schema = table(t)
	}
	o.Migrate = true
	if o.Logger == nil {
		o.Logger = quiet
	}
	sink, err := NewTables(t.Context(), s.DSN(), &o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sink.Close(context.Background())) })
	return sink
}

// rowsOf returns the rows of a query as JSON, one a line.
func rowsOf(t testing.TB, conn *pgx.Conn, sql string, args ...any) string {
	t.Helper()
	rows, err := conn.Query(context.Background(), "SELECT row_to_json(q)::text FROM ("+sql+") q", args...)
	require.NoError(t, err)
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return strings.Join(texts, "\n")
}

// write writes events, and requires that each is stored with all of its values.
func (s *Tables) mustWrite(t testing.TB, conn *pgx.Conn, list ...*inlet.Event) {
	t.Helper()
	require.NoError(t, s.Write(t.Context(), list))
	s.mustHave(t, conn, list...)
}

// mustHave requires that events are stored once, with all of their values.
func (s *Tables) mustHave(t testing.TB, conn *pgx.Conn, list ...*inlet.Event) {
	t.Helper()
	stored, err := readTables(context.Background(), conn, s.opts.Schema)
	require.NoError(t, err)
	byID := map[string]*inlet.Event{}
	for _, e := range stored {
		key := e.Source.ID + " " + e.MessageID
		require.Nil(t, byID[key], "%s is stored twice", key)
		byID[key] = e
	}
	for _, e := range list {
		got := byID[e.Source.ID+" "+e.MessageID]
		require.NotNil(t, got, e.MessageID)
		if !sameInTables(e, got) {
			want, err := flatOf(e)
			require.NoError(t, err)
			require.Failf(t, "values are lost", "%s: want %v, got %s", e.MessageID, want, got.Properties)
		}
	}
}

// writePatiently writes an event, again where a change of its table has to wait for too long: on a
// slow machine, a commit by somebody else may take seconds.
func (s *Tables) writePatiently(ctx context.Context, e *inlet.Event) error {
	for {
		if err := s.Write(ctx, []*inlet.Event{e}); sqlState(err) != "55P03" {
			return err
		}
	}
}

// sql returns a query with the schema in place of "inlet.".
func (s *Tables) sql(query string) string {
	return strings.ReplaceAll(query, "inlet.", quoteName(s.opts.Schema)+".")
}

// call returns an event of a type.
func call(typ inlet.Type, id, user string, after time.Duration, values string) *inlet.Event {
	e := &inlet.Event{
		Type: typ, MessageID: id, UserID: user, AnonymousID: "a1", Timestamp: day.Add(after), ReceivedAt: day.Add(after),
		Source: &inlet.Source{ID: "web"},
	}
	switch typ {
	case inlet.TypeIdentify:
		e.Traits = json.RawMessage(values)
	case inlet.TypeGroup:
		e.Traits, e.GroupID = json.RawMessage(values), "g1"
	default:
		e.Properties = json.RawMessage(values)
	}
	return e
}

// TestTables has one server for all of its subtests, which have a schema each.
func TestTables(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	conn := s.Connect(t)
	run := t.Run // one after the other: they share a connection

	run("names and types", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{})
		e := event("m1")
		e.Context = json.RawMessage(`{"page":{"url":"https://x.example/","path":"/"},"userAgent":"UA","campaign":{"source":"s"}}`)
		e.Properties = json.RawMessage(`{"orderId":"o1","total":27.5,"items":3,"paid":true,"list":[1,"a"],"gift":null,"address":{"city":"B"},"precise":12345678901234567.89}`)
		sink.mustWrite(t, conn, e)
		sink.mustWrite(t, conn, e)
		require.JSONEq(t, `{"id":"m1","event":"order_completed","event_text":"Order Completed","user_id":"u1","anonymous_id":"a1",
			"order_id":"o1","total":27.5,"items":3,"paid":true,"list":[1,"a"],"address_city":"B","precise":12345678901234567.89,
			"context_page_url":"https://x.example/","context_user_agent":"UA","context_campaign_source":"s","_extra":null}`,
			rowsOf(t, conn, sink.sql(`SELECT id, event, event_text, user_id, anonymous_id, order_id, total, items, paid, list, address_city, precise,
				context_page_url, context_user_agent, context_campaign_source, _extra FROM inlet.order_completed`)))
		require.Equal(t, "bigint double precision text boolean jsonb numeric", one[string](t, conn, sink.sql(
			`SELECT concat_ws(' ', pg_typeof(items), pg_typeof(total), pg_typeof(order_id), pg_typeof(paid), pg_typeof(list), pg_typeof(precise)) FROM inlet.order_completed`)))
		require.Equal(t, "/", one[string](t, conn, sink.sql("SELECT context_page_path FROM inlet.tracks")))
		stats := sink.Stats()
		require.EqualValues(t, 1, stats.Stored)
		require.EqualValues(t, 1, stats.Duplicates)
		require.EqualValues(t, 2, stats.Transactions)
		require.Equal(t, 1, stats.Events)
		require.Empty(t, stats.Extra)

		other := event("m2")
		other.Properties = json.RawMessage(`{"total":"27,50","items":3.5,"orderId":7,"list":"a","a":{"b":{"c":{"d":1}}}}`)
		sink.mustWrite(t, conn, other)
		require.JSONEq(t, `{"properties.total":"27,50","properties.items":3.5,"properties.orderId":7,"properties.list":"a","properties.a.b.c":{"d":1}}`,
			one[string](t, conn, sink.sql("SELECT _extra::text FROM inlet.order_completed WHERE id = 'm2'")))
		require.Equal(t, []Leftover{{"order_completed", "depth", 1}, {"order_completed", "type", 4}}, sink.Stats().Extra)
	})

	run("options of types", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{Numeric: true, Timestamps: true})
		e := event("m1")
		e.Properties = json.RawMessage(`{"n":1,"at":"2026-03-01T12:00:00.5+02:00","date":"2026-03-01"}`)
		other := event("m2")
		other.Properties = json.RawMessage(`{"n":1.5,"at":"yesterday","date":"x"}`)
		require.NoError(t, sink.Write(t.Context(), []*inlet.Event{e, other}))
		require.Equal(t, "numeric timestamp with time zone text", one[string](t, conn, sink.sql(
			`SELECT concat_ws(' ', pg_typeof(n), pg_typeof(at), pg_typeof(date)) FROM inlet.order_completed WHERE id = 'm1'`)))
		require.Equal(t, "2.5", one[string](t, conn, sink.sql("SELECT sum(n)::text FROM inlet.order_completed")))
		require.Equal(t, day.Truncate(time.Hour).Add(-2*time.Hour+500*time.Millisecond), one[time.Time](t, conn, sink.sql("SELECT at FROM inlet.order_completed WHERE id = 'm1'")).UTC())
		require.Equal(t, `{"properties.at": "yesterday"}`, one[string](t, conn, sink.sql("SELECT _extra::text FROM inlet.order_completed WHERE id = 'm2'")))
	})

	run("latest values of users and accounts", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{})
		write := func(list ...*inlet.Event) { sink.mustWrite(t, conn, list...) }
		user := func() string {
			return rowsOf(t, conn, sink.sql("SELECT id, email, plan, age, received_at FROM inlet.users ORDER BY 1"))
		}
		write(call(inlet.TypeIdentify, "1", "u1", 1*time.Hour, `{"email":"a@x.example","plan":"free"}`),
			call(inlet.TypeIdentify, "2", "u1", 2*time.Hour, `{"plan":"pro","age":7}`),
			call(inlet.TypeIdentify, "3", "", 3*time.Hour, `{"plan":"without a user"}`))
		at := func(after time.Duration) string {
			return day.Add(after).Truncate(time.Microsecond).Format("2006-01-02T15:04:05.999999") + "+00:00"
		}
		exec(t, conn, "SET TIME ZONE 'UTC'")
		require.JSONEq(t, `{"id":"u1","email":"a@x.example","plan":"pro","age":7,"received_at":"`+at(2*time.Hour)+`"}`, user())

		write(call(inlet.TypeIdentify, "4", "u1", -time.Hour, `{"plan":"old","name":"Ann"}`))
		require.JSONEq(t, `{"id":"u1","email":"a@x.example","plan":"pro","age":7,"received_at":"`+at(2*time.Hour)+`"}`, user(), "older calls change nothing that is newer")
		require.Equal(t, "Ann", one[string](t, conn, sink.sql("SELECT name FROM inlet.users")))

		again := call(inlet.TypeIdentify, "1", "u1", 5*time.Hour, `{"email":"a@x.example","plan":"free"}`)
		require.NoError(t, sink.Write(t.Context(), []*inlet.Event{again}))
		require.JSONEq(t, `{"id":"u1","email":"a@x.example","plan":"pro","age":7,"received_at":"`+at(2*time.Hour)+`"}`, user(), "a duplicate changes nothing")

		write(call(inlet.TypeIdentify, "5", "u1", 2*time.Hour, `{"plan":"max"}`))
		require.JSONEq(t, `{"id":"u1","email":"a@x.example","plan":"max","age":7,"received_at":"`+at(2*time.Hour)+`"}`, user(), "of the same moment the later one")

		other := call(inlet.TypeIdentify, "6", "u1", 9*time.Hour, `{"plan":"of another source"}`)
		other.Source = &inlet.Source{ID: "another"}
		long := call(inlet.TypeIdentify, "7", "u"+incompressible, 9*time.Hour, `{"plan":"long"}`)
		write(other, long)
		require.Equal(t, 2, one[int](t, conn, sink.sql("SELECT count(*)::int FROM inlet.users")))

		write(call(inlet.TypeGroup, "g-1", "u1", time.Hour, `{"name":"Acme","employees":3}`),
			call(inlet.TypeGroup, "g-2", "u2", 2*time.Hour, `{"employees":4}`))
		require.Equal(t, 2, one[int](t, conn, sink.sql("SELECT count(*)::int FROM inlet.groups WHERE group_id = 'g1'")), "each call")
		require.JSONEq(t, `{"id":"g1","name":"Acme","employees":4}`, rowsOf(t, conn, sink.sql("SELECT id, name, employees FROM inlet.accounts")), "the latest state")
		require.EqualValues(t, 9, sink.Stats().Stored)
	})

	run("the name of a page", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{})
		page := call(inlet.TypePage, "1", "u1", 0, `{"name":"Home","url":"https://x.example/","title":"T"}`)
		page.Name = "Home"
		other := call(inlet.TypeScreen, "2", "u1", 0, `{"name":"Other"}`)
		other.Name = "Home"
		sink.mustWrite(t, conn, page, other)
		require.Equal(t, "Home", one[string](t, conn, sink.sql("SELECT name FROM inlet.pages")))
	})

	run("text that PostgreSQL cannot hold", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{})
		e := event("a\x00b")
		e.Name, e.UserID = "x\x00y", "u\x00"
		e.Properties = json.RawMessage(`{"text":"a\u0000b","list":["\u0000"],"n\u0000":1,"n\ufffd":2,"fine":"\\u0000"}`)
		huge := event("huge")
		huge.Properties = json.RawMessage(`{"n":1E200000}`)
		require.NoError(t, sink.Write(t.Context(), []*inlet.Event{e}))
		err := sink.Write(t.Context(), []*inlet.Event{event("good"), huge})
		var failed *inlet.BatchError
		require.ErrorAs(t, err, &failed)
		require.Len(t, failed.Items, 1)
		require.Equal(t, 1, failed.Items[0].Index)
		require.True(t, inlet.IsPermanent(failed.Items[0].Err))
		require.ErrorContains(t, err, "22003")
		stored := rowsOf(t, conn, sink.sql(`SELECT id, event_text, user_id, text, list, fine, _extra FROM inlet.x_y`))
		require.Contains(t, stored, `"event_text":"x�y","user_id":"u�","text":"a�b","list":["�"],"fine":"\\u0000"`)
		require.Contains(t, stored, keyText("a\x00b"))
		require.Contains(t, stored, `"_extra":{"properties.n�#`)
		require.Equal(t, 2, one[int](t, conn, sink.sql("SELECT n::int FROM inlet.x_y")))
		require.EqualValues(t, 7, sink.Stats().Replaced, "in both rows")
		require.EqualValues(t, 1, sink.Stats().Refused)
	})

	run("names with any text", func(t *testing.T) {
		for _, setting := range []string{"on", "off"} {
			dsn := s.DSN("options='-c standard_conforming_strings=" + setting + "'")
			sink, err := NewTables(t.Context(), dsn, &TablesOptions{Schema: `a"b'\%s` + setting, Migrate: true, Logger: quiet})
			require.NoError(t, err)
			e := event("m1")
			e.Name = `'; DROP SCHEMA "public"; -- \`
			e.Properties = json.RawMessage(`{"a'b":1,"a\"b":2,"a\\b":3,"a.b":4,"$1":5,"select":6,"ctid":7,"xmin":8,"_seq":9,"id":10,"":11,"uuid_ts":12,"_extra":13,"ü":14,"E'\\'":15}`)
			order := event("m2")
			order.Name = "order"
			require.NoError(t, sink.Write(t.Context(), []*inlet.Event{e, order}))
			stored, err := readTables(t.Context(), conn, strings.ReplaceAll(sink.opts.Schema, `"`, `""`))
			require.NoError(t, err)
			require.Len(t, stored, 2)
			require.True(t, sameInTables(e, stored[0]), "%s", stored[0].Properties)
			require.Empty(t, sink.Stats().Extra)
			require.NoError(t, sink.Close(t.Context()))
		}
	})

	run("limits", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{MaxTables: 3, MaxColumns: 30})
		var list []*inlet.Event
		for i := range 50 {
			e := event(fmt.Sprint("m", i))
			e.Name = fmt.Sprint("Event ", i)
			list = append(list, e)
		}
		wide := map[string]string{}
		for i := range 2000 {
			wide[fmt.Sprint("p", i)] = "some text of 23 bytes.."
		}
		text, err := json.Marshal(wide)
		require.NoError(t, err)
		list[0].Properties = text
		sink.mustWrite(t, conn, list...)
		require.Equal(t, 3, sink.Stats().Events)
		for _, l := range sink.Stats().Extra {
			require.Equal(t, map[string]string{"event_0": "columns", "tracks": "tables"}[l.Table], l.Reason)
		}
		second, err := NewTables(t.Context(), s.DSN(), &TablesOptions{Schema: sink.opts.Schema, Migrate: true, MaxTables: 3, Logger: quiet})
		require.NoError(t, err)
		again := event("again")
		again.Name, again.Properties = "Event 1", text
		require.NoError(t, second.Write(t.Context(), []*inlet.Event{again}))
		sink.mustHave(t, conn, again)
		reasons := map[string]uint64{}
		for _, l := range second.Stats().Extra {
			require.Equal(t, "event_1", l.Table)
			reasons[l.Reason] = l.Count
		}
		require.Positive(t, reasons["columns"])
		require.Positive(t, reasons["row"], "a row with 400 texts would be too large")
		require.NoError(t, second.Close(t.Context()))
	})

	run("Migrate", func(t *testing.T) {
		schema := table(t)
		_, err := NewTables(t.Context(), s.DSN(), &TablesOptions{Schema: schema})
		require.ErrorContains(t, err, "run these statements, or set Migrate:\nCREATE SCHEMA ")
		_, ddl, _ := strings.Cut(err.Error(), "Migrate:\n")
		exec(t, conn, ddl)
		fixed, err := NewTables(t.Context(), s.DSN(), &TablesOptions{Schema: schema})
		require.NoError(t, err)
		defer fixed.Close(context.Background())
		fixed.mustWrite(t, conn, event("m1"), call(inlet.TypePage, "p1", "u1", 0, `{"url":"x"}`), call(inlet.TypeIdentify, "i1", "u1", 0, `{"plan":"x"}`))
		require.Equal(t, []Leftover{{"identifies", "schema", 1}, {"pages", "schema", 1}, {"tracks", "tables", 3}}, fixed.Stats().Extra)
		sink := openTables(t, s, TablesOptions{Schema: schema})
		sink.mustWrite(t, conn, event("m2"))
		exec(t, conn, sink.sql("ALTER TABLE inlet.tracks DROP COLUMN anonymous_id"))
		_, err = NewTables(t.Context(), s.DSN(), &TablesOptions{Schema: schema})
		require.ErrorContains(t, err, `ADD COLUMN "anonymous_id" text`)
		err = fixed.Write(t.Context(), events("n", 1))
		require.ErrorContains(t, err, `ADD COLUMN "anonymous_id" text`)
		require.False(t, inlet.IsPermanent(err))
		sink.mustWrite(t, conn, event("m3"))
	})

	run("a dropped table or column comes again with Migrate", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{})
		identify := func(id string) *inlet.Event { return call(inlet.TypeIdentify, id, "u1", 0, `{"plan":"x","age":1}`) }
		sink.mustWrite(t, conn, event("m1"), identify("i1"))
		for i, ddl := range []string{
			"DROP TABLE inlet.order_completed", "DROP TABLE inlet.tracks, inlet.order_completed", "DROP TABLE inlet.users", "ALTER TABLE inlet.users DROP COLUMN age",
			"ALTER TABLE inlet.order_completed DROP COLUMN total", "DROP SCHEMA inlet CASCADE",
		} {
			ddl = strings.ReplaceAll(ddl, "SCHEMA inlet ", "SCHEMA "+quoteName(sink.opts.Schema)+" ")
			exec(t, conn, sink.sql(ddl))
			sink.mustWrite(t, conn, event(fmt.Sprint("n", i)), identify(fmt.Sprint("j", i)))
			require.Equal(t, 1, one[int](t, conn, sink.sql("SELECT count(*)::int FROM inlet.users WHERE age = 1")), ddl)
		}
	})

	run("times that PostgreSQL cannot hold", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{})
		list := events("m", 5)
		list[1].Timestamp = time.Date(600000, 1, 1, 0, 0, 0, 0, time.UTC)
		list[3].Timestamp = time.Date(-600000, 1, 1, 0, 0, 0, 0, time.UTC)
		var failed *inlet.BatchError
		require.ErrorAs(t, sink.Write(t.Context(), list), &failed)
		require.Len(t, failed.Items, 2)
		for i, item := range failed.Items {
			require.Equal(t, 2*i+1, item.Index)
			require.Equal(t, "22008", sqlState(item.Err))
			require.True(t, inlet.IsPermanent(item.Err))
		}
		sink.mustHave(t, conn, list[0], list[2], list[4])
	})

	run("columns of others that must not be null", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{})
		second := openTables(t, s, TablesOptions{Schema: sink.opts.Schema})
		coupon := event("m1")
		coupon.Properties = json.RawMessage(`{"coupon":"c"}`)
		sink.mustWrite(t, conn, event("m0"))
		second.mustWrite(t, conn, event("m00"))
		sink.mustWrite(t, conn, coupon) // whose column the second does not know
		exec(t, conn, sink.sql("UPDATE inlet.order_completed SET coupon = ''; ALTER TABLE inlet.order_completed ALTER coupon SET NOT NULL"))
		for _, sink := range []*Tables{sink, second} {
			err := sink.Write(t.Context(), events("refused", 1))
			require.Equal(t, "23502", sqlState(err), err)
			require.True(t, inlet.IsPermanent(err.(*inlet.BatchError).Items[0].Err), "the event lacks what a column of the sink must have")
			require.EqualValues(t, 1, sink.Stats().Refused)
		}
		exec(t, conn, sink.sql("ALTER TABLE inlet.order_completed ADD must text NOT NULL DEFAULT 'x'; ALTER TABLE inlet.order_completed ALTER must DROP DEFAULT"))
		good := event("m2")
		good.Properties = coupon.Properties
		err := sink.Write(t.Context(), []*inlet.Event{good})
		require.Equal(t, "23502", sqlState(err), err)
		require.ErrorContains(t, err, "somebody has added a column")
		require.False(t, inlet.IsPermanent(err))
		require.EqualValues(t, 1, sink.Stats().Refused)
		exec(t, conn, sink.sql("ALTER TABLE inlet.order_completed DROP must"))
		sink.mustWrite(t, conn, good)
	})

	run("tables of others are left alone", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{})
		exec(t, conn, sink.sql("CREATE TABLE inlet.order_completed (id text); CREATE VIEW inlet.a_view AS SELECT 1 AS x; CREATE SEQUENCE inlet.a_sequence; CREATE TYPE inlet.a_type AS ENUM ('x'); CREATE DOMAIN inlet.a_domain AS int"))
		var list []*inlet.Event
		for i, name := range []string{"Order Completed", "A View", "A Sequence", "A Type", "A Domain", "Tracks pkey", "Users", "_tracks", "Fine"} {
			e := event(fmt.Sprint("m", i))
			e.Name = name
			list = append(list, e)
		}
		sink.mustWrite(t, conn, list...)
		sink.mustWrite(t, conn, list...)
		require.Zero(t, one[int](t, conn, sink.sql("SELECT count(*)::int FROM inlet.order_completed")))
		require.Equal(t, 3, sink.Stats().Events)
		schema := table(t)
		exec(t, conn, "CREATE SCHEMA "+schema+"; CREATE TABLE "+schema+".users (id int)")
		_, err := NewTables(t.Context(), s.DSN(), &TablesOptions{Schema: schema, Migrate: true, Logger: quiet})
		require.ErrorContains(t, err, "choose another Schema")
	})

	run("a table that somebody reads for long", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{})
		sink.mustWrite(t, conn, event("m1"))
		reader := s.Connect(t)
		exec(t, reader, "BEGIN")
		exec(t, reader, sink.sql("SELECT * FROM inlet.order_completed"))
		sink.mustWrite(t, conn, event("m2"))
		e := event("m3")
		e.Properties = json.RawMessage(`{"new":1}`)
		err := sink.Write(t.Context(), []*inlet.Event{e})
		require.Equal(t, "55P03", sqlState(err), err)
		require.False(t, inlet.IsPermanent(err))
		exec(t, reader, "COMMIT")
		sink.mustWrite(t, conn, e)
	})

	run("a user that may only insert and read", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{})
		sink.mustWrite(t, conn, event("m1"), call(inlet.TypeIdentify, "i1", "u1", 0, `{"plan":"x"}`))
		exec(t, conn, "CREATE ROLE typist LOGIN; GRANT USAGE ON SCHEMA "+sink.opts.Schema+" TO typist; GRANT INSERT, SELECT, UPDATE ON ALL TABLES IN SCHEMA "+sink.opts.Schema+" TO typist")
		weak, err := NewTables(t.Context(), s.DSN("user=typist"), &TablesOptions{Schema: sink.opts.Schema})
		require.NoError(t, err)
		defer weak.Close(context.Background())
		weak.mustWrite(t, conn, event("m2"), call(inlet.TypeIdentify, "i2", "u2", 0, `{"plan":"y"}`))
		may, err := NewTables(t.Context(), s.DSN("user=typist"), &TablesOptions{Schema: sink.opts.Schema, Migrate: true, Logger: quiet})
		require.NoError(t, err, "nothing is missing")
		defer may.Close(context.Background())
		e := event("m3")
		e.Properties = json.RawMessage(`{"new":1}`)
		err = may.Write(t.Context(), []*inlet.Event{e})
		require.ErrorContains(t, err, "42501")
		require.False(t, inlet.IsPermanent(err))
	})

	run("behind pgbouncer in transaction mode", func(t *testing.T) {
		sink, err := NewTables(t.Context(), pgserver.StartBouncer(t, s).DSN(), &TablesOptions{Schema: table(t), Migrate: true, Logger: quiet})
		require.NoError(t, err)
		defer sink.Close(context.Background())
		var wg sync.WaitGroup
		lists, errs := make([][]*inlet.Event, 4), make([]error, 4)
		for i := range lists {
			lists[i] = events(fmt.Sprint("w", i), 20)
			for k, e := range lists[i] {
				e.Properties = json.RawMessage(fmt.Sprintf(`{"n%d":%d,"own%d":1}`, k%7, k, i))
			}
			wg.Go(func() {
				for _, e := range lists[i] {
					errs[i] = errors.Join(errs[i], sink.writePatiently(t.Context(), e))
				}
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		sink.mustHave(t, conn, slices.Concat(lists...)...)
	})

	run("poison in a large batch", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{MaxBytes: 40_000})
		list := events("m", 200)
		for _, i := range []int{0, 77, 199} {
			list[i].MessageID += incompressible
		}
		var failed *inlet.BatchError
		require.ErrorAs(t, sink.Write(t.Context(), list), &failed)
		require.Len(t, failed.Items, 3)
		for _, item := range failed.Items {
			require.True(t, inlet.IsPermanent(item.Err))
			require.ErrorContains(t, item.Err, "54000")
		}
		require.Equal(t, 197, one[int](t, conn, sink.sql("SELECT count(*)::int FROM inlet.tracks")))
		require.Equal(t, 197, one[int](t, conn, sink.sql("SELECT count(*)::int FROM inlet.order_completed")))
		require.EqualValues(t, 197, sink.Stats().Stored)
	})

	run("String, Check, Durability and Close", func(t *testing.T) {
		sink, err := NewTables(t.Context(), s.DSN("password=hunter2"), &TablesOptions{Schema: table(t), Migrate: true, Logger: quiet})
		require.NoError(t, err)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			require.NotContains(t, fmt.Sprintf(verb, sink), "hunter2")
		}
		require.Contains(t, sink.String(), sink.opts.Schema)
		require.NoError(t, sink.Check(t.Context()))
		require.Equal(t, inlet.DurabilityFsync, sink.Durability())
		exec(t, conn, sink.sql("ALTER TABLE inlet.pages SET UNLOGGED"))
		weak, err := NewTables(t.Context(), s.DSN(), &TablesOptions{Schema: sink.opts.Schema})
		require.NoError(t, err)
		require.Equal(t, inlet.DurabilityMemory, weak.Durability())
		require.NoError(t, weak.Close(t.Context()))
		require.NoError(t, sink.Close(t.Context()))
		require.ErrorIs(t, sink.Write(t.Context(), events("m", 1)), inlet.ErrClosed)
		require.ErrorIs(t, sink.Check(t.Context()), inlet.ErrClosed)
	})
}

func TestTablesOptions(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]TablesOptions{
		`Schema is "a\x00"`:                     {Schema: "a\x00"},
		"MaxColumns is 29, must be at least 30": {MaxColumns: 29},
		"MaxColumns is 1501":                    {MaxColumns: 1501},
		"MaxTables is -1":                       {MaxTables: -1},
		"MaxBytes is -1":                        {MaxBytes: -1},
		"MaxConcurrent is -1":                   {MaxConcurrent: -1},
	} {
		_, err := NewTables(t.Context(), "host=/nowhere", &o)
		require.ErrorContains(t, err, "postgressink: TablesOptions: ")
		require.ErrorContains(t, err, want)
	}
	_, err := NewTables(t.Context(), "%hunter2", nil)
	require.ErrorContains(t, err, "not a valid connection string")
}
