package postgressink

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

// BenchmarkWrite compares the sink with COPY to a temporary table and INSERT from that, by the same
// four writers, in batches of 500 events of about 960 bytes. The floor is COPY without a key.
func BenchmarkWrite(b *testing.B) {
	s := pgserver.Start(b, "shared_buffers=256MB", "max_wal_size=4GB")
	bench := func(name string, o Options, write func(b *testing.B, sink *Sink) func(ctx context.Context, events []*inlet.Event) error, again bool) {
		b.Run(name, func(b *testing.B) {
			o.Table, o.Migrate, o.MaxConcurrent = table(b), true, benchWriters
			sink, err := New(b.Context(), s.DSN(), &o)
			require.NoError(b, err)
			defer sink.Close(context.Background())
			f := write(b, sink)
			if again {
				measure(b, func(n int64) error { return f(b.Context(), benchEvents(n%8)) })
				return
			}
			measure(b, func(n int64) error { return f(b.Context(), benchEvents(n)) })
		})
	}
	plain := func(_ *testing.B, sink *Sink) func(context.Context, []*inlet.Event) error { return sink.Write }
	bench("json", Options{}, plain, false)
	bench("copy and insert, json", Options{}, copyAndInsert, false)
	bench("duplicates", Options{}, plain, true)
	bench("jsonb", Options{JSONB: true}, plain, false)
	bench("copy without a key, json", Options{}, copyOnly, false)
}

// BenchmarkTables compares typed tables with the raw table, by the same four writers, in batches of
// 500 events of about 960 bytes, of which eight tables have an eighth each.
func BenchmarkTables(b *testing.B) {
	s := pgserver.Start(b, "shared_buffers=256MB", "max_wal_size=4GB")
	b.Run("raw", func(b *testing.B) {
		sink, err := New(b.Context(), s.DSN(), &Options{Table: table(b), Migrate: true, MaxConcurrent: benchWriters, Logger: quiet})
		require.NoError(b, err)
		defer sink.Close(context.Background())
		measure(b, func(n int64) error { return sink.Write(b.Context(), tablesEvents(n)) })
	})
	b.Run("tables", func(b *testing.B) {
		sink, err := NewTables(b.Context(), s.DSN(), &TablesOptions{Schema: table(b), Migrate: true, MaxConcurrent: benchWriters, Logger: quiet})
		require.NoError(b, err)
		defer sink.Close(context.Background())
		require.NoError(b, sink.Write(b.Context(), tablesEvents(-1)))
		measure(b, func(n int64) error { return sink.Write(b.Context(), tablesEvents(n)) })
	})
}

// BenchmarkSize measures what an event of BenchmarkTables takes in each form, on the disk of the
// server and as a line of JSON.
func BenchmarkSize(b *testing.B) {
	const batches = 40
	s := pgserver.Start(b)
	conn := s.Connect(b)
	size := func(name string, relations string, newSink func(name string) (inlet.Sink, error)) {
		b.Run(name, func(b *testing.B) {
			own := table(b)
			sink, err := newSink(own)
			require.NoError(b, err)
			defer sink.(interface{ Close(context.Context) error }).Close(context.Background())
			var line int
			for n := range batches {
				list := tablesEvents(int64(n))
				line += len(list[0].AppendJSON(nil)) + len("\n")
				require.NoError(b, sink.Write(b.Context(), list))
			}
			for range b.N { // what is measured takes no time
			}
			perEvent := func(function string) float64 {
				sum := one[int64](b, conn, "SELECT sum("+function+"(c.oid))::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND "+relations, own)
				return float64(sum) / (batches * benchBatch)
			}
			b.ReportMetric(float64(line)/batches, "line-bytes/event")
			b.ReportMetric(perEvent("pg_table_size"), "table-bytes/event")
			b.ReportMetric(perEvent("pg_indexes_size"), "index-bytes/event")
		})
	}
	raw := func(jsonb bool) func(string) (inlet.Sink, error) {
		return func(name string) (inlet.Sink, error) {
			return New(b.Context(), s.DSN(), &Options{Table: name, JSONB: jsonb, Migrate: true, Logger: quiet})
		}
	}
	size("json", "c.relname = $1", raw(false))
	size("jsonb", "c.relname = $1", raw(true))
	size("tables", "n.nspname = $1", func(name string) (inlet.Sink, error) {
		return NewTables(b.Context(), s.DSN(), &TablesOptions{Schema: name, Migrate: true, Logger: quiet})
	})
}

// tablesEvents returns the n-th batch.
func tablesEvents(n int64) []*inlet.Event {
	list := benchEvents(n)
	for i, e := range list {
		e.Name = tablesNames[i%len(tablesNames)]
		e.Properties = tablesProperties
		e.Context = tablesContext
	}
	return list
}

var (
	tablesNames      = []string{"Order Completed", "Product Viewed", "Product Added", "Cart Viewed", "Checkout Started", "Coupon Entered", "Searched", "Signed Up"}
	tablesProperties = []byte(`{"orderId":"50314b8e9bcf000000000000","total":27.50,"revenue":25,"shipping":3,"tax":2,"currency":"EUR","coupon":"SUMMER","affiliation":"Shop","products":[{"id":"507f1f77","sku":"G-32","price":19,"quantity":1}]}`)
	tablesContext    = []byte(`{"page":{"url":"https://shop.example/checkout?step=3","path":"/checkout","title":"Thank you","referrer":"https://shop.example/cart","search":"?step=3"},"userAgent":"` + strings.Repeat("Mozilla/5.0 (X11) ", 12) + `","locale":"de-DE","ip":"192.0.2.1","library":{"name":"analytics.js","version":"2.1.0"},"screen":{"width":1920,"height":1080,"density":1},"timezone":"Europe/Berlin"}`)
)

const (
	benchWriters = 4
	benchBatch   = 500
)

// benchEvents returns the n-th batch.
func benchEvents(n int64) []*inlet.Event {
	list := make([]*inlet.Event, benchBatch)
	for i := range list {
		e := event(fmt.Sprintf("8f2c1e7a-%d-%d", n, i))
		e.Context = []byte(`{"page":{"url":"https://shop.example/checkout?step=3","title":"Thank you"},"userAgent":"` + strings.Repeat("Mozilla/5.0 (X11) ", 24) + `","locale":"de-DE"}`)
		list[i] = e
	}
	return list
}

// measure has each writer call write, and reports events a second and microseconds of this process
// for each event, without those of making the events.
func measure(b *testing.B, write func(n int64) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	begin, used := time.Now(), testkit.ProcessorTime()
	for range benchWriters {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := write(n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	total := float64(b.N) * benchBatch
	b.ReportMetric(total/time.Since(begin).Seconds(), "events/s")
	making := testkit.ProcessorTime()
	spent := making - used
	for n := range min(b.N, 20) {
		benchEvents(int64(n))
	}
	making = (testkit.ProcessorTime() - making) / time.Duration(min(b.N, 20)) * time.Duration(b.N)
	b.ReportMetric(float64((spent-making).Microseconds())/total, "cpu-µs/event")
}

// copyRows copies the events to a table as pgx does it.
func copyRows(ctx context.Context, conn *pgx.Conn, name pgx.Identifier, events []*inlet.Event) error {
	_, err := conn.CopyFrom(ctx, name, columnNames[:], pgx.CopyFromSlice(len(events), func(i int) ([]any, error) {
		e := events[i]
		return []any{e.Source.ID, e.MessageID, e.ReceivedAt, e.Timestamp, string(e.Type), e.Name, e.UserID, e.AnonymousID, e.GroupID, e.AppendJSON(nil)}, nil
	}))
	return err
}

func copyAndInsert(b *testing.B, sink *Sink) func(context.Context, []*inlet.Event) error {
	config := sink.pool.Config()
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE TEMP TABLE staged (LIKE "+sink.table.sql()+") ON COMMIT DELETE ROWS")
		if err == nil {
			_, err = conn.Exec(ctx, "ALTER TABLE staged ALTER seq DROP NOT NULL")
		}
		return err
	}
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	names := strings.Join(columnNames[:], `", "`)
	insert := fmt.Sprintf(`INSERT INTO %s ("%s") SELECT "%s" FROM staged ON CONFLICT DO NOTHING`, sink.table.sql(), names, names)
	return func(ctx context.Context, events []*inlet.Event) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if err := copyRows(ctx, tx.Conn(), pgx.Identifier{"staged"}, events); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, insert)
			return err
		})
	}
}

func copyOnly(b *testing.B, sink *Sink) func(context.Context, []*inlet.Event) error {
	_, err := sink.pool.Exec(b.Context(), fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s_pkey", sink.table.sql(), sink.table.name))
	require.NoError(b, err)
	return func(ctx context.Context, events []*inlet.Event) error {
		conn, err := sink.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		return copyRows(ctx, conn.Conn(), pgx.Identifier{sink.table.name}, events)
	}
}
