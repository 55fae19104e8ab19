package sinks

import (
	"context"
	"fmt"
	"sync"

	"github.com/inlet-go/inlet"
)

// A timedWrite is one inner Write of a [Timeout].
type timedWrite struct {
	err  error         // set before done is closed
	done chan struct{} // closed when the Write has ended

	ended, abandoned bool // guarded by the bulkhead
}

// A bulkhead counts inner Writes and admits no more while too many hang.
type bulkhead struct {
	maxHanging int
	idle       chan struct{} // closed when the bulkhead is closed and no Write runs

	mu      sync.Mutex
	running int // Writes that have not returned
	hanging int // of these, those whose callers have returned
	closed  bool
}

func newBulkhead(maxHanging int) bulkhead {
	return bulkhead{maxHanging: maxHanging, idle: make(chan struct{})}
}

// enter counts a Write in, or returns why it must not begin.
func (b *bulkhead) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.checkLocked(); err != nil {
		return err
	}
	b.running++
	return nil
}

// check returns an error if no Write may begin now.
func (b *bulkhead) check() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.checkLocked()
}

func (b *bulkhead) checkLocked() error {
	switch {
	case b.closed:
		return inlet.ErrClosed
	case b.hanging >= b.maxHanging:
		return fmt.Errorf("sinks: Timeout: %d writes hang: %w", b.hanging, inlet.ErrOverloaded)
	}
	return nil
}

// abandon records that the caller of w returns. It returns false if w has ended.
func (b *bulkhead) abandon(w *timedWrite) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.ended {
		return false
	}
	w.abandoned = true
	b.hanging++
	return true
}

// end records that w has ended, and reports whether its caller has returned.
func (b *bulkhead) end(w *timedWrite) (abandoned bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.ended = true
	if w.abandoned {
		b.hanging--
	}
	return w.abandoned
}

// leave counts a Write out. It is the last call of its goroutine.
func (b *bulkhead) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
	b.signalIdle()
}

// close makes every later enter fail and waits until no Write runs, or ctx is done.
func (b *bulkhead) close(ctx context.Context) error {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		b.signalIdle()
	}
	running := b.running
	b.mu.Unlock()
	if await(ctx, b.idle) {
		return nil
	}
	return fmt.Errorf("sinks: Timeout: closed while %d writes were running: %w", running, ctx.Err())
}

// signalIdle closes idle if it is time. The caller holds mu.
func (b *bulkhead) signalIdle() {
	if b.closed && b.running == 0 {
		close(b.idle)
	}
}

func (b *bulkhead) hangingNow() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hanging
}
