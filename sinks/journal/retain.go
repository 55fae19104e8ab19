package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/inlet-go/inlet"
)

// expiryInterval is how often the age of segments is checked, in addition to whenever one is
// sealed.
const expiryInterval = time.Minute

// sealedSegments are the sealed segments, the oldest first.
type sealedSegments struct {
	segments   []sealedSegment
	bytes      int64     // of all of them
	nextExpiry time.Time // when to check their age next
	unflushed  bool      // files were removed since the directory was last flushed
}

type sealedSegment struct {
	first  uint64
	size   int64
	sealed time.Time // when it was sealed, or else when its file says that it was last written to

	found    bool      // by Open: the time is that of the file, which may be anything
	received time.Time // of its last event; zero if that is not known
	read     bool      // received was looked for
}

// add adds the newest segment.
func (s *sealedSegments) add(g sealedSegment) {
	s.segments = append(s.segments, g)
	s.bytes += g.size
	s.nextExpiry = time.Time{}
}

// retain removes segments that exceed the limits and that no destination needs.
func (s *store) retain(now time.Time) {
	for s.overLimit() && s.removeOldest() {
	}
	if s.opts.RetainAge > 0 && !now.Before(s.sealed.nextExpiry) {
		s.sealed.nextExpiry = now.Add(expiryInterval)
		s.removeExpired(now)
	}
	s.flushRemovals()
	s.counters.retained.Store(s.retained())
}

// removeExpired removes the oldest segment if it is too old, and that one only: a clock that
// jumps ahead makes all of them seem old, and must not empty the directory immediately.
// Segments expire no faster than they are sealed, and each seal leads to a check.
func (s *store) removeExpired(now time.Time) {
	if len(s.sealed.segments) > 0 && now.Sub(s.oldestWritten(now)) >= s.opts.RetainAge {
		s.removeOldest()
	}
}

// oldestWritten returns when the oldest segment was last written to.
//
// The time of a file that Open has found may be wrong: the clock was, or somebody has touched or
// copied the file. It is not believed if it is after the present, after the time of a later
// segment, which was written to after this one, or before the time at which the last event of the
// segment was received. If no time of the segment can be believed, the time of a later segment is
// taken; without a later one that can be believed, the age of the segment counts from now on.
func (s *store) oldestWritten(now time.Time) time.Time {
	g := &s.sealed.segments[0]
	bound := s.laterWritten(now)
	believed := !g.sealed.After(bound)
	if !g.found || believed && now.Sub(g.sealed) < s.opts.RetainAge {
		return g.sealed
	}
	if !g.read {
		g.received, g.read = s.lastReceived(entry{g.first, extSealed}), true
	}
	plausible := !g.received.IsZero() && !g.received.After(now)
	switch {
	case believed && plausible && g.received.After(g.sealed), !believed && plausible:
		return g.received
	case believed:
		return g.sealed
	case bound.Equal(now):
		g.sealed = now
	}
	return bound
}

// laterWritten returns the earliest time of the segments after the oldest one, or the present
// if that is earlier.
func (s *store) laterWritten(now time.Time) time.Time {
	bound := now
	for _, g := range s.sealed.segments[1:] {
		if g.sealed.Before(bound) {
			bound = g.sealed
		}
	}
	if s.active != nil && s.active.opened.Before(bound) {
		bound = s.active.opened
	}
	return bound
}

// lastReceived returns when the last event of a segment was received, or zero if that cannot be
// read.
func (s *store) lastReceived(e entry) (at time.Time) {
	r := recovery{dir: s.dir, fs: s.fs}
	for _, tail := range []int64{maxTailBytes, math.MaxInt64} {
		_, err := r.scanFrom(e, receivedWriter{&at}, tail)
		if err != nil {
			s.log.Warn("journal: age of the oldest segment is that of its file, since it is unreadable", "file", e.name(), "error", err)
			return time.Time{}
		}
		if !at.IsZero() {
			break
		}
	}
	return at
}

// A receivedWriter is given lines, and notes when the event of the last one was received.
type receivedWriter struct{ at *time.Time }

func (w receivedWriter) Write(line []byte) (int, error) {
	e := inlet.Event{Source: new(inlet.Source)}
	if !identify(line, &e) {
		if parsed, err := parseLine(line); err == nil {
			e.ReceivedAt = parsed.ReceivedAt
		}
	}
	*w.at = e.ReceivedAt
	return len(line), nil
}

// retained returns the size of all segments, in bytes.
func (s *store) retained() int64 {
	bytes := s.sealed.bytes
	if s.active != nil {
		bytes += s.active.size
	}
	return bytes
}

// retainLimit returns how large the segments may be, in bytes: what dead letters and
// quarantine leave of the limit. 0 is no limit.
func (j *Journal) retainLimit() int64 {
	limit := j.opts.RetainBytes
	if j.opts.share != nil {
		limit = j.opts.share()
	}
	if limit == 0 {
		return 0
	}
	return max(limit-j.dead.bytes()-j.quarantined.Load(), 1)
}

func (s *store) overLimit() bool {
	limit := s.limit()
	return limit > 0 && s.retained() > limit
}

// removeOldest removes the oldest segment, unless a destination needs it or it is the last
// one with events: the next Open learns the sequence numbers from its name.
func (s *store) removeOldest() bool {
	end, ok := s.oldestEnd()
	if !ok {
		return false
	}
	if _, held := s.checkpoints.holder(end); held || s.owner.verify() != nil {
		return false
	}
	oldest := s.sealed.segments[0]
	name := entry{oldest.first, extSealed}.path(s.dir)
	s.removed.Store(end)
	if err := s.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error("journal: old segment not removed", "file", name, "error", err)
		return false
	}
	s.sealed.segments = s.sealed.segments[1:]
	s.sealed.bytes -= oldest.size
	s.sealed.unflushed = true
	s.counters.removed.add(1)
	return true
}

// oldestEnd returns the highest number that the oldest sealed segment may hold, and false
// if it must not be removed.
func (s *store) oldestEnd() (end uint64, ok bool) {
	switch {
	case len(s.sealed.segments) > 1:
		return s.sealed.segments[1].first - 1, true
	case len(s.sealed.segments) == 1 && s.active != nil && s.active.acked > 0:
		return s.active.first - 1, true
	}
	return 0, false
}

// flushRemovals makes removals durable. Only free space depends on that.
func (s *store) flushRemovals() {
	if !s.sealed.unflushed {
		return
	}
	s.sealed.unflushed = false
	if err := s.fs.SyncDir(s.dir); err != nil {
		s.log.Warn("journal: removal of old segments not flushed", "error", err)
	}
}

// checkRetention returns an error if the segments exceed RetainBytes because a destination
// still needs the oldest one. It first has cursors saved that are behind their positions:
// writers are never refused for those.
func (s *store) checkRetention() error {
	for s.overLimit() {
		s.retain(time.Now())
		end, ok := s.oldestEnd()
		if !ok || !s.overLimit() {
			return nil
		}
		if !s.checkpoints.flushCursors(end) {
			return behindError(s.checkpoints, end)
		}
	}
	return nil
}

// behindError returns an error that names the destination which needs the segment up to
// end, or nil if there is none.
func behindError(t *checkpoints, end uint64) error {
	name, held := t.holder(end)
	if !held {
		return nil
	}
	return inlet.RetryAfter(fmt.Errorf("%w: %s", ErrBehind, name), retryFailure)
}

// checkRetained is checkRetention for other goroutines than the committer's. It goes by the
// size of the last write.
func (j *Journal) checkRetained() error {
	if limit := j.retainLimit(); limit == 0 || j.counters.retained.Load() <= limit {
		return nil
	}
	return behindError(j.checkpoints, j.progress.now().last)
}
