package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/sinks"
)

// allocations returns how many allocations a call of h costs. The same request is served every
// time, with a new body.
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
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	none := status(http.StatusOK)
	limit := func(key func(*http.Request) (middleware.RateKey, bool)) func(http.Handler) http.Handler {
		return middleware.RateLimit(&middleware.RateLimitOptions{Rate: 1e6, Burst: 1e6, Key: key})
	}
	accepted := call{body: track, key: writeKey, header: map[string]string{"Origin": "https://shop.example"}}
	for _, tt := range []struct {
		name string
		h    http.Handler
		max  float64
	}{
		{"Recover: the state, the copy of the request, its writer", middleware.Recover(nil)(none), 3},
		{"CORS: the state, the copy of the request, what rs/cors passes to its debug log", middleware.CORS(nil)(none), 3},
		{"RateLimit by IP: the state, the copy of the request", limit(middleware.ByIP)(none), 2},
		{"Auth: the state, the copy of the request, the key", middleware.Auth(keys, nil)(none), 3},
		{"RateLimit by source: none in addition to Auth", middleware.Auth(keys, nil)(limit(middleware.BySource)(none)), 3},
		{"Payload: the state, the copy of the request", middleware.Payload(nil)(none), 2},
		{"all layers, around an empty handler", mount(none), 6},
		{"all layers, and the ingestion of an event", mount(newHandler(t, new(sinks.Discard))), 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := allocations(tt.h, accepted)
			t.Logf("%v allocations", n)
			require.LessOrEqual(t, n, tt.max)
		})
	}
}

// Not parallel: they measure the heap.
func TestRateLimitMemory(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector uses memory of its own")
	}
	// Keys are often substrings of a large header.
	t.Run("no memory of a request is kept", func(t *testing.T) {
		const keys, padding = 512, 64 << 10
		cut := func(r *http.Request) (middleware.RateKey, bool) {
			return middleware.RateKey{Name: r.Header.Get("Name")[:8]}, true
		}
		h := limited(middleware.RateLimitOptions{Rate: 1, Key: cut, MaxKeys: keys})
		before := heap()
		for i := range keys {
			h.ServeHTTP(httptest.NewRecorder(), from(fmt.Sprintf("%08d", i)+strings.Repeat("x", padding)).request())
		}
		require.Less(t, heap()-before, int64(keys*padding/4))
		runtime.KeepAlive(h)
	})
	t.Run("bytes per key", func(t *testing.T) {
		const keys = 65_536
		n := 0
		each := func(*http.Request) (middleware.RateKey, bool) {
			n++
			return middleware.RateKey{IP: netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})}, true
		}
		before := heap()
		h := limited(middleware.RateLimitOptions{Rate: 1, EventRate: 1, ByteRate: 1, Key: each})
		made := heap()
		per := (made - before) / keys
		t.Logf("%d bytes per key", per)
		require.Less(t, per, int64(64))
		w, r := &fakeWriter{http.Header{}}, call{}.request()
		for range 2 * keys {
			h.ServeHTTP(w, r)
		}
		require.Less(t, heap()-made, int64(64<<10), "only the table is kept")
		runtime.KeepAlive(h)
	})
}

// heap returns the bytes on the heap after a garbage collection.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
