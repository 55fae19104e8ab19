package inletprom

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inlet-go/inlet/internal/metrics"
)

// A collector registers metrics, whose methods are not those of a collector for their users.
type collector struct{ m *Metrics }

var _ prometheus.Collector = collector{}

// newDescs describes the metrics for the client library.
func newDescs() (descs [metrics.Count]*prometheus.Desc) {
	for m := range metrics.Count {
		descs[m] = prometheus.NewDesc(m.PrometheusName(), m.Help(), m.Labels(), nil)
	}
	return descs
}

// Describe implements [prometheus.Collector].
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.m.descs {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := scrape{ch: ch, descs: &c.m.descs}
	c.m.mu.Lock()
	series, durations, writes := c.m.counted()
	c.m.mu.Unlock()
	s.requests(series, c.m)
	for l, h := range durations {
		s.histogram(metrics.RequestDuration, h, l.dialect, l.path, l.status)
	}
	for _, w := range writes {
		s.writes(w)
	}
	c.m.watched.Read(&s)
}

// counted returns what there is to collect. It is called with mu held.
func (m *Metrics) counted() (all []*series, durations map[durationLabels]*histogram, writes []*sinkSeries) {
	return slices.Collect(maps.Values(m.labelled)), maps.Clone(m.durations), slices.Collect(maps.Values(m.writes))
}

// A scrape is one collection.
type scrape struct {
	ch    chan<- prometheus.Metric
	descs *[metrics.Count]*prometheus.Desc
}

// kinds are the kinds of metrics that have one value, as the client library names them. Read-only.
var kinds = [...]prometheus.ValueType{metrics.Counter: prometheus.CounterValue, metrics.Gauge: prometheus.GaugeValue}

// Set implements [metrics.Values].
func (s *scrape) Set(m metrics.Metric, value int64, labels ...string) {
	s.send(m, float64(value), labels...)
}

// SetTime implements [metrics.Values].
func (s *scrape) SetTime(m metrics.Metric, value time.Duration, labels ...string) {
	s.send(m, value.Seconds(), labels...)
}

// send sends a value.
func (s *scrape) send(m metrics.Metric, value float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.descs[m], kinds[m.Kind()], value, labels...)
}

// histogram sends a histogram.
func (s *scrape) histogram(m metrics.Metric, h *histogram, labels ...string) {
	s.ch <- &collected{histogram: h, desc: s.descs[m], labels: prometheus.MakeLabelPairs(s.descs[m], labels)}
}

// sums are what is counted for each source of a dialect.
type sums struct{ accepted, rejected, wireBytes, bytes uint64 }

// requests sends what is counted of requests.
func (s *scrape) requests(all []*series, m *Metrics) {
	type key struct{ dialect, source string }
	bySource := make(map[key]sums)
	for _, one := range all {
		l := &one.labels
		s.send(metrics.Requests, float64(one.requests.Load()), l.dialect, l.path, l.source, l.status, l.code)
		sum := bySource[key{l.dialect, l.source}]
		sum.accepted += one.accepted.Load()
		sum.rejected += one.rejected.Load()
		sum.wireBytes += one.wireBytes.Load()
		sum.bytes += one.bytes.Load()
		bySource[key{l.dialect, l.source}] = sum
	}
	for k, sum := range bySource {
		s.send(metrics.Events, float64(sum.accepted), k.dialect, k.source, "accepted")
		s.send(metrics.Events, float64(sum.rejected), k.dialect, k.source, "rejected")
		s.send(metrics.RequestWire, float64(sum.wireBytes), k.dialect, k.source)
		s.send(metrics.RequestBytes, float64(sum.bytes), k.dialect, k.source)
	}
	s.send(metrics.Unrecorded, float64(m.unrecorded.Load()))
	if m.layered.Load() {
		s.send(metrics.RequestsInFlight, float64(m.inFlight.Load()))
	}
}

// writes sends what is counted of the sinks of one name.
func (s *scrape) writes(w *sinkSeries) {
	for i, result := range metrics.Results {
		s.histogram(metrics.SinkWriteDuration, w.durations[i], w.label, result)
	}
	for i, outcome := range metrics.Outcomes {
		s.send(metrics.SinkEvents, float64(w.events[i].Load()), w.label, outcome)
	}
}
