// Package wire reads and writes JSON as bytes. It is the only package that imports the
// JSON library, whose API still changes: the rest of the module handles JSON as raw
// bytes and by the functions here.
//
// # How it works
//
// A request's body is read once, from its first byte to its last, and is never turned
// into Go values. What remains of the pass is a list of spans: for each member of the
// root object and of each event, where its name and its value begin and end in the body
// ([Document], [Object]). Values are returned as slices of the body. A caller that needs
// the members of a value walks over its text again ([Find], [Walk]), which is cheap since
// few values are objects that matter.
//
//	document.go  the spans of a body: root, list of events, their faults
//	index.go     the pass: grammar, nesting, the names of each object
//	scan.go      strings and numbers, the innermost loops of the pass
//	names.go     whether a name occurs twice in an object
//	repair.go    invalid UTF-8 and unpaired surrogates become U+FFFD
//	errors.go    what is wrong with a body, in words
//	outline.go   the pass of index.go that also keeps the spans of inner objects
//	compose.go   writes a changed body together with its spans, so that it is not read again
//	reader.go    moves over valid text piece by piece, without allocating
//	walk.go      walks over text that is known to be valid: members, elements, lookups
//	edit.go      copies a valid value with changes at a path
//	merge.go     merges valid objects
//	wire.go      names, strings and the library
//	meter.go     asks before memory is made
//	search.go    finds members of a body that may be anything, and keeps no part of it
//	steps.go     counts the work of all that, in builds for tests
//
// # What holds
//
// Everything is linear in the size of the body, whatever the body is: nesting does not
// recurse and costs an entry of a stack; names are compared in constant expected time,
// with a keyed hash where an attacker could choose many that collide; limits act during
// the pass. All memory is reused by the next body.
//
// Functions that take "a valid value" rely on the pass: they do not check bounds or
// grammar, and may panic for text that was not read by [Document.Read] before, or made
// from such text. A quoted name is a JSON string without needless escapes, as
// [AppendString] writes it, so that names can be compared byte by byte.
package wire

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A Member is a member of an object. Its fields are slices of the text that it was read
// from.
type Member struct {
	// RawName is the name as written, with its quotes and escapes.
	RawName []byte
	// Value is the value, without white space around it.
	Value []byte
}

// Name returns the unquoted name. It is a slice of the text if it has no escapes.
func (m Member) Name() []byte {
	if inner, ok := Plain(m.RawName); ok {
		return inner
	}
	return AppendText(nil, m.RawName)
}

// Kind returns the first byte of a value, which tells the kinds apart: n, t, f, ", { or
// [, and anything else for a number. It returns 0 for an empty value.
func Kind(raw []byte) byte {
	if len(raw) == 0 {
		return 0
	}
	return raw[0]
}

// IsNumber reports whether a value is a number.
func IsNumber(value []byte) bool {
	c := Kind(value)
	return c == '-' || '0' <= c && c <= '9'
}

// EmptyList reports whether a text is an array without elements. It need not be JSON.
func EmptyList(raw []byte) bool { return empty(raw, '[', ']') }

// EmptyObject reports whether a text is an object without members. It need not be JSON.
func EmptyObject(raw []byte) bool { return empty(raw, '{', '}') }

// empty reports whether a text is two brackets with white space at most between and after them.
func empty(raw []byte, first, last byte) bool {
	if Kind(raw) != first {
		return false
	}
	i := skipSpace(raw, 1)
	return i < len(raw) && raw[i] == last && skipSpace(raw, i+1) == len(raw)
}

// Trim returns a value without the white space around it, the form that the functions of
// this package expect.
func Trim(value []byte) []byte { return bytes.Trim(value, " \t\r\n") }

// Text returns the unquoted text of a JSON string, and "" for any other value. Invalid
// UTF-8 becomes U+FFFD.
func Text(raw []byte) string {
	if Kind(raw) != '"' {
		return ""
	}
	if inner, ok := Plain(raw); ok && utf8.Valid(inner) {
		return string(inner)
	}
	text, _ := jsontext.AppendUnquote(nil, raw) // the error only reports replaced text
	return string(text)
}

// Plain returns the text of a JSON string as a slice of it, if it has no escapes.
func Plain(raw []byte) ([]byte, bool) {
	inner := raw[1 : len(raw)-1]
	return inner, !hasEscape(inner)
}

func hasEscape(text []byte) bool { return bytes.IndexByte(text, '\\') >= 0 }

// AppendText appends the unquoted text of a JSON string. Invalid UTF-8 becomes U+FFFD.
func AppendText(dst, raw []byte) []byte {
	dst, _ = jsontext.AppendUnquote(dst, raw) // the error only reports replaced text
	return dst
}

// AppendString appends s as a JSON string without needless escapes. Invalid UTF-8
// becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error only reports replaced text
	return dst
}

// Members reads a JSON object strictly: duplicate names, invalid text and text after the
// object are errors. The members are slices of the object. It is for text that has not
// been read by a [Document], such as a stored event.
func Members(object []byte) ([]Member, error) {
	r := readers.Get().(*reader)
	defer readers.Put(r)
	r.text = *bytes.NewBuffer(object)
	r.dec.Reset(&r.text)
	members, err := r.dec.members(object)
	r.text = bytes.Buffer{} // the pool must not keep the object alive
	return members, err
}

// A reader is a decoder and the buffer that it reads from, pooled together.
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

// value reads the next value and returns it as a slice of src, the text that dec reads.
// The value that the decoder returns is valid only until its next call; its offset in
// the input, which is documented, is where the same text is in src.
func (dec *decoder) value(src []byte) ([]byte, error) {
	value, err := dec.ReadValue()
	if err != nil {
		return nil, err
	}
	end := int(dec.InputOffset())
	return src[end-len(value) : end : end], nil
}
