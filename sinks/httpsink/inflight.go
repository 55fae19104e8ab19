package httpsink

import (
	"context"
	"sync"

	"github.com/inlet-go/inlet"
)

// inFlight limits how many Writes run concurrently, and refuses them once it is
// closed. A Write holds a slot from enter to leave.
type inFlight struct {
	slots   chan struct{} // holds a token for each Write that runs
	closing chan struct{} // closed by close
	drained chan struct{} // closed when no Write runs after that

	mu      sync.Mutex
	running int
	closed  bool
}

func newInFlight(maxConcurrent int) *inFlight {
	return &inFlight{
		slots:   make(chan struct{}, maxConcurrent),
		closing: make(chan struct{}),
		drained: make(chan struct{}),
	}
}

// enter waits for a slot until ctx is done or f is closed.
func (f *inFlight) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case f.slots <- struct{}{}:
	case <-f.closing:
		return inlet.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed { // while it waited: select chooses at random if both are ready
		<-f.slots
		return inlet.ErrClosed
	}
	f.running++
	return nil
}

// leave gives the slot back. It reports whether f is closed and no Write runs any
// more.
func (f *inFlight) leave() (last bool) {
	<-f.slots
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running--
	return f.checkDrained()
}

// close refuses further Writes. The channel it returns is closed once those that
// run have left.
func (f *inFlight) close() (drained <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.closing)
		f.checkDrained()
	}
	return f.drained
}

// checkDrained closes drained if f is closed and no Write runs. Once that is so, no
// Write can enter, so it happens once. The caller holds mu.
func (f *inFlight) checkDrained() bool {
	if !f.closed || f.running > 0 {
		return false
	}
	close(f.drained)
	return true
}

func (f *inFlight) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}
