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

// FallbackOptions configure [NewFallback]. A nil pointer means all defaults.
type FallbackOptions struct {
	// Timeout is how long a Write to the front may take before its events go to the back, and at
	// most half of the time that the caller's context leaves. Defaults to 2 seconds.
	Timeout time.Duration
	// MaxHold is how long Writes may wait while the last events of the back are written to the
	// front, before it is the front's turn again. Defaults to 500 milliseconds.
	MaxHold time.Duration
	// Logger logs when the front fails, and when it is its turn again. Defaults to
	// [slog.Default].
	Logger *slog.Logger
}

func (o *FallbackOptions) withDefaults() (FallbackOptions, error) {
	var f FallbackOptions
	if o != nil {
		f = *o
	}
	f.Timeout = cmp.Or(f.Timeout, 2*time.Second)
	f.MaxHold = cmp.Or(f.MaxHold, 500*time.Millisecond)
	f.Logger = cmp.Or(f.Logger, slog.Default())
	return f, check.Options("sinks", "FallbackOptions",
		check.AtLeast("Timeout", f.Timeout, time.Nanosecond),
		check.AtLeast("MaxHold", f.MaxHold, time.Nanosecond),
	)
}

// Fallback is a decorator of two sinks: the front, such as a replicated stream, and the back, such
// as the journal, which takes what the front cannot store and from which it is written to the front
// later. So a stream can be in front of everything, and its outages are no outages of the clients.
// Make one with [NewFallback].
//
// Acknowledgement: an event is stored when the front or the back has stored it. What the back has
// acknowledged must be written to the front by something else, such as a delivery of the journal,
// which also keeps as dead letters what the front then refuses.
//
// Failures: events that the front fails temporarily, or not in time, are written to the back, and
// so are all later ones, until the front has everything that the back has acknowledged. What the
// front refuses permanently stays refused. An event that neither stores fails with the error of the
// back.
//
// Order: an event that is written after the Write of another has returned reaches the front after
// it, whichever way each of them takes, as long as the back is written to the front in order. Only
// if a Write failed for some of its events do these come later than the others.
//
// Return: in the end, while the last events of the back are written to the front, Writes wait for
// that, for FallbackOptions.MaxHold at most. If it takes longer they go to the back again.
//
// Duplicates: the front may have stored events although it failed, and then receives them twice.
// It must recognise them by their MessageID, or stores them twice.
//
// Panics of both pass through; one of the front in Flush is an error of Flush.
//
// Concurrency: one goroutine from a failure of the front until it is its turn again, or Close.
//
// Abilities: those of both sinks. Durability is the lower of the two. Check fails only if no sink
// could store events now: the back, and the front unless that has failed. Close closes the back
// first, since that may still be writing to the front.
type Fallback struct {
	front, back inlet.Sink
	drain       func(ctx context.Context) error
	opts        FallbackOptions
	turn        fallbackTurn
	closing     closeOnce

	toFront, toBack, failures atomic.Uint64
}

// NewFallback returns a decorator of front and back. It closes both. drain returns nil once the
// front has every event that the back had acknowledged before the call, and an error when its
// context is done: [github.com/inlet-go/inlet/sinks/journal.Delivery.Drain] for a delivery to the
// front of a journal that is the back, and that nothing else writes to. If the back has such events
// now, as after a restart, it begins with the back's turn. It returns an error if an argument is
// nil or an option is out of its bounds.
func NewFallback(front, back inlet.Sink, drain func(ctx context.Context) error, o *FallbackOptions) (*Fallback, error) {
	opts, err := o.withDefaults()
	if err := errors.Join(check.Options("sinks", "NewFallback",
		check.NotNil("front", front == nil),
		check.NotNil("back", back == nil),
		check.NotNil("drain", drain == nil),
	), err); err != nil {
		return nil, err
	}
	f := &Fallback{front: front, back: back, opts: opts, closing: newCloseOnce()}
	f.drain = func(ctx context.Context) (err error) { // a panic of it is an error
		guard.Call(&err, func() error { return drain(ctx) })
		return err
	}
	f.turn.init(f.returnToFront)
	now, cancel := context.WithCancel(context.Background())
	cancel()
	if f.drain(now) != nil {
		f.turn.toBack()
	}
	return f, nil
}

// Write writes to the front or, while that is down, to the back. After Close it fails with
// [inlet.ErrClosed].
func (f *Fallback) Write(ctx context.Context, events []*inlet.Event) error {
	if f.closing.begun.Load() {
		return inlet.ErrClosed
	}
	back, err := f.turn.enter(ctx)
	switch {
	case err != nil:
		return err
	case back:
		return f.writeBack(ctx, events)
	}
	return f.writeFront(ctx, events)
}

// writeFront writes to the front, and what fails temporarily to the back.
func (f *Fallback) writeFront(ctx context.Context, events []*inlet.Event) error {
	err := f.tryFront(ctx, events)
	errs := inlet.ItemErrors(err, len(events))
	var failed []int // temporarily
	o := newOutcome(len(events))
	for i, err := range errs {
		if err == nil || inlet.IsPermanent(err) {
			o.fail(i, err)
		} else {
			failed = append(failed, i)
		}
	}
	f.toFront.Add(uint64(len(events) - len(failed)))
	if len(failed) == 0 {
		return err
	}
	if ctx.Err() != nil { // the back could not store them either
		return err
	}
	f.failures.Add(1)
	changed, closed := f.turn.enterBack(ctx)
	if closed != nil {
		return closed
	}
	if changed {
		f.opts.Logger.WarnContext(ctx, "sinks: front failed; writing to the back", "error", err)
	}
	if len(failed) == len(events) {
		return f.writeBack(ctx, events)
	}
	o.add(failed, f.writeBack(ctx, pick(events, failed)))
	return o.err()
}

// tryFront writes to the front within the time for that.
func (f *Fallback) tryFront(ctx context.Context, events []*inlet.Event) error {
	limit := f.opts.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f.front.Write(ctx, events)
}

// writeBack writes to the back, for a call that has entered it.
func (f *Fallback) writeBack(ctx context.Context, events []*inlet.Event) error {
	defer f.turn.leaveBack()
	err := f.back.Write(ctx, events)
	if err == nil {
		f.toBack.Add(uint64(len(events)))
	}
	return err
}

// returnToFront waits until the front has what the back has, and gives it its turn again. It ends
// then, or when ctx is done.
func (f *Fallback) returnToFront(ctx context.Context) {
	for ctx.Err() == nil {
		begin := time.Now()
		err := f.drain(ctx) // without anything waiting for it, however long that takes
		if err == nil && time.Since(begin) <= f.opts.MaxHold && f.turn.toFront(ctx, f.opts.MaxHold, f.drain) {
			f.opts.Logger.InfoContext(ctx, "sinks: front has everything; writing to it again")
			return
		}
		if err != nil || time.Since(begin) <= f.opts.MaxHold {
			sleep(ctx, f.opts.MaxHold)
		}
	}
}

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Flush flushes both sinks at the same time: one that is down does not keep the other from it. It
// fails if any of them does.
func (f *Fallback) Flush(ctx context.Context) error {
	var front error
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		guard.Call(&front, func() error { return inlet.Flush(ctx, f.front) })
	}()
	back := inlet.Flush(ctx, f.back)
	<-flushed
	return errors.Join(prefixed("Fallback: front", front), prefixed("Fallback: back", back))
}

// Check fails if neither the back nor the front could store events now, and after Close. A front
// that has failed could not.
func (f *Fallback) Check(ctx context.Context) error {
	if f.closing.begun.Load() {
		return inlet.ErrClosed
	}
	err := inlet.Check(ctx, f.back)
	if err == nil {
		return nil
	}
	err = prefixed("Fallback: back", err)
	if f.turn.isBack() {
		return err
	}
	front := inlet.Check(ctx, f.front)
	if front == nil {
		return nil
	}
	return errors.Join(prefixed("Fallback: front", front), err)
}

// Close makes every later Write fail with [inlet.ErrClosed], and closes the back and then the
// front. It fails if any of them does, or if drain has not returned when ctx is done. Further calls
// close nothing; they wait too, and return what the first returned from the sinks.
func (f *Fallback) Close(ctx context.Context) error {
	err := f.closing.do(ctx, func() error {
		f.turn.close()
		back := inlet.Close(ctx, f.back)
		return errors.Join(prefixed("Fallback: back", back), prefixed("Fallback: front", inlet.Close(ctx, f.front)))
	})
	if !await(ctx, f.turn.close()) {
		err = errors.Join(err, fmt.Errorf("sinks: Fallback: drain has not returned: %w", ctx.Err()))
	}
	return err
}

// Durability returns the lower durability of the two sinks: what was acknowledged may be in either.
func (f *Fallback) Durability() inlet.Durability {
	return min(inlet.DurabilityOf(f.front), inlet.DurabilityOf(f.back))
}

// FallbackStats is a snapshot of a [Fallback].
type FallbackStats struct {
	// Down means that it is the back's turn: the front has failed, and does not have everything
	// yet.
	Down bool
	// Failures is the number of Writes so far that the front failed.
	Failures uint64
	// Front is the number of events so far that the front has stored or refused, and Back that of
	// events in Writes that the back has stored. What is written from the back to the front does
	// not count.
	Front, Back uint64
}

// Stats returns the current counters.
func (f *Fallback) Stats() FallbackStats {
	return FallbackStats{Down: f.turn.isBack(), Failures: f.failures.Load(), Front: f.toFront.Load(), Back: f.toBack.Load()}
}
