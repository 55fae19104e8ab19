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
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// Sources: one that is bound to an origin, and one that is not.
var (
	pageSource   = &inlet.Source{ID: "page", Origins: []string{"https://shop.example"}}
	serverSource = &inlet.Source{ID: "server"}
)

// enriched returns the event that a handler stores for a body. The source, the visitor and the
// address are what layers in front of the handler have set.
func enriched(t testing.TB, source *inlet.Source, visitor inlet.Visitor, ip, body string, enrichers ...inlet.Enricher) *inlet.Event {
	t.Helper()
	stored := new(testsink.Keeper)
	h, err := inlet.New(stored, &inlet.Options{Enrichers: enrichers})
	require.NoError(t, err)
	r := inlet.WithSource(httptest.NewRequest("POST", "/v1/track", strings.NewReader(body)), source)
	if ip != "" {
		r = inlet.WithClientIP(r, netip.MustParseAddr(ip))
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, inlet.WithVisitor(r, visitor))
	require.Equal(t, 200, w.Code, "%s", w.Body)
	require.Len(t, stored.Events(), 1)
	return stored.Events()[0]
}

// trackWith returns a body with a context.
func trackWith(context string) string {
	return `{"userId":"u","event":"E","messageId":"m","context":` + context + `}`
}

func TestUserAgent(t *testing.T) {
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
		{"is left where the client sent one", pageSource, nil, agent, `{"userAgent":"x"}`, `{"userAgent":"x"}`},
		{"is not filled in for a server", serverSource, nil, agent, `{"a":1}`, `{"a":1}`},
		{"is filled in for a listed source", serverSource, &enrichers.UserAgentOptions{Sources: []string{"server"}}, agent, `{}`, `{"userAgent":` + quoted + `}`},
		{"is not filled in for an unlisted source", pageSource, &enrichers.UserAgentOptions{Sources: []string{"server"}}, agent, `{}`, `{}`},
		{"stays absent without a visitor", pageSource, nil, "", `{}`, `{}`},
		{"is at most 1,024 bytes", pageSource, nil, strings.Repeat("a", 5000), `{}`, `{"userAgent":"` + strings.Repeat("a", 1024) + `"}`},
		{"is valid UTF-8", pageSource, nil, "a\xff", `{}`, `{"userAgent":"a` + "\uFFFD" + `"}`},
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

func TestBots(t *testing.T) {
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
			mark, err := enrichers.Bots(nil)
			require.NoError(t, err)
			e := enriched(t, serverSource, inlet.Visitor{UserAgent: tt.agent}, "", trackWith(`{"bot":"no"}`), mark)
			require.Equal(t, map[bool]string{true: `{"bot":true}`, false: `{"bot":"no"}`}[tt.bot], string(e.Context))
			sent, _ := json.Marshal(map[string]string{"userAgent": tt.agent})
			e = enriched(t, serverSource, inlet.Visitor{}, "", trackWith(string(sent)), mark)
			require.Equal(t, tt.bot, strings.Contains(string(e.Context), `"bot":true`))
		})
	}
	t.Run("words of the host", func(t *testing.T) {
		t.Parallel()
		mark, err := enrichers.Bots(&enrichers.BotsOptions{Words: []string{"UptimeCheck"}, Except: []string{}})
		require.NoError(t, err)
		for agent, want := range map[string]string{"uptimecheck/1": `{"bot":true}`, "Googlebot": `{}`} {
			e := enriched(t, serverSource, inlet.Visitor{UserAgent: agent}, "", trackWith(`{}`), mark)
			require.Equal(t, want, string(e.Context))
		}
	})
	t.Run("empty words", func(t *testing.T) {
		t.Parallel()
		_, err := enrichers.Bots(&enrichers.BotsOptions{Words: []string{"a", ""}})
		require.EqualError(t, err, "enrichers: BotsOptions: Words has an empty word at index 1")
		_, err = enrichers.Bots(&enrichers.BotsOptions{Words: []string{""}, Except: []string{""}})
		require.ErrorContains(t, err, "Words")
		require.ErrorContains(t, err, "Except", "the error names all faults")
	})
}

func TestOptOut(t *testing.T) {
	t.Parallel()
	redact, err := enrichers.Redact("userId", "traits.email")
	require.NoError(t, err)
	for _, out := range []bool{false, true} {
		e := enriched(t, pageSource, inlet.Visitor{OptedOut: out}, "", trackWith(`{}`), enrichers.OptOut(redact))
		require.Equal(t, out, e.UserID == "")
	}
}
