package journal

import (
	"sort"
	"sync"

	"github.com/inlet-go/inlet/sinks/journal/internal/osfs"
)

// A listing is what the readers of a journal know of its directory. They share it, and may use
// it concurrently.
type listing struct {
	fs  osfs.FS
	dir string

	mu     sync.Mutex
	latest *segmentList
}

func newListing(fsys osfs.FS, dir string) *listing {
	return &listing{fs: fsys, dir: dir, latest: new(segmentList)}
}

// A segmentList is the segments at the time of a listing, in the order of their events. It is
// complete up to a number: segments that were started later may be missing, and the others may
// have been renamed or removed since. It is never changed.
type segmentList struct {
	segments []entry
	upTo     uint64
}

// known returns the latest list.
func (l *listing) known() *segmentList {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latest
}

// refresh returns a newer list than the given one, which is complete up to the watermark: the
// latest if somebody else has listed the directory since and that is enough, else a new one.
func (l *listing) refresh(old *segmentList, m watermark) (*segmentList, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.latest != old && l.latest.covers(m) {
		return l.latest, nil
	}
	segments, err := l.list(m)
	if err != nil {
		return nil, err
	}
	end := sort.Search(len(segments), func(i int) bool { return segments[i].first > m.segment })
	l.latest = &segmentList{segments[:end], m.newest()}
	return l.latest, nil
}

// list lists the segments. A large directory is read in pieces, so a name that changes
// meanwhile may be missing, under its old name and its new one. Up to the watermark only the
// watermark's own segment can be renamed, once, when it is sealed: if it is missing, a second
// listing has it.
func (l *listing) list(m watermark) ([]entry, error) {
	segments, err := listSegments(l.fs, l.dir)
	if err != nil || m.segment > m.last || hasSegment(segments, m.segment) {
		return segments, err
	}
	return listSegments(l.fs, l.dir)
}

// hasSegment reports whether a segment begins with the number.
func hasSegment(segments []entry, first uint64) bool {
	i := sort.Search(len(segments), func(i int) bool { return segments[i].first >= first })
	return i < len(segments) && segments[i].first == first
}

// covers reports whether the list has all segments within the watermark.
func (s *segmentList) covers(m watermark) bool { return s.upTo >= m.newest() }

// pick returns the first segment that begins with the number after or later, and may have the
// number next or a later one. It returns false if there is none within the watermark, or if
// there may be one that is not in the list.
func (s *segmentList) pick(after, next uint64, m watermark) (entry, bool) {
	i := sort.Search(len(s.segments), func(i int) bool { return s.segments[i].first >= after })
	j := sort.Search(len(s.segments), func(i int) bool { return s.segments[i].first > next })
	i = max(i, j-1) // the one before j ends with next at the earliest
	switch {
	case i >= len(s.segments), i == len(s.segments)-1 && !s.covers(m):
		return entry{}, false
	}
	return s.segments[i], s.segments[i].first <= m.last
}
