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

// spoilSlice makes the slice point to other events.
func (l *loan) spoilSlice() {
	for i := range l.batch {
		l.batch[i] = sample(i)
	}
}

// spoilStructs makes other events of those that were lent.
func (l *loan) spoilStructs() {
	for i := range l.structs {
		l.structs[i] = *sample(i + 1)
		l.structs[i].MessageID = "overwritten"
	}
}

// spoilRaw overwrites the bytes of all raw fields: with an empty object as long
// as what was there, so that whoever kept it reads JSON.
func (l *loan) spoilRaw() {
	rest := l.memory
	for _, e := range l.want {
		for _, raw := range rawFields(e) {
			n := len(*raw)
			copy(rest, append(append([]byte("{"), bytes.Repeat([]byte(" "), max(0, n-2))...), '}')[:n])
			rest = rest[n:]
		}
	}
}

// spoil does all three, as it happens to whatever a handler has lent.
func (l *loan) spoil() {
	l.spoilSlice()
	l.spoilRaw()
	l.spoilStructs()
}

// difference says where two events differ but for white space, or returns "".
func difference(want, got *inlet.Event) string {
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
