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
	layers := middleware.Standard(keys, &middleware.StandardOptions{
		Origins: c.origins, PerSource: middleware.Rate{Requests: c.rate},
		Migrations: []inlet.Migration{inlet.CommandersActV1()}, Protocol: protocol, Logger: logger,
	})
	ingest, ready, live := layers(api), api.Ready(), api.Live()
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
