package journal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// The life of a segment.
//
//	create      a new file, NAME.ndjson.part, whose name is flushed before anything in it is
//	            acknowledged
//	append      lines are written to its end; what a failed write left behind is cut off
//	sync        a flush makes what was written durable
//	checkActive the file still is the one that its name leads to, and has its size
//	acknowledge the watermark moves behind the lines: readers may go that far
//	seal        when it is large or old enough, it is flushed, closed and renamed to
//	            NAME.ndjson, and not changed any more
//	setAside    instead of all that, after an error that leaves its content in doubt, it is
//	            closed and renamed to NAME.ndjson.suspect
//
// Every error on this way is temporary for the writers, is given to health, which decides
// when the disk is tried again, and costs the file at most: the next write starts another.

// A store writes to the segments of a directory. Only the committer uses it.
type store struct {
	dir      string
	opts     Options
	fs       osfs.FS
	log      *slog.Logger
	health   *health
	counters *counters
	progress *progress

	removed     *atomic.Uint64
	limit       func() int64 // of the size of all segments; 0 is none
	checkpoints *checkpoints
	owner       *owner
	last        *lastFile

	active       *segment // nil if there is none
	ahead        ahead
	sealed       sealedSegments
	spaceChecked time.Time // when free space was last checked
}

// A segment is a file that is being written.
type segment struct {
	entry
	file         osfs.File
	size         int64     // of the complete lines in it
	last         uint64    // the highest number in it
	preallocated int64     // how far the file was filled with newlines; 0 if it is appended to
	acked        int64     // size of the acknowledged lines
	opened       time.Time // when it was created
	dirtySince   time.Time // the first write since the last flush, or zero
}

// checkWritable returns an error if nothing can be written now.
func (s *store) checkWritable() error {
	if err := s.health.refusal(); err != nil {
		return err
	}
	if err := s.owner.verify(); err != nil {
		return err
	}
	if err := s.checkRetention(); err != nil {
		return s.health.suspend(err)
	}
	if time.Since(s.spaceChecked) < pauseAfter {
		return nil
	}
	s.spaceChecked = time.Now()
	if err := checkSpace(s.fs, s.dir, &s.opts); err != nil {
		s.spaceChecked = time.Time{}
		return s.health.suspend(err)
	}
	return nil
}

// checkSpace returns an error below the low-water mark.
func checkSpace(fsys osfs.FS, dir string, o *Options) error {
	if o.LowWater < 0 {
		return nil
	}
	free, total, err := fsys.Free(dir)
	if err != nil { // unknown is not a reason to refuse: a write will show
		return nil
	}
	if low := o.lowWater(total); free < low {
		return storageError("free space", fmt.Errorf("%w: %d bytes free, must be at least %d", ErrStorageFull, free, low))
	}
	return nil
}

// append writes lines to the end of the active segment: all of them, or none. The first one and
// the last one have the given sequence numbers.
func (s *store) append(first, last uint64, lines []byte) error {
	if s.due(time.Now(), int64(len(lines))) {
		s.roll()
	}
	if s.active == nil {
		if err := s.create(first); err != nil {
			return err
		}
	}
	n, err := s.active.file.Write(lines)
	if err == nil && n < len(lines) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return s.undo(err)
	}
	s.active.wrote(n, last)
	s.counters.bytes.add(n)
	return nil
}

// trim cuts off what follows the complete lines.
func (g *segment) trim() error {
	g.preallocated = 0
	return g.file.Truncate(g.size)
}

// trimAhead cuts off what was written ahead and not used. That is flushed before the file
// gets its final name, so that a sealed file never ends in blank lines.
func (g *segment) trimAhead() error {
	if g.preallocated <= g.size {
		return nil
	}
	if err := g.trim(); err != nil {
		return err
	}
	return g.file.Sync()
}

// length returns the size that the file should have.
func (g *segment) length() int64 { return max(g.size, g.preallocated) }

func (g *segment) wrote(n int, last uint64) {
	g.size += int64(n)
	g.last = last
	if g.dirtySince.IsZero() {
		g.dirtySince = time.Now()
	}
}

// due reports whether the active segment has to be sealed before n more bytes are written:
// it is large or old enough, or is appended to although a file ahead is ready.
func (s *store) due(now time.Time, n int64) bool {
	g := s.active
	return g != nil && (g.size > 0 && g.size+n > s.opts.SegmentBytes || now.Sub(g.opened) >= s.opts.segmentAge(g.size) ||
		g.size > 0 && g.preallocated == 0 && s.ahead.ready())
}

// create starts a segment. Its name is durable before anything in it is acknowledged.
func (s *store) create(first uint64) error {
	g := &segment{entry: entry{first, extActive}, opened: time.Now()}
	var err error
	if s.ahead.ready() {
		g.preallocated = s.opts.SegmentBytes
		g.file, err = s.takeAhead(g.path(s.dir))
	} else {
		g.file, err = s.fs.Create(g.path(s.dir))
	}
	if err != nil {
		return s.health.suspend(storageError("create segment", err))
	}
	s.active = g
	if err := s.fs.SyncDir(s.dir); err != nil {
		s.setAside()
		return s.health.suspend(storageError("flush directory", err))
	}
	s.counters.segments.add(1)
	s.prepareAhead()
	return nil
}

// undo cuts off what a failed write left behind. After a full disk the file stays in use;
// after any other error, or if it cannot be cut, it is not written to again.
func (s *store) undo(cause error) error {
	full := isFull(cause) || errors.Is(cause, io.ErrShortWrite)
	if err := s.active.trim(); err != nil || !full {
		s.setAside()
	}
	return s.health.suspend(storageError("write", cause))
}

// sync flushes the active segment. If that fails, a second flush of the same file proves
// nothing: the system may have dropped the bytes and forgotten the error. So the file is
// set aside. A flush may fail repeatedly only because the disk is full, which some file
// systems do not notice earlier.
func (s *store) sync() error {
	if s.active == nil || s.active.dirtySince.IsZero() {
		return nil
	}
	s.counters.fsyncs.add(1)
	if err := s.active.file.Sync(); err != nil {
		s.setAside()
		if isFull(err) {
			return s.health.suspend(storageError("flush", err))
		}
		return s.health.flushFailed(err)
	}
	s.active.dirtySince = time.Time{}
	return nil
}

// checkActive returns an error if the directory is no longer ours, or if the active file was
// deleted, moved or truncated by another process: what is written to it then is lost.
func (s *store) checkActive() error {
	if err := s.owner.verify(); err != nil {
		return err
	}
	size, err := s.active.file.Size()
	if err == nil && size == s.active.length() {
		return nil
	}
	s.log.Error("journal: active file was deleted, moved or truncated by another process; its events may be lost",
		"file", s.active.name(), "expectedBytes", s.active.length(), "foundBytes", size, "error", err)
	s.logClose(s.active.file.Close())
	s.active = nil
	return ErrFileGone
}

// maintain does what is due: seal by age, flush by age, remove old segments.
func (s *store) maintain(now time.Time) {
	switch next, ok := s.nextOfSegment(); {
	case !ok || now.Before(next):
	case s.due(now, 0):
		s.roll()
	default:
		_ = s.sync() // health has the error, and no writer waits for it
	}
	s.retain(now)
}

// nextMaintenance returns when maintain has something to do if nothing is written until
// then, and false if it never has.
func (s *store) nextMaintenance() (at time.Time, ok bool) {
	at, ok = s.nextOfSegment()
	if s.opts.RetainAge > 0 && (!ok || s.sealed.nextExpiry.Before(at)) {
		return s.sealed.nextExpiry, true
	}
	return at, ok
}

// nextOfSegment is nextMaintenance for the active segment.
func (s *store) nextOfSegment() (at time.Time, ok bool) {
	if s.active == nil {
		return at, false
	}
	at = s.active.opened.Add(s.opts.segmentAge(s.active.size))
	if since := s.active.dirtySince; !since.IsZero() {
		if flush := since.Add(s.opts.flushAge()); flush.Before(at) {
			at = flush
		}
	}
	return at, true
}

// roll seals the active segment. It only logs an error, which does not affect what was
// acknowledged.
func (s *store) roll() {
	if err := s.seal(); err != nil {
		s.log.Error("journal: segment not sealed; the next Open will seal it", "error", err)
	}
}

// seal closes the active segment under its final name. An empty one is removed.
func (s *store) seal() error {
	if err := s.sync(); err != nil || s.active == nil {
		return err
	}
	g := s.active
	s.active = nil
	if err := errors.Join(g.trimAhead(), g.file.Close(), s.owner.verify()); err != nil {
		return err
	}
	from := g.path(s.dir)
	if g.size == 0 {
		return s.fs.Remove(from)
	}
	to := entry{g.first, extSealed}.path(s.dir)
	if _, _, err := s.fs.Stat(to); err == nil {
		return fmt.Errorf("journal: %s exists", to) // the next Open gives its events other numbers
	}
	if err := s.last.raise(g.last, g.last); err != nil {
		s.log.Warn("journal: last number not saved; do not move all sealed files", "file", lastName, "error", err)
	}
	if err := s.fs.Rename(from, to); err != nil {
		return err
	}
	s.sealed.add(sealedSegment{first: g.first, size: g.size, sealed: time.Now()})
	return s.fs.SyncDir(s.dir)
}

// setAside renames the active file so that its content is not trusted. What was
// acknowledged in it is still read from it, and the next Open copies it out. If nothing in
// it was acknowledged it is removed.
func (s *store) setAside() {
	g := s.active
	s.active = nil
	s.logClose(g.file.Close())
	err := s.owner.verify()
	switch {
	case err != nil:
	case g.acked == 0:
		err = s.fs.Remove(g.path(s.dir))
	default:
		err = s.fs.Rename(g.path(s.dir), entry{g.first, extSuspect}.path(s.dir))
	}
	if err != nil {
		s.log.Error("journal: file not set aside", "file", g.name(), "error", err)
	}
}

// acknowledge moves the watermark to the end of the active segment, whose last line has the
// given number.
func (s *store) acknowledge(last uint64) {
	g := s.active
	g.acked = g.size
	s.progress.set(watermark{segment: g.first, size: g.size, last: last})
}

func (s *store) logClose(err error) {
	if err != nil {
		s.log.Warn("journal: closing a file failed", "error", err)
	}
}
