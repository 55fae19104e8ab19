package inletotel

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/guard"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

// buildCounters makes the instruments that are read when the SDK collects.
func (t *Telemetry) buildCounters() error {
	kinds, errs := catalogue(), [instrumentCount]error{}
	instruments := make([]metric.Observable, instrumentCount)
	for i := range kinds {
		instruments[i], errs[i] = kinds[i].build(t.meter)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	_, err := t.meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		c := collection{to: to, instruments: instruments}
		c.requests(t)
		c.watched(&t.watched)
		return nil
	}, instruments...)
	return err
}

// A collection is one reading of everything that is watched.
type collection struct {
	to          metric.Observer
	instruments []metric.Observable
}

// watched reads what is watched. A part that panics is counted, and the others are read: the SDK
// collects in a goroutine of its own, whose panic would end the process, and exports nothing after
// an error.
func (c *collection) watched(w *watched) {
	for _, read := range w.copied() {
		var err error
		guard.Call(&err, func() error {
			read(c)
			return nil
		})
		if err != nil {
			w.panics.Add(1)
		}
	}
	set(c, watchPanics, w.panics.Load(), with())
}

// set sets a value.
func set[N int | int64 | uint64](c *collection, instrument int, value N, of metric.ObserveOption) {
	if i, ok := c.instruments[instrument].(metric.Int64Observable); ok {
		c.to.ObserveInt64(i, int64(value), of)
	}
}

// setTime sets a value in seconds.
func (c *collection) setTime(instrument int, value time.Duration, of metric.ObserveOption) {
	if i, ok := c.instruments[instrument].(metric.Float64Observable); ok {
		c.to.ObserveFloat64(i, value.Seconds(), of)
	}
}

// setFlag sets 1 for true.
func (c *collection) setFlag(instrument int, value bool, of metric.ObserveOption) {
	n := 0
	if value {
		n = 1
	}
	set(c, instrument, n, of)
}

// requests reads what was counted of requests and of writes.
func (c *collection) requests(t *Telemetry) {
	all, bySource := t.series.copied()
	for _, s := range all {
		set(c, requestCount, s.requests.Load(), s.labels)
	}
	for _, s := range bySource {
		set(c, requestEvents, s.accepted.Load(), s.acceptedLabels)
		set(c, requestEvents, s.rejected.Load(), s.rejectedLabels)
		set(c, requestWire, s.wireBytes.Load(), s.labels)
		set(c, requestBytes, s.bytes.Load(), s.labels)
	}
	set(c, requestUnrecorded, t.unrecorded.Load(), with())
	if t.layered.Load() {
		set(c, requestsInFlight, t.inFlight.Load(), with())
	}
	for _, s := range t.writes.copied() {
		for i := range s.events {
			set(c, sinkEvents, s.events[i].Load(), s.labels[i])
		}
	}
}

// sink reads what the sinks of a chain have counted.
func (c *collection) sink(name string, chain inlet.Sink) {
	if j, ok := inlet.As[*journal.Journal](chain); ok {
		c.journal(name, j)
	}
	sink := attribute.String("sink", name)
	of := with(sink)
	if d, ok := inlet.As[*sinks.Dedupe](chain); ok {
		set(c, dedupeDuplicates, d.Stats().Duplicates, of)
	}
	if f, ok := inlet.As[*sinks.Filter](chain); ok {
		set(c, filterDropped, f.Stats().Dropped, of)
	}
	if r, ok := inlet.As[*sinks.Retry](chain); ok {
		set(c, retryAttempts, r.Stats().Retries, of)
	}
	if t, ok := inlet.As[*sinks.Timeout](chain); ok {
		s := t.Stats()
		set(c, timeoutHanging, s.Hanging, of)
		set(c, timeoutPanics, s.Panics, of)
	}
	if b, ok := inlet.As[*sinks.Batch](chain); ok {
		s := b.Stats()
		set(c, batchPending, s.Pending, of)
		set(c, batchFailed, s.Failed, of)
	}
	if d, ok := inlet.As[*sinks.DeadLetter](chain); ok {
		set(c, deadLetters, d.Stats().Letters, of)
	}
	c.several(sink, chain)
}

// several reads what the outermost sinks of a chain have counted that write to several others.
func (c *collection) several(sink attribute.KeyValue, chain inlet.Sink) {
	if f, ok := inlet.As[*sinks.Fanout](chain); ok {
		for _, leg := range f.Stats().Legs {
			of := with(sink, attribute.String("leg", valid(leg.Name)))
			set(c, fanoutStored, leg.Stored, of)
			set(c, fanoutFailed, leg.Failed, of)
		}
	}
	if f, ok := inlet.As[*sinks.Fallback](chain); ok {
		s := f.Stats()
		c.setFlag(fallbackDown, s.Down, with(sink))
		set(c, fallbackFailed, s.Failures, with(sink))
		set(c, fallbackEvents, s.Front, with(sink, attribute.String("side", "front")))
		set(c, fallbackEvents, s.Back, with(sink, attribute.String("side", "back")))
	}
}

// journal reads what a journal and its deliveries have counted.
func (c *collection) journal(name string, j *journal.Journal) {
	journal, s := attribute.String("journal", name), j.Stats()
	of := with(journal)
	for instrument, value := range map[int]uint64{
		journalEvents: s.Events, journalRefused: s.Refused, journalWritten: s.Bytes, journalWrites: s.Groups, journalFsyncs: s.Fsyncs,
		journalSegments: s.Segments, journalDamaged: s.Damaged, journalRemoved: s.Removed, journalRenumbered: s.Renumbered,
		journalDiscarded: s.Discarded, journalLast: s.LastSeq,
	} {
		set(c, instrument, value, of)
	}
	set(c, journalRetained, s.Retained, of)
	set(c, journalDead, s.DeadLetters, of)
	set(c, journalQuarantined, s.Quarantined, of)
	set(c, journalQueue, s.QueueBytes, of)
	c.setTime(journalBusy, s.Busy, of)
	for _, d := range j.Deliveries() {
		c.delivery(&d, with(journal, attribute.String("destination", d.Name)))
	}
}

// delivery reads the stats of a delivery.
func (c *collection) delivery(s *journal.DeliveryStats, of metric.ObserveOption) {
	for instrument, value := range map[int]uint64{
		deliveryPosition: s.Position, deliverySaved: s.Saved, deliveryBehind: s.Behind, deliveryDelivered: s.Delivered,
		deliveryRefused: s.Refused, deliveryRedriven: s.Redriven, deliveryRemoved: s.Removed, deliveryDropped: s.Dropped,
	} {
		set(c, instrument, value, of)
	}
	set(c, deliveryFailures, s.Failures, of)
	c.setTime(deliveryAge, s.Age, of)
	c.setFlag(deliveryRunning, s.Running, of)
	c.setFlag(deliveryPaused, s.Paused != "", of)
}

// handler reads how much memory the requests of a handler use.
func (c *collection) handler(name string, h *inlet.Handler) {
	of := with(attribute.String("handler", name))
	used, limit := h.Memory()
	set(c, memoryUsed, used, of)
	set(c, memoryLimit, limit, of)
}

// limiter reads what a limiter in memory has counted.
func (c *collection) limiter(name string, l *middleware.MemoryLimiter) {
	s, of := l.Stats(), with(attribute.String("limiter", name))
	set(c, limiterCharges, s.Charges, of)
	set(c, limiterRefused, s.Refused, of)
	set(c, limiterEvicted, s.Evicted, of)
}

// sharedLimiter reads what a shared limiter has counted.
func (c *collection) sharedLimiter(name string, stats func() SharedLimiterStats) {
	s, of := stats(), with(attribute.String("limiter", name))
	set(c, sharedCharges, s.Charges, of)
	set(c, sharedExchanges, s.Exchanges, of)
	set(c, sharedFailures, s.Failures, of)
	set(c, sharedKeys, s.Keys, of)
}

// keys reads what a cache of keys has counted.
func (c *collection) keys(name string, cache KeyCache) {
	s, of := cache.Stats(), with(attribute.String("cache", name))
	set(c, cacheKnown, s.Known, of)
	set(c, cacheRefused, s.Refused, of)
	set(c, cacheInFlight, s.InFlight, of)
	set(c, cacheHits, s.Hits, of)
	set(c, cacheLookups, s.Lookups, of)
	set(c, cacheFailed, s.Failed, of)
	set(c, cacheStale, s.Stale, of)
}

// plan reads what was counted of the plan in use. Events and their fields, which clients choose,
// are in no attribute.
func (c *collection) plan(name string, stats func() plan.Stats) {
	s := stats()
	of := func(more ...attribute.KeyValue) metric.ObserveOption {
		return with(append(more, attribute.String("plan", name), attribute.String("name", valid(s.Name)), attribute.String("version", valid(s.Version)))...)
	}
	set(c, planEvents, s.Clean, of(attribute.String("outcome", "clean")))
	set(c, planEvents, s.Observed, of(attribute.String("outcome", "observed")))
	set(c, planEvents, s.Quarantined, of(attribute.String("outcome", "quarantined")))
	set(c, planEvents, s.Rejected, of(attribute.String("outcome", "rejected")))
	for _, k := range s.Kinds {
		set(c, planViolating, k.Events, of(attribute.String("kind", k.Kind.String()), attribute.String("mode", k.Mode.String())))
	}
	c.setTime(planStart, s.Since.Sub(time.Unix(0, 0)), of())
}

// maxText is how many bytes of a name an attribute has.
const maxText = 256

// valid returns a name as exporters can send it, which is the label that package inletprom makes of
// it.
func valid(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	return strings.Clone(text)
}
