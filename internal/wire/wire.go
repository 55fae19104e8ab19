// Package wire reads and writes JSON as bytes. It is the only door to the JSON
// library, whose API still moves: what the rest of the module knows of JSON is
// raw bytes and the functions here.
package wire

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A Member is a name and its value in an object, as slices of the text that it
// was read from.
type Member struct {
	// RawName is the name as it stands there, quoted.
	RawName []byte
	// Value is the value, without white space around it.
	Value []byte
}

// Name returns the unquoted name: a slice of the text, if it has no escapes.
func (m Member) Name() []byte {
	if inner, ok := Plain(m.RawName); ok {
		return inner
	}
	return AppendText(nil, m.RawName)
}

// Text returns what a JSON string says, and "" for a value that is no string.
func Text(raw []byte) string {
	if Kind(raw) != '"' {
		return ""
	}
	if inner, ok := Plain(raw); ok && utf8.Valid(inner) {
		return string(inner)
	}
	text, _ := jsontext.AppendUnquote(nil, raw) // invalid UTF-8 is replaced
	return string(text)
}

// Kind returns the first byte of a value, 0 for an empty one. It tells the
// kinds apart: one of n t f " { [ or else that of a number.
func Kind(raw []byte) byte {
	if len(raw) == 0 {
		return 0
	}
	return raw[0]
}

// Members reads a JSON object, strictly: with names that differ, valid text and
// nothing behind it.
func Members(object []byte) ([]Member, error) {
	r := readers.Get().(*reader)
	defer readers.Put(r)
	r.text = *bytes.NewBuffer(object)
	r.dec.Reset(&r.text)
	members, err := r.dec.members(object)
	r.text = bytes.Buffer{}
	return members, err
}

// A reader is a decoder and the text that it reads, kept for reuse.
type reader struct {
	text bytes.Buffer
	dec  decoder
}

type decoder struct{ jsontext.Decoder }

var readers = sync.Pool{New: func() any { return new(reader) }}

func (dec *decoder) members(object []byte) ([]Member, error) {
	if dec.PeekKind() != jsontext.KindBeginObject {
		return nil, errors.New("not a JSON object")
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	members := make([]Member, 0, 16)
	for dec.PeekKind() != jsontext.KindEndObject {
		name, err := dec.value(object)
		if err != nil {
			return nil, err
		}
		value, err := dec.value(object)
		if err != nil {
			return nil, err
		}
		members = append(members, Member{name, value})
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := dec.ReadToken(); err != io.EOF {
		return nil, errors.New("text after the JSON object")
	}
	return members, nil
}

// value reads the next value as a slice of src, the text that dec reads
// from a [bytes.Buffer]. The slice rests on the documented offset: what the
// decoder returns itself is only good until its next call.
func (dec *decoder) value(src []byte) ([]byte, error) {
	value, err := dec.ReadValue()
	if err != nil {
		return nil, err
	}
	end := int(dec.InputOffset())
	return src[end-len(value) : end : end], nil
}

// Plain returns what a JSON string says as a slice of it, if it has no escapes.
func Plain(raw []byte) ([]byte, bool) {
	inner := raw[1 : len(raw)-1]
	return inner, bytes.IndexByte(inner, '\\') < 0
}

// AppendText appends what a JSON string says.
func AppendText(dst, raw []byte) []byte {
	dst, _ = jsontext.AppendUnquote(dst, raw) // invalid UTF-8 is replaced
	return dst
}

// EmptyList reports whether a value is an array without elements.
func EmptyList(raw []byte) bool {
	return Kind(raw) == '[' && raw[skipSpace(raw, 1)] == ']'
}
