package inlet

import (
	"context"
	"sync"
	"sync/atomic"
)

// gate counts the requests in flight, bounds them, and can be closed.
type gate struct {
	most     int64
	inside   atomic.Int64
	shut     atomic.Bool
	empty    sync.Once
	departed chan struct{} // closed once the last one has left a shut gate
}

func (g *gate) limit(most int) {
	g.most, g.departed = int64(most), make(chan struct{})
}

// enter counts a request in, unless there are too many or the gate is shut. The
// order matters: whoever is counted before close looks is waited for.
func (g *gate) enter() error {
	n := g.inside.Add(1)
	if g.shut.Load() {
		g.leave()
		return &Error{Code: CodeShuttingDown}
	}
	if n > g.most {
		g.leave()
		return overloaded()
	}
	return nil
}

// leave counts a request out.
func (g *gate) leave() {
	if g.inside.Add(-1) == 0 && g.shut.Load() {
		g.empty.Do(func() { close(g.departed) })
	}
}

func (g *gate) closed() bool { return g.shut.Load() }

// close shuts the gate and waits until nobody is inside, or ctx is done.
func (g *gate) close(ctx context.Context) error {
	g.shut.Store(true)
	if g.inside.Load() == 0 {
		return nil
	}
	select {
	case <-g.departed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
