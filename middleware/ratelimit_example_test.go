package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/inlet-go/inlet/middleware"
)

// Two layers that count together, as the two roots of one API might.
func ExampleNewMemoryLimiter() {
	limiter, err := middleware.NewMemoryLimiter(&middleware.MemoryLimiterOptions{MaxKeys: 1 << 18})
	if err != nil {
		fmt.Println(err)
		return
	}
	limit := func(h http.Handler) http.Handler {
		return middleware.RateLimit(&middleware.RateLimitOptions{Rate: 0.01, Burst: 2, Key: middleware.ByIP, Limiter: limiter})(h)
	}
	one, other := limit(http.NotFoundHandler()), limit(http.NotFoundHandler())
	for _, h := range []http.Handler{one, other, one} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Println(w.Code)
	}
	// Output:
	// 404
	// 404
	// 429
}

// A whole network of 256 addresses has one limit.
func ExampleByNetwork() {
	h := middleware.RateLimit(&middleware.RateLimitOptions{
		Rate: 0.01, Burst: 1, Key: middleware.ByNetwork(24, 56),
	})(http.NotFoundHandler())
	for _, from := range []string{"203.0.113.7:1234", "203.0.113.8:1234", "203.0.114.7:1234"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(from, w.Code)
	}
	// Output:
	// 203.0.113.7:1234 404
	// 203.0.113.8:1234 429
	// 203.0.114.7:1234 404
}

// A sharedStore stands for one that several processes share.
type sharedStore struct{ up bool }

func (s *sharedStore) Take(context.Context, middleware.Charge) (middleware.Quota, error) {
	if !s.up {
		return middleware.Quota{}, errors.New("connection refused")
	}
	return middleware.Quota{OK: true}, nil
}

// While the shared store is down, each process limits by itself.
func ExampleLimiter() {
	h := middleware.RateLimit(&middleware.RateLimitOptions{
		Rate: 0.01, Burst: 1, Key: middleware.ByIP,
		Limiter: &sharedStore{}, OnError: middleware.FallBackLocal,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})(http.NotFoundHandler())
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		fmt.Println(w.Code)
	}
	// Output:
	// 404
	// 429
}
