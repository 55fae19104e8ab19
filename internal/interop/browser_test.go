package interop

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSegmentBrowser(t *testing.T) {
	t.Parallel()

	modes := map[string]map[string]any{
		"one request for each event": {"strategy": "standard"},
		"batches":                    {"strategy": "batching", "config": map[string]any{"size": 10, "timeout": 200}},
	}
	for name, delivery := range modes {
		t.Run("every call, "+name, func(t *testing.T) {
			t.Parallel()
			b := requireBrowser(t)
			site := newSite(t)
			s := startServer(t, "-origins", site.URL)
			calls := append(everyCall(awkward(t, nil)), manyTracks(30)...)
			for i := range calls {
				calls[i].UserID = calls[0].UserID // the SDK has one user
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

	t.Run("batch when the page is left", func(t *testing.T) {
		t.Parallel()
		b := requireBrowser(t)
		site := newSite(t)
		s := startServer(t, "-origins", site.URL)
		calls := manyTracks(5)
		for i := range calls {
			calls[i].UserID = calls[0].UserID
		}
		hour := map[string]any{"strategy": "batching", "config": map[string]any{"size": 100, "timeout": 3_600_000}}
		site.config = sdkConfig{Settings: inlineSettings(s.URL, writeKey), Options: segmentOptions(hour), Calls: calls}

		report := runPage[sdkResult](t, b, pageJob{URL: site.URL + "/sdk.html", Leave: site.URL + "/left.html"})
		require.Empty(t, report.Result.Failed)
		requireExactlyOnce(t, calls, s.stop(t))
	})

	t.Run("event sent twice", func(t *testing.T) {
		t.Parallel() // the page is left before the response, so the SDK sends the event again
		b := requireBrowser(t)
		site := newSite(t)
		s := startServer(t, "-origins", site.URL)
		slow := newSlowProxy(t, s.URL, time.Second)
		calls := manyTracks(1)
		site.config = sdkConfig{Settings: inlineSettings(slow.URL, writeKey), Calls: calls, Hurry: true}
		site.next = sdkConfig{Settings: inlineSettings(slow.URL, writeKey), Calls: []call{}}

		runPage[sdkResult](t, b, pageJob{
			URL: site.URL + "/sdk.html", Leave: site.URL + "/left.html", ComeBack: true, Events: len(calls),
		})
		require.EqualValues(t, 2, slow.events.Load(), "the SDK must send the event twice")
		requireExactlyOnce(t, calls, s.stop(t))
	})

	t.Run("rate limit", func(t *testing.T) {
		t.Parallel()
		b := requireBrowser(t)
		site := newSite(t)
		s := startServer(t, "-origins", site.URL, "-rate", "5")
		calls := manyTracks(20)
		site.config = sdkConfig{Settings: inlineSettings(s.URL, writeKey), Calls: calls, Hurry: true}

		report := openPage[sdkResult](t, b, site.URL+"/sdk.html", len(calls))
		require.Contains(t, report.statuses(s.URL+"/v1/t"), http.StatusTooManyRequests)
		requireExactlyOnce(t, calls, s.stop(t))
	})

	t.Run("settings from the server", func(t *testing.T) {
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

	t.Run("wrong key", func(t *testing.T) {
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

func TestRudderBrowser(t *testing.T) {
	t.Parallel()
	modes := []struct {
		name    string
		options map[string]any
		events  int // as counted by the driver: a beacon is one
	}{
		{"one request for each event", map[string]any{}, 5},
		{"a beacon", map[string]any{"useBeacon": true, "beaconQueueOptions": map[string]any{"maxItems": 5}}, 1},
	}
	for _, mode := range modes {
		t.Run("every call, "+mode.name, func(t *testing.T) {
			t.Parallel()
			b := requireBrowser(t)
			site := newSite(t)
			s := startServer(t, "-origins", site.URL)
			var calls []call
			for _, c := range everyCall(map[string]any{"title": "čaj 🍵", "list": []any{"a", "b"}}) {
				if c.Type != "screen" { // a call that the SDK does not have
					calls = append(calls, c)
				}
			}
			mode.options["configUrl"] = s.URL
			site.config = map[string]any{"writeKey": writeKey, "url": s.URL, "options": mode.options, "calls": calls}

			openPage[struct{}](t, b, site.URL+"/rudder.html", mode.events)
			requireRudder(t, calls, s.stop(t))
		})
	}
}

// requireRudder checks that there is one event for each call. The SDK puts the traits of
// identify and group into the context.
func requireRudder(t *testing.T, calls []call, lines []line) {
	t.Helper()
	byType := make(map[any]line, len(lines))
	for _, event := range lines {
		byType[event["type"]] = event
	}
	require.Len(t, lines, len(calls))
	require.Len(t, byType, len(calls))
	for _, c := range calls {
		event := byType[c.Type]
		requireText(t, c.UserID, event, "userId")
		requireText(t, c.GroupID, event, "groupId")
		requireText(t, c.PreviousID, event, "previousId")
		switch c.Type {
		case "identify":
			requireMembers(t, map[string]any{"traits": c.Content}, event["context"])
		case "alias":
		default:
			requireMembers(t, c.Content, event[c.contentMember()])
		}
	}
}

func TestFetch(t *testing.T) {
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
		map[string]any{"url": s.URL + "/nowhere?writeKey=" + writeKey, "method": "POST", "body": "{}"},
	}
	site.config, stranger.config = requests, requests[:1]

	t.Run("allowed origin reads status and code", func(t *testing.T) {
		answers := openPage[[]fetchResponse](t, b, site.URL+"/fetch.html", 1).Result
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

	t.Run("other origin is refused by the browser", func(t *testing.T) {
		answers := openPage[[]fetchResponse](t, b, stranger.URL+"/fetch.html", 0).Result
		require.Equal(t, []fetchResponse{{Error: "TypeError"}}, answers)
	})

	require.Len(t, s.stop(t), 1, "only the valid request of the allowed origin is stored")
}

// A fetchResponse is what a script in a page could read of a response.
type fetchResponse struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
	Error  string `json:"error"`
}

// An sdkConfig is the configuration of testdata/page/sdk.js.
type sdkConfig struct {
	Settings map[string]any `json:"settings"`
	Options  map[string]any `json:"options,omitempty"`
	Calls    []call         `json:"calls"`
	Hurry    bool           `json:"hurry,omitempty"`
}

// An sdkResult is the outcome of the calls as the SDK reports it.
type sdkResult struct {
	Failed []struct{ MessageID, Reason string } `json:"failed"`
}

// inlineSettings returns settings that make the SDK not request any.
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

// A site serves the pages of testdata/page on an origin of its own: localhost, while the
// server is 127.0.0.1. Set config before a page is opened. The first request for it gets
// config; later ones get next, if that is set.
type site struct {
	URL          string
	config, next any
	asked        atomic.Bool
}

// packageFiles are the paths below which a site serves the browser builds of npm packages.
var packageFiles = map[string]string{
	"/analytics-next/bundles/": "@segment/analytics-next/dist/umd",
	"/rudder/":                 "@rudderstack/analytics-js/dist/npm/modern/bundled/esm",
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := new(site)
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir("testdata/page")))
	for path, dir := range packageFiles {
		files := http.FileServer(http.Dir(filepath.Join(nodeDir, "node_modules", dir)))
		mux.Handle(path, http.StripPrefix(path, files))
	}
	mux.HandleFunc("/config.json", func(w http.ResponseWriter, _ *http.Request) {
		config := s.config
		if s.asked.Swap(true) && s.next != nil {
			config = s.next
		}
		_ = json.NewEncoder(w).Encode(config)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.URL = strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	return s
}

// A slowProxy forwards requests immediately, but delays the responses to POSTs.
type slowProxy struct {
	*httptest.Server
	events atomic.Int64
}

func newSlowProxy(t *testing.T, target string, delay time.Duration) *slowProxy {
	t.Helper()
	url, err := url.Parse(target)
	require.NoError(t, err)
	p := new(slowProxy)
	proxy := httputil.NewSingleHostReverseProxy(url)
	proxy.ModifyResponse = func(response *http.Response) error {
		if response.Request.Method == http.MethodPost {
			p.events.Add(1)
			time.Sleep(delay)
		}
		return nil
	}
	proxy.ErrorLog = log.New(io.Discard, "", 0) // that a page is left is expected
	p.Server = httptest.NewServer(proxy)
	t.Cleanup(p.Close)
	return p
}

// A browser has the paths of node and Chromium.
type browser struct{ node, chromium string }

func requireBrowser(t *testing.T) browser {
	t.Helper()
	return browser{node: requireNode(t), chromium: requireProgram(t, "chromium")}
}

// A pageReport is the report of testdata/node/browser.mjs on a page that set window.result
// to an R.
type pageReport[R any] struct {
	Requests []struct {
		Method, URL, Failure string
		Status               int
	} `json:"requests"`
	Console   []string `json:"console"`
	Error     string   `json:"error"`
	Delivered int      `json:"delivered"`
	Result    R        `json:"result"`
}

// statuses returns the statuses of the POSTs to url, in order.
func (r pageReport[R]) statuses(url string) (statuses []int) {
	for _, request := range r.Requests {
		if request.Method == http.MethodPost && request.URL == url {
			statuses = append(statuses, request.Status)
		}
	}
	return statuses
}

// A pageJob is the input of testdata/node/browser.mjs; see there.
type pageJob struct {
	Chromium string `json:"chromium"`
	URL      string `json:"url"`
	Leave    string `json:"leave,omitempty"`
	ComeBack bool   `json:"comeBack,omitempty"`
	Events   int    `json:"events"`
}

// openPage opens a page and waits until it is done and has delivered the number of events.
func openPage[R any](t *testing.T, b browser, url string, events int) pageReport[R] {
	t.Helper()
	return runPage[R](t, b, pageJob{URL: url, Events: events})
}

func runPage[R any](t *testing.T, b browser, job pageJob) pageReport[R] {
	t.Helper()
	job.Chromium = b.chromium
	report := runNode[pageReport[R]](t, b.node, "browser.mjs", job)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("report of the page: %+v", report)
		}
	})
	require.Empty(t, report.Error)
	require.Equal(t, job.Events, report.Delivered)
	return report
}
