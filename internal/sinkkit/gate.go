package sinkkit

import (
	"context"
	"sync"

	"github.com/inlet-go/inlet"
)

// A Gate limits how many Writes run concurrently, and refuses them once it is closed. A Write
// holds a slot from Enter to Leave. Make one with [NewGate].
type Gate struct {
	slots   chan struct{} // holds a token for each Write that runs
	closing chan struct{} // closed by Close
	drained chan struct{} // closed when no Write runs after that

	mu      sync.Mutex
	running int
	closed  bool
}

// NewGate returns a gate for maxConcurrent Writes.
func NewGate(maxConcurrent int) *Gate {
	return &Gate{
		slots:   make(chan struct{}, maxConcurrent),
		closing: make(chan struct{}),
		drained: make(chan struct{}),
	}
}

// Enter waits for a slot until ctx is done or g is closed, when it returns [inlet.ErrClosed].
func (g *Gate) Enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case g.slots <- struct{}{}:
	case <-g.closing:
		return inlet.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed { // while it waited: select chooses at random if both are ready
		<-g.slots
		return inlet.ErrClosed
	}
	g.running++
	return nil
}

// Leave gives the slot back. It reports whether g is closed and no Write runs any more.
func (g *Gate) Leave() (last bool) {
	<-g.slots
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	return g.checkDrained()
}

// Close refuses further Writes. The channel it returns is closed once those that run have left.
func (g *Gate) Close() (drained <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.closed = true
		close(g.closing)
		g.checkDrained()
	}
	return g.drained
}

// checkDrained closes drained if g is closed and no Write runs. Once that is so, no Write can
// enter, so it happens once. The caller holds mu.
func (g *Gate) checkDrained() bool {
	if !g.closed || g.running > 0 {
		return false
	}
	close(g.drained)
	return true
}

// IsClosed reports whether g is closed.
func (g *Gate) IsClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}
