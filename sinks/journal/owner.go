package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// lockInterval is how long to wait for a lock between two attempts. To wait in the operating
// system instead could not be given up.
const lockInterval = 20 * time.Millisecond

// acquire locks the directory, for which it waits up to Options.LockTimeout.
func acquire(dir string, o *Options) (osfs.Lock, error) {
	name := filepath.Join(dir, lockName)
	lock, err := o.fs.Lock(name)
	if o.LockTimeout > 0 && errors.Is(err, osfs.ErrLocked) {
		o.Logger.Info("journal: directory is in use by another journal; waiting", "dir", dir, "timeout", o.LockTimeout)
		began := time.Now()
		lock, err = awaitLock(name, o.fs, began.Add(o.LockTimeout))
		if err == nil {
			o.Logger.Info("journal: directory is no longer in use", "dir", dir, "waited", time.Since(began))
		}
	}
	switch {
	case !errors.Is(err, osfs.ErrLocked):
		return lock, err
	case o.LockTimeout > 0:
		return nil, fmt.Errorf("waited %v: %w", o.LockTimeout, ErrLocked)
	}
	return nil, ErrLocked
}

// awaitLock tries to get a lock until the time is up. Each attempt opens the file by its name
// again, so a file that is replaced meanwhile is not what it locks.
func awaitLock(name string, fsys osfs.FS, until time.Time) (lock osfs.Lock, err error) {
	for {
		left := time.Until(until)
		time.Sleep(min(lockInterval, max(left, 0)))
		lock, err = fsys.Lock(name)
		if left <= 0 || !errors.Is(err, osfs.ErrLocked) {
			return lock, err
		}
	}
}

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
