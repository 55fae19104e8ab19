package inlet_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
)

// quiet is a logger for what a test makes fail on purpose.
var quiet = slog.New(slog.DiscardHandler)

// website is the source of the authenticated requests of these tests.
var website = &inlet.Source{ID: "website"}

// goodTrack is a body that is accepted.
const goodTrack = `{"userId":"u1","event":"Signed Up","messageId":"m1","properties":{"plan":"pro"}}`

// mustNew returns a handler whose log is discarded unless the options have a logger.
func mustNew(t testing.TB, sink inlet.Sink, o *inlet.Options) *inlet.Handler {
	t.Helper()
	var filled inlet.Options
	if o != nil {
		filled = *o
	}
	if filled.Logger == nil {
		filled.Logger = quiet
	}
	h, err := inlet.New(sink, &filled)
	require.NoError(t, err)
	return h
}

// request returns a request with headers in pairs of a name and a value.
func request(method, path string, body io.Reader, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// authenticated returns a POST request that has passed an authentication layer.
func authenticated(path, body string, headers ...string) *http.Request {
	return inlet.WithSource(request(http.MethodPost, path, strings.NewReader(body), headers...), website)
}

// serve has h answer a request.
func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// reply is the content of an answer in JSON.
type reply struct {
	Success                     *bool
	Code, Message, Error, Field string
	Offset                      *int64
	RequestID                   string
	Accepted                    *int
	Rejected                    []inlet.Reject
}

// readReply reads an answer in JSON, strictly.
func readReply(t testing.TB, w *httptest.ResponseRecorder) (a reply) {
	t.Helper()
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	d := json.NewDecoder(strings.NewReader(w.Body.String()))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&a), "%s", w.Body)
	require.NotNil(t, a.Success, "%s", w.Body)
	return a
}

// requireRefused checks the status and the code of a refusal, and that its body
// has what SDKs need.
func requireRefused(t testing.TB, w *httptest.ResponseRecorder, status int, code inlet.Code) reply {
	t.Helper()
	require.Equal(t, status, w.Code, "%s", w.Body)
	a := readReply(t, w)
	require.False(t, *a.Success)
	require.Equal(t, string(code), a.Code, "%s", w.Body)
	require.NotEmpty(t, a.Message)
	require.Equal(t, a.Message, a.Error)
	return a
}

// requireSuccess checks that an answer is the plain success, as every SDK expects it.
func requireSuccess(t testing.TB, w *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.Equal(t, `{"success":true}`, w.Body.String())
}

// requirePixel checks that an answer is the image, with or without an error.
func requirePixel(t testing.TB, w *httptest.ResponseRecorder, code inlet.Code) {
	t.Helper()
	require.Equal(t, 200, w.Code)
	require.Equal(t, "image/gif", w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, string(code), w.Header().Get("X-Inlet-Error"))
	require.True(t, bytes.HasPrefix(w.Body.Bytes(), []byte("GIF89a")))
}

// batchOf returns the body of a batch of the given events.
func batchOf(events ...string) string {
	return `{"batch":[` + strings.Join(events, ",") + `]}`
}

// repeated returns n copies of an event.
func repeated(n int, event string) []string {
	events := make([]string, n)
	for i := range events {
		events[i] = event
	}
	return events
}

// serveError returns what a layer in front of the handler answers with an error.
func serveError(err error) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	inlet.WriteError(w, request("POST", "/v1/track", nil), err)
	return w
}
