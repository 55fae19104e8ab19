package middleware_test

import (
	"bytes"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

func TestRecover(t *testing.T) {
	t.Parallel()
	t.Run("a panic is answered 500 without its text, and logged with its stack", func(t *testing.T) {
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
	t.Run("the answer and the log have the same id, also that of a layer inside", func(t *testing.T) {
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
	t.Run("headers of a body that does not come are not sent", func(t *testing.T) {
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

func TestRecoverAfterAnAnswerHasBegun(t *testing.T) {
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
			require.Error(t, err, "the client takes a half for the whole")
		})
	}
	t.Run("an interim answer is none", func(t *testing.T) {
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

// The connection of a hijacked request is the handler's: nothing may be written
// to it any more, which the server would complain about.
func TestRecoverAfterHijack(t *testing.T) {
	t.Parallel()
	var complaints bytes.Buffer
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
	server.Config.ErrorLog = log.New(&complaints, "", 0)
	server.Start()
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, <-done)
	require.Equal(t, 204, resp.StatusCode)
	<-finished
	require.Empty(t, complaints.String())
}

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }
