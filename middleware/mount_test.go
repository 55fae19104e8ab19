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

	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// batchOf returns a batch of n events whose key is its last member.
func batchOf(n int, key string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(`{"type":"track","userId":"u","event":"E","messageId":"m%d","properties":{"n":%d}}`, i, i)
	}
	return `{"batch":[` + strings.Join(items, ",") + `],"writeKey":"` + key + `"}`
}

// The whole chain, over a real connection.
func TestTheWholeChain(t *testing.T) {
	t.Parallel()
	long := batchOf(2000, writeKey)
	for _, tt := range []struct {
		name   string
		call   call
		status int
		events int
	}{
		{"an event with its key in a header", call{body: track, key: writeKey}, 200, 1},
		{"a key as the last member after a long batch", call{path: "/v1/batch", body: long}, 200, 2000},
		{"a compressed batch with its key in the body", call{path: "/v1/batch", body: zipped(t, long), header: map[string]string{"Content-Encoding": "gzip"}}, 200, 2000},
		{"a batch with another's key", call{path: "/v1/batch", body: batchOf(2000, "nope")}, 401, 0},
		{"a pixel", call{method: "GET", path: "/v1/pixel/track?data=eyJ3cml0ZUtleSI6IklMb3ZlRGF0YTEyMyIsInVzZXJJZCI6InUiLCJldmVudCI6IkUifQ=="}, 200, 1},
		{"a body that is no JSON", call{body: "{", key: writeKey}, 400, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			memory := new(sinks.Memory)
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

// Between any two layers of ours others may stand.
func TestForeignMiddlewareBetweenOurs(t *testing.T) {
	t.Parallel()
	rename := replacing(func(body []byte) []byte {
		return bytes.ReplaceAll(body, []byte(`"E"`), []byte(`"Renamed Event"`))
	})
	var remembered any
	look := func(next http.Handler) http.Handler {
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
		{"one that replaces the body", rename, "Renamed Event"},
		{"one that wraps the writer", wrapping, "E"},
		{"one that puts a value into the context", middleware.Chain(remembering, look), "E"},
		{"all of them", middleware.Chain(remembering, wrapping, rename, look), "Renamed Event"},
	} {
		for place := range 5 {
			t.Run(fmt.Sprintf("%s, in place %d", tt.name, place), func(t *testing.T) {
				memory := new(sinks.Memory)
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

// Requests of many clients at a time do not see each other.
func TestTheWholeChainConcurrently(t *testing.T) {
	t.Parallel()
	memory := new(sinks.Memory)
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

// A handler that aborts aborts through every layer, and leaves them usable.
func TestAbortThroughTheWholeChain(t *testing.T) {
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
