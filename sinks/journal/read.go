package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"github.com/inlet-go/inlet"
)

// A Record is an event as the journal holds it.
type Record struct {
	// Seq is the event's sequence number: higher than that of every event that
	// was acknowledged before it was written.
	Seq uint64
	// Event is the consumer's own. Of its Source only the ID is known.
	Event *inlet.Event
}

// Events yields what was acknowledged before the call and has that sequence
// number or a higher one, in order; from 0 everything. To go on later, begin
// with the last Seq + 1.
//
// Damaged lines are passed over and counted in [Stats]. An event of a write that
// failed may be among those it yields, since what a failing disk holds cannot be
// known. An error, such as of a file that somebody deleted, is yielded without an
// event, and what can be read follows if the consumer goes on; after the end of
// ctx nothing does. Events works beside everything else, and after Close.
func (j *Journal) Events(ctx context.Context, from uint64) iter.Seq2[Record, error] {
	r := reader{j: j, from: from, to: j.counters.lastSeq.Load()}
	return func(yield func(Record, error) bool) {
		segments, err := listSegments(j.opts.fs, j.dir)
		if err != nil {
			yield(Record{}, fmt.Errorf("journal: %w", err))
			return
		}
		for i, e := range segments {
			if i+1 < len(segments) && segments[i+1].first <= from || e.first > r.to {
				continue
			}
			if !r.file(ctx, e, yield) {
				return
			}
		}
	}
}

// A reader yields the events whose numbers lie in a range, both ends included.
type reader struct {
	j        *Journal
	from, to uint64
}

// file yields the events of a segment and reports whether to go on.
func (r *reader) file(ctx context.Context, e entry, yield func(Record, error) bool) bool {
	f, err := r.open(e)
	if err != nil {
		return yield(Record{}, fmt.Errorf("journal: %w", err))
	}
	defer f.Close()
	for s := newScanner(f, e.first); ; {
		switch err := r.advance(ctx, s); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			return yield(Record{}, fmt.Errorf("journal: %s: %w", e.name(), err)) && ctx.Err() == nil
		}
		event, err := parseLine(s.line)
		if !yield(Record{s.seq, event}, err) {
			return false
		}
	}
}

// open opens a segment, under the name that it has got since it was listed.
func (r *reader) open(e entry) (f io.ReadCloser, err error) {
	for _, ext := range []string{e.ext, extSealed, extSuspect} {
		f, err = r.j.opts.fs.Open(entry{e.first, ext}.path(r.j.dir))
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, err
}

// advance moves s to the next good line in the range. It returns io.EOF after
// the last, and reads nothing beyond it: that may be half written.
func (r *reader) advance(ctx context.Context, s *scanner) error {
	for ctx.Err() == nil {
		if s.last >= r.to {
			return io.EOF
		}
		if err := s.next(); err != nil {
			return err
		}
		if !s.good {
			r.j.counters.damaged.add(1)
		} else if s.seq >= r.from && s.seq <= r.to {
			return nil
		}
	}
	return context.Cause(ctx)
}
