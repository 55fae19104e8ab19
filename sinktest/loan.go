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

// A loan is a copy of events as a handler lends them: the raw JSON of all is contiguous in
// one array, and the bytes behind a field are within its capacity.
type loan struct {
	batch []*inlet.Event

	structs []inlet.Event
	memory  []byte
	want    []*inlet.Event // the original events, which no sink gets
	before  []byte         // a copy of memory
}

// lend copies events, which must not change any more.
func lend(events []*inlet.Event) *loan {
	size := 0
	for _, e := range events {
		for _, raw := range rawFields(e) {
			size += len(*raw)
		}
	}
	l := &loan{
		batch:   make([]*inlet.Event, len(events)),
		structs: make([]inlet.Event, len(events)),
		want:    slices.Clone(events),
		before:  make([]byte, 0, size),
	}
	for _, e := range events {
		for _, raw := range rawFields(e) {
			l.before = append(l.before, *raw...)
		}
	}
	l.memory = slices.Clone(l.before)
	sources := make([]inlet.Source, len(events))
	rest := l.memory
	for i, e := range events {
		l.structs[i], sources[i] = *e, *e.Source
		l.structs[i].Source = &sources[i]
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

// changed returns an error if the sink has modified what it was lent.
func (l *loan) changed() error {
	for i, want := range l.want {
		switch got := &l.structs[i]; {
		case l.batch[i] != got:
			return fmt.Errorf("the slice was modified at index %d", i)
		case !reflect.DeepEqual(got.Source, want.Source):
			return fmt.Errorf("the Source of the event at index %d was modified", i)
		case !got.Equal(want):
			return fmt.Errorf("the event at index %d was modified: %s", i, difference(want, got))
		}
	}
	if !bytes.Equal(l.memory, l.before) {
		return errors.New("the memory of the raw JSON was modified")
	}
	return nil
}

// mark is in everything that the suite writes over lent memory.
const mark = "overwritten"

// spoilSlice makes the slice point to other events.
func (l *loan) spoilSlice() {
	for i := range l.batch {
		l.batch[i] = l.other(i)
	}
}

// spoilStructs turns the lent events into other ones.
func (l *loan) spoilStructs() {
	for i := range l.structs {
		l.structs[i] = *l.other(i)
	}
}

// other returns the event that replaces the lent event at index i.
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
			overwriteRaw(rest[:len(*raw)])
			rest = rest[len(*raw):]
		}
	}
}

// overwriteRaw replaces raw by another object of the same length, so that a sink which kept
// it still reads JSON.
func overwriteRaw(raw []byte) {
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

// reached reports whether the stored event e has content that was written over a loan.
func reached(e *inlet.Event) bool { return bytes.Contains(e.AppendJSON(nil), []byte(mark)) }

// spoil does all three, as a handler that reuses its memory.
func (l *loan) spoil() {
	l.spoilSlice()
	l.spoilRaw()
	l.spoilStructs()
}

// difference returns where two events differ except for white space, or "".
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

// compact returns the canonical form of e without white space, or unchanged if it is not
// JSON.
func compact(e *inlet.Event) []byte {
	line := e.AppendJSON(nil)
	var b bytes.Buffer
	if json.Compact(&b, line) != nil {
		return line
	}
	return b.Bytes()
}

// near quotes the text around a byte.
func near(text []byte, at int) string {
	return fmt.Sprintf("%.60q", text[max(0, at-20):])
}
