package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
)

const (
	// pauseAfter is how long the disk is not tried again after a failure.
	pauseAfter = time.Second
	// poisonWindow is the time within which a second failed flush stops the journal.
	poisonWindow = time.Minute
	// stallAfter is how long a group may take before Check fails.
	stallAfter = 10 * time.Second
)

// health is the state of the disk as the committer has found it, and decides whether it is
// tried again. After a failure, writes are refused with its error for pauseAfter; the first
// write that succeeds ends the failure. A second failed flush within poisonWindow refuses
// writes permanently. Only the committer changes it; Check and Stats read it.
type health struct {
	log        *slog.Logger
	onPoisoned func(error)

	mu         sync.Mutex
	poisoned   error     // permanently
	failure    error     // until the next write succeeds
	until      time.Time // no write is tried before
	syncFailed time.Time // the last failed flush
	began      time.Time // when the commit in progress began, or zero
}

// refusal returns why nothing may be written now, or nil.
func (h *health) refusal() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.poisoned != nil:
		return h.poisoned
	case h.failure != nil && time.Now().Before(h.until):
		return h.failure
	}
	return nil
}

// check is refusal for other goroutines than the committer's, and also fails if the disk
// hangs.
func (h *health) check() error {
	if busy := h.busy(); busy > stallAfter {
		return fmt.Errorf("%w for %v", ErrStalled, busy.Round(time.Second))
	}
	return h.refusal()
}

// beginCommit and endCommit enclose the commit of a group.
func (h *health) beginCommit() { h.setBegan(time.Now()) }
func (h *health) endCommit()   { h.setBegan(time.Time{}) }

func (h *health) setBegan(t time.Time) {
	h.mu.Lock()
	h.began = t
	h.mu.Unlock()
}

// busy returns how long the commit in progress has taken, or 0.
func (h *health) busy() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.began.IsZero() {
		return 0
	}
	return time.Since(h.began)
}

// suspend refuses writes for pauseAfter, and returns err.
func (h *health) suspend(err error) error {
	h.mu.Lock()
	first := h.failure == nil
	h.failure, h.until = err, time.Now().Add(pauseAfter)
	h.mu.Unlock()
	if first {
		h.log.Error("journal: storing failed; retrying", "error", err)
	}
	return err
}

// recovered ends a failure, after a write has succeeded.
func (h *health) recovered() {
	h.mu.Lock()
	failed := h.failure != nil
	h.failure = nil
	h.mu.Unlock()
	if failed {
		h.log.Info("journal: storing resumed")
	}
}

// flushFailed records that the disk failed to flush, and returns the error for the writers.
// The second failure within poisonWindow poisons the journal.
func (h *health) flushFailed(cause error) error {
	err := fmt.Errorf("%w: %w", ErrSyncFailed, cause)
	h.log.Error("journal: flush failed; refusing the group and setting the file aside", "error", cause)
	if !h.recordFlushFailure() {
		return inlet.RetryAfter(err, retryFailure)
	}
	return h.poison(err)
}

// recordFlushFailure records a failed flush and reports whether it is the second within
// poisonWindow.
func (h *health) recordFlushFailure() (again bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	again = !h.syncFailed.IsZero() && now.Sub(h.syncFailed) < poisonWindow
	h.syncFailed = now
	return again
}

func (h *health) poison(cause error) error {
	err := inlet.RetryAfter(errors.Join(ErrPoisoned, cause), retryPoisoned)
	h.mu.Lock()
	first := h.poisoned == nil
	if first {
		h.poisoned = err
	}
	h.mu.Unlock()
	if first {
		h.log.Error("journal: stopped permanently; open it again", "error", err)
		h.onPoisoned(err)
	}
	return err
}
