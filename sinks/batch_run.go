package sinks

import (
	"context"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
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

// write writes the events of a batch, and hands each caller its outcome.
func (b *Batch) write(next batch) {
	errs := b.store(next.events)
	if b.o.Async {
		b.report(next.events, errs)
	}
	for _, p := range next.parts {
		b.settle(p, errs[:p.n])
		errs = errs[p.n:]
	}
}

// store returns the error of each event, nil where it is stored.
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
	return b.guard("the inner sink", func(int) error { return b.inner.Write(ctx, events) })
}

// report gives the events that have failed to OnError.
func (b *Batch) report(events []*inlet.Event, errs []error) {
	var failed []*inlet.Event
	var items []error
	for i, err := range errs {
		if err != nil {
			failed, items = append(failed, events[i]), append(items, err)
		}
	}
	if len(failed) == 0 {
		return
	}
	b.failed.Add(uint64(len(failed)))
	b.guard("OnError", func(int) error {
		b.o.OnError(failed, batchError(items))
		return nil
	})
}

// guard calls f, and logs a panic in it: there is no caller whom it would reach.
func (b *Batch) guard(who string, f func(int) error) (err error) {
	attempt(&err, f, 0)
	if p, ok := err.(*panicError); ok {
		b.o.Logger.Error("sinks: Batch: "+who+" panicked", "panic", p.cause, "stack", string(p.stack))
		return fmt.Errorf("sinks: Batch: %s panicked: %v", who, p.cause)
	}
	return err
}

// settle answers a part of a call, or a Flush.
func (b *Batch) settle(p batchPart, errs []error) {
	if len(p.call.events) > 0 {
		p.call.settle(p.from, errs)
		return
	}
	var err error
	if lost := b.failed.Load() - p.call.before; lost > 0 {
		err = fmt.Errorf("sinks: Batch: %d events that were queued before were not stored", lost)
	}
	p.call.answer(err)
}
