package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/inlet-go/inlet"
)

// Drain returns nil once every event that the journal had acknowledged before the call is
// settled for each destination: accepted by its sink, filtered out, or a dead letter. What is
// acknowledged later is not waited for, so first stop what writes. A destination that is waited for
// does not wait for DeliverOptions.MaxDelay.
//
// The destinations are those that Deliver was called for before: with a running delivery, or
// with a cursor only, until [Journal.Forget]. Without any, Drain returns nil immediately: the
// events are only in the directory. Dead letters stay there too, so they need a
// [Delivery.Redrive] before the directory may be given up; [Journal.Stats] has their size.
//
// Drain fails when ctx is done, and with [inlet.ErrClosed] for a destination that lacks events
// and has no running delivery, or whose delivery ends meanwhile. It then still waits for the
// others, and returns one error for each destination that lacks events, joined, with how many
// and why the last attempt to deliver failed. It stops no delivery, and changes nothing.
func (j *Journal) Drain(ctx context.Context) error {
	want := j.progress.now().last
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(j.checkpoints.cursors())) {
		errs = append(errs, j.drain(ctx, name, want))
	}
	return errors.Join(errs...)
}

// drain returns once everything up to want is settled for a destination.
func (j *Journal) drain(ctx context.Context, name string, want uint64) error {
	for {
		if d := j.deliveries.get(name); d != nil {
			err := d.drain(ctx, want)
			if !errors.Is(err, inlet.ErrClosed) {
				return err
			}
			if j.deliveries.get(name) != nil {
				continue // another one has begun
			}
		}
		at, found := j.checkpoints.cursor(name)
		if !found || at.seq >= want { // forgotten, or settled
			return nil
		}
		return undrained(name, want-at.seq, errors.New("no delivery runs"), inlet.ErrClosed)
	}
}

// Drain returns nil once every event that the journal had acknowledged before the call is
// settled: accepted by the sink, filtered out, or a dead letter. While it waits, no batch waits
// for DeliverOptions.MaxDelay. It fails when ctx is done, and with [inlet.ErrClosed] if the
// delivery ends first.
func (d *Delivery) Drain(ctx context.Context) error {
	return d.drain(ctx, d.j.progress.now().last)
}

// drain returns once everything up to want is settled.
func (d *Delivery) drain(ctx context.Context, want uint64) error {
	d.drains.Add(1)
	defer d.drains.Add(-1)
	select {
	case d.hurry <- struct{}{}:
	default: // it will look
	}
	for {
		at, moved := d.checkpoint.position.watch()
		if at.last >= want {
			return nil
		}
		select {
		case <-moved:
		case <-d.done:
			if at = d.checkpoint.position.now(); at.last < want {
				return undrained(d.name, want-at.last, d.Stats().Err, inlet.ErrClosed)
			}
		case <-ctx.Done():
			return undrained(d.name, want-at.last, d.Stats().Err, ctx.Err())
		}
	}
}

// undrained is the error for a destination that lacks up to n events. The cause of that is only
// text: it may be marked as permanent.
func undrained(name string, n uint64, cause, err error) error {
	if cause == nil {
		return fmt.Errorf("journal: destination %q lacks up to %d events: %w", name, n, err)
	}
	return fmt.Errorf("journal: destination %q lacks up to %d events (%s): %w", name, n, clip(cause.Error()), err)
}
