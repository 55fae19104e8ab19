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
