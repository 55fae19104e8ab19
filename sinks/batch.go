package sinks

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/inlet-go/inlet"
)

// Batch is a decorator that gathers the events of concurrent Writes into fewer,
// larger ones, for sinks where a call is dear. Make one with [NewBatch].
//
// Grouping: while an inner Write runs, what comes meanwhile waits and is then
// written together; a single writer is not held up. BatchOptions.MaxDelay waits
// longer on purpose. One inner Write runs at a time.
//
// Acknowledgement: Write returns when all of its events have been written, with
// the outcome of these alone. If its context is done first it fails with a
// temporary error, and what of it still waits is not written. With
// BatchOptions.Async it returns nil once the events are queued, and failures go
// to OnError.
//
// Refusals: a permanent error that stands for a whole inner Write may be due to
// one event of one caller. To be fair to the others, the halves of the batch are
// written again until the offenders stand alone, as [DeadLetter] does it.
//
// Order: inner Writes hold events in the order of the calls, and within these in
// that of the client. A call's events are written together, unless they are more
// than one inner Write takes.
//
// Overload: what waits is bounded; see MaxPending.
//
// Context: inner Writes have a deadline, WriteTimeout, and no values: they
// belong to several callers.
//
// Ownership: the events are cloned, since a caller may leave before they are
// written.
//
// Panics: one in the inner sink is logged, and is a temporary failure of the
// events that were written.
//
// Concurrency: one goroutine, from [NewBatch] on until Close has returned nil.
//
// Abilities: its own, made of those of the inner sink; see the methods. It has no
// Unwrap.
type Batch struct {
	inner   inlet.Sink
	o       BatchOptions
	queue   batchQueue
	failed  atomic.Uint64
	closing closing

	ctx    context.Context // of inner Writes
	cancel context.CancelFunc
	ended  chan struct{} // closed when the goroutine has ended
}

// NewBatch returns a decorator of inner, with a goroutine that Close ends. A nil
// inner sink, options out of their bounds and Async without OnError are errors.
func NewBatch(inner inlet.Sink, o *BatchOptions) (*Batch, error) {
	if inner == nil {
		return nil, errors.New("sinks: Batch: the inner sink is nil")
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Batch{inner: inner, o: opts, closing: newClosing(), ended: make(chan struct{})}
	b.queue = newBatchQueue(&b.o)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	go b.run()
	return b, nil
}

// Write queues the events and, unless BatchOptions.Async is set, waits for their
// outcome: nil, or a [*inlet.BatchError]. After Close it fails with
// [inlet.ErrClosed].
func (b *Batch) Write(ctx context.Context, events []*inlet.Event) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sinks: Batch: not written: %w", err)
	}
	if err := b.queue.refusal(); err != nil {
		return err
	}
	c := newBatchCall(inlet.CloneEvents(events))
	if err := b.queue.put(c); err != nil || b.o.Async {
		return err
	}
	return b.wait(ctx, c)
}

// wait returns the outcome of c. If ctx is done first, it takes back what waits.
func (b *Batch) wait(ctx context.Context, c *batchCall) error {
	if await(ctx, c.done) {
		return c.err
	}
	b.queue.remove(c)
	return fmt.Errorf("sinks: Batch: gave up waiting, what was stored is unknown: %w", ctx.Err())
}

// Flush returns once everything that was queued before has been written, and then
// flushes the inner sink. It does not wait for MaxDelay. With BatchOptions.Async
// it fails if any of that was not stored. After Close it fails with
// [inlet.ErrClosed].
func (b *Batch) Flush(ctx context.Context) error {
	c := newBatchCall(nil)
	c.before = b.failed.Load()
	if err := b.queue.put(c); err != nil {
		return err
	}
	if err := b.wait(ctx, c); err != nil {
		return err
	}
	return inlet.Flush(ctx, b.inner)
}

// Close makes every later Write fail with [inlet.ErrClosed], writes what waits and
// closes the inner sink. If ctx is done first, what still waits fails with a
// temporary error, the inner sink is closed nevertheless, and Close returns an
// error. A later Close waits too, and does not close the inner sink again but
// returns what that said.
func (b *Batch) Close(ctx context.Context) error {
	b.queue.close()
	waited := b.end(ctx)
	return errors.Join(waited, b.closing.run(ctx, func() error { return inlet.Close(ctx, b.inner) }))
}

// end waits until the goroutine has ended. When ctx is done it has it give up.
func (b *Batch) end(ctx context.Context) error {
	if await(ctx, b.ended) {
		return nil
	}
	b.cancel()
	return fmt.Errorf("sinks: Batch: closed before all was written: %w", ctx.Err())
}

// Check says why a Write would be refused now, with the error it would get, if
// that is so; else it asks the inner sink.
func (b *Batch) Check(ctx context.Context) error {
	if err := b.queue.refusal(); err != nil {
		return err
	}
	return inlet.Check(ctx, b.inner)
}

// Durability returns what the inner sink declares, but with BatchOptions.Async
// [inlet.DurabilityMemory] at most.
func (b *Batch) Durability() inlet.Durability {
	if b.o.Async {
		return min(inlet.DurabilityOf(b.inner), inlet.DurabilityMemory)
	}
	return inlet.DurabilityOf(b.inner)
}

// Pending returns how many events wait to be written.
func (b *Batch) Pending() int { return b.queue.len() }

// Failed returns how many events have been given to BatchOptions.OnError.
func (b *Batch) Failed() uint64 { return b.failed.Load() }
