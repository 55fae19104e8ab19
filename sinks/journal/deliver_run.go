package journal

import (
	"errors"
	"io"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

const (
	// saveEvery and saveBytes bound how much a destination gets again after a crash.
	saveEvery = time.Second
	saveBytes = 4 << 20
	// readAttempts is how often a segment is read before the rest of it is given up.
	readAttempts = 5
)

// run moves batches until the delivery is stopped.
func (d *Delivery) run() {
	defer d.finish()
	for !d.stopping() {
		m, moved := d.j.progress.watch()
		switch err := d.deliverer.readBatch(d.ctx, m); {
		case errors.Is(err, io.EOF):
			d.failures = 0
			d.recordAttempt(failure{})
			d.passed()
			d.idle(moved)
		case d.ctx.Err() != nil:
			return
		case err != nil:
			d.readFailed(m, err)
		default:
			d.failures = 0
			d.deliverBatch()
		}
	}
}

// deliverBatch writes the batch that was read.
func (d *Delivery) deliverBatch() {
	d.state.beginBatch(d.deliverer.oldest)
	taken := len(d.deliverer.events)
	if err := d.deliverer.deliver(d.ctx); err != nil {
		return // stopped: the cursor stays before the batch
	}
	d.state.delivered.add(taken)
	d.passed()
}

// passed notes that everything up to the end of the batch is settled.
func (d *Delivery) passed() {
	d.unsaved += d.deliverer.bytes
	d.deliverer.bytes = 0
	d.state.endBatch()
	d.recordDropped()
	d.settled.set(watermark{last: d.deliverer.last})
	if d.unsaved >= saveBytes || time.Since(d.savedAt) >= saveEvery {
		d.saveOrLog()
	}
}

// idle waits for more to deliver. A cursor that is not saved yet is, as soon as
// that is due.
func (d *Delivery) idle(moved <-chan struct{}) {
	var due <-chan time.Time
	if d.unsavedCursor() {
		timer := time.NewTimer(time.Until(d.savedAt.Add(saveEvery)))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-moved:
	case <-d.stop:
	case <-due:
	}
}

func (d *Delivery) stopping() bool {
	select {
	case <-d.stop:
		return true
	default:
		return false
	}
}

// readFailed tries a segment again that could not be read, and in the end gives up
// what follows in it.
func (d *Delivery) readFailed(m watermark, err error) {
	d.failures++
	next := time.Now()
	if d.givesUp(m, err) {
		d.log.Error("journal: what follows in this segment cannot be delivered", "error", err)
		d.failures = 0
		d.deliverer.tail.skipSegment()
	} else {
		next = next.Add(pauseAfter)
		d.deliverer.tail.reopen()
	}
	d.recordAttempt(failure{d.failures, err, next})
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.stop:
	}
}

// givesUp reports whether to give a segment up: at once if it is gone, else after
// some attempts. It never is while it is written to, for what is still to come
// would be given up too, nor for what has nothing to do with it.
func (d *Delivery) givesUp(m watermark, err error) bool {
	switch {
	case errors.Is(err, errGone):
		return true
	case errors.Is(err, errUnlisted), errors.Is(err, errFilter), osfs.IsScarce(err), d.deliverer.tail.entry.first >= m.segment:
		return false
	}
	return d.failures >= readAttempts
}

// recordAttempt notes how an attempt went, and logs where that changes.
func (d *Delivery) recordAttempt(f failure) {
	switch before := d.state.record(f); {
	case f.err != nil && before.err == nil:
		d.log.Warn("journal: delivery fails, will try again", "error", f.err)
	case f.err == nil && before.err != nil:
		d.log.Info("journal: delivering again", "attempts", before.attempts+1)
	}
}

// recordDropped logs a gap.
func (d *Delivery) recordDropped() {
	missed := d.deliverer.tail.missed
	if more := missed - d.state.dropped.Load(); more > 0 {
		d.log.Error("journal: events were removed before they were delivered", "atMost", more, "before", d.deliverer.tail.next)
		d.state.dropped.Store(missed)
	}
}

// unsavedCursor reports whether the destination has come further than its cursor
// on the disk says.
func (d *Delivery) unsavedCursor() bool { return d.state.saved.Load() < d.settled.now().last }

// save notes on the disk how far the destination has come. It fails once the
// delivery has ended, for the destination may have been forgotten since.
func (d *Delivery) save() error {
	d.saving.Lock()
	defer d.saving.Unlock()
	if d.left {
		return inlet.ErrClosed
	}
	at := cursor{d.settled.now().last, d.deliverer.opts.WhenFull == Block}
	if err := d.j.destinations.save(d.name, at); err != nil {
		return err
	}
	d.state.saved.Store(at.seq)
	return nil
}

// saveOrLog is save where a failure is to be tried again.
func (d *Delivery) saveOrLog() {
	if !d.unsavedCursor() {
		return
	}
	d.savedAt, d.unsaved = time.Now(), 0
	if err := d.save(); err != nil {
		d.log.Error("journal: how far the destination has come cannot be noted, will try again", "error", err)
	}
}

// saveLast saves the cursor for the last time.
func (d *Delivery) saveLast() (err error) {
	if d.unsavedCursor() {
		err = d.save()
	}
	d.saving.Lock()
	d.left = true
	d.saving.Unlock()
	return err
}

// finish ends the delivery.
func (d *Delivery) finish() {
	d.deliverer.tail.close()
	err := d.saveLast()
	if d.deadLetters != nil {
		err = errors.Join(err, d.deadLetters.close())
	}
	if err != nil {
		d.log.Error("journal: a delivery did not end well; its destination may get events again", "error", err)
	}
	d.cancel()
	d.err = err
	d.j.destinations.end(d)
	close(d.done)
}
