package sinks

import (
	"context"
	"time"
)

// pause waits for d and reports whether ctx has time left then. If it sees before
// that it will not, it does not wait.
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

// await waits until done is closed, and reports whether that was before ctx was
// done.
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
