package journal

import (
	"errors"
	"io"
	"time"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// maxReadAttempts is how often a segment is read before the rest of it is given up.
const maxReadAttempts = 5

// run delivers batches until the delivery is stopped.
func (d *Delivery) run() {
	defer d.finish()
	for !d.stopping() {
		m, moved := d.j.progress.watch()
		switch err := d.deliverer.readBatch(d.ctx, m); {
		case errors.Is(err, io.EOF): // everything is delivered
			d.readFailures = 0
			d.recordAttempt(failure{})
			d.settled()
			d.state.setOldest(time.Time{})
			d.idle(moved)
		case d.ctx.Err() != nil:
			return
		case err != nil:
			d.readFailed(m, err)
		default:
			d.readFailures = 0
			if d.gather() {
				d.deliverBatch()
			}
		}
	}
}

// deliverBatch writes the batch that was read.
func (d *Delivery) deliverBatch() {
	if err := d.deliverer.deliver(d.ctx); err != nil {
		return // stopped: the position stays before the batch
	}
	d.state.delivered.add(d.deliverer.size)
	d.refusals.settle(d.deliverer.size)
	d.deliverer.until = 0
	d.settled()
}

// gather adds to the batch what the journal receives, until the batch has as many events as it
// should, its first event has waited long enough, or somebody waits for the delivery. It reports
// whether to write the batch.
func (d *Delivery) gather() bool {
	if d.deliverer.opts.MaxDelay == 0 {
		return true
	}
	timer := time.NewTimer(d.deliverer.opts.MaxDelay)
	defer timer.Stop()
	for {
		_, moved := d.j.progress.watch()
		d.deliverer.extend(d.ctx)
		if !d.deliverer.gathers() || d.drains.Load() > 0 {
			return true
		}
		if over := d.await(moved, timer.C); over {
			return !d.stopping()
		}
		d.saveCursor()
	}
}

// settled records that everything up to the end of the batch is settled, and saves the
// cursor if that is due.
func (d *Delivery) settled() {
	d.recordDropped()
	d.checkpoint.advance(d.deliverer.last, d.deliverer.bytes)
	d.deliverer.bytes = 0
	d.saveCursor()
}

// saveCursor saves the cursor if that is due.
func (d *Delivery) saveCursor() {
	if err := d.checkpoint.saveIfDue(); err != nil {
		d.log.Error("journal: cursor not saved; retrying", "error", err)
	}
}

// idle waits for more to deliver, or until a cursor that is behind has to be saved.
func (d *Delivery) idle(moved <-chan struct{}) { d.await(moved, nil) }

// await waits for more to deliver, until a cursor that is behind has to be saved, or until a Drain
// begins. It reports whether the delivery is to stop, or the time is over.
func (d *Delivery) await(moved <-chan struct{}, timeOver <-chan time.Time) (over bool) {
	var due <-chan time.Time
	if wait, pending := d.checkpoint.untilDue(); pending {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-moved:
	case <-d.hurry:
	case <-d.stop:
		return true
	case <-timeOver:
		return true
	case <-due:
	case r := <-d.skips:
		r <- ErrNotBlocked
	}
	return false
}

func (d *Delivery) stopping() bool {
	select {
	case <-d.stop:
		return true
	default:
		return false
	}
}

// readFailed prepares another attempt to read a segment, or gives up the rest of it, and
// waits accordingly.
func (d *Delivery) readFailed(m watermark, err error) {
	d.readFailures++
	next := time.Now()
	if d.givesUp(m, err) {
		d.log.Error("journal: segment unreadable; skipping the rest of it", "error", err)
		d.readFailures = 0
		d.deliverer.tail.skipSegment()
	} else {
		next = next.Add(pauseAfter)
		d.deliverer.tail.reopen()
	}
	d.recordAttempt(failure{attempts: d.readFailures, err: err, next: next})
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.stop:
	case r := <-d.skips:
		r <- ErrNotBlocked
	}
}

// givesUp reports whether to skip the rest of a segment: immediately if it is gone, else
// after some attempts. The active segment is never skipped, since events that are still to
// come would be skipped with it, and no segment is for an error that is not its own.
func (d *Delivery) givesUp(m watermark, err error) bool {
	switch {
	case errors.Is(err, errGone):
		return true
	case errors.Is(err, errUnlisted), errors.Is(err, errFilter), osfs.IsScarce(err), d.deliverer.tail.entry.first >= m.segment:
		return false
	}
	return d.readFailures >= maxReadAttempts
}

// recordAttempt records the outcome of an attempt, and logs it if it differs from the last, or if
// it names the event that blocks the destination. After a failure, what was settled before is saved
// if that is due: the next batch may take long.
func (d *Delivery) recordAttempt(f failure) {
	d.logBlocked(f)
	switch before := d.state.setFailure(f); {
	case f.err != nil && before.err == nil:
		d.log.Warn("journal: delivery failed; retrying", "error", f.err)
	case f.err == nil && before.err != nil:
		d.log.Info("journal: delivery resumed", "attempts", before.attempts+1)
	}
	if f.err != nil {
		d.saveCursor()
	}
}

// recordDropped counts and reports events that were removed before they were delivered.
func (d *Delivery) recordDropped() {
	d.deliverer.reportMissed()
	d.state.dropped.Store(d.deliverer.tail.missed.sum())
}

// finish ends the delivery.
func (d *Delivery) finish() {
	d.redriving.Lock() // and no other begins
	d.deliverer.tail.close()
	d.deliverer.logMissed(0)
	err := d.checkpoint.close()
	if d.deadLetters != nil {
		err = errors.Join(err, d.deadLetters.close())
	}
	if err != nil {
		d.log.Error("journal: delivery stopped with an error; events may be redelivered", "error", err)
	}
	d.cancel()
	d.err = err
	d.j.deliveries.end(d)
	close(d.done)
}
