package interop

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/examples/mounts/router"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// prefix is where the routers mount the handler.
const prefix = "/ingest"

// routers mount h below prefix, each in the idiom of the router.
var routers = map[string]func(h http.Handler) http.Handler{
	"chi": func(h http.Handler) http.Handler { return router.Chi(prefix, http.StripPrefix(prefix, h)) },
	"gin": func(h http.Handler) http.Handler {
		quietGin()
		return router.Gin(prefix, http.StripPrefix(prefix, h))
	},
	"echo":      func(h http.Handler) http.Handler { return router.Echo(prefix, http.StripPrefix(prefix, h)) },
	"no router": func(h http.Handler) http.Handler { return http.StripPrefix(prefix, h) },
}

// quietGin sets a global variable of gin, which parallel tests may do only once.
var quietGin = sync.OnceFunc(func() { gin.SetMode(gin.ReleaseMode) })

func TestMount(t *testing.T) {
	t.Parallel()
	t.Run("routers", func(t *testing.T) {
		t.Parallel()
		bodies := map[string]string{
			"track": `{"userId":"u","event":"E","messageId":"%s"}`,
			"batch": `{"batch":[{"type":"track","userId":"u","event":"E","messageId":"%s"}]}`,
		}
		paths := []string{"/v1/%s", "//v1/%s", "/v1//%s", "/v1/%s/", "//v1/%s/", "/%s", "//%s"}

		for name, mount := range routers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				host := newHost(t, mount)
				for call, body := range bodies {
					for i, path := range paths {
						path = prefix + fmt.Sprintf(path, call)
						id := fmt.Sprintf("%s-%d", call, i)
						status, answer := host.post(t, path, fmt.Sprintf(body, id))
						require.Equal(t, http.StatusOK, status, "POST %s: %s", path, answer)
						require.JSONEq(t, `{"success":true}`, answer)
						require.Equal(t, id, host.lastMessageID(), "POST %s", path)
					}
				}

				status, answer := host.post(t, prefix+"/nowhere", "{}")
				require.Equal(t, http.StatusNotFound, status)
				require.Contains(t, answer, `"code"`, "the 404 must be the handler's, in the form that SDKs read")
			})
		}
	})
	t.Run("ServeMux", func(t *testing.T) {
		t.Parallel()
		host := newHost(t, func(h http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle(prefix+"/", http.StripPrefix(prefix, h))
			return mux
		})

		for _, path := range []string{"/v1/track", "/v1/track/", "/track"} {
			status, answer := host.post(t, prefix+path, `{"userId":"u","event":"E"}`)
			require.Equal(t, http.StatusOK, status, "POST %s: %s", path, answer)
		}

		t.Run("redirects a doubled slash", func(t *testing.T) {
			status, _ := host.post(t, prefix+"//v1/track", `{"userId":"u","event":"E"}`)
			require.Equal(t, http.StatusTemporaryRedirect, status)
		})
	})
	t.Run("SDK", func(t *testing.T) {
		t.Parallel()
		for name, mount := range routers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				host := newHost(t, mount)
				calls := manyTracks(20)
				sendGo(t, host.URL+prefix, 5, calls[:10])
				sendGo(t, host.URL+prefix+"/", 5, calls[10:])
				require.Len(t, host.sink.Events(), len(calls))
			})
		}
	})
	t.Run("settings", func(t *testing.T) {
		t.Parallel()
		for name, mount := range routers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				host := newHost(t, mount)
				for _, path := range []string{"/v1/projects/k/settings", "/projects/k/settings", "/v1/projects/k/settings/"} {
					response, err := http.Get(host.URL + prefix + path)
					require.NoError(t, err)
					body, err := io.ReadAll(response.Body)
					require.NoError(t, response.Body.Close())
					require.NoError(t, err)
					require.Equal(t, http.StatusOK, response.StatusCode, "%s", body)
					answer := decode[struct{ Integrations map[string]map[string]string }](t, string(body))
					require.Equal(t, map[string]string{
						"apiKey": "k", "apiHost": strings.TrimPrefix(host.URL, "http://") + prefix + "/v1", "protocol": "http",
					}, answer.Integrations["Segment.io"])
				}
			})
		}
	})
}

// A host is a server with the handler mounted in it.
type host struct {
	*httptest.Server
	sink *sinks.Memory
}

func newHost(t *testing.T, mount func(http.Handler) http.Handler) host {
	t.Helper()
	sink := new(sinks.Memory)
	h, err := inlet.New(sink, nil)
	require.NoError(t, err)
	keys := inlet.MustKeys(map[string]inlet.Source{writeKey: {ID: "web"}})
	server := httptest.NewServer(mount(middleware.Auth(keys, nil)(h)))
	t.Cleanup(server.Close)
	return host{Server: server, sink: sink}
}

// post sends one request and follows no redirect.
func (h host) post(t *testing.T, path, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	request.SetBasicAuth(writeKey, "")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(data)
}

// lastMessageID returns the ID of the event that was stored last.
func (h host) lastMessageID() string {
	events := h.sink.Events()
	if len(events) == 0 {
		return ""
	}
	return events[len(events)-1].MessageID
}
