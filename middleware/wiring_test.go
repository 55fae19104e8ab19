package middleware_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

// warnings collects what is logged at WARN while a test builds and uses its chains. The test must
// not be parallel.
type warnings struct{ log bytes.Buffer }

func newWarnings(t *testing.T) *warnings {
	t.Helper()
	w := new(warnings)
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelWarn})))
	t.Cleanup(func() { slog.SetDefault(before) })
	return w
}

// lines returns the warnings that are about how layers are put together.
func (w *warnings) lines(t *testing.T) (lines []string) {
	t.Helper()
	for line := range strings.Lines(w.log.String()) {
		var record struct{ Level, Msg string }
		require.NoError(t, json.Unmarshal([]byte(line), &record), line)
		if record.Level == "WARN" && record.Msg != "middleware: request" && record.Msg != "inlet: refused" {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

type layers = []func(http.Handler) http.Handler

func byIP() func(http.Handler) http.Handler {
	return middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, Key: middleware.ByIP})
}

func bySource() func(http.Handler) http.Handler {
	return middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, Key: middleware.BySource})
}

func accessLog() func(http.Handler) http.Handler {
	return middleware.AccessLog(nil)
}

// The first request that a mistake spoils makes one warning of it, with the remedy.
//
// Not parallel: it sets the default logger.
func TestWrongWiring(t *testing.T) {
	event := call{body: track, key: writeKey}
	preflights := call{method: http.MethodOptions, header: map[string]string{
		"Origin": "https://shop.example", "Access-Control-Request-Method": "POST",
	}}
	inBody := call{path: "/events", body: `{"event_name":"e","writeKey":"` + writeKey + `","properties":{}}`}
	migrate := func() func(http.Handler) http.Handler { return middleware.Migrate(inlet.CommandersActV1(), nil) }
	payload, auth := func() func(http.Handler) http.Handler { return middleware.Payload(nil) },
		func() func(http.Handler) http.Handler { return middleware.Auth(keys, nil) }
	for _, tt := range []struct {
		name    string
		layers  func() layers
		request call
		want    []string // all in the one line
	}{
		{"limit by source outside Auth", func() layers { return layers{payload(), bySource(), auth()} }, event,
			[]string{`"layer":"RateLimit by source"`, "none is limited", "inside of Auth"}},
		{"limit by source outside Auth and Payload", func() layers { return layers{bySource(), payload(), auth()} }, event,
			[]string{`"layer":"RateLimit by source"`, "inside of Auth"}},
		{"CORS inside Auth, an event", func() layers { return layers{auth(), middleware.CORS(nil)} }, event,
			[]string{`"layer":"CORS"`, "preflights", "outside of Auth"}},
		{"CORS inside Auth, a preflight", func() layers { return layers{auth(), middleware.CORS(nil)} }, preflights,
			[]string{`"layer":"CORS"`, "preflights", "outside of Auth"}},
		{"CORS inside Payload and Auth, a preflight", func() layers { return layers{payload(), auth(), middleware.CORS(nil)} }, preflights,
			[]string{`"layer":"CORS"`, "preflights", "outside of Payload, Auth"}},
		{"CORS inside a limit by IP", func() layers { return layers{byIP(), middleware.CORS(nil), auth()} }, event,
			[]string{`"layer":"CORS"`, "outside of RateLimit by IP"}},
		{"no CORS, a preflight", func() layers { return layers{payload(), auth()} }, preflights,
			[]string{"preflight refused", "put middleware.CORS"}},
		{"no Auth", func() layers { return layers{payload()} }, event, []string{"no layer authenticates", "middleware.Auth"}},
		{"no layer at all", func() layers { return nil }, event, []string{"no layer authenticates", "middleware.Auth"}},
		{"Migrate outside Auth, a key in the body", func() layers { return layers{payload(), migrate(), auth()} }, inBody,
			[]string{`"layer":"Migrate"`, "key in the body", "inside of Payload, Auth"}},
		{"Migrate outside Auth and Payload", func() layers { return layers{migrate(), payload(), auth()} }, inBody,
			[]string{`"layer":"Migrate"`, "inside of Payload, Auth"}},
		{"limit by IP outside ClientIP", func() layers { return layers{byIP(), middleware.ClientIP(nil), auth()} }, event,
			[]string{`"layer":"ClientIP"`, "limited as one", "outside of RateLimit by IP"}},
		{"limit by network outside ClientIP", func() layers {
			limit := middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, Key: middleware.ByNetwork(24, 56)})
			return layers{limit, middleware.ClientIP(nil), auth()}
		}, event, []string{`"layer":"ClientIP"`, "outside of RateLimit by IP"}},
		{"limit by IP outside ClientIP, by a function of the host's", func() layers {
			limit := middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, Key: func(r *http.Request) (middleware.RateKey, bool) {
				key, ok := middleware.ByIP(r)
				key.Name = r.Method
				return key, ok
			}})
			return layers{limit, middleware.ClientIP(nil), auth()}
		}, event, []string{`"layer":"ClientIP"`, "outside of RateLimit by IP"}},
		{"limit by IP inside Auth", func() layers { return layers{auth(), byIP()} }, event,
			[]string{`"layer":"RateLimit by IP"`, "outside of Auth"}},
		{"AccessLog inside Auth", func() layers { return layers{auth(), accessLog()} }, event,
			[]string{`"layer":"AccessLog"`, "not logged", "outside of Auth"}},
		{"AccessLog inside Auth, a refusal", func() layers { return layers{auth(), accessLog()} }, call{body: track},
			[]string{`"layer":"AccessLog"`, "not logged", "outside of Auth"}},
		{"AccessLog inside CORS, Payload and Auth", func() layers {
			return layers{middleware.CORS(nil), payload(), auth(), accessLog()}
		}, event, []string{`"layer":"AccessLog"`, "outside of CORS, Payload, Auth"}},
		{"Payload inside Auth", func() layers { return layers{auth(), payload()} }, event,
			[]string{`"layer":"Payload"`, "outside of Auth"}},
		{"IPPolicy outside ClientIP", func() layers { return layers{middleware.IPPolicy(nil), middleware.ClientIP(nil), auth()} }, event,
			[]string{`"layer":"ClientIP"`, "outside of IPPolicy"}},
		{"Identity outside ClientIP", func() layers { return layers{middleware.Identity(nil), middleware.ClientIP(nil), auth()} }, event,
			[]string{`"layer":"ClientIP"`, "outside of Identity"}},
		{"Identity outside a limit by IP", func() layers { return layers{middleware.Identity(nil), byIP(), auth()} }, event,
			[]string{`"layer":"RateLimit by IP"`, "outside of Identity"}},
		{"two layers Auth", func() layers { return layers{auth(), auth()} }, event, []string{`"layer":"Auth"`, "leave one"}},
		{"two layers CORS", func() layers { return layers{middleware.CORS(nil), middleware.CORS(nil), auth()} }, event,
			[]string{`"layer":"CORS"`, "leave one"}},
		{"two layers ClientIP", func() layers { return layers{middleware.ClientIP(nil), middleware.ClientIP(nil), auth()} }, event,
			[]string{`"layer":"ClientIP"`, "leave one"}},
		{"two layers AccessLog", func() layers { return layers{accessLog(), accessLog(), auth()} }, event,
			[]string{`"layer":"AccessLog"`, "leave one"}},
		{"a host's authentication inside a limit by source", func() layers {
			return layers{bySource(), authenticating}
		}, event, []string{"limit by source is outside", "put it inside"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := newWarnings(t)
			h := middleware.Chain(tt.layers()...)(newDefaultHandler(t))
			tt.request.do(h)
			requireOne(t, log.lines(t), tt.want...)
			for range 3 {
				tt.request.do(h)
				event.do(h)
				call{body: track}.do(h)
			}
			require.Len(t, log.lines(t), 1, "it is warned of once")
		})
		if tt.name == "AccessLog inside Auth, a refusal" || strings.Contains(tt.name, "a preflight") {
			continue // no request shows what is inside
		}
		t.Run(tt.name+", foreign layers between", func(t *testing.T) {
			log := newWarnings(t)
			var between layers
			for _, layer := range tt.layers() {
				between = append(between, wrapping, layer, remembering)
			}
			h := middleware.Chain(between...)(newDefaultHandler(t))
			for range 3 {
				tt.request.do(h)
			}
			for _, want := range tt.want[:1] {
				requireOne(t, log.lines(t), want)
			}
		})
	}
}

// newDefaultHandler returns an ingestion handler that logs where everything is logged.
func newDefaultHandler(t testing.TB) http.Handler {
	t.Helper()
	h, err := inlet.New(new(testsink.Keeper), nil)
	require.NoError(t, err)
	return h
}

// authenticating is a host's own layer in the place of Auth.
func authenticating(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); ok {
			r = inlet.WithSource(r, &inlet.Source{ID: "own"})
		}
		next.ServeHTTP(w, r)
	})
}

func requireOne(t *testing.T, lines []string, want ...string) {
	t.Helper()
	require.Len(t, lines, 1, "%s", strings.Join(lines, "\n"))
	for _, text := range want {
		require.Contains(t, lines[0], text)
	}
}

// Layers that are not given a protocol have that of the handler, so that its limits hold.
func TestSharedProtocol(t *testing.T) {
	t.Parallel()
	long := strings.Replace(track, `"pro"`, `"`+strings.Repeat("a", 50_000)+`"`, 1)
	require.NotEqual(t, track, long)
	large := &inlet.Protocol{Limits: inlet.Limits{EventBytes: 100_000}}
	for name, layers := range map[string]layers{
		"Standard":       {middleware.Standard(keys, &middleware.StandardOptions{Logger: quiet})},
		"single layers":  {middleware.Payload(nil), middleware.Auth(keys, nil), bySource(), middleware.Migrate(inlet.CommandersActV1(), nil)},
		"without Auth":   {middleware.Payload(nil), middleware.Migrate(inlet.CommandersActV1(), nil)},
		"without layers": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for want, protocol := range map[int]*inlet.Protocol{200: large, 400: nil} {
				api, err := inlet.New(new(testsink.Keeper), &inlet.Options{Protocol: protocol, AllowAnonymous: true, Logger: quiet})
				require.NoError(t, err)
				require.Equal(t, want, call{body: long, key: writeKey}.do(middleware.Chain(layers...)(api)).Code)
			}
		})
	}
}

// A layer sees the handler behind every other layer of this package.
//
// Not parallel: it sets the default logger.
func TestSharedProtocolBehind(t *testing.T) {
	long := strings.Replace(track, `"pro"`, `"`+strings.Repeat("a", 50_000)+`"`, 1)
	for name, between := range map[string]func(http.Handler) http.Handler{
		"AccessLog":   accessLog(),
		"ClientIP":    middleware.ClientIP(nil),
		"CORS":        middleware.CORS(nil),
		"Identity":    middleware.Identity(nil),
		"IPPolicy":    middleware.IPPolicy(nil),
		"Observe":     middleware.Observe(new(seen)),
		"RateLimit":   byIP(),
		"Recover":     middleware.Recover(nil),
		"RequestID":   middleware.RequestID(nil),
		"Standard":    middleware.Standard(keys, &middleware.StandardOptions{Prefix: "/t", Observer: new(seen)}),
		"no layer":    middleware.Chain(),
		"Payload":     middleware.Payload(nil),
		"another one": middleware.Migrate(inlet.CommandersActV1(), nil),
	} {
		t.Run(name, func(t *testing.T) {
			log := newWarnings(t)
			p := &inlet.Protocol{Limits: inlet.Limits{EventBytes: 100_000}}
			api, err := inlet.New(new(testsink.Keeper), &inlet.Options{Protocol: p, AllowAnonymous: true})
			require.NoError(t, err)
			h := middleware.Chain(middleware.Payload(nil), middleware.Migrate(inlet.CommandersActV1(), nil), between)(api)
			path := "/v1/track"
			if name == "Standard" {
				path = "/t" + path
			}
			require.Equal(t, 200, call{path: path, body: long, key: writeKey}.do(h).Code)
			for _, line := range log.lines(t) {
				require.NotContains(t, line, "different Protocols")
			}
		})
	}
}

// Not parallel: it sets the default logger.
func TestWrongProtocol(t *testing.T) {
	segment := func() *inlet.Protocol { return &inlet.Protocol{Dialects: []inlet.Dialect{inlet.Segment()}} }
	small := func() *inlet.Protocol {
		return &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytesInFlight: 32 << 20}}
	}
	shared := small()
	standard := func(p *inlet.Protocol) layers {
		return layers{middleware.Standard(keys, &middleware.StandardOptions{Protocol: p, NoAccessLog: true})}
	}
	for _, tt := range []struct {
		name    string
		layers  layers
		handler *inlet.Protocol
		warned  bool
	}{
		{"of the layers, and none of the handler", standard(small()), nil, true},
		{"other limits", standard(&inlet.Protocol{Limits: inlet.Limits{Events: 10}}), small(), true},
		{"other dialects", standard(segment()), small(), true},
		{"of one layer", layers{middleware.Payload(&middleware.PayloadOptions{Protocol: small()}), middleware.Auth(keys, nil)}, nil, true},
		{"of the handler, behind a foreign layer", append(standard(nil), wrapping), small(), true},
		{"a foreign layer amid the layers", layers{middleware.Payload(nil), wrapping, middleware.Auth(keys, nil)}, small(), true},
		{"none", standard(nil), nil, false},
		{"none, behind a foreign layer", append(standard(nil), wrapping), nil, false},
		{"of the handler", standard(nil), small(), false},
		{"the same", standard(shared), shared, false},
		{"the same, behind a foreign layer", append(standard(shared), wrapping), shared, false},
		{"two that say the same", standard(segment()), segment(), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := newWarnings(t)
			api, err := inlet.New(new(testsink.Keeper), &inlet.Options{Protocol: tt.handler})
			require.NoError(t, err)
			h := middleware.Chain(tt.layers...)(api)
			for range 3 {
				require.Equal(t, 200, call{body: track, key: writeKey}.do(h).Code)
			}
			if tt.warned {
				requireOne(t, log.lines(t), "different Protocols", "StandardOptions.Protocol")
			} else {
				require.Empty(t, log.lines(t))
			}
		})
	}
	t.Run("a request that a layer refuses", func(t *testing.T) {
		log := newWarnings(t)
		h := standard(small())[0](newDefaultHandler(t))
		require.Equal(t, 401, call{body: track}.do(h).Code)
		requireOne(t, log.lines(t), "different Protocols")
	})
}

// Not parallel: it sets the default logger.
func TestWrongMount(t *testing.T) {
	chain := func(t *testing.T) http.Handler { return middleware.Auth(keys, nil)(newDefaultHandler(t)) }
	post := func(path string) call { return call{path: path, body: track, key: writeKey} }
	t.Run("no StripPrefix below a mux", func(t *testing.T) {
		for _, pattern := range []string{"/analytics/", "POST /analytics/", "/analytics/{rest...}", "shop.example/analytics/"} {
			for _, c := range []call{
				post("/analytics/v1/track"),
				post("http://shop.example/analytics/track"),
				{method: http.MethodPost, path: "/analytics/v1/track", body: track}, // without a key
			} {
				log := newWarnings(t)
				mux := http.NewServeMux()
				mux.Handle(pattern, chain(t))
				c.path = "http://shop.example" + strings.TrimPrefix(c.path, "http://shop.example")
				for range 3 {
					c.do(mux)
					post("http://shop.example/analytics/v1/batch").do(mux)
				}
				requireOne(t, log.lines(t), `"prefix":"/analytics"`, "StripPrefix")
			}
		}
	})
	t.Run("no StripPrefix, a request for settings", func(t *testing.T) {
		log := newWarnings(t)
		mux := http.NewServeMux()
		mux.Handle("/analytics/", chain(t))
		call{method: http.MethodGet, path: "/analytics/v1/projects/key/settings"}.do(mux)
		requireOne(t, log.lines(t), `"prefix":"/analytics"`, "StripPrefix")
	})
	t.Run("no StripPrefix and no mux that says its pattern", func(t *testing.T) {
		log := newWarnings(t)
		h := chain(t)
		call{path: "/a/b/v1/track", body: track}.do(h)
		require.Empty(t, log.lines(t), "without a key it may be anybody")
		post("/a/b/v1/track").do(h)
		post("/a/b/v1/track").do(h)
		requireOne(t, log.lines(t), `"prefix":"/a/b"`, "StripPrefix")
	})
	t.Run("a client that is wrong, after others were right", func(t *testing.T) {
		log := newWarnings(t)
		h := chain(t)
		post("/v1/track").do(h)
		post("/analytics/v1/track").do(h)
		post("/v1/nothing").do(h)
		call{method: http.MethodGet, path: "/v1/track", key: writeKey}.do(h)
		require.Empty(t, log.lines(t))
	})
	t.Run("the wrong method", func(t *testing.T) {
		log := newWarnings(t)
		call{method: http.MethodGet, path: "/v1/track", key: writeKey}.do(chain(t))
		require.Empty(t, log.lines(t))
	})
	t.Run("a host's layer that lets some requests pass", func(t *testing.T) {
		log := newWarnings(t)
		h := authenticating(newDefaultHandler(t))
		require.Equal(t, 200, post("/v1/track").do(h).Code)
		require.Equal(t, 401, call{body: track}.do(h).Code)
		require.Empty(t, log.lines(t))
	})
	t.Run("a source with an impossible origin", func(t *testing.T) {
		log := newWarnings(t)
		found := map[string]*inlet.Source{
			"a": {ID: "bad", Origins: []string{"https://other.example", "shop.example"}}, "b": {ID: "good", Origins: []string{"https://shop.example"}},
		}
		db := inlet.AuthenticatorFunc(func(_ context.Context, c inlet.Credentials) (*inlet.Source, error) { return found[c.Key], nil })
		h := middleware.Auth(db, nil)(newDefaultHandler(t))
		from := func(key, origin string) int {
			return call{body: track, key: key, header: map[string]string{"Origin": origin}}.do(h).Code
		}
		require.Equal(t, 403, from("b", "https://evil.example"))
		require.Equal(t, 200, from("a", "https://other.example"))
		require.Empty(t, log.lines(t), "no request was spoiled")
		for range 3 {
			require.Equal(t, 403, from("a", "https://shop.example"))
		}
		requireOne(t, log.lines(t), `"source":"bad"`, `Origins[1] is \"shop.example\", must be \"https://host\"`)
	})
}

// Not parallel: it sets the default logger.
func TestWrongServer(t *testing.T) {
	serve := func(t *testing.T, h http.Handler, timeout time.Duration) {
		t.Helper()
		server := httptest.NewUnstartedServer(h)
		server.Config.ReadHeaderTimeout = timeout
		server.Start()
		defer server.Close()
		for range 3 {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/track", strings.NewReader(track))
			require.NoError(t, err)
			r.Header.Set("X-Write-Key", writeKey)
			answer, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.Equal(t, 200, answer.StatusCode)
		}
		http.DefaultClient.CloseIdleConnections()
	}
	for _, tt := range []struct {
		name   string
		layers func() layers
	}{
		{"Payload", func() layers { return layers{middleware.Payload(nil), middleware.Auth(keys, nil)} }},
		{"no Payload", func() layers { return layers{middleware.Auth(keys, nil)} }},
		{"Recover and Payload", func() layers {
			return layers{middleware.Recover(nil), middleware.Payload(nil), middleware.Auth(keys, nil)}
		}},
		{"Standard", func() layers { return layers{middleware.Standard(keys, nil)} }},
	} {
		t.Run("a writer without Unwrap, "+tt.name, func(t *testing.T) {
			log := newWarnings(t)
			h := middleware.Chain(tt.layers()...)(newDefaultHandler(t))
			serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(unwrapless{w}, r) }), time.Second)
			requireOne(t, log.lines(t), "unwrapless", "Unwrap() http.ResponseWriter")
		})
		t.Run("a writer with Unwrap, "+tt.name, func(t *testing.T) {
			log := newWarnings(t)
			serve(t, wrapping(middleware.Chain(tt.layers()...)(newDefaultHandler(t))), time.Second)
			require.Empty(t, log.lines(t))
		})
	}
	t.Run("no ReadHeaderTimeout", func(t *testing.T) {
		log := newWarnings(t)
		serve(t, middleware.Auth(keys, nil)(newDefaultHandler(t)), 0)
		requireOne(t, log.lines(t), "no ReadHeaderTimeout", "inlet.Harden")
	})
}

// What is right is not warned of, whatever clients send.
//
// Not parallel: it sets the default logger.
func TestRightWiring(t *testing.T) {
	limits := middleware.Rate{Events: 1e6, Burst: 1e6}
	retrying := func(next http.Handler) http.Handler { // calls what is inside twice
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(httptest.NewRecorder(), r)
			next.ServeHTTP(w, r)
		})
	}
	own := func() layers { return layers{middleware.Recover(nil), middleware.RequestID(nil)} }
	for _, tt := range []struct {
		name   string
		layers func() layers
	}{
		{"Standard", func() layers { return layers{middleware.Standard(keys, nil)} }},
		{"Standard with everything", func() layers {
			return layers{middleware.Standard(keys, &middleware.StandardOptions{
				Origins: []string{"https://*.shop.example"}, SourceOrigins: true, PerIP: limits, PerSource: limits,
				TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Migrations: []inlet.Migration{inlet.CommandersActV1()},
			})}
		}},
		{"Standard inside layers of the host's", func() layers { return append(own(), middleware.Standard(keys, nil)) }},
		{"the usual chain", func() layers {
			return layers{middleware.Recover(nil), middleware.RequestID(nil), accessLog(), middleware.ClientIP(nil), middleware.CORS(nil),
				byIP(), middleware.IPPolicy(nil), middleware.Identity(nil), middleware.Payload(nil), middleware.Auth(keys, nil), bySource(),
				middleware.Migrate(inlet.CommandersActV1(), nil)}
		}},
		{"two limits by IP, two by source, two policies", func() layers {
			return layers{middleware.CORS(nil), byIP(), byIP(), middleware.IPPolicy(nil), middleware.Payload(nil), middleware.Auth(keys, nil),
				bySource(), bySource(), middleware.IPPolicy(nil)}
		}},
		{"a request that passes twice", func() layers {
			return layers{middleware.CORS(nil), retrying, middleware.Payload(nil), middleware.Auth(keys, nil)}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log := newWarnings(t)
			h := middleware.Chain(tt.layers()...)(newDefaultHandler(t))
			for _, c := range []call{
				{body: track, key: writeKey},
				{body: track, key: boundKey, header: map[string]string{"Origin": "https://shop.example"}},
				{body: track, key: boundKey, header: map[string]string{"Origin": "https://evil.example"}},
				{body: track, key: disabledKey}, {body: track, key: "unknown"}, {body: track}, {body: "{", key: writeKey},
				{method: http.MethodGet, path: "/v1/projects/key/settings"}, {method: http.MethodGet, path: "/v1/track", key: writeKey},
				{path: "/nothing", body: "{}", key: writeKey}, {method: http.MethodOptions}, preflight("content-type"),
				{path: "/events", body: `{"event_name":"e","writeKey":"` + writeKey + `"}`},
			} {
				c.do(h)
			}
			require.Empty(t, log.lines(t))
		})
	}
}
