package sinks

import (
	"context"
	"fmt"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
)

// A bisection finds the events for which whole batches are permanently refused, by
// writing ever smaller parts of them.
type bisection struct {
	inner   inlet.Sink
	events  []*inlet.Event
	outcome *outcome
	stopped error // why nothing more is written; temporary
}

// write writes the events with the indices from inclusive to to exclusive.
func (b *bisection) write(ctx context.Context, from, to int) {
	if err := ctx.Err(); err != nil && b.stopped == nil {
		b.stopped = err
	}
	if b.stopped != nil {
		b.skip(from, to)
		return
	}
	b.narrow(ctx, from, to, b.inner.Write(ctx, b.events[from:to]))
}

// narrow records err as the outcome of a Write of these events, unless it refuses them as
// a whole: then it writes each half.
func (b *bisection) narrow(ctx context.Context, from, to int, err error) {
	_, perEvent := itemerrors.Find(err)
	if to-from > 1 && inlet.IsPermanent(err) && !perEvent {
		middle := from + (to-from)/2
		b.write(ctx, from, middle)
		b.write(ctx, middle, to)
		return
	}
	errs := inlet.ItemErrors(err, to-from)
	for n, err := range errs {
		b.outcome.fail(from+n, err)
	}
	if allTemporary(errs) {
		b.stopped = errs[0]
	}
}

// skip fails events without writing them.
func (b *bisection) skip(from, to int) {
	err := fmt.Errorf("sinks: not written after a failure: %w", b.stopped)
	for i := from; i < to; i++ {
		b.outcome.fail(i, err)
	}
}

// allTemporary reports whether a Write has failed temporarily for all of its events.
func allTemporary(errs []error) bool {
	for _, err := range errs {
		if err == nil || inlet.IsPermanent(err) {
			return false
		}
	}
	return len(errs) > 0
}
