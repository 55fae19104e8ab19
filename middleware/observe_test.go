package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit/testsink"
	"github.com/inlet-go/inlet/middleware"
)

// seen keeps the outcomes that it is notified of.
type seen struct {
	mu       sync.Mutex
	outcomes []inlet.Outcome
}

func (s *seen) ObserveRequest(_ context.Context, o *inlet.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes = append(s.outcomes, *o)
}

// Every request is observed exactly once, also if a layer answers it.
func TestObserve(t *testing.T) {
	t.Parallel()
	const good = `{"userId":"u","event":"E"}`
	panicking := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("broken") })
	}
	foreign := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	}
	for _, tt := range []struct {
		name, method, path, body string
		header                   [2]string
		layer                    func(http.Handler) http.Handler // next to the handler
		status                   int
		code                     inlet.Code
		source                   string
	}{
		{"the handler", "POST", "/v1/track", good, [2]string{"Authorization", "Bearer server"}, nil, 200, "", "server"},
		{"the handler, with refused events", "POST", "/v1/track", `{"userId":"u"}`, [2]string{"Authorization", "Bearer server"}, nil, 400, inlet.CodeEventNotDefined, "server"},
		{"no route", "POST", "/nothing", good, [2]string{"Authorization", "Bearer server"}, nil, 404, inlet.CodeNotFound, ""},
		{"Auth, unknown key", "POST", "/v1/track", good, [2]string{"Authorization", "Bearer other"}, nil, 401, inlet.CodeUnknownKey, ""},
		{"Auth, no key", "POST", "/v1/track", good, [2]string{}, nil, 401, inlet.CodeMissingKey, ""},
		{"Auth, disabled", "POST", "/v1/track", good, [2]string{"Authorization", "Bearer off"}, nil, 403, inlet.CodeSourceDisabled, "off"},
		{"Auth, another origin", "POST", "/v1/track", good, [2]string{"Authorization", "Bearer web"}, nil, 403, inlet.CodeOriginNotAllowed, "web"},
		{"a limit", "POST", "/v1/track", good, [2]string{"Authorization", "Bearer limited"}, nil, 429, inlet.CodeRateLimited, "limited"},
		{"Payload", "POST", "/v1/track", "\x1f\x8b" + good, [2]string{"Content-Encoding", "br"}, nil, 415, inlet.CodeUnsupportedEncoding, ""},
		{"CORS", "OPTIONS", "/v1/track", "", [2]string{"Access-Control-Request-Method", "POST"}, nil, 204, "", ""},
		{"a panic", "POST", "/v1/track", good, [2]string{"Authorization", "Bearer server"}, panicking, 500, inlet.CodeInternal, "server"},
		{"a layer of the host's own", "POST", "/v1/track", good, [2]string{"Authorization", "Bearer server"}, foreign, http.StatusTeapot, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := new(seen)
			api, err := inlet.New(new(testsink.Keeper), &inlet.Options{Observer: o})
			require.NoError(t, err)
			keys := inlet.MustKeys(map[string]inlet.Source{
				"server": {ID: "server"}, "off": {ID: "off", Disabled: true}, "web": {ID: "web", Origins: []string{shop}},
				"limited": {ID: "limited", Rate: 0.001, Burst: 1},
			})
			h := middleware.Chain(
				middleware.Observe(o), middleware.Recover(&middleware.RecoverOptions{Logger: quiet}), middleware.AccessLog(&middleware.AccessLogOptions{Logger: quiet}),
				middleware.Observe(o), middleware.CORS(nil), middleware.Payload(nil), middleware.Auth(keys, nil),
				middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1000, Key: middleware.BySource}), tt.layer,
			)(api)
			requests := 1
			if tt.status == http.StatusTooManyRequests {
				requests = 2
			}
			for range requests {
				r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
				r.Header.Set("Origin", "https://other.example")
				if tt.header[0] != "" {
					r.Header.Set(tt.header[0], tt.header[1])
				}
				h.ServeHTTP(httptest.NewRecorder(), r)
			}
			require.Len(t, o.outcomes, requests)
			got := o.outcomes[requests-1]
			require.Equal(t, tt.status, got.Status)
			require.Equal(t, tt.code, got.Code)
			source := ""
			if got.Source != nil {
				source = got.Source.ID
			}
			require.Equal(t, tt.source, source)
		})
	}

	t.Run("a body that does not come", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			o := new(seen)
			h := middleware.Observe(o)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second)
				inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeBodyTimeout})
			}))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/track", nil))
			require.Len(t, o.outcomes, 1)
			require.Equal(t, inlet.CodeBodyTimeout, o.outcomes[0].Code)
			require.Equal(t, time.Second, o.outcomes[0].Duration)
		})
	})
	t.Run("a panic without Recover", func(t *testing.T) {
		t.Parallel()
		o := new(seen)
		h := middleware.Observe(o)(panicking(nil))
		require.PanicsWithValue(t, "broken", func() {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/track", nil))
		})
		require.Len(t, o.outcomes, 1)
		require.Equal(t, 500, o.outcomes[0].Status)
		require.Equal(t, inlet.CodeInternal, o.outcomes[0].Code)
	})
	t.Run("two observers", func(t *testing.T) {
		t.Parallel()
		outer, inner := new(seen), new(seen)
		api, err := inlet.New(new(testsink.Keeper), &inlet.Options{Observer: inner, AllowAnonymous: true})
		require.NoError(t, err)
		middleware.Observe(outer)(api).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/track", strings.NewReader(good)))
		require.Len(t, outer.outcomes, 1)
		require.Len(t, inner.outcomes, 1)
		require.Equal(t, 1, outer.outcomes[0].Accepted)
	})
	t.Run("of a type whose values have no address", func(t *testing.T) {
		t.Parallel()
		n := 0
		function := observerFunc(func() { n++ })
		for _, tt := range []struct {
			name     string
			outer    inlet.Observer
			inner    inlet.Observer
			notified int
		}{
			{"equal structs", calls{&n}, calls{&n}, 1},
			{"other structs", calls{&n}, calls{new(int)}, 1},
			{"one map", tally{"n": &n}, nil, 1},
			{"two maps", tally{"n": &n}, tally{"n": &n}, 2},
			{"a pointer to a function", &function, nil, 1},
			{"a function", function, nil, 2},
			{"a struct with a function", struct{ observerFunc }{function}, nil, 2},
			{"a map and a struct", tally{"n": &n}, calls{&n}, 2},
		} {
			if tt.inner == nil {
				tt.inner = tt.outer
			}
			n = 0
			api, err := inlet.New(new(testsink.Keeper), &inlet.Options{Observer: tt.inner, AllowAnonymous: true})
			require.NoError(t, err)
			middleware.Observe(tt.outer)(api).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/track", strings.NewReader(good)))
			require.Equal(t, tt.notified, n, tt.name)
		}
	})
	require.Panics(t, func() { middleware.Observe(nil) })
}

// Observers of several types.
type (
	calls        struct{ n *int }
	tally        map[string]*int
	observerFunc func()
)

func (c calls) ObserveRequest(context.Context, *inlet.Outcome)        { *c.n++ }
func (y tally) ObserveRequest(context.Context, *inlet.Outcome)        { *y["n"]++ }
func (f observerFunc) ObserveRequest(context.Context, *inlet.Outcome) { f() }
