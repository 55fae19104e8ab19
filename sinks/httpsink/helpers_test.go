package httpsink_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/httpsink"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// writeKey is the key that receivers of these tests know.
const writeKey = "wk-3f9c1d7a5e"

// quiet is a logger for failures that a test causes on purpose.
var quiet = slog.New(slog.DiscardHandler)

// A receiver is another Inlet: a real handler on a real server, with its layers and a
// sink in memory.
type receiver struct {
	sinks.Memory
	url string
}

// newReceiver starts a receiver. If wrap is not nil, it wraps the handler; if decorate
// is not nil, it decorates the sink.
func newReceiver(t testing.TB, wrap func(http.Handler) http.Handler, decorate func(inlet.Sink) inlet.Sink) *receiver {
	t.Helper()
	r := new(receiver)
	var sink inlet.Sink = &r.Memory
	if decorate != nil {
		sink = decorate(sink)
	}
	api, err := inlet.New(sink, &inlet.Options{Logger: quiet})
	require.NoError(t, err)
	keys := inlet.MustKeys(map[string]inlet.Source{writeKey: {ID: "upstream"}})
	handler := middleware.Chain(middleware.Payload(nil), middleware.Auth(keys, nil))(api)
	if wrap != nil {
		handler = wrap(handler)
	}
	r.url = serve(t, handler)
	return r
}

// serve runs a server on loopback until the test has ended and returns its URL.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// newSink makes a sink that may connect to this machine, and closes it when the test
// ends.
func newSink(t testing.TB, endpoint string, o *httpsink.Options) *httpsink.Sink {
	t.Helper()
	var opts httpsink.Options
	if o != nil {
		opts = *o
	}
	opts.AllowHTTP, opts.AllowPrivate = true, true
	s, err := httpsink.New(endpoint, writeKey, &opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.Background())) })
	return s
}

// answering returns the URL of a server that answers every request in the same way.
func answering(t testing.TB, status int, body string, headers ...string) string {
	t.Helper()
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
}

// A transport is a function that answers requests without a network.
type transport func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newOffline makes a sink that sends its requests to f.
func newOffline(t testing.TB, f transport, o *httpsink.Options) *httpsink.Sink {
	t.Helper()
	var opts httpsink.Options
	if o != nil {
		opts = *o
	}
	opts.Transport = f
	s, err := httpsink.New("https://events.example", writeKey, &opts)
	require.NoError(t, err)
	return s
}

// success is the response of a receiver that has stored everything.
func success() *http.Response { return respond(http.StatusOK, `{"success":true}`) }

func respond(status int, body string) *http.Response {
	w := httptest.NewRecorder()
	w.WriteHeader(status)
	_, _ = w.WriteString(body)
	return w.Result()
}

// hang waits for the end of the request's context, like a network that drops every
// packet.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

var web = &inlet.Source{ID: "web"}

// events makes a track call of the source web for each message ID.
func events(ids ...string) []*inlet.Event {
	events := make([]*inlet.Event, len(ids))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, id := range ids {
		events[i] = &inlet.Event{
			Type: inlet.TypeTrack, Name: "Signed Up", MessageID: id, UserID: "u",
			Timestamp: at, ReceivedAt: at, Source: web, Dialect: "segment",
		}
	}
	return events
}

// outcomes returns the outcome of each event in a word.
func outcomes(err error, n int) []string {
	errs := inlet.ItemErrors(err, n)
	words := make([]string, n)
	for i := range words {
		switch {
		case errs == nil || errs[i] == nil:
			words[i] = "stored"
		case inlet.IsPermanent(errs[i]):
			words[i] = "rejected"
		default:
			words[i] = "later"
		}
	}
	return words
}

// A counter counts requests.
type counter struct{ atomic.Int64 }

// every reports whether count is a multiple of n.
func every(count, n int64) bool { return count%n == 0 }

// bodyOf returns the body of a request, decompressed.
func bodyOf(t testing.TB, r *http.Request) string {
	t.Helper()
	var src io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		zipped, err := gzip.NewReader(r.Body)
		require.NoError(t, err)
		src = zipped
	}
	text, err := io.ReadAll(src)
	require.NoError(t, err)
	return string(text)
}

// idsOf returns the message IDs of the events in a request.
func idsOf(t testing.TB, r *http.Request) (ids []string) {
	t.Helper()
	var envelope struct {
		Batch []struct{ MessageID string }
	}
	require.NoError(t, json.Unmarshal([]byte(bodyOf(t, r)), &envelope))
	for _, e := range envelope.Batch {
		ids = append(ids, e.MessageID)
	}
	return ids
}
