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
	defer d.leave()
	for !d.stopping() {
		m, moved := d.j.progress.after()
		switch err := d.pump.fill(d.ctx, m); {
		case errors.Is(err, io.EOF):
			d.failures = 0
			d.attempted(failure{})
			d.passed()
			d.rest(moved)
		case d.ctx.Err() != nil:
			return
		case err != nil:
			d.readFailed(m, err)
		default:
			d.failures = 0
			d.deliver()
		}
	}
}

// deliver writes the batch that was read.
func (d *Delivery) deliver() {
	d.state.begin(d.pump.first)
	taken := len(d.pump.events)
	if err := d.pump.settle(d.ctx); err != nil {
		return // stopped: the cursor stays before the batch
	}
	d.state.delivered.add(taken)
	d.passed()
}

// passed notes that everything up to the end of the batch is settled.
func (d *Delivery) passed() {
	d.unsaved += d.pump.bytes
	d.pump.bytes = 0
	d.state.settle()
	d.noteMissed()
	d.settled.set(mark{last: d.pump.last})
	if d.unsaved >= saveBytes || time.Since(d.savedAt) >= saveEvery {
		d.saveOrLog()
	}
}

// rest waits for more to deliver. A cursor that is not saved yet is, as soon as
// that is due.
func (d *Delivery) rest(moved <-chan struct{}) {
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
func (d *Delivery) readFailed(m mark, err error) {
	d.failures++
	next := time.Now()
	if d.hopeless(m, err) {
		d.log.Error("journal: what follows in this segment cannot be delivered", "error", err)
		d.failures = 0
		d.pump.tail.skip()
	} else {
		next = next.Add(pauseAfter)
		d.pump.tail.again()
	}
	d.attempted(failure{d.failures, err, next})
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.stop:
	}
}

// hopeless reports whether to give a segment up: at once if it is gone, else after
// some attempts. It never is while it is written to, for what is still to come
// would be given up too, nor for what has nothing to do with it.
func (d *Delivery) hopeless(m mark, err error) bool {
	switch {
	case errors.Is(err, errGone):
		return true
	case errors.Is(err, errUnlisted), errors.Is(err, errFilter), osfs.IsScarce(err), d.pump.tail.entry.first >= m.segment:
		return false
	}
	return d.failures >= readAttempts
}

// attempted notes how an attempt went, and logs where that changes.
func (d *Delivery) attempted(f failure) {
	switch before := d.state.attempted(f); {
	case f.err != nil && before.err == nil:
		d.log.Warn("journal: delivery fails, will try again", "error", f.err)
	case f.err == nil && before.err != nil:
		d.log.Info("journal: delivering again", "attempts", before.attempts+1)
	}
}

// noteMissed logs a gap.
func (d *Delivery) noteMissed() {
	missed := d.pump.tail.missed
	if more := missed - d.state.dropped.Load(); more > 0 {
		d.log.Error("journal: events were removed before they were delivered", "atMost", more, "before", d.pump.tail.next)
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
	at := cursor{d.settled.now().last, d.pump.opts.WhenFull == Block}
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

// leave ends the delivery.
func (d *Delivery) leave() {
	d.pump.tail.close()
	err := d.saveLast()
	if d.letterbox != nil {
		err = errors.Join(err, d.letterbox.close())
	}
	if err != nil {
		d.log.Error("journal: a delivery did not end well; its destination may get events again", "error", err)
	}
	d.cancel()
	d.err = err
	d.j.destinations.end(d)
	close(d.done)
}
