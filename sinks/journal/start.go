package journal

import (
	"context"
	"errors"
	"io"
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
// that exists.
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
		return max(s.seq, j.removed.Load()+1), nil
	case startTime:
		return j.seqAt(ctx, s.at)
	}
	return j.removed.Load() + 1, nil
}

// seqAt returns the number of the first event that was received at the time or later. It
// reads the first line of each segment, and one segment as a whole.
func (j *Journal) seqAt(ctx context.Context, at time.Time) (uint64, error) {
	m := j.progress.now()
	t := tail{j: j, next: j.removed.Load() + 1}
	defer t.close()
	if err := j.findSegment(ctx, &t, m, at); err != nil {
		return 0, err
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
		case !receivedBefore(&t, at):
			return t.scan.seq, nil
		}
	}
}

// findSegment moves t to the last segment whose first event was received before the time.
func (j *Journal) findSegment(ctx context.Context, t *tail, m watermark, at time.Time) error {
	segments, err := listSegments(j.opts.fs, j.dir)
	if err != nil {
		return err
	}
	for _, e := range segments {
		if e.first <= t.next || e.first > m.last {
			continue
		}
		peek := tail{j: j, next: e.first}
		err := peek.advance(ctx, m)
		before := err == nil && receivedBefore(&peek, at)
		peek.close()
		if !before {
			return ctx.Err()
		}
		t.next = e.first
	}
	return nil
}

// receivedBefore reports whether the current event of t was received before the time.
func receivedBefore(t *tail, at time.Time) bool {
	e := inlet.Event{Source: new(inlet.Source)}
	return t.identify(&e) && e.ReceivedAt.Before(at)
}
