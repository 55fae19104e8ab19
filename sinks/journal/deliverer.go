package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/backoff"
)

// probeAfter is after how many failures in a row a sink is asked with a single
// event, until it takes one.
const probeAfter = 5

// A deliverer moves events from a tail of the journal to a sink, batch by batch: the
// next one only once everything of the last is settled.
type deliverer struct {
	tail tail
	sink inlet.Sink
	opts DeliverOptions
	log  *slog.Logger
	stop <-chan struct{} // closed to end it between two attempts
	report func(failure)   // told how each attempt went
	// strict ends it at an event that is refused for good. Without it the sink
	// has dead letters, and never refuses one.
	strict bool

	buffer   []*inlet.Event // of batches
	events []*inlet.Event // of the batch, as far as they are not settled
	oldest  time.Time      // when the first of them was received
	bytes  int            // of the lines of the batch
	last   uint64         // everything up to it is settled once the batch is
	broken error          // why the batch ended early; of the next fill
}

// A failure is how many attempts in a row have failed, the error of the last and
// when the next is due; its zero value is a success.
type failure struct {
	attempts int
	err      error
	next     time.Time
}

// readBatch reads the next batch within m: what is there, up to the limits. It returns
// io.EOF if there is nothing to write, and then everything up to last is settled.
func (p *deliverer) readBatch(ctx context.Context, m watermark) error {
	p.events, p.bytes = p.buffer[:0], 0
	err := p.broken
	p.broken = nil
	for err == nil && len(p.events) < p.opts.MaxEvents && p.bytes < p.opts.MaxBytes {
		if err = p.tail.advance(ctx, m); err == nil {
			err = p.addEvent()
		}
	}
	p.buffer = p.events
	if errors.Is(err, io.EOF) { // what has no line up to the mark never will
		p.tail.countMissed(m.last)
		p.last, p.tail.next = m.last, max(p.tail.next, m.last+1)
	} else if err != nil && len(p.events) > 0 {
		p.broken = err
	}
	if len(p.events) > 0 {
		return nil
	}
	return err
}

// addEvent adds the event that the tail has come to, if it is wanted. If that cannot be
// known it is the next to be read again.
func (p *deliverer) addEvent() error {
	r, err := p.tail.record(nil)
	if err != nil { // its checksum is right: it was written so
		p.log.Error("journal: event cannot be read", "seq", p.tail.scan.seq, "error", err)
		p.tail.missed++
	}
	wanted, failed := err == nil, error(nil)
	if wanted && p.opts.Filter != nil {
		wanted, failed = p.wants(r.Event)
	}
	if failed != nil {
		p.tail.next = r.Seq
		return failed
	}
	p.last = p.tail.scan.seq
	p.bytes += len(p.tail.scan.line)
	if wanted {
		p.collect(r.Event)
	}
	return nil
}

func (p *deliverer) collect(e *inlet.Event) {
	if len(p.events) == 0 {
		p.oldest = e.ReceivedAt
	}
	p.events = append(p.events, e)
}

// deliver writes the batch until the sink has taken all of it. It ends before that
// when it is stopped, and if it is strict at an event that is refused for good; the
// error is that of the last attempt.
func (p *deliverer) deliver(ctx context.Context) error {
	for failures := 0; len(p.events) > 0; {
		before := len(p.events)
		err := p.attempt(ctx, failures)
		if p.strict && inlet.IsPermanent(err) {
			return err
		}
		if len(p.events) < before {
			failures = 0
		}
		if err == nil {
			p.report(failure{})
			continue
		}
		failures++
		if !p.backOff(failures, err) {
			return err
		}
	}
	return nil
}

// attempt writes what is left of the batch, or one event to see whether a sink
// works again, and takes what is stored off it. The error is that of the first
// event that is not, and permanent only if that is refused for good.
func (p *deliverer) attempt(ctx context.Context, failures int) error {
	batch := p.events
	if failures >= probeAfter {
		batch = batch[:1]
	}
	errs := inlet.ItemErrors(p.write(ctx, batch), len(batch))
	if errs == nil {
		p.events = p.events[len(batch):]
		return nil
	}
	var first error
	left := make([]*inlet.Event, 0, len(p.events))
	for i, err := range errs {
		if err == nil {
			continue
		}
		left = append(left, batch[i])
		if first == nil || inlet.IsPermanent(err) && !inlet.IsPermanent(first) {
			first = err
		}
	}
	p.events = append(left, p.events[len(batch):]...)
	return first
}

// write is one Write. A panic of the sink is a temporary failure of it.
func (p *deliverer) write(ctx context.Context, events []*inlet.Event) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			p.log.Error("journal: a destination panicked", "panic", cause, "stack", string(debug.Stack()))
			err = fmt.Errorf("journal: the destination panicked: %v", cause)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	return p.sink.Write(ctx, events)
}

// backOff waits after a failure, as long as the sink says at least, and reports
// whether to go on.
func (p *deliverer) backOff(failures int, err error) bool {
	wait := backoff.Delay(failures, p.opts.MinBackoff, p.opts.MaxBackoff)
	if asked, ok := inlet.RetryDelay(err); ok {
		wait = max(wait, asked)
	}
	p.report(failure{failures, err, time.Now().Add(wait)})
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.stop:
		return false
	}
}

var errFilter = errors.New("journal: the filter panicked")

// wants asks the filter. What that panics at is not delivered and not passed over:
// both could be wrong.
func (p *deliverer) wants(e *inlet.Event) (wanted bool, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			p.log.Error("journal: a filter panicked", "panic", cause, "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", errFilter, cause)
		}
	}()
	return p.opts.Filter(e), nil
}
