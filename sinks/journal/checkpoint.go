package journal

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
)

// When a cursor is saved.
//
// How far a destination has come is known twice: its position, in memory, and its cursor,
// which is the position as it was last saved to the disk (cursor.go). A checkpoint is the
// pair. The delivery advances the position after every batch, and saves it every second
// or every 4 MiB, when it stops, and soon after it has caught up.
//
// Retention goes by cursors alone: what it removes must not be needed after a crash. When
// it needs space it does not wait for the deliveries to save, nor call them. It saves the
// positions that they have published itself (flushCursors). So checkpoints are below both the
// store and the deliveries, and know neither.

// Bounds of what a destination gets again after a crash.
const (
	maxSaveInterval = time.Second
	maxUnsavedBytes = 4 << 20
)

// A checkpoint is the position of a delivery and the cursor of its destination. One
// goroutine, the delivery's, calls its methods, except for save.
type checkpoint struct {
	name  string
	holds bool // retention must keep what follows the cursor
	table *checkpoints

	position progress      // everything up to its last is settled
	saved    atomic.Uint64 // the position on the disk
	batch    atomic.Uint64 // the last event of the batch in flight, if that is saved

	saving sync.Mutex // held while the cursor is written
	closed bool       // nothing is saved any more

	attempted time.Time // the delivery's last attempt to save
	unsaved   int       // bytes that were settled since
}

// open starts from a cursor. If that differs from the one on the disk it is saved.
func (c *checkpoint) open(at cursor, changed bool) error {
	c.position.set(watermark{last: at.seq})
	c.saved.Store(at.seq)
	c.batch.Store(at.batch)
	if changed {
		c.attempted = time.Now()
		if err := c.save(); err != nil {
			return err
		}
	}
	c.table.register(c)
	return nil
}

// advance publishes that everything up to seq is settled: n bytes more.
func (c *checkpoint) advance(seq uint64, n int) {
	c.position.set(watermark{last: seq})
	c.unsaved += n
}

// noteBatch saves the number of the last event of the batch that is about to be written, with the
// position before it.
func (c *checkpoint) noteBatch(last uint64) error {
	if c.batch.Load() == last {
		return nil
	}
	c.batch.Store(last)
	c.attempted, c.unsaved = time.Now(), 0
	err := c.save()
	if err != nil {
		c.batch.Store(0) // so that the next attempt saves it
	}
	return err
}

// pending reports whether the position is ahead of the cursor.
func (c *checkpoint) pending() bool { return c.saved.Load() < c.position.now().last }

// saveIfDue saves the position if it has moved and the last attempt is long enough ago.
func (c *checkpoint) saveIfDue() error {
	due := c.unsaved >= maxUnsavedBytes || time.Since(c.attempted) >= maxSaveInterval
	if !due || !c.pending() {
		return nil
	}
	c.attempted, c.unsaved = time.Now(), 0
	err := c.save()
	if errors.Is(err, ErrLockLost) { // which is logged, once
		return nil
	}
	return err
}

// untilDue returns how long it takes until saveIfDue has something to do if the position
// does not move, and false if it never has.
func (c *checkpoint) untilDue() (time.Duration, bool) {
	return time.Until(c.attempted.Add(maxSaveInterval)), c.pending()
}

// save writes the position to the disk. It fails after close, since the destination may
// have been forgotten by then. It may be called concurrently.
func (c *checkpoint) save() error {
	c.saving.Lock()
	defer c.saving.Unlock()
	if c.closed {
		return inlet.ErrClosed
	}
	at := cursor{seq: c.position.now().last, holds: c.holds}
	if batch := c.batch.Load(); batch > at.seq {
		at.batch = batch
	}
	if err := c.table.save(c.name, at); err != nil {
		return err
	}
	c.saved.Store(at.seq)
	return nil
}

// close saves the position for the last time.
func (c *checkpoint) close() (err error) {
	if c.pending() {
		err = c.save()
	}
	c.saving.Lock()
	c.closed = true
	c.saving.Unlock()
	c.table.unregister(c)
	return err
}

// checkpoints are the cursors of all destinations, and the checkpoints of those that are
// delivered to.
type checkpoints struct {
	files cursors

	mu     sync.Mutex
	saved  map[string]cursor      // as they are on the disk
	active map[string]*checkpoint // of the deliveries that run
}

// loadCheckpoints reads the cursors. It calls unreadable for those that it cannot read.
func loadCheckpoints(files cursors, unreadable func(name string, err error)) (*checkpoints, error) {
	saved, err := files.load(unreadable)
	if err != nil {
		return nil, err
	}
	if saved == nil {
		saved = map[string]cursor{}
	}
	return &checkpoints{files: files, saved: saved, active: map[string]*checkpoint{}}, nil
}

// cursor returns the cursor of a destination, if there is one.
func (t *checkpoints) cursor(name string) (at cursor, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, found = t.saved[name]
	return at, found
}

// cursors returns the cursors of all destinations, by name.
func (t *checkpoints) cursors() map[string]cursor {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.saved)
}

// maxSeq returns the highest number that any cursor has. Numbers that a destination has
// seen must not be given out again: it would take new events for old ones.
func (t *checkpoints) maxSeq() (seq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.saved {
		seq = max(seq, c.seq)
	}
	return seq
}

// holder returns the destination that is furthest behind among those that still need a
// number up to end, if there is one.
func (t *checkpoints) holder(end uint64) (name string, held bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lowest := end
	for n, c := range t.saved {
		if c.holds && c.seq < lowest {
			name, lowest, held = n, c.seq, true
		}
	}
	return name, held
}

// flushCursors saves the positions that have reached end and whose cursors have not, and reports
// whether it saved any. If one cannot be saved, its delivery will try again and log that.
func (t *checkpoints) flushCursors(end uint64) (saved bool) {
	t.mu.Lock()
	active, cursors := maps.Clone(t.active), maps.Clone(t.saved)
	t.mu.Unlock()
	for name, c := range active {
		at := cursors[name]
		if at.holds && at.seq < end && c.position.now().last >= end && c.save() == nil {
			saved = true
		}
	}
	return saved
}

func (t *checkpoints) register(c *checkpoint) {
	t.mu.Lock()
	t.active[c.name] = c
	t.mu.Unlock()
}

func (t *checkpoints) unregister(c *checkpoint) {
	t.mu.Lock()
	delete(t.active, c.name)
	t.mu.Unlock()
}

// save writes a cursor to the disk, and only then lets retention see it.
func (t *checkpoints) save(name string, at cursor) error {
	if err := t.files.save(name, at); err != nil {
		return err
	}
	t.mu.Lock()
	t.saved[name] = at
	t.mu.Unlock()
	return nil
}

// forget removes the cursor of a destination that is not delivered to.
func (t *checkpoints) forget(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, found := t.saved[name]; !found {
		return fmt.Errorf("journal: destination %q does not exist", name)
	}
	if err := t.files.remove(name); err != nil {
		return fmt.Errorf("journal: forget destination %q: %w", name, err)
	}
	delete(t.saved, name)
	return nil
}
