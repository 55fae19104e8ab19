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

func TestVisitorIsFoundWithoutAllocating(t *testing.T) {
	r := inlet.WithSource(httptest.NewRequest("GET", "/", nil), website)
	ctx := inlet.WithVisitor(r, inlet.Visitor{UserAgent: "x"}).Context()
	require.Equal(t, "x", inlet.VisitorFromContext(ctx).UserAgent)
	require.Equal(t, website, inlet.SourceFromContext(ctx))
	require.Zero(t, testing.AllocsPerRun(100, func() { inlet.VisitorFromContext(ctx) }))
	require.Zero(t, inlet.VisitorFromContext(context.Background()))
}

// observed keeps what an observer was told.
type observed struct{ text bytes.Buffer }

func (o *observed) ObserveRequest(_ context.Context, r *inlet.Outcome) {
	told, _ := json.Marshal(r)
	o.text.Write(told)
}

// RELIABILITY: keys in query strings and logs. Wherever a key stands, and whatever
// becomes of the request, it is in no log, record, error, event or answer.
func TestKeysInQueryStringsAndLogs(t *testing.T) {
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
				var said bytes.Buffer
				log := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
				observer, memory := new(observed), new(sinks.Memory)
				h, err := inlet.New(inlet.SinkFunc(func(ctx context.Context, events []*inlet.Event) error {
					if outcome.sink != nil {
						return outcome.sink
					}
					return memory.Write(ctx, events)
				}), &inlet.Options{Logger: log, Observer: observer})
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
					said.Write(e.AppendJSON(nil))
				}
				require.NotEmpty(t, said.String())
				said.Write(observer.text.Bytes())
				said.WriteString(w.Body.String())
				for name, values := range w.Header() {
					said.WriteString(name + strings.Join(values, " "))
				}
				said.WriteString(inlet.RedactURL(r.URL))
				for _, form := range []string{"sEcReT", base64.StdEncoding.EncodeToString([]byte(key))[:8], pixel(`{"writeKey":"` + key)[:24]} {
					require.NotContains(t, said.String(), form)
				}
			})
		}
	}
}

// RELIABILITY: personal data in logs. What a policy takes from the address, no log
// has either, also if its layer stands outside.
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
				var said bytes.Buffer
				log := slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
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
				require.Contains(t, said.String(), tt.want)
				require.Equal(t, tt.want == "", !strings.Contains(said.String(), "clientIP"))
				require.Equal(t, tt.name == "kept", strings.Contains(said.String(), "203.0.113.77"))
				require.NotContains(t, said.String(), "jane")
			}
		})
	}
}
