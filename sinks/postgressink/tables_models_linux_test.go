package postgressink

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/postgressink/internal/pgserver"
)

// The models that public packages for Segment's warehouses make, in other words: they name the
// tables and columns that those name.
const (
	// pageViews are the views of pages, with the columns that those packages select.
	pageViews = `SELECT id AS page_view_id, anonymous_id, user_id, received_at AS received_at_tstamp, sent_at AS sent_at_tstamp,
	"timestamp" AS tstamp, url AS page_url, path AS page_url_path, title AS page_title, search AS page_url_query, referrer,
	name, context_campaign_source AS utm_source, context_campaign_medium AS utm_medium, context_campaign_name AS utm_campaign,
	context_campaign_term AS utm_term, context_campaign_content AS utm_content, context_ip AS ip, context_user_agent AS user_agent,
	context_library_name, context_library_version, context_locale, context_page_url, context_page_path, context_page_referrer,
	context_page_search, context_page_title, original_timestamp, uuid_ts
FROM inlet.pages`

	// sessions are visits: a view more than 30 minutes after the one before begins one.
	sessions = `WITH views AS (` + pageViews + `),
begins AS (
	SELECT *, CASE WHEN tstamp - lag(tstamp) OVER visitor > interval '30 minutes' OR lag(tstamp) OVER visitor IS NULL THEN 1 ELSE 0 END AS begins
	FROM views WINDOW visitor AS (PARTITION BY anonymous_id ORDER BY tstamp)
),
numbered AS (SELECT *, sum(begins) OVER (PARTITION BY anonymous_id ORDER BY tstamp) AS number FROM begins)
SELECT md5(anonymous_id || number) AS session_id, anonymous_id, number, min(tstamp) AS session_start_tstamp,
	count(*) AS page_views, (array_agg(page_url_path ORDER BY tstamp))[1] AS first_page_url_path, (array_agg(utm_source ORDER BY tstamp))[1] AS utm_source
FROM numbered GROUP BY anonymous_id, number`

	// stitching is who each visitor has turned out to be.
	stitching = `SELECT anonymous_id, (array_agg(user_id ORDER BY "timestamp" DESC) FILTER (WHERE user_id IS NOT NULL))[1] AS user_id
FROM (
	SELECT anonymous_id, user_id, "timestamp" FROM inlet.pages
	UNION ALL SELECT anonymous_id, user_id, "timestamp" FROM inlet.identifies
	UNION ALL SELECT anonymous_id, user_id, "timestamp" FROM inlet.tracks
) seen WHERE anonymous_id IS NOT NULL GROUP BY anonymous_id`
)

func modelEvents() (list []*inlet.Event) {
	context := json.RawMessage(`{"ip":"192.0.2.1","userAgent":"UA","locale":"de-DE","library":{"name":"analytics.js","version":"2.1.0"},
		"campaign":{"source":"mail","medium":"m","name":"n","term":"t","content":"c"},
		"page":{"url":"https://shop.example/?q","path":"/","referrer":"","search":"?q","title":"T"}}`)
	add := func(typ inlet.Type, name, anonymous, user string, minute int, values string) {
		e := call(typ, fmt.Sprint("e", len(list)), user, time.Duration(minute)*time.Minute, values)
		e.AnonymousID, e.Name, e.Context, e.SentAt, e.OriginalTimestamp = anonymous, name, context, e.Timestamp, e.Timestamp
		list = append(list, e)
	}
	page := func(path string) string {
		return fmt.Sprintf(`{"url":"https://shop.example%[1]s?q","path":"%[1]s","title":"T","search":"?q","referrer":"https://x.example/"}`, path)
	}
	add(inlet.TypePage, "Home", "a1", "", 0, page("/"))
	add(inlet.TypePage, "Product", "a1", "", 10, page("/p/1"))
	add(inlet.TypeTrack, "Product Viewed", "a1", "", 10, `{"product_id":"1","price":9.5}`)
	add(inlet.TypeIdentify, "", "a1", "u1", 12, `{"email":"a@x.example","createdAt":"2026-01-01T00:00:00Z"}`)
	add(inlet.TypeTrack, "Order Completed", "a1", "u1", 15, `{"orderId":"o1","total":27.5,"products":[{"product_id":"1"}]}`)
	add(inlet.TypePage, "Home", "a1", "u1", 100, page("/again"))
	add(inlet.TypePage, "Home", "a2", "", 5, page("/"))
	add(inlet.TypeTrack, "Product Viewed", "a2", "", 6, `{"product_id":"2","price":1}`)
	add(inlet.TypeScreen, "Start", "a3", "u3", 7, `{"width":3}`)
	add(inlet.TypeAlias, "", "", "u1", 8, `{}`)
	list[len(list)-1].PreviousID = "a1"
	add(inlet.TypeGroup, "", "a1", "u1", 20, `{"name":"Acme"}`)
	return list
}

// TestModels runs the SQL that is written for Segment's warehouses.
func TestModels(t *testing.T) {
	t.Parallel()
	s := pgserver.Start(t)
	conn := s.Connect(t)
	exec(t, conn, "SET TIME ZONE 'UTC'")
	sink := openTables(t, s, TablesOptions{Schema: "inlet"})
	sink.mustWrite(t, conn, modelEvents()...)
	require.Empty(t, sink.Stats().Extra)
	for name, c := range map[string]struct{ sql, want string }{
		"page views": {
			"SELECT page_view_id, page_url_path, page_title, utm_source, utm_content, ip, user_agent, name, referrer FROM (" + pageViews + ") v WHERE page_view_id = 'e1'",
			`{"page_view_id":"e1","page_url_path":"/p/1","page_title":"T","utm_source":"mail","utm_content":"c","ip":"192.0.2.1","user_agent":"UA","name":"Product","referrer":"https://x.example/"}`,
		},
		"sessions": {
			"SELECT anonymous_id, number, page_views, first_page_url_path FROM (" + sessions + ") s ORDER BY 1, 2",
			`{"anonymous_id":"a1","number":1,"page_views":2,"first_page_url_path":"/"}
{"anonymous_id":"a1","number":2,"page_views":1,"first_page_url_path":"/again"}
{"anonymous_id":"a2","number":1,"page_views":1,"first_page_url_path":"/"}`,
		},
		"sessions of users": {
			"SELECT s.anonymous_id, count(*), coalesce(i.user_id, s.anonymous_id) AS blended_user_id, u.email FROM (" + sessions + ") s LEFT JOIN (" + stitching + ") i USING (anonymous_id) LEFT JOIN inlet.users u ON u.id = i.user_id GROUP BY 1, 3, 4 ORDER BY 1",
			`{"anonymous_id":"a1","count":2,"blended_user_id":"u1","email":"a@x.example"}
{"anonymous_id":"a2","count":1,"blended_user_id":"a2","email":null}`,
		},
		"users": {
			`SELECT i.user_id, u.email, u.created_at, count(*) FROM inlet.identifies i JOIN inlet.users u ON u.id = i.user_id GROUP BY 1, 2, 3`,
			`{"user_id":"u1","email":"a@x.example","created_at":"2026-01-01T00:00:00Z","count":1}`,
		},
		"events": {
			`SELECT t.event, t.event_text, count(*) FROM inlet.tracks t GROUP BY 1, 2 ORDER BY 1`,
			`{"event":"order_completed","event_text":"Order Completed","count":1}
{"event":"product_viewed","event_text":"Product Viewed","count":2}`,
		},
		"tracks and their own tables": {
			`SELECT t.id, o.order_id, o.total FROM inlet.tracks t JOIN inlet.order_completed o USING (id)`,
			`{"id":"e4","order_id":"o1","total":27.5}`,
		},
		"groups, aliases and screens": {
			`SELECT g.group_id, g.name, a.previous_id, s.width, c.name AS account FROM inlet.groups g, inlet.aliases a, inlet.screens s, inlet.accounts c WHERE c.id = g.group_id`,
			`{"group_id":"g1","name":"Acme","previous_id":"a1","width":3,"account":"Acme"}`,
		},
	} {
		require.Equal(t, c.want, rowsOf(t, conn, c.sql), name)
	}

	page, err := os.ReadFile("../../docs/SINKS.md")
	require.NoError(t, err)
	_, block, found := strings.Cut(string(page), "```sql\n-- from a product to an order\n")
	require.True(t, found)
	block, _, _ = strings.Cut(block, "```")
	funnel, rest, found := strings.Cut(block, "-- what did not fit\n")
	require.True(t, found)
	require.Equal(t, `{"viewed":2,"ordered":1}`, rowsOf(t, conn, strings.TrimSuffix(strings.TrimSpace(funnel), ";")))
	require.Empty(t, rowsOf(t, conn, strings.TrimSuffix(strings.TrimSpace(rest), ";")))
	odd := call(inlet.TypeTrack, "odd", "u1", 0, `{"total":"much"}`)
	odd.Name = "Order Completed"
	sink.mustWrite(t, conn, odd)
	require.Equal(t, `{"path":"properties.total","count":1}`, rowsOf(t, conn, strings.TrimSuffix(strings.TrimSpace(rest), ";")))
}
