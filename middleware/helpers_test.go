package middleware_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

const (
	writeKey    = "ILoveData123"
	disabledKey = "ILeftData456"
	boundKey    = "IStayHome789"
)

// keys are the write keys of all tests.
var keys = inlet.MustKeys(map[string]inlet.Source{
	writeKey:    {ID: "web"},
	disabledKey: {ID: "old", Disabled: true},
	boundKey:    {ID: "shop", Origins: []string{"https://shop.example"}},
})

// quiet is a logger for what a test makes fail on purpose.
var quiet = slog.New(slog.DiscardHandler)

// track is a body that is accepted.
const track = `{"userId":"u1","event":"Signed Up","messageId":"m1","properties":{"plan":"pro"}}`

// newHandler returns an ingestion handler that writes to sink.
func newHandler(t testing.TB, sink inlet.Sink) http.Handler {
	t.Helper()
	h, err := inlet.New(sink, &inlet.Options{Logger: quiet})
	require.NoError(t, err)
	return h
}

// mount is the chain that the design shows, without what comes from other files.
func mount(h http.Handler) http.Handler {
	return middleware.Chain(
		middleware.Recover(&middleware.RecoverOptions{Logger: quiet}),
		middleware.CORS(nil),
		middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, Key: middleware.ByIP}),
		middleware.Payload(nil),
		middleware.Auth(keys, nil),
		middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, Key: middleware.BySource}),
	)(h)
}

// A call is a request to be made. The method defaults to POST, the path to
// /v1/track.
type call struct {
	method, path, body string
	key                string // as Basic user name, if any
	header             map[string]string
	from               string // the address of the client, if any
}

func (c call) request() *http.Request {
	method, path := c.method, c.path
	if method == "" {
		method = http.MethodPost
	}
	if path == "" {
		path = "/v1/track"
	}
	r := httptest.NewRequest(method, path, strings.NewReader(c.body))
	if c.body == "" {
		r.Body = http.NoBody
	}
	if c.key != "" {
		r.SetBasicAuth(c.key, "")
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	if c.from != "" {
		r.RemoteAddr = c.from
	}
	return r
}

// do has h serve the call.
func (c call) do(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, c.request())
	return w
}

// code returns the code in the body of a refusal.
func code(t testing.TB, w *httptest.ResponseRecorder) inlet.Code {
	t.Helper()
	var body struct {
		Success bool
		Code    inlet.Code
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), "%s", w.Body)
	require.False(t, body.Success)
	return body.Code
}

// echo is a handler that is not ours: it answers with the body that it reads.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	w.Write(body)
})

// status is a handler that is not ours: it answers with a status.
func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

// panicking is a handler that is not ours: it panics.
func panicking(cause any) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(cause) })
}
