package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Errors of [Document.Read] that concern the body as a whole.
var (
	// ErrNotObject is returned for JSON whose root is not an object.
	ErrNotObject = errors.New("the root is not an object")
	// ErrTooManyItems is returned for a list that exceeds Limits.Items.
	ErrTooManyItems = errors.New("too many items")
)

// A SyntaxError is returned for a body that is not JSON. Its text may be shown to the
// client.
type SyntaxError struct {
	// Offset is the number of bytes before the error.
	Offset int64
	// Reason describes the error, with the character that is at the offset.
	Reason string
}

// Error returns the reason and the offset.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset) }

// A FaultError is a [Fault] in the root of a document.
type FaultError struct{ Fault Fault }

// Error returns the kind of the fault.
func (e *FaultError) Error() string { return fmt.Sprintf("fault %d in the root", e.Fault.Kind) }

// WithLine returns an error of [Members] with the line and the column at which the text stops being
// what it must be, both from 1 on, for somebody who edits it. A column is a character. An error
// without a place is returned as it is.
func WithLine(err error, text []byte) error {
	found, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok || found.Err == nil {
		return err
	}
	before := text[:min(found.ByteOffset, int64(len(text)))]
	line := 1 + bytes.Count(before, []byte{'\n'})
	column := 1 + utf8.RuneCount(before[1+bytes.LastIndexByte(before, '\n'):])
	reason := found.Err.Error()
	if found.Err == jsontext.ErrDuplicateName {
		reason += " " + strconv.Quote(found.JSONPointer.LastToken())
	}
	return fmt.Errorf("line %d, column %d: %s", line, column, reason)
}

// explain describes in words what is wrong at the offset, where body stops being valid.
// It guesses the mistake from the text there, since that is what an author of a client
// needs to know.
func explain(body []byte, offset int64) *SyntaxError {
	if len(bytes.TrimSpace(body)) == 0 {
		return &SyntaxError{int64(len(body)), "unexpected end of an empty body"}
	}
	if offset >= int64(len(body)) {
		return &SyntaxError{int64(len(body)), "unexpected end of the JSON text"}
	}
	reason := "unexpected character"
	switch rest := body[offset:]; {
	case rest[0] == '\'':
		reason = "strings and names must be in double quotes: unexpected"
	case bytes.HasPrefix(rest, []byte("True")), bytes.HasPrefix(rest, []byte("False")), bytes.HasPrefix(rest, []byte("None")):
		reason = "true, false and null must be in lower case: unexpected"
	case bytes.HasPrefix(rest, []byte("NaN")), bytes.HasPrefix(rest, []byte("Infinity")):
		reason = "NaN and Infinity are not valid in JSON: unexpected"
	case rest[0] == ':':
		reason = "missing braces of an object before"
	case rest[0] == '"':
		reason = "missing comma before"
	case rest[0] == ',':
		reason = "missing value before"
	case rest[0] == '}', rest[0] == ']':
		reason = "trailing comma or missing value before"
	}
	r, _ := utf8.DecodeRune(body[offset:])
	return &SyntaxError{offset, fmt.Sprintf("%s %q", reason, r)}
}
