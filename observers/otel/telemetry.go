package inletotel

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"go.opentelemetry.io/otel/metric"
	nometrics "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	nospans "go.opentelemetry.io/otel/trace/noop"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/metrics"
	"github.com/inlet-go/inlet/middleware"
)

// Telemetry is the metrics and spans of one server or of several in a process. Make one with [New].
//
// Concurrency: its methods may be called concurrently. It has no goroutine and nothing to close;
// the host shuts the providers down.
type Telemetry struct {
	opts   Options
	meter  metric.Meter
	tracer trace.Tracer

	duration, write metric.Float64Histogram
	unrecorded      atomic.Int64
	layered         atomic.Bool // there is a Layer, which counts inFlight
	inFlight        atomic.Int64

	series  *seriesTable
	links   *linkTable
	writes  sinkTable
	watched metrics.Watched
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
	if err := errors.Join(t.buildHistograms(), t.buildCounters()); err != nil {
		return nil, err
	}
	return t, nil
}

// buildHistograms makes the instruments that are called for each request and each write. What is
// counted is read instead, when the SDK collects: a call of an instrument costs about as much as 30
// additions.
//
// Their buckets are those of package inletprom, unless a view of the host's sets others.
func (t *Telemetry) buildHistograms() (err error) {
	timer := func(m metrics.Metric) (metric.Float64Histogram, error) {
		return t.meter.Float64Histogram(m.Name(), metric.WithUnit(m.Unit()), metric.WithDescription(m.Help()),
			metric.WithExplicitBucketBoundaries(metrics.Buckets()...))
	}
	var failed error
	t.duration, err = timer(metrics.RequestDuration)
	t.write, failed = timer(metrics.SinkWriteDuration)
	return errors.Join(err, failed)
}

// Layer counts the requests to next, also those that layers inside answer, and those that are in
// flight: it is the outermost layer, inside of the one that traces requests. A handler inside may
// have t as its Observer, for events of Ingest; requests are counted once.
func (t *Telemetry) Layer(next http.Handler) http.Handler {
	t.layered.Store(true)
	observed := middleware.Observe(t)(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.inFlight.Add(1)
		defer t.inFlight.Add(-1)
		observed.ServeHTTP(w, r)
	})
}

// ObserveRequest implements [inlet.Observer]: it counts a request and its events. Give t to the
// handler and, for the requests that layers answer, use [Telemetry.Layer], or give it to
// [middleware.Observe] or [middleware.StandardOptions]: each request is counted once.
//
// Exemplars: the histogram is given the context of the request, from which an SDK takes the trace
// of a sampled one.
func (t *Telemetry) ObserveRequest(ctx context.Context, o *inlet.Outcome) {
	s := t.series.get(keyOf(o))
	s.requests.Add(1)
	s.of.wireBytes.Add(int64(o.WireBytes))
	s.of.bytes.Add(int64(o.Bytes))
	if o.Accepted > 0 {
		s.of.accepted.Add(int64(o.Accepted))
	}
	if o.Rejected > 0 {
		s.of.rejected.Add(int64(o.Rejected))
	}
	if o.Unrecorded > 0 {
		t.unrecorded.Add(int64(o.Unrecorded))
	}
	t.duration.Record(ctx, o.Duration.Seconds(), s.duration...)
}
