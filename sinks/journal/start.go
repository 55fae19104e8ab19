package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sort"
	"time"

	"github.com/inlet-go/inlet"
)

// A Start is a position in the journal at which a delivery or a replay begins. The zero value
// is [FromOldest].
type Start struct {
	kind startKind
	seq  uint64
	at   time.Time
}

type startKind int

const (
	startOldest startKind = iota
	startNow
	startSeq
	startTime
)

// FromOldest returns the position of the oldest event that the journal still has.
func FromOldest() Start { return Start{} }

// FromNow returns the position after the newest event that is acknowledged when the delivery
// or the replay starts.
func FromNow() Start { return Start{kind: startNow} }

// FromSeq returns the position of the event with the sequence number, or of the next event
// that exists. A delivery or a replay refuses a number above 5,000,000,000,000,000.
func FromSeq(seq uint64) Start { return Start{kind: startSeq, seq: seq} }

// FromTime returns the position of the first event that was received at the time or later,
// or of the next one to come if there is none. Events are in the order in which they were
// stored, so some that follow may have been received shortly before the time; a clock that
// was set back makes that range longer by the same time.
func FromTime(at time.Time) Start { return Start{kind: startTime, at: at} }

// resolve returns the sequence number at which s begins.
func (j *Journal) resolve(ctx context.Context, s Start) (uint64, error) {
	switch s.kind {
	case startNow:
		return j.progress.now().last + 1, nil
	case startSeq:
		if s.seq > max(maxFirst, j.progress.now().last) {
			return 0, fmt.Errorf("start: %w: %d", errNumberTooHigh, s.seq)
		}
		return max(s.seq, j.removed.Load()+1), nil
	case startTime:
		return j.seqAt(ctx, s.at)
	}
	return j.removed.Load() + 1, nil
}

// seqAt returns the number of the first event that was received at the time or later. It
// reads the first line of each segment, up to the first that was received at the time or later,
// and one segment as a whole.
func (j *Journal) seqAt(ctx context.Context, at time.Time) (uint64, error) {
	m := j.progress.now()
	segments, err := j.segmentsWithin(m)
	if err != nil {
		return 0, err
	}
	t := tail{j: j}
	defer t.close()
	n := 0
	for n < len(segments) && t.beginsBefore(ctx, m, segments[n], at) {
		n++
	}
	return t.firstAt(ctx, m, segments[:n], at)
}

// recentAt is seqAt for a time in the recent past. It takes for granted that events are in the
// order in which they were received, so it reads the first lines of a few segments only.
func (j *Journal) recentAt(ctx context.Context, at time.Time) (uint64, error) {
	m := j.progress.now()
	segments, err := j.segmentsWithin(m)
	if err != nil {
		return 0, err
	}
	t := tail{j: j}
	defer t.close()
	n := sort.Search(len(segments), func(i int) bool { return !t.beginsBefore(ctx, m, segments[i], at) })
	return t.firstAt(ctx, m, segments[:n], at)
}

// segmentsWithin returns the segments within the watermark.
func (j *Journal) segmentsWithin(m watermark) ([]entry, error) {
	known := j.listing.known()
	if !known.covers(m) {
		var err error
		if known, err = j.listing.refresh(known, m); err != nil {
			return nil, err
		}
	}
	end := sort.Search(len(known.segments), func(i int) bool { return known.segments[i].first > m.last })
	return known.segments[:end], nil
}

// beginsBefore reports whether the first event of a segment was received before the time. If
// there is none that can be read, the next segment is looked at.
func (t *tail) beginsBefore(ctx context.Context, m watermark, e entry, at time.Time) bool {
	t.close()
	t.next, t.after = e.first, e.first
	return t.advance(ctx, m) == nil && receivedBefore(t, at)
}

// firstAt returns the number of the first event that was received at the time or later, where
// the segments are those that begin before the time: it is in the last of them, or follows.
func (t *tail) firstAt(ctx context.Context, m watermark, segments []entry, at time.Time) (uint64, error) {
	t.close()
	t.next, t.after = t.j.removed.Load()+1, 0
	if len(segments) > 0 {
		t.next = max(t.next, segments[len(segments)-1].first)
	}
	for {
		err := t.advance(ctx, m)
		switch {
		case errors.Is(err, io.EOF):
			return m.last + 1, nil
		case err != nil && ctx.Err() != nil:
			return 0, err
		case err != nil:
			t.skipSegment()
		case !receivedBefore(t, at):
			return t.scan.seq, nil
		}
	}
}

// receivedBefore reports whether the current event of t was received before the time.
func receivedBefore(t *tail, at time.Time) bool {
	e := inlet.Event{Source: new(inlet.Source)}
	return t.identify(&e) && e.ReceivedAt.Before(at)
}
