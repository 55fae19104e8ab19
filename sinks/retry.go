package sinks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/backoff"
)

// RetryOptions are the options of [NewRetry]. nil and the zero value stand for
// the defaults.
type RetryOptions struct {
	// Attempts is how often an event is written at most, the first time
	// included; with 1 nothing is written again. Defaults to 3.
	Attempts int
	// MinDelay is the most that is waited before the second attempt. It doubles
	// with each further one. Defaults to 50 milliseconds.
	MinDelay time.Duration
	// MaxDelay bounds the doubling. It does not bound what the inner sink asks
	// for by [inlet.RetryAfter]. Defaults to 1 second.
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
	switch {
	case f.Attempts < 0:
		return f, fmt.Errorf("sinks: RetryOptions.Attempts: %d is negative", f.Attempts)
	case f.MinDelay < 0:
		return f, fmt.Errorf("sinks: RetryOptions.MinDelay: %v is negative", f.MinDelay)
	case f.MaxDelay < f.MinDelay:
		return f, fmt.Errorf("sinks: RetryOptions.MaxDelay: %v is less than MinDelay, %v", f.MaxDelay, f.MinDelay)
	}
	return f, nil
}

// Retry is a decorator that writes again what its inner sink has failed to store
// for the time being: those events only, and a bounded number of times. It is for
// failures that pass within moments, such as a connection that was cut. Its
// caller, and with it a client, waits meanwhile; what lasts longer is a matter
// for the client, or for the journal, which delivers in the background. Make one
// with [NewRetry].
//
// Waiting: before each further attempt it waits a random time, up to MinDelay,
// doubled with each attempt and never more than MaxDelay, so that callers who
// failed together do not come back together. What the inner sink asks for by
// [inlet.RetryAfter] it waits beside that.
//
// Context: where the wait would last beyond the deadline, or ctx is done in it,
// Write returns at once with the last errors.
//
// What is not written again: events that are stored, those that are refused for
// good, whose errors are kept, and those that failed with [inlet.ErrClosed].
//
// Order: within one attempt it is the client's. An event that is written again
// comes after those of its call that did not fail.
//
// Duplicates: after an error that says nothing of single events, some of them may
// be stored, and are written again. The inner sink recognises them by MessageID,
// or stores them twice.
//
// Panics pass, and end the attempts.
//
// Abilities: those of the inner sink, by Unwrap; it stores nothing itself and
// acknowledges nothing early.
type Retry struct {
	inner   inlet.Sink
	options RetryOptions
	retries atomic.Uint64
}

// NewRetry returns a decorator of inner. A nil inner sink and options out of
// their bounds are errors.
func NewRetry(inner inlet.Sink, o *RetryOptions) (*Retry, error) {
	if inner == nil {
		return nil, errors.New("sinks: Retry: the inner sink is nil")
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Retry{inner: inner, options: opts}, nil
}

// Write first passes on the very slice. If all events are written again each
// time, the error is the last one of the inner sink as it is; every other failure
// is a [*inlet.BatchError] with the last error of each event.
func (r *Retry) Write(ctx context.Context, events []*inlet.Event) error {
	err := r.inner.Write(ctx, events)
	if err == nil {
		return nil
	}
	c := newRetryCall(events, err)
	for n := 1; n < r.options.Attempts && len(c.open) > 0; n++ {
		if !pause(ctx, r.delay(n, c.asked)) {
			break
		}
		r.retries.Add(1)
		c.note(r.inner.Write(ctx, c.pending()))
	}
	return c.err()
}

// delay returns the wait after so many failures, of which the last asked for a
// wait itself.
func (r *Retry) delay(failures int, asked time.Duration) time.Duration {
	random := backoff.Delay(failures, r.options.MinDelay, r.options.MaxDelay)
	return max(asked, asked+random) // the sum of the longest overflows
}

// Retries returns how often the inner sink has been written to again.
func (r *Retry) Retries() uint64 { return r.retries.Load() }

// Unwrap returns the inner sink.
func (r *Retry) Unwrap() inlet.Sink { return r.inner }
