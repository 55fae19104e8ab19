package wire

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// AppendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error only says that it replaced something
	return dst
}

// AppendLine appends a JSON value so that it stays on one line: unchanged if it
// does, else without any white space between its tokens.
func AppendLine(dst, value []byte) []byte {
	if bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0 {
		return append(dst, value...)
	}
	return appendCompact(dst, value)
}

// AppendMembers appends the members of a JSON object, each with a comma before
// it, and without the braces. An empty or nil object appends nothing.
func AppendMembers(dst, object []byte) []byte {
	inner := bytes.TrimSpace(object)
	if len(inner) < 2 {
		return dst
	}
	inner = bytes.TrimSpace(inner[1 : len(inner)-1])
	if len(inner) == 0 {
		return dst
	}
	return AppendLine(append(dst, ','), inner)
}

// appendCompact copies valid JSON without its white space.
func appendCompact(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		switch src[i] {
		case ' ', '\t', '\n', '\r':
			i++
		case '"':
			end := stringEnd(src, i)
			dst = append(dst, src[i:end]...)
			i = end
		default:
			dst = append(dst, src[i])
			i++
		}
	}
	return dst
}

// stringEnd returns the index after the closing quote of the JSON string that
// begins at src[start], or len(src) if it is cut off.
func stringEnd(src []byte, start int) int {
	for i := start + 1; ; i++ {
		n := bytes.IndexByte(src[i:], '"')
		if n < 0 {
			return len(src)
		}
		i += n
		if src[i-1] != '\\' || !escaped(src[start+1:i]) {
			return i + 1
		}
	}
}

// escaped reports whether what follows text is escaped: whether text ends in an
// odd number of backslashes.
func escaped(text []byte) bool {
	n := 0
	for n < len(text) && text[len(text)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}
