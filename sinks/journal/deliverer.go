package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/inlet-go/inlet/internal/guard"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/backoff"
)

// maxBatchFailures is the number of consecutive failures after which a sink is probed with
// a single event, until it accepts one.
const maxBatchFailures = 5

// A deliverer moves events from a tail of the journal to a sink, in batches. It is used by
// a delivery and by a replay in turns of two steps: readBatch reads the next batch, and
// deliver writes that until every event of it is settled. A batch shrinks as the sink
// accepts its events, so a retry never repeats an event that was accepted.
type deliverer struct {
	tail   tail
	sink   inlet.Sink
	opts   DeliverOptions
	log    *slog.Logger
	stop   <-chan struct{} // closed to end it between two attempts
	report func(failure)   // called after each attempt
	// reading is called with the time at which the first event of a batch was received, as
	// soon as that is read.
	reading func(oldest time.Time)
	// paused reports whether the sink is only to be probed. Others than deliveries never pause.
	paused func() bool
	// strict ends it at an event that is rejected permanently. Without it the sink has
	// dead letters, and never rejects one.
	strict bool
	// park stores an event as a dead letter that the sink has not rejected; nil if strict.
	park func(ctx context.Context, e *inlet.Event, cause string) error
	// note saves the number of the last event of the batch before it is written; nil if batches
	// need not be cut again as they were.
	note  func(last uint64) error
	skips <-chan skipRequest // see Delivery.Skip; nil for others
	skip  skipRequest        // that is to be answered, or nil

	until  uint64         // the first batch ends here, as it did before a restart; 0 if it need not
	read   numberedEvents // the events of the batch, as it was read
	buffer []*inlet.Event // reused for batches
	events []*inlet.Event // of the batch, without those that are settled
	begun  bool           // an event of the batch was read, wanted or not
	probed int            // where in events the next probe of a pause is
	size   int            // how many events the batch had when it was read
	bytes  int            // of the lines of the batch
	last   uint64         // everything up to it is settled once the batch is
	broken error          // why the batch ended early; returned by the next readBatch
	missed missedReport
}

// A failure is the number of consecutive failed attempts, the error of the last one and
// when the next one is due. The zero value is a success.
type failure struct {
	attempts int
	err      error
	next     time.Time
	alone    *inlet.Event // that the attempt was made with, or nil if it was made with several
}

// readBatch reads the next batch within m: what is there, up to the limits. If there is
// nothing to write it returns io.EOF, and everything up to last is settled.
func (d *deliverer) readBatch(ctx context.Context, m watermark) error {
	d.events, d.probed, d.size, d.bytes, d.begun = d.buffer[:0], 0, 0, 0, false
	d.read.clear()
	err := d.broken
	d.broken = nil
	if err == nil {
		err = d.fill(ctx, m)
	}
	d.buffer = d.events
	if len(d.events) > 0 {
		d.broken = err
		return nil
	}
	return err
}

// fill adds to the batch what is there within m, up to the limits. At the end of that it
// returns io.EOF if the batch is empty, and everything up to last is settled with it.
func (d *deliverer) fill(ctx context.Context, m watermark) (err error) {
	for err == nil && !d.full() {
		if err = d.tail.advance(ctx, m); err == nil {
			err = d.addEvent()
		}
	}
	if errors.Is(err, io.EOF) { // numbers up to the watermark that have no line never will
		d.tail.countMissed(m.last)
		d.last, d.tail.next = m.last, max(d.tail.next, m.last+1)
		if len(d.events) > 0 {
			err = nil
		}
	}
	return err
}

// full reports whether the batch ends here.
func (d *deliverer) full() bool {
	if d.until > 0 {
		return d.last >= d.until
	}
	return len(d.events) >= d.opts.MaxEvents || d.bytes >= d.opts.MaxBytes
}

// gathers reports whether the batch is to wait for more events.
func (d *deliverer) gathers() bool {
	return len(d.events) < d.opts.MinEvents && !d.full() && d.until == 0 && d.broken == nil
}

// addEvent adds the tail's current event to the batch, unless the filter excludes it. If
// the filter panics the event is read again next time.
func (d *deliverer) addEvent() error {
	r, err := d.tail.record(nil)
	if err != nil { // although its checksum is right: it was written like that
		d.tail.missed[missedUnreadable]++
		d.missed.unreadable = fmt.Errorf("sequence number %d: %w", d.tail.scan.seq, err)
	}
	if err == nil && !d.begun {
		d.begun = true
		d.reading(r.Event.ReceivedAt)
	}
	wanted, failed := err == nil, error(nil)
	if wanted && d.opts.Filter != nil {
		wanted, failed = d.wants(r.Event)
	}
	if failed != nil {
		d.tail.next = r.Seq
		return failed
	}
	d.last = d.tail.scan.seq
	d.bytes += len(d.tail.scan.line)
	if wanted {
		d.events = append(d.events, r.Event)
		d.read.append(r.Event, r.Seq)
		d.size++
	}
	return nil
}

// A missedReport is what was reported of the numbers that were missed.
type missedReport struct {
	skipped    uint64 // to OnSkipped
	logged     missed
	loggedAt   [missedCauses]time.Time
	unreadable error // of the last event that could not be read
}

// missedInterval is how often missed events of one cause are logged at most.
const missedInterval = time.Minute

// reportMissed logs how many events were removed, or given up, before they were read, once for
// each cause and interval, and calls OnSkipped if that are more than at its last call.
func (d *deliverer) reportMissed() {
	d.logMissed(missedInterval)
	more := d.tail.missed.sum() - d.missed.skipped
	if more == 0 {
		return
	}
	d.missed.skipped += more
	if d.opts.OnSkipped == nil {
		return
	}
	var err error
	guard.Call(&err, func() error {
		d.opts.OnSkipped(more)
		return nil
	})
	if p, panicked := guard.Panicked(err); panicked {
		d.log.Error("journal: callback for skipped events panicked", "panic", p.Cause, "stack", string(p.Stack))
	}
}

// logMissed logs the causes that were not logged within the interval.
func (d *deliverer) logMissed(interval time.Duration) {
	r := &d.missed
	for cause, n := range d.tail.missed {
		if n == r.logged[cause] || time.Since(r.loggedAt[cause]) < interval {
			continue
		}
		attrs := []any{"cause", missedNames[cause], "atMost", n - r.logged[cause], "beforeSeq", d.tail.next}
		if cause == missedUnreadable {
			attrs = append(attrs, "error", r.unreadable)
		}
		d.log.Error("journal: events dropped before they were delivered", attrs...)
		r.logged[cause], r.loggedAt[cause] = n, time.Now()
	}
}

var errFilter = errors.New("journal: filter panicked")

// wants calls the filter. After a panic the event is neither delivered nor skipped, since
// either could be wrong.
func (d *deliverer) wants(e *inlet.Event) (wanted bool, err error) {
	guard.Call(&err, func() error {
		wanted = d.opts.Filter(e)
		return nil
	})
	if p, panicked := guard.Panicked(err); panicked {
		d.log.Error("journal: filter panicked", "panic", p.Cause, "stack", string(p.Stack))
		err = fmt.Errorf("%w: %v", errFilter, p.Cause)
	}
	return wanted, err
}

// deliver writes the batch until the sink has accepted all of it. It ends early when it is
// stopped and, if strict, at an event that is rejected permanently or given up. It returns the
// error of the last attempt.
func (d *deliverer) deliver(ctx context.Context) error {
	defer d.answerSkip(ErrNotBlocked)
	alone := 0 // failed attempts with the first event alone
	for failures := 0; len(d.events) > 0; {
		d.refuseSkips(failures)
		before, batch, err := len(d.events), d.events, error(nil)
		if failures >= maxBatchFailures || d.skip != nil {
			batch = batch[:1]
		}
		probing := d.skip == nil && d.paused()
		if probing {
			err = d.probe(ctx)
		} else {
			err = d.attempt(ctx, batch)
		}
		if d.strict && inlet.IsPermanent(err) {
			return err
		}
		if len(d.events) < before {
			failures, alone = 0, 0
		}
		if err == nil {
			d.report(failure{})
			continue
		}
		failures++
		f := failure{attempts: failures, err: err}
		switch {
		case probing, d.skip == nil && d.paused(): // its attempts do not count, and no event is at fault
			alone = 0
		case len(batch) == 1:
			f.alone = batch[0]
			alone++
		}
		parked, err := d.giveUp(ctx, &f, alone)
		switch {
		case parked:
			failures, alone = 0, 0
		case err != nil:
			return err
		case !d.backOff(f):
			return f.err
		}
	}
	return nil
}

// giveUp parks the event of a failed attempt if somebody has asked for that, or if it was made
// with that event alone as often as DeliverOptions.MaxAttempts permits. If the event cannot be
// stored the attempt has failed, as before. If strict, it returns an error instead.
func (d *deliverer) giveUp(ctx context.Context, f *failure, alone int) (parked bool, err error) {
	skip := d.skip != nil
	if ctx.Err() != nil {
		d.answerSkip(inlet.ErrClosed)
		return false, nil
	}
	if f.alone == nil || !skip && (d.opts.MaxAttempts == 0 || alone < d.opts.MaxAttempts) {
		return false, nil
	}
	cause := fmt.Sprintf("given up after %d attempts alone: %v", alone, f.err)
	if skip {
		cause = fmt.Sprintf("skipped: %v", f.err)
	}
	if d.park == nil {
		return false, fmt.Errorf("journal: event %q %s", f.alone.MessageID, cause)
	}
	err = d.park(ctx, f.alone, cause)
	d.answerSkip(err)
	if err != nil {
		f.err = fmt.Errorf("journal: dead letter not stored: %w; last attempt: %w", err, f.err)
		return false, nil
	}
	d.events, d.probed = d.events[1:], max(d.probed-1, 0)
	return true, nil
}

// attempt writes a batch, which is the first events of the rest, and removes what was accepted.
// It returns the error of the first event that was not, or of the first one that was rejected
// permanently.
func (d *deliverer) attempt(ctx context.Context, batch []*inlet.Event) error {
	errs := inlet.ItemErrors(d.write(ctx, batch), len(batch))
	if errs == nil {
		d.events = d.events[len(batch):]
		return nil
	}
	var first error
	left := make([]*inlet.Event, 0, len(d.events))
	for i, err := range errs {
		if err == nil {
			continue
		}
		left = append(left, batch[i])
		if first == nil || inlet.IsPermanent(err) && !inlet.IsPermanent(first) {
			first = err
		}
	}
	d.events = append(left, d.events[len(batch):]...)
	return first
}

// write is one Write, with its deadline. It returns a panic of the sink as a temporary
// error.
func (d *deliverer) write(ctx context.Context, events []*inlet.Event) (err error) {
	if d.note != nil {
		if err := d.note(d.read.last()); err != nil {
			return fmt.Errorf("journal: batch not noted before it is written: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, d.opts.Timeout)
	defer cancel()
	guard.Call(&err, func() error { return d.sink.Write(ctx, events) })
	if p, panicked := guard.Panicked(err); panicked {
		d.log.Error("journal: destination panicked", "panic", p.Cause, "stack", string(p.Stack))
		err = fmt.Errorf("journal: destination panicked: %v", p.Cause)
	}
	return err
}

// backOff waits after a failure, at least as long as the sink has asked for, and reports
// whether to continue. It does not wait if an event is to be skipped.
func (d *deliverer) backOff(f failure) bool {
	wait := backoff.Delay(f.attempts, d.opts.MinBackoff, d.opts.MaxBackoff)
	if asked, ok := inlet.RetryDelay(f.err); ok {
		wait = max(wait, asked)
	}
	f.next = time.Now().Add(wait)
	d.report(f)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case d.skip = <-d.skips:
		return true
	case <-d.stop:
		return false
	}
}
