package inletotel

import (
	"go.opentelemetry.io/otel/metric"
)

// A kind is how an instrument is read.
type kind int

const (
	counter kind = iota // it only grows
	gauge
	timer // a gauge in seconds
)

// An instrument is what is read when the SDK collects.
type instrument struct {
	name, unit string
	kind       kind
	help       string
}

// The instruments, in the order of docs/TRACES.md.
const (
	requestCount = iota
	requestEvents
	requestUnrecorded
	requestWire
	requestBytes
	requestsInFlight
	sinkEvents
	journalEvents
	journalRefused
	journalWritten
	journalWrites
	journalFsyncs
	journalSegments
	journalDamaged
	journalRemoved
	journalRenumbered
	journalDiscarded
	journalLast
	journalRetained
	journalDead
	journalQuarantined
	journalQueue
	journalBusy
	deliveryRunning
	deliveryPosition
	deliverySaved
	deliveryBehind
	deliveryAge
	deliveryDelivered
	deliveryRefused
	deliveryRedriven
	deliveryRemoved
	deliveryDropped
	deliveryPaused
	deliveryFailures
	dedupeDuplicates
	filterDropped
	retryAttempts
	timeoutHanging
	timeoutPanics
	batchPending
	batchFailed
	deadLetters
	fanoutStored
	fanoutFailed
	fallbackDown
	fallbackFailed
	fallbackEvents
	memoryUsed
	memoryLimit
	limiterCharges
	limiterRefused
	limiterEvicted
	sharedCharges
	sharedExchanges
	sharedFailures
	sharedKeys
	cacheKnown
	cacheRefused
	cacheInFlight
	cacheHits
	cacheLookups
	cacheFailed
	cacheStale
	planEvents
	planViolating
	planStart
	watchPanics
	instrumentCount
)

// catalogue returns what each instrument is.
func catalogue() (all [instrumentCount]instrument) {
	for _, some := range [...]map[int]instrument{requestInstruments(), journalInstruments(), sinkInstruments(), partInstruments()} {
		for i, instrument := range some {
			all[i] = instrument
		}
	}
	return all
}

// requestInstruments returns the instruments of requests and of writes to sinks.
func requestInstruments() map[int]instrument {
	return map[int]instrument{
		requestCount:      {"inlet.requests", "{request}", counter, "Requests that were answered, and calls of Ingest."},
		requestEvents:     {"inlet.events", "{event}", counter, "Events of these requests: accepted, or rejected."},
		requestUnrecorded: {"inlet.unrecorded_events", "{event}", counter, "Rejected events that the sink of rejects has not stored."},
		requestWire:       {"inlet.request.wire", "By", counter, "Bytes of bodies as they were sent."},
		requestBytes:      {"inlet.request.bytes", "By", counter, "Bytes of bodies after decompression."},
		requestsInFlight:  {"inlet.requests_in_flight", "{request}", gauge, "Requests that are not answered yet."},
		sinkEvents:        {"inlet.sink.events", "{event}", counter, "Events of writes: stored, failed (a retry may store them) or refused (it may not)."},
	}
}

// journalInstruments returns the instruments of journals and deliveries.
func journalInstruments() map[int]instrument {
	return map[int]instrument{
		journalEvents:      {"inlet.journal.events", "{event}", counter, "Events that were acknowledged."},
		journalRefused:     {"inlet.journal.refused_events", "{event}", counter, "Events that were refused, since they could not be read back."},
		journalWritten:     {"inlet.journal.written", "By", counter, "Bytes that were written, acknowledged or not."},
		journalWrites:      {"inlet.journal.writes", "{write}", counter, "Writes to the disk that acknowledged at least one event."},
		journalFsyncs:      {"inlet.journal.fsyncs", "{fsync}", counter, "Attempts to flush a segment."},
		journalSegments:    {"inlet.journal.segments", "{segment}", counter, "Segments that were started."},
		journalDamaged:     {"inlet.journal.damaged_lines", "{line}", counter, "Damaged lines that were put into quarantine, or met by readers."},
		journalRemoved:     {"inlet.journal.removed_segments", "{segment}", counter, "Segments that retention has removed."},
		journalRenumbered:  {"inlet.journal.renumbered_events", "{event}", counter, "Events that got new numbers, because a second journal had used theirs."},
		journalDiscarded:   {"inlet.journal.discarded_files", "{file}", counter, "Files that were removed from quarantine to keep its limit."},
		journalLast:        {"inlet.journal.last_sequence", "{event}", gauge, "Sequence number of the last acknowledged event."},
		journalRetained:    {"inlet.journal.retained", "By", gauge, "Size of all segments."},
		journalDead:        {"inlet.journal.dead_letter", "By", gauge, "Size of the dead letters of all destinations."},
		journalQuarantined: {"inlet.journal.quarantined", "By", gauge, "Size of the quarantine."},
		journalQueue:       {"inlet.journal.queue", "By", gauge, "Bytes that wait to be written, or are being written."},
		journalBusy:        {"inlet.journal.busy", "s", timer, "Time that the write in progress has taken, 0 if there is none."},
		deliveryRunning:    {"inlet.delivery.running", "{delivery}", gauge, "1 if the delivery runs, 0 if the destination only has a cursor."},
		deliveryPosition:   {"inlet.delivery.position", "{event}", gauge, "Sequence number up to which everything is settled."},
		deliverySaved:      {"inlet.delivery.saved_position", "{event}", gauge, "That position as it was last saved to the disk."},
		deliveryBehind:     {"inlet.delivery.behind", "{event}", gauge, "Sequence numbers between the position and the last of the journal."},
		deliveryAge:        {"inlet.delivery.age", "s", timer, "Time since the oldest event was received that is not settled."},
		deliveryDelivered:  {"inlet.delivery.delivered", "{event}", counter, "Events that the destination accepted, or that became dead letters."},
		deliveryRefused:    {"inlet.delivery.refused", "{event}", counter, "Events that became dead letters."},
		deliveryRedriven:   {"inlet.delivery.redriven", "{event}", counter, "Dead letters that were sent again and accepted."},
		deliveryRemoved:    {"inlet.delivery.removed", "{event}", counter, "Dead letters that were removed to make room for others, at most."},
		deliveryDropped:    {"inlet.delivery.dropped", "{event}", counter, "Events that were removed or unreadable before delivery, at most."},
		deliveryPaused:     {"inlet.delivery.paused", "{delivery}", gauge, "1 if the delivery pauses since every event was rejected in the same way."},
		deliveryFailures:   {"inlet.delivery.failures", "{attempt}", gauge, "Consecutive failed attempts, up to now."},
	}
}

// sinkInstruments returns the instruments of decorators of package sinks.
func sinkInstruments() map[int]instrument {
	return map[int]instrument{
		dedupeDuplicates: {"inlet.dedupe.duplicates", "{event}", counter, "Events that Dedupe has dropped as duplicates."},
		filterDropped:    {"inlet.filter.dropped_events", "{event}", counter, "Events that Filter has dropped."},
		retryAttempts:    {"inlet.retry.attempts", "{attempt}", counter, "Further attempts that Retry has made."},
		timeoutHanging:   {"inlet.timeout.hanging_writes", "{write}", gauge, "Writes that Timeout has given up, and that have not returned yet."},
		timeoutPanics:    {"inlet.timeout.panics", "{write}", counter, "Writes that panicked after Timeout had given them up."},
		batchPending:     {"inlet.batch.pending_events", "{event}", gauge, "Events that wait in Batch."},
		batchFailed:      {"inlet.batch.failed_events", "{event}", counter, "Events that Batch could not write."},
		deadLetters:      {"inlet.dead_letters", "{event}", counter, "Events that DeadLetter has stored as dead letters."},
		fanoutStored:     {"inlet.fanout.stored_events", "{event}", counter, "Events that a leg of Fanout has stored."},
		fanoutFailed:     {"inlet.fanout.failed_events", "{event}", counter, "Events that a leg of Fanout has not stored."},
		fallbackDown:     {"inlet.fallback.down", "{sink}", gauge, "1 if it is the turn of the back of Fallback."},
		fallbackFailed:   {"inlet.fallback.failed_writes", "{write}", counter, "Writes that the front of Fallback has failed."},
		fallbackEvents:   {"inlet.fallback.events", "{event}", counter, "Events that the front of Fallback has settled, and that its back has stored instead."},
	}
}

// partInstruments returns the instruments of handlers, limiters, caches of keys and plans.
func partInstruments() map[int]instrument {
	return map[int]instrument{
		memoryUsed:      {"inlet.memory.used", "By", gauge, "Memory that all requests of the handler use together."},
		memoryLimit:     {"inlet.memory.limit", "By", gauge, "Memory that they may use together."},
		limiterCharges:  {"inlet.limiter.charges", "{charge}", counter, "Charges that the limiter in memory was asked for."},
		limiterRefused:  {"inlet.limiter.refused", "{charge}", counter, "Charges that it has refused."},
		limiterEvicted:  {"inlet.limiter.evicted_keys", "{key}", counter, "Keys that it has forgotten too early, for lack of room."},
		sharedCharges:   {"inlet.shared_limiter.charges", "{charge}", counter, "Charges that the shared limiter was asked for."},
		sharedExchanges: {"inlet.shared_limiter.exchanges", "{exchange}", counter, "Exchanges with its store."},
		sharedFailures:  {"inlet.shared_limiter.failures", "{exchange}", counter, "Exchanges that failed."},
		sharedKeys:      {"inlet.shared_limiter.keys", "{key}", gauge, "Keys that it remembers."},
		cacheKnown:      {"inlet.key_cache.known_keys", "{key}", gauge, "Write keys in memory that exist."},
		cacheRefused:    {"inlet.key_cache.refused_keys", "{key}", gauge, "Write keys in memory that do not exist."},
		cacheInFlight:   {"inlet.key_cache.lookups_in_flight", "{lookup}", gauge, "Lookups that have not returned."},
		cacheHits:       {"inlet.key_cache.hits", "{request}", counter, "Requests that were answered from memory."},
		cacheLookups:    {"inlet.key_cache.lookups", "{lookup}", counter, "Lookups of a key in its store."},
		cacheFailed:     {"inlet.key_cache.failed_lookups", "{lookup}", counter, "Lookups that failed."},
		cacheStale:      {"inlet.key_cache.stale", "{request}", counter, "Requests whose key could not be looked up, and was still known."},
		planEvents:      {"inlet.plan.events", "{event}", counter, "Events that were compared with the tracking plan in use: clean, observed, quarantined or rejected."},
		planViolating:   {"inlet.plan.violating_events", "{event}", counter, "Events that had a violation of this kind with this mode. One with several kinds counts for each."},
		planStart:       {"inlet.plan.start_time", "s", timer, "When the tracking plan came into use, as Unix time."},
		watchPanics:     {"inlet.watch.panics", "{panic}", counter, "Parts that have panicked when they were asked, and were left out."},
	}
}

// build makes an instrument.
func (i *instrument) build(m metric.Meter) (metric.Observable, error) {
	unit, help := metric.WithUnit(i.unit), metric.WithDescription(i.help)
	switch i.kind {
	case timer:
		return m.Float64ObservableGauge(i.name, unit, help)
	case gauge:
		return m.Int64ObservableGauge(i.name, unit, help)
	}
	return m.Int64ObservableCounter(i.name, unit, help)
}
