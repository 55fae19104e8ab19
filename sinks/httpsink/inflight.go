package httpsink

import (
	"context"
	"sync"

	"github.com/inlet-go/inlet"
)

// A gate lets in so many at a time, until it is closed.
type gate struct {
	places   chan struct{} // holds a token for each one inside
	closing  chan struct{} // closed by close
	departed chan struct{} // closed when nobody is inside any more after that

	mu     sync.Mutex
	inside int
	shut   bool
}

func (g *gate) limit(most int) {
	g.places, g.closing, g.departed = make(chan struct{}, most), make(chan struct{}), make(chan struct{})
}

// enter waits for a place until ctx is done or the gate is closed.
func (g *gate) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case g.places <- struct{}{}:
		return g.admit()
	case <-g.closing:
		return inlet.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// admit counts in one that has a place, unless the gate was closed meanwhile.
func (g *gate) admit() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		<-g.places
		return inlet.ErrClosed
	}
	g.inside++
	return nil
}

// leave reports whether it was the last one to leave a closed gate.
func (g *gate) leave() (last bool) {
	<-g.places
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	return g.departure()
}

// close lets nobody in any more and returns what is closed when all have left.
func (g *gate) close() (departed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shut {
		g.shut = true
		close(g.closing)
		g.departure()
	}
	return g.departed
}

// departure notes that nobody will come or go any more, if so. Called with mu
// held.
func (g *gate) departure() bool {
	if !g.shut || g.inside > 0 {
		return false
	}
	close(g.departed)
	return true
}

func (g *gate) closed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}
