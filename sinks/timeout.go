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
	"github.com/inlet-go/inlet/internal/guard"
)

// TimeoutOptions configure [NewTimeout]. A nil pointer means all defaults.
type TimeoutOptions struct {
	// MaxHanging is the number of hanging inner Writes from which on calls are rejected.
	// Defaults to 16.
	MaxHanging int
	// Logger logs a panic in an inner Write whose caller has returned. Defaults to
	// [slog.Default].
	Logger *slog.Logger
}

func (o *TimeoutOptions) withDefaults() (TimeoutOptions, error) {
	var f TimeoutOptions
	if o != nil {
		f = *o
	}
	f.MaxHanging = cmp.Or(f.MaxHanging, 16)
	f.Logger = cmp.Or(f.Logger, slog.Default())
	return f, check.Options("sinks", "TimeoutOptions", check.AtLeast("MaxHanging", f.MaxHanging, 1))
}

// Timeout is a decorator that bounds the duration of a Write: it returns at a limit, or when
// its context is done, even if the inner sink hangs and ignores its context. It is for sinks
// that you cannot fix; one that keeps the contract of [inlet.Sink] needs only a context with
// a deadline. Make one with [NewTimeout].
//
// Hanging: an inner Write whose caller has returned hangs until it returns itself. Its
// result is dropped: the caller got a temporary error, because the outcome was unknown, and
// may have written the events again meanwhile. The inner sink recognises them by MessageID,
// or stores them twice.
//
// Bulkhead: while MaxHanging inner Writes hang, calls fail immediately with
// [inlet.ErrOverloaded], a temporary error, without an inner Write, so that goroutines do
// not pile up. Calls that were in flight at that moment may come to hang too: the maximum is
// MaxHanging plus the number of concurrent callers, which the limits of a handler bound.
//
// Context: the inner Write gets the values of the caller's context and the earlier of its
// deadline and the limit.
//
// Ownership: the events are cloned, since the caller's memory is lent only for the duration
// of the call.
//
// Panics: a panic in the inner Write continues in the caller's goroutine, as an error with
// the cause and the stack. If the caller has returned, it is counted and logged, and the
// process survives.
//
// Concurrency: one goroutine for each inner Write. None is left when Close has returned nil.
//
// Abilities: Close and Check are its own, the others those of the inner sink, by Unwrap; it
// stores nothing itself and acknowledges nothing early.
type Timeout struct {
	inner   inlet.Sink
	limit   time.Duration
	logger  *slog.Logger
	writes  bulkhead
	closing closeOnce
	panics  atomic.Uint64
}

// NewTimeout returns a decorator of inner whose Writes return after limit at the latest. It
// returns an error if inner is nil, if limit is not positive, or if an option is out of its
// bounds.
func NewTimeout(inner inlet.Sink, limit time.Duration, o *TimeoutOptions) (*Timeout, error) {
	opts, err := o.withDefaults()
	if err := errors.Join(check.Options("sinks", "NewTimeout",
		check.NotNil("inner", inner == nil),
		check.AtLeast("limit", limit, time.Nanosecond),
	), err); err != nil {
		return nil, err
	}
	return &Timeout{inner: inner, limit: limit, logger: opts.Logger, writes: newBulkhead(opts.MaxHanging), closing: newCloseOnce()}, nil
}

// Write returns the error of the inner sink, if that returns in time. After Close it fails
// with [inlet.ErrClosed].
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

// run makes the inner Write w. Its caller may return before it does.
func (t *Timeout) run(ctx context.Context, cancel context.CancelFunc, w *timedWrite, events []*inlet.Event) {
	defer t.writes.leave()
	defer cancel()
	defer t.finish(ctx, w)
	guard.Call(&w.err, func() error { return t.inner.Write(ctx, events) })
}

// finish passes the result of w to its caller. If that has returned, it logs a panic and
// drops everything else.
func (t *Timeout) finish(ctx context.Context, w *timedWrite) {
	p, panicked := guard.Panicked(w.err)
	if t.writes.end(w) && panicked {
		t.panics.Add(1)
		t.logger.ErrorContext(ctx, "sinks: write panicked after its timeout",
			"panic", p.Cause, "stack", string(p.Stack))
	}
	close(w.done)
}

// wait returns the result of w, or an error when ctx is done.
func (t *Timeout) wait(ctx context.Context, w *timedWrite) error {
	select {
	case <-w.done:
	case <-ctx.Done():
		if t.writes.abandon(w) {
			return fmt.Errorf("sinks: Timeout: gave up waiting, the outcome is unknown: %w", ctx.Err())
		}
	}
	if _, ok := guard.Panicked(w.err); ok {
		panic(prefixed("Timeout", w.err))
	}
	return w.err
}

// Check returns the error that a Write would fail with now because of the bulkhead or after
// Close; without one it checks the inner sink.
func (t *Timeout) Check(ctx context.Context) error {
	if err := t.writes.check(); err != nil {
		return err
	}
	return inlet.Check(ctx, t.inner)
}

// Close makes every later Write fail with [inlet.ErrClosed], waits for all inner Writes,
// including those that hang, and closes the inner sink. If ctx is done first, it closes the
// inner sink nevertheless, which may end the Writes, and returns an error. Further calls
// wait too; they return what the first returned from the inner sink and do not close it
// again.
func (t *Timeout) Close(ctx context.Context) error {
	waited := t.writes.close(ctx)
	return errors.Join(waited, t.closing.do(ctx, func() error { return inlet.Close(ctx, t.inner) }))
}

// Unwrap returns the inner sink.
func (t *Timeout) Unwrap() inlet.Sink { return t.inner }

// TimeoutStats is a snapshot of the counters of a [Timeout].
type TimeoutStats struct {
	// Hanging is the number of inner Writes that hang now.
	Hanging int
	// Panics is the number of inner Writes so far that panicked after their caller had
	// returned.
	Panics uint64
}

// Stats returns the current counters.
func (t *Timeout) Stats() TimeoutStats {
	return TimeoutStats{Hanging: t.writes.hangingNow(), Panics: t.panics.Load()}
}
