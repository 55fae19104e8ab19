package metrics

import "strings"

// A Metric is a name with labels; each combination of their values is a series.
type Metric int

// The metrics, in the order of docs/METRICS.md.
const (
	Requests Metric = iota
	Events
	Unrecorded
	RequestWire
	RequestBytes
	RequestDuration
	RequestsInFlight
	SinkWriteDuration
	SinkEvents
	JournalEvents
	JournalRefused
	JournalWritten
	JournalWrites
	JournalFsyncs
	JournalSegments
	JournalDamaged
	JournalRemoved
	JournalRenumbered
	JournalDiscarded
	JournalLast
	JournalRetained
	JournalDead
	JournalQuarantined
	JournalQueue
	JournalBusy
	DeliveryRunning
	DeliveryPosition
	DeliverySaved
	DeliveryBehind
	DeliveryAge
	DeliveryDelivered
	DeliveryRefused
	DeliveryRedriven
	DeliveryRemoved
	DeliveryDropped
	DeliveryPaused
	DeliveryFailures
	DedupeDuplicates
	FilterDropped
	RetryAttempts
	TimeoutHanging
	TimeoutPanics
	BatchPending
	BatchFailed
	DeadLetters
	FanoutStored
	FanoutFailed
	FallbackDown
	FallbackFailed
	FallbackEvents
	MemoryUsed
	MemoryLimit
	LimiterCharges
	LimiterRefused
	LimiterEvicted
	SharedCharges
	SharedExchanges
	SharedFailures
	SharedKeys
	CacheKnown
	CacheRefused
	CacheInFlight
	CacheHits
	CacheLookups
	CacheFailed
	CacheStale
	PlanEvents
	PlanViolating
	PlanStart
	WatchPanics
	Count // how many there are
)

// A Kind is what the values of a metric are.
type Kind int

// The kinds.
const (
	Counter   Kind = iota // it only grows
	Gauge                 // it goes up and down
	Histogram             // how many were within each bound
)

// Units that are more than a count of something. They have the form of the UCUM, which
// OpenTelemetry uses.
const (
	Bytes   = "By"
	Seconds = "s"
)

// description is what a metric is.
type description struct {
	name   string // with dots
	unit   string
	kind   Kind
	labels string // with spaces between them
	help   string
}

// catalogue is what each metric is. Read-only.
var catalogue = [Count]description{
	Requests:           {"inlet.requests", "{request}", Counter, "dialect path source status code", "Requests that were answered, and calls of Ingest. The code is why one was refused."},
	Events:             {"inlet.events", "{event}", Counter, "dialect source outcome", "Events of these requests: accepted, or rejected."},
	Unrecorded:         {"inlet.unrecorded_events", "{event}", Counter, "", "Rejected events that the sink of rejects has not stored."},
	RequestWire:        {"inlet.request.wire", Bytes, Counter, "dialect source", "Bytes of bodies as they were sent."},
	RequestBytes:       {"inlet.request.bytes", Bytes, Counter, "dialect source", "Bytes of bodies after decompression."},
	RequestDuration:    {"inlet.request.duration", Seconds, Histogram, "dialect path status", "Time from the call of the handler to its answer."},
	RequestsInFlight:   {"inlet.requests_in_flight", "{request}", Gauge, "", "Requests that are not answered yet."},
	SinkWriteDuration:  {"inlet.sink.write.duration", Seconds, Histogram, "sink result", "Time that a Write took which returned ok, partial (some events are not stored) or failed."},
	SinkEvents:         {"inlet.sink.events", "{event}", Counter, "sink outcome", "Events of these writes: stored, failed (a retry may store them) or refused (it may not)."},
	JournalEvents:      {"inlet.journal.events", "{event}", Counter, "journal", "Events that were acknowledged."},
	JournalRefused:     {"inlet.journal.refused_events", "{event}", Counter, "journal", "Events that were refused, since they could not be read back."},
	JournalWritten:     {"inlet.journal.written", Bytes, Counter, "journal", "Bytes that were written, acknowledged or not."},
	JournalWrites:      {"inlet.journal.writes", "{write}", Counter, "journal", "Writes to the disk that acknowledged at least one event."},
	JournalFsyncs:      {"inlet.journal.fsyncs", "{fsync}", Counter, "journal", "Attempts to flush a segment."},
	JournalSegments:    {"inlet.journal.segments", "{segment}", Counter, "journal", "Segments that were started."},
	JournalDamaged:     {"inlet.journal.damaged_lines", "{line}", Counter, "journal", "Damaged lines that were put into quarantine, or met by readers."},
	JournalRemoved:     {"inlet.journal.removed_segments", "{segment}", Counter, "journal", "Segments that retention has removed."},
	JournalRenumbered:  {"inlet.journal.renumbered_events", "{event}", Counter, "journal", "Events that got new numbers, because a second journal had used theirs."},
	JournalDiscarded:   {"inlet.journal.discarded_files", "{file}", Counter, "journal", "Files that were removed from quarantine to keep its limit."},
	JournalLast:        {"inlet.journal.last_sequence", "{event}", Gauge, "journal", "Sequence number of the last acknowledged event."},
	JournalRetained:    {"inlet.journal.retained", Bytes, Gauge, "journal", "Size of all segments."},
	JournalDead:        {"inlet.journal.dead_letter", Bytes, Gauge, "journal", "Size of the dead letters of all destinations."},
	JournalQuarantined: {"inlet.journal.quarantined", Bytes, Gauge, "journal", "Size of the quarantine."},
	JournalQueue:       {"inlet.journal.queue", Bytes, Gauge, "journal", "Bytes that wait to be written, or are being written."},
	JournalBusy:        {"inlet.journal.busy", Seconds, Gauge, "journal", "Time that the write in progress has taken, 0 if there is none."},
	DeliveryRunning:    {"inlet.delivery.running", "{delivery}", Gauge, "journal destination", "1 if the delivery runs, 0 if the destination only has a cursor."},
	DeliveryPosition:   {"inlet.delivery.position", "{event}", Gauge, "journal destination", "Sequence number up to which everything is settled."},
	DeliverySaved:      {"inlet.delivery.saved_position", "{event}", Gauge, "journal destination", "That position as it was last saved to the disk."},
	DeliveryBehind:     {"inlet.delivery.behind", "{event}", Gauge, "journal destination", "Sequence numbers between the position and the last of the journal."},
	DeliveryAge:        {"inlet.delivery.age", Seconds, Gauge, "journal destination", "Time since the oldest event was received that is not settled, 0 if all are or the delivery does not run."},
	DeliveryDelivered:  {"inlet.delivery.delivered", "{event}", Counter, "journal destination", "Events that the destination accepted, or that became dead letters."},
	DeliveryRefused:    {"inlet.delivery.refused", "{event}", Counter, "journal destination", "Events that became dead letters."},
	DeliveryRedriven:   {"inlet.delivery.redriven", "{event}", Counter, "journal destination", "Dead letters that were sent again and accepted."},
	DeliveryRemoved:    {"inlet.delivery.removed", "{event}", Counter, "journal destination", "Dead letters that were removed to make room for others, at most."},
	DeliveryDropped:    {"inlet.delivery.dropped", "{event}", Counter, "journal destination", "Sequence numbers that were removed or unreadable before delivery: at most as many events."},
	DeliveryPaused:     {"inlet.delivery.paused", "{delivery}", Gauge, "journal destination", "1 if the delivery pauses since every event was rejected in the same way."},
	DeliveryFailures:   {"inlet.delivery.failures", "{attempt}", Gauge, "journal destination", "Consecutive failed attempts, up to now."},
	DedupeDuplicates:   {"inlet.dedupe.duplicates", "{event}", Counter, "sink", "Events that Dedupe has dropped as duplicates."},
	FilterDropped:      {"inlet.filter.dropped_events", "{event}", Counter, "sink", "Events that Filter has dropped."},
	RetryAttempts:      {"inlet.retry.attempts", "{attempt}", Counter, "sink", "Further attempts that Retry has made."},
	TimeoutHanging:     {"inlet.timeout.hanging_writes", "{write}", Gauge, "sink", "Writes that Timeout has given up, and that have not returned yet."},
	TimeoutPanics:      {"inlet.timeout.panics", "{write}", Counter, "sink", "Writes that panicked after Timeout had given them up."},
	BatchPending:       {"inlet.batch.pending_events", "{event}", Gauge, "sink", "Events that wait in Batch."},
	BatchFailed:        {"inlet.batch.failed_events", "{event}", Counter, "sink", "Events that Batch could not write."},
	DeadLetters:        {"inlet.dead_letters", "{event}", Counter, "sink", "Events that DeadLetter has stored as dead letters."},
	FanoutStored:       {"inlet.fanout.stored_events", "{event}", Counter, "sink leg", "Events that a leg of Fanout has stored."},
	FanoutFailed:       {"inlet.fanout.failed_events", "{event}", Counter, "sink leg", "Events that a leg of Fanout has not stored."},
	FallbackDown:       {"inlet.fallback.down", "{sink}", Gauge, "sink", "1 if it is the turn of the back of Fallback."},
	FallbackFailed:     {"inlet.fallback.failed_writes", "{write}", Counter, "sink", "Writes that the front of Fallback has failed."},
	FallbackEvents:     {"inlet.fallback.events", "{event}", Counter, "sink side", "Events that the front of Fallback has settled, and that its back has stored instead."},
	MemoryUsed:         {"inlet.memory.used", Bytes, Gauge, "handler", "Memory that all requests of the handler use together."},
	MemoryLimit:        {"inlet.memory.limit", Bytes, Gauge, "handler", "Memory that they may use together."},
	LimiterCharges:     {"inlet.limiter.charges", "{charge}", Counter, "limiter", "Charges that the limiter in memory was asked for."},
	LimiterRefused:     {"inlet.limiter.refused", "{charge}", Counter, "limiter", "Charges that it has refused."},
	LimiterEvicted:     {"inlet.limiter.evicted_keys", "{key}", Counter, "limiter", "Keys that it has forgotten too early, for lack of room."},
	SharedCharges:      {"inlet.shared_limiter.charges", "{charge}", Counter, "limiter", "Charges that the shared limiter was asked for."},
	SharedExchanges:    {"inlet.shared_limiter.exchanges", "{exchange}", Counter, "limiter", "Exchanges with its store."},
	SharedFailures:     {"inlet.shared_limiter.failures", "{exchange}", Counter, "limiter", "Exchanges that failed."},
	SharedKeys:         {"inlet.shared_limiter.keys", "{key}", Gauge, "limiter", "Keys that it remembers."},
	CacheKnown:         {"inlet.key_cache.known_keys", "{key}", Gauge, "cache", "Write keys in memory that exist."},
	CacheRefused:       {"inlet.key_cache.refused_keys", "{key}", Gauge, "cache", "Write keys in memory that do not exist."},
	CacheInFlight:      {"inlet.key_cache.lookups_in_flight", "{lookup}", Gauge, "cache", "Lookups that have not returned."},
	CacheHits:          {"inlet.key_cache.hits", "{request}", Counter, "cache", "Requests that were answered from memory."},
	CacheLookups:       {"inlet.key_cache.lookups", "{lookup}", Counter, "cache", "Lookups of a key in its store."},
	CacheFailed:        {"inlet.key_cache.failed_lookups", "{lookup}", Counter, "cache", "Lookups that failed."},
	CacheStale:         {"inlet.key_cache.stale", "{request}", Counter, "cache", "Requests whose key could not be looked up, and was still known."},
	PlanEvents:         {"inlet.plan.events", "{event}", Counter, "plan name version outcome", "Events that were compared with the tracking plan in use: clean, observed, quarantined or rejected."},
	PlanViolating:      {"inlet.plan.violating_events", "{event}", Counter, "plan name version kind mode", "Events that had a violation of this kind with this mode. One with several kinds counts for each."},
	PlanStart:          {"inlet.plan.start_time", Seconds, Gauge, "plan name version", "When the tracking plan came into use, as Unix time."},
	WatchPanics:        {"inlet.watch.panics", "{panic}", Counter, "", "Panics of what is watched, whose series are then missing."},
}

// Name returns the name in the form of OpenTelemetry, without unit and kind.
func (m Metric) Name() string { return catalogue[m].name }

// PrometheusName returns the name in the form of Prometheus, which exporters of OpenTelemetry make,
// too: with underscores, with bytes or seconds unless it ends so, and with total of a counter.
func (m Metric) PrometheusName() string {
	name := strings.ReplaceAll(m.Name(), ".", "_")
	switch m.Unit() {
	case Bytes:
		name = strings.TrimSuffix(name, "_bytes") + "_bytes"
	case Seconds:
		name = strings.TrimSuffix(name, "_seconds") + "_seconds"
	}
	if m.Kind() == Counter {
		name += "_total"
	}
	return name
}

// Unit returns what is counted, or [Bytes] or [Seconds].
func (m Metric) Unit() string { return catalogue[m].unit }

// Kind returns what the values are.
func (m Metric) Kind() Kind { return catalogue[m].kind }

// Labels returns the names of the labels, in the order of their values.
func (m Metric) Labels() []string { return strings.Fields(catalogue[m].labels) }

// Help returns what the values mean, in a sentence or two.
func (m Metric) Help() string { return catalogue[m].help }
