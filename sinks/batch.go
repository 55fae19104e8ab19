package sinks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// BatchOptions configure [NewBatch]. A nil pointer means all defaults.
type BatchOptions struct {
	// MaxEvents is the maximum number of events in one inner Write. Defaults to 1,000.
	MaxEvents int
	// MaxBytes is the maximum size of the events in one inner Write, in bytes of their
	// canonical form; a single event may be larger. The size is an estimate that is only
	// too low for text that JSON must escape. Defaults to 1 MiB.
	MaxBytes int
	// MaxDelay is how long events wait for others before they are written. Defaults to 0:
	// they wait only while another inner Write runs, which groups what is written
	// concurrently and delays nothing else.
	MaxDelay time.Duration

	// Async makes Write return as soon as the events are queued. Queued events are lost
	// if the process ends. Defaults to false: Write waits for the outcome.
	Async bool
	// OnError receives the events that the inner sink has not stored, one call per inner
	// batch; [inlet.ItemErrors] returns the error of each. The function may keep the
	// events. The next inner Write waits until it returns, so it must not block. Required
	// with Async, where no caller receives the errors, and never called without. Defaults
	// to nil.
	OnError func(events []*inlet.Event, err error)

	// MaxPending is the maximum number of events that wait to be written. A Write beyond
	// it fails with [inlet.ErrOverloaded], unless nothing waits. Defaults to 10,000.
	MaxPending int
	// MaxPendingBytes is the maximum size of the events that wait, in bytes as of
	// MaxBytes, with the same effect as MaxPending. Defaults to 64 MiB.
	MaxPendingBytes int
	// WriteTimeout is the timeout of one inner Write. Defaults to 10 seconds.
	WriteTimeout time.Duration
	// Logger logs panics in the inner sink and in OnError. Defaults to [slog.Default].
	Logger *slog.Logger
}

func (o *BatchOptions) withDefaults() (BatchOptions, error) {
	var f BatchOptions
	if o != nil {
		f = *o
	}
	f.MaxEvents = cmp.Or(f.MaxEvents, 1000)
	f.MaxBytes = cmp.Or(f.MaxBytes, 1<<20)
	f.MaxPending = cmp.Or(f.MaxPending, 10_000)
	f.MaxPendingBytes = cmp.Or(f.MaxPendingBytes, 64<<20)
	f.WriteTimeout = cmp.Or(f.WriteTimeout, 10*time.Second)
	f.Logger = cmp.Or(f.Logger, slog.Default())
	var noOnError error
	if f.Async && f.OnError == nil {
		noOnError = check.Fault("OnError", "is nil, but required with Async")
	}
	return f, check.Options("sinks", "BatchOptions",
		check.AtLeast("MaxEvents", f.MaxEvents, 1),
		check.AtLeast("MaxBytes", f.MaxBytes, 1),
		check.AtLeast("MaxDelay", f.MaxDelay, 0),
		noOnError,
		check.AtLeast("MaxPending", f.MaxPending, 1),
		check.AtLeast("MaxPendingBytes", f.MaxPendingBytes, 1),
		check.AtLeast("WriteTimeout", f.WriteTimeout, 0),
	)
}

// Batch is a decorator that combines the events of concurrent Writes into fewer, larger
// ones, for sinks where calls are expensive. Make one with [NewBatch].
//
// Grouping: while an inner Write runs, the events that arrive wait, and are then written
// together; a single writer is not delayed. BatchOptions.MaxDelay adds a wait on purpose.
// Inner Writes never overlap.
//
// Acknowledgement: Write returns when all of its events have been written, with their
// outcome alone. If its context is done first, it fails with a temporary error, and those
// of its events that still wait are not written. With BatchOptions.Async it returns nil
// once the events are queued, and failures go to OnError.
//
// Refusals: a permanent error for a whole inner Write may be due to one event of one
// caller. So that the other events are stored, the batch is split in halves until the
// refused events are alone, as [DeadLetter] does.
//
// Order: inner Writes hold events in the order of the calls, and within these in the order
// of the client. The events of a call are written together, unless they exceed the maximum
// of one inner Write.
//
// Overload: the queue is bounded; see MaxPending.
//
// Context: inner Writes have a deadline, WriteTimeout, and no values: they belong to
// several callers.
//
// Ownership: the events are cloned, since a caller may return before they are written.
//
// Panics: a panic in the inner sink is logged, and is a temporary failure of the events
// that were written.
//
// Concurrency: one goroutine, from [NewBatch] until Close has returned nil.
//
// Abilities: Flush, Close, Check and Durability are its own and include those of the inner
// sink. It has no Unwrap.
type Batch struct {
	inner   inlet.Sink
	o       BatchOptions
	queue   batchQueue
	failed  atomic.Uint64
	closing closeOnce

	ctx    context.Context // of inner Writes
	cancel context.CancelFunc
	ended  chan struct{} // closed when the goroutine has ended
}

// NewBatch returns a decorator of inner, with a goroutine that Close ends. It returns an
// error if inner is nil, if an option is out of its bounds, or for Async without OnError.
func NewBatch(inner inlet.Sink, o *BatchOptions) (*Batch, error) {
	opts, err := o.withDefaults()
	if err := errors.Join(check.Options("sinks", "NewBatch", check.NotNil("inner", inner == nil)), err); err != nil {
		return nil, err
	}
	b := &Batch{inner: inner, o: opts, closing: newCloseOnce(), ended: make(chan struct{})}
	b.queue = newBatchQueue(&b.o)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	go b.run()
	return b, nil
}

// Write queues the events and, unless BatchOptions.Async is set, waits for their outcome:
// nil or a [*inlet.BatchError]. After Close it fails with [inlet.ErrClosed].
func (b *Batch) Write(ctx context.Context, events []*inlet.Event) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sinks: Batch: not written: %w", err)
	}
	if err := b.queue.check(); err != nil {
		return err
	}
	c := newBatchCall(inlet.CloneEvents(events))
	if err := b.queue.put(c); err != nil || b.o.Async {
		return err
	}
	return b.wait(ctx, c)
}

// wait returns the outcome of c. If ctx is done first, it removes c from the queue.
func (b *Batch) wait(ctx context.Context, c *batchCall) error {
	if await(ctx, c.done) {
		return c.err
	}
	b.queue.remove(c)
	return fmt.Errorf("sinks: Batch: gave up waiting, the outcome is unknown: %w", ctx.Err())
}

// Flush returns once everything that was queued before has been written, and then flushes
// the inner sink. It does not wait for MaxDelay. With BatchOptions.Async it fails if any of
// these events was not stored. After Close it fails with [inlet.ErrClosed].
func (b *Batch) Flush(ctx context.Context) error {
	c := newBatchCall(nil)
	c.failedBefore = b.failed.Load()
	if err := b.queue.put(c); err != nil {
		return err
	}
	if err := b.wait(ctx, c); err != nil {
		return err
	}
	return inlet.Flush(ctx, b.inner)
}

// Close makes every later Write fail with [inlet.ErrClosed], writes what is queued and
// closes the inner sink. If ctx is done first, events that still wait fail with a temporary
// error, the inner sink is closed nevertheless, and Close returns an error. Further calls
// wait too; they return what the first returned from the inner sink and do not close it
// again.
func (b *Batch) Close(ctx context.Context) error {
	b.queue.close()
	waited := b.end(ctx)
	return errors.Join(waited, b.closing.do(ctx, func() error { return inlet.Close(ctx, b.inner) }))
}

// end waits until the goroutine has ended. When ctx is done it cancels its writes.
func (b *Batch) end(ctx context.Context) error {
	if await(ctx, b.ended) {
		return nil
	}
	b.cancel()
	return fmt.Errorf("sinks: Batch: closed before all queued events were written: %w", ctx.Err())
}

// Check returns the error that a Write would fail with now because of the queue; without
// one it checks the inner sink.
func (b *Batch) Check(ctx context.Context) error {
	if err := b.queue.check(); err != nil {
		return err
	}
	return inlet.Check(ctx, b.inner)
}

// Durability returns the durability of the inner sink, with BatchOptions.Async at most
// [inlet.DurabilityMemory].
func (b *Batch) Durability() inlet.Durability {
	if b.o.Async {
		return min(inlet.DurabilityOf(b.inner), inlet.DurabilityMemory)
	}
	return inlet.DurabilityOf(b.inner)
}

// BatchStats is a snapshot of the counters of a [Batch].
type BatchStats struct {
	// Pending is the number of events that wait to be written now.
	Pending int
	// Failed is the number of events that were given to BatchOptions.OnError so far.
	Failed uint64
}

// Stats returns the current counters.
func (b *Batch) Stats() BatchStats {
	return BatchStats{Pending: b.queue.len(), Failed: b.failed.Load()}
}
