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

// A store writes to the segments of a directory. Only the committer uses it.
type store struct {
	dir      string
	opts     Options
	fs       osfs.FS
	log      *slog.Logger
	health   *health
	counters *counters
	progress *progress

	removed      *atomic.Uint64
	destinations *destinations

	active *segment
	ahead  ahead
	sealed  sealedSegments
	spaceChecked time.Time // when free space was last looked at
}

// A segment is a file that is being written.
type segment struct {
	entry
	file       osfs.File
	size       int64     // of the whole lines in it
	preallocated     int64     // how far it is filled with newlines; 0 if it is appended to
	acked      int64     // of those that were acknowledged
	opened     time.Time // when it was made
	dirtySince time.Time // the first write since the last flush, or zero
}

// checkWritable says why nothing can be written now, if so.
func (s *store) checkWritable() error {
	if err := s.health.refusal(); err != nil {
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

// checkSpace fails below the low-water mark.
func checkSpace(fsys osfs.FS, dir string, o *Options) error {
	if o.LowWater < 0 {
		return nil
	}
	free, total, err := fsys.Free(dir)
	if err != nil { // not to know is no reason to refuse: writing will tell
		return nil
	}
	if low := o.lowWater(total); free < low {
		return storageError("free space", fmt.Errorf("%w: %d bytes left of the %d to keep", ErrStorageFull, free, low))
	}
	return nil
}

// append writes lines, the first of which has that sequence number, to the end
// of the active segment: all of them, or none.
func (s *store) append(first uint64, lines []byte) error {
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
	s.active.wrote(n)
	s.counters.bytes.add(n)
	return nil
}

// trim cuts off what follows the whole lines.
func (g *segment) trim() error {
	g.preallocated = 0
	return g.file.Truncate(g.size)
}

// trimAhead cuts off what was written ahead and not used. It is done before the
// file gets its final name, and so must be on the disk before it.
func (g *segment) trimAhead() error {
	if g.preallocated <= g.size {
		return nil
	}
	if err := g.trim(); err != nil {
		return err
	}
	return g.file.Sync()
}

// length is that of the file.
func (g *segment) length() int64 { return max(g.size, g.preallocated) }

func (g *segment) wrote(n int) {
	g.size += int64(n)
	if g.dirtySince.IsZero() {
		g.dirtySince = time.Now()
	}
}

// due reports whether the active segment is to be sealed before n bytes more.
func (s *store) due(now time.Time, n int64) bool {
	g := s.active
	return g != nil && (g.size > 0 && g.size+n > s.opts.SegmentBytes || now.Sub(g.opened) >= s.opts.SegmentAge ||
		g.size > 0 && g.preallocated == 0 && s.ahead.ready())
}

// create starts a segment, whose name survives a power cut before anything in it
// is acknowledged.
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

// undo cuts off what a failed write left behind. A full disk is a reason to wait;
// after any other error, or if it cannot be cut, the file is not written to
// again.
func (s *store) undo(cause error) error {
	full := isFull(cause) || errors.Is(cause, io.ErrShortWrite)
	if err := s.active.trim(); err != nil || !full {
		s.setAside()
	}
	return s.health.suspend(storageError("write", cause))
}

// sync flushes the active segment. If that fails, nothing may be concluded from
// flushing the same file again: the system may have dropped the bytes and
// forgotten the error. So the file is set aside. Only a disk that is full, as
// some find out no sooner, may fail again and again.
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

// checkActive fails if the active file is not what was written to it, because
// somebody deleted, moved or cut it: what is written to it then is lost.
func (s *store) checkActive() error {
	size, err := s.active.file.Size()
	if err == nil && size == s.active.length() {
		return nil
	}
	s.log.Error("journal: the active file was deleted, moved or cut by somebody else; what it held may be lost",
		"file", s.active.name(), "held", s.active.length(), "found", size, "error", err)
	s.logClose(s.active.file.Close())
	s.active = nil
	return ErrFileGone
}

// maintain does what is due: seal by age, flush by interval, remove what is not to
// be retained.
func (s *store) maintain(now time.Time) {
	switch next, ok := s.nextOfSegment(); {
	case !ok || now.Before(next):
	case s.due(now, 0):
		s.roll()
	default:
		_ = s.sync() // health has it, and nobody waits for it
	}
	s.retain(now)
}

// nextMaintenance is when maintain has something to do, if nothing is written until then.
func (s *store) nextMaintenance() (at time.Time, ok bool) {
	at, ok = s.nextOfSegment()
	if s.opts.RetainAge > 0 && (!ok || s.sealed.nextExpiry.Before(at)) {
		return s.sealed.nextExpiry, true
	}
	return at, ok
}

// nextOfSegment is next for the active segment.
func (s *store) nextOfSegment() (at time.Time, ok bool) {
	if s.active == nil {
		return at, false
	}
	at = s.active.opened.Add(s.opts.SegmentAge)
	if since := s.active.dirtySince; s.opts.Sync == SyncInterval && !since.IsZero() {
		if flush := since.Add(s.opts.Interval); flush.Before(at) {
			at = flush
		}
	}
	return at, true
}

// roll seals the active segment; an error is logged, for it takes nothing from
// what was acknowledged.
func (s *store) roll() {
	if err := s.seal(); err != nil {
		s.log.Error("journal: segment was not sealed; the next Open will", "error", err)
	}
}

// seal ends the active segment under its final name. An empty one is removed.
func (s *store) seal() error {
	if err := s.sync(); err != nil || s.active == nil {
		return err
	}
	g := s.active
	s.active = nil
	if err := errors.Join(g.trimAhead(), g.file.Close()); err != nil {
		return err
	}
	from := g.path(s.dir)
	if g.size == 0 {
		return s.fs.Remove(from)
	}
	if err := s.fs.Rename(from, entry{g.first, extSealed}.path(s.dir)); err != nil {
		return err
	}
	s.sealed.add(sealedSegment{g.first, g.size, time.Now()})
	return s.fs.SyncDir(s.dir)
}

// setAside gives the active file a name that says not to trust it. What was
// acknowledged in it is still read from it, and the next Open copies it out. A
// file in which nothing was acknowledged is removed.
func (s *store) setAside() {
	g := s.active
	s.active = nil
	s.logClose(g.file.Close())
	var err error
	if g.acked == 0 {
		err = s.fs.Remove(g.path(s.dir))
	} else {
		err = s.fs.Rename(g.path(s.dir), entry{g.first, extSuspect}.path(s.dir))
	}
	if err != nil {
		s.log.Error("journal: file could not be set aside", "file", g.name(), "error", err)
	}
}

// acknowledge marks what is in the active segment, the last line of which has that number,
// as acknowledged.
func (s *store) acknowledge(last uint64) {
	g := s.active
	g.acked = g.size
	s.progress.set(watermark{segment: g.first, size: g.size, last: last})
}

func (s *store) logClose(err error) {
	if err != nil {
		s.log.Warn("journal: closing a file", "error", err)
	}
}
