package interop

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/examples/mounts/router"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// webServers mount h, which sees the whole path, below prefix. Those of package router, which
// examples/mounts shows, have middleware that hosts of that router usually have.
var webServers = map[string]func(h http.Handler) http.Handler{
	"net/http": func(h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle(prefix+"/", h)
		return mux
	},
	"net/http, the methods of the API": func(h http.Handler) http.Handler {
		mux := http.NewServeMux()
		for _, method := range []string{"GET ", "POST ", "OPTIONS "} {
			mux.Handle(method+prefix+"/{path...}", h)
		}
		return mux
	},
	"chi": func(h http.Handler) http.Handler { return router.Chi(prefix, h) },
	"chi, a route": func(h http.Handler) http.Handler {
		r := chi.NewRouter()
		r.Route(prefix, func(r chi.Router) { r.Handle("/*", h) })
		return r
	},
	"gin": func(h http.Handler) http.Handler {
		quietGin()
		return router.Gin(prefix, h)
	},
	"echo": func(h http.Handler) http.Handler { return router.Echo(prefix, h) },
}

// layersOf has the ways to put the layers around the API.
var layersOf = map[string]func(keys inlet.Authenticator) func(http.Handler) http.Handler{
	"Standard": func(keys inlet.Authenticator) func(http.Handler) http.Handler {
		return middleware.Standard(keys, &middleware.StandardOptions{
			Prefix: prefix, SourceOrigins: true, PerIP: middleware.Rate{Events: 1e6}, PerSource: middleware.Rate{Events: 1e6},
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Migrations: []inlet.Migration{inlet.CommandersActV1()},
		})
	},
	"a chain": func(keys inlet.Authenticator) func(http.Handler) http.Handler {
		layers := middleware.Chain(
			middleware.Recover(nil), middleware.RequestID(nil), middleware.AccessLog(nil), middleware.ClientIP(nil),
			middleware.CORS(&middleware.CORSOptions{Origins: []string{"https://shop.example"}}),
			middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, Key: middleware.ByIP}),
			middleware.Payload(nil), middleware.Auth(keys, nil),
			middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, Key: middleware.BySource}),
			middleware.Migrate(inlet.CommandersActV1(), nil),
		)
		return func(h http.Handler) http.Handler { return http.StripPrefix(prefix, layers(h)) }
	},
}

// A hostLog is what a host logs at WARN and above, without its access log.
type hostLog struct {
	mu    sync.Mutex
	lines []string
}

// Write keeps a line.
func (l *hostLog) Write(line []byte) (int, error) {
	if !bytes.Contains(line, []byte(`msg="middleware: request"`)) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lines = append(l.lines, string(line))
	}
	return len(line), nil
}

func (l *hostLog) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}

// serveHost serves the API behind a router, and returns its address.
func serveHost(t *testing.T, mount, layers func(http.Handler) http.Handler) string {
	t.Helper()
	h, err := inlet.New(new(sinks.Memory), nil)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(mount(layers(h)))
	server.Config.ReadHeaderTimeout = 5 * time.Second
	server.Start()
	t.Cleanup(server.Close)
	return server.URL + prefix
}

func newHostLog(t *testing.T) *hostLog {
	t.Helper()
	log, before := new(hostLog), slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn})))
	t.Cleanup(func() { slog.SetDefault(before) })
	return log
}

func hostKeys() *inlet.Keys {
	return inlet.MustKeys(map[string]inlet.Source{
		writeKey: {ID: "web"}, "bound": {ID: "shop", Origins: []string{"https://shop.example"}},
	})
}

// visit makes the requests that a host sees, right and wrong ones, and returns the statuses.
func visit(t *testing.T, base string) (statuses []int) {
	t.Helper()
	const event = `{"userId":"u","event":"E"}`
	for _, c := range []struct{ method, path, key, origin, body string }{
		{"OPTIONS", "/v1/track", "", "https://shop.example", ""},
		{"POST", "/v1/track", writeKey, "", event},
		{"POST", "/v1/track", "bound", "https://shop.example", event},
		{"POST", "/v1/track", "bound", "https://evil.example", event},
		{"POST", "/v1/track", "", "", event},
		{"POST", "/v1/nothing", writeKey, "", event},
		{"GET", "/v1/projects/k/settings", "", "", ""},
		{"POST", "/v1/batch", writeKey, "", `{"batch":[{"type":"track","userId":"u","event":"E"}]}`},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, base+c.path, strings.NewReader(c.body))
		require.NoError(t, err)
		if c.key != "" {
			request.Header.Set("X-Write-Key", c.key)
		}
		if c.origin != "" {
			request.Header.Set("Origin", c.origin)
		}
		if c.method == "OPTIONS" {
			request.Header.Set("Access-Control-Request-Method", "POST")
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		statuses = append(statuses, response.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
	return statuses
}

// Not parallel: it sets the default logger.
func TestHosts(t *testing.T) {
	for router, mount := range webServers {
		for name, layers := range layersOf {
			t.Run(router+", "+name, func(t *testing.T) {
				log := newHostLog(t)
				base := serveHost(t, mount, layers(hostKeys()))
				require.Equal(t, []int{204, 200, 200, 403, 401, 404, 200, 200}, visit(t, base))
				require.Empty(t, log.all(), "nothing is wrong")
			})
		}
		t.Run(router+", the prefix is not removed", func(t *testing.T) {
			log := newHostLog(t)
			base := serveHost(t, mount, middleware.Standard(hostKeys(), nil))
			visit(t, base)
			requireLine(t, log, "StripPrefix", "prefix="+prefix)
		})
		t.Run(router+", a writer without Unwrap", func(t *testing.T) {
			log := newHostLog(t)
			wrap := func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					mount(h).ServeHTTP(struct{ http.ResponseWriter }{w}, r)
				})
			}
			base := serveHost(t, wrap, layersOf["Standard"](hostKeys()))
			visit(t, base)
			requireLine(t, log, "Unwrap() http.ResponseWriter")
		})
		t.Run(router+", CORS inside Auth", func(t *testing.T) {
			log := newHostLog(t)
			base := serveHost(t, mount, func(h http.Handler) http.Handler {
				return http.StripPrefix(prefix, middleware.Chain(middleware.Auth(hostKeys(), nil), middleware.CORS(nil))(h))
			})
			visit(t, base)
			requireLine(t, log, "layer=CORS", "outside of Auth")
		})
		t.Run(router+", no Auth", func(t *testing.T) {
			log := newHostLog(t)
			base := serveHost(t, mount, func(h http.Handler) http.Handler {
				return http.StripPrefix(prefix, middleware.Chain(middleware.CORS(nil), middleware.Payload(nil))(h))
			})
			visit(t, base)
			requireLine(t, log, "middleware.Auth")
		})
	}
}

// requireLine requires that exactly one thing was logged.
func requireLine(t *testing.T, log *hostLog, parts ...string) {
	t.Helper()
	require.Equal(t, 1, strings.Count(log.all(), "\n"), log.all())
	for _, part := range parts {
		require.Contains(t, log.all(), part)
	}
}
