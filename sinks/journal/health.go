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
	// pauseAfter is how long the disk is left alone after a failed write.
	pauseAfter = time.Second
	// poisonWindow is how close two failed flushes must be to stop the journal.
	poisonWindow = time.Minute
	// stallAfter is how long a group may take before Check fails.
	stallAfter = 10 * time.Second
)

// health remembers what went wrong, and for how long to refuse writes for it.
type health struct {
	log        *slog.Logger
	onPoisoned func(error)

	mu         sync.Mutex
	poisoned   error     // for good
	failure    error     // until the next write succeeds
	until      time.Time // no write is tried before
	syncFailed time.Time // the last one
	began      time.Time // of the group that is being committed, or zero
}

// refusal is why nothing may be written now, or nil.
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

// check is refusal for a reader from outside, who does not see that the disk
// hangs.
func (h *health) check() error {
	if busy := h.busy(); busy > stallAfter {
		return fmt.Errorf("%w for %v", ErrStalled, busy.Round(time.Second))
	}
	return h.refusal()
}

// beginCommit and end stand around the commit of a group.
func (h *health) beginCommit() { h.setBegan(time.Now()) }
func (h *health) endCommit()   { h.setBegan(time.Time{}) }

func (h *health) setBegan(t time.Time) {
	h.mu.Lock()
	h.began = t
	h.mu.Unlock()
}

// busy is how long the group has taken that is being committed, or 0.
func (h *health) busy() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.began.IsZero() {
		return 0
	}
	return time.Since(h.began)
}

// suspend refuses writes for a while, and returns err.
func (h *health) suspend(err error) error {
	h.mu.Lock()
	first := h.failure == nil
	h.failure, h.until = err, time.Now().Add(pauseAfter)
	h.mu.Unlock()
	if first {
		h.log.Error("journal: cannot store, will try again", "error", err)
	}
	return err
}

// recovered ends a failure.
func (h *health) recovered() {
	h.mu.Lock()
	failed := h.failure != nil
	h.failure = nil
	h.mu.Unlock()
	if failed {
		h.log.Info("journal: storing again")
	}
}

// flushFailed notes that the disk failed to flush, and returns the error for
// those who wait. The second time within the window poisons the journal.
func (h *health) flushFailed(cause error) error {
	err := fmt.Errorf("%w: %w", ErrSyncFailed, cause)
	h.log.Error("journal: the disk failed to flush; what waits is refused, the file is set aside", "error", cause)
	if !h.recordFlushFailure() {
		return inlet.RetryAfter(err, retryFailure)
	}
	return h.poison(err)
}

// recordFlushFailure records a failed flush and reports whether another came just before.
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
		h.log.Error("journal: stopped until it is opened again", "error", err)
		h.onPoisoned(err)
	}
	return err
}
