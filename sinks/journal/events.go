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

// A Record is an event as the journal holds it.
type Record struct {
	// Seq is the event's sequence number. It is higher than that of every event that was
	// acknowledged before this one was written.
	Seq uint64
	// Event belongs to the consumer. Of its Source only the ID is known.
	Event *inlet.Event
}

// Events yields the events that were acknowledged before the call and whose sequence number
// is from or higher, in order. To continue later, pass the last Seq + 1.
//
// Damaged lines are skipped and counted in [Stats]. Events of failed writes may be included,
// since it is unknown what a failing disk has stored. An error, such as that of a deleted
// file, is yielded with a zero Record; if the consumer continues, the events follow that can
// be read, unless ctx is done. Events may be called concurrently with all other methods, and
// after Close.
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

// record returns the current record of t, or the error of the advance to it.
func (t *tail) record(err error) (Record, error) {
	if err != nil {
		return Record{}, err
	}
	event, err := parseLine(t.scan.line)
	return Record{t.scan.seq, event}, err
}

// RecentIDs yields the identities of the events that were received within the last age, the
// oldest first and at most the newest maxIDs of them, for [sinks.DedupeOptions].Stored. Only
// MessageID, Source, ReceivedAt and Warnings are set. The event is valid until the next one
// is yielded; its strings and its Source may be kept.
//
// It finds the first of them by a binary search. Where the clock was set back, it may begin
// later, but not after events that were received after that.
//
// Segments that cannot be read are logged and skipped. The only error it yields is that of
// ctx.
func (j *Journal) RecentIDs(ctx context.Context, age time.Duration, maxIDs int) iter.Seq2[*inlet.Event, error] {
	return func(yield func(*inlet.Event, error) bool) {
		t := tail{j: j}
		defer t.close()
		m, err := t.startRecent(ctx, age, maxIDs)
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
				j.opts.Logger.Error("journal: segment unreadable; its recent ids are unknown", "error", err)
				t.skipSegment()
				err = nil
			}
		}
		yield(nil, err)
	}
}

// startRecent moves t to the first recent event, and returns the watermark at which they end.
func (t *tail) startRecent(ctx context.Context, age time.Duration, maxIDs int) (watermark, error) {
	m := t.j.progress.now()
	from, err := t.j.recentAt(ctx, time.Now().Add(-age))
	if newest := uint64(max(maxIDs, 0)); m.last > newest {
		from = max(from, m.last-newest+1)
	}
	t.next = from
	return m, err
}

// identify reads the identity of the current event of t.
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

// identify reads the identity of an event from the beginning of its line, where the canonical
// form has it, and ignores the rest. It returns false for a line that has to be parsed as a
// whole: one with escapes in an id, or with warnings.
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

// setIdentity sets the field of the event for a member, if there is one. It returns false if
// the value has to be parsed.
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

// stringMember reads the member at an offset of a line and returns the offset after it, or 0
// if its value is not a string.
func stringMember(line []byte, at int) (name, value []byte, end int) {
	name, at = quoted(line, at)
	if at == 0 || at == len(line) || line[at] != ':' {
		return nil, nil, 0
	}
	value, end = quoted(line, at+1)
	return name, value, end
}

// quoted returns the text between the quotes of the string at an offset, and the offset after
// it, or 0 if there is no string.
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
