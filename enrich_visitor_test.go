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
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// Sources of the tests of enrichers.
var (
	pageSource   = &inlet.Source{ID: "page", Origins: []string{"https://shop.example"}}
	serverSource = &inlet.Source{ID: "server"}
)

// enriched has a handler take in a body, with what layers before know of the
// request, and returns the event that it stores.
func enriched(t testing.TB, source *inlet.Source, visitor inlet.Visitor, ip, body string, enrichers ...inlet.Enricher) *inlet.Event {
	t.Helper()
	memory := new(sinks.Memory)
	h, err := inlet.New(memory, &inlet.Options{Enrichers: enrichers})
	require.NoError(t, err)
	r := inlet.WithSource(httptest.NewRequest("POST", "/v1/track", strings.NewReader(body)), source)
	if ip != "" {
		r = inlet.WithClientIP(r, netip.MustParseAddr(ip))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, inlet.WithVisitor(r, visitor))
	require.Equal(t, 200, w.Code, "%s", w.Body)
	require.Len(t, memory.Events(), 1)
	return memory.Events()[0]
}

// trackWith returns a body with a context.
func trackWith(context string) string {
	return `{"userId":"u","event":"E","messageId":"m","context":` + context + `}`
}

func TestIPPolicy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ ip, truncated string }{
		{"203.0.113.77", "203.0.113.0"},
		{"::ffff:203.0.113.77", "203.0.113.0"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1::"},
		{"fe80::1%eth0", "fe80::"},
		{"0.0.0.0", "0.0.0.0"},
	} {
		ip := netip.MustParseAddr(tt.ip)
		require.Equal(t, ip.Unmap(), inlet.IPKeep.Apply(ip))
		require.Equal(t, tt.truncated, inlet.IPTruncate.Apply(ip).String())
		require.False(t, inlet.IPDrop.Apply(ip).IsValid())
	}
	for _, p := range []inlet.IPPolicy{inlet.IPKeep, inlet.IPTruncate, inlet.IPDrop, inlet.IPPolicy(9)} {
		require.False(t, p.Apply(netip.Addr{}).IsValid())
	}
	require.False(t, inlet.IPPolicy(9).Apply(netip.MustParseAddr("203.0.113.77")).IsValid())
}

func TestContextIP(t *testing.T) {
	t.Parallel()
	const seen = "198.51.100.9"
	for _, tt := range []struct {
		name          string
		rule          inlet.IPRule
		ip            string // of the request
		context, want string
	}{
		{"is left as it was sent", inlet.IPRule{}, seen, `{"ip": "x"}`, `{"ip": "x"}`},
		{"is not filled in by default", inlet.IPRule{}, seen, `{}`, `{}`},
		{"is truncated", inlet.IPRule{Policy: inlet.IPTruncate}, seen, `{"ip":"203.0.113.77","a":1}`, `{"ip":"203.0.113.0","a":1}`},
		{"is truncated in IPv6", inlet.IPRule{Policy: inlet.IPTruncate}, seen, `{"ip":"2001:DB8:1:2::3"}`, `{"ip":"2001:db8:1::"}`},
		{"is taken out if it is no address", inlet.IPRule{Policy: inlet.IPTruncate}, seen, `{"ip":"203.0.113.77, 10.0.0.1","a":1}`, `{"a":1}`},
		{"is taken out if it is no string", inlet.IPRule{Policy: inlet.IPTruncate}, seen, `{"ip":{"v4":1},"a":1}`, `{"a":1}`},
		{"is dropped", inlet.IPRule{Policy: inlet.IPDrop}, seen, `{"ip":"203.0.113.77","device":{"ip":"203.0.113.77","id":7}}`, `{"device":{"id":7}}`},
		{"is truncated in the device, too", inlet.IPRule{Policy: inlet.IPTruncate}, seen, `{"device":{"ip":"203.0.113.77"}}`, `{"device":{"ip":"203.0.113.0"}}`},
		{"is filled in where it is absent", inlet.IPRule{Fill: inlet.IPFillAbsent}, seen, `{"a":1}`, `{"a":1,"ip":"198.51.100.9"}`},
		{"is filled in where it is null", inlet.IPRule{Fill: inlet.IPFillAbsent}, seen, `{"ip":null}`, `{"ip":"198.51.100.9"}`},
		{"is filled in where there is no context", inlet.IPRule{Fill: inlet.IPFillAbsent}, seen, `null`, `{"ip":"198.51.100.9"}`},
		{"is filled in truncated", inlet.IPRule{Fill: inlet.IPFillAbsent, Policy: inlet.IPTruncate}, seen, `{}`, `{"ip":"198.51.100.0"}`},
		{"is not filled in where it is there", inlet.IPRule{Fill: inlet.IPFillAbsent}, seen, `{"ip":"203.0.113.77"}`, `{"ip":"203.0.113.77"}`},
		{"is overwritten", inlet.IPRule{Fill: inlet.IPFillAlways}, seen, `{"ip":"203.0.113.77"}`, `{"ip":"198.51.100.9"}`},
		{"is overwritten and dropped", inlet.IPRule{Fill: inlet.IPFillAlways, Policy: inlet.IPDrop}, seen, `{"ip":"203.0.113.77"}`, `{}`},
		{"is taken out where the true one is not known", inlet.IPRule{Fill: inlet.IPFillAlways}, "", `{"ip":"203.0.113.77"}`, `{}`},
		{"is left absent where none is known", inlet.IPRule{Fill: inlet.IPFillAbsent}, "", `{}`, `{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, o := range []struct {
				source  *inlet.Source
				options inlet.ContextIPOptions
			}{
				{pageSource, inlet.ContextIPOptions{Browsers: tt.rule, Servers: inlet.IPRule{Policy: inlet.IPDrop}}},
				{serverSource, inlet.ContextIPOptions{Servers: tt.rule, Browsers: inlet.IPRule{Policy: inlet.IPDrop}}},
				{serverSource, inlet.ContextIPOptions{Servers: inlet.IPRule{Policy: inlet.IPDrop}, Sources: map[string]inlet.IPRule{"server": tt.rule}}},
			} {
				enrich, err := inlet.ContextIP(&o.options)
				require.NoError(t, err)
				e := enriched(t, o.source, inlet.Visitor{}, tt.ip, trackWith(tt.context), enrich)
				require.Equal(t, tt.want, string(e.Context))
			}
		})
	}
}

func TestContextIPOfAnOptOut(t *testing.T) {
	t.Parallel()
	enrich, err := inlet.ContextIP(&inlet.ContextIPOptions{Browsers: inlet.IPRule{Fill: inlet.IPFillAlways}})
	require.NoError(t, err)
	e := enriched(t, pageSource, inlet.Visitor{OptedOut: true}, "198.51.100.9", trackWith(`{"ip":"203.0.113.77","a":1}`), enrich)
	require.Equal(t, `{"a":1}`, string(e.Context))
}

// The host's own events come from no client, whoever is calling the host.
func TestContextIPOfIngest(t *testing.T) {
	t.Parallel()
	enrich, err := inlet.ContextIP(&inlet.ContextIPOptions{Servers: inlet.IPRule{Fill: inlet.IPFillAlways, Policy: inlet.IPTruncate}})
	require.NoError(t, err)
	memory := new(sinks.Memory)
	h, err := inlet.New(memory, &inlet.Options{Enrichers: []inlet.Enricher{enrich}})
	require.NoError(t, err)
	ctx := inlet.WithClientIP(httptest.NewRequest("GET", "/", nil), netip.MustParseAddr("198.51.100.9")).Context()
	e := &inlet.Event{Type: inlet.TypeTrack, Name: "E", UserID: "u", Context: json.RawMessage(` {"ip":"203.0.113.77"}`)}
	require.NoError(t, h.Ingest(ctx, serverSource, e))
	require.Equal(t, `{"ip":"203.0.113.0"}`, string(memory.Events()[0].Context))
}

func TestContextIPOptionsAreChecked(t *testing.T) {
	t.Parallel()
	bad := inlet.IPRule{Policy: 9}
	for field, o := range map[string]inlet.ContextIPOptions{
		"Browsers": {Browsers: bad}, "Servers": {Servers: inlet.IPRule{Fill: 9}}, `Sources["a"]`: {Sources: map[string]inlet.IPRule{"a": bad}},
	} {
		_, err := inlet.ContextIP(&o)
		require.ErrorContains(t, err, field)
	}
	_, err := inlet.ContextIP(nil)
	require.NoError(t, err)
}

func TestContextUserAgent(t *testing.T) {
	t.Parallel()
	const agent = `Mozilla/5.0 ("quoted")`
	quoted := `"Mozilla/5.0 (\"quoted\")"`
	for _, tt := range []struct {
		name          string
		source        *inlet.Source
		options       *inlet.ContextUserAgentOptions
		agent         string
		context, want string
	}{
		{"is filled in for a page", pageSource, nil, agent, `{"a":1}`, `{"a":1,"userAgent":` + quoted + `}`},
		{"is left as it was sent", pageSource, nil, agent, `{"userAgent":"x"}`, `{"userAgent":"x"}`},
		{"is not that of another server", serverSource, nil, agent, `{"a":1}`, `{"a":1}`},
		{"is that of a source in the list", serverSource, &inlet.ContextUserAgentOptions{Sources: []string{"server"}}, agent, `{}`, `{"userAgent":` + quoted + `}`},
		{"is of no source that is not in the list", pageSource, &inlet.ContextUserAgentOptions{Sources: []string{"server"}}, agent, `{}`, `{}`},
		{"is not made up", pageSource, nil, "", `{}`, `{}`},
		{"is bounded", pageSource, nil, strings.Repeat("a", 5000), `{}`, `{"userAgent":"` + strings.Repeat("a", 1024) + `"}`},
		{"is valid text", pageSource, nil, "a\xff", `{}`, `{"userAgent":"a` + "\uFFFD" + `"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := enriched(t, tt.source, inlet.Visitor{UserAgent: tt.agent}, "", trackWith(tt.context), inlet.ContextUserAgent(tt.options))
			require.Equal(t, tt.want, string(e.Context))
		})
	}
}

func TestFlagBots(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		agent string
		bot   bool
	}{
		{"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", true},
		{"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36", true},
		{"SomeMonitor/1.0 (+https://monitor.example/about)", true},
		{"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36", false},
		{"Mozilla/5.0 (Linux; Android 10; CUBOT X30) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36", false},
		{"Mozilla/5.0 (Linux; Android 10; CUBOT X30; Googlebot/2.1)", true},
		{"", false},
	} {
		t.Run(tt.agent, func(t *testing.T) {
			t.Parallel()
			flag, err := inlet.FlagBots(nil)
			require.NoError(t, err)
			e := enriched(t, serverSource, inlet.Visitor{UserAgent: tt.agent}, "", trackWith(`{"bot":"no"}`), flag)
			require.Equal(t, map[bool]string{true: `{"bot":true}`, false: `{"bot":"no"}`}[tt.bot], string(e.Context))
			told, _ := json.Marshal(map[string]string{"userAgent": tt.agent})
			e = enriched(t, serverSource, inlet.Visitor{}, "", trackWith(string(told)), flag)
			require.Equal(t, tt.bot, strings.Contains(string(e.Context), `"bot":true`))
		})
	}
}

func TestFlagBotsByWords(t *testing.T) {
	t.Parallel()
	flag, err := inlet.FlagBots(&inlet.BotOptions{Words: []string{"UptimeCheck"}, Except: []string{}})
	require.NoError(t, err)
	for agent, want := range map[string]string{"uptimecheck/1": `{"bot":true}`, "Googlebot": `{}`} {
		e := enriched(t, serverSource, inlet.Visitor{UserAgent: agent}, "", trackWith(`{}`), flag)
		require.Equal(t, want, string(e.Context))
	}
	_, err = inlet.FlagBots(&inlet.BotOptions{Words: []string{"a", ""}})
	require.ErrorContains(t, err, "Words")
	_, err = inlet.FlagBots(&inlet.BotOptions{Except: []string{""}})
	require.ErrorContains(t, err, "Except")
}

func TestWhenOptedOut(t *testing.T) {
	t.Parallel()
	redact, err := inlet.RedactPaths("userId", "traits.email")
	require.NoError(t, err)
	for _, out := range []bool{false, true} {
		e := enriched(t, pageSource, inlet.Visitor{OptedOut: out}, "", trackWith(`{}`), inlet.WhenOptedOut(redact))
		require.Equal(t, out, e.UserID == "")
	}
}

func TestFillAnonymousID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, id, body string
		status         int
		want           []string // user id and anonymous id of each event
	}{
		{"an event that names nobody", "id", `{"event":"E"}`, 200, []string{"", "id"}},
		{"an event with a user", "id", `{"event":"E","userId":"u"}`, 200, []string{"u", ""}},
		{"an event with an id of its own", "id", `{"event":"E","anonymousId":"a"}`, 200, []string{"", "a"}},
		{"without an id there is none", "", `{"event":"E"}`, 400, nil},
		{"the events of a batch", "id", `{"batch":[{"type":"track","event":"E"},{"type":"track","event":"E","userId":"u"}]}`, 200, []string{"", "id", "u", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			memory := new(sinks.Memory)
			h, err := inlet.New(memory, &inlet.Options{AllowAnonymous: true, FillAnonymousID: true})
			require.NoError(t, err)
			path := "/v1/track"
			if strings.Contains(tt.body, "batch") {
				path = "/v1/batch"
			}
			r := inlet.WithVisitor(httptest.NewRequest("POST", path, strings.NewReader(tt.body)), inlet.Visitor{AnonymousID: tt.id})
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, tt.status, w.Code, "%s", w.Body)
			var got []string
			for _, e := range memory.Events() {
				got = append(got, e.UserID, e.AnonymousID)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestVisitorIsFoundWithoutAllocating(t *testing.T) {
	r := inlet.WithSource(httptest.NewRequest("GET", "/", nil), pageSource)
	ctx := inlet.WithVisitor(r, inlet.Visitor{UserAgent: "x"}).Context()
	require.Equal(t, "x", inlet.VisitorFromContext(ctx).UserAgent)
	require.Equal(t, pageSource, inlet.SourceFromContext(ctx))
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
		{"truncated", middleware.IPPolicy(&middleware.IPPolicyOptions{Policy: inlet.IPTruncate}), "clientIP=203.0.113.0"},
		{"dropped", middleware.IPPolicy(&middleware.IPPolicyOptions{Policy: inlet.IPDrop}), ""},
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
