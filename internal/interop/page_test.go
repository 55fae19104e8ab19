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

// A site serves the pages of testdata/page on an origin of its own: localhost,
// where the server is 127.0.0.1. Set config before a page is opened: it is given
// to the first that asks, and next to those that ask later, if it is set.
type site struct {
	URL          string
	config, next any
	asked        atomic.Bool
}

// packageFiles is where a site serves the browser builds of npm packages.
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

// A slowProxy passes on at once what it is sent, but answers late.
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
	proxy.ErrorLog = log.New(io.Discard, "", 0) // a page that is left is no error here
	p.Server = httptest.NewServer(proxy)
	t.Cleanup(p.Close)
	return p
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
	Error     string   `json:"error"`
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

// A pageJob is what testdata/node/browser.mjs does; see there.
type pageJob struct {
	Chromium string `json:"chromium"`
	URL      string `json:"url"`
	Leave    string `json:"leave,omitempty"`
	ComeBack bool   `json:"comeBack,omitempty"`
	Events   int    `json:"events"`
}

// openPage opens a page and waits until it is done and that many events are
// delivered.
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
			t.Logf("the page saw: %+v", report)
		}
	})
	require.Empty(t, report.Error)
	require.Equal(t, job.Events, report.Delivered)
	return report
}
