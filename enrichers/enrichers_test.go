package enrichers_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/enrichers"
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
		require.Equal(t, ip.Unmap(), enrichers.IPKeep.Apply(ip))
		require.Equal(t, tt.truncated, enrichers.IPTruncate.Apply(ip).String())
		require.False(t, enrichers.IPDrop.Apply(ip).IsValid())
	}
	for _, p := range []enrichers.IPPolicy{enrichers.IPKeep, enrichers.IPTruncate, enrichers.IPDrop, enrichers.IPPolicy(9)} {
		require.False(t, p.Apply(netip.Addr{}).IsValid())
	}
	require.False(t, enrichers.IPPolicy(9).Apply(netip.MustParseAddr("203.0.113.77")).IsValid())
}

func TestContextIP(t *testing.T) {
	t.Parallel()
	const seen = "198.51.100.9"
	for _, tt := range []struct {
		name          string
		rule          enrichers.IPRule
		ip            string // of the request
		context, want string
	}{
		{"is left as it was sent", enrichers.IPRule{}, seen, `{"ip": "x"}`, `{"ip": "x"}`},
		{"is not filled in by default", enrichers.IPRule{}, seen, `{}`, `{}`},
		{"is truncated", enrichers.IPRule{Policy: enrichers.IPTruncate}, seen, `{"ip":"203.0.113.77","a":1}`, `{"ip":"203.0.113.0","a":1}`},
		{"is truncated in IPv6", enrichers.IPRule{Policy: enrichers.IPTruncate}, seen, `{"ip":"2001:DB8:1:2::3"}`, `{"ip":"2001:db8:1::"}`},
		{"is taken out if it is no address", enrichers.IPRule{Policy: enrichers.IPTruncate}, seen, `{"ip":"203.0.113.77, 10.0.0.1","a":1}`, `{"a":1}`},
		{"is taken out if it is no string", enrichers.IPRule{Policy: enrichers.IPTruncate}, seen, `{"ip":{"v4":1},"a":1}`, `{"a":1}`},
		{"is dropped", enrichers.IPRule{Policy: enrichers.IPDrop}, seen, `{"ip":"203.0.113.77","device":{"ip":"203.0.113.77","id":7}}`, `{"device":{"id":7}}`},
		{"is truncated in the device, too", enrichers.IPRule{Policy: enrichers.IPTruncate}, seen, `{"device":{"ip":"203.0.113.77"}}`, `{"device":{"ip":"203.0.113.0"}}`},
		{"is filled in where it is absent", enrichers.IPRule{Fill: enrichers.IPFillAbsent}, seen, `{"a":1}`, `{"a":1,"ip":"198.51.100.9"}`},
		{"is filled in where it is null", enrichers.IPRule{Fill: enrichers.IPFillAbsent}, seen, `{"ip":null}`, `{"ip":"198.51.100.9"}`},
		{"is filled in where there is no context", enrichers.IPRule{Fill: enrichers.IPFillAbsent}, seen, `null`, `{"ip":"198.51.100.9"}`},
		{"is filled in truncated", enrichers.IPRule{Fill: enrichers.IPFillAbsent, Policy: enrichers.IPTruncate}, seen, `{}`, `{"ip":"198.51.100.0"}`},
		{"is not filled in where it is there", enrichers.IPRule{Fill: enrichers.IPFillAbsent}, seen, `{"ip":"203.0.113.77"}`, `{"ip":"203.0.113.77"}`},
		{"is overwritten", enrichers.IPRule{Fill: enrichers.IPFillAlways}, seen, `{"ip":"203.0.113.77"}`, `{"ip":"198.51.100.9"}`},
		{"is overwritten and dropped", enrichers.IPRule{Fill: enrichers.IPFillAlways, Policy: enrichers.IPDrop}, seen, `{"ip":"203.0.113.77"}`, `{}`},
		{"is taken out where the true one is not known", enrichers.IPRule{Fill: enrichers.IPFillAlways}, "", `{"ip":"203.0.113.77"}`, `{}`},
		{"is left absent where none is known", enrichers.IPRule{Fill: enrichers.IPFillAbsent}, "", `{}`, `{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, o := range []struct {
				source  *inlet.Source
				options enrichers.IPOptions
			}{
				{pageSource, enrichers.IPOptions{Browsers: tt.rule, Servers: enrichers.IPRule{Policy: enrichers.IPDrop}}},
				{serverSource, enrichers.IPOptions{Servers: tt.rule, Browsers: enrichers.IPRule{Policy: enrichers.IPDrop}}},
				{serverSource, enrichers.IPOptions{Servers: enrichers.IPRule{Policy: enrichers.IPDrop}, Sources: map[string]enrichers.IPRule{"server": tt.rule}}},
			} {
				enrich, err := enrichers.IP(&o.options)
				require.NoError(t, err)
				e := enriched(t, o.source, inlet.Visitor{}, tt.ip, trackWith(tt.context), enrich)
				require.Equal(t, tt.want, string(e.Context))
			}
		})
	}
}

func TestContextIPOfAnOptOut(t *testing.T) {
	t.Parallel()
	enrich, err := enrichers.IP(&enrichers.IPOptions{Browsers: enrichers.IPRule{Fill: enrichers.IPFillAlways}})
	require.NoError(t, err)
	e := enriched(t, pageSource, inlet.Visitor{OptedOut: true}, "198.51.100.9", trackWith(`{"ip":"203.0.113.77","a":1}`), enrich)
	require.Equal(t, `{"a":1}`, string(e.Context))
}

// The host's own events come from no client, whoever is calling the host.
func TestContextIPOfIngest(t *testing.T) {
	t.Parallel()
	enrich, err := enrichers.IP(&enrichers.IPOptions{Servers: enrichers.IPRule{Fill: enrichers.IPFillAlways, Policy: enrichers.IPTruncate}})
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
	bad := enrichers.IPRule{Policy: 9}
	for field, o := range map[string]enrichers.IPOptions{
		"Browsers": {Browsers: bad}, "Servers": {Servers: enrichers.IPRule{Fill: 9}}, `Sources["a"]`: {Sources: map[string]enrichers.IPRule{"a": bad}},
	} {
		_, err := enrichers.IP(&o)
		require.ErrorContains(t, err, field)
	}
	_, err := enrichers.IP(nil)
	require.NoError(t, err)
}

func TestContextUserAgent(t *testing.T) {
	t.Parallel()
	const agent = `Mozilla/5.0 ("quoted")`
	quoted := `"Mozilla/5.0 (\"quoted\")"`
	for _, tt := range []struct {
		name          string
		source        *inlet.Source
		options       *enrichers.UserAgentOptions
		agent         string
		context, want string
	}{
		{"is filled in for a page", pageSource, nil, agent, `{"a":1}`, `{"a":1,"userAgent":` + quoted + `}`},
		{"is left as it was sent", pageSource, nil, agent, `{"userAgent":"x"}`, `{"userAgent":"x"}`},
		{"is not that of another server", serverSource, nil, agent, `{"a":1}`, `{"a":1}`},
		{"is that of a source in the list", serverSource, &enrichers.UserAgentOptions{Sources: []string{"server"}}, agent, `{}`, `{"userAgent":` + quoted + `}`},
		{"is of no source that is not in the list", pageSource, &enrichers.UserAgentOptions{Sources: []string{"server"}}, agent, `{}`, `{}`},
		{"is not made up", pageSource, nil, "", `{}`, `{}`},
		{"is bounded", pageSource, nil, strings.Repeat("a", 5000), `{}`, `{"userAgent":"` + strings.Repeat("a", 1024) + `"}`},
		{"is valid text", pageSource, nil, "a\xff", `{}`, `{"userAgent":"a` + "\uFFFD" + `"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fill, err := enrichers.UserAgent(tt.options)
			require.NoError(t, err)
			e := enriched(t, tt.source, inlet.Visitor{UserAgent: tt.agent}, "", trackWith(tt.context), fill)
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
			flag, err := enrichers.Bots(nil)
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
	flag, err := enrichers.Bots(&enrichers.BotsOptions{Words: []string{"UptimeCheck"}, Except: []string{}})
	require.NoError(t, err)
	for agent, want := range map[string]string{"uptimecheck/1": `{"bot":true}`, "Googlebot": `{}`} {
		e := enriched(t, serverSource, inlet.Visitor{UserAgent: agent}, "", trackWith(`{}`), flag)
		require.Equal(t, want, string(e.Context))
	}
	_, err = enrichers.Bots(&enrichers.BotsOptions{Words: []string{"a", ""}})
	require.ErrorContains(t, err, "Words")
	_, err = enrichers.Bots(&enrichers.BotsOptions{Except: []string{""}})
	require.ErrorContains(t, err, "Except")
}

func TestWhenOptedOut(t *testing.T) {
	t.Parallel()
	redact, err := enrichers.Redact("userId", "traits.email")
	require.NoError(t, err)
	for _, out := range []bool{false, true} {
		e := enriched(t, pageSource, inlet.Visitor{OptedOut: out}, "", trackWith(`{}`), enrichers.OptOut(redact))
		require.Equal(t, out, e.UserID == "")
	}
}
