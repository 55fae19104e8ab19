package interop

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inspector"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

// An inspected server has the API, and an inspector below a prefix on a listener of its own, so
// that pages and events are of different origins.
type inspected struct {
	api, pages *httptest.Server
	current    atomic.Pointer[inspector.Inspector]
	handler    atomic.Value // of an http.HandlerFunc
	journal    *journal.Journal
}

func newInspected(t *testing.T) *inspected {
	t.Helper()
	j, err := journal.Open(t.TempDir(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close(context.Background())) })
	_, err = j.Deliver("warehouse", new(sinks.Memory), nil)
	require.NoError(t, err)
	s := &inspected{journal: j}
	s.replace(t)
	s.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handler.Load().(http.HandlerFunc)(w, r)
	}))
	t.Cleanup(s.api.Close)
	mux := http.NewServeMux()
	mux.Handle("/deep/down/", http.StripPrefix("/deep/down", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.current.Load().ServeHTTP(w, r)
	})))
	mux.HandleFunc("POST /restart", func(http.ResponseWriter, *http.Request) {
		old := s.current.Load()
		s.replace(t)
		old.Close()
	})
	s.pages = httptest.NewServer(mux)
	t.Cleanup(s.pages.Close)
	t.Cleanup(func() { s.current.Load().Close() }) // before the server, which waits for streams
	return s
}

// replace makes a new inspector, as a new process does.
func (s *inspected) replace(t *testing.T) {
	insp, err := inspector.New(&inspector.Options{Authorize: inspector.Loopback, Destinations: s.journal.Deliveries, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Error(err)
		return
	}
	h, err := inlet.New(insp.Sink(s.journal), &inlet.Options{Rejects: insp.Sink(new(sinks.Memory)), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Error(err)
		return
	}
	keys, err := inlet.NewKeys(map[string]inlet.Source{writeKey: {ID: "shop"}})
	if err != nil {
		t.Error(err)
		return
	}
	layers := middleware.Chain(middleware.Payload(nil), middleware.Auth(keys, nil))
	s.current.Store(insp)
	s.handler.Store(http.HandlerFunc(insp.Layer(layers(h)).ServeHTTP))
}

// An inspectorReport is what testdata/node/inspector.mjs writes.
type inspectorReport struct {
	Console []string `json:"console"`
	Error   string   `json:"error"`
	Checks  struct {
		ShownAfter             int
		Hacked, Images, Closed int
		Detail, Facts, Refused string
		Buttons, Filtered      []string
		WhilePaused            bool
		Source                 string
		Controls               []string
	} `json:"checks"`
}

// With INLET_SCREENSHOTS the pictures of docs/INSPECTOR.md are made in that folder.
func TestInspector(t *testing.T) {
	t.Parallel()
	b := requireBrowser(t)
	s := newInspected(t)
	report := runNode[inspectorReport](t, b.node, "inspector.mjs", map[string]any{
		"chromium": b.chromium, "url": s.pages.URL + "/deep/down/", "api": s.api.URL, "restart": s.pages.URL + "/restart", "key": writeKey,
		"shots": os.Getenv("INLET_SCREENSHOTS"), "sample": sample(), "open": "Checkout Started",
	})
	require.Empty(t, report.Error)
	require.Empty(t, report.Console, "no error, and nothing that the policy of the page has stopped")
	c := report.Checks
	require.Zero(t, c.Hacked)
	require.Zero(t, c.Images)
	require.Contains(t, c.Detail, "\n  \"event\": \"Order Completed\",\n")
	require.Contains(t, c.Detail, `"total": 27.5`)
	require.Contains(t, c.Detail, "***@shop.example")
	require.Contains(t, c.Detail, "</script>")
	require.Contains(t, c.Facts, "POST /v1/track HTTP/1.1")
	require.Equal(t, []string{"Copy JSON", "Copy as curl"}, c.Buttons)
	require.Zero(t, c.Closed)
	require.NotEmpty(t, c.Refused)
	require.False(t, c.WhilePaused)
	require.Equal(t, []string{"Order Completed", "Order Completed"}, c.Filtered)
	require.Equal(t, "shop", c.Source)
	require.Empty(t, c.Controls, "there are no buttons without Control")
	t.Logf("an event was shown after %d ms", c.ShownAfter)
}

// sample is what the pictures show.
func sample() [][2]any {
	track := func(name, user string, properties map[string]any) [2]any {
		return [2]any{"track", map[string]any{"event": name, "userId": user, "properties": properties}}
	}
	return [][2]any{
		{"identify", map[string]any{"userId": "user-7", "traits": map[string]any{"email": "jane@shop.example", "plan": "pro"}}},
		{"page", map[string]any{"userId": "user-7", "name": "Pricing"}},
		track("Product Viewed", "user-7", map[string]any{"sku": "T-1", "price": 27.5}),
		track("Product Added", "user-7", map[string]any{"sku": "T-1", "quantity": 2}),
		{"track", map[string]any{"event": "Checkout Started"}},
		track("Order Completed", "user-7", map[string]any{"orderId": "50314b8e9bcf", "total": 55.0, "currency": "EUR"}),
	}
}

// The address of the inspector, in the log of "inlet serve".
var inspectorLine = regexp.MustCompile(`inlet: inspector" url=(\S+)`)

// The page of "inlet serve -inspector" shows an event of each SDK that can run here. With
// INLET_SCREENSHOTS a picture of it goes to that folder.
func TestInspectorSDKs(t *testing.T) {
	t.Parallel()
	b := requireBrowser(t)
	segment, rudder := newSite(t), newSite(t)
	s := startServer(t, "-inspector", ":0", "-key", jitsuKey, "-origins", segment.URL+","+rudder.URL)
	inspector := inspectorAddress(t, s)
	watching, err := http.Get(inspector + "/stream") // events are kept while there is a viewer
	require.NoError(t, err)
	t.Cleanup(func() { watching.Body.Close() })
	require.Equal(t, http.StatusOK, watching.StatusCode)

	var names []string
	one := func(sdk string) []call {
		c := manyTracks(1)
		c[0].Name, c[0].MessageID = "From "+sdk, "from "+sdk
		names = append(names, c[0].Name)
		return c
	}
	sendGo(t, s.URL, 0, one("analytics-go"))
	for sdk, driver := range nodeSDKs {
		sendNode(t, b.node, driver, nodeJob{URL: s.URL, Calls: one(sdk)})
	}
	sendNode(t, b.node, "jitsu.mjs", nodeJob{URL: s.URL, WriteKey: jitsuKey, Calls: one("@jitsu/js")})
	segment.config = sdkConfig{Settings: inlineSettings(s.URL, writeKey), Calls: one("@segment/analytics-next")}
	require.Empty(t, openPage[sdkResult](t, b, segment.URL+"/sdk.html", 1).Result.Failed)
	rudder.config = map[string]any{
		"writeKey": writeKey, "url": s.URL, "options": map[string]any{"configUrl": s.URL}, "calls": one("@rudderstack/analytics-js"),
	}
	openPage[struct{}](t, b, rudder.URL+"/rudder.html", 1)

	shot := os.Getenv("INLET_SCREENSHOTS")
	if shot != "" {
		shot = filepath.Join(shot, "inspector-sdks.png")
	}
	report := runNode[struct {
		Console []string
		Error   string
		Rows    map[string]struct{ Outcome, Source, Type, Facts, Event string }
	}](t, b.node, "inspector_sdks.mjs", map[string]any{
		"chromium": b.chromium, "url": inspector, "names": names, "shot": shot,
	})
	require.Empty(t, report.Error)
	require.Empty(t, report.Console)
	for _, name := range names {
		row := report.Rows[name]
		require.Equal(t, "accepted", row.Outcome, name)
		require.Equal(t, "track", row.Type, name)
		require.Contains(t, row.Facts, "POST /", name)
		require.Contains(t, row.Event, `"event": "`+name+`"`)
		require.NotContains(t, row.Facts+row.Event, writeKey, name)
	}
}

// inspectorAddress waits until the server has logged the address of its inspector.
func inspectorAddress(t *testing.T, s *server) (address string) {
	t.Helper()
	require.Eventually(t, func() bool {
		found := inspectorLine.FindStringSubmatch(s.log.String())
		if found == nil {
			return false
		}
		address = found[1]
		return true
	}, 20*time.Second, 10*time.Millisecond)
	return address
}
