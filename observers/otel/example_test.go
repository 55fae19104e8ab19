package inletotel_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	inletotel "github.com/inlet-go/inlet/observers/otel"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

// newServer returns the handler of a server with metrics and traces, and what delivers its events.
func newServer(meters metric.MeterProvider, tracers trace.TracerProvider, store *journal.Journal, warehouse inlet.Sink, logger *slog.Logger) (http.Handler, *journal.Delivery, error) {
	telemetry, err := inletotel.New(meters, tracers, nil)
	if err != nil {
		return nil, nil, err
	}
	telemetry.Watch("main", store)
	api, err := inlet.New(telemetry.Sink("journal", store), nil)
	if err != nil {
		return nil, nil, err
	}
	delivery, err := store.Deliver("warehouse", telemetry.Delivery("warehouse", warehouse), nil)
	if err != nil {
		return nil, nil, err
	}
	keys := inlet.MustKeys(map[string]inlet.Source{"my-write-key": {ID: "web"}})
	handler := middleware.Standard(keys, &middleware.StandardOptions{Observer: telemetry, Logger: logger})(api)
	traced := otelhttp.NewHandler(handler, "ingest",
		otelhttp.WithTracerProvider(tracers), otelhttp.WithMeterProvider(meters),
		otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true })) // clients choose no trace
	return traced, delivery, nil
}

// A server whose requests are traced by otelhttp. Its delivery is linked to them.
func ExampleNew() {
	reader, recorder := sdkmetric.NewManualReader(), tracetest.NewSpanRecorder()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	dir, err := os.MkdirTemp("", "inlet-otel")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := journal.Open(dir, nil)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	handler, delivery, err := newServer(meters, tracers, store, new(sinks.Memory), quiet)
	if err != nil {
		panic(err)
	}
	r := httptest.NewRequest(http.MethodPost, "/v1/track", strings.NewReader(`{"event":"Signed Up","userId":"user-1"}`))
	r.SetBasicAuth("my-write-key", "")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	if err := delivery.Drain(ctx); err != nil {
		panic(err)
	}
	if err := store.Close(ctx); err != nil {
		panic(err)
	}

	spans := map[string]sdktrace.ReadOnlySpan{}
	for _, span := range recorder.Ended() {
		spans[span.Name()] = span
	}
	write, deliver := spans["write journal"], spans["deliver warehouse"]
	fmt.Println(write.Name(), "is below a request:", write.Parent().IsValid())
	fmt.Println(deliver.Name(), "is linked to it:", deliver.Links()[0].SpanContext.SpanID() == write.Parent().SpanID())

	var measured metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &measured); err != nil {
		panic(err)
	}
	names := map[string]bool{}
	for _, scope := range measured.ScopeMetrics {
		for _, m := range scope.Metrics {
			names[m.Name] = strings.HasPrefix(m.Name, "inlet.request") || strings.HasPrefix(m.Name, "inlet.sink")
		}
	}
	maps.DeleteFunc(names, func(_ string, shown bool) bool { return !shown })
	fmt.Println(strings.Join(slices.Sorted(maps.Keys(names)), "\n"))
	// Output:
	// write journal is below a request: true
	// deliver warehouse is linked to it: true
	// inlet.request.bytes
	// inlet.request.duration
	// inlet.request.wire
	// inlet.requests
	// inlet.sink.events
	// inlet.sink.write.duration
}

func ExampleTelemetry_Sink() {
	recorder := tracetest.NewSpanRecorder()
	telemetry, err := inletotel.New(nil, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)), nil)
	if err != nil {
		panic(err)
	}
	api, err := inlet.New(telemetry.Sink("memory", new(sinks.Memory)), nil)
	if err != nil {
		panic(err)
	}
	err = api.Ingest(context.Background(), &inlet.Source{ID: "jobs"}, inlet.NewTrack("user-1", "Invoice Sent", nil))
	fmt.Println(err)
	for _, span := range recorder.Ended() {
		fmt.Println(span.Name(), span.Attributes()[2].Value.String())
	}
	// Output:
	// <nil>
	// write memory 1
}

// The enricher stores the span of each request in its events, so that deliveries of another process
// can be linked, too.
func ExampleTelemetry_Enrich() {
	tracers := sdktrace.NewTracerProvider()
	telemetry, err := inletotel.New(nil, tracers, &inletotel.Options{StoredLinks: true})
	if err != nil {
		panic(err)
	}
	memory := new(sinks.Memory)
	api, err := inlet.New(telemetry.Sink("memory", memory), &inlet.Options{Enrichers: []inlet.Enricher{telemetry.Enrich}})
	if err != nil {
		panic(err)
	}
	ctx, span := tracers.Tracer("jobs").Start(context.Background(), "send invoices")
	defer span.End()
	if err := api.Ingest(ctx, &inlet.Source{ID: "jobs"}, inlet.NewTrack("user-1", "Invoice Sent", nil)); err != nil {
		panic(err)
	}
	stored, _ := memory.Events()[0].Get("context.traceparent")
	fmt.Println(strings.Contains(string(stored), span.SpanContext().SpanID().String()))
	// Output: true
}

// A delivery of events that no request of this process has brought has a span without links.
func ExampleTelemetry_Delivery() {
	recorder := tracetest.NewSpanRecorder()
	telemetry, err := inletotel.New(nil, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)), nil)
	if err != nil {
		panic(err)
	}
	destination := telemetry.Delivery("warehouse", new(sinks.Memory))
	e := inlet.NewTrack("user-1", "Invoice Sent", nil)
	fmt.Println(destination.Write(context.Background(), []*inlet.Event{e}))
	span := recorder.Ended()[0]
	fmt.Println(span.Name(), len(span.Links()))
	// Output:
	// <nil>
	// deliver warehouse 0
}

func ExampleTelemetry_Watch() {
	reader := sdkmetric.NewManualReader()
	telemetry, err := inletotel.New(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), nil, nil)
	if err != nil {
		panic(err)
	}
	dedupe, err := sinks.NewDedupe(new(sinks.Memory), nil)
	if err != nil {
		panic(err)
	}
	telemetry.Watch("memory", dedupe)
	var measured metricdata.ResourceMetrics
	fmt.Println(reader.Collect(context.Background(), &measured))
	for _, m := range measured.ScopeMetrics[0].Metrics {
		if strings.HasPrefix(m.Name, "inlet.dedupe.") {
			fmt.Println(m.Name, m.Unit)
		}
	}
	// Output:
	// <nil>
	// inlet.dedupe.duplicates {event}
}
