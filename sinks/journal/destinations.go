package journal

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/inlet-go/inlet"
)

// destinations are those that are fed from the journal, and those whose cursors
// say that they were.
type destinations struct {
	files cursors

	mu      sync.Mutex
	cursors map[string]cursor // as they are on the disk
	running map[string]*Delivery
	closed  bool
	ends    sync.WaitGroup // of those that run
}

// loadDestinations reads the cursors.
func loadDestinations(files cursors, damaged func(string, error)) (*destinations, error) {
	found, err := files.load(damaged)
	if err != nil {
		return nil, err
	}
	if found == nil {
		found = map[string]cursor{}
	}
	return &destinations{files: files, cursors: found, running: map[string]*Delivery{}}, nil
}

// furthest is the highest number that any cursor has. Numbers that a destination
// has seen must not be given out again, or it would take new events for old.
func (d *destinations) furthest() (seq uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.cursors {
		seq = max(seq, c.seq)
	}
	return seq
}

// holder returns a destination that still needs a number up to end, if one does:
// that which has come least far.
func (d *destinations) holder(end uint64) (name string, held bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	least := end
	for n, c := range d.cursors {
		if c.holds && c.seq < least {
			name, least, held = n, c.seq, true
		}
	}
	return name, held
}

// hasten saves the cursors of those that have come to end and have only not noted
// it yet, and reports whether that made a difference. One that cannot be saved is
// its delivery's to report.
func (d *destinations) hasten(end uint64) (saved bool) {
	running, cursors := d.list()
	for name, v := range running {
		at := cursors[name]
		if at.holds && at.seq < end && v.settled.now().last >= end && v.save() == nil {
			saved = true
		}
	}
	return saved
}

// begin notes that a delivery runs, for which there must be no other, and returns
// the cursor of its destination, if there is one.
func (d *destinations) begin(v *Delivery) (at cursor, found bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return at, false, inlet.ErrClosed
	case d.running[v.name] != nil:
		return at, false, fmt.Errorf("journal: destination %s is being delivered to already", v.name)
	}
	d.running[v.name] = v
	d.ends.Add(1)
	at, found = d.cursors[v.name]
	return at, found, nil
}

// end is begin's counterpart.
func (d *destinations) end(v *Delivery) {
	d.mu.Lock()
	delete(d.running, v.name)
	d.mu.Unlock()
	d.ends.Done()
}

// save puts a cursor on the disk, and only then lets retention know of it.
func (d *destinations) save(name string, at cursor) error {
	if err := d.files.save(name, at); err != nil {
		return err
	}
	d.mu.Lock()
	d.cursors[name] = at
	d.mu.Unlock()
	return nil
}

// forget removes the cursor of a destination that is not delivered to.
func (d *destinations) forget(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return inlet.ErrClosed
	}
	if d.running[name] != nil {
		return fmt.Errorf("journal: destination %s is being delivered to", name)
	}
	if _, found := d.cursors[name]; !found {
		return fmt.Errorf("journal: there is no destination %s", name)
	}
	if err := d.files.remove(name); err != nil {
		return fmt.Errorf("journal: forget %s: %w", name, err)
	}
	delete(d.cursors, name)
	return nil
}

// close lets no delivery begin from now on and returns those that run.
func (d *destinations) close() []*Delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return slices.Collect(maps.Values(d.running))
}

// list returns the deliveries that run, and the cursors of all destinations.
func (d *destinations) list() (running map[string]*Delivery, saved map[string]cursor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.running), maps.Clone(d.cursors)
}
