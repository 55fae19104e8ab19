package inletprom

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/guard"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

// A collector registers metrics, whose methods are not those of a collector for their users.
type collector struct{ m *Metrics }

var _ prometheus.Collector = collector{}

// newDescs describes the metrics for the client library.
func newDescs() (descs [metricCount]*prometheus.Desc) {
	for i, d := range catalogue {
		descs[i] = prometheus.NewDesc(d.name, d.help, strings.Fields(d.labels), nil)
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
	s := scrape{ch: ch, descs: &c.m.descs, sent: make(map[string]bool)}
	c.m.mu.Lock()
	series, durations, writes, watched := c.m.counted()
	c.m.mu.Unlock()
	s.requests(series, c.m)
	for l, h := range durations {
		s.histogram(durationMetric, h, l.dialect, l.path, l.status)
	}
	for _, w := range writes {
		s.writes(w)
	}
	s.watched(&watched)
	c.m.panics.Add(s.panics)
	s.send(watchPanicsMetric, float64(c.m.panics.Load()))
}

// counted returns what there is to collect. It is called with mu held.
func (m *Metrics) counted() (all []*series, durations map[durationLabels]*histogram, writes []*sinkSeries, w watched) {
	all = make([]*series, 0, len(m.labelled))
	for _, s := range m.labelled {
		all = append(all, s)
	}
	durations = maps.Clone(m.durations)
	return all, durations, slices.Collect(maps.Values(m.writes)), m.watched.copied()
}

// A scrape is one collection.
type scrape struct {
	ch    chan<- prometheus.Metric
	descs *[metricCount]*prometheus.Desc
	sent  map[string]bool // of what is watched: two names may be one label

	panics uint64 // of what is watched
}

// send sends a value.
func (s *scrape) send(metric int, value float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.descs[metric], catalogue[metric].kind, value, labels...)
}

// histogram sends a histogram.
func (s *scrape) histogram(metric int, h *histogram, labels ...string) {
	s.ch <- &collected{histogram: h, desc: s.descs[metric], labels: prometheus.MakeLabelPairs(s.descs[metric], labels)}
}

// sums are what is counted for each source of a dialect.
type sums struct{ accepted, rejected, wireBytes, bytes uint64 }

// requests sends what is counted of requests.
func (s *scrape) requests(all []*series, m *Metrics) {
	type key struct{ dialect, source string }
	bySource := make(map[key]sums)
	for _, one := range all {
		l := &one.labels
		s.send(requestsMetric, float64(one.requests.Load()), l.dialect, l.path, l.source, l.status, l.code)
		sum := bySource[key{l.dialect, l.source}]
		sum.accepted += one.accepted.Load()
		sum.rejected += one.rejected.Load()
		sum.wireBytes += one.wireBytes.Load()
		sum.bytes += one.bytes.Load()
		bySource[key{l.dialect, l.source}] = sum
	}
	for k, sum := range bySource {
		s.send(eventsMetric, float64(sum.accepted), k.dialect, k.source, "accepted")
		s.send(eventsMetric, float64(sum.rejected), k.dialect, k.source, "rejected")
		s.send(wireBytesMetric, float64(sum.wireBytes), k.dialect, k.source)
		s.send(bytesMetric, float64(sum.bytes), k.dialect, k.source)
	}
	s.send(unrecordedMetric, float64(m.unrecorded.Load()))
	if m.layered.Load() {
		s.send(inFlightMetric, float64(m.inFlight.Load()))
	}
}

// writes sends what is counted of the sinks of one name.
func (s *scrape) writes(w *sinkSeries) {
	for i, result := range resultLabels {
		s.histogram(sinkDurationMetric, w.durations[i], w.label, result)
	}
	for i, outcome := range outcomeLabels {
		s.send(sinkEventsMetric, float64(w.events[i].Load()), w.label, outcome)
	}
}

// watched sends what is watched.
func (s *scrape) watched(w *watched) {
	each(s, w.sinks, s.sink)
	each(s, w.handlers, s.handler)
	each(s, w.limiters, s.limiter)
	each(s, w.shared, s.sharedLimiter)
	each(s, w.keys, s.keys)
	each(s, w.plans, s.plan)
}

// each calls send for everything of one kind that is watched. The client library collects in
// goroutines of its own, so a panic would end the process.
func each[T any](s *scrape, all map[string]T, send func(label string, watched T)) {
	for name, watched := range all {
		var err error
		guard.Call(&err, func() error {
			send(labelOf(name), watched)
			return nil
		})
		if err != nil {
			s.panics++
		}
	}
}

// handler sends how much memory the requests of a handler use.
func (s *scrape) handler(name string, h *inlet.Handler) {
	used, limit := h.Memory()
	s.pull(memoryUsedMetric, float64(used), name)
	s.pull(memoryLimitMetric, float64(limit), name)
}

// pull sends a value of something that is watched, unless there is one for these labels.
func (s *scrape) pull(metric int, value float64, labels ...string) {
	id := catalogue[metric].name + "\xff" + strings.Join(labels, "\xff")
	if !s.sent[id] {
		s.sent[id] = true
		s.send(metric, value, labels...)
	}
}

// boolean returns 1 for true.
func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// sink sends what the sinks of a chain have counted.
func (s *scrape) sink(name string, chain inlet.Sink) {
	if j, ok := inlet.As[*journal.Journal](chain); ok {
		s.journal(name, j)
	}
	if d, ok := inlet.As[*sinks.Dedupe](chain); ok {
		s.pull(duplicatesMetric, float64(d.Stats().Duplicates), name)
	}
	if f, ok := inlet.As[*sinks.Filter](chain); ok {
		s.pull(filteredMetric, float64(f.Stats().Dropped), name)
	}
	if r, ok := inlet.As[*sinks.Retry](chain); ok {
		s.pull(retriesMetric, float64(r.Stats().Retries), name)
	}
	if t, ok := inlet.As[*sinks.Timeout](chain); ok {
		stats := t.Stats()
		s.pull(hangingMetric, float64(stats.Hanging), name)
		s.pull(panicsMetric, float64(stats.Panics), name)
	}
	if b, ok := inlet.As[*sinks.Batch](chain); ok {
		stats := b.Stats()
		s.pull(pendingMetric, float64(stats.Pending), name)
		s.pull(batchFailedMetric, float64(stats.Failed), name)
	}
	if d, ok := inlet.As[*sinks.DeadLetter](chain); ok {
		s.pull(lettersMetric, float64(d.Stats().Letters), name)
	}
	if f, ok := inlet.As[*sinks.Fanout](chain); ok {
		for _, leg := range f.Stats().Legs {
			s.pull(legStoredMetric, float64(leg.Stored), name, labelOf(leg.Name))
			s.pull(legFailedMetric, float64(leg.Failed), name, labelOf(leg.Name))
		}
	}
	if f, ok := inlet.As[*sinks.Fallback](chain); ok {
		stats := f.Stats()
		s.pull(fallbackDownMetric, boolean(stats.Down), name)
		s.pull(fallbackFailedMetric, float64(stats.Failures), name)
		s.pull(fallbackEventsMetric, float64(stats.Front), name, "front")
		s.pull(fallbackEventsMetric, float64(stats.Back), name, "back")
	}
}

// journal sends what a journal and its deliveries have counted.
func (s *scrape) journal(name string, j *journal.Journal) {
	stats := j.Stats()
	for metric, value := range map[int]float64{
		journalEventsMetric:      float64(stats.Events),
		journalRefusedMetric:     float64(stats.Refused),
		journalBytesMetric:       float64(stats.Bytes),
		journalWritesMetric:      float64(stats.Groups),
		journalFsyncsMetric:      float64(stats.Fsyncs),
		journalSegmentsMetric:    float64(stats.Segments),
		journalDamagedMetric:     float64(stats.Damaged),
		journalRemovedMetric:     float64(stats.Removed),
		journalRenumberedMetric:  float64(stats.Renumbered),
		journalDiscardedMetric:   float64(stats.Discarded),
		journalLastMetric:        float64(stats.LastSeq),
		journalRetainedMetric:    float64(stats.Retained),
		journalDeadMetric:        float64(stats.DeadLetters),
		journalQuarantinedMetric: float64(stats.Quarantined),
		journalQueueMetric:       float64(stats.QueueBytes),
		journalBusyMetric:        stats.Busy.Seconds(),
	} {
		s.pull(metric, value, name)
	}
	for _, d := range j.Deliveries() {
		s.delivery(name, &d)
	}
}

// delivery sends the stats of a delivery.
func (s *scrape) delivery(name string, d *journal.DeliveryStats) {
	for metric, value := range map[int]float64{
		deliveryRunningMetric:   boolean(d.Running),
		deliveryPositionMetric:  float64(d.Position),
		deliverySavedMetric:     float64(d.Saved),
		deliveryBehindMetric:    float64(d.Behind),
		deliveryAgeMetric:       d.Age.Seconds(),
		deliveryDeliveredMetric: float64(d.Delivered),
		deliveryRefusedMetric:   float64(d.Refused),
		deliveryRedrivenMetric:  float64(d.Redriven),
		deliveryRemovedMetric:   float64(d.Removed),
		deliveryDroppedMetric:   float64(d.Dropped),
		deliveryPausedMetric:    boolean(d.Paused != ""),
		deliveryFailuresMetric:  float64(d.Failures),
	} {
		s.pull(metric, value, name, labelOf(d.Name))
	}
}

// limiter sends what a limiter in memory has counted.
func (s *scrape) limiter(name string, l *middleware.MemoryLimiter) {
	stats := l.Stats()
	s.pull(chargesMetric, float64(stats.Charges), name)
	s.pull(limitedMetric, float64(stats.Refused), name)
	s.pull(evictedMetric, float64(stats.Evicted), name)
}

// sharedLimiter sends what a shared limiter has counted.
func (s *scrape) sharedLimiter(name string, read func() SharedLimiterStats) {
	stats := read()
	s.pull(sharedChargesMetric, float64(stats.Charges), name)
	s.pull(sharedExchangesMetric, float64(stats.Exchanges), name)
	s.pull(sharedFailuresMetric, float64(stats.Failures), name)
	s.pull(sharedKeysMetric, float64(stats.Keys), name)
}

// keys sends what a cache of keys has counted.
func (s *scrape) keys(name string, c KeyCache) {
	stats := c.Stats()
	s.pull(keysKnownMetric, float64(stats.Known), name)
	s.pull(keysRefusedMetric, float64(stats.Refused), name)
	s.pull(keysInFlightMetric, float64(stats.InFlight), name)
	s.pull(keysHitsMetric, float64(stats.Hits), name)
	s.pull(keysLookupsMetric, float64(stats.Lookups), name)
	s.pull(keysFailedMetric, float64(stats.Failed), name)
	s.pull(keysStaleMetric, float64(stats.Stale), name)
}

// plan sends what was counted of the plan in use. Events and their fields, which clients choose,
// are in no label.
func (s *scrape) plan(name string, read func() plan.Stats) {
	stats := read()
	of := func(more ...string) []string {
		return append([]string{name, labelOf(stats.Name), labelOf(stats.Version)}, more...)
	}
	s.pull(planEventsMetric, float64(stats.Clean), of("clean")...)
	s.pull(planEventsMetric, float64(stats.Observed), of("observed")...)
	s.pull(planEventsMetric, float64(stats.Quarantined), of("quarantined")...)
	s.pull(planEventsMetric, float64(stats.Rejected), of("rejected")...)
	for _, k := range stats.Kinds {
		s.pull(planViolatingMetric, float64(k.Events), of(k.Kind.String(), k.Mode.String())...)
	}
	s.pull(planStartMetric, stats.Since.Sub(time.Unix(0, 0)).Seconds(), of()...)
}
