package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/inlet-go/inlet"
)

// How a journal works.
//
// Events pass three stages. The watermark between the second and the third says how far
// readers may go.
//
//	write    Write encodes its events into lines, in the writer's goroutine, and puts them into
//	         the queue.
//	commit   One goroutine, the committer, takes what is queued as a group, numbers its lines,
//	         has the store write and flush them to the active segment, moves the watermark, and
//	         answers the writers.
//	deliver  One goroutine per destination, its Delivery, follows the watermark with a tail,
//	         writes batches to the sink with a deliverer, and saves its position by a checkpoint.
//
// Around them, health decides when a failing disk is tried again, retention (retain.go) removes
// old segments after each group, and on Open the recovery makes the directory consistent before
// the committer starts.

// A Journal is a sink that stores events in files of a directory. All methods may be called
// concurrently. Make one with [Open].
type Journal struct {
	dir      string
	opts     Options
	queue    *queue
	health   *health
	counters *counters
	progress *progress
	removed  *atomic.Uint64 // everything up to that number was removed by retention
	requests sync.Pool
	checkers sync.Pool
	refusals sampled
	commit   *committer

	checkpoints *checkpoints
	deliveries  *deliveries
	listing     *listing
	owner       *owner

	dead        *deadLetters
	quarantined atomic.Int64 // size of quarantine
}

var _ interface {
	inlet.Sink
	inlet.Flusher
	inlet.Closer
	inlet.Checker
	inlet.Durable
} = (*Journal)(nil)

// Open opens the journal in dir, which it makes if necessary, and locks it until Close.
//
// It seals what a crash left behind, and sets damaged bytes aside; neither makes it fail. It
// fails with [ErrLocked] if another journal holds the directory, and still does after
// Options.LockTimeout, if the directory cannot be read, written or made, and if an option is
// invalid.
//
// A wait for the lock is logged when it begins and when it ends with the lock. Before that, no
// file of the journal is read or changed, so the process may end at any time. Nothing
// interrupts the wait: a program should call Open before it handles signals.
func Open(dir string, o *Options) (*Journal, error) {
	opts := o.withDefaults()
	if err := opts.check(); err != nil {
		return nil, err
	}
	if err := opts.fs.MakeDir(dir); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	lock, err := acquire(dir, &opts)
	if err != nil {
		return nil, fmt.Errorf("journal: lock %s: %w", dir, err)
	}
	j, err := open(dir, opts, &owner{lock: lock, log: opts.Logger})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %w", err), lock.Close())
	}
	return j, nil
}

// open recovers the directory and starts the committer.
func open(dir string, opts Options, owned *owner) (*Journal, error) {
	j := &Journal{
		dir:        dir,
		opts:       opts,
		queue:      newQueue(opts.MaxQueueBytes),
		health:     &health{log: opts.Logger, onPoisoned: opts.OnPoisoned},
		counters:   new(counters),
		progress:   new(progress),
		removed:    new(atomic.Uint64),
		requests:   sync.Pool{New: func() any { return newWriteRequest() }},
		checkers:   sync.Pool{New: func() any { return new(checker) }},
		deliveries: newDeliveries(),
		listing:    newListing(opts.fs, dir),
		owner:      owned,
		dead:       newDeadLetters(dir, &opts),
	}
	last := newLastFile(opts.fs, dir)
	sealed, err := j.recover(last)
	if err != nil {
		return nil, err
	}
	j.pruneQuarantine()
	if err := j.dead.load(); err != nil {
		return nil, err
	}
	j.commit = j.newCommitter(sealed, last)
	go j.commit.run()
	return j, nil
}

// recover makes the directory consistent, loads the cursors, sets the watermark and returns
// the sealed segments.
func (j *Journal) recover(saved *lastFile) (sealed sealedSegments, err error) {
	r := recovery{
		dir: j.dir, fs: j.opts.fs, log: j.opts.Logger, saved: saved,
		damaged: &j.counters.damaged, renumbered: &j.counters.renumbered,
	}
	last, err := r.run()
	if err != nil {
		return sealed, err
	}
	files := newCursors(j.opts.fs, j.dir)
	files.last, files.owner = last, j.owner
	j.checkpoints, err = loadCheckpoints(files, func(name string, err error) {
		j.opts.Logger.Error("journal: cursor unreadable; redelivering from the oldest event", "destination", name, "error", err)
	})
	if err != nil {
		return sealed, err
	}
	last = max(last, j.checkpoints.maxSeq())
	r.raiseLast(last)
	if sealed, err = r.renumber(); err != nil {
		return sealed, err
	}
	r.saveLast(r.last, r.lastSealed)
	j.progress.set(watermark{segment: r.last + 1, last: r.last})
	return sealed, j.setRemoved(sealed, saved.sealed)
}

// setRemoved records which events are no longer there: those before the oldest segment or, if
// there is none, all that were ever sealed.
func (j *Journal) setRemoved(sealed sealedSegments, lastSealed uint64) error {
	if len(sealed.segments) > 0 {
		j.removed.Store(max(sealed.segments[0].first, 1) - 1)
		return nil
	}
	left, err := listSegments(j.opts.fs, j.dir)
	if err == nil && len(left) == 0 {
		j.removed.Store(lastSealed)
	}
	return err
}

func (j *Journal) newCommitter(sealed sealedSegments, last *lastFile) *committer {
	return &committer{
		queue: j.queue,
		store: &store{
			dir: j.dir, opts: j.opts, fs: j.opts.fs, log: j.opts.Logger,
			health: j.health, counters: j.counters, progress: j.progress,
			sealed: sealed, removed: j.removed, limit: j.retainLimit, checkpoints: j.checkpoints, owner: j.owner, last: last,
		},
		policy:   j.opts.Sync,
		maxGroup: j.opts.MaxGroupBytes,
		release: func() error {
			j.deliveries.wait()
			return j.owner.close()
		},
		seq:  j.progress.now().last + 1,
		done: make(chan struct{}),
	}
}

// Write stores the events, all of them or none, and returns nil once they are as durable as
// [Journal.Durability] declares. It does not keep or change them. Errors are temporary:
// [inlet.ErrClosed] after Close, [inlet.ErrOverloaded] if too many bytes are waiting, else
// an error of the disk. If ctx is done first, which Write notices within 20 milliseconds, the
// outcome is unknown, and the events may still be stored.
//
// The one exception is an event that could not be read back, because a raw field of it is not
// valid JSON or Extra has the name of another field: it is refused with a permanent error and a
// [*inlet.Problem], in an [*inlet.BatchError], once the others are stored.
func (j *Journal) Write(ctx context.Context, events []*inlet.Event) error {
	if ctx.Err() != nil {
		return fmt.Errorf("journal: nothing written: %w", ctx.Err())
	}
	if err := j.queue.refusal(); err != nil || len(events) == 0 {
		return err
	}
	r, refused, err := j.enqueue(ctx, events)
	if err = j.outcome(ctx, r, err); err == nil && refused != nil {
		return &inlet.BatchError{Items: refused}
	}
	return err
}

// enqueue hands the events to the committer, except for those that are refused.
func (j *Journal) enqueue(ctx context.Context, events []*inlet.Event) (r *writeRequest, refused []inlet.ItemError, err error) {
	j.queue.encoding.Add(1)
	defer j.queue.encoding.Add(-1)
	r = j.requests.Get().(*writeRequest)
	if refused = j.encode(ctx, r, events); len(refused) == len(events) {
		return r, nil, &inlet.BatchError{Items: refused}
	}
	return r, refused, j.queue.put(r)
}

// outcome returns the outcome of a request, which is err if it did not get into the queue.
func (j *Journal) outcome(ctx context.Context, r *writeRequest, err error) error {
	owned := true
	if err == nil {
		owned, err = r.await(ctx)
	}
	if owned {
		j.recycle(r)
	}
	return err
}

// recycle keeps r for another Write. The caller must own it.
func (j *Journal) recycle(r *writeRequest) {
	if cap(r.buf) <= maxPooled {
		j.requests.Put(r)
	}
}

// Flush returns nil once everything that was written before the call is flushed to the
// disk, under every [SyncPolicy].
func (j *Journal) Flush(ctx context.Context) error {
	r := newWriteRequest()
	err := j.outcome(ctx, r, j.queue.put(r))
	if errors.Is(err, inlet.ErrClosed) {
		return j.Close(ctx) // it flushes
	}
	return err
}

// Close stops all deliveries as [Delivery.Stop] does, stores what is waiting, seals the
// active segment and unlocks the directory. If ctx is done first, it returns an error and
// this continues in the background, as soon as the disk and the destinations allow. A second
// Close returns what the first one did.
func (j *Journal) Close(ctx context.Context) error {
	running := j.deliveries.close()
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

// Check returns nil if the journal could store events now, as far as that is known without
// writing: it is open, still holds the lock of its directory, has free space, is within its
// retention limit, and its disk responds.
func (j *Journal) Check(context.Context) error {
	if err := j.queue.refusal(); err != nil {
		return err
	}
	if err := j.health.check(); err != nil {
		return err
	}
	if err := j.owner.verify(); err != nil {
		return err
	}
	if err := j.checkRetained(); err != nil {
		return err
	}
	return checkSpace(j.opts.fs, j.dir, &j.opts)
}

// Durability returns [inlet.DurabilityFsync] with [SyncAlways], else [inlet.DurabilityOSBuffer].
func (j *Journal) Durability() inlet.Durability { return j.opts.Sync.durability() }
