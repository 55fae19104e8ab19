package postgressink

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

// How long to wait for what a server does in its own time, and how often to look.
const (
	waitLong = 2 * time.Minute
	tick     = 5 * time.Millisecond
)

var tableCount atomic.Int64

// table returns the name of a table of the test's own.
func table(testing.TB) string {
	return fmt.Sprintf("t%d", tableCount.Add(1))
}

// open returns a sink for a table of the test's own.
func open(t testing.TB, s *pgserver.Server, o Options) *Sink {
	t.Helper()
	if o.Table == "" {
		o.Table = table(t)
	}
	o.Migrate = true
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	sink, err := New(t.Context(), s.DSN(), &o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sink.Close(context.Background())) })
	return sink
}

// events returns n events whose ids begin with prefix.
func events(prefix string, n int) []*inlet.Event {
	list := make([]*inlet.Event, n)
	for i := range list {
		list[i] = event(fmt.Sprintf("%s-%d", prefix, i))
	}
	return list
}

var day = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func event(id string) *inlet.Event {
	return &inlet.Event{
		Type: inlet.TypeTrack, Name: "Order Completed", MessageID: id, UserID: "u1", AnonymousID: "a1",
		Timestamp: day, ReceivedAt: day, Source: &inlet.Source{ID: "web"}, Dialect: "segment",
		Properties: json.RawMessage(`{"orderId":"50314b8e9bcf000000000000","total":27.50,"currency":"EUR"}`),
	}
}

// read returns the stored events, in order.
func read(t testing.TB, conn *pgx.Conn, table string) (stored []*inlet.Event) {
	t.Helper()
	rows, err := conn.Query(context.Background(), "SELECT payload::text FROM "+tableName{name: table}.sql()+" ORDER BY seq")
	require.NoError(t, err)
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	for _, text := range texts {
		e := new(inlet.Event)
		require.NoError(t, e.UnmarshalJSON([]byte(text)))
		stored = append(stored, e)
	}
	return stored
}

// one returns the only value of a query.
func one[T any](t testing.TB, conn *pgx.Conn, sql string, args ...any) (value T) {
	t.Helper()
	require.NoError(t, conn.QueryRow(context.Background(), sql, args...).Scan(&value))
	return value
}

func exec(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	_, err := conn.Exec(context.Background(), sql, args...)
	require.NoError(t, err)
}
