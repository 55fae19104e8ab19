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

// Stats are counts since Open, and the state of the moment.
type Stats struct {
	Events   uint64 // acknowledged
	Bytes    uint64 // written, acknowledged or not
	Groups   uint64 // writes that acknowledged something
	Fsyncs   uint64 // flushes of segments that were tried
	Segments uint64 // files that were begun
	Damaged  uint64 // damaged lines that Open quarantined and Events met
	Removed  uint64 // segments that retention removed
	LastSeq  uint64 // sequence number of the last acknowledged event, 0 if none

	Retained   int64         // bytes that the segments take
	QueueBytes int           // waiting or being written
	Busy       time.Duration // how long the write of the moment has taken, or 0
}

// counters are the live form of Stats.
type counters struct {
	events, bytes, groups, fsyncs, segments, damaged, removed atomicCount

	retained atomic.Int64
}

type atomicCount struct{ atomic.Uint64 }

func (c *atomicCount) add(n int) { c.Uint64.Add(uint64(n)) }

// countGroup counts a group of that many events.
func (c *counters) countGroup(events int) {
	c.events.add(events)
	c.groups.add(1)
}

// Stats returns a snapshot. The counts are not all of the same instant.
func (j *Journal) Stats() Stats {
	c := j.counters
	return Stats{
		Events:     c.events.Load(),
		Bytes:      c.bytes.Load(),
		Groups:     c.groups.Load(),
		Fsyncs:     c.fsyncs.Load(),
		Segments:   c.segments.Load(),
		Damaged:    c.damaged.Load(),
		Removed:    c.removed.Load(),
		LastSeq:    j.progress.now().last,
		Retained:   c.retained.Load(),
		QueueBytes: j.queue.size(),
		Busy:       j.health.busy(),
	}
}

// DeliveryStats say how a destination does. The counts are since Deliver.
type DeliveryStats struct {
	Name    string
	Running bool // false: its cursor is there, and nobody delivers to it

	Position uint64        // number up to which everything is settled
	Saved    uint64        // how much of that is noted on the disk
	Behind   uint64        // how many numbers the journal is ahead
	Age      time.Duration // since the oldest event that it waits for was received; 0 if it has all

	Delivered uint64 // events that the sink took, or whose dead letters were taken
	Refused   uint64 // of these, the dead letters
	Dropped   uint64 // numbers that were removed, or could not be read, before they were delivered: events at most

	Failures int       // attempts in a row that failed, up to now
	Err      error     // of the last attempt, nil if that succeeded
	NextTry  time.Time // zero unless Err
}

// deliveryState is the live form of DeliveryStats.
type deliveryState struct {
	saved, delivered, refused, dropped atomicCount

	mu      sync.Mutex
	oldest  time.Time // when the first event of the batch was received, zero without one
	failure failure
}

// beginBatch notes that a batch is being written.
func (s *deliveryState) beginBatch(oldest time.Time) {
	s.mu.Lock()
	s.oldest = oldest
	s.mu.Unlock()
}

// endBatch notes that it is settled.
func (s *deliveryState) endBatch() { s.beginBatch(time.Time{}) }

// record notes how an attempt went, and returns how the one before did.
func (s *deliveryState) record(f failure) (before failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.failure = s.failure, f
	return before
}

// age is how long ago the oldest event that is waited for was received.
func (s *deliveryState) age() time.Duration {
	if s.oldest.IsZero() {
		return 0
	}
	return max(time.Since(s.oldest), 0)
}

// countDeadLetter counts a dead letter and logs it.
func (d *Delivery) countDeadLetter(_ context.Context, letter *inlet.Event, err error) {
	d.state.refused.add(1)
	d.log.Warn("journal: an event was refused for good", "messageId", letter.MessageID, "error", err)
}

// Stats returns a snapshot. The counts are not all of the same instant.
func (d *Delivery) Stats() DeliveryStats {
	last := d.j.progress.now().last
	s := DeliveryStats{
		Name:      d.name,
		Running:   true,
		Position:  d.settled.now().last,
		Saved:     d.state.saved.Load(),
		Delivered: d.state.delivered.Load(),
		Refused:   d.state.refused.Load(),
		Dropped:   d.state.dropped.Load(),
	}
	s.Behind = max(last, s.Position) - s.Position
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	s.Age = d.state.age()
	s.Failures, s.Err, s.NextTry = d.state.failure.attempts, d.state.failure.err, d.state.failure.next
	return s
}

// Deliveries returns the stats of all destinations, by name: of those that are
// delivered to, and of those whose cursors are there.
func (j *Journal) Deliveries() []DeliveryStats {
	running, saved := j.destinations.list()
	last := j.progress.now().last
	all := make([]DeliveryStats, 0, len(saved))
	for _, d := range running {
		all = append(all, d.Stats())
	}
	for name, at := range saved {
		if running[name] == nil {
			all = append(all, DeliveryStats{Name: name, Position: at.seq, Saved: at.seq, Behind: max(last, at.seq) - at.seq})
		}
	}
	slices.SortFunc(all, func(a, b DeliveryStats) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
