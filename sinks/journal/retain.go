package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// retainEvery is how often the age of segments is looked at, besides whenever one
// is sealed.
const retainEvery = time.Minute

// A sealedSegments has the sealed segments, the oldest first.
type sealedSegments struct {
	segments []sealedSegment
	bytes    int64     // of all of them
	nextExpiry  time.Time // when to look at their age next
	unflushed    bool      // names were removed, which is not on the disk yet
}

type sealedSegment struct {
	first  uint64
	size   int64
	sealed time.Time // when it was written to last, as far as is known
}

// add adds the newest.
func (s *sealedSegments) add(g sealedSegment) {
	s.segments = append(s.segments, g)
	s.bytes += g.size
	s.nextExpiry = time.Time{}
}

// loadSealedSegments looks at what is sealed after recovery.
func loadSealedSegments(fsys osfs.FS, dir string) (s sealedSegments, err error) {
	segments, err := listSegments(fsys, dir)
	if err != nil {
		return s, err
	}
	for _, e := range segments {
		if e.ext != extSealed {
			continue
		}
		size, written, err := fsys.Stat(e.path(dir))
		if err != nil {
			size, written = 0, time.Now() // not to know is no reason to remove it
		}
		s.add(sealedSegment{e.first, size, written})
	}
	return s, nil
}

// retain removes what the options do not want kept, and no destination needs.
func (s *store) retain(now time.Time) {
	for s.overLimit() && s.removeOldest() {
	}
	if s.opts.RetainAge > 0 && !now.Before(s.sealed.nextExpiry) {
		s.sealed.nextExpiry = now.Add(retainEvery)
		s.removeExpired(now)
	}
	s.flushRemovals()
	s.counters.retained.Store(s.retained())
}

// removeExpired removes the oldest segment if it is too old, and only that one: a clock
// that jumps ahead makes all of them seem old, and must not empty the directory
// at once. Segments become too old no faster than they are sealed, each of which
// is an occasion to remove one.
func (s *store) removeExpired(now time.Time) {
	if len(s.sealed.segments) > 0 && now.Sub(s.sealed.segments[0].sealed) >= s.opts.RetainAge {
		s.removeOldest()
	}
}

// retained is what the segments take, in bytes.
func (s *store) retained() int64 {
	bytes := s.sealed.bytes
	if s.active != nil {
		bytes += s.active.size
	}
	return bytes
}

func (s *store) overLimit() bool {
	return s.opts.RetainBytes > 0 && s.retained() > s.opts.RetainBytes
}

// removeOldest removes a segment, unless a destination needs it or it is the last
// that has any events: its name is what the next Open knows the numbers by.
func (s *store) removeOldest() bool {
	end, ok := s.oldestEnd()
	if !ok {
		return false
	}
	if _, held := s.destinations.holder(end); held {
		return false
	}
	oldest := s.sealed.segments[0]
	name := entry{oldest.first, extSealed}.path(s.dir)
	s.removed.Store(end)
	if err := s.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error("journal: old segment could not be removed", "file", name, "error", err)
		return false
	}
	s.sealed.segments = s.sealed.segments[1:]
	s.sealed.bytes -= oldest.size
	s.sealed.unflushed = true
	s.counters.removed.add(1)
	return true
}

// oldestEnd returns the highest number that the oldest sealed segment may hold,
// and false if none may be removed.
func (s *store) oldestEnd() (end uint64, ok bool) {
	switch {
	case len(s.sealed.segments) > 1:
		return s.sealed.segments[1].first - 1, true
	case len(s.sealed.segments) == 1 && s.active != nil && s.active.acked > 0:
		return s.active.first - 1, true
	}
	return 0, false
}

// flushRemovals makes removals survive a power cut. Nothing depends on it but the
// space.
func (s *store) flushRemovals() {
	if !s.sealed.unflushed {
		return
	}
	s.sealed.unflushed = false
	if err := s.fs.SyncDir(s.dir); err != nil {
		s.log.Warn("journal: removal of old segments was not flushed", "error", err)
	}
}

// checkRetention fails if there are more bytes than are to be retained, because a
// destination has not come far enough for any of them to go. One that has, and has
// only not noted it yet, is made to first.
func (s *store) checkRetention() error {
	for s.overLimit() {
		s.retain(time.Now())
		end, ok := s.oldestEnd()
		if !ok || !s.overLimit() {
			return nil
		}
		if !s.destinations.hasten(end) {
			return behindError(s.destinations, end)
		}
	}
	return nil
}

// behindError names a destination that holds the segment up to end, if one does.
func behindError(d *destinations, end uint64) error {
	name, held := d.holder(end)
	if !held {
		return nil
	}
	return inlet.RetryAfter(fmt.Errorf("%w: %s", ErrBehind, name), retryFailure)
}

// checkRetained is room for a reader from outside, who sees the figures of the last
// time that something was written.
func (j *Journal) checkRetained() error {
	if j.opts.RetainBytes == 0 || j.counters.retained.Load() <= j.opts.RetainBytes {
		return nil
	}
	return behindError(j.destinations, j.progress.now().last)
}
