package middleware_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/middleware"
)

// TestMain fails the package if its tests leave goroutines behind.
func TestMain(m *testing.M) { testkit.Main(m) }

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

// quiet is the logger for failures that a test provokes.
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

// mount puts the layers that most hosts need around a handler.
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

// A call is a request to make. The method defaults to POST, the path to /v1/track.
type call struct {
	method, path, body string
	key                string // the user name of Basic authentication, if any
	header             map[string]string
	from               string // the address of the connection, if any
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

// do makes the call to h.
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

// echo is a foreign handler that answers with the body of the request.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	w.Write(body)
})

// status returns a foreign handler that answers with a status.
func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

// panicking returns a foreign handler that panics.
func panicking(cause any) http.Handler {
	return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(cause) })
}

// answered returns the response of h to r.
func answered(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// passed returns how many of n calls pass.
func passed(h http.Handler, c call, n int) (passed int) {
	for range n {
		if c.do(h).Code == 200 {
			passed++
		}
	}
	return passed
}

// record returns the only record of a log.
func record(t testing.TB, log *bytes.Buffer) map[string]any {
	t.Helper()
	var r map[string]any
	require.NoError(t, json.Unmarshal(log.Bytes(), &r), "%s", log)
	return r
}

// logTo returns a logger that writes JSON.
func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }

// zipped returns body compressed.
func zipped(t testing.TB, body string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, body)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

// bodyOf returns a body of the same length for every n, with other text in every place.
func bodyOf(n int) string {
	return fmt.Sprintf(`{"userId":"u%04d","event":"E","messageId":"m%04d","properties":{"n":"%s"}}`, n, n, strings.Repeat(fmt.Sprint(n%10), 4096))
}

// unreadable is a body that fails the test if it is read.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, http.ErrBodyReadAfterClose
}
func (u unreadable) Close() error { return nil }

// A fakeWriter is a writer that allocates nothing, like that of net/http once its connection is
// warm.
type fakeWriter struct{ header http.Header }

func (w *fakeWriter) Header() http.Header             { return w.header }
func (w *fakeWriter) Write(b []byte) (int, error)     { return len(b), nil }
func (w *fakeWriter) WriteHeader(int)                 {}
func (w *fakeWriter) SetReadDeadline(time.Time) error { return nil }

// A wrappedWriter is a writer around another, such as that of a layer that compresses.
type wrappedWriter struct{ http.ResponseWriter }

func (w wrappedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// wrapping is a foreign middleware that wraps the writer.
func wrapping(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(wrappedWriter{w}, r) })
}

// replacing returns a foreign middleware that replaces the body by the result of f.
func replacing(f func([]byte) []byte) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusTeapot)
				return
			}
			body = f(body)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			next.ServeHTTP(w, r)
		})
	}
}

type foreignKey struct{}

// remembering is a foreign middleware that puts a value into the context.
func remembering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), foreignKey{}, "remembered")))
	})
}

// leaving returns a foreign middleware that starts the handler and returns before it has ended.
// The handler writes to w.
func leaving(begun <-chan struct{}, w http.ResponseWriter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			go next.ServeHTTP(w, r)
			<-begun
		})
	}
}

func ip(text string) netip.Addr { return netip.MustParseAddr(text) }
