package middleware_test

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

func TestRecover(t *testing.T) {
	t.Parallel()
	t.Run("answered 500 without the text, logged with the stack", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		h := middleware.Recover(&middleware.RecoverOptions{Logger: logTo(&log)})(panicking("the secret cause"))
		w := call{path: "/v1/track?writeKey=" + writeKey}.do(h)
		require.Equal(t, 500, w.Code)
		require.Equal(t, inlet.CodeInternal, code(t, w))
		require.NotContains(t, w.Body.String(), "secret")
		require.Contains(t, log.String(), "the secret cause")
		require.Contains(t, log.String(), "helpers_test.go")
		require.NotContains(t, log.String(), writeKey)
	})
	t.Run("the answer and the log have the same id", func(t *testing.T) {
		t.Parallel()
		for _, inside := range []func(http.Handler) http.Handler{nil, middleware.RequestID(nil)} {
			var log bytes.Buffer
			h := middleware.Chain(middleware.Recover(&middleware.RecoverOptions{Logger: logTo(&log)}), inside)(panicking("x"))
			w := call{}.do(h)
			id := record(t, &log)["requestId"].(string)
			require.NotEmpty(t, id)
			require.Contains(t, w.Body.String(), `"requestId":"`+id+`"`)
			if inside != nil {
				require.Equal(t, id, w.Header().Get("X-Request-Id"))
			}
		}
	})
	t.Run("http.ErrAbortHandler is passed on", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		h := middleware.Recover(&middleware.RecoverOptions{Logger: logTo(&log)})(panicking(http.ErrAbortHandler))
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { call{}.do(h) })
		require.Empty(t, log.String())
	})
	t.Run("headers of the missing body are not sent", func(t *testing.T) {
		t.Parallel()
		h := middleware.Recover(&middleware.RecoverOptions{Logger: quiet})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "3")
			w.Header().Set("Content-Encoding", "gzip")
			panic("x")
		}))
		w := call{}.do(h)
		require.Equal(t, 500, w.Code)
		require.Empty(t, w.Header().Get("Content-Length"))
		require.Empty(t, w.Header().Get("Content-Encoding"))
	})
}

// After a part of the response has been sent, the connection is closed.
func TestRecoverSent(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(http.ResponseWriter){
		"by WriteHeader": func(w http.ResponseWriter) { w.WriteHeader(200) },
		"by Write":       func(w http.ResponseWriter) { io.WriteString(w, "half") },
		"by Flush":       func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
		"by http.Flusher": func(w http.ResponseWriter) {
			w.(http.Flusher).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := middleware.Recover(&middleware.RecoverOptions{Logger: quiet})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				begin(w)
				panic("x")
			}))
			require.PanicsWithValue(t, http.ErrAbortHandler, func() { call{}.do(h) })

			server := httptest.NewServer(h)
			defer server.Close()
			resp, err := server.Client().Get(server.URL)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			require.Error(t, err, "the client accepts a half as the whole")
		})
	}
	t.Run("an interim response does not count", func(t *testing.T) {
		t.Parallel()
		h := middleware.Recover(&middleware.RecoverOptions{Logger: quiet})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			panic("x")
		}))
		server := httptest.NewServer(h)
		defer server.Close()
		resp, err := server.Client().Get(server.URL)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 500, resp.StatusCode)
	})
}

// A hijacked connection belongs to the handler: Recover must not write to it, which the server
// would log.
func TestRecoverHijack(t *testing.T) {
	t.Parallel()
	var serverLog bytes.Buffer
	done, finished := make(chan error, 1), make(chan struct{})
	h := middleware.Recover(&middleware.RecoverOptions{Logger: quiet})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, err = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
			err = errors.Join(err, conn.Close())
		}
		done <- err
		panic("x")
	}))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(finished)
		h.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(&serverLog, "", 0)
	server.Start()
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, <-done)
	require.Equal(t, 204, resp.StatusCode)
	<-finished
	require.Empty(t, serverLog.String())
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	const random = `^[A-Z2-7]{26}$`
	trusting := &middleware.RequestIDOptions{TrustIncoming: true}
	for _, tt := range []struct {
		name     string
		options  *middleware.RequestIDOptions
		incoming string
		pattern  string
	}{
		{"no incoming id", nil, "", random},
		{"an incoming id, not trusted by default", nil, "abc-1", random},
		{"a trusted id", trusting, "a.B_c-1", `^a\.B_c-1$`},
		{"a trusted id of 128 characters", trusting, strings.Repeat("a", 128), `^a{128}$`},
		{"a trusted id of 129 characters", trusting, strings.Repeat("a", 129), random},
		{"a trusted id with a space", trusting, "a b", random},
		{"a trusted id with a newline", trusting, "a\nb", random},
		{"a trusted id that is empty", trusting, "", random},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var inside string
			h := middleware.RequestID(tt.options)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				inside = inlet.RequestIDFromContext(r.Context())
			}))
			w := call{header: map[string]string{"X-Request-Id": tt.incoming}}.do(h)
			require.Regexp(t, tt.pattern, inside)
			require.Equal(t, inside, w.Header().Get("X-Request-Id"))
		})
	}
	t.Run("every request has an id of its own", func(t *testing.T) {
		t.Parallel()
		h := middleware.RequestID(nil)(status(200))
		require.NotEqual(t, call{}.do(h).Header(), call{}.do(h).Header())
	})
}
