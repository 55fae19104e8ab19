package main

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

// routes returns the whole server: the API at the root, and the health checks of a load balancer.
// It does not use http.ServeMux, which redirects paths with a doubled slash: SDKs send such
// paths, and do not follow redirects.
func routes(api *inlet.Handler, c config, protocol *inlet.Protocol, logger *slog.Logger) (http.Handler, error) {
	keys, err := inlet.NewKeys(sources(c.keys))
	if err != nil {
		return nil, err
	}
	chain := layers(keys, c, protocol, logger)
	ingest, ready, live := chain(api), api.Ready(), api.Live()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ready":
			ready.ServeHTTP(w, r)
		case "/live":
			live.ServeHTTP(w, r)
		default:
			ingest.ServeHTTP(w, r)
		}
	}), nil
}

// sources names the source of each key by its position, so that events and logs never contain the
// key.
func sources(keys []string) map[string]inlet.Source {
	named := make(map[string]inlet.Source, len(keys))
	for i, key := range keys {
		named[key] = inlet.Source{ID: fmt.Sprintf("source-%d", i+1)}
	}
	return named
}

// layers returns the layers in front of the API, the first outermost. They share the protocol with
// the API, and so one budget of memory.
func layers(keys inlet.Authenticator, c config, protocol *inlet.Protocol, logger *slog.Logger) func(http.Handler) http.Handler {
	return middleware.Chain(
		middleware.Recover(&middleware.RecoverOptions{Logger: logger}),
		middleware.RequestID(nil),
		middleware.AccessLog(&middleware.AccessLogOptions{Logger: logger}),
		middleware.CORS(&middleware.CORSOptions{Origins: c.origins}),
		middleware.Payload(&middleware.PayloadOptions{Logger: logger, Protocol: protocol}),
		middleware.Auth(keys, &inlet.AuthOptions{Protocol: protocol}),
		rateLimit(c.rate),
		middleware.Migrate(inlet.CommandersActV1(), &inlet.MigratePayloadOptions{Protocol: protocol}),
	)
}

// rateLimit returns no layer for a rate of 0.
func rateLimit(rate float64) func(http.Handler) http.Handler {
	if rate == 0 {
		return nil
	}
	return middleware.RateLimit(&middleware.RateLimitOptions{Rate: rate, Key: middleware.BySource})
}
