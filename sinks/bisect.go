package sinks

import (
	"context"
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
)

// A bisection finds the events for which whole batches are refused for good, by
// writing ever smaller pieces of them.
type bisection struct {
	inner   inlet.Sink
	events  []*inlet.Event
	outcome *outcome
	stop    error // why nothing more is written; temporary
}

// write writes the events from and up to the given places.
func (b *bisection) write(ctx context.Context, from, to int) {
	if err := ctx.Err(); err != nil && b.stop == nil {
		b.stop = err
	}
	if b.stop != nil {
		b.skip(from, to)
		return
	}
	b.settle(ctx, from, to, b.inner.Write(ctx, b.events[from:to]))
}

// settle notes what a write of these events said, or writes their halves.
func (b *bisection) settle(ctx context.Context, from, to int, err error) {
	if to-from > 1 && inlet.IsPermanent(err) && !namesEvents(err) {
		middle := from + (to-from)/2
		b.write(ctx, from, middle)
		b.write(ctx, middle, to)
		return
	}
	errs := inlet.ItemErrors(err, to-from)
	for n, err := range errs {
		b.outcome.fail(from+n, err)
	}
	if tookNothing(errs) {
		b.stop = errs[0]
	}
}

// skip fails events without writing them.
func (b *bisection) skip(from, to int) {
	err := fmt.Errorf("sinks: not written any more: %w", b.stop)
	for i := from; i < to; i++ {
		b.outcome.fail(i, err)
	}
}

// namesEvents reports whether err says of single events what became of them. It
// looks where [inlet.ItemErrors] does: not into joined errors.
func namesEvents(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if _, ok := err.(*inlet.BatchError); ok {
			return true
		}
	}
	return false
}

// tookNothing reports whether a write has failed temporarily for all of its
// events.
func tookNothing(errs []error) bool {
	for _, err := range errs {
		if err == nil || inlet.IsPermanent(err) {
			return false
		}
	}
	return len(errs) > 0
}
