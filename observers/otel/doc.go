// Package inletotel gives an ingestion server metrics and traces by OpenTelemetry. It uses the API
// of OpenTelemetry alone: the host chooses the SDK, and what is exported where.
//
//	telemetry, err := inletotel.New(meterProvider, tracerProvider, nil)
//	…
//	api, err := inlet.New(telemetry.Sink("journal", store), &inlet.Options{Observer: telemetry})
//	…
//	telemetry.Watch("journal", store)
//	…
//	delivery, err := store.Deliver("warehouse", telemetry.Delivery("warehouse", warehouse), nil)
//
// Metrics have the names of package inletprom, with dots: an exporter for Prometheus makes the same
// series of them. Each write to a sink is a span, and so is each batch of a delivery, linked to the
// spans of the requests that its events came from. docs/TRACES.md lists the metrics and the spans,
// and says what is linked and what is not.
//
// The spans of the requests themselves, and the metrics of HTTP, are those of the host's HTTP
// instrumentation, such as otelhttp, around the handler.
//
// The package is called inletotel, not otel as its directory is: programs that use it import that
// package, too.
package inletotel
