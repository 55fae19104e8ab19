package inletotel

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/metric"
	nometrics "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	nospans "go.opentelemetry.io/otel/trace/noop"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// bucketBounds are the bounds of the buckets of the histograms, in seconds, unless a view of the
// host's sets others.
var bucketBounds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// Telemetry is the metrics and spans of one server or of several in a process. Make one with [New].
//
// It is an [inlet.Observer]: give it to a handler and, for the requests that layers answer, to
// middleware.Observe or middleware.StandardOptions; each request is counted once.
//
// Concurrency: its methods may be called concurrently. It has no goroutine and nothing to close;
// the host shuts the providers down.
type Telemetry struct {
	opts   Options
	meter  metric.Meter
	tracer trace.Tracer

	requests, events, unrecorded, wireBytes, bytes, sinkEvents metric.Int64Counter
	duration, write                                            metric.Float64Histogram

	series  *seriesTable
	links   *linkTable
	watched watched
}

var _ inlet.Observer = (*Telemetry)(nil)

// New returns Telemetry with the instruments of a meter of meters and the spans of a tracer of
// tracers. One of the two may be nil: there are no metrics, or no spans, then. The error names the
// field of the options that is out of range, or is that of meters.
func New(meters metric.MeterProvider, tracers trace.TracerProvider, o *Options) (*Telemetry, error) {
	opts, err := o.withDefaults()
	err = errors.Join(check.Options("inletotel", "New", check.NotNil("both meters and tracers", meters == nil && tracers == nil)), err)
	if err != nil {
		return nil, err
	}
	if meters == nil {
		meters = nometrics.NewMeterProvider()
	}
	if tracers == nil {
		tracers = nospans.NewTracerProvider()
	}
	t := &Telemetry{
		opts: opts, meter: meters.Meter(scope), tracer: tracers.Tracer(scope),
		series: newSeriesTable(opts.MaxSources, opts.MaxSeries), links: newLinkTable(opts.MaxLinked),
	}
	if err := errors.Join(t.build(), t.buildWatched()); err != nil {
		return nil, err
	}
	return t, nil
}

// build makes the instruments of requests and writes.
func (t *Telemetry) build() error {
	var errs []error
	counter := func(name, unit, description string) metric.Int64Counter {
		c, err := t.meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	timer := func(name, description string) metric.Float64Histogram {
		h, err := t.meter.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(bucketBounds...))
		errs = append(errs, err)
		return h
	}
	t.requests = counter("inlet.requests", "{request}", "Requests that were answered, and calls of Ingest.")
	t.events = counter("inlet.events", "{event}", "Events of requests, by whether they were accepted.")
	t.unrecorded = counter("inlet.unrecorded_events", "{event}", "Refused events that were not recorded.")
	t.wireBytes = counter("inlet.request.wire", "By", "Bytes of bodies, as they were sent.")
	t.bytes = counter("inlet.request.bytes", "By", "Bytes of bodies, decompressed.")
	t.sinkEvents = counter("inlet.sink.events", "{event}", "Events of writes to a sink, by whether they were stored.")
	t.duration = timer("inlet.request.duration", "From the call of the handler to its answer.")
	t.write = timer("inlet.sink.write.duration", "From the call of a sink to its return.")
	return errors.Join(errs...)
}

// ObserveRequest implements [inlet.Observer]: it counts a request and its events.
//
// Exemplars: the instruments are given the context of the request, from which an SDK takes the
// trace of a sampled one.
func (t *Telemetry) ObserveRequest(ctx context.Context, o *inlet.Outcome) {
	s := t.series.get(keyOf(o))
	t.requests.Add(ctx, 1, s.requests...)
	if o.Accepted > 0 {
		t.events.Add(ctx, int64(o.Accepted), s.accepted...)
	}
	if o.Rejected > 0 {
		t.events.Add(ctx, int64(o.Rejected), s.rejected...)
	}
	if o.Unrecorded > 0 {
		t.unrecorded.Add(ctx, int64(o.Unrecorded))
	}
	if o.WireBytes > 0 {
		t.wireBytes.Add(ctx, int64(o.WireBytes), s.bytes...)
	}
	if o.Bytes > 0 {
		t.bytes.Add(ctx, int64(o.Bytes), s.bytes...)
	}
	t.duration.Record(ctx, o.Duration.Seconds(), s.duration...)
}
