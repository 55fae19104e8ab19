package middleware_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

func TestAccessLog(t *testing.T) {
	t.Parallel()
	down := testsink.Failing(errors.New("the disk is full"))
	for _, tt := range []struct {
		name string
		sink inlet.Sink
		call call
		want map[string]any
		not  []string
	}{
		{
			"an accepted event", new(testsink.Keeper),
			call{body: track, key: writeKey, from: "203.0.113.7:4711"},
			map[string]any{
				"level": "INFO", "method": "POST", "path": "/v1/track", "status": 200., "bytes": 16.,
				"clientIP": "203.0.113.7", "source": "web", "dialect": "segment", "accepted": 1., "rejected": 0.,
			},
			[]string{"code", "error", "panicked"},
		},
		{
			"a key in the query", new(testsink.Keeper),
			call{path: "/v1/track?writeKey=" + writeKey, body: track},
			map[string]any{"path": "/v1/track", "status": 200., "source": "web"},
			nil,
		},
		{
			"an unknown key", new(testsink.Keeper),
			call{body: track, key: "Unknown" + writeKey},
			map[string]any{"level": "WARN", "status": 401., "code": "unknown_key"},
			[]string{"source", "accepted", "error"},
		},
		{
			"a page of another origin", new(testsink.Keeper),
			call{body: track, key: boundKey, header: map[string]string{"Origin": "https://other.example"}},
			map[string]any{"level": "WARN", "status": 403., "code": "origin_not_allowed", "source": "shop", "origin": "https://other.example"},
			nil,
		},
		{
			"a pixel of a page of another origin", new(testsink.Keeper),
			call{
				method: "GET", path: "/v1/pixel/track?event=E&userId=u&writeKey=" + boundKey,
				header: map[string]string{"Referer": "https://other.example:8443/cart?token=1"},
			},
			map[string]any{"status": 200., "code": "origin_not_allowed", "source": "shop", "origin": "https://other.example:8443"},
			nil,
		},
		{
			"a refused event", new(testsink.Keeper),
			call{path: "/v1/batch", body: `{"batch":[{"type":"track","event":"Ordered"},` + track[:1] + `"type":"track",` + track[1:] + `]}`, key: writeKey},
			map[string]any{"status": 200., "accepted": 1., "rejected": 1., "reject": "no_user_anon_id", "field": "userId", "event": "Ordered"},
			[]string{"code", "origin"},
		},
		{
			"a sink that is down", down,
			call{body: track, key: writeKey},
			map[string]any{"level": "ERROR", "status": 503., "code": "sink_unavailable", "error": "the disk is full"},
			[]string{"accepted"},
		},
		{
			"a path with control characters", new(testsink.Keeper),
			call{path: "/a%0a%1b[31mb%20c", key: writeKey},
			map[string]any{"path": "/a%0a%1b[31mb%20c", "status": 404.},
			nil,
		},
		{
			"a write key in the path", new(testsink.Keeper),
			call{method: "GET", path: "/v1//%70rojects/" + writeKey + "/settings/"},
			map[string]any{"path": "/v1//projects/*/settings"},
			nil,
		},
		{
			"a write key in the path of a script", new(testsink.Keeper),
			call{method: "GET", path: "/analytics.js/v1/" + writeKey + "/analytics.min.js"},
			map[string]any{"path": "/analytics.js/v1/*/analytics.min.js", "status": 401.},
			nil,
		},
		{
			"a write key in another spelling of the path", new(testsink.Keeper),
			call{method: "GET", path: "/V1//projects//" + writeKey + "/Settings/x"},
			map[string]any{"path": "/V1//projects//*/Settings", "status": 401.},
			nil,
		},
		{
			"a write key and no settings", new(testsink.Keeper),
			call{method: "GET", path: "/v1%252Fprojects%252f" + writeKey + "%5c"},
			map[string]any{"path": "/v1/projects/*", "status": 401.},
			nil,
		},
		{
			"a very long path", new(testsink.Keeper),
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

// AccessLog needs the state of a request, and must not set an address in it: without
// ClientIP that of the connection may be a proxy's, which events must not get.
func TestAccessLogWithoutClientIP(t *testing.T) {
	t.Parallel()
	addresses, err := enrichers.IP(&enrichers.IPOptions{Servers: enrichers.IPRule{Fill: enrichers.IPFillAlways}})
	require.NoError(t, err)
	for _, tt := range []struct {
		name   string
		layers []func(http.Handler) http.Handler
		want   string
	}{
		{"alone", nil, ""},
		{"ClientIP inside", []func(http.Handler) http.Handler{middleware.ClientIP(nil)}, `{"ip":"203.0.113.9"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			sink := new(testsink.Keeper)
			h, err := inlet.New(sink, &inlet.Options{Logger: quiet, Enrichers: []inlet.Enricher{addresses}})
			require.NoError(t, err)
			chain := middleware.Chain(
				middleware.AccessLog(&middleware.AccessLogOptions{Logger: logTo(&log)}),
				middleware.Chain(tt.layers...), middleware.Auth(keys, nil),
			)(h)
			require.Equal(t, 200, call{key: writeKey, body: `{"event":"E","userId":"u"}`, from: "203.0.113.9:1"}.do(chain).Code)
			require.Equal(t, "203.0.113.9", record(t, &log)["clientIP"], "the log has the address of the connection")
			require.Len(t, sink.Events(), 1)
			require.Equal(t, tt.want, string(sink.Events()[0].Context))
		})
	}
}

// A request that the server has no place for is logged with the limit, and not as an error of the
// host's.
func TestAccessLogOverloaded(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	entered, leave := make(chan struct{}), make(chan struct{})
	h := middleware.Chain(
		middleware.AccessLog(&middleware.AccessLogOptions{Logger: logTo(&log)}),
		middleware.Payload(&middleware.PayloadOptions{MaxInFlight: 1, Logger: quiet}),
	)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(entered); <-leave }))
	var first sync.WaitGroup
	first.Go(func() { call{}.do(h) })
	<-entered
	require.Equal(t, 503, call{body: track}.do(h).Code)
	got := record(t, &log)
	close(leave)
	first.Wait()
	require.Equal(t, "overloaded", got["code"])
	require.Equal(t, "MaxInFlight", got["limit"])
	require.NotEmpty(t, got["reason"])
	require.NotContains(t, got, "error")
}

func TestAccessLogForeignHandler(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		h      http.Handler
		status float64
		bytes  float64
	}{
		{"writes nothing", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), 200, 0},
		{"writes a body", echo, 200, 5},
		{"sets a status", status(418), 418, 0},
		{"wraps the writer", wrapping(status(418)), 418, 0},
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
	t.Run("no body is sent for HEAD", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/v1/pixel/track", "/v1/pixel/page?writeKey=" + writeKey, "/v1/track", "/v1/projects/x/settings", "/nothing", "/"} {
			for name, h := range map[string]http.Handler{"ours": newHandler(t, new(testsink.Keeper)), "a host's": echo, "none": http.NotFoundHandler()} {
				for _, outer := range []func(http.Handler) http.Handler{middleware.Recover(nil), middleware.RequestID(nil)} {
					var log bytes.Buffer
					layers := middleware.Chain(outer, middleware.AccessLog(&middleware.AccessLogOptions{Logger: logTo(&log)}), middleware.Auth(keys, nil))
					call{method: http.MethodHead, path: path, key: writeKey, body: "hello"}.do(layers(h))
					require.Zero(t, record(t, &log)["bytes"], "%s: %s", name, path)
				}
			}
		}
	})
	t.Run("panics, inside Recover", func(t *testing.T) {
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
	t.Run("the client address is that of a layer inside", func(t *testing.T) {
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
	})
}

// Deadlines and flushing reach the server through the writers of Recover and AccessLog.
func TestResponseController(t *testing.T) {
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

// The logged path has no byte that a terminal or a line-based log would interpret, whatever the
// client sent.
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
