package inlet_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

// The files called printed are the bodies of the documents as they stand there:
// those of the pages in printed_*, those of the text of one in printed_web_*.
func TestMetaRouterGolden(t *testing.T) {
	t.Parallel()
	testGolden(t, "testdata/metarouter")
}

const addedFile = `{"userId":"1234qwerty","event":"Added File"}`

func TestBasicCredentialsAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	encode := base64.StdEncoding.EncodeToString
	for _, tt := range []struct {
		name, header, source string
	}{
		{"the documents' own, without a colon", "Basic SUxvdmVEYXRhMTIz", "app"},
		{"with a colon", "Basic SUxvdmVEYXRhMTIzOg==", "app"},
		{"without padding", "Basic SUxvdmVEYXRhMTIzOg", "app"},
		{"in the alphabet of URLs", "Basic " + base64.URLEncoding.EncodeToString([]byte("odd?key>")), "odd"},
		{"in the usual alphabet", "Basic " + encode([]byte("odd?key>")), "odd"},
		{"with the scheme in small letters", "basic SUxvdmVEYXRhMTIzOg==", "app"},
		{"with several spaces", "Basic    SUxvdmVEYXRhMTIzOg== ", "app"},
		{"with a password", "Basic " + encode([]byte(appID+":secret")), "app"},
		{"of a key that has a colon", "Basic " + encode([]byte(twoPartKey+":")), "jitsu"},
		{"of a key whose base64 begins with letters of the scheme", "Basic " + encode([]byte("id123:")), "trim"},
		{"of the wrong key", "Basic " + encode([]byte("ILoveData")), ""},
		{"that is no base64", "Basic ILoveData123!", ""},
		{"without the scheme", "SUxvdmVEYXRhMTIz", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			keys := inlet.MustKeys(map[string]inlet.Source{
				appID: {ID: "app"}, twoPartKey: {ID: "jitsu"}, "odd?key>": {ID: "odd"}, "id123": {ID: "trim"},
			})
			require.Equal(t, tt.source, admittedSource(keys, nil, "Authorization", tt.header))
		})
	}
}

// admittedSource is the source that a request with a header is vouched for, or "".
func admittedSource(keys inlet.Authenticator, o *inlet.AuthOptions, name, value string) (source string) {
	h := middleware.Auth(keys, o)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		source = inlet.SourceOf(r.Context()).ID
	}))
	r := httptest.NewRequest(http.MethodPost, "/v1/track", strings.NewReader(addedFile))
	r.Header.Set(name, value)
	h.ServeHTTP(httptest.NewRecorder(), r)
	return source
}

func TestAuthenticationHeaderIsReadOnlyIfAskedFor(t *testing.T) {
	t.Parallel()
	const header, value = "Authentication", "Basic SUxvdmVEYXRhMTIz"
	accept := &inlet.AuthOptions{AcceptAuthenticationHeader: true}
	require.Equal(t, "app", admittedSource(dialectKeys, accept, header, value))
	require.Empty(t, admittedSource(dialectKeys, nil, header, value))
	require.Empty(t, admittedSource(dialectKeys, accept, header, "Basic bm9wZTo="))
	require.Equal(t, "app", admittedSource(dialectKeys, accept, "Authorization", value))
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
