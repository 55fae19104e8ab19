package journal

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// An owner is what holds the directory. The lock is on an open file. If its name leads to
// another file, or to none, a second journal can lock the directory, recover it and write to it,
// while the first one still holds the old file. So the first one looks before it acknowledges
// anything, and before it creates, renames, removes or replaces a file by its name. It may be
// used concurrently.
type owner struct {
	lock   osfs.Lock
	log    *slog.Logger
	logged atomic.Bool // that the lock is lost
}

// verify returns an error if the lock was lost. It logs that once, until the lock is back.
func (o *owner) verify() error {
	err := o.lock.Held()
	if err == nil {
		if o.logged.CompareAndSwap(true, false) {
			o.log.Info("journal: lock file is back")
		}
		return nil
	}
	err = fmt.Errorf("%w; another journal may use the directory, so open this one again: %w", ErrLockLost, err)
	if o.logged.CompareAndSwap(false, true) {
		o.log.Error("journal: lock lost; storing nothing until it is back", "error", err)
	}
	return inlet.RetryAfter(err, retryPoisoned)
}

// close gives up the directory.
func (o *owner) close() error { return o.lock.Close() }
