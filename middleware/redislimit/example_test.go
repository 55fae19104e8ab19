package redislimit_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/redis/rueidis"

	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/middleware/redislimit"
)

// Servers with the same Redis limit together. Nothing listens at the port 1: without Redis, each
// limits on its own.
func ExampleNew() {
	quiet := slog.New(slog.DiscardHandler)
	shared, err := redislimit.New(context.Background(), "redis://127.0.0.1:1", &redislimit.Options{Logger: quiet})
	if err != nil {
		panic(err)
	}
	defer shared.Close()

	limit := middleware.RateLimit(&middleware.RateLimitOptions{
		Rate: 1, Burst: 2, Key: middleware.ByIP, Limiter: shared, Logger: quiet,
	})
	h := limit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	for range 3 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/track", nil))
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 200
	// 429
}

// Nothing is shared by the two limits of a chain: their policies differ.
func ExampleLimiter() {
	serve := func(ctx context.Context, listen func(http.Handler) error) error {
		shared, err := redislimit.New(ctx, "redis://127.0.0.1:6379", nil)
		if err != nil {
			return err
		}
		defer shared.Close()
		limit := middleware.RateLimit(&middleware.RateLimitOptions{
			Rate: 1000, EventRate: 20_000, Key: middleware.BySource, Policy: "source", Limiter: shared,
		})
		byAddress := middleware.RateLimit(&middleware.RateLimitOptions{Rate: 100, Key: middleware.ByIP})
		return listen(byAddress(limit(http.NotFoundHandler())))
	}
	err := serve(context.Background(), func(http.Handler) error { return nil })
	fmt.Println(err)
	// Output: <nil>
}

func ExampleNewWithClient() {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:       []string{"127.0.0.1:1"}, // nothing listens there
		ForceSingleClient: true,                    // returned even if it cannot connect yet
		DisableRetry:      true,
		DisableCache:      true,
	})
	fmt.Println("connected:", err == nil)
	defer client.Close()

	limiter, err := redislimit.NewWithClient(client, &redislimit.Options{Lease: 50 * time.Millisecond})
	if err != nil {
		panic(err)
	}
	defer limiter.Close()
	_, err = limiter.Take(context.Background(), middleware.Charge{
		Policy: "default", Name: "web", Requests: middleware.Draw{Rate: 1000, Burst: 1000, Cost: 1},
	})
	fmt.Println("granted:", err == nil)
	// Output:
	// connected: false
	// granted: false
}
