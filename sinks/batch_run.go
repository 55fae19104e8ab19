package sinks

import (
	"context"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/guard"
	"github.com/inlet-go/inlet/internal/itemerrors"
)

// run writes what is queued until the queue is closed and empty.
func (b *Batch) run() {
	defer close(b.ended)
	defer b.cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next, wait, more := b.queue.next(time.Now())
		switch {
		case !more:
			return
		case len(next.parts) > 0:
			b.write(next)
		default:
			b.sleep(timer, wait)
		}
	}
}

// sleep waits for something to do; see [batchQueue.next].
func (b *Batch) sleep(timer *time.Timer, wait time.Duration) {
	timer.Stop()
	if wait >= 0 {
		timer.Reset(wait)
	}
	select {
	case <-b.queue.wake:
	case <-timer.C:
	}
}

// write writes the events of a batch and gives each call its outcome.
func (b *Batch) write(next batch) {
	errs := b.store(next.events)
	if b.o.Async {
		b.report(next.events, errs)
	}
	for _, p := range next.parts {
		if len(p.call.events) > 0 {
			p.call.complete(p.from, errs[:p.n])
		} else {
			p.call.finish(b.lostSince(p.call.failedBefore))
		}
		errs = errs[p.n:]
	}
}

// lostSince returns the error of a Flush, if events have failed since it was called.
func (b *Batch) lostSince(before uint64) error {
	if lost := b.failed.Load() - before; lost > 0 {
		return fmt.Errorf("sinks: Batch: %d events that were queued before the flush were not stored", lost)
	}
	return nil
}

// store writes the events and returns the error of each, nil where it is stored.
func (b *Batch) store(events []*inlet.Event) []error {
	s := bisection{inner: inlet.SinkFunc(b.pass), events: events, outcome: newOutcome(len(events))}
	if len(events) > 0 {
		s.write(b.ctx, 0, len(events))
	}
	if s.outcome.errs == nil {
		return make([]error, len(events))
	}
	return s.outcome.errs
}

// pass is one inner Write. A panic in it is a temporary error.
func (b *Batch) pass(ctx context.Context, events []*inlet.Event) error {
	ctx, cancel := context.WithTimeout(ctx, b.o.WriteTimeout)
	defer cancel()
	return b.guarded("the inner sink", func() error { return b.inner.Write(ctx, events) })
}

// report gives the events that have failed to OnError.
func (b *Batch) report(events []*inlet.Event, errs []error) {
	var failed []*inlet.Event
	var reasons []error
	for i, err := range errs {
		if err != nil {
			failed, reasons = append(failed, events[i]), append(reasons, err)
		}
	}
	if len(failed) == 0 {
		return
	}
	b.failed.Add(uint64(len(failed)))
	b.guarded("OnError", func() error {
		b.o.OnError(failed, itemerrors.Join(reasons))
		return nil
	})
}

// guarded calls f and logs a panic in it, which has no caller to go to.
func (b *Batch) guarded(what string, f func() error) (err error) {
	guard.Call(&err, f)
	if p, ok := guard.Panicked(err); ok {
		b.o.Logger.Error("sinks: batch panicked", "in", what, "panic", p.Cause, "stack", string(p.Stack))
		return fmt.Errorf("sinks: Batch: %s panicked: %v", what, p.Cause)
	}
	return err
}
