package inletotel

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/metrics"
)

// A seriesKey is what of an outcome becomes attributes.
type seriesKey struct {
	dialect, path, source, code string
	status                      int
}

func keyOf(o *inlet.Outcome) seriesKey {
	k := seriesKey{dialect: o.Dialect, path: o.Path, code: string(o.Code), status: o.Status}
	if o.Source != nil {
		k.source = o.Source.ID
	}
	return k
}

// clone returns a copy, which keeps nothing of a request in memory.
func (k seriesKey) clone() seriesKey {
	return seriesKey{strings.Clone(k.dialect), strings.Clone(k.path), strings.Clone(k.source), strings.Clone(k.code), k.status}
}

// A series counts the requests of a combination.
type series struct {
	labels   metric.ObserveOption
	duration []metric.RecordOption
	requests atomic.Int64
	of       *sourceSeries
}

func newSeries(k seriesKey, of *sourceSeries) *series {
	dialect, path, status := attribute.String("dialect", k.dialect), attribute.String("path", k.path), attribute.Int("status", k.status)
	return &series{
		labels:   with(dialect, path, attribute.String("source", k.source), status, attribute.String("code", k.code)),
		duration: []metric.RecordOption{with(dialect, path, status)},
		of:       of,
	}
}

// A sourceKey is a source and a dialect that it uses.
type sourceKey struct{ dialect, source string }

// A sourceSeries counts what a source sends in a dialect.
type sourceSeries struct {
	labels, acceptedLabels, rejectedLabels metric.ObserveOption
	accepted, rejected, wireBytes, bytes   atomic.Int64
}

func newSourceSeries(k sourceKey) *sourceSeries {
	dialect, source := attribute.String("dialect", k.dialect), attribute.String("source", k.source)
	return &sourceSeries{
		labels:         with(dialect, source),
		acceptedLabels: with(dialect, source, attribute.String("outcome", "accepted")),
		rejectedLabels: with(dialect, source, attribute.String("outcome", "rejected")),
	}
}

func with(attrs ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}

// A seriesTable has the series of the combinations that were seen. Those that are seen again are
// found without a lock.
type seriesTable struct {
	maxSources, maxSeries int

	read atomic.Pointer[map[seriesKey]*series] // a copy of seen, perhaps an older one

	mu       sync.Mutex
	all      map[seriesKey]*series // by their attributes
	seen     map[seriesKey]*series // by what was looked up
	bySource map[sourceKey]*sourceSeries
	sources  map[string]int // that are told apart, with how many combinations of theirs
	missed   int            // lookups since the copy was made
}

func newSeriesTable(maxSources, maxSeries int) *seriesTable {
	t := &seriesTable{
		maxSources: maxSources, maxSeries: maxSeries,
		all: map[seriesKey]*series{}, seen: map[seriesKey]*series{}, bySource: map[sourceKey]*sourceSeries{}, sources: map[string]int{"": 0},
	}
	t.read.Store(new(map[seriesKey]*series))
	return t
}

// get returns the series of a combination.
func (t *seriesTable) get(k seriesKey) *series {
	if s := (*t.read.Load())[k]; s != nil {
		return s
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.publish()
	s := t.seen[k]
	if s == nil {
		s = t.find(k)
		if len(t.seen) < 2*t.maxSeries {
			t.seen[k.clone()] = s
		}
	}
	return s
}

// find returns the series of a combination that was not looked up before. It is called with mu
// held.
func (t *seriesTable) find(k seriesKey) *series {
	k = seriesKey{metrics.Label(k.dialect), metrics.Label(k.path), t.source(metrics.Label(k.source)), metrics.Label(k.code), k.status}
	if t.all[k] == nil && t.sources[k.source] >= metrics.SourceSeries {
		k.source = metrics.Other
	}
	if t.all[k] == nil && len(t.all) >= t.maxSeries {
		k = seriesKey{metrics.Other, metrics.Other, metrics.Other, metrics.Other, k.status}
	}
	s := t.all[k]
	if s == nil {
		if _, known := t.sources[k.source]; known {
			t.sources[k.source]++
		}
		k = k.clone()
		s = newSeries(k, t.ofSource(sourceKey{k.dialect, k.source}))
		t.all[k] = s
	}
	return s
}

// ofSource returns the series of a source and a dialect. It is called with mu held.
func (t *seriesTable) ofSource(k sourceKey) *sourceSeries {
	s := t.bySource[k]
	if s == nil {
		s = newSourceSeries(k)
		t.bySource[k] = s
	}
	return s
}

// copied returns all series.
func (t *seriesTable) copied() ([]*series, []*sourceSeries) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.all)), slices.Collect(maps.Values(t.bySource))
}

// source returns the attribute of a source, which its ID is as a label. It is called with mu held.
func (t *seriesTable) source(id string) string {
	if _, known := t.sources[id]; known {
		return id
	}
	if len(t.sources) > t.maxSources { // "" is that of requests without one
		return metrics.Other
	}
	t.sources[strings.Clone(id)] = 0
	return id
}

// publish makes the copy again once there were as many lookups as it has entries, so that a lookup
// costs a few steps on average. It is called with mu held.
func (t *seriesTable) publish() {
	if t.missed++; t.missed >= len(t.seen) && len(*t.read.Load()) < len(t.seen) {
		read := maps.Clone(t.seen)
		t.read.Store(&read)
		t.missed = 0
	}
}
