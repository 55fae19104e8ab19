package journal

import (
	"context"
	"errors"
	"io"
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
	m := j.progress.now()
	return func(yield func(Record, error) bool) {
		t := tail{j: j, next: from}
		defer t.close()
		for {
			err := t.advance(ctx, m)
			if errors.Is(err, io.EOF) || !yield(t.record(err)) || err != nil && ctx.Err() != nil {
				return
			}
			if err != nil {
				t.skip()
			}
		}
	}
}

// record returns the record that t has come to, unless err says why it has not.
func (t *tail) record(err error) (Record, error) {
	if err != nil {
		return Record{}, err
	}
	event, err := parseLine(t.scan.line)
	return Record{t.scan.seq, event}, err
}
