package inlet_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The files called printed are the bodies of the documents as they stand there:
// those of the pages in printed_*, those of the text of one in printed_web_*.
func TestMetaRouterGolden(t *testing.T) {
	t.Parallel()
	testGolden(t, "testdata/metarouter")
}

func TestNoKeyOfABodyIsStored(t *testing.T) {
	t.Parallel()
	for path, body := range map[string]string{
		"/v1/track":          `{"appId":"K","writeKey":"K","writekey":"K","event":"E","userId":"u","messageId":"m"}`,
		"/v1/batch":          `{"writeKey":"K","batch":[{"type":"track","appId":"K","writeKey":"K","event":"E","userId":"u"}]}`,
		"/v1/custom/event":   `{"appId":"K","writeKey":"K","_metarouter":{"writeKey":"K","eventName":"E","userID":"u"}}`,
		"/v1/w?writeKey=K":   `{"type":"track","event":"E","userId":"u","writeKey":"K"}`,
		"/api/s/track":       `{"event":"E","userId":"u","writeKey":"K"}`,
		"/beacon/v1/batch":   `{"batch":[{"type":"page","anonymousId":"a","writeKey":"K"}],"writeKey":"K"}`,
		"/v1/w":              `{"\u0077riteKey":"K","type":"track","event":"E","userId":"u"}`,
		"/v1/custom/event//": `{"_metarouter":{"\u0077riteKey":"K","eventName":"E","userID":"u"}}`,
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			s := newDialectServer(t)
			w := s.post(strings.ReplaceAll(path, "=K", "="+appID), "", strings.ReplaceAll(body, `"K"`, `"`+appID+`"`))
			require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
			require.NotContains(t, string(s.only(t).AppendJSON(nil)), appID)
		})
	}
}
