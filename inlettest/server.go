package inlettest

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/middleware"
)

// Options configure a [Server]. A nil pointer means all defaults.
type Options struct {
	// Key is the write key that the server knows. Any other is answered 401. Defaults to
	// "inlettest".
	Key string
	// Source is the owner of the key. Its ID, if that is empty, is "inlettest". Its rates and its
	// origins hold, as in production. Defaults to a source without limits, which may send from
	// every origin.
	Source inlet.Source
	// Handler are the options of the handler, such as the validators and enrichers of a host.
	// They are copied. Around it are the layers of [middleware.Standard], with the same Protocol,
	// Observer and Logger. If they have no Logger, it writes to the log of the test from WARN on.
	// Defaults to those of [inlet.New].
	Handler *inlet.Options
	// Timeout is how long the questions of a test wait for what they ask for, such as events
	// that an SDK sends in the background. Defaults to 5 seconds.
	Timeout time.Duration
}

// withDefaults returns a filled copy. The error names every field at fault.
func (o *Options) withDefaults() (Options, error) {
	var filled Options
	if o != nil {
		filled = *o
	}
	filled.Key = cmp.Or(filled.Key, "inlettest")
	filled.Source.ID = cmp.Or(filled.Source.ID, "inlettest")
	filled.Timeout = cmp.Or(filled.Timeout, 5*time.Second)
	return filled, check.Options("inlettest", "Options", check.AtLeast("Timeout", filled.Timeout, 1))
}

// A Server is the ingestion API with one write key, which keeps every event that it accepts in
// memory. It speaks all dialects, answers pages of every origin, and is an [http.Handler].
//
// In a bubble of package [testing/synctest], make the server in the bubble.
//
// Concurrency: its methods may be called concurrently, those that may fail the test only from
// the test's own goroutine.
type Server struct {
	options  Options
	recorder recorder
	handler  http.Handler
	listen   func() string
}

var _ http.Handler = (*Server)(nil)

// New returns a server that ends with the test. It fails the test if an option is out of range.
func New(t testing.TB, o *Options) *Server {
	t.Helper()
	filled, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := inlet.NewKeys(map[string]inlet.Source{filled.Key: filled.Source})
	if err != nil {
		t.Fatal(err)
	}
	var handler inlet.Options
	if filled.Handler != nil {
		handler = *filled.Handler
	}
	handler.Logger = cmp.Or(handler.Logger, testLogger(t))
	handler.Protocol = cmp.Or(handler.Protocol, new(inlet.Protocol))
	s := &Server{options: filled}
	api, err := inlet.New(&s.recorder, &handler)
	if err != nil {
		t.Fatal(err)
	}
	layers := middleware.Standard(keys, &middleware.StandardOptions{
		Protocol: handler.Protocol, Observer: handler.Observer, NoAccessLog: true, Logger: handler.Logger,
	})
	s.handler = s.recorder.noteRefusals(layers(s.recorder.answerFailure(api)))
	s.listen = sync.OnceValue(func() string { return s.start(t) })
	return s
}

// start listens on a free port of the loopback interface until the test ends.
func (s *Server) start(t testing.TB) string {
	server := httptest.NewUnstartedServer(s)
	inlet.Harden(server.Config)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// testLogger writes warnings to the log of the test until the test has ended.
func testLogger(t testing.TB) *slog.Logger {
	out := &testOutput{w: t.Output()}
	t.Cleanup(out.end)
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// testOutput drops what is written after the test: the test would panic.
type testOutput struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements [io.Writer].
func (o *testOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.w == nil {
		return len(p), nil
	}
	return o.w.Write(p)
}

func (o *testOutput) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.w = nil
}

// ServeHTTP answers a request, without a listener. The paths are those of the API, such as
// /v1/track.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// URL returns where the server listens, without a slash at the end, such as
// "http://127.0.0.1:40123". The first call starts the listener, which ends with the test.
func (s *Server) URL() string { return s.listen() }

// Key returns the write key.
func (s *Server) Key() string { return s.options.Key }

// Client returns a client whose requests are all answered by the server, whatever host they are
// for, without a listener and a connection.
func (s *Server) Client() *http.Client { return &http.Client{Transport: direct{s}} }

// direct passes the requests of a client to the server.
type direct struct{ server http.Handler }

// RoundTrip implements [http.RoundTripper].
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	received := r.Clone(r.Context())
	received.RequestURI = r.URL.RequestURI()
	received.Host = cmp.Or(r.Host, r.URL.Host)
	received.RemoteAddr = "127.0.0.1:1"
	if received.Body == nil {
		received.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.server.ServeHTTP(w, received)
	response := w.Result()
	response.Request = r
	return response, nil
}

// Settings are what a Segment SDK is configured with to send to a [Server]. As JSON it is the
// first argument of AnalyticsBrowser.load.
type Settings struct {
	// WriteKey is the write key.
	WriteKey string `json:"writeKey"`
	// CDNURL is where browser and mobile SDKs ask for their settings when they start: cdnURL,
	// or cdnHost without the scheme.
	CDNURL string `json:"cdnURL"`
	// CDNSettings is the answer to that question: cdnSettings of a browser SDK that is not to
	// ask.
	CDNSettings json.RawMessage `json:"cdnSettings"`
	// Host is what the SDKs for servers call host, endpoint or data plane.
	Host string `json:"-"`
	// APIHost is what browser and mobile SDKs call apiHost: without the scheme, with /v1.
	APIHost string `json:"-"`
}

// Segment returns the settings of an SDK that is to send to the server, and starts the listener.
// The server answers SDKs that ask for them in the same way. It fails the test if these settings
// lead elsewhere, as those of a handler with a PublicURL do.
func (s *Server) Segment(t testing.TB) Settings {
	t.Helper()
	base := s.URL()
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, base+"/v1/projects/"+url.PathEscape(s.Key())+"/settings", http.NoBody)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	host := strings.TrimPrefix(base, "http://") + "/v1"
	var served struct {
		Integrations map[string]struct {
			APIHost string `json:"apiHost"`
		} `json:"integrations"`
	}
	body := w.Body.Bytes()
	if err := json.Unmarshal(body, &served); err != nil || w.Code != http.StatusOK {
		t.Fatalf("inlettest: the settings are answered with %d: %s", w.Code, body)
	}
	if got := served.Integrations["Segment.io"].APIHost; got != host {
		t.Fatalf("inlettest: the settings lead to %q, not to this server at %q", got, host)
	}
	return Settings{WriteKey: s.Key(), CDNURL: base, CDNSettings: body, Host: base, APIHost: host}
}
