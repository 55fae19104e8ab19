package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/canonical"
	"github.com/inlet-go/inlet/internal/verified"
	"github.com/inlet-go/inlet/internal/wire"
)

// What cannot be read back is not stored.
//
// A line is read strictly: its raw fields must be valid JSON without duplicate names and without
// invalid text, and the members of Extra must not have names of other fields. A handler has made
// sure of that, for the events that it decoded. But a decorator or the host's own code may have
// set a field to anything. So each raw field is read before its line is written, unless it still
// is the memory that the handler has read (package verified). Texts need no check, since they are
// quoted when they are written.
//
// That pass is fast, and is sure about what it accepts. What it does not accept is encoded and
// read as a reader would, which decides.

// A checker checks the events of a Write. It is not safe for concurrent use.
type checker struct {
	doc   wire.Document
	large bool // it has read a raw field of more than maxKept bytes
}

var rawNames = [...]string{"properties", "traits", "context", "integrations", "extra"}

const extraField = len(rawNames) - 1 // the index of Extra in rawFields

func rawFields(e *inlet.Event) verified.Raw {
	return verified.Raw{e.Properties, e.Traits, e.Context, e.Integrations, e.Extra}
}

// refusal returns why an event could not be read back, or nil. The marks are those of the raw
// fields that were read by the handler, nil if none are known.
func (c *checker) refusal(e *inlet.Event, marks *verified.Marks) *inlet.Problem {
	doubtful := ""
	for i, raw := range rawFields(e) {
		if len(raw) == 0 || marks != nil && marks.At(i, raw) || c.surely(i, e.Type, raw) {
			continue
		}
		if !encodable(i, raw) {
			return unreadable(rawNames[i])
		}
		doubtful = rawNames[i]
	}
	if name := inexpressible(e); name != "" {
		doubtful = name
	}
	if doubtful == "" {
		return nil
	}
	line, _ := appendLine(nil, e)
	if _, err := parseLine(line); err != nil {
		return unreadable(doubtful)
	}
	return nil
}

func unreadable(field string) *inlet.Problem {
	return &inlet.Problem{Code: inlet.CodeInvalidEvent, Message: "the value cannot be stored so that it can be read again", Field: field}
}

// checkedDepth is how many levels a raw field that is surely readable may have. A reader accepts
// a few more.
const checkedDepth = 9_000

// surely reports whether the i-th raw field of an event certainly can be read back.
func (c *checker) surely(i int, t inlet.Type, raw json.RawMessage) bool {
	c.large = c.large || len(raw) > maxKept
	if err := c.doc.Read(raw, "", wire.Limits{Depth: checkedDepth}); err != nil || c.doc.Repaired() {
		return false
	}
	if i != extraField {
		return true
	}
	for k := range c.doc.Root().Len() {
		if collides(wire.Text(c.doc.Root().Name(k)), t) {
			return false
		}
	}
	return true
}

// collides reports whether a member of Extra has the name of another field. Those that the
// journal adds are left out when the event is encoded.
func collides(name string, t inlet.Type) bool {
	return canonical.IsField(name, string(t)) && canonical.KindOf(name) != canonical.KindRecord
}

// encodable reports whether the i-th raw field of an event can be encoded: it is valid JSON, and
// Extra is an object.
func encodable(i int, raw json.RawMessage) bool {
	if i == extraField && !bytes.HasPrefix(wire.Trim(raw), []byte{'{'}) {
		return false
	}
	members, err := wire.Members(append(append([]byte(`{"":`), raw...), '}'))
	return err == nil && len(members) == 1
}

// The times that the canonical form can express.
var (
	minSecond = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	maxSecond = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).Unix() - 1
)

// inexpressible returns the name of a time that the canonical form cannot express, or "".
func inexpressible(e *inlet.Event) string {
	for i, t := range [...]*time.Time{&e.Timestamp, &e.OriginalTimestamp, &e.SentAt, &e.ReceivedAt} {
		if s := t.Unix(); s < minSecond || s > maxSecond {
			return [...]string{canonical.Timestamp, canonical.OriginalTimestamp, canonical.SentAt, canonical.ReceivedAt}[i]
		}
	}
	return ""
}

// maxKept is the length of the raw fields that a checker may have read to be used again.
const maxKept = 64 << 10

// encode writes the lines of the events that can be read back to r. It returns an error for
// each of the others.
func (j *Journal) encode(ctx context.Context, r *writeRequest, events []*inlet.Event) (refused []inlet.ItemError) {
	known := verified.Read(ctx)
	defer known.Close()
	check := j.checkers.Get().(*checker)
	r.reset()
	for i, e := range events {
		if p := check.refusal(e, known.Find(&e.Properties)); p != nil {
			err := fmt.Errorf("journal: event refused, since it could not be read back: %w", p)
			refused = append(refused, inlet.ItemError{Index: i, Err: inlet.Permanent(err)})
			j.countRefused(e, p)
			continue
		}
		r.addLine(e)
	}
	check.doc.Reset()
	if !check.large {
		j.checkers.Put(check)
	}
	return refused
}

// countRefused counts an event that could not be read back, and logs it as far as sampled
// permits.
func (j *Journal) countRefused(e *inlet.Event, p *inlet.Problem) {
	j.counters.refused.add(1)
	if unlogged, ok := j.refusals.next(time.Now()); ok {
		j.opts.Logger.Error("journal: event refused, since it could not be read back",
			"messageId", e.MessageID, "source", sourceID(e), "field", p.Field, "unlogged", unlogged)
	}
}

func sourceID(e *inlet.Event) string {
	if e.Source == nil {
		return ""
	}
	return e.Source.ID
}
