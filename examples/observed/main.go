// Observed is an ingestion server that shows what it does: each event on the page of the inspector,
// and figures at /metrics for Prometheus. Both are at an address of their own, which clients of the
// API do not reach. Events are stored in a journal, and from there delivered to a file.
//
//	go run ./examples/observed
//
// It prints a write key, a curl command that sends an event, and where to look at it. Ctrl-C stops
// it. docs/METRICS.md has the series, and how Prometheus and Grafana show them.
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

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/inspector"
	"github.com/inlet-go/inlet/middleware"
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
	v, err := newViews(store)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(c.dir, "delivered.ndjson"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
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

// views are how operators see the server.
type views struct {
	metrics   *inletprom.Metrics
	registry  *prometheus.Registry
	inspector *inspector.Inspector
}

// newViews returns the views of a server that stores its events in a journal.
func newViews(store *journal.Journal) (*views, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics, err := inletprom.New(registry, nil)
	if err != nil {
		return nil, err
	}
	insp, err := inspector.New(&inspector.Options{Authorize: inspector.Loopback, Destinations: store.Deliveries})
	if err != nil {
		return nil, err
	}
	return &views{metrics: metrics, registry: registry, inspector: insp}, nil
}

// sink returns a sink that is seen.
func (v *views) sink(name string, s inlet.Sink) inlet.Sink {
	return v.metrics.Sink(name, v.inspector.Sink(s))
}

// deliver delivers what the journal has, and will have, to a file. It stands for a destination of
// yours.
func (v *views) deliver(store *journal.Journal, file io.Writer) (*journal.Delivery, error) {
	lines, err := sinks.NewNDJSON(file, nil)
	if err != nil {
		return nil, err
	}
	return store.Deliver("file", v.metrics.Sink("file", v.inspector.Destination("file", lines)), nil)
}

// layered returns the API with its layers. Those that see requests are the outermost.
func (v *views) layered(api http.Handler) http.Handler {
	keys := inlet.MustKeys(map[string]inlet.Source{writeKey: {ID: "observed"}})
	return v.metrics.Layer(v.inspector.Layer(middleware.Standard(keys, nil)(api)))
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
