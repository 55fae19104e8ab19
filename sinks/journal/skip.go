package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
)

// Skip makes the event that blocks the destination a dead letter, whose [sinks.Refusal] begins
// with "skipped: ", so that the delivery goes on with the next one. It returns nil once the letter
// is stored.
//
// The event is the first one of the batch that fails when it is written alone: Skip has each of
// them tried, without a wait, until one fails. So if the destination is down, and not blocked by
// an event, Skip parks the next event: look at DeliveryStats.Err and DeliveryStats.Blocking first.
//
// It waits for the Write in progress, and for those that it causes. It fails with [ErrNotBlocked]
// if the last attempt did not fail, or if no event fails alone; with [inlet.ErrClosed] if the
// delivery ends; and if the letter cannot be stored. If ctx is done first, the event may still be
// skipped.
func (d *Delivery) Skip(ctx context.Context) error {
	r := make(skipRequest, 1)
	select {
	case d.skips <- r:
	case <-d.done:
		return fmt.Errorf("journal: destination %q: %w", d.name, inlet.ErrClosed)
	case <-ctx.Done():
		return fmt.Errorf("journal: destination %q: nothing skipped: %w", d.name, ctx.Err())
	}
	select {
	case err := <-r:
		if err != nil {
			err = fmt.Errorf("journal: destination %q: nothing skipped: %w", d.name, err)
		}
		return err
	case <-ctx.Done():
		return fmt.Errorf("journal: destination %q: %w", d.name, unknownOutcome(ctx))
	}
}

// A skipRequest receives the outcome of a Skip. It is answered where it is taken from the channel.
type skipRequest chan error

// answerSkip answers the Skip that waits, if one does.
func (d *deliverer) answerSkip(err error) {
	if d.skip != nil {
		d.skip <- err
		d.skip = nil
	}
}

// refuseSkips answers a Skip while nothing is known to fail. During a pause every event fails.
func (d *deliverer) refuseSkips(failures int) {
	if failures > 0 || d.skip != nil || d.paused() {
		return
	}
	select {
	case r := <-d.skips:
		r <- ErrNotBlocked
	default:
	}
}

// parker returns a function that stores an event as a letter with a cause.
func parker(letters inlet.Sink, name string, parked func(context.Context, *inlet.Event, error)) func(context.Context, *inlet.Event, string) error {
	return func(ctx context.Context, e *inlet.Event, cause string) error {
		reason := inlet.Permanent(errors.New(cause))
		refusing := inlet.SinkFunc(func(context.Context, []*inlet.Event) error { return reason })
		d, err := sinks.NewDeadLetter(refusing, letters, &sinks.DeadLetterOptions{Name: name, OnLetter: parked})
		if err != nil {
			return err
		}
		return d.Write(ctx, []*inlet.Event{e})
	}
}

// countParked counts and logs an event that became a dead letter although the destination has not
// rejected it.
func (d *Delivery) countParked(_ context.Context, letter *inlet.Event, err error) {
	d.state.refused.add(1)
	d.log.Warn("journal: event set aside as a dead letter", "messageId", letter.MessageID, "source", sourceID(letter), "error", err)
}

// blockedInterval is the least time between two log lines about the event that blocks a
// destination.
const blockedInterval = time.Minute

// logBlocked logs the event that blocks the destination, again and again.
func (d *Delivery) logBlocked(f failure) {
	if f.alone == nil || time.Since(d.blockedLogged) < blockedInterval {
		return
	}
	d.blockedLogged = time.Now()
	d.log.Warn("journal: delivery is blocked by an event", "messageId", f.alone.MessageID, "source", sourceID(f.alone),
		"type", f.alone.Type, "attempts", f.attempts, "error", f.err)
}
