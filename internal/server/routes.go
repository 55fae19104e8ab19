package server

import (
	"fmt"
	"net/http"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
)

// routes returns the whole server: the API at the root, and the health checks of a load balancer.
// It does not use http.ServeMux, which redirects paths with a doubled slash: SDKs send such
// paths, and do not follow redirects.
func (s *server) routes(api *inlet.Handler, protocol *inlet.Protocol, observer inlet.Observer) http.Handler {
	o := s.Layers
	o.Migrations = []inlet.Migration{inlet.CommandersActV1()}
	o.Protocol, o.Observer, o.Logger = protocol, observer, s.Logger
	ingest, ready, live := middleware.Standard(s.keys, &o)(api), api.Ready(), api.Live()
	if s.inspector != nil {
		ingest = s.inspector.Layer(ingest)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ready":
			if s.stopping.Load() {
				inlet.WriteError(w, r, &inlet.Error{Code: inlet.CodeShuttingDown})
				return
			}
			ready.ServeHTTP(w, r)
		case "/live":
			live.ServeHTTP(w, r)
		default:
			ingest.ServeHTTP(w, r)
		}
	})
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
