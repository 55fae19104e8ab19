package sinks

import (
	"context"
	"sync/atomic"
)

// A closing is the one Close of a decorator that has several sinks. Make one with
// newClosing.
type closing struct {
	begun atomic.Bool
	done  chan struct{} // closed when err is set
	err   error
}

func newClosing() closing { return closing{done: make(chan struct{})} }

// run calls f the first time. Every other call returns the same error, as soon as
// there is one or ctx is done.
func (c *closing) run(ctx context.Context, f func() error) error {
	if c.begun.Swap(true) {
		return c.wait(ctx)
	}
	defer close(c.done)
	c.err = errGone
	c.err = f()
	return c.err
}

func (c *closing) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	default:
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
