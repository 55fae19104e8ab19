// Observed is an ingestion server that shows what it does: each event on the page of the inspector,
// figures at /metrics for Prometheus, and spans of OpenTelemetry in a file. The page and the
// metrics are at an address of their own, which clients of the API do not reach. Events are stored
// in a journal, and from there delivered to another file.
//
//	go run ./examples/observed
//
// It prints a write key, a curl command that sends an event, and where to look at it. Ctrl-C stops
// it. docs/METRICS.md has the series, and how Prometheus and Grafana show them; docs/TRACES.md has
// the spans.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inspector"
	"github.com/inlet-go/inlet/middleware"
	inletotel "github.com/inlet-go/inlet/observers/otel"
	inletprom "github.com/inlet-go/inlet/observers/prometheus"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

type config struct{ addr, operators, dir string }

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", "127.0.0.1:8080", "`address` of the API")
	flag.StringVar(&c.operators, "operators", "127.0.0.1:8082", "`address` of the page and the metrics, of the loopback interface")
	flag.StringVar(&c.dir, "dir", "observed-data", "`directory` of the journal and of the file")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, c, os.Stdout); err != nil {
		log.Fatal("observed: ", err)
	}
}

// writeKey is that of the only source.
const writeKey = "observed-key"

// run serves the API, and what operators see, until ctx is done. Then it closes what it has opened.
func run(ctx context.Context, c config, stdout io.Writer) (err error) {
	store, err := journal.Open(filepath.Join(c.dir, "events"), nil)
	if err != nil {
		return err
	}
	defer end(&err, store.Close)
	spans, err := appendTo(filepath.Join(c.dir, "spans.json"))
	if err != nil {
		return err
	}
	defer end(&err, func(context.Context) error { return spans.Close() })
	v, err := newViews(store, spans)
	if err != nil {
		return err
	}
	defer end(&err, v.tracers.Shutdown)
	file, err := appendTo(filepath.Join(c.dir, "delivered.ndjson"))
	if err != nil {
		return err
	}
	defer end(&err, func(context.Context) error { return file.Close() })
	delivery, err := v.deliver(store, file)
	if err != nil {
		return err
	}
	defer end(&err, delivery.Stop) // before the file is closed
	api, err := inlet.New(v.sink("journal", store), &inlet.Options{Observer: v.metrics})
	if err != nil {
		return err
	}
	defer end(&err, api.Shutdown)
	v.metrics.Watch("journal", store)
	v.metrics.WatchHandler("api", api)
	return v.serve(ctx, c, api, stdout)
}

// appendTo opens a file to append to.
func appendTo(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
}

// views are how operators see the server.
type views struct {
	metrics   *inletprom.Metrics
	registry  *prometheus.Registry
	inspector *inspector.Inspector
	telemetry *inletotel.Telemetry
	tracers   *sdktrace.TracerProvider
}

// newViews returns the views of a server that stores its events in a journal. The spans are written
// as JSON; a host would export them to where its other spans are.
func newViews(store *journal.Journal, spans io.Writer) (*views, error) {
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(spans))
	if err != nil {
		return nil, err
	}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	telemetry, err := inletotel.New(nil, tracers, nil) // Prometheus has the metrics
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics, err := inletprom.New(registry, &inletprom.Options{TraceID: sampledTrace})
	if err != nil {
		return nil, err
	}
	insp, err := inspector.New(&inspector.Options{Authorize: inspector.Loopback, Destinations: store.Deliveries})
	if err != nil {
		return nil, err
	}
	return &views{metrics: metrics, registry: registry, inspector: insp, telemetry: telemetry, tracers: tracers}, nil
}

// sampledTrace returns the id of the trace that a request belongs to, for exemplars.
func sampledTrace(ctx context.Context) string {
	if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
		return span.TraceID().String()
	}
	return ""
}

// sink returns a sink that is seen.
func (v *views) sink(name string, s inlet.Sink) inlet.Sink {
	return v.metrics.Sink(name, v.telemetry.Sink(name, v.inspector.Sink(s)))
}

// deliver delivers what the journal has, and will have, to a file. It stands for a destination of
// yours.
func (v *views) deliver(store *journal.Journal, file io.Writer) (*journal.Delivery, error) {
	lines, err := sinks.NewNDJSON(file, nil)
	if err != nil {
		return nil, err
	}
	seen := v.inspector.Destination("file", lines)
	return store.Deliver("file", v.metrics.Sink("file", v.telemetry.Delivery("file", seen)), nil)
}

// layered returns the API with its layers. Those that see requests are the outermost.
func (v *views) layered(api http.Handler) http.Handler {
	keys := inlet.MustKeys(map[string]inlet.Source{writeKey: {ID: "observed"}})
	seen := v.metrics.Layer(v.inspector.Layer(middleware.Standard(keys, nil)(api)))
	return otelhttp.NewHandler(seen, "ingest", otelhttp.WithTracerProvider(v.tracers),
		otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true })) // clients choose no trace
}

// operators returns what is served at the address of the operators.
func (v *views) operators(api *inlet.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", v.inspector)
	mux.Handle("GET /metrics", promhttp.HandlerFor(v.registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.Handle("GET /ready", api.Ready())
	return mux
}

// serve serves both addresses until ctx is done.
func (v *views) serve(ctx context.Context, c config, api *inlet.Handler, stdout io.Writer) (err error) {
	public, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	private, err := net.Listen("tcp", c.operators)
	if err != nil {
		return errors.Join(err, public.Close())
	}
	events := inlet.Harden(&http.Server{Handler: v.layered(api)})
	page := inlet.Harden(&http.Server{Handler: v.operators(api)})
	page.RegisterOnShutdown(v.inspector.Close) // its viewers would be waited for
	defer end(&err, page.Shutdown)             // after that of the API, whose end is still seen
	defer end(&err, events.Shutdown)
	failed := make(chan error, 2)
	go func() { failed <- events.Serve(public) }()
	go func() { failed <- page.Serve(private) }()
	fmt.Fprintf(stdout, `Open http://%[2]s/ in a browser, and send an event with the write key %[3]s:

  curl -u %[3]s: -d '{"event":"Signed Up","userId":"user-1"}' http://%[1]s/v1/track

The figures for Prometheus are at http://%[2]s/metrics.
`, public.Addr(), private.Addr(), writeKey)
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	return err
}

// end calls a function that closes something, and adds its error to another one.
func end(err *error, f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	*err = errors.Join(*err, f(ctx))
}
