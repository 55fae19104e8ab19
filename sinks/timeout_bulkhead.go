package sinks

import (
	"context"
	"fmt"
	"sync"

	"github.com/inlet-go/inlet"
)

// A timedWrite is one inner Write of a [Timeout].
type timedWrite struct {
	err  error         // set before it has ended
	done chan struct{} // closed when it has ended

	ended, abandoned bool // guarded by the bulkhead
}

// A bulkhead counts inner Writes, and admits no more while too many hang.
type bulkhead struct {
	most int
	idle chan struct{} // closed when it is closed and none is running

	mu      sync.Mutex
	running int // that have not returned
	hanging int // of these, whose callers have gone
	closed  bool
}

func newBulkhead(most int) bulkhead { return bulkhead{most: most, idle: make(chan struct{})} }

// enter counts one in, or says why it may not begin.
func (b *bulkhead) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refuse(); err != nil {
		return err
	}
	b.running++
	return nil
}

// refusal says why none may begin now, if so.
func (b *bulkhead) refusal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refuse()
}

// refuse is refusal with mu held.
func (b *bulkhead) refuse() error {
	switch {
	case b.closed:
		return inlet.ErrClosed
	case b.hanging >= b.most:
		return fmt.Errorf("sinks: Timeout: %d writes hang: %w", b.hanging, inlet.ErrOverloaded)
	}
	return nil
}

// abandon notes that the caller of w goes. It returns false if w has ended.
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

// end notes that the outcome of w is there. It returns whether its caller has
// gone.
func (b *bulkhead) end(w *timedWrite) (abandoned bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.ended = true
	if w.abandoned {
		b.hanging--
	}
	return w.abandoned
}

// leave counts one out. It is the last thing that its goroutine does.
func (b *bulkhead) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
	b.wake()
}

// close admits none any more and waits until none is running, or ctx is done.
func (b *bulkhead) close(ctx context.Context) error {
	b.mu.Lock()
	if !b.closed {
		b.closed = true
		b.wake()
	}
	running := b.running
	b.mu.Unlock()
	if await(ctx, b.idle) {
		return nil
	}
	return fmt.Errorf("sinks: Timeout: %d writes had not returned: %w", running, ctx.Err())
}

// wake tells those who wait if there is nothing to wait for. Called with mu held.
func (b *bulkhead) wake() {
	if b.closed && b.running == 0 {
		close(b.idle)
	}
}

func (b *bulkhead) hangingNow() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hanging
}
