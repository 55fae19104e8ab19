package inlet_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// arrived is when the payloads of these tests arrived.
var arrived = time.UnixMilli(1700000000000)

// migrated returns the 2.0 form of a payload and the report.
func migrated(t testing.TB, payload string) (string, inlet.MigrationReport) {
	t.Helper()
	out, report, err := inlet.MigrateCommandersActV1(nil, []byte(payload), inlet.MigrateOptions{ReceivedAt: arrived})
	require.NoError(t, err)
	return string(out), report
}

// The vectors of the migration's specification.
var vectors = []struct{ name, v1, v2 string }{
	{
		"TV1: the vendor's example",
		`{"event_name":"search","event_id":"E1","event_timestamp":1639044446636,"properties":{"search_term":"t-shirts","user":{"id":"12345","consent_categories":[1,3]}},"page":{"title":"Search page","location":"https://shop.com/s"},"device":{"user_agent":"UA","ip":"102.3.4.56","cookie":"_fbp=1"}}`,
		`{"event_name":"search","search_term":"t-shirts","user":{"id":"12345","consent_categories":["1","3"]},"context":{"event_id":"E1","event_timestamp":1639044446636,"page":{"title":"Search page","url":"https://shop.com/s"},"device":{"user_agent":"UA","ip":"102.3.4.56","cookie":"_fbp=1"},"version":2}}`,
	},
	{
		"TV2: the first spellings",
		`{"event":"search","eventId":"E2","properties":{"search_term":"x","user":{"id":"1"}},"device":{"userAgent":"UA","cookies":"a=1"},"eventTimestamp":"2015-12-12T19:11:01.249Z"}`,
		`{"event_name":"search","search_term":"x","user":{"id":"1"},"context":{"event_id":"E2","event_timestamp":1449947461249,"device":{"user_agent":"UA","cookie":"a=1"},"version":2}}`,
	},
	{
		"TV3: the slip of a letter",
		`{"event":"search","event_Id":"E3","properties":{"search_term":"x"},"event_timestamp":"1639044446636"}`,
		`{"event_name":"search","search_term":"x","context":{"event_id":"E3","event_timestamp":1639044446636,"version":2}}`,
	},
	{
		"TV5: a web page's locale and user agent",
		`{"event_name":"search","event_id":"E5","properties":{"url":"https://w/p","path":"/p"},"locale":"fr","userAgent":"UA","event_timestamp":"1639044446636"}`,
		`{"event_name":"search","url":"https://w/p","path":"/p","context":{"event_id":"E5","event_timestamp":1639044446636,"device":{"lang":"fr","user_agent":"UA"},"version":2}}`,
	},
	{
		"TV6: the vendor's browser sender",
		`{"event":"page_view","properties":{"url":"https://w/","created":"2023-05-01T10:00:00.000Z","user":{"consent_categories":["1"],"rejected_vendors":[]},"integrations":{"facebook":{"event_id":"E6"}}},"page":{"url":"https://w/","viewport":{"width":1,"height":2}},"device":{"cookie":"","screen":{"width":3,"height":4}},"eventId":"E6","version":1,"generatorVersion":"80.3","containerVersion":"3.1"}`,
		`{"event_name":"page_view","url":"https://w/","created":"2023-05-01T10:00:00.000Z","user":{"consent_categories":["1"],"rejected_vendors":[]},"integrations":{"facebook":{"event_id":"E6"}},"context":{"event_id":"E6","page":{"url":"https://w/","viewport":{"width":1,"height":2}},"device":{"cookie":"","screen":{"width":3,"height":4}},"generatorVersion":"80.3","containerVersion":"3.1","event_timestamp":1682935200000,"version":2}}`,
	},
	{
		"TV8: 2.0 stays",
		`{"event_name":"search","user":{"id":"1","consent_categories":[1,3]},"context":{"event_id":"E8","event_timestamp":"1639044446636","page":{"title":"t"}},"search_term":"x"}`,
		`{"event_name":"search","user":{"id":"1","consent_categories":[1,3]},"context":{"event_id":"E8","event_timestamp":"1639044446636","page":{"title":"t"}},"search_term":"x"}`,
	},
	{"TV10: 2.0 without a context stays", `{"event_name":"login","method":"LinkedIn"}`, `{"event_name":"login","method":"LinkedIn"}`},
	{
		"TV11: properties beside a context",
		`{"event_name":"x","properties":{"a":1},"context":{"event_id":"E11"},"event_timestamp":1639044446636}`,
		`{"event_name":"x","a":1,"context":{"event_id":"E11","event_timestamp":1639044446636,"version":2}}`,
	},
	{"TV13: no name", `{"properties":{"a":1}}`, `{"properties":{"a":1}}`},
}

func TestMigrateVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			got, _ := migrated(t, v.v1)
			require.Equal(t, v.v2, got)
			again, report := migrated(t, got)
			require.Equal(t, got, again)
			require.Zero(t, report.Migrated)
		})
	}
}
