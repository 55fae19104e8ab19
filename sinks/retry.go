package sinks

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/backoff"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/itemerrors"
)

// RetryOptions configure [NewRetry]. A nil pointer means all defaults.
type RetryOptions struct {
	// Attempts is the maximum number of attempts for an event, including the first; with 1
	// nothing is retried. Defaults to 3.
	Attempts int
	// MinDelay is the maximum random delay before the second attempt. It doubles with each
	// further one. Defaults to 50 milliseconds.
	MinDelay time.Duration
	// MaxDelay bounds the doubling. It does not bound the delay that the inner sink asks for
	// by [inlet.RetryAfter]. Defaults to 1 second.
	MaxDelay time.Duration
}

func (o *RetryOptions) withDefaults() (RetryOptions, error) {
	var f RetryOptions
	if o != nil {
		f = *o
	}
	f.Attempts = cmp.Or(f.Attempts, 3)
	f.MinDelay = cmp.Or(f.MinDelay, 50*time.Millisecond)
	f.MaxDelay = cmp.Or(f.MaxDelay, time.Second)
	return f, check.Options("sinks", "RetryOptions",
		check.AtLeast("Attempts", f.Attempts, 1),
		check.AtLeast("MinDelay", f.MinDelay, 0),
		check.AtLeast("MaxDelay", f.MaxDelay, max(f.MinDelay, 0)),
	)
}

// Retry is a decorator that retries temporary failures of its inner sink: the failed events
// only, and a bounded number of times. It is for failures that pass within moments, such as
// a lost connection. Its caller, and with it a client, waits meanwhile; longer failures are
// for the client to retry, or for the journal, which delivers in the background. Make one
// with [NewRetry].
//
// Waiting: before each further attempt it waits a random time, at most MinDelay doubled with
// each attempt and at most MaxDelay, so that callers which failed together do not retry
// together. The delay that the inner sink asks for by [inlet.RetryAfter] is added.
//
// Context: if the wait would exceed the deadline, or ctx is done during the wait, Write
// returns immediately with the last errors.
//
// What is not retried: events that are stored, those that are permanently refused, whose
// errors are kept, and those that failed with [inlet.ErrClosed].
//
// Order: within one attempt it is the client's. An event that is retried comes after those
// of its call that did not fail.
//
// Duplicates: after an error that is not a [*inlet.BatchError], some of the events may be
// stored, and are retried too. The inner sink recognises them by MessageID, or stores them
// twice.
//
// Panics pass through and end the attempts.
//
// Abilities: those of the inner sink, by Unwrap; it stores nothing itself and acknowledges
// nothing early.
type Retry struct {
	inner   inlet.Sink
	options RetryOptions
	retries atomic.Uint64
}

// NewRetry returns a decorator of inner. It returns an error if inner is nil or an option
// is out of its bounds.
func NewRetry(inner inlet.Sink, o *RetryOptions) (*Retry, error) {
	opts, err := o.withDefaults()
	if err := errors.Join(check.Options("sinks", "NewRetry", check.NotNil("inner", inner == nil)), err); err != nil {
		return nil, err
	}
	return &Retry{inner: inner, options: opts}, nil
}

// Write first passes the caller's slice on. If every attempt fails for all events, it
// returns the last error of the inner sink unchanged; every other failure is a
// [*inlet.BatchError] with the last error of each event.
func (r *Retry) Write(ctx context.Context, events []*inlet.Event) error {
	err := r.inner.Write(ctx, events)
	if err == nil {
		return nil
	}
	c := newRetryCall(events, err)
	for n := 1; n < r.options.Attempts && len(c.pending) > 0; n++ {
		if !pause(ctx, r.delay(n, c.asked)) {
			break
		}
		r.retries.Add(1)
		c.record(r.inner.Write(ctx, c.pendingEvents()))
	}
	return c.err()
}

// delay returns the delay after a number of failures, the last of which asked for one.
func (r *Retry) delay(failures int, asked time.Duration) time.Duration {
	random := backoff.Delay(failures, r.options.MinDelay, r.options.MaxDelay)
	return max(asked, asked+random) // the sum may overflow
}

// pause waits for d and reports whether ctx still has time then. It does not wait if the
// deadline is earlier.
func pause(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// Unwrap returns the inner sink.
func (r *Retry) Unwrap() inlet.Sink { return r.inner }

// RetryStats is a snapshot of the counters of a [Retry].
type RetryStats struct {
	// Retries is the number of inner Writes so far that were not the first of their call.
	Retries uint64
}

// Stats returns the current counters.
func (r *Retry) Stats() RetryStats { return RetryStats{Retries: r.retries.Load()} }

// A retryCall is the state of one [Retry.Write] that has failed.
type retryCall struct {
	events  []*inlet.Event
	pending []int         // indices of the events to retry, in order
	asked   time.Duration // the longest delay that their errors ask for
	errs    []error       // of events
	last    error         // of the last attempt, if that was for all events
}

func newRetryCall(events []*inlet.Event, err error) *retryCall {
	c := &retryCall{events: events, pending: make([]int, len(events)), errs: make([]error, len(events))}
	for i := range c.pending {
		c.pending[i] = i
	}
	c.record(err)
	return c
}

// record records the error of a Write of the pending events.
func (c *retryCall) record(err error) {
	c.last = nil
	if len(c.pending) == len(c.events) {
		c.last = err
	}
	errs := inlet.ItemErrors(err, len(c.pending))
	pending := c.pending[:0]
	c.asked = 0
	for n, i := range c.pending {
		c.errs[i] = nil
		if errs != nil {
			c.errs[i] = errs[n]
		}
		if isRetryable(c.errs[i]) {
			pending = append(pending, i)
			asked, _ := inlet.RetryDelay(c.errs[i])
			c.asked = max(c.asked, asked)
		}
	}
	c.pending = pending
}

func isRetryable(err error) bool {
	return err != nil && !inlet.IsPermanent(err) && !errors.Is(err, inlet.ErrClosed)
}

// pendingEvents returns the events to retry: the caller's slice if these are all.
func (c *retryCall) pendingEvents() []*inlet.Event {
	if len(c.pending) == len(c.events) {
		return c.events
	}
	return pick(c.events, c.pending)
}

func (c *retryCall) err() error {
	if c.last != nil {
		return c.last
	}
	return itemerrors.Join(c.errs)
}
