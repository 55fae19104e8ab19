package sinks

import (
	"context"
	"sync/atomic"

	"github.com/inlet-go/inlet/internal/guard"
)

// A closeOnce closes the inner sinks of a decorator exactly once. Make one with
// newCloseOnce.
type closeOnce struct {
	begun atomic.Bool
	done  chan struct{} // closed when err is set
	err   error
}

func newCloseOnce() closeOnce { return closeOnce{done: make(chan struct{})} }

// do calls f the first time. Every other call waits for that one and returns the same
// error, or the error of ctx if that is done first.
func (c *closeOnce) do(ctx context.Context, f func() error) error {
	if !c.begun.Swap(true) {
		defer close(c.done)
		c.err = guard.ErrExited // for the others, if f does not return
		c.err = f()
		return c.err
	}
	if await(ctx, c.done) {
		return c.err
	}
	return ctx.Err()
}

// await waits until done is closed, and reports whether that was before ctx was done.
func await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	select { // both may have been ready
	case <-done:
		return true
	default:
		return false
	}
}
