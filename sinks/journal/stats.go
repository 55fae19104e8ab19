package journal

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
)

// Stats is a snapshot of a journal: counts since Open, and its present state.
type Stats struct {
	Events   uint64 // acknowledged
	Refused  uint64 // by Write, since they could not be read back
	Bytes    uint64 // written, acknowledged or not
	Groups   uint64 // writes to the disk that acknowledged at least one event
	Fsyncs   uint64 // attempts to flush a segment
	Segments uint64 // files that were started
	Damaged  uint64 // damaged lines that were quarantined by Open, or met by readers
	Removed  uint64 // segments that retention removed
	// Renumbered counts the events that got new numbers by Open, because a second journal
	// had used theirs.
	Renumbered uint64
	LastSeq    uint64 // sequence number of the last acknowledged event, 0 if there is none

	Retained    int64  // size of all segments, in bytes
	DeadLetters int64  // size of dead, in bytes
	Quarantined int64  // size of quarantine, in bytes
	Discarded   uint64 // files that Open removed from quarantine to keep its limit

	QueueBytes int           // waiting, or being written
	Busy       time.Duration // how long the write in progress has taken, 0 if there is none
}

// counters are what Stats is made of.
type counters struct {
	events, refused, bytes, groups, fsyncs, segments, damaged, removed, renumbered, discarded atomicCount

	retained atomic.Int64
}

type atomicCount struct{ atomic.Uint64 }

func (c *atomicCount) add(n int) { c.Uint64.Add(uint64(n)) }

// countGroup counts a group of that many events.
func (c *counters) countGroup(events int) {
	c.events.add(events)
	c.groups.add(1)
}

// Stats returns a snapshot. Its counts may be of slightly different instants.
func (j *Journal) Stats() Stats {
	c := j.counters
	return Stats{
		Events:      c.events.Load(),
		Refused:     c.refused.Load(),
		Bytes:       c.bytes.Load(),
		Groups:      c.groups.Load(),
		Fsyncs:      c.fsyncs.Load(),
		Segments:    c.segments.Load(),
		Damaged:     c.damaged.Load(),
		Removed:     c.removed.Load(),
		Renumbered:  c.renumbered.Load(),
		LastSeq:     j.progress.now().last,
		Retained:    c.retained.Load(),
		DeadLetters: j.dead.bytes(),
		Quarantined: j.quarantined.Load(),
		Discarded:   c.discarded.Load(),
		QueueBytes:  j.queue.size(),
		Busy:        j.health.busy(),
	}
}

// DeliveryStats is a snapshot of a delivery's progress. Its counts are since Deliver.
type DeliveryStats struct {
	Name    string // of the destination
	Running bool   // false: the destination has a cursor, but no delivery

	Position uint64        // sequence number up to which everything is settled
	Saved    uint64        // Position as it was last saved to the disk
	Behind   uint64        // sequence numbers between Position and the journal's last
	Age      time.Duration // since the oldest event that is not settled was received; 0 if all are, or without a delivery

	Delivered uint64 // events that the sink accepted, or that became dead letters
	Refused   uint64 // of these, the dead letters
	Redriven  uint64 // dead letters that Redrive has sent and the sink accepted
	Removed   uint64 // dead letters in dead/NAME that were removed to make room for others, at most
	Dropped   uint64 // sequence numbers removed or unreadable before delivery: at most that many events

	Paused   string    // the last rejection, of a delivery that pauses since every event was rejected like that; "" otherwise
	Failures int       // consecutive failed attempts, up to now
	Err      error     // of the last attempt; nil if that succeeded
	NextTry  time.Time // zero unless Err is set
	// Blocking is the MessageID of the event that the last attempt was made with, alone; ""
	// if that succeeded, or was made with several, and during a pause, of which no event is the
	// cause. BlockingSource is the ID of its source.
	Blocking, BlockingSource string
}

// deliveryState is what DeliveryStats is made of, except for the checkpoint's part.
type deliveryState struct {
	delivered, refused, dropped, redriven atomicCount

	rejects sampled

	mu      sync.Mutex
	oldest  time.Time // when the first event was received that is not settled; zero if all are
	failure failure
}

// setOldest records when the first event was received that is not settled: that of the batch
// which is read or written or, until the next one is read, of the last one.
func (s *deliveryState) setOldest(received time.Time) {
	s.mu.Lock()
	s.oldest = received
	s.mu.Unlock()
}

// setFailure records the outcome of an attempt, and returns that of the one before.
func (s *deliveryState) setFailure(f failure) (before failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.failure = s.failure, f
	return before
}

// age returns how long ago the oldest event was received that is not settled. It is called with mu
// held.
func (s *deliveryState) age() time.Duration {
	if s.oldest.IsZero() {
		return 0
	}
	return max(time.Since(s.oldest), 0)
}

// countDeadLetter counts a dead letter and logs it, as far as sampled permits.
func (d *Delivery) countDeadLetter(_ context.Context, letter *inlet.Event, err error) {
	d.state.refused.add(1)
	if unlogged, ok := d.state.rejects.next(time.Now()); ok {
		d.log.Warn("journal: event permanently rejected", "messageId", letter.MessageID, "error", err, "unlogged", unlogged)
	}
}

// How many dead letters are logged: a client can cause as many as it sends events.
const (
	sampledInterval = time.Minute
	sampledLines    = 10
)

// sampled permits sampledLines in each sampledInterval.
type sampled struct {
	mu        sync.Mutex
	since     time.Time // when the interval began
	permitted int       // in the interval
	unlogged  int       // since the last one that was permitted
}

// next reports whether a line may be written now, and how many were not before it.
func (s *sampled) next(now time.Time) (unlogged int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.since) >= sampledInterval {
		s.since, s.permitted = now, 0
	}
	if s.permitted == sampledLines {
		s.unlogged++
		return 0, false
	}
	unlogged, s.unlogged = s.unlogged, 0
	s.permitted++
	return unlogged, true
}

// Stats returns a snapshot. Its counts may be of slightly different instants.
func (d *Delivery) Stats() DeliveryStats {
	last := d.j.progress.now().last
	s := DeliveryStats{
		Name:      d.name,
		Running:   true,
		Position:  d.checkpoint.position.now().last,
		Saved:     d.checkpoint.saved.Load(),
		Delivered: d.state.delivered.Load(),
		Refused:   d.state.refused.Load(),
		Dropped:   d.state.dropped.Load(),
		Paused:    d.refusals.pausedBy(),
		Redriven:  d.state.redriven.Load(),
	}
	s.Behind = max(last, s.Position) - s.Position
	if d.deadLetters != nil {
		s.Removed = d.deadLetters.removed()
	}
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	if s.Behind > 0 {
		s.Age = d.state.age()
	}
	s.Failures, s.Err, s.NextTry = d.state.failure.attempts, d.state.failure.err, d.state.failure.next
	if e := d.state.failure.alone; e != nil {
		s.Blocking, s.BlockingSource = e.MessageID, sourceID(e)
	}
	return s
}

// Deliveries returns the stats of all destinations, sorted by name: of those that have a
// running delivery, and of those that only have a cursor.
func (j *Journal) Deliveries() []DeliveryStats {
	cursors := j.checkpoints.cursors()
	running := j.deliveries.list()
	last := j.progress.now().last
	all := make([]DeliveryStats, 0, len(cursors))
	for _, d := range running {
		all = append(all, d.Stats())
	}
	for name, at := range cursors {
		if running[name] == nil {
			all = append(all, DeliveryStats{Name: name, Position: at.seq, Saved: at.seq, Behind: max(last, at.seq) - at.seq})
		}
	}
	slices.SortFunc(all, func(a, b DeliveryStats) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
