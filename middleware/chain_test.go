package middleware_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

// visited returns a foreign middleware that records that a request has reached it.
func visited(name string, seen *[]string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			*seen = append(*seen, name)
			next.ServeHTTP(w, r)
		})
	}
}

func TestChain(t *testing.T) {
	t.Parallel()
	t.Run("the first is the outermost", func(t *testing.T) {
		t.Parallel()
		var seen []string
		call{}.do(middleware.Chain(visited("a", &seen), visited("b", &seen), visited("c", &seen))(status(200)))
		require.Equal(t, []string{"a", "b", "c"}, seen)
	})
	t.Run("a nil middleware is skipped", func(t *testing.T) {
		t.Parallel()
		var seen []string
		call{}.do(middleware.Chain(nil, visited("a", &seen), nil)(status(200)))
		require.Equal(t, []string{"a"}, seen)
	})
	t.Run("an empty chain is the handler", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, http.StatusTeapot, call{}.do(middleware.Chain()(status(http.StatusTeapot))).Code)
	})
	t.Run("a later change of the slice has no effect", func(t *testing.T) {
		t.Parallel()
		var seen []string
		list := []func(http.Handler) http.Handler{visited("a", &seen)}
		m := middleware.Chain(list...)
		list[0] = visited("b", &seen)
		call{}.do(m(status(200)))
		require.Equal(t, []string{"a"}, seen)
	})
}

// batchOf returns a batch of n events with the key as its last member.
func batchOf(n int, key string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(`{"type":"track","userId":"u","event":"E","messageId":"m%d","properties":{"n":%d}}`, i, i)
	}
	return `{"batch":[` + strings.Join(items, ",") + `],"writeKey":"` + key + `"}`
}

// All usual layers, over a real connection.
func TestAllLayers(t *testing.T) {
	t.Parallel()
	long := batchOf(2000, writeKey)
	for _, tt := range []struct {
		name   string
		call   call
		status int
		events int
	}{
		{"an event, the key in a header", call{body: track, key: writeKey}, 200, 1},
		{"a long batch, the key its last member", call{path: "/v1/batch", body: long}, 200, 2000},
		{"a compressed batch, the key in its body", call{path: "/v1/batch", body: zipped(t, long), header: map[string]string{"Content-Encoding": "gzip"}}, 200, 2000},
		{"a batch with an unknown key", call{path: "/v1/batch", body: batchOf(2000, "nope")}, 401, 0},
		{"a pixel", call{method: "GET", path: "/v1/pixel/track?data=eyJ3cml0ZUtleSI6IklMb3ZlRGF0YTEyMyIsInVzZXJJZCI6InUiLCJldmVudCI6IkUifQ=="}, 200, 1},
		{"a body that is not JSON", call{body: "{", key: writeKey}, 400, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			memory := new(testsink.Keeper)
			server := httptest.NewServer(mount(newHandler(t, memory)))
			defer server.Close()
			resp := send(t, server, tt.call)
			require.Equal(t, tt.status, resp.StatusCode)
			events := memory.Events()
			require.Len(t, events, tt.events)
			for _, e := range events {
				require.Equal(t, "web", e.Source.ID)
			}
		})
	}
}

// send makes the call to a server.
func send(t testing.TB, server *httptest.Server, c call) *http.Response {
	t.Helper()
	local := c.request()
	r, err := http.NewRequest(local.Method, server.URL+local.URL.RequestURI(), strings.NewReader(c.body))
	require.NoError(t, err)
	r.Header = local.Header
	resp, err := server.Client().Do(r)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp
}

// Any middleware may be between two of ours.
func TestForeignMiddleware(t *testing.T) {
	t.Parallel()
	rename := replacing(func(body []byte) []byte {
		return bytes.ReplaceAll(body, []byte(`"E"`), []byte(`"Renamed Event"`))
	})
	var remembered any
	inspect := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			remembered = r.Context().Value(foreignKey{})
			next.ServeHTTP(w, r)
		})
	}
	for _, tt := range []struct {
		name    string
		between func(http.Handler) http.Handler
		want    string
	}{
		{"replaces the body", rename, "Renamed Event"},
		{"wraps the writer", wrapping, "E"},
		{"puts a value into the context", middleware.Chain(remembering, inspect), "E"},
		{"all of these", middleware.Chain(remembering, wrapping, rename, inspect), "Renamed Event"},
	} {
		for place := range 5 {
			t.Run(fmt.Sprintf("%s, place %d", tt.name, place), func(t *testing.T) {
				memory := new(testsink.Keeper)
				layers := []func(http.Handler) http.Handler{
					middleware.Recover(nil), middleware.CORS(nil), middleware.Payload(nil), middleware.Auth(keys, nil),
				}
				layers = append(layers[:place:place], append([]func(http.Handler) http.Handler{tt.between}, layers[place:]...)...)
				h := middleware.Chain(layers...)(newHandler(t, memory))
				w := call{path: "/v1/batch", body: batchOf(3, writeKey)}.do(h)
				require.Equal(t, 200, w.Code, "%s", w.Body)
				events := memory.Events()
				require.Len(t, events, 3)
				for i, e := range events {
					require.Equal(t, tt.want, e.Name)
					require.Equal(t, fmt.Sprintf(`{"n":%d}`, i), string(e.Properties))
				}
			})
		}
	}
	require.Equal(t, "remembered", remembered)
}

// Concurrent requests do not see each other.
func TestAllLayersConcurrent(t *testing.T) {
	t.Parallel()
	memory := new(testsink.Keeper)
	h := mount(newHandler(t, memory))
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 50 {
				n := g*50 + i
				c := call{body: bodyOf(n), key: writeKey}
				if n%3 == 0 {
					c.body, c.header = zipped(t, c.body), map[string]string{"Content-Encoding": "gzip"}
				}
				if n%5 == 0 {
					c.key, c.path = "", "/v1/track?writeKey="+writeKey
				}
				if w := c.do(h); w.Code != 200 {
					t.Errorf("%d: %s", w.Code, w.Body)
				}
			}
		})
	}
	all.Wait()
	events := memory.Events()
	require.Len(t, events, 400)
	for _, e := range events {
		var n int
		_, err := fmt.Sscanf(e.MessageID, "m%04d", &n)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("u%04d", n), e.UserID)
		require.Equal(t, `{"n":"`+strings.Repeat(fmt.Sprint(n%10), 4096)+`"}`, string(e.Properties))
	}
}

// A handler can abort through all layers, which remain usable.
func TestAllLayersAbort(t *testing.T) {
	t.Parallel()
	h := mount(panicking(http.ErrAbortHandler))
	for range 3 {
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { call{body: track, key: writeKey}.do(h) })
	}
	server := httptest.NewServer(h)
	defer server.Close()
	_, err := server.Client().Post(server.URL+"/v1/track?writeKey="+writeKey, "", strings.NewReader(track))
	require.Error(t, err)
}
