package middleware_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// fakeWriter is a writer that allocates nothing, as that of net/http does not
// once its connection is warm.
type fakeWriter struct{ header http.Header }

func (w *fakeWriter) Header() http.Header             { return w.header }
func (w *fakeWriter) Write(b []byte) (int, error)     { return len(b), nil }
func (w *fakeWriter) WriteHeader(int)                 {}
func (w *fakeWriter) SetReadDeadline(time.Time) error { return nil }

// allocations returns how many allocations a call costs in h. One request is
// served again and again, with a new body each time.
func allocations(h http.Handler, c call) float64 {
	r := c.request()
	w := &fakeWriter{http.Header{}}
	body := strings.NewReader(c.body)
	closer := io.NopCloser(body)
	return testing.AllocsPerRun(200, func() {
		clear(w.header)
		body.Reset(c.body)
		r.Body = closer
		h.ServeHTTP(w, r)
	})
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	nothing := status(http.StatusOK)
	limit := func(key func(*http.Request) (middleware.RateKey, bool)) func(http.Handler) http.Handler {
		return middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, Burst: 1e6, Key: key})
	}
	accepted := call{body: track, key: writeKey, header: map[string]string{"Origin": "https://shop.example"}}
	for _, tt := range []struct {
		name string
		h    http.Handler
		most float64
	}{
		{"Recover costs its writer", middleware.Recover(nil)(nothing), 1},
		{"CORS costs what rs/cors hands to its debug log", middleware.CORS(nil)(nothing), 1},
		{"RateLimit by IP costs nothing", limit(middleware.ByIP)(nothing), 0},
		{"the request state, the copy of the request and the key are the cost of Auth", middleware.Auth(keys, nil)(nothing), 3},
		{"RateLimit by source adds nothing to Auth", middleware.Auth(keys, nil)(limit(middleware.BySource)(nothing)), 3},
		{"Payload costs the request state and the copy of the request", middleware.Payload(nil)(nothing), 2},
		{"the whole chain around a handler that does nothing", mount(nothing), 5},
		{"the whole chain and the ingestion of an event", mount(newHandler(t, new(sinks.Discard))), 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := allocations(tt.h, accepted)
			t.Logf("%v allocations", n)
			require.LessOrEqual(t, n, tt.most)
		})
	}
}
