package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// Errors of the journal. Those of Write, Flush and Check are temporary and come
// wrapped, with their cause.
var (
	// ErrLocked is returned by [Open] if the directory is in use.
	ErrLocked = errors.New("journal: directory is in use by another journal")
	// ErrStorageFull means that the disk is full, or nearly so; see
	// Options.LowWater.
	ErrStorageFull = errors.New("journal: storage is full")
	// ErrSyncFailed means that the disk failed to flush. Nothing of the write is
	// known to be stored.
	ErrSyncFailed = errors.New("journal: flush failed")
	// ErrFileGone means that the active file was deleted, moved or cut by
	// somebody else. Nothing of the write is known to be stored.
	ErrFileGone = errors.New("journal: active file was deleted, moved or cut")
	// ErrPoisoned means that the disk failed to flush twice within a minute, and
	// that nothing will be stored until the journal is opened again.
	ErrPoisoned = errors.New("journal: stopped after repeated failures to flush")
	// ErrBehind means that the journal holds as much as it is to retain, and that a
	// destination, which is named, has not had the oldest of it; see [FullPolicy].
	ErrBehind = errors.New("journal: retains all that it may, and a destination is behind")
	// ErrStalled means that the disk has not answered for some time.
	ErrStalled = errors.New("journal: disk does not answer")
)

// Waits that a client is told.
const (
	retryOverload = time.Second
	retryFailure  = time.Second
	retryPoisoned = 30 * time.Second
)

var errOverloaded = inlet.RetryAfter(inlet.ErrOverloaded, retryOverload)

// storageError makes a temporary error of a failed operation on the disk.
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

// unknownOutcome is the error of a caller that stops waiting. It leaves out the
// cause of the context's end, which might be marked as permanent.
func unknownOutcome(ctx context.Context) error {
	return fmt.Errorf("journal: gave up waiting, outcome unknown: %w", ctx.Err())
}
