package sinktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/inlet-go/inlet"
)

// A loan is a copy of events as a handler lends them: the raw JSON of all lies
// side by side in one array, and what comes behind a field is within its
// capacity.
type loan struct {
	batch []*inlet.Event

	structs []inlet.Event
	memory  []byte
	want    []*inlet.Event // copies that nobody else has
	before  []byte         // a copy of memory
}

func lend(events []*inlet.Event) *loan {
	l := &loan{
		batch:   make([]*inlet.Event, len(events)),
		structs: make([]inlet.Event, len(events)),
		want:    inlet.CloneEvents(events),
	}
	for _, e := range events {
		for _, raw := range rawFields(e) {
			l.before = append(l.before, *raw...)
		}
	}
	l.memory = slices.Clone(l.before)
	rest := l.memory
	for i, e := range events {
		l.structs[i] = *e
		source := *e.Source
		l.structs[i].Source = &source
		l.batch[i] = &l.structs[i]
		for _, raw := range rawFields(l.batch[i]) {
			if *raw != nil {
				*raw, rest = json.RawMessage(rest[:len(*raw)]), rest[len(*raw):]
			}
		}
	}
	return l
}

func rawFields(e *inlet.Event) [5]*json.RawMessage {
	return [...]*json.RawMessage{&e.Properties, &e.Traits, &e.Context, &e.Integrations, &e.Extra}
}

// changed says what the borrower has modified, if anything.
func (l *loan) changed() error {
	for i, want := range l.want {
		switch got := &l.structs[i]; {
		case l.batch[i] != got:
			return fmt.Errorf("the slice was changed at index %d", i)
		case !reflect.DeepEqual(got.Source, want.Source):
			return fmt.Errorf("the Source of the event at index %d was changed", i)
		case !got.Equal(want):
			return fmt.Errorf("the event at index %d was changed: %s", i, difference(want, got))
		}
	}
	if !bytes.Equal(l.memory, l.before) {
		return errors.New("the memory of the raw JSON was changed")
	}
	return nil
}

// mark stands in everything that the suite writes over what it has lent.
const mark = "overwritten"

// spoilSlice makes the slice point to other events.
func (l *loan) spoilSlice() {
	for i := range l.batch {
		l.batch[i] = l.other(i)
	}
}

// spoilStructs makes other events of those that were lent.
func (l *loan) spoilStructs() {
	for i := range l.structs {
		l.structs[i] = *l.other(i)
	}
}

// other returns what stands afterwards where the event at index i was lent.
func (l *loan) other(i int) *inlet.Event {
	e := sample(i + 1)
	e.MessageID = l.want[i].MessageID
	for _, text := range []*string{&e.MessageID, &e.Name, &e.UserID, &e.AnonymousID, &e.PreviousID, &e.GroupID, &e.Dialect} {
		*text += mark
	}
	return e
}

// spoilRaw overwrites the bytes of all raw fields.
func (l *loan) spoilRaw() {
	rest := l.memory
	for _, e := range l.want {
		for _, raw := range rawFields(e) {
			fillRaw(rest[:len(*raw)])
			rest = rest[len(*raw):]
		}
	}
}

// fillRaw makes of raw another object of the same length, so that whoever kept it
// reads JSON.
func fillRaw(raw []byte) {
	if len(raw) < len("{}") {
		return
	}
	object := `{"` + mark + `":1}`
	if len(raw) < len(object) {
		object = "{}"
	}
	for i := range raw {
		raw[i] = ' '
	}
	copy(raw, object[:len(object)-1])
	raw[len(raw)-1] = '}'
}

// reached reports whether e, which has been stored, holds what was written over a
// loan.
func reached(e *inlet.Event) bool { return bytes.Contains(e.AppendJSON(nil), []byte(mark)) }

// spoil does all three, as it happens to whatever a handler has lent.
func (l *loan) spoil() {
	l.spoilSlice()
	l.spoilRaw()
	l.spoilStructs()
}

// difference says where two events differ but for white space, or returns "".
func difference(want, got *inlet.Event) string {
	if want.Equal(got) {
		return ""
	}
	a, b := compact(want), compact(got)
	if bytes.Equal(a, b) {
		return ""
	}
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	return fmt.Sprintf("event %s differs at byte %d: want %s, got %s", want.MessageID, at, near(a, at), near(b, at))
}

// compact returns the canonical form of e without white space, or as it is if
// it is no JSON.
func compact(e *inlet.Event) []byte {
	line := e.AppendJSON(nil)
	var b bytes.Buffer
	if json.Compact(&b, line) != nil {
		return line
	}
	return b.Bytes()
}

// near quotes what stands around a byte of text.
func near(text []byte, at int) string {
	return fmt.Sprintf("%.60q", text[max(0, at-20):])
}
