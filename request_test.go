package inlet_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
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
	"github.com/inlet-go/inlet/sinks"
)

func TestVisitorFromContext(t *testing.T) {
	r := inlet.WithSource(httptest.NewRequest("GET", "/", nil), website)
	ctx := inlet.WithVisitor(r, inlet.Visitor{UserAgent: "x"}).Context()
	require.Equal(t, "x", inlet.VisitorFromContext(ctx).UserAgent)
	require.Equal(t, website, inlet.SourceFromContext(ctx))
	require.Zero(t, testing.AllocsPerRun(100, func() { inlet.VisitorFromContext(ctx) }))
	require.Zero(t, inlet.VisitorFromContext(context.Background()))
}

// Unlike ClientIPOf it never returns the address of the connection.
func TestClientIPFromContext(t *testing.T) {
	t.Parallel()
	ip := netip.MustParseAddr("198.51.100.9")
	r := httptest.NewRequest("GET", "/", nil)
	for _, tt := range []struct {
		name string
		ctx  context.Context
		want netip.Addr
	}{
		{"no layer", r.Context(), netip.Addr{}},
		{"a layer that sets no address", inlet.WithSource(r, website).Context(), netip.Addr{}},
		{"a layer that sets one", inlet.WithClientIP(r, ip).Context(), ip},
		{"an address mapped into IPv6", inlet.WithClientIP(r, netip.MustParseAddr("::ffff:198.51.100.9")).Context(), ip},
		{"a layer that removes it", inlet.WithClientIP(inlet.WithClientIP(r, ip), netip.Addr{}).Context(), netip.Addr{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, inlet.ClientIPFromContext(tt.ctx))
		})
	}
}

// RELIABILITY: keys in query strings and logs. A key is in no log, record, error, event or answer,
// wherever the client sent it and whatever the outcome.
func TestKeysInLogs(t *testing.T) {
	t.Parallel()
	const key = "sEcReT+Key=="
	event := `"userId":"u","event":"E","messageId":"m"`
	pixel := func(json string) string { return base64.RawURLEncoding.EncodeToString([]byte(json)) }
	type place struct{ name, method, path, header, value, body string }
	places := []place{
		{"the header of its own", "POST", "/v1/track", "X-Write-Key", key, `{` + event + `}`},
		{"Basic credentials", "POST", "/v1/track", "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":")), `{` + event + `}`},
		{"a Bearer token", "POST", "/v1/track", "Authorization", "Bearer " + key, `{` + event + `}`},
		{"the query", "POST", "/v1/track?writeKey=sEcReT%2BKey%3D%3D", "", "", `{` + event + `}`},
		{"the query, unescaped", "POST", "/v1/track?writekey=" + key, "", "", `{` + event + `}`},
		{"the body", "POST", "/v1/track", "", "", `{"writeKey":"` + key + `",` + event + `}`},
		{"the root of a batch", "POST", "/v1/batch", "", "", `{"writeKey":"` + key + `","batch":[{"type":"track",` + event + `}]}`},
		{"the events of a batch", "POST", "/v1/batch", "", "", `{"batch":[{"type":"track","writeKey":"` + key + `",` + event + `}]}`},
		{"the data of a pixel", "GET", "/v1/pixel/track?data=" + pixel(`{"writeKey":"`+key+`",`+event+`}`), "", "", ""},
		{"the query of a pixel", "GET", "/v1/pixel/track?writeKey=sEcReT%2BKey%3D%3D&userId=u&event=E", "", "", ""},
	}
	for _, p := range places {
		for _, outcome := range []struct {
			name  string
			known bool
			sink  error
		}{{"stored", true, nil}, {"unknown", false, nil}, {"failed", true, errors.New("connection refused")}} {
			t.Run(p.name+", "+outcome.name, func(t *testing.T) {
				t.Parallel()
				keys := inlet.MustKeys(map[string]inlet.Source{"another": {ID: "other"}})
				if outcome.known {
					keys = inlet.MustKeys(map[string]inlet.Source{key: {ID: "web"}})
				}
				var logged bytes.Buffer
				log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
				observed, memory := new(observer), new(sinks.Memory)
				h, err := inlet.New(inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
					if outcome.sink != nil {
						return outcome.sink
					}
					return memory.Write(ctx, events)
				}), &inlet.Options{Logger: log, Observer: observed})
				require.NoError(t, err)
				cache, err := authcache.New(keys, &authcache.Options{Timeout: time.Minute, Logger: log})
				require.NoError(t, err)
				chain := middleware.Chain(
					middleware.Recover(&middleware.RecoverOptions{Logger: log}),
					middleware.AccessLog(&middleware.AccessLogOptions{Logger: log}),
					middleware.Auth(cache, nil),
				)(h)
				r := httptest.NewRequest(p.method, p.path, strings.NewReader(p.body))
				if p.header != "" {
					r.Header.Set(p.header, p.value)
				}
				w := httptest.NewRecorder()
				chain.ServeHTTP(w, r)
				if p.method == "POST" {
					require.Equal(t, map[string]int{"stored": 200, "unknown": 401, "failed": 503}[outcome.name], w.Code, "%s", w.Body)
				}
				require.Len(t, memory.Events(), map[string]int{"stored": 1}[outcome.name])
				for _, e := range memory.Events() {
					logged.Write(e.AppendJSON(nil))
				}
				require.NotEmpty(t, logged.String())
				records, err := json.Marshal(observed.records)
				require.NoError(t, err)
				logged.Write(records)
				logged.WriteString(w.Body.String())
				for name, values := range w.Header() {
					logged.WriteString(name + strings.Join(values, " "))
				}
				logged.WriteString(inlet.RedactURL(r.URL))
				for _, form := range []string{"sEcReT", base64.StdEncoding.EncodeToString([]byte(key))[:8], pixel(`{"writeKey":"` + key)[:24]} {
					require.NotContains(t, logged.String(), form)
				}
			})
		}
	}
}

// RELIABILITY: personal data in logs. What a policy removes from the address is in no log either,
// also if the layer that logs is further out.
func TestPersonalDataInLogs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		layer func(http.Handler) http.Handler
		want  string
	}{
		{"kept", nil, "clientIP=203.0.113.77"},
		{"truncated", middleware.IPPolicy(&middleware.IPPolicyOptions{Policy: enrichers.IPTruncate}), "clientIP=203.0.113.0"},
		{"dropped", middleware.IPPolicy(&middleware.IPPolicyOptions{Policy: enrichers.IPDrop}), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{200, 401} {
				var logged bytes.Buffer
				log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
				h, err := inlet.New(new(sinks.Memory), &inlet.Options{Logger: log})
				require.NoError(t, err)
				chain := middleware.Chain(
					middleware.AccessLog(&middleware.AccessLogOptions{Logger: log}),
					middleware.ClientIP(nil),
					tt.layer,
					middleware.Auth(inlet.MustKeys(map[string]inlet.Source{"known": {ID: "web"}}), nil),
				)(h)
				r := httptest.NewRequest("POST", "/v1/track?email=jane@example.com", strings.NewReader(`{"userId":"jane","event":"E","traits":{"email":"jane@example.com"}}`))
				r.RemoteAddr = "203.0.113.77:4711"
				r.Header.Set("X-Write-Key", map[int]string{200: "known", 401: "unknown"}[status])
				r.Header.Set("Cookie", "session=jane")
				w := httptest.NewRecorder()
				chain.ServeHTTP(w, r)
				require.Equal(t, status, w.Code)
				require.Contains(t, logged.String(), tt.want)
				require.Equal(t, tt.want == "", !strings.Contains(logged.String(), "clientIP"))
				require.Equal(t, tt.name == "kept", strings.Contains(logged.String(), "203.0.113.77"))
				require.NotContains(t, logged.String(), "jane")
			}
		})
	}
}
