// Package inletprom has the metrics of an ingestion server for Prometheus: what became of requests
// and events, how long they took, and how far destinations are behind. docs/METRICS.md lists the
// series, docs/alerts.yaml has alerts, and docs/grafana.json a dashboard.
//
//	metrics, err := inletprom.New(prometheus.DefaultRegisterer, nil)
//	…
//	api, err := inlet.New(metrics.Sink("journal", store), &inlet.Options{Observer: metrics})
//	…
//	metrics.Watch("journal", store)
//	mux.Handle("/v1/", metrics.Layer(middleware.Chain(layers...)(api)))
//	mux.Handle("/metrics", promhttp.Handler())
//
// The package is called inletprom, not prometheus as its directory is: programs that use it import
// the packages prometheus and promhttp of the client library, too.
//
// # Labels
//
// The labels of a series have values of closed sets: the dialects and routes of the handler, the
// statuses and codes of its answers, the names that the host gives to sinks and destinations, and
// the ID of the source. A client decides none of them, and event names are never a label. Sources
// beyond [Options].MaxSources are counted together, with the source "other".
//
// # What it costs
//
// A request costs two lookups, without a lock and without an allocation, and a few additions;
// docs/METRICS.md has figures. What others count already is read when it is scraped: there is no
// goroutine.
package inletprom
