package journal

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/inlet-go/inlet"
)

// A Start says where in the journal to begin. Its zero value is [FromOldest].
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

// FromOldest begins with the oldest event that the journal still has.
func FromOldest() Start { return Start{} }

// FromNow begins with the first event that is acknowledged from now on.
func FromNow() Start { return Start{kind: startNow} }

// FromSeq begins with the event of that sequence number, or the next that there
// is.
func FromSeq(seq uint64) Start { return Start{kind: startSeq, seq: seq} }

// FromTime begins with the first event that was received at that time or later,
// and with the first to come if there is none. Events stand in the order in which
// they were stored, so that some which were received just before may follow; if the
// clock was set back meanwhile, that is as far back as it was.
func FromTime(at time.Time) Start { return Start{kind: startTime, at: at} }

// resolve returns the number of the first event from s on.
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

// seqAt returns the number of the first event that was received at that time or
// later. It reads the first line of each segment, and one segment.
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

// findSegment moves t to the last segment of which the first event was received
// before that time.
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

// receivedBefore reports whether the event that t has come to was received
// before that time.
func receivedBefore(t *tail, at time.Time) bool {
	e := inlet.Event{Source: new(inlet.Source)}
	return t.identify(&e) && e.ReceivedAt.Before(at)
}
