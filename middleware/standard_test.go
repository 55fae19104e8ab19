package middleware_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

// standard returns the standard layers around a handler that keeps events.
func standard(t testing.TB, a inlet.Authenticator, o middleware.StandardOptions) (http.Handler, *testsink.Keeper) {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet
	}
	sink := new(testsink.Keeper)
	return middleware.Standard(a, &o)(newHandler(t, sink)), sink
}

func TestStandard(t *testing.T) {
	t.Parallel()
	event := call{body: track, key: writeKey}
	t.Run("without options", func(t *testing.T) {
		t.Parallel()
		h := middleware.Standard(keys, nil)(newHandler(t, new(testsink.Keeper)))
		w := event.do(h)
		require.Equal(t, 200, w.Code)
		require.NotEmpty(t, w.Header().Get("X-Request-Id"))
		require.Equal(t, 401, call{body: track}.do(h).Code)
		require.Equal(t, "*", call{body: track, header: map[string]string{"Origin": shop}}.do(h).Header().Get("Access-Control-Allow-Origin"))
		w = call{path: "/v1/track", key: writeKey, from: "192.0.2.1:1", header: map[string]string{"X-Forwarded-For": "203.0.113.7"}, body: track}.do(
			middleware.Standard(keys, nil)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, inlet.ClientIP(r).String()) })))
		require.Equal(t, "192.0.2.1", w.Body.String(), "no proxy is trusted")
	})
	t.Run("a panic is answered and logged", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		h := middleware.Standard(keys, &middleware.StandardOptions{Logger: logTo(&log)})(panicking("broken"))
		w := event.do(h)
		require.Equal(t, 500, w.Code)
		require.Contains(t, log.String(), "handler panicked")
		require.Contains(t, log.String(), `"requestId":"`+w.Header().Get("X-Request-Id"))
	})
	t.Run("the access log", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		h, _ := standard(t, keys, middleware.StandardOptions{Prefix: "/t", Logger: logTo(&log)})
		call{path: "/t/v1/track", body: track}.do(h)
		require.Equal(t, "/t/v1/track", record(t, &log)["path"])
		require.Equal(t, "missing_key", record(t, &log)["code"])
	})
	t.Run("no access log", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		h, _ := standard(t, keys, middleware.StandardOptions{NoAccessLog: true, Logger: logTo(&log)})
		require.Equal(t, 200, event.do(h).Code)
		require.Empty(t, log.String())
	})
	t.Run("migrations, the first one first", func(t *testing.T) {
		t.Parallel()
		var ran []string
		first, second := note{"first", &ran}, note{"second", &ran}
		h, _ := standard(t, keys, middleware.StandardOptions{Migrations: []inlet.Migration{first, second, inlet.CommandersActV1()}})
		require.Equal(t, 200, event.do(h).Code)
		require.Equal(t, []string{"first", "second"}, ran)
	})
	t.Run("limits of the protocol", func(t *testing.T) {
		t.Parallel()
		protocol := &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytes: 64}}
		h, _ := standard(t, keys, middleware.StandardOptions{Protocol: protocol})
		require.Equal(t, 400, event.do(h).Code)
	})
	t.Run("dialects of the protocol", func(t *testing.T) {
		t.Parallel()
		open := call{method: http.MethodGet, path: "/v1/projects/" + writeKey + "/settings"}
		for want, dialects := range map[int][]inlet.Dialect{200: nil, 401: {inlet.CommandersAct()}} {
			protocol := &inlet.Protocol{Dialects: dialects}
			h := middleware.Standard(keys, &middleware.StandardOptions{Protocol: protocol, Logger: quiet})(echo)
			require.Equal(t, want, open.do(h).Code, "a route of another dialect is not open")
		}
	})
	t.Run("an id that a layer outside has given", func(t *testing.T) {
		t.Parallel()
		h, _ := standard(t, keys, middleware.StandardOptions{})
		h = middleware.RequestID(&middleware.RequestIDOptions{TrustIncoming: true})(h)
		c := event
		c.header = map[string]string{"X-Request-Id": "mine"}
		require.Equal(t, "mine", c.do(h).Header().Get("X-Request-Id"))
	})
}

// The observer is notified of each request once, also if a layer answers it.
func TestStandardObserver(t *testing.T) {
	t.Parallel()
	o := new(seen)
	api, err := inlet.New(new(testsink.Keeper), &inlet.Options{Observer: o, Logger: quiet})
	require.NoError(t, err)
	layers := middleware.Standard(keys, &middleware.StandardOptions{Prefix: "/t", Observer: o, Logger: quiet})
	event := call{path: "/t/v1/track", body: track, key: writeKey}
	for _, tt := range []struct {
		c       call
		handler http.Handler
		want    inlet.Outcome
	}{
		{event, api, inlet.Outcome{Status: 200}},
		{call{path: event.path, body: track}, api, inlet.Outcome{Status: 401, Code: inlet.CodeMissingKey}},
		{call{path: "/other", body: track}, api, inlet.Outcome{Status: 404, Code: inlet.CodeNotFound}},
		{preflight("content-type"), api, inlet.Outcome{Status: 204}},
		{event, panicking("broken"), inlet.Outcome{Status: 500, Code: inlet.CodeInternal}},
	} {
		o.outcomes = nil
		tt.c.do(layers(tt.handler))
		require.Len(t, o.outcomes, 1)
		require.Equal(t, tt.want, inlet.Outcome{Status: o.outcomes[0].Status, Code: o.outcomes[0].Code})
	}
}

// Layers without a protocol share that of the handler, with its budget. One of their own counts
// alone.
func TestStandardBudget(t *testing.T) {
	t.Parallel()
	event := `{"type":"track","userId":"u","event":"E","properties":{"a":"` + strings.Repeat("a", 30_000) + `"}}`
	c := call{path: "/v1/import", key: writeKey, body: `{"batch":[` + event + strings.Repeat(","+event, 129) + `]}`}
	small := func() *inlet.Protocol {
		return &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytesInFlight: 16 << 20}}
	}
	shared := small()
	for _, tt := range []struct {
		name            string
		layers, handler *inlet.Protocol
		fit             bool // five requests of 4 MB
	}{
		{"defaults", nil, nil, true},
		{"of the layers", small(), nil, false},
		{"of the handler", nil, small(), false},
		{"of the layers, and another of the handler", &inlet.Protocol{}, small(), true},
		{"of both", shared, shared, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				stored := make(chan struct{})
				api, err := inlet.New(inlet.SinkFunc(func(context.Context, []*inlet.Event) error {
					<-stored
					return nil
				}), &inlet.Options{Protocol: tt.handler, Logger: quiet})
				require.NoError(t, err)
				h := middleware.Standard(keys, &middleware.StandardOptions{Protocol: tt.layers, Logger: quiet})(api)
				statuses := make(chan int, 5)
				for range cap(statuses) {
					go func() { statuses <- c.do(h).Code }()
					synctest.Wait()
				}
				left := cap(statuses)
				if tt.fit {
					require.Empty(t, statuses)
				} else {
					require.Equal(t, 503, <-statuses)
					left--
				}
				close(stored)
				for range left { // on a busy machine, some still wait for their turn
					<-statuses
				}
			})
		})
	}
}

// note is a migration that only notes that it ran.
type note struct {
	name string
	ran  *[]string
}

func (n note) Applies(*http.Request) bool { return true }

func (n note) Migrate(dst, src []byte, _ inlet.MigrateOptions) ([]byte, inlet.MigrationReport, error) {
	*n.ran = append(*n.ran, n.name)
	return append(dst, src...), inlet.MigrationReport{Events: 1}, nil
}

func TestStandardPrefix(t *testing.T) {
	t.Parallel()
	type mounting = func(http.Handler) http.Handler
	direct := func(h http.Handler) http.Handler { return h }
	strip := func(h http.Handler) http.Handler { return http.StripPrefix("/t", h) }
	for _, tt := range []struct {
		prefix string
		mount  mounting
		path   string
		want   int
	}{
		{"", direct, "/v1/track", 200},
		{"/", direct, "/v1/track", 200},
		{"/t", direct, "/t/v1/track", 200},
		{"/t/", direct, "/t/v1/track", 200},
		{"/t", direct, "/t//v1/track/", 200},
		{"/a/b", direct, "/a/b/v1/track", 200},
		{"/t", strip, "/t/v1/track", 200},
		{"/t", strip, "/t/v1/track?a=b", 200},
		{"/t", direct, "/v1/track", 404},
		{"/t", direct, "/tt/v1/track", 404},
		{"/t", direct, "/t/t/v1/track", 404},
		{"/t", direct, "/t", 404},
		{"/t", direct, "/other?x=/t/v1/track", 404},
	} {
		t.Run(tt.prefix+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			h, _ := standard(t, keys, middleware.StandardOptions{Prefix: tt.prefix})
			w := call{path: tt.path, body: track, key: writeKey, header: map[string]string{"Origin": shop}}.do(tt.mount(h))
			require.Equal(t, tt.want, w.Code)
			if tt.want == 404 {
				require.Equal(t, inlet.CodeNotFound, code(t, w))
			}
			require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"), "pages can read the answer")
		})
	}
	t.Run("another prefix than that of the mux", func(t *testing.T) {
		t.Parallel()
		for pattern, want := range map[string]int{
			"/analytics/": 1, "POST /analytics/": 1, "/tt/": 1, "/": 0, "POST /": 0, "/t/": 0, "example.com/t/": 0, "/{tenant}/v1/track": 1,
		} {
			var log bytes.Buffer
			h, _ := standard(t, keys, middleware.StandardOptions{Prefix: "/t", NoAccessLog: true, Logger: logTo(&log)})
			mux := http.NewServeMux()
			mux.Handle(pattern, h)
			for range 2 {
				for _, path := range []string{"/analytics/v1/track", "/tt/v1/track", "/t/v1/track"} {
					call{path: path, body: track, key: writeKey}.do(mux)
				}
			}
			require.Equal(t, want, strings.Count(log.String(), "prefix is not the path"), pattern)
		}
	})
	t.Run("SDKs get the whole address", func(t *testing.T) {
		t.Parallel()
		h, _ := standard(t, keys, middleware.StandardOptions{Prefix: "/t"})
		w := call{method: http.MethodGet, path: "/t/v1/projects/" + writeKey + "/settings"}.do(h)
		require.Contains(t, w.Body.String(), `"example.com/t/v1"`)
	})
}

func TestStandardOrigins(t *testing.T) {
	t.Parallel()
	function := func(r *http.Request, origin string) bool {
		return origin == "https://"+r.URL.Query().Get("tenant")+".example"
	}
	for _, tt := range []struct {
		name    string
		options middleware.StandardOptions
		query   string
		origin  string
		want    string
	}{
		{"every origin", middleware.StandardOptions{}, "", "https://any.example", "*"},
		{"a listed one", middleware.StandardOptions{Origins: []string{shop}}, "", shop, shop},
		{"one that is not listed", middleware.StandardOptions{Origins: []string{shop}}, "", "https://any.example", ""},
		{"a subdomain", middleware.StandardOptions{Origins: []string{"https://*.shop.example"}}, "", "https://www.shop.example", "https://www.shop.example"},
		{"not the domain itself", middleware.StandardOptions{Origins: []string{"https://*.shop.example"}}, "", shop, ""},
		{"not another domain", middleware.StandardOptions{Origins: []string{"https://*.shop.example"}}, "", "https://evilshop.example", ""},
		{"by a function", middleware.StandardOptions{AllowOrigin: function}, "?tenant=blue", "https://blue.example", "https://blue.example"},
		{"not by a function", middleware.StandardOptions{AllowOrigin: function}, "?tenant=blue", "https://red.example", ""},
		{"listed or by a function", middleware.StandardOptions{Origins: []string{shop}, AllowOrigin: function}, "", shop, shop},
		{"null, which no function is asked about", middleware.StandardOptions{
			AllowOrigin: func(*http.Request, string) bool { return true },
		}, "", "null", ""},
		{"of a source", middleware.StandardOptions{SourceOrigins: true}, "", shop, shop},
		{"of no source", middleware.StandardOptions{SourceOrigins: true}, "", "https://any.example", ""},
		{"of a disabled source", middleware.StandardOptions{SourceOrigins: true}, "", "https://old.example", ""},
		{"of a source or by a function", middleware.StandardOptions{SourceOrigins: true, AllowOrigin: function}, "?tenant=blue", "https://blue.example", "https://blue.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sources := inlet.MustKeys(map[string]inlet.Source{
				writeKey: {ID: "web"}, boundKey: {ID: "shop", Origins: []string{shop}},
				disabledKey: {ID: "old", Origins: []string{"https://old.example"}, Disabled: true},
			})
			h, _ := standard(t, sources, tt.options)
			p := preflight("content-type")
			p.path, p.header["Origin"] = "/v1/track"+tt.query, tt.origin
			for _, c := range []call{p, {path: p.path, body: track, key: writeKey, header: map[string]string{"Origin": tt.origin}}} {
				header := c.do(h).Header()
				require.Equal(t, tt.want, header.Get("Access-Control-Allow-Origin"))
				require.Equal(t, tt.want != "" && tt.want != "*", header.Get("Access-Control-Allow-Credentials") == "true")
				require.Contains(t, strings.Join(header["Vary"], ","), "Origin")
			}
		})
	}
	t.Run("a host's authenticator", func(t *testing.T) {
		t.Parallel()
		h, _ := standard(t, tenants{}, middleware.StandardOptions{SourceOrigins: true})
		w := call{body: track, key: writeKey, header: map[string]string{"Origin": "https://tenant.example"}}.do(h)
		require.Equal(t, "https://tenant.example", w.Header().Get("Access-Control-Allow-Origin"))
	})
}

// tenants is a host's authenticator.
type tenants struct{}

func (tenants) Authenticate(context.Context, inlet.Credentials) (*inlet.Source, error) {
	return &inlet.Source{ID: "tenant"}, nil
}

func (tenants) AllowsOrigin(_ context.Context, origin string) bool {
	return origin == "https://tenant.example"
}

func TestStandardLimits(t *testing.T) {
	t.Parallel()
	const slow = 1e-6 // events per second
	event := func(key, from string) call { return call{body: track, key: key, from: from + ":1"} }
	t.Run("by IP", func(t *testing.T) {
		t.Parallel()
		h, _ := standard(t, keys, middleware.StandardOptions{PerIP: middleware.Rate{Events: slow, Burst: 2}})
		c := event(writeKey, "192.0.2.1")
		c.key, c.header = "unknown", map[string]string{"Origin": shop}
		require.Equal(t, []int{401, 401, 429}, []int{c.do(h).Code, c.do(h).Code, c.do(h).Code}, "before the key is looked up")
		require.Equal(t, "*", c.do(h).Header().Get("Access-Control-Allow-Origin"), "pages can read the refusal")
		require.Equal(t, 200, event(writeKey, "192.0.2.2").do(h).Code)
	})
	t.Run("by the IP that a proxy tells", func(t *testing.T) {
		t.Parallel()
		h, _ := standard(t, keys, middleware.StandardOptions{
			PerIP: middleware.Rate{Events: slow, Burst: 1}, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, ProxyHeader: "X-Real-Ip",
		})
		for n := range 3 {
			c := event("unknown", "192.0.2.1")
			c.header = map[string]string{"X-Real-Ip": fmt.Sprintf("203.0.113.%d", n)}
			require.Equal(t, 401, c.do(h).Code)
		}
		c := event("unknown", "198.51.100.1")
		c.header = map[string]string{"X-Real-Ip": "203.0.113.77"}
		require.Equal(t, 401, c.do(h).Code)
		require.Equal(t, 429, c.do(h).Code, "a client that is no proxy is counted by its own address")
	})
	t.Run("by the IP that a layer outside has set", func(t *testing.T) {
		t.Parallel()
		h, _ := standard(t, keys, middleware.StandardOptions{PerIP: middleware.Rate{Events: slow, Burst: 1}})
		outside := func(address string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(w, inlet.WithClientIP(r, ip(address)))
			})
		}
		require.Equal(t, 401, event("unknown", "192.0.2.1").do(outside("203.0.113.1")).Code)
		require.Equal(t, 401, event("unknown", "192.0.2.1").do(outside("203.0.113.2")).Code)
		require.Equal(t, 429, event("unknown", "192.0.2.1").do(outside("203.0.113.2")).Code)
	})
	t.Run("by source", func(t *testing.T) {
		t.Parallel()
		h, _ := standard(t, keys, middleware.StandardOptions{PerSource: middleware.Rate{Events: 1, Burst: 2}})
		require.Equal(t, 2, passed(h, event(writeKey, "192.0.2.1"), 3))
	})
	t.Run("by requests, whatever they contain", func(t *testing.T) {
		t.Parallel()
		h, sink := standard(t, keys, middleware.StandardOptions{PerSource: middleware.Rate{Requests: slow, Burst: 2}})
		batch := call{path: "/v1/batch", key: writeKey, body: `{"batch":[` + strings.TrimSuffix(strings.Repeat(
			`{"type":"track","userId":"u","event":"E"},`, 20), ",") + `]}`}
		require.Equal(t, 2, passed(h, batch, 3))
		require.Len(t, sink.Events(), 40)
	})
	t.Run("by the events of a batch", func(t *testing.T) {
		t.Parallel()
		h, sink := standard(t, keys, middleware.StandardOptions{PerSource: middleware.Rate{Events: 1, Burst: 1000}})
		batch := call{path: "/v1/batch", key: writeKey, body: `{"batch":[` + strings.TrimSuffix(strings.Repeat(
			`{"type":"track","userId":"u","event":"E"},`, 10), ",") + `]}`}
		require.Equal(t, 1, passed(h, batch, 3))
		require.Len(t, sink.Events(), 10)
	})
	t.Run("by the rates of a source alone", func(t *testing.T) {
		t.Parallel()
		sources := inlet.MustKeys(map[string]inlet.Source{"slow": {ID: "slow", Rate: slow, Burst: 1}, "free": {ID: "free"}, "events": {ID: "e", EventRate: 0.1}})
		h, _ := standard(t, sources, middleware.StandardOptions{})
		require.Equal(t, 1, passed(h, event("slow", "192.0.2.1"), 3))
		require.Equal(t, 9, passed(h, event("free", "192.0.2.1"), 9))
		require.Equal(t, 1, passed(h, event("events", "192.0.2.1"), 3))
	})
	t.Run("bursts", func(t *testing.T) {
		t.Parallel()
		for rate, want := range map[middleware.Rate]int{
			{}: 100, {Requests: 3}: 3, {Requests: 2.5}: 3, {Requests: 0.1}: 1, {Requests: 3, Burst: 7}: 7,
			{Events: 4}: 4, {Events: 50, Requests: 3}: 3,
		} {
			synctest.Test(t, func(t *testing.T) {
				for _, o := range []middleware.StandardOptions{{PerIP: rate}, {PerSource: rate}} {
					h, _ := standard(t, keys, o)
					require.Equal(t, want, passed(h, event(writeKey, "192.0.2.1"), 100), "%+v", o)
				}
			})
		}
	})
	t.Run("one table for several handlers", func(t *testing.T) {
		t.Parallel()
		layers := middleware.Standard(keys, &middleware.StandardOptions{PerSource: middleware.Rate{Events: slow, Burst: 1}, Logger: quiet})
		a, b := layers(newHandler(t, new(testsink.Keeper))), layers(newHandler(t, new(testsink.Keeper)))
		require.Equal(t, 200, event(writeKey, "192.0.2.1").do(a).Code)
		require.Equal(t, 429, event(writeKey, "192.0.2.1").do(b).Code)
	})
}

// All that Standard and its layers have to say goes to the one logger.
func TestStandardLogger(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	o := &middleware.StandardOptions{Logger: logTo(&log), NoAccessLog: true}
	bad := inlet.AuthenticatorFunc(func(context.Context, inlet.Credentials) (*inlet.Source, error) {
		return &inlet.Source{ID: "bad", Origins: []string{"shop.example"}}, nil
	})
	h := middleware.CORS(nil)(middleware.Standard(bad, o)(newHandler(t, new(testsink.Keeper))))
	require.Equal(t, 403, call{body: track, key: writeKey, header: map[string]string{"Origin": shop}}.do(h).Code)
	var messages []string
	for line := range strings.Lines(log.String()) {
		var record struct{ Msg string }
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		messages = append(messages, record.Msg)
	}
	require.Equal(t, []string{
		"middleware: layer passed twice",
		"inlet: source bound to an origin that no page can have; correct its Origins",
	}, messages)
}
