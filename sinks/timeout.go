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
)

// TimeoutOptions are the options of [NewTimeout]. nil and the zero value stand
// for the defaults.
type TimeoutOptions struct {
	// MaxHanging is how many inner Writes may hang before calls are refused.
	// Defaults to 16.
	MaxHanging int
	// Logger is told of a panic in an inner Write that nobody waits for any more.
	// Defaults to [slog.Default], as it is when NewTimeout is called.
	Logger *slog.Logger
}

func (o *TimeoutOptions) withDefaults() (TimeoutOptions, error) {
	var f TimeoutOptions
	if o != nil {
		f = *o
	}
	if f.MaxHanging < 0 {
		return f, fmt.Errorf("sinks: TimeoutOptions.MaxHanging: %d is negative", f.MaxHanging)
	}
	f.MaxHanging = cmp.Or(f.MaxHanging, 16)
	f.Logger = cmp.Or(f.Logger, slog.Default())
	return f, nil
}

// Timeout is a decorator that bounds how long a Write takes: it returns at a
// limit, or when its context is done, also if the inner sink hangs and looks at
// no context. It is for sinks that are not ours to mend; one that keeps the
// contract of [inlet.Sink] needs only a context with a deadline. Make one with
// [NewTimeout].
//
// Hanging: an inner Write whose caller has gone hangs, until it returns. What it
// says then is not heard: the caller has been told that the outcome is unknown,
// by a temporary error, and may have the events written again meanwhile. The
// inner sink recognises them by MessageID, or stores them twice.
//
// Bulkhead: while MaxHanging inner Writes hang, calls fail at once with
// [inlet.ErrOverloaded], a temporary error, and do not reach the inner sink, so
// that goroutines do not pile up. Calls that were under way at that moment may
// come to hang as well: there are never more than MaxHanging and as many as the
// callers make at once, which the limits of a handler bound.
//
// Context: the inner Write gets the values of the caller's context and the
// earlier of its deadline and the limit.
//
// Ownership: the events are cloned, since the caller's memory is lent for the
// time of the call only.
//
// Panics: one in the inner Write is raised in the caller's goroutine, as an error
// that holds the cause and the stack. If the caller has gone it is counted and
// logged, and the process lives.
//
// Concurrency: one goroutine for each inner Write. None is left when Close has
// returned nil.
//
// Abilities: Close and Check are its own, the others those of the inner sink, by
// Unwrap; it stores nothing itself and acknowledges nothing early.
type Timeout struct {
	inner   inlet.Sink
	limit   time.Duration
	logger  *slog.Logger
	writes  bulkhead
	closing closing
	panics  atomic.Uint64
}

// NewTimeout returns a decorator of inner whose Writes take no longer than limit.
// A nil inner sink, a limit that is not positive and options out of their bounds
// are errors.
func NewTimeout(inner inlet.Sink, limit time.Duration, o *TimeoutOptions) (*Timeout, error) {
	switch {
	case inner == nil:
		return nil, errors.New("sinks: Timeout: the inner sink is nil")
	case limit <= 0:
		return nil, fmt.Errorf("sinks: Timeout: the limit, %v, is not positive", limit)
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Timeout{inner: inner, limit: limit, logger: opts.Logger, writes: newBulkhead(opts.MaxHanging), closing: newClosing()}, nil
}

// Write returns what the inner sink says, if that is in time. After Close it
// fails with [inlet.ErrClosed].
func (t *Timeout) Write(ctx context.Context, events []*inlet.Event) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sinks: Timeout: not written: %w", err)
	}
	if err := t.writes.enter(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, t.limit)
	w := &timedWrite{done: make(chan struct{})}
	go t.run(limited, cancel, w, inlet.CloneEvents(events))
	return t.wait(limited, w)
}

// run is an inner Write from its start to its end, whoever still waits for it.
func (t *Timeout) run(ctx context.Context, cancel context.CancelFunc, w *timedWrite, events []*inlet.Event) {
	defer t.writes.leave()
	defer cancel()
	defer t.settle(ctx, w)
	attempt(&w.err, func(int) error { return t.inner.Write(ctx, events) }, 0)
}

// settle hands the outcome over or, if nobody waits for it, drops it.
func (t *Timeout) settle(ctx context.Context, w *timedWrite) {
	if t.writes.end(w) && isPanic(w.err) {
		t.panics.Add(1)
		t.logger.ErrorContext(ctx, "sinks: Timeout: a write that hung has panicked", "error", w.err)
	}
	close(w.done)
}

// wait returns the outcome of w, or an error when ctx is done.
func (t *Timeout) wait(ctx context.Context, w *timedWrite) error {
	select {
	case <-w.done:
	case <-ctx.Done():
		if t.writes.abandon(w) {
			return fmt.Errorf("sinks: Timeout: gave up waiting, what was stored is unknown: %w", ctx.Err())
		}
	}
	if isPanic(w.err) {
		panic(prefixed("Timeout", w.err))
	}
	return w.err
}

// Hanging returns how many inner Writes hang now.
func (t *Timeout) Hanging() int { return t.writes.hangingNow() }

// Panics returns how many inner Writes have panicked when nobody waited for them
// any more.
func (t *Timeout) Panics() uint64 { return t.panics.Load() }

// Check says why a Write would be refused now, with the error it would get, if
// that is so; else it asks the inner sink.
func (t *Timeout) Check(ctx context.Context) error {
	if err := t.writes.refusal(); err != nil {
		return err
	}
	return inlet.Check(ctx, t.inner)
}

// Close makes every later Write fail with [inlet.ErrClosed], waits for all inner
// Writes, those that hang included, and closes the inner sink. If ctx is done
// first, it closes the inner sink nevertheless, which may be what frees them, and
// returns an error. A later Close waits too, and does not close the inner sink
// again but returns what that said.
func (t *Timeout) Close(ctx context.Context) error {
	waited := t.writes.close(ctx)
	return errors.Join(waited, t.closing.run(ctx, func() error { return inlet.Close(ctx, t.inner) }))
}

// Unwrap returns the inner sink.
func (t *Timeout) Unwrap() inlet.Sink { return t.inner }
