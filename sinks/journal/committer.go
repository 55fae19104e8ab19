package journal

import (
	"io"
	"time"
)

// patienceShare is the part of a flush, one over it, for which the committer waits
// for the writers of the last group of whom there is no sign yet: who comes too late
// waits for two flushes, but to wait for all of them costs more than it saves where a
// flush is fast and they are many.
const patienceShare = 4

// A committer is the one goroutine that writes. It takes what waits as a group,
// gives the lines their numbers, writes and flushes them at once, and only then
// tells those who wait.
type committer struct {
	queue    *queue
	store    *store
	lock     io.Closer
	policy   SyncPolicy
	maxGroup int

	seq   uint64 // of the next line
	group []*writeRequest
	buf   []byte // the lines of a group of several tickets

	flushTook time.Duration // the last one

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
	c.err = c.store.seal()
	c.store.dropAhead()
	c.store.destinations.ends.Wait()
	if err := c.lock.Close(); c.err == nil {
		c.err = err
	}
}

// resetTimer sets the timer to the next thing that is due by the clock.
func (c *committer) resetTimer(timer *time.Timer) {
	if at, ok := c.store.nextMaintenance(); ok {
		timer.Reset(time.Until(at))
	} else {
		timer.Stop()
	}
}

// commitNext commits one group, if there is one.
func (c *committer) commitNext() {
	c.group = c.queue.nextGroup(c.group, c.maxGroup, c.flushTook/patienceShare)
	if len(c.group) == 0 {
		return
	}
	if c.queue.len() > 0 {
		c.queue.signal() // the next group is waiting already
	}
	c.commit(totals(c.group))
	clear(c.group)
}

// groupTotals are those of a group.
type groupTotals struct {
	bytes, lines int
	flush        bool // somebody asks for a flush, whatever the policy
}

func totals(group []*writeRequest) (s groupTotals) {
	for _, t := range group {
		s.bytes += len(t.buf)
		s.lines += len(t.lines)
		s.flush = s.flush || len(t.lines) == 0
	}
	return s
}

func (c *committer) commit(s groupTotals) {
	c.store.health.beginCommit()
	err := c.apply(s)
	c.store.health.endCommit()
	c.queue.release(s.bytes)
	for _, t := range c.group { // after it has its outcome, a ticket is its caller's
		t.done <- err
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
	first := c.seq
	if err := c.store.append(first, c.assemble(s.bytes)); err != nil {
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

// flush flushes what was written, and notes how long that takes.
func (c *committer) flush() error {
	began := time.Now()
	err := c.store.sync()
	c.flushTook = time.Since(began)
	return err
}

// assemble numbers the lines of the group and returns them in one piece. The
// numbers are used up whatever happens to them: what a failed write left on the
// disk must never share one with what comes later.
func (c *committer) assemble(bytes int) []byte {
	if cap(c.buf) > 2*c.maxGroup {
		c.buf = nil // a single write was larger than any group
	}
	c.buf = c.buf[:0]
	for _, t := range c.group {
		t.number(c.seq)
		c.seq += uint64(len(t.lines))
		if len(t.buf) == bytes {
			return t.buf
		}
		c.buf = append(c.buf, t.buf...)
	}
	return c.buf
}
