package sinks

import (
	"bytes"
	"encoding/json"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/inlet-go/inlet"
)

// refusedMember is what makes a letter of an event: the member of Extra that
// holds the [Refusal].
const refusedMember = "_refused"

// A Refusal says why an event has become a letter. In the letter it is the JSON
// object in the member "_refused" of Extra.
type Refusal struct {
	// Error is the text of the sink's error, as valid UTF-8 of 1 KiB at most.
	Error string `json:"error"`
	// At is when the event was put aside, in UTC.
	At time.Time `json:"at"`
	// By is the name of the [DeadLetter], "" if it has none.
	By string `json:"by,omitempty"`
}

// RefusalOf returns why e is a letter, and false if it is none.
func RefusalOf(e *inlet.Event) (Refusal, bool) {
	for m := range extraMembers(e.Extra) {
		if m.name != refusedMember {
			continue
		}
		var r Refusal
		if err := json.Unmarshal(m.value, &r); err != nil || r.At.IsZero() {
			break // a client's own member of that name
		}
		return r, true
	}
	return Refusal{}, false
}

// WithoutRefusal returns a clone of e without the reason of its refusal: of a
// letter, the event that was refused, to be sent again.
func WithoutRefusal(e *inlet.Event) *inlet.Event {
	plain := e.Clone()
	plain.Extra = closeObject(withoutMember(e.Extra, refusedMember))
	return plain
}

// newLetter returns the letter of e. It shares all of e's memory but for Extra.
func newLetter(e *inlet.Event, r Refusal) *inlet.Event {
	value, err := json.Marshal(r)
	if err != nil { // a clock beyond the year 9999
		value = []byte("null")
	}
	letter := *e
	open := withoutMember(e.Extra, refusedMember)
	letter.Extra = closeObject(addMember(open, append([]byte(`"`+refusedMember+`":`), value...)))
	return &letter
}

// maxReason is the most bytes of an error's text that a letter holds.
const maxReason = 1 << 10

// clipReason returns text as valid UTF-8, cut to maxReason.
func clipReason(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= maxReason {
		return text
	}
	const mark = "…"
	end := maxReason - len(mark)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}

// An extraMember is a member of Extra: its name, all of its text, and of that
// the value.
type extraMember struct {
	name        string
	text, value []byte
}

// extraMembers yields the members of a JSON object, of nothing if it is nil. As
// for every event in a sink, it must be valid.
func extraMembers(object json.RawMessage) iter.Seq[extraMember] {
	return func(yield func(extraMember) bool) {
		d := json.NewDecoder(bytes.NewReader(object))
		if _, err := d.Token(); err != nil {
			return
		}
		for end := d.InputOffset(); d.More(); end = d.InputOffset() {
			m, err := nextMember(d)
			m.text = bytes.TrimLeft(object[end:d.InputOffset()], ", \t\r\n")
			if err != nil || !yield(m) {
				return
			}
		}
	}
}

func nextMember(d *json.Decoder) (m extraMember, err error) {
	name, err := d.Token()
	if err == nil {
		m.name, _ = name.(string)
		err = d.Decode((*json.RawMessage)(&m.value))
	}
	return m, err
}

// withoutMember returns object without the member of that name, and without its
// closing brace; the others are as they were, to the byte. It is nil if there
// are no others.
func withoutMember(object json.RawMessage, name string) (open []byte) {
	for m := range extraMembers(object) {
		if m.name != name {
			open = addMember(open, m.text)
		}
	}
	return open
}

// addMember adds a member to an object that has no closing brace yet.
func addMember(open, member []byte) []byte {
	if open == nil {
		return append([]byte{'{'}, member...)
	}
	return append(append(open, ','), member...)
}

func closeObject(open []byte) json.RawMessage {
	if open == nil {
		return nil
	}
	return append(open, '}')
}
