package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// Errors of the journal. Those of Write, Flush and Check are temporary and come wrapped,
// with their cause; test for them with [errors.Is].
var (
	// ErrLocked is returned by [Open] if another journal holds the directory.
	ErrLocked = errors.New("journal: directory is in use by another journal")
	// ErrStorageFull means that the disk is full, or that less space is free than
	// Options.LowWater.
	ErrStorageFull = errors.New("journal: storage is full")
	// ErrSyncFailed means that the disk failed to flush. None of the write's events
	// is known to be stored.
	ErrSyncFailed = errors.New("journal: flush failed")
	// ErrFileGone means that the active file was deleted, moved or truncated by
	// another process. None of the write's events is known to be stored.
	ErrFileGone = errors.New("journal: active file was deleted, moved or truncated")
	// ErrPoisoned means that the disk failed to flush twice within a minute. The
	// journal stores nothing more until it is opened again.
	ErrPoisoned = errors.New("journal: stopped after repeated flush failures")
	// ErrBehind means that the journal has reached Options.RetainBytes, and that a
	// destination, which the error names, has not yet received the oldest segment;
	// see [FullPolicy].
	ErrBehind = errors.New("journal: retention limit reached and a destination has not caught up")
	// ErrLockLost means that the file LOCK, or the whole directory, was deleted, moved or
	// replaced, so that another journal may use the directory. Nothing is stored, removed
	// or sealed in it any more, until the same file is back or the journal is opened again.
	ErrLockLost = errors.New("journal: lock file was deleted, moved or replaced")
	// ErrNotBlocked is returned by [Delivery.Skip] if there is no event that the destination
	// fails.
	ErrNotBlocked = errors.New("journal: destination is not blocked by an event")
	// ErrStalled means that the disk has not answered for more than 10 seconds.
	ErrStalled = errors.New("journal: disk does not respond")
)

// How long clients are asked to wait before they retry.
const (
	retryOverload = time.Second
	retryFailure  = time.Second
	retryPoisoned = 30 * time.Second
)

// errUsedUp is returned for events that would get numbers which a line cannot hold.
var errUsedUp = inlet.RetryAfter(errors.New("journal: sequence numbers are used up"), retryPoisoned)

var errOverloaded = inlet.RetryAfter(inlet.ErrOverloaded, retryOverload)

// storageError wraps the error of a failed disk operation as a temporary error.
func storageError(op string, err error) error {
	if isFull(err) {
		err = fmt.Errorf("%w: %s: %w", ErrStorageFull, op, err)
	} else {
		err = fmt.Errorf("journal: %s: %w", op, err)
	}
	return inlet.RetryAfter(err, retryFailure)
}

// isFull reports whether err means that the disk is full, or nearly so.
func isFull(err error) bool { return errors.Is(err, ErrStorageFull) || osfs.IsFull(err) }

// unknownOutcome returns the error for a caller that stops waiting. It leaves out the
// cause of the context's end, which might be marked as permanent.
func unknownOutcome(ctx context.Context) error {
	return fmt.Errorf("journal: stopped waiting, outcome unknown: %w", ctx.Err())
}
