package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

const shop = "https://shop.example"

// unreachable is a layer that panics.
func unreachable(http.Handler) http.Handler { return panicking("the preflight was passed on") }

// The headers are those that browser SDKs ask for, as Chromium sends them. No layer inside sees
// the preflight.
func TestCORSPreflight(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string]string{
		"nothing":                "",
		"key":                    "authorization",
		"key and retry":          "authorization,x-retry-count",
		"content type":           "content-type",
		"anonymous id":           "anonymousid,authorization,content-type,sentat",
		"anonymous id and retry": "anonymousid,authorization,content-type,rsa-recovered,rsa-retry-attempt,rsa-since-last-attempt,sentat",
		"write key":              "content-type,x-write-key",
		"write key and policy":   "content-type,x-enable-debug,x-ip-policy,x-write-key",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := middleware.Chain(middleware.CORS(nil), unreachable)(nil)
			w := preflight(headers).do(h)
			require.Equal(t, http.StatusNoContent, w.Code)
			require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
			require.Equal(t, "POST", w.Header().Get("Access-Control-Allow-Methods"))
			require.Equal(t, headers, w.Header().Get("Access-Control-Allow-Headers"))
			require.Equal(t, "7200", w.Header().Get("Access-Control-Max-Age"))
			require.Empty(t, w.Header().Get("Access-Control-Allow-Credentials"))
			require.Zero(t, w.Body.Len())
		})
	}
}

// A page of the internet may ask for a server in a private network, if the host allows it.
func TestCORSPrivateNetwork(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options *middleware.CORSOptions
		asked   string
		want    string
	}{
		{"not by default", nil, "true", ""},
		{"every origin, if allowed", &middleware.CORSOptions{PrivateNetwork: true}, "true", "true"},
		{"a listed origin, if allowed", &middleware.CORSOptions{Origins: []string{shop}, PrivateNetwork: true}, "true", "true"},
		{"no other origin", &middleware.CORSOptions{Origins: []string{"https://other.example"}, PrivateNetwork: true}, "true", ""},
		{"only if asked", &middleware.CORSOptions{PrivateNetwork: true}, "", ""},
		{"only if asked for it", &middleware.CORSOptions{PrivateNetwork: true}, "false", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := preflight("content-type")
			if tt.asked != "" {
				c.header["Access-Control-Request-Private-Network"] = tt.asked
			}
			w := c.do(middleware.Chain(middleware.CORS(tt.options), unreachable)(nil))
			require.Equal(t, http.StatusNoContent, w.Code)
			require.Equal(t, tt.want, w.Header().Get("Access-Control-Allow-Private-Network"))
		})
	}
}

// preflight returns a preflight that asks for headers.
func preflight(headers string) call {
	c := call{method: http.MethodOptions, header: map[string]string{"Origin": shop, "Access-Control-Request-Method": "POST"}}
	if headers != "" {
		c.header["Access-Control-Request-Headers"] = headers
	}
	return c
}

func TestCORSOrigins(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options *middleware.CORSOptions
		origin  string
		allowed string // Access-Control-Allow-Origin
		creds   bool
	}{
		{"every origin by default, without credentials", nil, shop, "*", false},
		{"every origin, as an option", &middleware.CORSOptions{Origins: []string{"*"}}, shop, "*", false},
		{"a listed origin, with credentials", &middleware.CORSOptions{Origins: []string{shop}}, shop, shop, true},
		{"a listed origin in another case", &middleware.CORSOptions{Origins: []string{"HTTPS://Shop.Example/"}}, shop, shop, true},
		{"an origin that is not listed", &middleware.CORSOptions{Origins: []string{shop}}, "https://evil.example", "", false},
		{"an origin that begins like a listed one", &middleware.CORSOptions{Origins: []string{shop}}, shop + ".evil.example", "", false},
		{"an origin with another port", &middleware.CORSOptions{Origins: []string{shop}}, shop + ":8443", "", false},
		{"an origin with another scheme", &middleware.CORSOptions{Origins: []string{shop}}, "http://shop.example", "", false},
		{"null, with a list", &middleware.CORSOptions{Origins: []string{shop}}, "null", "", false},
		{"an app's own scheme", &middleware.CORSOptions{Origins: []string{"capacitor://localhost"}}, "capacitor://localhost", "capacitor://localhost", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := middleware.CORS(tt.options)(status(200))
			for _, method := range []string{http.MethodOptions, http.MethodPost} {
				w := call{method: method, header: map[string]string{"Origin": tt.origin, "Access-Control-Request-Method": "POST"}}.do(h)
				require.Equal(t, tt.allowed, w.Header().Get("Access-Control-Allow-Origin"), method)
				require.Equal(t, tt.creds, w.Header().Get("Access-Control-Allow-Credentials") == "true", method)
				require.Contains(t, w.Header().Get("Vary"), "Origin", method)
			}
		})
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	t.Run("a negative age turns caching off", func(t *testing.T) {
		t.Parallel()
		w := preflight("").do(middleware.CORS(&middleware.CORSOptions{MaxAge: -time.Second})(nil))
		require.Equal(t, "0", w.Header().Get("Access-Control-Max-Age"))
	})
	t.Run("a method that is not listed", func(t *testing.T) {
		t.Parallel()
		c := preflight("")
		c.header["Access-Control-Request-Method"] = "PUT"
		require.Empty(t, c.do(middleware.CORS(nil)(nil)).Header().Get("Access-Control-Allow-Origin"))
		w := c.do(middleware.CORS(&middleware.CORSOptions{Methods: []string{"PUT"}})(nil))
		require.Equal(t, "PUT", w.Header().Get("Access-Control-Allow-Methods"))
	})
	t.Run("a preflight that asks for more than 4 KiB is refused", func(t *testing.T) {
		t.Parallel()
		w := preflight(strings.Repeat("a", 4097)).do(middleware.CORS(nil)(nil))
		require.Equal(t, inlet.CodeInvalidRequest, code(t, w))
		require.Empty(t, w.Header().Get("Access-Control-Allow-Headers"))
	})
	t.Run("a request with two origins is refused", func(t *testing.T) {
		t.Parallel()
		r := call{body: track}.request()
		r.Header["Origin"] = []string{shop, "https://evil.example"}
		w := httptest.NewRecorder()
		middleware.CORS(&middleware.CORSOptions{Origins: []string{shop}})(status(200)).ServeHTTP(w, r)
		require.Equal(t, 400, w.Code)
		require.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
	})
	t.Run("OPTIONS that is not a preflight is passed on", func(t *testing.T) {
		t.Parallel()
		w := call{method: "OPTIONS"}.do(middleware.CORS(nil)(status(418)))
		require.Equal(t, 418, w.Code)
	})
}

// A page can read every answer, above all when to retry.
func TestCORSAnswers(t *testing.T) {
	t.Parallel()
	down := testsink.Failing(errors.New("down"))
	panics := &testsink.Keeper{Respond: func(context.Context, []*inlet.Event) error { panic("sink") }}
	for _, tt := range []struct {
		name   string
		sink   inlet.Sink
		limit  float64
		call   call
		status int
	}{
		{"200", new(testsink.Keeper), 1e6, call{body: track, key: writeKey}, 200},
		{"400", new(testsink.Keeper), 1e6, call{body: "{", key: writeKey}, 400},
		{"401", new(testsink.Keeper), 1e6, call{body: track}, 401},
		{"403", new(testsink.Keeper), 1e6, call{body: track, key: disabledKey}, 403},
		{"404", new(testsink.Keeper), 1e6, call{path: "/nowhere", body: track, key: writeKey}, 404},
		{"405", new(testsink.Keeper), 1e6, call{method: "GET", key: writeKey}, 405},
		{"415", new(testsink.Keeper), 1e6, call{body: track, key: writeKey, header: map[string]string{"Content-Encoding": "br"}}, 415},
		{"429", new(testsink.Keeper), 1e-6, call{body: track, key: writeKey}, 429},
		{"503", down, 1e6, call{body: track, key: writeKey}, 503},
		{"503 of a sink that panics", panics, 1e6, call{body: track, key: writeKey}, 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := middleware.Chain(
				middleware.Recover(nil), middleware.CORS(nil),
				middleware.RateLimit(&middleware.RateLimitOptions{Rate: tt.limit, Key: middleware.ByIP}),
				middleware.Payload(nil), middleware.Auth(keys, nil),
			)(newHandler(t, tt.sink))
			if tt.status == 429 {
				tt.call.do(h)
			}
			c := tt.call
			c.header = map[string]string{"Origin": shop, "Content-Encoding": tt.call.header["Content-Encoding"]}
			w := c.do(h)
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
			require.Equal(t, "Retry-After, X-Ratelimit-Reset, Ratelimit, Ratelimit-Policy, X-Inlet-Error, X-Request-Id",
				w.Header().Get("Access-Control-Expose-Headers"))
		})
	}
	t.Run("500 of a handler that panics", func(t *testing.T) {
		t.Parallel()
		h := middleware.Chain(middleware.Recover(&middleware.RecoverOptions{Logger: quiet}), middleware.CORS(nil))(panicking("x"))
		w := call{header: map[string]string{"Origin": shop}}.do(h)
		require.Equal(t, 500, w.Code)
		require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
	})
}
