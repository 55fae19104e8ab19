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
	LastSeq  uint64 // sequence number of the last acknowledged event, 0 if none

	QueueBytes int           // waiting or being written
	Busy       time.Duration // how long the write of the moment has taken, or 0
}

// counters are the live form of Stats.
type counters struct {
	events, bytes, groups, fsyncs, segments, damaged atomicCount

	lastSeq atomic.Uint64
}

type atomicCount struct{ atomic.Uint64 }

func (c *atomicCount) add(n int) { c.Uint64.Add(uint64(n)) }

// stored counts a group of that many events, the last of which has that number.
func (c *counters) stored(events int, last uint64) {
	c.events.add(events)
	c.groups.add(1)
	c.lastSeq.Store(last)
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
		LastSeq:    c.lastSeq.Load(),
		QueueBytes: j.queue.load(),
		Busy:       j.health.busy(),
	}
}
