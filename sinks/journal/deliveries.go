package journal

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/inlet-go/inlet"
)

// deliveries are those that run, one per destination at most.
type deliveries struct {
	mu      sync.Mutex
	running map[string]*Delivery
	closed  bool
	ends    sync.WaitGroup
}

func newDeliveries() *deliveries { return &deliveries{running: map[string]*Delivery{}} }

// begin adds a delivery.
func (r *deliveries) begin(d *Delivery) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return inlet.ErrClosed
	case r.running[d.name] != nil:
		return fmt.Errorf("journal: destination %q already has a delivery", d.name)
	}
	r.running[d.name] = d
	r.ends.Add(1)
	return nil
}

// end removes a delivery that begin has added.
func (r *deliveries) end(d *Delivery) {
	r.mu.Lock()
	delete(r.running, d.name)
	r.mu.Unlock()
	r.ends.Done()
}

// close lets no delivery begin from now on, and returns those that run.
func (r *deliveries) close() []*Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	return slices.Collect(maps.Values(r.running))
}

// wait returns once no delivery runs. No other can begin if it is called after close.
func (r *deliveries) wait() { r.ends.Wait() }

// list returns the deliveries that run, by destination.
func (r *deliveries) list() map[string]*Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.running)
}

// get returns the delivery that runs to a destination, nil if there is none.
func (r *deliveries) get(name string) *Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running[name]
}

// whileIdle calls f while no delivery to the destination can begin. It fails if one runs.
func (r *deliveries) whileIdle(name string, f func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return inlet.ErrClosed
	case r.running[name] != nil:
		return fmt.Errorf("journal: destination %q has a running delivery", name)
	}
	return f()
}
