package inletprom

import "github.com/prometheus/client_golang/prometheus"

// A metric is a name with labels; each combination of their values is a series.
type metric struct {
	name   string
	labels string // with spaces between them
	kind   prometheus.ValueType
	help   string
}

// Kinds of metrics.
const (
	counter       = prometheus.CounterValue
	gauge         = prometheus.GaugeValue
	histogramKind = prometheus.UntypedValue // the client library has no such value
)

// The metrics, in the order of docs/METRICS.md.
const (
	requestsMetric = iota
	eventsMetric
	unrecordedMetric
	wireBytesMetric
	bytesMetric
	durationMetric
	inFlightMetric
	sinkDurationMetric
	sinkEventsMetric
	journalEventsMetric
	journalRefusedMetric
	journalBytesMetric
	journalWritesMetric
	journalFsyncsMetric
	journalSegmentsMetric
	journalDamagedMetric
	journalRemovedMetric
	journalRenumberedMetric
	journalDiscardedMetric
	journalLastMetric
	journalRetainedMetric
	journalDeadMetric
	journalQuarantinedMetric
	journalQueueMetric
	journalBusyMetric
	deliveryRunningMetric
	deliveryPositionMetric
	deliverySavedMetric
	deliveryBehindMetric
	deliveryAgeMetric
	deliveryDeliveredMetric
	deliveryRefusedMetric
	deliveryRedrivenMetric
	deliveryRemovedMetric
	deliveryDroppedMetric
	deliveryPausedMetric
	deliveryFailuresMetric
	duplicatesMetric
	filteredMetric
	retriesMetric
	hangingMetric
	panicsMetric
	pendingMetric
	batchFailedMetric
	lettersMetric
	legStoredMetric
	legFailedMetric
	fallbackDownMetric
	fallbackFailedMetric
	fallbackEventsMetric
	memoryUsedMetric
	memoryLimitMetric
	chargesMetric
	limitedMetric
	evictedMetric
	sharedChargesMetric
	sharedExchangesMetric
	sharedFailuresMetric
	sharedKeysMetric
	keysKnownMetric
	keysRefusedMetric
	keysInFlightMetric
	keysHitsMetric
	keysLookupsMetric
	keysFailedMetric
	keysStaleMetric
	planEventsMetric
	planViolatingMetric
	planStartMetric
	watchPanicsMetric
	metricCount
)

// catalogue is what each metric is. Read-only.
var catalogue = [metricCount]metric{
	requestsMetric:           {"inlet_requests_total", "dialect path source status code", counter, "Requests that were answered, and calls of Ingest. The code is why one was refused."},
	eventsMetric:             {"inlet_events_total", "dialect source outcome", counter, "Events of these requests: accepted, or rejected."},
	unrecordedMetric:         {"inlet_unrecorded_events_total", "", counter, "Rejected events that the sink of rejects has not stored."},
	wireBytesMetric:          {"inlet_request_wire_bytes_total", "dialect source", counter, "Bytes of bodies as they were sent."},
	bytesMetric:              {"inlet_request_bytes_total", "dialect source", counter, "Bytes of bodies after decompression."},
	durationMetric:           {"inlet_request_duration_seconds", "dialect path status", histogramKind, "Time from the call of the handler to its answer."},
	inFlightMetric:           {"inlet_requests_in_flight", "", gauge, "Requests that are not answered yet."},
	sinkDurationMetric:       {"inlet_sink_write_duration_seconds", "sink result", histogramKind, "Time that a Write took which returned ok, partial (some events are not stored) or failed."},
	sinkEventsMetric:         {"inlet_sink_events_total", "sink outcome", counter, "Events of these writes: stored, failed (a retry may store them) or refused (it may not)."},
	journalEventsMetric:      {"inlet_journal_events_total", "journal", counter, "Events that were acknowledged."},
	journalRefusedMetric:     {"inlet_journal_refused_events_total", "journal", counter, "Events that were refused, since they could not be read back."},
	journalBytesMetric:       {"inlet_journal_written_bytes_total", "journal", counter, "Bytes that were written, acknowledged or not."},
	journalWritesMetric:      {"inlet_journal_writes_total", "journal", counter, "Writes to the disk that acknowledged at least one event."},
	journalFsyncsMetric:      {"inlet_journal_fsyncs_total", "journal", counter, "Attempts to flush a segment."},
	journalSegmentsMetric:    {"inlet_journal_segments_total", "journal", counter, "Segments that were started."},
	journalDamagedMetric:     {"inlet_journal_damaged_lines_total", "journal", counter, "Damaged lines that were put into quarantine, or met by readers."},
	journalRemovedMetric:     {"inlet_journal_removed_segments_total", "journal", counter, "Segments that retention has removed."},
	journalRenumberedMetric:  {"inlet_journal_renumbered_events_total", "journal", counter, "Events that got new numbers, because a second journal had used theirs."},
	journalDiscardedMetric:   {"inlet_journal_discarded_files_total", "journal", counter, "Files that were removed from quarantine to keep its limit."},
	journalLastMetric:        {"inlet_journal_last_sequence", "journal", gauge, "Sequence number of the last acknowledged event."},
	journalRetainedMetric:    {"inlet_journal_retained_bytes", "journal", gauge, "Size of all segments."},
	journalDeadMetric:        {"inlet_journal_dead_letter_bytes", "journal", gauge, "Size of the dead letters of all destinations."},
	journalQuarantinedMetric: {"inlet_journal_quarantined_bytes", "journal", gauge, "Size of the quarantine."},
	journalQueueMetric:       {"inlet_journal_queue_bytes", "journal", gauge, "Bytes that wait to be written, or are being written."},
	journalBusyMetric:        {"inlet_journal_busy_seconds", "journal", gauge, "Time that the write in progress has taken, 0 if there is none."},
	deliveryRunningMetric:    {"inlet_delivery_running", "journal destination", gauge, "1 if the delivery runs, 0 if the destination only has a cursor."},
	deliveryPositionMetric:   {"inlet_delivery_position", "journal destination", gauge, "Sequence number up to which everything is settled."},
	deliverySavedMetric:      {"inlet_delivery_saved_position", "journal destination", gauge, "That position as it was last saved to the disk."},
	deliveryBehindMetric:     {"inlet_delivery_behind", "journal destination", gauge, "Sequence numbers between the position and the last of the journal."},
	deliveryAgeMetric:        {"inlet_delivery_age_seconds", "journal destination", gauge, "Time since the oldest event was received that is not settled, 0 if all are or the delivery does not run."},
	deliveryDeliveredMetric:  {"inlet_delivery_delivered_total", "journal destination", counter, "Events that the destination accepted, or that became dead letters."},
	deliveryRefusedMetric:    {"inlet_delivery_refused_total", "journal destination", counter, "Events that became dead letters."},
	deliveryRedrivenMetric:   {"inlet_delivery_redriven_total", "journal destination", counter, "Dead letters that were sent again and accepted."},
	deliveryRemovedMetric:    {"inlet_delivery_removed_total", "journal destination", counter, "Dead letters that were removed to make room for others, at most."},
	deliveryDroppedMetric:    {"inlet_delivery_dropped_total", "journal destination", counter, "Sequence numbers that were removed or unreadable before delivery: at most as many events."},
	deliveryPausedMetric:     {"inlet_delivery_paused", "journal destination", gauge, "1 if the delivery pauses since every event was rejected in the same way."},
	deliveryFailuresMetric:   {"inlet_delivery_failures", "journal destination", gauge, "Consecutive failed attempts, up to now."},
	duplicatesMetric:         {"inlet_dedupe_duplicates_total", "sink", counter, "Events that Dedupe has dropped as duplicates."},
	filteredMetric:           {"inlet_filter_dropped_events_total", "sink", counter, "Events that Filter has dropped."},
	retriesMetric:            {"inlet_retry_attempts_total", "sink", counter, "Further attempts that Retry has made."},
	hangingMetric:            {"inlet_timeout_hanging_writes", "sink", gauge, "Writes that Timeout has given up, and that have not returned yet."},
	panicsMetric:             {"inlet_timeout_panics_total", "sink", counter, "Writes that panicked after Timeout had given them up."},
	pendingMetric:            {"inlet_batch_pending_events", "sink", gauge, "Events that wait in Batch."},
	batchFailedMetric:        {"inlet_batch_failed_events_total", "sink", counter, "Events that Batch could not write."},
	lettersMetric:            {"inlet_dead_letters_total", "sink", counter, "Events that DeadLetter has stored as dead letters."},
	legStoredMetric:          {"inlet_fanout_stored_events_total", "sink leg", counter, "Events that a leg of Fanout has stored."},
	legFailedMetric:          {"inlet_fanout_failed_events_total", "sink leg", counter, "Events that a leg of Fanout has not stored."},
	fallbackDownMetric:       {"inlet_fallback_down", "sink", gauge, "1 if it is the turn of the back of Fallback."},
	fallbackFailedMetric:     {"inlet_fallback_failed_writes_total", "sink", counter, "Writes that the front of Fallback has failed."},
	fallbackEventsMetric:     {"inlet_fallback_events_total", "sink side", counter, "Events that the front of Fallback has settled, and that its back has stored instead."},
	memoryUsedMetric:         {"inlet_memory_used_bytes", "handler", gauge, "Memory that all requests of the handler use together."},
	memoryLimitMetric:        {"inlet_memory_limit_bytes", "handler", gauge, "Memory that they may use together."},
	chargesMetric:            {"inlet_limiter_charges_total", "limiter", counter, "Charges that the limiter in memory was asked for."},
	limitedMetric:            {"inlet_limiter_refused_total", "limiter", counter, "Charges that it has refused."},
	evictedMetric:            {"inlet_limiter_evicted_keys_total", "limiter", counter, "Keys that it has forgotten too early, for lack of room."},
	sharedChargesMetric:      {"inlet_shared_limiter_charges_total", "limiter", counter, "Charges that the shared limiter was asked for."},
	sharedExchangesMetric:    {"inlet_shared_limiter_exchanges_total", "limiter", counter, "Exchanges with its store."},
	sharedFailuresMetric:     {"inlet_shared_limiter_failures_total", "limiter", counter, "Exchanges that failed."},
	sharedKeysMetric:         {"inlet_shared_limiter_keys", "limiter", gauge, "Keys that it remembers."},
	keysKnownMetric:          {"inlet_key_cache_known_keys", "cache", gauge, "Write keys in memory that exist."},
	keysRefusedMetric:        {"inlet_key_cache_refused_keys", "cache", gauge, "Write keys in memory that do not exist."},
	keysInFlightMetric:       {"inlet_key_cache_lookups_in_flight", "cache", gauge, "Lookups that have not returned."},
	keysHitsMetric:           {"inlet_key_cache_hits_total", "cache", counter, "Requests that were answered from memory."},
	keysLookupsMetric:        {"inlet_key_cache_lookups_total", "cache", counter, "Lookups of a key in its store."},
	keysFailedMetric:         {"inlet_key_cache_failed_lookups_total", "cache", counter, "Lookups that failed."},
	keysStaleMetric:          {"inlet_key_cache_stale_total", "cache", counter, "Requests whose key could not be looked up, and was still known."},
	planEventsMetric:         {"inlet_plan_events_total", "plan name version outcome", counter, "Events that were compared with the tracking plan in use: clean, observed, quarantined or rejected."},
	planViolatingMetric:      {"inlet_plan_violating_events_total", "plan name version kind mode", counter, "Events that had a violation of this kind with this mode. One with several kinds counts for each."},
	planStartMetric:          {"inlet_plan_start_time_seconds", "plan name version", gauge, "When the tracking plan came into use, as Unix time."},
	watchPanicsMetric:        {"inlet_watch_panics_total", "", counter, "Panics of what is watched, whose series are then missing."},
}
