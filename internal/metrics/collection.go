package metrics

import (
	"strings"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/middleware"
	"github.com/inlet-go/inlet/plan"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinks/journal"
)

// Values is given the value of each series once, with the values of its labels in the order of
// [Metric.Labels].
type Values interface {
	// Set is given a number.
	Set(m Metric, value int64, labels ...string)
	// SetTime is given the value of a metric in seconds.
	SetTime(m Metric, value time.Duration, labels ...string)
}

// A collection is one reading of everything that is watched.
type collection struct {
	to   Values
	sent map[series]bool // two names may be one label
}

// A series is a metric with the values of its labels, joined.
type series struct {
	metric Metric
	labels string
}

// first reports whether there was no value for a series yet.
func (c *collection) first(m Metric, labels []string) bool {
	s := series{m, strings.Join(labels, "\xff")}
	if c.sent[s] {
		return false
	}
	c.sent[s] = true
	return true
}

// set sets a number, unless there is one for these labels.
func set[N int | int64 | uint64](c *collection, m Metric, value N, labels ...string) {
	if c.first(m, labels) {
		c.to.Set(m, int64(value), labels...)
	}
}

// setTime sets a value in seconds, unless there is one for these labels.
func (c *collection) setTime(m Metric, value time.Duration, labels ...string) {
	if c.first(m, labels) {
		c.to.SetTime(m, value, labels...)
	}
}

// setFlag sets 1 for true.
func (c *collection) setFlag(m Metric, value bool, labels ...string) {
	n := 0
	if value {
		n = 1
	}
	set(c, m, n, labels...)
}

// sink reads what the sinks of a chain have counted.
func (c *collection) sink(name string, chain inlet.Sink) {
	if j, ok := inlet.As[*journal.Journal](chain); ok {
		c.journal(name, j)
	}
	if d, ok := inlet.As[*sinks.Dedupe](chain); ok {
		set(c, DedupeDuplicates, d.Stats().Duplicates, name)
	}
	if f, ok := inlet.As[*sinks.Filter](chain); ok {
		set(c, FilterDropped, f.Stats().Dropped, name)
	}
	if r, ok := inlet.As[*sinks.Retry](chain); ok {
		set(c, RetryAttempts, r.Stats().Retries, name)
	}
	if t, ok := inlet.As[*sinks.Timeout](chain); ok {
		s := t.Stats()
		set(c, TimeoutHanging, s.Hanging, name)
		set(c, TimeoutPanics, s.Panics, name)
	}
	if b, ok := inlet.As[*sinks.Batch](chain); ok {
		s := b.Stats()
		set(c, BatchPending, s.Pending, name)
		set(c, BatchFailed, s.Failed, name)
	}
	if d, ok := inlet.As[*sinks.DeadLetter](chain); ok {
		set(c, DeadLetters, d.Stats().Letters, name)
	}
	c.several(name, chain)
}

// several reads what the outermost sinks of a chain have counted that write to several others.
func (c *collection) several(name string, chain inlet.Sink) {
	if f, ok := inlet.As[*sinks.Fanout](chain); ok {
		for _, leg := range f.Stats().Legs {
			set(c, FanoutStored, leg.Stored, name, Label(leg.Name))
			set(c, FanoutFailed, leg.Failed, name, Label(leg.Name))
		}
	}
	if f, ok := inlet.As[*sinks.Fallback](chain); ok {
		s := f.Stats()
		c.setFlag(FallbackDown, s.Down, name)
		set(c, FallbackFailed, s.Failures, name)
		set(c, FallbackEvents, s.Front, name, "front")
		set(c, FallbackEvents, s.Back, name, "back")
	}
}

// journal reads what a journal and its deliveries have counted.
func (c *collection) journal(name string, j *journal.Journal) {
	s := j.Stats()
	set(c, JournalEvents, s.Events, name)
	set(c, JournalRefused, s.Refused, name)
	set(c, JournalWritten, s.Bytes, name)
	set(c, JournalWrites, s.Groups, name)
	set(c, JournalFsyncs, s.Fsyncs, name)
	set(c, JournalSegments, s.Segments, name)
	set(c, JournalDamaged, s.Damaged, name)
	set(c, JournalRemoved, s.Removed, name)
	set(c, JournalRenumbered, s.Renumbered, name)
	set(c, JournalDiscarded, s.Discarded, name)
	set(c, JournalLast, s.LastSeq, name)
	set(c, JournalRetained, s.Retained, name)
	set(c, JournalDead, s.DeadLetters, name)
	set(c, JournalQuarantined, s.Quarantined, name)
	set(c, JournalQueue, s.QueueBytes, name)
	c.setTime(JournalBusy, s.Busy, name)
	for _, d := range j.Deliveries() {
		c.delivery(name, &d)
	}
}

// delivery reads the stats of a delivery.
func (c *collection) delivery(journal string, s *journal.DeliveryStats) {
	destination := Label(s.Name)
	c.setFlag(DeliveryRunning, s.Running, journal, destination)
	set(c, DeliveryPosition, s.Position, journal, destination)
	set(c, DeliverySaved, s.Saved, journal, destination)
	set(c, DeliveryBehind, s.Behind, journal, destination)
	c.setTime(DeliveryAge, s.Age, journal, destination)
	set(c, DeliveryDelivered, s.Delivered, journal, destination)
	set(c, DeliveryRefused, s.Refused, journal, destination)
	set(c, DeliveryRedriven, s.Redriven, journal, destination)
	set(c, DeliveryRemoved, s.Removed, journal, destination)
	set(c, DeliveryDropped, s.Dropped, journal, destination)
	c.setFlag(DeliveryPaused, s.Paused != "", journal, destination)
	set(c, DeliveryFailures, s.Failures, journal, destination)
}

// handler reads how much memory the requests of a handler use.
func (c *collection) handler(name string, h *inlet.Handler) {
	used, limit := h.Memory()
	set(c, MemoryUsed, used, name)
	set(c, MemoryLimit, limit, name)
}

// limiter reads what a limiter in memory has counted.
func (c *collection) limiter(name string, l *middleware.MemoryLimiter) {
	s := l.Stats()
	set(c, LimiterCharges, s.Charges, name)
	set(c, LimiterRefused, s.Refused, name)
	set(c, LimiterEvicted, s.Evicted, name)
}

// sharedLimiter reads what a shared limiter has counted.
func (c *collection) sharedLimiter(name string, stats func() SharedLimiterStats) {
	s := stats()
	set(c, SharedCharges, s.Charges, name)
	set(c, SharedExchanges, s.Exchanges, name)
	set(c, SharedFailures, s.Failures, name)
	set(c, SharedKeys, s.Keys, name)
}

// keys reads what a cache of keys has counted.
func (c *collection) keys(name string, cache KeyCache) {
	s := cache.Stats()
	set(c, CacheKnown, s.Known, name)
	set(c, CacheRefused, s.Refused, name)
	set(c, CacheInFlight, s.InFlight, name)
	set(c, CacheHits, s.Hits, name)
	set(c, CacheLookups, s.Lookups, name)
	set(c, CacheFailed, s.Failed, name)
	set(c, CacheStale, s.Stale, name)
}

// plan reads what was counted of the plan in use. Events and their fields, which clients choose,
// are in no label.
func (c *collection) plan(label string, stats func() plan.Stats) {
	s := stats()
	name, version := Label(s.Name), Label(s.Version)
	set(c, PlanEvents, s.Clean, label, name, version, "clean")
	set(c, PlanEvents, s.Observed, label, name, version, "observed")
	set(c, PlanEvents, s.Quarantined, label, name, version, "quarantined")
	set(c, PlanEvents, s.Rejected, label, name, version, "rejected")
	for _, k := range s.Kinds {
		set(c, PlanViolating, k.Events, label, name, version, k.Kind.String(), k.Mode.String())
	}
	c.setTime(PlanStart, s.Since.Sub(time.Unix(0, 0)), label, name, version)
}
