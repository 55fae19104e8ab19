package sinks

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/refusal"
)

// refusedMember is the member of Extra that makes an event a letter: it holds the
// [Refusal].
const refusedMember = "_refused"

// A Refusal is the reason why an event has become a letter: of a sink, or of a handler with
// [inlet.Options].Rejects. In the letter it is the JSON object in the member "_refused" of Extra.
type Refusal struct {
	// Error is the text of the sink's error, or the message of the handler's refusal, as valid
	// UTF-8 of at most 1 KiB.
	Error string `json:"error"`
	// At is when the letter was made, in UTC.
	At time.Time `json:"at"`
	// By is the name of the [DeadLetter], "" if it has none, or "handler".
	By string `json:"by,omitempty"`
	// Code and Field are those of the [inlet.Problem], or "" if the reason is another error.
	Code  inlet.Code `json:"code,omitempty"`
	Field string     `json:"field,omitempty"`
	// Received is what a client sent, where a handler could not make an event of it, of at most
	// 1 MiB; otherwise "". It has been through no enricher.
	Received string `json:"received,omitempty"`
}

// RefusalOf returns why e was refused, and false if e is not a letter.
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

// WithoutRefusal returns a clone of e without the reason of its refusal: for a letter, the
// event that was refused, to be sent again.
func WithoutRefusal(e *inlet.Event) *inlet.Event {
	plain := e.Clone()
	plain.Extra = closeObject(withoutMember(e.Extra, refusedMember))
	return plain
}

// newLetter returns the letter of e. It shares the memory of e except Extra.
func newLetter(e *inlet.Event, reason error, at time.Time, by string) *inlet.Event {
	r := refusal.Refusal{Error: reason.Error(), At: at, By: by}
	if p, ok := errors.AsType[*inlet.Problem](reason); ok {
		r.Code, r.Field = string(p.Code), p.Field
	}
	letter := *e
	open := withoutMember(e.Extra, refusedMember)
	letter.Extra = closeObject(addMember(open, append([]byte(`"`+refusedMember+`":`), r.JSON()...)))
	return &letter
}

// An extraMember is a member of Extra: its name, its whole text, and the part of that
// which is its value.
type extraMember struct {
	name        string
	text, value []byte
}

// extraMembers yields the members of a JSON object, none for nil. The object must be
// valid, as it is in every event that reaches a sink.
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

// withoutMember returns object without the member with that name and without its closing
// brace; the bytes of the other members stay the same. It returns nil if there are none.
func withoutMember(object json.RawMessage, name string) (open []byte) {
	for m := range extraMembers(object) {
		if m.name != name {
			open = addMember(open, m.text)
		}
	}
	return open
}

// addMember adds a member to an object that has no closing brace yet, or to nil.
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
