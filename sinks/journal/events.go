package journal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/inlet-go/inlet"
)

// RecentIDs yields what identifies the events that were received within the last
// age, the oldest first and no more than the newest most of them, as
// [sinks.DedupeOptions].Stored takes them. MessageID, Source, ReceivedAt and
// Warnings are set, nothing else, and the event is lent until the next is asked for;
// its strings and its Source may be kept.
//
// A segment that cannot be read is logged and passed over: only the end of ctx is
// an error.
func (j *Journal) RecentIDs(ctx context.Context, age time.Duration, most int) iter.Seq2[*inlet.Event, error] {
	return func(yield func(*inlet.Event, error) bool) {
		t := tail{j: j}
		defer t.close()
		m, err := t.startRecent(ctx, age, most)
		e := &inlet.Event{Source: new(inlet.Source)}
		for err == nil {
			switch err = t.advance(ctx, m); {
			case err == nil && t.identify(e):
				if !yield(e, nil) {
					return
				}
			case errors.Is(err, io.EOF):
				return
			case err != nil && ctx.Err() == nil:
				j.opts.Logger.Error("journal: recent events cannot be read", "error", err)
				t.skipSegment()
				err = nil
			}
		}
		yield(nil, err)
	}
}

// startRecent moves t to the first event that is recent, and returns the mark up
// to which they are.
func (t *tail) startRecent(ctx context.Context, age time.Duration, most int) (watermark, error) {
	m := t.j.progress.now()
	from, err := t.j.seqAt(ctx, time.Now().Add(-age))
	if newest := uint64(max(most, 0)); m.last > newest {
		from = max(from, m.last-newest+1)
	}
	t.next = from
	return m, err
}

// identify reads the identity of the event that t has come to.
func (t *tail) identify(e *inlet.Event) bool {
	if identify(t.scan.line, e) {
		return true
	}
	r, err := t.record(nil)
	if err != nil {
		return false
	}
	e.MessageID, e.Source, e.ReceivedAt, e.Warnings = r.Event.MessageID, r.Event.Source, r.Event.ReceivedAt, r.Event.Warnings
	return true
}

// identify reads the identity of an event from the beginning of its line, where
// the canonical form has it, and passes over all else. It reports false for a line
// that is to be parsed as a whole: one with escapes in an id, or with warnings.
func identify(line []byte, e *inlet.Event) bool {
	e.MessageID, e.ReceivedAt, e.Warnings = "", time.Time{}, 0
	for at := 1; ; at++ {
		name, value, end := stringMember(line, at)
		if end == 0 {
			return e.MessageID != "" && !bytes.HasPrefix(line[min(at, len(line)):], []byte(`"warnings"`))
		}
		if !setIdentity(e, name, value) {
			return false
		}
		at = end
	}
}

// setIdentity sets the field that a member is for, if it is for one.
func setIdentity(e *inlet.Event, name, value []byte) bool {
	switch string(name) {
	case "messageId":
		e.MessageID = string(value)
	case "sourceId":
		if e.Source.ID != string(value) {
			e.Source = &inlet.Source{ID: string(value)}
		}
	case "receivedAt":
		return e.ReceivedAt.UnmarshalText(value) == nil
	default:
		return true
	}
	return bytes.IndexByte(value, '\\') < 0
}

// stringMember reads the member at an offset of a line, if its value is a string,
// and returns the offset after it; else 0.
func stringMember(line []byte, at int) (name, value []byte, end int) {
	name, at = quoted(line, at)
	if at == 0 || at == len(line) || line[at] != ':' {
		return nil, nil, 0
	}
	value, end = quoted(line, at+1)
	return name, value, end
}

// quoted returns what stands between the quotes of the string at an offset, and
// the offset after it; 0 if there is no string.
func quoted(line []byte, at int) (text []byte, end int) {
	if at >= len(line) || line[at] != '"' {
		return nil, 0
	}
	for end = at + 1; end < len(line) && line[end] != '"'; end++ {
		if line[end] == '\\' {
			end++
		}
	}
	if end >= len(line) {
		return nil, 0
	}
	return line[at+1 : end], end + 1
}

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
				t.skipSegment()
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
