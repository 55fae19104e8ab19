package interop

import (
	"net/http"
	"strings"
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

	t.Run("what a batch still holds when the page is left arrives once", func(t *testing.T) {
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

	t.Run("an event that is sent twice, because its page was left before the answer, is stored once", func(t *testing.T) {
		t.Parallel()
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
		require.EqualValues(t, 2, slow.events.Load(), "the SDK was to send the event twice")
		requireExactlyOnce(t, calls, s.stop(t))
	})

	t.Run("a rate limit delays events and loses none", func(t *testing.T) {
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
		map[string]any{"url": s.URL + "/nowhere?writeKey=" + writeKey, "method": "POST", "body": "{}"},
	}
	site.config, stranger.config = requests, requests[:1]

	t.Run("of an allowed origin reads the status and the code of every answer", func(t *testing.T) {
		answers := openPage[[]fetchAnswer](t, b, site.URL+"/fetch.html", 1).Result
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
	Hurry    bool           `json:"hurry,omitempty"`
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
