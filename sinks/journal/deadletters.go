package journal

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// Dead letters and the disk.
//
// Each destination's dead letters are in a journal of their own, dead/NAME, that is opened
// for the first of them (deadLetterJournal). All of them together have Options.DeadLetterBytes,
// in equal shares (deadLetters): a journal removes its oldest segments by that share, as any
// journal does by RetainBytes. When another destination gets its first dead letter the shares
// become smaller, and those that exceed it are trimmed: a journal that is open by its own
// committer, any other by opening it for that.

const deadLetterDir = "dead"

// deadLetterSegments is into how many segments DeadLetterBytes is divided, so that what is
// removed at once is small compared to what stays.
const deadLetterSegments = 32

// deadLetters are the journals of the dead letters of all destinations.
type deadLetters struct {
	dir   string
	opts  Options // of each journal
	limit int64   // of all of them, in bytes

	opening sync.Mutex // held while one is opened or trimmed

	mu    sync.Mutex
	boxes map[string]*deadLetterBox
}

// A deadLetterBox is what is known of a destination's dead letters.
type deadLetterBox struct {
	journal *Journal // nil if it is not open
	size    int64    // in bytes, while it is not open
}

// newDeadLetters returns the journals of dead letters below the directory of a journal with
// the options o.
func newDeadLetters(dir string, o *Options) *deadLetters {
	d := &deadLetters{
		dir: filepath.Join(dir, deadLetterDir), limit: o.DeadLetterBytes, boxes: map[string]*deadLetterBox{},
	}
	d.opts = Options{
		SegmentBytes: max(d.limit/deadLetterSegments, 1), LowWater: o.LowWater, Logger: o.Logger, fs: o.fs, share: d.share,
	}
	return d
}

// load finds the dead letters that are there, and trims them to the limit.
func (d *deadLetters) load() error {
	names, err := d.opts.fs.List(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if validName(name) {
			d.boxes[name] = &deadLetterBox{size: d.sizeOf(name)}
		}
	}
	if d.bytes() > d.limit {
		d.trim()
	}
	return nil
}

// sizeOf returns the size of a journal of dead letters that is not open.
func (d *deadLetters) sizeOf(name string) int64 {
	dir := filepath.Join(d.dir, name)
	return dirSize(d.opts.fs, dir) + dirSize(d.opts.fs, filepath.Join(dir, quarantineDir))
}

// dirSize returns the size of the files in a directory, as far as it is known.
func dirSize(fsys osfs.FS, dir string) (bytes int64) {
	names, _ := fsys.List(dir)
	for _, name := range names {
		if name == lastName {
			continue // of no account
		}
		if size, _, err := fsys.Stat(filepath.Join(dir, name)); err == nil {
			bytes += size
		}
	}
	return bytes
}

// share returns how many bytes each journal may have.
func (d *deadLetters) share() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return max(d.limit/int64(max(len(d.boxes), 1)), 1)
}

// bytes returns the size of all of them.
func (d *deadLetters) bytes() (total int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, b := range d.boxes {
		total += b.bytes()
	}
	return total
}

func (b *deadLetterBox) bytes() int64 {
	if b.journal == nil {
		return b.size
	}
	return b.journal.counters.retained.Load() + b.journal.quarantined.Load()
}

// open opens the journal of a destination.
func (d *deadLetters) open(name string) (*Journal, error) {
	d.opening.Lock()
	defer d.opening.Unlock()
	if d.add(name) {
		d.trim()
	}
	j, err := d.openJournal(name)
	if err == nil {
		d.mu.Lock()
		d.boxes[name].journal = j
		d.mu.Unlock()
	}
	return j, err
}

func (d *deadLetters) openJournal(name string) (*Journal, error) {
	opts := d.opts
	opts.Logger = opts.Logger.With("deadLetters", name)
	return Open(filepath.Join(d.dir, name), &opts)
}

// add adds a destination, and reports whether it is a new one.
func (d *deadLetters) add(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.boxes[name] != nil {
		return false
	}
	d.boxes[name] = new(deadLetterBox)
	return true
}

// known reports whether a destination has dead letters.
func (d *deadLetters) known(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.boxes[name] != nil
}

// closed records that the journal of a destination is closed.
func (d *deadLetters) closed(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.boxes[name]
	b.size, b.journal = b.bytes(), nil
}

// trim removes the oldest dead letters of each destination that exceeds its share.
func (d *deadLetters) trim() {
	share := d.share()
	var idle []string
	d.mu.Lock()
	for name, b := range d.boxes {
		switch {
		case b.bytes() <= share:
		case b.journal != nil:
			b.journal.queue.signal() // its committer trims it
		default:
			idle = append(idle, name)
		}
	}
	d.mu.Unlock()
	for _, name := range idle {
		d.trimIdle(name)
	}
}

// trimIdle opens a journal to have it remove what exceeds its share. If that fails, such as
// while another process re-drives its dead letters, the next Open tries again.
func (d *deadLetters) trimIdle(name string) {
	j, err := d.openJournal(name)
	if err != nil {
		d.opts.Logger.Warn("journal: dead letters not trimmed", "destination", name, "error", err)
		return
	}
	before := j.removed.Load()
	err = errors.Join(j.Flush(context.Background()), j.Close(context.Background()))
	d.mu.Lock()
	d.boxes[name].size = j.counters.retained.Load() + j.quarantined.Load()
	d.mu.Unlock()
	d.opts.Logger.Warn("journal: oldest dead letters removed", "destination", name, "atMost", j.removed.Load()-before, "error", err)
}

// A deadLetterJournal stores what a destination rejects permanently, in the journal that is
// opened for the first dead letter.
type deadLetterJournal struct {
	name string
	all  *deadLetters
	log  *slog.Logger

	using  sync.Mutex // held by the delivery or a Redrive while it uses the journal
	broken bool       // the journal has stopped, and is to be opened again
	buf    []byte     // for measuring

	mu       sync.Mutex
	journal  *Journal
	opened   uint64    // how far retention had removed when the journal was opened
	earlier  uint64    // dead letters that were removed before that
	logged   uint64    // how many of them are logged
	loggedAt time.Time // when that was last logged
}

// Write stores dead letters, in pieces of at most a segment, so that retention can remove
// some and keep others. Temporary errors name those that are not stored.
func (l *deadLetterJournal) Write(ctx context.Context, letters []*inlet.Event) error {
	l.using.Lock()
	defer l.using.Unlock()
	if err := l.prepare(ctx); err != nil {
		return err
	}
	failed := new(inlet.BatchError)
	for done := 0; done < len(letters); {
		end := done + l.piece(letters[done:])
		err := l.journal.Write(ctx, letters[done:end])
		if err != nil && !isRefusal(err) {
			l.broken = errors.Is(err, ErrPoisoned) || errors.Is(err, ErrLockLost)
			return failedFrom(failed, done, len(letters), err)
		}
		for i, err := range inlet.ItemErrors(err, end-done) {
			if err != nil {
				failed.Items = append(failed.Items, inlet.ItemError{Index: done + i, Err: err})
			}
		}
		done = end
	}
	l.logRemoved(time.Minute)
	if len(failed.Items) > 0 {
		return failed
	}
	return nil
}

// isRefusal reports whether an error of a Write names the events that were refused: the others
// are stored.
func isRefusal(err error) bool {
	_, ok := errors.AsType[*inlet.BatchError](err)
	return ok
}

// open returns the journal, to be read, or nil if there never was a letter.
func (l *deadLetterJournal) open(ctx context.Context) (*Journal, error) {
	if !l.all.known(l.name) {
		return nil, nil
	}
	l.using.Lock()
	defer l.using.Unlock()
	err := l.prepare(ctx)
	return l.journal, err
}

// prepare opens the journal if that is necessary. One that has stopped, after failed flushes
// or because its files were removed, is closed first, and opened again, which is what ends
// that state in any journal.
func (l *deadLetterJournal) prepare(ctx context.Context) error {
	if l.broken {
		err := l.journal.Close(ctx)
		if ctx.Err() != nil {
			return err // it is still closing
		}
		l.log.Info("journal: opening dead letters again", "error", err)
		l.release()
	}
	if l.journal != nil {
		return nil
	}
	j, err := l.all.open(l.name)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.journal, l.opened = j, j.removed.Load()
	l.mu.Unlock()
	return nil
}

// release forgets a journal that is closed.
func (l *deadLetterJournal) release() {
	l.all.closed(l.name)
	l.mu.Lock()
	l.earlier += l.journal.removed.Load() - l.opened
	l.journal, l.broken = nil, false
	l.mu.Unlock()
}

// piece returns how many of the letters fit into a segment, at least one.
func (l *deadLetterJournal) piece(letters []*inlet.Event) int {
	size := int64(0)
	for i, e := range letters {
		l.buf = e.AppendJSON(l.buf[:0])
		if size += int64(len(l.buf)); size > l.journal.opts.SegmentBytes && i > 0 {
			return i
		}
	}
	return len(letters)
}

// failedFrom is the error of a batch of n events of which those in batch and those from an index
// on failed.
func failedFrom(batch *inlet.BatchError, first, n int, err error) error {
	if first == 0 {
		return err
	}
	for i := first; i < n; i++ {
		batch.Items = append(batch.Items, inlet.ItemError{Index: i, Err: err})
	}
	return batch
}

// removed returns how many dead letters were removed to make room for others, at most.
func (l *deadLetterJournal) removed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.earlier
	if l.journal != nil {
		n += l.journal.removed.Load() - l.opened
	}
	return n
}

// logRemoved logs how many dead letters were removed, unless it did so within the interval.
func (l *deadLetterJournal) logRemoved(interval time.Duration) {
	n := l.removed()
	if n == l.logged || !l.loggedAt.IsZero() && time.Since(l.loggedAt) < interval {
		return
	}
	l.log.Warn("journal: oldest dead letters removed", "atMost", n-l.logged, "limitBytes", l.all.share())
	l.logged, l.loggedAt = n, time.Now()
}

// close closes the journal.
func (l *deadLetterJournal) close() error {
	l.using.Lock()
	defer l.using.Unlock()
	if l.journal == nil {
		return nil
	}
	err := l.journal.Close(context.Background())
	l.release()
	l.logRemoved(0)
	return err
}
