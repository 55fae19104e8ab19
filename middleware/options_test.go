package middleware_test

import (
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

func TestOptionsThatCanNeverWork(t *testing.T) {
	t.Parallel()
	type layer = func(http.Handler) http.Handler
	limit := func(o middleware.RateLimitOptions) func() layer {
		return func() layer { return middleware.RateLimit(&o) }
	}
	cors := func(o middleware.CORSOptions) func() layer {
		return func() layer { return middleware.CORS(&o) }
	}
	for _, tt := range []struct {
		name  string
		make  func() layer
		names string
	}{
		{"no authenticator", func() layer { return middleware.Auth(nil, nil) }, "authenticator"},
		{"limits of auth", func() layer {
			return middleware.Auth(keys, &inlet.AuthOptions{Protocol: &inlet.Protocol{Limits: inlet.Limits{Depth: -1}}})
		}, "Limits.Depth"},
		{"no limit at all", func() layer { return middleware.RateLimit(nil) }, "Rate"},
		{"no rate", limit(middleware.RateLimitOptions{Key: middleware.ByIP}), "Rate"},
		{"a rate that is no number", limit(middleware.RateLimitOptions{Rate: math.NaN(), Key: middleware.ByIP}), "Rate"},
		{"an infinite rate", limit(middleware.RateLimitOptions{Rate: math.Inf(1), Key: middleware.ByIP}), "Rate"},
		{"a negative burst", limit(middleware.RateLimitOptions{Rate: 1, Burst: -1, Key: middleware.ByIP}), "Burst"},
		{"no key", limit(middleware.RateLimitOptions{Rate: 1}), "Key"},
		{"a negative table", limit(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP, MaxKeys: -1}), "MaxKeys"},
		{"a policy that breaks out of its quotes", limit(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP, Policy: `a"b`}), "Policy"},
		{"a negative rate of events", limit(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP, EventRate: -1}), "EventRate"},
		{"a rate of bytes that is no number", limit(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP, ByteRate: math.NaN()}), "ByteRate"},
		{"a negative wait for the limiter", limit(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP, LimiterTimeout: -1}), "LimiterTimeout"},
		{"a failure that does not exist", limit(middleware.RateLimitOptions{Rate: 1, Key: middleware.ByIP, OnError: 7}), "OnError"},
		{"a negative number of requests", func() layer {
			return middleware.Payload(&middleware.PayloadOptions{MaxInFlight: -1})
		}, "MaxInFlight"},
		{"a negative body", func() layer {
			return middleware.Payload(&middleware.PayloadOptions{Protocol: &inlet.Protocol{Payload: inlet.PayloadLimits{MaxBytes: -1}}})
		}, "MaxBytes"},
		{"the origin null", cors(middleware.CORSOptions{Origins: []string{"null"}}), "Origins"},
		{"an origin without a scheme", cors(middleware.CORSOptions{Origins: []string{"shop.example"}}), "Origins"},
		{"an origin with a path", cors(middleware.CORSOptions{Origins: []string{"https://shop.example/cart"}}), "Origins"},
		{"an origin with a wildcard", cors(middleware.CORSOptions{Origins: []string{"https://*.shop.example"}}), "Origins"},
		{"every origin and one more", cors(middleware.CORSOptions{Origins: []string{"https://shop.example", "*"}}), "Origins"},
		{"a fraction of a second", cors(middleware.CORSOptions{MaxAge: time.Millisecond}), "MaxAge"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				require.Contains(t, fmt.Sprint(recover()), tt.names)
			}()
			tt.make()
		})
	}
}
