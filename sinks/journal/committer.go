package journal

import "time"

// A committer is the one goroutine that writes. It takes waiting requests as a group, numbers
// their lines, writes and flushes them together, and only then answers the writers. While a
// flush runs the next group forms in the queue, so groups grow with the time that a flush
// takes.
//
// It also does what is due by the clock: it wakes when a request arrives, and at the store's
// next maintenance.
type committer struct {
	queue    *queue
	store    *store
	policy   SyncPolicy
	maxGroup int
	release  func() error // unlocks the directory, once no delivery uses it

	seq   uint64 // of the next line
	group []*writeRequest
	buf   []byte // the lines of a group of several requests

	flushTook time.Duration // the last flush
	expected  int           // writers of the next group: those just answered, and those that wait

	done chan struct{}
	err  error // of sealing the last segment; set when done is closed
}

// run ends when the queue is closed and empty.
func (c *committer) run() {
	defer close(c.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	c.store.prepareAhead()
	for !c.queue.drained() {
		c.resetTimer(timer)
		select {
		case <-c.queue.wake:
			c.commitNext()
		case <-timer.C:
		}
		c.store.maintain(time.Now())
	}
	c.queue.end()
	c.err = c.store.seal()
	c.store.dropAhead()
	if err := c.release(); c.err == nil {
		c.err = err
	}
}

// resetTimer sets the timer to the next maintenance.
func (c *committer) resetTimer(timer *time.Timer) {
	if at, ok := c.store.nextMaintenance(); ok {
		timer.Reset(time.Until(at))
	} else {
		timer.Stop()
	}
}

// commitNext commits one group, if there is one.
func (c *committer) commitNext() {
	c.group = c.queue.nextGroup(c.group, c.maxGroup, c.expected, max(c.flushTook, minPatience))
	if len(c.group) == 0 {
		return
	}
	if c.queue.len() > 0 {
		c.queue.signal() // the next group is waiting already
	}
	c.commit(totals(c.group))
	clear(c.group)
}

// groupTotals are the sums of a group.
type groupTotals struct {
	bytes, lines int
	flush        bool // a Flush is in the group
}

func totals(group []*writeRequest) (s groupTotals) {
	for _, r := range group {
		s.bytes += len(r.buf)
		s.lines += len(r.lines)
		s.flush = s.flush || len(r.lines) == 0
	}
	return s
}

func (c *committer) commit(s groupTotals) {
	c.store.health.beginCommit()
	err := c.apply(s)
	c.store.health.endCommit()
	c.expected = len(c.group) + c.queue.settle(s.bytes)
	for _, r := range c.group { // once a request has its outcome it belongs to its writer
		r.done <- err
	}
}

// apply stores the group, as durably as the policy says.
func (c *committer) apply(s groupTotals) error {
	if s.lines == 0 {
		return c.store.sync()
	}
	if err := c.store.checkWritable(); err != nil {
		return err
	}
	if uint64(s.lines) > maxSeq+1-c.seq {
		return errUsedUp
	}
	first := c.seq
	lines := c.assemble(s.bytes)
	if err := c.store.append(first, c.seq-1, lines); err != nil {
		return err
	}
	if s.flush || c.policy == SyncAlways {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if err := c.store.checkActive(); err != nil {
		return err
	}
	c.store.counters.countGroup(s.lines)
	c.store.acknowledge(c.seq - 1)
	c.store.health.recovered()
	return nil
}

// flush flushes what was written, and measures how long that takes.
func (c *committer) flush() error {
	began := time.Now()
	err := c.store.sync()
	c.flushTook = time.Since(began)
	return err
}

// assemble numbers the lines of the group and returns them in one piece. The numbers are
// used up even if the write fails: what it left on the disk must never have the number of a
// later line.
func (c *committer) assemble(bytes int) []byte {
	if cap(c.buf) > 2*c.maxGroup {
		c.buf = nil // a single write was larger than any group
	}
	c.buf = c.buf[:0]
	for _, r := range c.group {
		r.number(c.seq)
		c.seq += uint64(len(r.lines))
		if len(r.buf) == bytes {
			return r.buf
		}
		c.buf = append(c.buf, r.buf...)
	}
	return c.buf
}
