package middleware_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

const (
	cookieName = "__Host-anonymous-id"
	goodID     = "0123456789abcdef0123456789abcdef"
)

// visit makes a request with headers to Identity, and returns what the handler sees and which
// cookies the response sets.
func visit(o *middleware.IdentityOptions, method string, headers map[string]string) (v inlet.Visitor, ip string, cookies []*http.Cookie) {
	r := httptest.NewRequest(method, "/v1/track", nil)
	r.RemoteAddr = "203.0.113.77:1"
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	middleware.Identity(o)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		v, ip = inlet.VisitorFromContext(r.Context()), inlet.ClientIP(r).String()
	})).ServeHTTP(w, r)
	return v, ip, w.Result().Cookies()
}

var withCookie = &middleware.IdentityOptions{Cookie: new(middleware.IdentityCookie)}

func TestIdentityCookie(t *testing.T) {
	t.Parallel()
	const page = "https://shop.example"
	for _, tt := range []struct {
		name    string
		options *middleware.IdentityOptions
		method  string
		headers map[string]string
		id      string // "new" if the response sets one
	}{
		{"off by default", nil, "POST", map[string]string{"Origin": page, "Cookie": cookieName + "=" + goodID}, ""},
		{"set for a page", withCookie, "POST", map[string]string{"Origin": page}, "new"},
		{"set for an image of a page", withCookie, "GET", map[string]string{"Sec-Fetch-Site": "same-site"}, "new"},
		{"not set for a program", withCookie, "POST", nil, ""},
		{"not set for a preflight", withCookie, "OPTIONS", map[string]string{"Origin": page}, ""},
		{"used when it comes back", withCookie, "POST", map[string]string{"Origin": page, "Cookie": "a=b; " + cookieName + "=" + goodID}, goodID},
		{"used from a program that kept it", withCookie, "POST", map[string]string{"Cookie": cookieName + "=" + goodID}, goodID},
		{"replaced if too short", withCookie, "POST", map[string]string{"Origin": page, "Cookie": cookieName + "=" + goodID[1:]}, "new"},
		{"replaced if too long", withCookie, "POST", map[string]string{"Origin": page, "Cookie": cookieName + "=" + goodID + "0"}, "new"},
		{"replaced if it has other digits", withCookie, "POST", map[string]string{"Origin": page, "Cookie": cookieName + "=" + strings.ToUpper(goodID)}, "new"},
		{"replaced if it is markup", withCookie, "POST", map[string]string{"Origin": page, "Cookie": cookieName + "=<script>alert(1)</script>012345"}, "new"},
		{"not from a cookie with another name", withCookie, "POST", map[string]string{"Origin": page, "Cookie": "anonymous-id=" + goodID}, "new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, _, cookies := visit(tt.options, tt.method, tt.headers)
			require.False(t, v.OptedOut)
			if tt.id != "new" {
				require.Equal(t, tt.id, v.AnonymousID)
				require.Empty(t, cookies)
				return
			}
			require.Regexp(t, regexp.MustCompile(`^[0-9a-f]{32}$`), v.AnonymousID)
			require.NotEqual(t, goodID, v.AnonymousID)
			require.Len(t, cookies, 1)
			require.Equal(t, cookieName+"="+v.AnonymousID+"; Path=/; Max-Age=31536000; HttpOnly; Secure; SameSite=Lax", cookies[0].Raw)
			again, _, _ := visit(tt.options, tt.method, tt.headers)
			require.NotEqual(t, v.AnonymousID, again.AnonymousID)
		})
	}
}

func TestIdentityOptions(t *testing.T) {
	t.Parallel()
	o := &middleware.IdentityOptions{Cookie: &middleware.IdentityCookie{Name: "__Host-id", MaxAge: time.Hour, SameSite: http.SameSiteNoneMode}}
	v, _, cookies := visit(o, "POST", map[string]string{"Origin": "https://shop.example"})
	require.Equal(t, "__Host-id="+v.AnonymousID+"; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=None", cookies[0].Raw)
}

func TestIdentityOptOut(t *testing.T) {
	t.Parallel()
	sent := map[string]string{"Origin": "https://shop.example", "Cookie": cookieName + "=" + goodID, "User-Agent": "Mozilla/5.0"}
	with := func(name, value string) map[string]string {
		headers := map[string]string{name: value}
		for name, value := range sent {
			headers[name] = value
		}
		return headers
	}
	custom := &middleware.IdentityOptions{Cookie: new(middleware.IdentityCookie), OptOut: map[string]string{"x-consent": "none"}}
	never := &middleware.IdentityOptions{Cookie: new(middleware.IdentityCookie), OptOut: map[string]string{}}
	for _, tt := range []struct {
		name    string
		options *middleware.IdentityOptions
		headers map[string]string
		out     bool
	}{
		{"Global Privacy Control", withCookie, with("Sec-GPC", "1"), true},
		{"another value of it", withCookie, with("Sec-GPC", "0"), false},
		{"no header", withCookie, sent, false},
		{"a header that the host chose", custom, with("X-Consent", " none "), true},
		{"then not Global Privacy Control", custom, with("Sec-GPC", "1"), false},
		{"turned off by the host", never, with("Sec-GPC", "1"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, ip, cookies := visit(tt.options, "POST", tt.headers)
			require.Equal(t, tt.out, v.OptedOut)
			require.Equal(t, "Mozilla/5.0", v.UserAgent)
			if !tt.out {
				require.Equal(t, goodID, v.AnonymousID)
				require.Equal(t, "203.0.113.77", ip)
				return
			}
			require.Empty(t, v.AnonymousID)
			require.Equal(t, "203.0.113.0", ip)
			require.Len(t, cookies, 1)
			require.Equal(t, cookieName+"=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax", cookies[0].Raw)
		})
	}
	_, _, cookies := visit(withCookie, "POST", map[string]string{"Origin": "https://shop.example", "Sec-GPC": "1"})
	require.Empty(t, cookies, "nothing to delete")
}

// A cache that visitors share never gets a cookie of one of them.
func TestIdentityCaches(t *testing.T) {
	t.Parallel()
	ingest, err := inlet.New(new(testsink.Keeper), &inlet.Options{Logger: quiet, PublicURL: "https://shop.example/in"})
	require.NoError(t, err)
	saying := func(status int, headers ...string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Add(headers[i], headers[i+1])
			}
			if status != 0 {
				w.WriteHeader(status)
			}
		})
	}
	for _, tt := range []struct {
		name    string
		h       http.Handler
		path    string
		cookie  bool
		control string
	}{
		{"settings", ingest, "/v1/projects/K/settings", true, "no-store"},
		{"the configuration of a source", ingest, "/sourceConfig", true, "no-store"},
		{"a pixel", ingest, "/v1/pixel/track?data=e30", true, "no-store"},
		{"no route", ingest, "/nothing", true, "no-store"},
		{"another method", ingest, "/v1/track", true, "no-store"},
		{"a handler that says nothing", saying(200), "/", true, "no-store"},
		{"a handler that does nothing", saying(0), "/", true, "no-store"},
		{"a body without a status", echo, "/", true, "no-store"},
		{"only for the visitor", saying(200, "Cache-Control", "max-age=60, Private"), "/", true, "max-age=60, Private"},
		{"for no cache", saying(200, "Cache-Control", "no-cache", "Cache-Control", "no-store"), "/", true, "no-cache"},
		{"for everybody", saying(200, "Cache-Control", "public, max-age=60"), "/", false, "public, max-age=60"},
		{"for those who ask", saying(0, "Cache-Control", "no-cache"), "/", false, "no-cache"},
		{"for the caches of the host", saying(200, "CDN-Cache-Control", "max-age=60"), "/", false, ""},
		{"for those, although for no other", saying(200, "Cache-Control", "no-store", "Surrogate-Control", "max-age=60"), "/", false, "no-store"},
		{"news of what a cache has", saying(304, "ETag", `"a"`), "/", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, method := range []string{"GET", "HEAD"} {
				for _, headers := range []map[string]string{
					{"Sec-Fetch-Site": "same-site"},
					{"Origin": "https://shop.example", "Cookie": cookieName + "=x"},
					{"Sec-GPC": "1", "Cookie": cookieName + "=" + goodID},
				} {
					w := call{method: method, path: tt.path, header: headers}.do(middleware.Identity(withCookie)(tt.h))
					header := w.Result().Header
					require.Equal(t, tt.cookie, header.Get("Set-Cookie") != "")
					require.Equal(t, tt.control, header.Get("Cache-Control"))
				}
			}
		})
	}
	t.Run("an answer without a cookie is not changed", func(t *testing.T) {
		t.Parallel()
		c := call{method: "GET", path: "/v1/projects/K/settings", header: map[string]string{"Sec-Fetch-Site": "none", "Cookie": cookieName + "=" + goodID}}
		require.Empty(t, c.do(middleware.Identity(withCookie)(ingest)).Header()["Cache-Control"])
	})
	t.Run("an answer to POST needs no instruction", func(t *testing.T) {
		t.Parallel()
		c := call{path: "/v1/track", header: map[string]string{"Sec-Fetch-Site": "same-site"}}
		header := c.do(middleware.Identity(withCookie)(ingest)).Header()
		require.NotEmpty(t, header["Set-Cookie"])
		require.Empty(t, header["Cache-Control"])
	})
	t.Run("a stream can be flushed", func(t *testing.T) {
		t.Parallel()
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			require.NoError(t, http.NewResponseController(w).Flush())
		})
		w := call{method: "GET", header: map[string]string{"Sec-Fetch-Site": "none"}}.do(middleware.Identity(withCookie)(h))
		require.True(t, w.Flushed)
		require.NotEmpty(t, w.Result().Header.Get("Set-Cookie"))
	})
}

// What is stored and logged of a visitor, with all layers.
func TestIdentityEndToEnd(t *testing.T) {
	t.Parallel()
	addresses, err := enrichers.IP(&enrichers.IPOptions{Browsers: enrichers.IPRule{Fill: enrichers.IPFillAlways}})
	require.NoError(t, err)
	agent, err := enrichers.UserAgent(nil)
	require.NoError(t, err)
	for _, tt := range []struct {
		name            string
		out             string
		status          int
		context, logged string
	}{
		{"a visitor who did not opt out", "", 200, `{"ip":"198.51.100.7","userAgent":"Mozilla/5.0"}`, "clientIP=198.51.100.7"},
		{"a visitor who opted out", "1", 400, ``, "clientIP=198.51.100.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			events, log := new(testsink.Keeper), new(bytes.Buffer)
			h, err := inlet.New(events, &inlet.Options{
				Logger: quiet, FillAnonymousID: true,
				Enrichers: []inlet.Enricher{addresses, agent},
			})
			require.NoError(t, err)
			chain := middleware.Chain(
				middleware.AccessLog(&middleware.AccessLogOptions{Logger: slog.New(slog.NewTextHandler(log, nil))}),
				middleware.ClientIP(&middleware.ClientIPOptions{Trusted: proxies}),
				middleware.CORS(&middleware.CORSOptions{Origins: []string{"https://shop.example"}}),
				middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, Key: middleware.ByIP}),
				middleware.Identity(withCookie),
				middleware.Payload(nil),
				middleware.Auth(keys, nil),
			)(h)
			w := call{
				body: `{"event":"E","messageId":"m","writeKey":"` + boundKey + `"}`, from: "10.0.0.1:1",
				header: map[string]string{
					"Origin": "https://shop.example", "User-Agent": "Mozilla/5.0", "X-Forwarded-For": "198.51.100.7", "Sec-GPC": tt.out,
				},
			}.do(chain)
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			require.Contains(t, log.String(), tt.logged+" ")
			if tt.status != 200 {
				require.Equal(t, inlet.CodeNoUserAnonID, code(t, w))
				return
			}
			e := events.Events()[0]
			require.Equal(t, tt.context, string(e.Context))
			require.Equal(t, w.Result().Cookies()[0].Value, e.AnonymousID)
		})
	}
}
