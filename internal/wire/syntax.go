package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Errors of [Document.Read] that concern the body as a whole.
var (
	// ErrNotObject is returned for JSON whose root is no object.
	ErrNotObject = errors.New("the root is not an object")
	// ErrTooManyItems is returned for a list that is longer than the limit.
	ErrTooManyItems = errors.New("too many items")
)

// A SyntaxError says where and how a body stops being JSON. Its text may be
// shown to whoever sent it.
type SyntaxError struct {
	Offset int64
	Reason string
}

// Error returns the reason and the place.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset) }

// A FaultError is a [Fault] in the root of a document.
type FaultError struct{ Fault Fault }

// Error names the kind of the fault.
func (e *FaultError) Error() string { return fmt.Sprintf("fault %d in the root", e.Fault.Kind) }

// lenient checks the grammar alone. Duplicate names and broken text are found by
// the passes that follow, in linear time, where the strict decoder is many times
// slower on hostile objects and could not go on behind a fault.
func lenient() jsontext.Options {
	return json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// checkSyntax returns nil if body is one valid JSON value, or a *SyntaxError.
func checkSyntax(body []byte) error {
	if jsontext.Value(body).IsValid(lenientOptions) {
		return nil
	}
	return locate(body)
}

var lenientOptions = lenient()

// locate finds out where an invalid body stops being JSON. It goes token by
// token: an error deep inside then costs no more than one at the surface.
func locate(body []byte) *SyntaxError {
	if len(bytes.TrimSpace(body)) == 0 {
		return &SyntaxError{int64(len(body)), "the body is empty"}
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), lenientOptions)
	for {
		_, err := dec.ReadToken()
		if err != nil {
			return explain(body, offsetOf(err, dec))
		}
		if end := dec.InputOffset(); dec.StackDepth() == 0 {
			return explain(body, int64(skipSpace(body, int(end))))
		}
	}
}

func offsetOf(err error, dec *jsontext.Decoder) int64 {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok && !errors.Is(err, io.ErrUnexpectedEOF) {
		return e.ByteOffset
	}
	return -1
}

// explain says in words what stands at the offset, or, if that is negative, that
// nothing does.
func explain(body []byte, offset int64) *SyntaxError {
	if offset < 0 || offset >= int64(len(body)) {
		return &SyntaxError{int64(len(body)), "the text ends too early"}
	}
	reason := "unexpected character"
	switch rest := body[offset:]; {
	case rest[0] == '\'':
		reason = "strings and names stand in double quotes, not in"
	case bytes.HasPrefix(rest, []byte("True")), bytes.HasPrefix(rest, []byte("False")), bytes.HasPrefix(rest, []byte("None")):
		reason = "true, false and null are written in small letters: unexpected"
	case bytes.HasPrefix(rest, []byte("NaN")), bytes.HasPrefix(rest, []byte("Infinity")):
		reason = "JSON has no NaN and no Infinity: unexpected"
	case rest[0] == '"':
		reason = "a comma is missing before"
	case rest[0] == ',':
		reason = "a comma too many, or a value too few, at"
	case rest[0] == '}', rest[0] == ']':
		reason = "a value is missing before"
	}
	r, _ := utf8.DecodeRune(body[offset:])
	return &SyntaxError{offset, fmt.Sprintf("%s %q", reason, r)}
}
