package schema

import (
	"strconv"
	"unicode/utf8"

	"github.com/inlet-go/inlet/internal/wire"
)

// A Kind is what a fault is about.
type Kind uint8

// The kinds of faults.
const (
	// Required: a member is missing.
	Required Kind = iota + 1
	// Type: a value has another type.
	Type
	// Unplanned: a member is there that may not be.
	Unplanned
	// Other: a value of the right type is not one of those that may be.
	Other
)

// A Fault is a demand that a value does not meet.
type Fault struct {
	Kind Kind
	// Path is where the value is, or would be: "properties.products[2].price", "" for the root.
	Path string
	// Keyword is the keyword that demands it.
	Keyword string
	// Expected is what the value must be, in words: "a number". "" for Unplanned.
	Expected string
	// Found is what it is, in words: `the text "12"`. "" for Required.
	Found string
}

// Lengths of what is quoted of an event, in characters.
const (
	maxPath  = 200
	maxFound = 80
)

// describe returns a value of an event in words.
func describe(raw []byte) string {
	switch wire.Kind(raw) {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "the text " + quote(raw)
	case 't', 'f', 'n':
		return string(raw)
	}
	return "the number " + clip(string(raw[:min(len(raw), 4*maxFound)]), maxFound)
}

// quote returns the beginning of a JSON string in quotes.
func quote(raw []byte) string {
	return strconv.Quote(beginning(raw[1:max(1, len(raw)-1)], maxFound))
}

// beginning returns the first characters of the text of a JSON string without its quotes.
func beginning(inner []byte, most int) string {
	const longest = 12 // an escape of a character
	if len(inner) > longest*most {
		inner = inner[:longest*most]
	}
	return clip(string(wire.AppendUnescaped(nil, inner)), most)
}

// clip cuts a text to some characters.
func clip(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "…"
		}
	}
	return s
}

// A part is a step of a path: the name of a member, or else the index of an element.
type part struct {
	name  []byte // as it is written, or nil
	index int
}

// appendPath appends a path in the form that people write it in.
func appendPath(dst []byte, parts []part) []byte {
	for _, p := range parts {
		if len(dst) > 4*maxPath {
			break
		}
		if p.name == nil {
			dst = append(strconv.AppendInt(append(dst, '['), int64(p.index), 10), ']')
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, '.')
		}
		dst = append(dst, beginning(p.name, maxPath)...)
	}
	return dst
}
