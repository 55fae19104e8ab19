package middleware_test

import (
	"bytes"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/authcache"
	"github.com/inlet-go/inlet/enrichers"
	"github.com/inlet-go/inlet/middleware"
)

// Every constructor panics with an error that names each field at fault.
func TestOptions(t *testing.T) {
	t.Parallel()
	type layer = func(http.Handler) http.Handler
	network := netip.MustParsePrefix("10.0.0.0/8")
	clientIP := func(prefix netip.Prefix) func() layer {
		return func() layer {
			return middleware.ClientIP(&middleware.ClientIPOptions{Trusted: []netip.Prefix{network, prefix}})
		}
	}
	policy := func(o middleware.IPPolicyOptions) func() layer {
		return func() layer { return middleware.IPPolicy(&o) }
	}
	identity := func(o middleware.IdentityOptions) func() layer {
		return func() layer { return middleware.Identity(&o) }
	}
	cookie := func(c middleware.IdentityCookie) func() layer {
		return identity(middleware.IdentityOptions{Cookie: &c})
	}
	byNetwork := func(bits4, bits6 int) func() layer {
		return func() layer { middleware.ByNetwork(bits4, bits6); return nil }
	}
	limit := func(o middleware.RateLimitOptions) func() layer {
		return func() layer { return middleware.RateLimit(&o) }
	}
	cors := func(o middleware.CORSOptions) func() layer {
		return func() layer { return middleware.CORS(&o) }
	}
	standard := func(o middleware.StandardOptions) func() layer {
		return func() layer { return middleware.Standard(keys, &o) }
	}
	for _, tt := range []struct {
		name  string
		make  func() layer
		names string
	}{
		{"auth: no authenticator", func() layer { return middleware.Auth(nil, nil) }, "authenticator"},
		{"auth: a limit", func() layer {
			return middleware.Auth(keys, &inlet.AuthOptions{Protocol: &inlet.Protocol{Limits: inlet.Limits{Depth: -1}}})
		}, "Limits.Depth"},
		{"rate limit: no options", func() layer { return middleware.RateLimit(nil) }, "Rate"},
		{"rate limit: no rate", limit(middleware.RateLimitOptions{Key: middleware.ByIP}), "Rate"},
		{"rate limit: a rate that is not a number", limit(middleware.RateLimitOptions{Rate: math.NaN(), Key: middleware.ByIP}), "Rate"},
		{"rate limit: an infinite rate", limit(middleware.RateLimitOptions{Rate: math.Inf(1), Key: middleware.ByIP}), "Rate"},
		{"rate limit: a negative burst", limit(middleware.RateLimitOptions{Rate: 1, Burst: -1, Key: middleware.ByIP}), "Burst"},
		{"rate limit: no key", limit(middleware.RateLimitOptions{Rate: 1}), "Key"},
		{"rate limit: a negative table", limit(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP, MaxKeys: -1}), "MaxKeys"},
		{"rate limit: a quote in the policy", limit(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP, Policy: `a"b`}), "Policy"},
		{"rate limit: a negative rate of events", limit(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP, EventRate: -1}), "EventRate"},
		{"rate limit: a rate of bytes that is not a number", limit(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP, ByteRate: math.NaN()}), "ByteRate"},
		{"rate limit: a negative timeout", limit(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP, LimiterTimeout: -1}), "LimiterTimeout"},
		{"rate limit: an unknown failure", limit(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP, OnError: 7}), "OnError"},
		{"standard: no authenticator", func() layer { return middleware.Standard(nil, nil) }, "authenticator"},
		{"standard: a prefix without a slash", standard(middleware.StandardOptions{Prefix: "t"}), "Prefix"},
		{"standard: a pattern as the prefix", standard(middleware.StandardOptions{Prefix: "/t/{id}"}), "Prefix"},
		{"standard: a URL as the prefix", standard(middleware.StandardOptions{Prefix: "https://shop.example/t"}), "Prefix"},
		{"standard: an impossible origin", standard(middleware.StandardOptions{Origins: []string{"shop.example"}}), "Origins[0]"},
		{"standard: a function in addition to every origin", standard(middleware.StandardOptions{
			Origins: []string{"*"}, AllowOrigin: func(*http.Request, string) bool { return true },
		}), "AllowOrigin"},
		{"standard: sources in addition to every origin", standard(middleware.StandardOptions{Origins: []string{"*"}, SourceOrigins: true}), "SourceOrigins"},
		{"standard: sources of an authenticator that does not say", func() layer {
			return middleware.Standard(inlet.AuthenticatorFunc(keys.Authenticate), &middleware.StandardOptions{SourceOrigins: true})
		}, "AllowsOrigin"},
		{"standard: sources of an authenticator in a cache that does not say", func() layer {
			cache, err := authcache.New(inlet.AuthenticatorFunc(keys.Authenticate), nil)
			require.NoError(t, err)
			return middleware.Standard(cache, &middleware.StandardOptions{SourceOrigins: true})
		}, "AllowsOrigin, which inlet.AuthenticatorFunc has not"},
		{"standard: all proxies", standard(middleware.StandardOptions{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}), "TrustedProxies[0]"},
		{"standard: a negative rate", standard(middleware.StandardOptions{PerIP: middleware.Rate{Events: -1}}), "PerIP.Events"},
		{"standard: a negative rate of requests", standard(middleware.StandardOptions{PerSource: middleware.Rate{Requests: -1}}), "PerSource.Requests"},
		{"standard: a rate that is not a number", standard(middleware.StandardOptions{PerIP: middleware.Rate{Events: math.NaN()}}), "PerIP.Events"},
		{"standard: a burst without a rate", standard(middleware.StandardOptions{PerSource: middleware.Rate{Burst: 1}}), "PerSource.Burst"},
		{"standard: a negative burst", standard(middleware.StandardOptions{PerSource: middleware.Rate{Events: 1, Burst: -1}}), "PerSource.Burst"},
		{"standard: no migration", standard(middleware.StandardOptions{Migrations: []inlet.Migration{nil}}), "Migrations[0]"},
		{"standard: a limit", standard(middleware.StandardOptions{Protocol: &inlet.Protocol{Limits: inlet.Limits{Depth: -1}}}), "Limits.Depth"},
		{"payload: negative requests in flight", func() layer {
			return middleware.Payload(&middleware.PayloadOptions{MaxInFlight: -1})
		}, "MaxInFlight"},
		{"payload: a negative size", func() layer {
			return middleware.Payload(&middleware.PayloadOptions{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytes: -1}}})
		}, "MaxBytes"},
		{"cors: the origin null", cors(middleware.CORSOptions{Origins: []string{"null"}}), "Origins"},
		{"cors: an origin without a scheme", cors(middleware.CORSOptions{Origins: []string{"shop.example"}}), "Origins"},
		{"cors: an origin with a path", cors(middleware.CORSOptions{Origins: []string{"https://shop.example/cart"}}), "Origins"},
		{"cors: an origin with a wildcard in the middle", cors(middleware.CORSOptions{Origins: []string{"https://shop.*.example"}}), "Origins"},
		{"cors: every host of a scheme", cors(middleware.CORSOptions{Origins: []string{"https://*"}}), "Origins"},
		{"cors: a function in addition to every origin", cors(middleware.CORSOptions{
			Origins: []string{"*"}, Allow: func(*http.Request, string) bool { return true },
		}), "Allow"},
		{"cors: every origin and one more", cors(middleware.CORSOptions{Origins: []string{"https://shop.example", "*"}}), "Origins"},
		{"cors: a fraction of a second", cors(middleware.CORSOptions{MaxAge: time.Millisecond}), "MaxAge"},
		{"client IP: not a network", clientIP(netip.Prefix{}), "Trusted[1]"},
		{"client IP: all of IPv4", clientIP(netip.MustParsePrefix("0.0.0.0/0")), "Trusted[1]"},
		{"client IP: all of IPv6", clientIP(netip.MustParsePrefix("::/0")), "Trusted[1]"},
		{"client IP: all of IPv4 as IPv6", clientIP(netip.MustParsePrefix("::ffff:0.0.0.0/96")), "Trusted[1]"},
		{"client IP: more than IPv4", clientIP(netip.PrefixFrom(netip.MustParseAddr("::ffff:0.0.0.0"), 90)), "Trusted[1]"},
		{"IP policy: an unknown policy", policy(middleware.IPPolicyOptions{Policy: 9}), "Policy"},
		{"IP policy: an unknown policy of a source", policy(middleware.IPPolicyOptions{
			Sources: map[string]enrichers.IPPolicy{"a": 9},
		}), `Sources["a"]`},
		{"identity: a cookie of a domain", cookie(middleware.IdentityCookie{Name: "id"}), "Cookie.Name"},
		{"identity: not a name of a cookie", cookie(middleware.IdentityCookie{Name: "__Host-a b"}), `"__Host-a b"`},
		{"identity: a fraction of a second", cookie(middleware.IdentityCookie{MaxAge: time.Millisecond}), "Cookie.MaxAge"},
		{"identity: an unknown SameSite", cookie(middleware.IdentityCookie{SameSite: 9}), "Cookie.SameSite"},
		{"identity: an opt-out without a value", identity(middleware.IdentityOptions{
			OptOut: map[string]string{"Sec-GPC": ""},
		}), "OptOut"},
		{"migrate: no migration", func() layer { return middleware.Migrate(nil, nil) }, "migration"},
		{"migrate: a shadow without a report", func() layer {
			return middleware.Migrate(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Shadow: true})
		}, "Shadow"},
		{"by network: more bits than IPv4 has", byNetwork(33, 64), "bits4"},
		{"by network: no bits", byNetwork(24, 0), "bits6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, panicOf(func() { tt.make() }), tt.names)
		})
	}
	for _, tt := range []struct {
		name string
		make func() layer
		want string
	}{
		{"all faults: rate limit", limit(middleware.RateLimitOptions{MaxKeys: -1}), "middleware: RateLimitOptions: " +
			"Rate is 0, must be above 0 and at most 1e+09\nKey is nil\nMaxKeys is -1, must be at least 1"},
		{"all faults: cors", cors(middleware.CORSOptions{Origins: []string{"a", "*"}, MaxAge: 1}), "middleware: CORSOptions: " +
			`Origins[0] is "a", must be "https://host" or "https://host:port"` + "\n" +
			`Origins[1] is "*", must be the only one` + "\nMaxAge is 1ns, must be whole seconds"},
		{"all faults: client IP", func() layer {
			return middleware.ClientIP(&middleware.ClientIPOptions{Trusted: []netip.Prefix{{}, netip.MustParsePrefix("::/0")}})
		}, "middleware: ClientIPOptions: Trusted[0] is invalid Prefix, must be a network\n" +
			"Trusted[1] is ::/0, must not contain all addresses"},
		{"all faults: identity", cookie(middleware.IdentityCookie{Name: "a", MaxAge: 1, SameSite: 9}), "middleware: IdentityOptions: " +
			`Cookie.Name is "a", must be the name of a cookie that begins with "__Host-"` + "\n" +
			"Cookie.MaxAge is 1ns, must be at least 1s and whole seconds\nCookie.SameSite is 9, must be Lax, Strict or None"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.EqualError(t, panicOf(func() { tt.make() }), tt.want)
		})
	}
}

// What a caller does with its options after construction changes nothing.
func TestOptionsAreCopied(t *testing.T) {
	t.Parallel()
	seen := func(layer func(http.Handler) http.Handler, c call, source string) (ip string, v inlet.Visitor, w *httptest.ResponseRecorder) {
		w = httptest.NewRecorder()
		layer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ip, v = inlet.ClientIP(r).String(), inlet.VisitorFromContext(r.Context())
		})).ServeHTTP(w, inlet.WithSource(c.request(), &inlet.Source{ID: source}))
		return ip, v, w
	}
	t.Run("policies of sources", func(t *testing.T) {
		t.Parallel()
		sources := map[string]enrichers.IPPolicy{"web": enrichers.IPTruncate}
		layer := middleware.IPPolicy(&middleware.IPPolicyOptions{Sources: sources})
		sources["web"], sources["app"] = enrichers.IPKeep, enrichers.IPDrop
		ip, _, _ := seen(layer, call{from: "203.0.113.7:1"}, "web")
		require.Equal(t, "203.0.113.0", ip)
		ip, _, _ = seen(layer, call{from: "203.0.113.7:1"}, "app")
		require.Equal(t, "203.0.113.7", ip)
	})
	t.Run("rules of sources", func(t *testing.T) {
		t.Parallel()
		sources := map[string]enrichers.IPRule{"web": {Policy: enrichers.IPTruncate}}
		enrich, err := enrichers.IP(&enrichers.IPOptions{Sources: sources})
		require.NoError(t, err)
		clear(sources)
		e := &inlet.Event{Source: &inlet.Source{ID: "web"}, Context: []byte(`{"ip":"203.0.113.7"}`)}
		enrich(t.Context(), e)
		require.Equal(t, `{"ip":"203.0.113.0"}`, string(e.Context))
	})
	t.Run("opting out", func(t *testing.T) {
		t.Parallel()
		o := &middleware.IdentityOptions{Cookie: new(middleware.IdentityCookie), OptOut: map[string]string{"X-A": "1"}}
		layer := middleware.Identity(o)
		o.OptOut["X-A"], o.OptOut["X-B"], o.Cookie.Name = "2", "1", "__Host-other"
		_, v, _ := seen(layer, call{header: map[string]string{"X-A": "1"}}, "")
		require.True(t, v.OptedOut)
		_, v, w := seen(layer, call{header: map[string]string{"X-B": "1", "Origin": "https://a.example"}}, "")
		require.False(t, v.OptedOut)
		require.Equal(t, cookieName, w.Result().Cookies()[0].Name)
	})
	t.Run("networks", func(t *testing.T) {
		t.Parallel()
		trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		layer := middleware.ClientIP(&middleware.ClientIPOptions{Trusted: trusted})
		trusted[0] = netip.MustParsePrefix("192.0.2.0/24")
		ip, _, _ := seen(layer, call{from: "192.0.2.1:1", header: map[string]string{"X-Forwarded-For": "203.0.113.7"}}, "")
		require.Equal(t, "192.0.2.1", ip)
	})
	t.Run("origins", func(t *testing.T) {
		t.Parallel()
		origins := []string{"https://a.example"}
		layer := middleware.CORS(&middleware.CORSOptions{Origins: origins})
		origins[0] = "https://b.example"
		for origin, want := range map[string]string{"https://a.example": "https://a.example", "https://b.example": ""} {
			_, _, w := seen(layer, call{header: map[string]string{"Origin": origin}}, "")
			require.Equal(t, want, w.Header().Get("Access-Control-Allow-Origin"))
		}
	})
	t.Run("layers", func(t *testing.T) {
		t.Parallel()
		layers := []func(http.Handler) http.Handler{func(http.Handler) http.Handler { return status(418) }}
		chain := middleware.Chain(layers...)
		layers[0] = nil
		require.Equal(t, 418, call{}.do(chain(echo)).Code)
	})
}

// panicOf returns the error with which f panics.
func panicOf(f func()) (err error) {
	defer func() { err = recover().(error) }()
	f()
	return nil
}

// Not parallel: it changes the default logger.
func TestLoggerDefault(t *testing.T) {
	for name, layers := range map[string]func() func(http.Handler) http.Handler{
		"layers": func() func(http.Handler) http.Handler {
			return middleware.Chain(middleware.Recover(nil), middleware.AccessLog(nil))
		},
		"Standard": func() func(http.Handler) http.Handler { return middleware.Standard(keys, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			before := slog.Default()
			defer slog.SetDefault(before)
			var atConstruction, later bytes.Buffer
			slog.SetDefault(logTo(&atConstruction))
			h := layers()(panicking("x"))
			slog.SetDefault(logTo(&later))
			call{key: writeKey}.do(h)
			require.Equal(t, 2, strings.Count(atConstruction.String(), "\n"), "%s", &atConstruction)
			require.Empty(t, later.String())
		})
	}
}
