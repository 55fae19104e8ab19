package middleware_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// record reads the one record that a log holds.
func record(t testing.TB, log *bytes.Buffer) map[string]any {
	t.Helper()
	var r map[string]any
	require.NoError(t, json.Unmarshal(log.Bytes(), &r), "%s", log)
	return r
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	down := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return errors.New("the disk is full") })
	for _, tt := range []struct {
		name string
		sink inlet.Sink
		call call
		want map[string]any
		not  []string
	}{
		{
			"an accepted event", new(sinks.Memory),
			call{body: track, key: writeKey, from: "203.0.113.7:4711"},
			map[string]any{
				"level": "INFO", "method": "POST", "path": "/v1/track", "status": 200., "bytes": 16.,
				"clientIP": "203.0.113.7", "source": "web", "dialect": "segment", "accepted": 1., "rejected": 0.,
			},
			[]string{"code", "error", "panicked"},
		},
		{
			"a key in the query", new(sinks.Memory),
			call{path: "/v1/track?writeKey=" + writeKey, body: track},
			map[string]any{"path": "/v1/track", "status": 200., "source": "web"},
			nil,
		},
		{
			"a key that is not known", new(sinks.Memory),
			call{body: track, key: "Unknown" + writeKey},
			map[string]any{"level": "WARN", "status": 401., "code": "unknown_key"},
			[]string{"source", "accepted", "error"},
		},
		{
			"a sink that is down", down,
			call{body: track, key: writeKey},
			map[string]any{"level": "ERROR", "status": 503., "code": "sink_unavailable", "error": "the disk is full"},
			[]string{"accepted"},
		},
		{
			"a path with control characters", new(sinks.Memory),
			call{path: "/a%0a%1b[31mb%20c", key: writeKey},
			map[string]any{"path": "/a%0a%1b[31mb%20c", "status": 404.},
			nil,
		},
		{
			"a write key in the path", new(sinks.Memory),
			call{method: "GET", path: "/v1//%70rojects/" + writeKey + "/settings/"},
			map[string]any{"path": "/v1//projects/*/settings"},
			nil,
		},
		{
			"a very long path", new(sinks.Memory),
			call{path: "/" + strings.Repeat("a", 4096), key: writeKey},
			map[string]any{"path": "/" + strings.Repeat("a", 255) + "..."},
			nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			h := middleware.Chain(
				middleware.AccessLog(&middleware.AccessLogOptions{Logger: logTo(&log)}),
				middleware.Payload(nil), middleware.Auth(keys, nil),
			)(newHandler(t, tt.sink))
			tt.call.do(h)
			got := record(t, &log)
			for name, value := range tt.want {
				require.Equal(t, value, got[name], name)
			}
			for _, name := range tt.not {
				require.NotContains(t, got, name)
			}
			require.NotContains(t, log.String(), writeKey)
			require.NotContains(t, log.String(), "Authorization")
		})
	}
}

func TestAccessLogOfHandlersThatAreNotOurs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		h      http.Handler
		status float64
		bytes  float64
	}{
		{"a handler that writes nothing", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), 200, 0},
		{"a handler that only writes", echo, 200, 5},
		{"a handler that only has a status", status(418), 418, 0},
		{"a handler that wraps the writer", wrapping(status(418)), 418, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			call{body: "hello"}.do(middleware.AccessLog(&middleware.AccessLogOptions{Logger: logTo(&log)})(tt.h))
			got := record(t, &log)
			require.Equal(t, tt.status, got["status"])
			require.Equal(t, tt.bytes, got["bytes"])
		})
	}
	t.Run("a handler that panics, inside of Recover", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		w := call{}.do(middleware.Chain(
			middleware.Recover(&middleware.RecoverOptions{Logger: quiet}),
			middleware.RequestID(nil),
			middleware.AccessLog(&middleware.AccessLogOptions{Logger: logTo(&log)}),
		)(panicking("x")))
		got := record(t, &log)
		require.Equal(t, 500, w.Code)
		require.Equal(t, 500., got["status"])
		require.Equal(t, true, got["panicked"])
		require.Equal(t, w.Header().Get("X-Request-Id"), got["requestId"])
	})
}

// A layer inside may learn more about the client than the connection says.
func TestAccessLogNamesTheClientThatALayerInsideFound(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := middleware.Chain(
		middleware.AccessLog(&middleware.AccessLogOptions{Logger: logTo(&log)}),
		func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, inlet.WithClientIP(r, ip("198.51.100.9")))
			})
		},
	)(status(200))
	call{from: "203.0.113.7:1"}.do(h)
	require.Equal(t, "198.51.100.9", record(t, &log)["clientIP"])
}

// Deadlines, flushing and hijacking reach the server through the writer.
func TestResponseControllerWorksThroughTheWriter(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 4)
	h := middleware.Chain(
		middleware.Recover(nil), middleware.AccessLog(&middleware.AccessLogOptions{Logger: quiet}),
	)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		errs <- c.SetReadDeadline(time.Now().Add(time.Minute))
		errs <- c.SetWriteDeadline(time.Now().Add(time.Minute))
		errs <- c.EnableFullDuplex()
		_, err := io.WriteString(w, "a")
		errs <- errors.Join(err, c.Flush())
	}))
	server := httptest.NewServer(h)
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
}

// The escaped path that is logged has no byte that a terminal or a line-based
// log would act upon, whatever the client sent.
func FuzzLoggedPath(f *testing.F) {
	f.Add("/v1/track", "")
	f.Add("/v1/projects/a b/settings", "")
	f.Add("/\x1b[31m\n", "/%1b[31m%0A")
	f.Fuzz(func(t *testing.T, path, raw string) {
		var log bytes.Buffer
		h := middleware.AccessLog(&middleware.AccessLogOptions{Logger: logTo(&log)})(status(200))
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = &url.URL{Path: path, RawPath: raw, RawQuery: "writeKey=" + writeKey}
		h.ServeHTTP(httptest.NewRecorder(), r)
		logged := record(t, &log)["path"].(string)
		for i := range len(logged) {
			require.True(t, ' ' < logged[i] && logged[i] < 0x7f, "%q", logged)
		}
		require.LessOrEqual(t, len(logged), 260)
	})
}
