package postgressink

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

// openTables returns a sink for a schema of the test's own.
func openTables(t testing.TB, s *pgserver.Server, o TablesOptions) *Tables {
	t.Helper()
	if o.Schema == "" {
		o.Schema = table(t)
	}
	o.Migrate = true
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
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

func TestTables(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	conn := s.Connect(t)
	run := t.Run // one after the other: they share a connection

	run("names of Segment", func(t *testing.T) {
		sink := openTables(t, s, TablesOptions{})
		e := event("m1")
		e.Context = json.RawMessage(`{"page":{"url":"https://x.example/","path":"/"},"userAgent":"UA","campaign":{"source":"s"}}`)
		e.Properties = json.RawMessage(`{"orderId":"o1","total":27.5,"items":3,"paid":true,"list":[1,"a"],"gift":null,"address":{"city":"B"}}`)
		require.NoError(t, sink.Write(t.Context(), []*inlet.Event{e}))
		require.NoError(t, sink.Write(t.Context(), []*inlet.Event{e}))
		require.JSONEq(t, `{"id":"m1","event":"order_completed","event_text":"Order Completed","user_id":"u1","anonymous_id":"a1",
			"order_id":"o1","total":27.5,"items":3,"paid":true,"list":[1,"a"],"address_city":"B","context_page_url":"https://x.example/","context_user_agent":"UA","context_campaign_source":"s","_extra":null}`,
			rowsOf(t, conn, fmt.Sprintf(`SELECT id, event, event_text, user_id, anonymous_id, order_id, total, items, paid, list, address_city, context_page_url, context_user_agent, context_campaign_source, _extra FROM %s.order_completed`, sink.opts.Schema)))
		require.Equal(t, 1, one[int](t, conn, fmt.Sprintf("SELECT count(*)::int FROM %s.tracks WHERE context_page_path = '/'", sink.opts.Schema)))
		t.Log(rowsOf(t, conn, fmt.Sprintf("SELECT * FROM %s._inlet_columns", sink.opts.Schema)))
		require.EqualValues(t, 1, sink.Stats().Stored)
		require.EqualValues(t, 1, sink.Stats().Duplicates)
	})
}
