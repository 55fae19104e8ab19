package interop

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSegmentBrowser(t *testing.T) {
	t.Parallel()

	modes := map[string]map[string]any{
		"one request for each event": {"strategy": "standard"},
		"batches":                    {"strategy": "batching", "config": map[string]any{"size": 10, "timeout": 200}},
	}
	for name, delivery := range modes {
		t.Run("every call from another origin arrives once and unchanged, in "+name, func(t *testing.T) {
			t.Parallel()
			b := requireBrowser(t)
			site := newSite(t)
			s := startServer(t, "-origins", site.URL)
			calls := append(everyCall(awkward(t, nil)), manyTracks(30)...)
			for i := range calls {
				calls[i].UserID = calls[0].UserID // the SDK knows one user at a time
			}
			site.config = sdkConfig{Settings: inlineSettings(s.URL, writeKey), Options: segmentOptions(delivery), Calls: calls}

			report := openPage[sdkResult](t, b, site.URL+"/sdk.html", len(calls))
			require.Empty(t, report.Result.Failed)
			events := requireExactlyOnce(t, calls, s.stop(t))
			for _, c := range calls {
				requireEqual(t, c, events[c.MessageID])
				if c.Type == "identify" || c.Type == "group" || c.Type == "track" {
					require.Equal(t, c.Content, events[c.MessageID][c.contentMember()])
				}
			}
		})
	}

	t.Run("the settings that the server answers are enough to boot", func(t *testing.T) {
		t.Parallel()
		b := requireBrowser(t)
		site := newSite(t)
		s := startServer(t, "-origins", site.URL)
		calls := manyTracks(2)
		calls[1].UserID = calls[0].UserID
		site.config = sdkConfig{Settings: map[string]any{"writeKey": writeKey, "cdnURL": s.URL}, Calls: calls}

		report := openPage[sdkResult](t, b, site.URL+"/sdk.html", len(calls))
		require.Empty(t, report.Result.Failed)
		requireExactlyOnce(t, calls, s.stop(t))
	})

	t.Run("a wrong key loses the event with an error that the page sees, and is not retried", func(t *testing.T) {
		t.Parallel()
		b := requireBrowser(t)
		site := newSite(t)
		s := startServer(t, "-origins", site.URL)
		site.config = sdkConfig{Settings: inlineSettings(s.URL, "wrong"), Calls: manyTracks(1)}

		report := openPage[sdkResult](t, b, site.URL+"/sdk.html", 0)
		require.Len(t, report.Result.Failed, 1)
		require.Contains(t, report.Result.Failed[0].Reason, "401")
		require.Equal(t, []int{http.StatusUnauthorized}, report.statuses(s.URL+"/v1/t"))
		require.Empty(t, s.stop(t))
	})
}

func TestScriptInAPage(t *testing.T) {
	t.Parallel()
	b := requireBrowser(t)
	site, stranger := newSite(t), newSite(t)
	s := startServer(t, "-origins", site.URL)
	event := `{"userId":"u","event":"E","messageId":"m-1"}`
	requests := []any{
		map[string]any{"url": s.URL + "/v1/track", "method": "POST", "body": event,
			"headers": map[string]string{"X-Write-Key": writeKey, "Content-Type": "application/json"}},
		map[string]any{"url": s.URL + "/v1/track", "method": "POST", "body": event,
			"headers": map[string]string{"X-Write-Key": "wrong"}},
		map[string]any{"url": s.URL + "/v1/track?writeKey=" + writeKey, "method": "POST", "body": "{"},
		map[string]any{"url": s.URL + "/nowhere", "method": "POST", "body": "{}"},
	}
	site.config, stranger.config = requests, requests[:1]

	t.Run("of an allowed origin reads the status and the code of every answer", func(t *testing.T) {
		answers := openPage[[]fetchAnswer](t, b, site.URL+"/fetch.html", 0).Result
		require.Len(t, answers, len(requests))
		require.Equal(t, http.StatusOK, answers[0].Status)
		require.JSONEq(t, `{"success":true}`, answers[0].Body)
		for i, status := range []int{http.StatusUnauthorized, http.StatusBadRequest, http.StatusNotFound} {
			answer := answers[i+1]
			require.Equal(t, status, answer.Status)
			body := decode[map[string]any](t, answer.Body)
			require.Equal(t, false, body["success"])
			for _, member := range []string{"code", "message", "error"} {
				require.NotEmpty(t, body[member], member)
			}
		}
	})

	t.Run("of another origin is refused by the browser", func(t *testing.T) {
		answers := openPage[[]fetchAnswer](t, b, stranger.URL+"/fetch.html", 0).Result
		require.Equal(t, []fetchAnswer{{Error: "TypeError"}}, answers)
	})

	require.Len(t, s.stop(t), 1, "only the good request of the allowed origin is stored")
}

// A fetchAnswer is what a script in a page could read of an answer.
type fetchAnswer struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
	Error  string `json:"error"`
}

// An sdkConfig is what testdata/page/sdk.js loads and does.
type sdkConfig struct {
	Settings map[string]any `json:"settings"`
	Options  map[string]any `json:"options,omitempty"`
	Calls    []call         `json:"calls"`
}

// An sdkResult is what became of the calls, by the SDK's own word.
type sdkResult struct {
	Failed []struct{ MessageID, Reason string } `json:"failed"`
}

// inlineSettings spare the SDK the request for them.
func inlineSettings(serverURL, key string) map[string]any {
	return map[string]any{"writeKey": key, "cdnSettings": map[string]any{"integrations": map[string]any{
		"Segment.io": map[string]any{
			"apiKey": key, "apiHost": strings.TrimPrefix(serverURL, "http://") + "/v1", "protocol": "http",
		},
	}}}
}

func segmentOptions(delivery map[string]any) map[string]any {
	return map[string]any{"integrations": map[string]any{"Segment.io": map[string]any{"deliveryStrategy": delivery}}}
}

// A site serves the pages of testdata/page on an origin of its own: localhost,
// where the server is 127.0.0.1. Set config before a page is opened.
type site struct {
	URL    string
	config any
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := new(site)
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir("testdata/page")))
	bundles := http.Dir(nodeDir + "/node_modules/@segment/analytics-next/dist/umd")
	mux.Handle("/analytics-next/bundles/", http.StripPrefix("/analytics-next/bundles/", http.FileServer(bundles)))
	mux.HandleFunc("/config.json", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(s.config)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.URL = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	return s
}

// A browser is how to run Chromium.
type browser struct{ node, chromium string }

func requireBrowser(t *testing.T) browser {
	t.Helper()
	return browser{node: requireNode(t), chromium: requireProgram(t, "chromium")}
}

// A pageReport is what testdata/node/browser.mjs saw of a page that set
// window.result to an R.
type pageReport[R any] struct {
	Requests []struct {
		Method, URL, Failure string
		Status               int
	} `json:"requests"`
	Console   []string `json:"console"`
	Delivered int      `json:"delivered"`
	Result    R        `json:"result"`
}

// statuses returns the answers to the POSTs to url, in their order.
func (r pageReport[R]) statuses(url string) (statuses []int) {
	for _, request := range r.Requests {
		if request.Method == http.MethodPost && request.URL == url {
			statuses = append(statuses, request.Status)
		}
	}
	return statuses
}

// openPage opens a page and waits until it is done and that many events are
// delivered.
func openPage[R any](t *testing.T, b browser, url string, events int) pageReport[R] {
	t.Helper()
	job := map[string]any{"chromium": b.chromium, "url": url, "events": events}
	report := runNode[pageReport[R]](t, b.node, "browser.mjs", job)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the page saw: %+v", report)
		}
	})
	require.Equal(t, events, report.Delivered)
	return report
}
