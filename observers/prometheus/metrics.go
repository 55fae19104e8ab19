package inletprom

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/metrics"
)

// Options configure [New]. A nil pointer means all defaults.
type Options struct {
	// MaxSources is how many sources are told apart by their ID, up to 1,000,000, in the order in
	// which they first send. The requests of further ones have the source "other". Defaults to
	// 1,000.
	MaxSources int
	// MaxSeries is how many combinations of dialect, path, source, status and code are told
	// apart. Of one source, or of none, it is at most 256; further ones have the source "other".
	// When there are as many as this, further ones have "other" for everything except the
	// status. Each takes about 500 bytes. It is at most 1,000,000. Defaults to 20,000.
	MaxSeries int
	// Buckets are the upper bounds of the classic buckets of inlet_request_duration_seconds and
	// inlet_sink_write_duration_seconds, in seconds, in ascending order, 1 to 50 of them. The
	// same series also have native buckets, for servers that scrape these. Defaults to 14
	// from 500 microseconds to 10 seconds.
	Buckets []float64
	// TraceID returns the id of the trace that a request or write belongs to, "" if there is
	// none, or if it is not recorded. It is called with the context of the outcome or of the
	// write, once for each of them, and may be called concurrently. An id has at most 64 bytes.
	// Defaults to the one that [Metrics.Layer] finds in a header, which clients choose.
	TraceID func(ctx context.Context) string
}

// maxBuckets is how many classic buckets a histogram may have.
const maxBuckets = 50

// withDefaults returns a filled copy. The error names every field at fault.
func (o *Options) withDefaults() (Options, error) {
	var f Options
	if o != nil {
		f = *o
	}
	f.MaxSources = cmp.Or(f.MaxSources, 1000)
	f.MaxSeries = cmp.Or(f.MaxSeries, 20_000)
	f.Buckets = slices.Clone(f.Buckets)
	if f.Buckets == nil {
		f.Buckets = metrics.Buckets()
	}
	return f, check.Options("inletprom", "Options",
		metrics.CheckBounds(f.MaxSources, f.MaxSeries),
		check.AtLeast("len(Buckets)", len(f.Buckets), 1),
		check.AtMost("len(Buckets)", len(f.Buckets), maxBuckets),
		checkBuckets(f.Buckets),
	)
}

// checkBuckets returns the fault of bounds that do not ascend, or are not those of durations.
func checkBuckets(bounds []float64) error {
	const longest = float64(24 * time.Hour / time.Second)
	last := 0.0
	for i, bound := range bounds {
		if !(bound > last) || bound > longest {
			return check.Fault("Buckets", "has %v at index %d: must ascend, from above 0 to at most a day", bound, i)
		}
		last = bound
	}
	return nil
}

// Metrics are the metrics of one server or of several in a process. Its methods may be called
// concurrently. Make one with [New].
type Metrics struct {
	o     Options
	seed  maphash.Seed
	start time.Time
	descs [metrics.Count]*prometheus.Desc

	layered  atomic.Bool // there is a Layer, which counts inFlight
	inFlight atomic.Int64

	unrecorded atomic.Uint64 // refused events

	sources table[string, source]
	series  table[seriesKey, series]
	other   source      // of the sources beyond MaxSources
	closed  atomic.Bool // there are MaxSources sources
	full    atomic.Bool // there are MaxSeries series

	mu        sync.Mutex
	labelled  map[seriesLabels]*series
	bySource  map[string]*source // by label
	durations map[durationLabels]*histogram
	writes    map[string]*sinkSeries // by name

	watched metrics.Watched
}

var _ inlet.Observer = (*Metrics)(nil)

// New returns metrics that are registered with reg. A registry that has such metrics already, as
// from an earlier call, returns these: their options stay. To tell two servers of a process apart,
// register each through [prometheus.WrapRegistererWith], with two values of one label.
//
// The error names the field of the options that is out of range, or is that of reg.
func New(reg prometheus.Registerer, o *Options) (*Metrics, error) {
	filled, err := o.withDefaults()
	if err := errors.Join(check.Options("inletprom", "New", check.NotNil("reg", reg == nil)), err); err != nil {
		return nil, err
	}
	m := &Metrics{
		o: filled, seed: maphash.MakeSeed(), start: time.Now(), descs: newDescs(),
		other:     source{label: metrics.Other, hash: uint64(len(metrics.Other))},
		sources:   newTable[string, source](filled.MaxSources),
		series:    newTable[seriesKey, series](filled.MaxSeries),
		labelled:  make(map[seriesLabels]*series),
		bySource:  make(map[string]*source),
		durations: make(map[durationLabels]*histogram),
		writes:    make(map[string]*sinkSeries),
	}
	m.bySource[metrics.Other] = &m.other
	m.source("")
	err = reg.Register(collector{m})
	if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if c, ok := known.ExistingCollector.(collector); ok {
			return c.m, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// ObserveRequest implements [inlet.Observer]: it counts a request. Give the metrics to the handler
// and, for the requests that layers answer, use [Metrics.Layer], or give them to
// [middleware.Observe] or [middleware.StandardOptions]: each request is counted once.
func (m *Metrics) ObserveRequest(ctx context.Context, o *inlet.Outcome) {
	id := ""
	if o.Source != nil {
		id = o.Source.ID
	}
	s := m.find(seriesKey{source: m.source(id), dialect: o.Dialect, path: o.Path, code: o.Code, status: o.Status})
	s.requests.Add(1)
	s.wireBytes.Add(uint64(o.WireBytes))
	s.bytes.Add(uint64(o.Bytes))
	if o.Accepted > 0 {
		s.accepted.Add(uint64(o.Accepted))
	}
	if o.Rejected > 0 {
		s.rejected.Add(uint64(o.Rejected))
	}
	if o.Unrecorded > 0 {
		m.unrecorded.Add(uint64(o.Unrecorded))
	}
	m.observe(ctx, s.duration, o.Duration)
}

// observe counts a duration, with an exemplar if there is a trace.
func (m *Metrics) observe(ctx context.Context, h *histogram, d time.Duration) {
	bucket := h.observe(d)
	if m.o.TraceID == nil && !m.layered.Load() {
		return
	}
	if id := m.traceID(ctx); id != "" {
		h.keepExemplar(bucket, d, id, time.Since(m.start))
	}
}
