package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// A Journal is a sink that stores events in files of a directory. All methods
// may be called concurrently. Make one with [Open].
type Journal struct {
	dir      string
	opts     Options
	queue    *queue
	health   *health
	counters *counters
	progress *progress
	removed  *atomic.Uint64 // everything up to that number was removed by retention
	requests  sync.Pool
	commit   *committer

	destinations *destinations
}

var _ interface {
	inlet.Sink
	inlet.Flusher
	inlet.Closer
	inlet.Checker
	inlet.Durable
} = (*Journal)(nil)

// Open opens the journal in dir, which it makes if need be, and holds it until
// Close. Nil options mean the defaults.
//
// What a crash left behind is sealed, and damaged bytes are set aside; they
// never make Open fail. It fails with [ErrLocked] if the directory is in use,
// and if the directory cannot be read, written or made.
func Open(dir string, o *Options) (*Journal, error) {
	opts := o.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	if err := opts.fs.MakeDir(dir); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	lock, err := opts.fs.Lock(filepath.Join(dir, lockName))
	if errors.Is(err, osfs.ErrLocked) {
		err = ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("journal: lock %s: %w", dir, err)
	}
	j, err := open(dir, opts, lock)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %w", err), lock.Close())
	}
	return j, nil
}

// open recovers the directory and starts the committer.
func open(dir string, opts Options, lock io.Closer) (*Journal, error) {
	j := &Journal{
		dir:      dir,
		opts:     opts,
		queue:    newQueue(opts.MaxQueueBytes),
		health:   &health{log: opts.Logger, onPoisoned: opts.OnPoisoned},
		counters: new(counters),
		progress: new(progress),
		removed:  new(atomic.Uint64),
		requests:  sync.Pool{New: func() any { return newWriteRequest() }},
	}
	if err := j.recover(); err != nil {
		return nil, err
	}
	shelf, err := loadSealedSegments(opts.fs, dir)
	if err != nil {
		return nil, err
	}
	if len(shelf.segments) > 0 {
		j.removed.Store(max(shelf.segments[0].first, 1) - 1)
	}
	j.commit = j.newCommitter(shelf, lock)
	go j.commit.run()
	return j, nil
}

// recover brings the directory into order and finds where everybody is.
func (j *Journal) recover() (err error) {
	r := recovery{dir: j.dir, fs: j.opts.fs, log: j.opts.Logger, damaged: &j.counters.damaged}
	last, err := r.run()
	if err != nil {
		return err
	}
	j.destinations, err = loadDestinations(newCursors(j.opts.fs, j.dir), func(name string, err error) {
		j.opts.Logger.Error("journal: how far a destination has come is not known, it gets everything again", "destination", name, "error", err)
	})
	if err != nil {
		return err
	}
	last = max(last, j.destinations.furthest())
	j.progress.set(watermark{segment: last + 1, last: last})
	return nil
}

func (j *Journal) newCommitter(on sealedSegments, lock io.Closer) *committer {
	return &committer{
		queue: j.queue,
		store: &store{
			dir: j.dir, opts: j.opts, fs: j.opts.fs, log: j.opts.Logger,
			health: j.health, counters: j.counters, progress: j.progress,
			sealed: on, removed: j.removed, destinations: j.destinations,
		},
		lock:     lock,
		policy:   j.opts.Sync,
		maxGroup: j.opts.MaxGroupBytes,
		seq:      j.progress.now().last + 1,
		done:     make(chan struct{}),
	}
}

// Write stores the events, all of them or none, and returns nil once they are as
// durable as [Journal.Durability] says. Every error is temporary: [inlet.ErrClosed]
// after Close, [inlet.ErrOverloaded] if too much waits already, else what the
// disk says. If ctx is done first the outcome is unknown, and the events may
// still be stored.
func (j *Journal) Write(ctx context.Context, events []*inlet.Event) error {
	if ctx.Err() != nil {
		return fmt.Errorf("journal: nothing written: %w", ctx.Err())
	}
	if err := j.queue.refusal(); err != nil || len(events) == 0 {
		return err
	}
	t, err := j.enqueue(events)
	return j.outcome(ctx, t, err)
}

// enqueue hands a ticket of the events to the committer.
func (j *Journal) enqueue(events []*inlet.Event) (*writeRequest, error) {
	j.queue.encoding.Add(1)
	defer j.queue.encoding.Add(-1)
	t := j.requests.Get().(*writeRequest)
	t.encode(events)
	return t, j.queue.put(t)
}

// outcome returns the outcome of a ticket, if it got into the queue.
func (j *Journal) outcome(ctx context.Context, t *writeRequest, err error) error {
	mine := true
	if err == nil {
		err, mine = t.await(ctx)
	}
	if mine {
		j.recycle(t)
	}
	return err
}

// Flush returns once everything written before is on the disk, whatever the
// policy.
func (j *Journal) Flush(ctx context.Context) error {
	t := newWriteRequest()
	err := j.outcome(ctx, t, j.queue.put(t))
	if errors.Is(err, inlet.ErrClosed) {
		return j.Close(ctx) // it flushes
	}
	return err
}

// recycle keeps t for another Write. Nobody else may hold it.
func (j *Journal) recycle(t *writeRequest) {
	if cap(t.buf) <= maxPooled {
		j.requests.Put(t)
	}
}

// Close stops all deliveries as [Delivery.Stop] does, stores what waits, seals the
// active segment and frees the directory. A Close that ctx ends does so in the
// background, as soon as the disk and the destinations allow.
func (j *Journal) Close(ctx context.Context) error {
	running := j.destinations.close()
	for _, d := range running {
		d.halt()
	}
	j.queue.close()
	select {
	case <-j.commit.done:
		return j.commit.err
	case <-ctx.Done():
	}
	for _, d := range running {
		d.cancel()
	}
	return fmt.Errorf("journal: still closing: %w", ctx.Err())
}

// Check returns nil if the journal could store events now, as far as it knows
// without writing: it is open, has room, and its disk answers.
func (j *Journal) Check(context.Context) error {
	if err := j.queue.refusal(); err != nil {
		return err
	}
	if err := j.health.check(); err != nil {
		return err
	}
	if err := j.checkRetained(); err != nil {
		return err
	}
	return checkSpace(j.opts.fs, j.dir, &j.opts)
}

// Durability returns [inlet.DurabilityFsync] with [SyncAlways], else
// [inlet.DurabilityOSBuffer].
func (j *Journal) Durability() inlet.Durability { return j.opts.Sync.durability() }
