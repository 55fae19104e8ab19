package inletotel

import (
	"maps"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/inlet-go/inlet"
)

// other is the value of an attribute for everything that is not told apart.
const other = "other"

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

// A series has the attributes of what is measured of a request, in the form in which an instrument
// takes them without making anything.
type series struct {
	requests, accepted, rejected, bytes []metric.AddOption
	duration                            []metric.RecordOption
}

func newSeries(k seriesKey) *series {
	dialect, path, source := attribute.String("dialect", valid(k.dialect)), attribute.String("path", valid(k.path)), attribute.String("source", valid(k.source))
	status := attribute.Int("status", k.status)
	return &series{
		requests: []metric.AddOption{with(dialect, path, source, status, attribute.String("code", valid(k.code)))},
		accepted: []metric.AddOption{with(dialect, source, attribute.String("outcome", "accepted"))},
		rejected: []metric.AddOption{with(dialect, source, attribute.String("outcome", "rejected"))},
		bytes:    []metric.AddOption{with(dialect, source)},
		duration: []metric.RecordOption{with(dialect, path, status)},
	}
}

func with(attrs ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attrs...))
}

// A seriesTable has the series of the combinations that were seen. Those that are seen again are
// found without a lock.
type seriesTable struct {
	maxSources, maxSeries int

	read atomic.Pointer[map[seriesKey]*series] // a copy of all, perhaps an older one

	mu      sync.Mutex
	all     map[seriesKey]*series
	sources map[string]bool // that are told apart
	missed  int             // lookups since the copy was made
}

func newSeriesTable(maxSources, maxSeries int) *seriesTable {
	t := &seriesTable{maxSources: maxSources, maxSeries: maxSeries, all: map[seriesKey]*series{}, sources: map[string]bool{}}
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
	if s := t.all[k]; s != nil {
		return s
	}
	bounded := k
	bounded.source = t.source(k.source)
	if t.all[bounded] == nil && len(t.all) >= t.maxSeries {
		bounded = seriesKey{other, other, other, other, k.status}
	}
	s := t.all[bounded]
	if s == nil {
		s = newSeries(bounded)
		t.all[bounded] = s
	}
	return s
}

// source returns the ID of a source as an attribute.
func (t *seriesTable) source(id string) string {
	switch {
	case id == "" || t.sources[id]:
		return id
	case len(t.sources) >= t.maxSources:
		return other
	}
	t.sources[id] = true
	return id
}

// publish makes the copy again once there were as many lookups as it has entries, so that a lookup
// costs a few steps on average. It is called with mu held.
func (t *seriesTable) publish() {
	if t.missed++; t.missed >= len(t.all) && len(*t.read.Load()) < len(t.all) {
		read := maps.Clone(t.all)
		t.read.Store(&read)
		t.missed = 0
	}
}
