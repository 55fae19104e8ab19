package journal

import (
	"sync/atomic"
	"time"
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

// stored counts a group of that many events.
func (c *counters) stored(events int) {
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
		QueueBytes: j.queue.load(),
		Busy:       j.health.busy(),
	}
}
