package postgressink

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

// TestDestinations runs every block of SQL of docs/DESTINATIONS.md, in its order.
func TestDestinations(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	conn := s.Connect(t)
	exec(t, conn, "SET TIME ZONE 'Asia/Tokyo'") // no query depends on it
	raw := open(t, s, Options{Table: defaultTable})
	typed := openTables(t, s, TablesOptions{Schema: defaultSchema})
	list := destinationEvents()
	require.NoError(t, raw.Write(t.Context(), list))
	require.NoError(t, typed.Write(t.Context(), list))

	wants := map[string]string{
		"events by day and name": `{"day":"2025-12-01","name":"Order Completed","count":1}
{"day":"2026-03-01","name":"Order Completed","count":3}
{"day":"2026-03-01","name":"Product Viewed","count":2}`,
		"active people by week": `{"week":"2025-12-01","people":1}
{"week":"2026-02-23","people":4}`,
		"what a person did last": `{"type":"page","name":"Home"}
{"type":"group","name":null}
{"type":"track","name":"Order Completed"}`,
		"from a product to an order": `{"viewed":2,"ordered":1}`,
		"how many came back, by week of the first visit": `{"first":"2025-12-01","weeks_later":0,"people":1}
{"first":"2025-12-01","weeks_later":12,"people":1}
{"first":"2026-02-23","weeks_later":0,"people":2}`,
		"revenue by currency, from the payload": `{"currency":null,"revenue":37.5}`,
		"revenue by day": `{"day":"2025-12-01","orders":1,"revenue":10}
{"day":"2026-03-01","orders":3,"revenue":28.5}`,
		"orders by the campaign that the visitor came with first": `{"campaign":"mail","orders":4}`,
		"visits: a page more than 30 minutes after the one before begins one": `{"anonymous_id":"a-1","visits":2,"pages":3}
{"anonymous_id":"a-2","visits":1,"pages":1}`,
		"who each visitor has turned out to be":                          `{"anonymous_id":"a-1","user_id":"user-1"}`,
		"what was loaded since the last run":                             `{"id":"old","event":"order_completed"}`,
		"the anonymous ids of a person":                                  `{"anonymous_id":"a-1"}`,
		"what the tables take":                                           "",
		"indexes that most teams add":                                    "",
		"everything about a person, in the table of events":              "",
		"everything about a person, in all typed tables":                 "",
		"everything that was received before a day, in all typed tables": "",
	}
	then := map[string]func(t *testing.T){
		"everything about a person, in the table of events": func(t *testing.T) {
			require.Equal(t, `{"user_id":"user-3","anonymous_id":"a-3"}`, rowsOf(t, conn, "SELECT user_id, anonymous_id FROM inlet_events"))
		},
		"everything about a person, in all typed tables": func(t *testing.T) {
			dump := rowsOf(t, conn, "SELECT query_to_xml(format('SELECT * FROM %s', c.oid::regclass), true, true, '')::text AS x FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'inlet' AND c.relkind = 'r'")
			require.NotRegexp(t, `user-1|>a-1<|>a-2<`, dump)
			require.Contains(t, dump, "user-3")
		},
		"everything that was received before a day, in all typed tables": func(t *testing.T) {
			require.Equal(t, 1, one[int](t, conn, "SELECT count(*)::int FROM inlet.screens"))
			require.Equal(t, 0, one[int](t, conn, "SELECT count(*)::int FROM inlet.tracks"))
		},
	}
	page, err := os.ReadFile("../../docs/DESTINATIONS.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```sql\n-- ([^\n]*)\n(.*?)```\n").FindAllStringSubmatch(string(page), -1)
	require.Equal(t, strings.Count(string(page), "```sql"), len(blocks), "each begins with a comment")
	for _, block := range blocks {
		name, sql := block[1], strings.TrimSuffix(strings.TrimSpace(block[2]), ";")
		want, known := wants[name]
		require.True(t, known, name)
		delete(wants, name)
		switch {
		case want != "":
			got := rowsOf(t, conn, sql)
			if name == "what was loaded since the last run" {
				got = got[strings.LastIndex(got, "\n")+1:]
			}
			require.Equal(t, want, got, name)
		case name == "what the tables take":
			require.Len(t, strings.Split(rowsOf(t, conn, sql), "\n"), 10)
		default:
			_, err := conn.PgConn().Exec(context.Background(), sql).ReadAll()
			require.NoError(t, err, name)
		}
		if check := then[name]; check != nil {
			check(t)
		}
	}
	require.Empty(t, wants, "queries that the document does not have any more")
}

// destinationEvents returns those of TestModels, with the ids of the document, and odd ones.
func destinationEvents() []*inlet.Event {
	list := modelEvents()
	add := func(id string, change func(e *inlet.Event)) {
		e := *list[4] // an order
		e.MessageID = id
		change(&e)
		list = append(list, &e)
	}
	add("text", func(e *inlet.Event) { e.Properties = []byte(`{"total":"much"}`) })
	add("nul", func(e *inlet.Event) { e.Properties = []byte(`{"total":1,"note":"a\u0000b"}`) })
	add("old", func(e *inlet.Event) {
		e.Properties = []byte(`{"total":10}`)
		e.Timestamp, e.ReceivedAt = day.AddDate(0, -3, 0), day.AddDate(0, -3, 0)
	})
	for _, e := range list {
		e.UserID = strings.Replace(e.UserID, "u", "user-", 1)
		e.AnonymousID = strings.Replace(e.AnonymousID, "a", "a-", 1)
		e.PreviousID = strings.Replace(e.PreviousID, "a", "a-", 1)
	}
	return list
}
