package wire

import (
	"bytes"
	"iter"
	"strings"
)

// This file walks over text that is known to be valid JSON. So it can look for the bytes
// that matter and ignore the rest: the end of a string is the next quote that is not
// escaped, the end of an object is where as many brackets were closed as opened. Indexes
// are those of bytes in the text; a function named skip… returns where what it skips
// ends.

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// skipSpace returns the index of the first byte from i on that is not white space.
func skipSpace(src []byte, i int) int {
	for i < len(src) && isSpace(src[i]) {
		i++
	}
	return i
}

// skipComma moves from the end of an element to the next one, or to the bracket that
// closes the list.
func skipComma(src []byte, i int) int {
	i = skipSpace(src, i)
	if src[i] == ',' {
		return skipSpace(src, i+1)
	}
	return i
}

// skipColon moves from the end of a name to its value.
func skipColon(src []byte, i int) int { return skipSpace(src, skipSpace(src, i)+1) }

// skipValue returns the end of the value at i.
func skipValue(src []byte, i int) int {
	switch src[i] {
	case '"':
		return skipString(src, i)
	case '{', '[':
		return skipComposite(src, i)
	}
	// A number or a literal ends where the list or the text around it goes on.
	for i < len(src) && !isSpace(src[i]) && src[i] != ',' && src[i] != '}' && src[i] != ']' {
		i++
	}
	return i
}

// skipComposite returns the end of the object or array at i. Brackets in strings do not
// count; which kind of bracket it is does not matter, since they match in valid text.
func skipComposite(src []byte, i int) int {
	depth := 0
	for i < len(src) {
		switch src[i] {
		case '"':
			i = skipString(src, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return i
}

// skipString returns the index after the closing quote of the string at i. It jumps from
// quote to quote and looks back whether each is escaped. The backslashes it looks at are
// those right before a quote, so each byte is looked at twice at most.
func skipString(src []byte, i int) int {
	for i++; ; i++ {
		n := bytes.IndexByte(src[i:], '"')
		if n < 0 {
			return len(src)
		}
		if i += n; !isEscaped(src[:i]) {
			return i + 1
		}
	}
}

// isEscaped reports whether the byte after text is escaped: whether text ends in an odd
// number of backslashes.
func isEscaped(text []byte) bool {
	n := 0
	for n < len(text) && text[len(text)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// members yields the quoted names, as written, and the values of a valid object.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		i := skipSpace(object, 1)
		for object[i] != '}' {
			name := object[i:skipString(object, i)]
			start := skipColon(object, i+len(name))
			end := skipValue(object, start)
			if !yield(name, object[start:end:end]) {
				return
			}
			i = skipComma(object, end)
		}
	}
}

// Elements yields the elements of a valid array.
func Elements(array []byte) iter.Seq[[]byte] { return elements(array) }

// elements yields the elements of a valid array.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := skipSpace(array, 1); array[i] != ']'; {
			end := skipValue(array, i)
			if !yield(array[i:end:end]) {
				return
			}
			i = skipComma(array, end)
		}
	}
}

// A Walker steps through the members of a valid object. It is [members] for callers that
// need to know where a value begins and ends in the object.
type Walker struct {
	// Name is the quoted name of the member without needless escapes, as [Object.Name]
	// returns it.
	Name []byte
	// Value is its value, object[Start:End].
	Value      []byte
	Start, End int

	object []byte
	next   int // where the next member begins, or the closing brace
}

// Walk returns a walker that is before the first member.
func Walk(object []byte) Walker { return Walker{object: object, next: skipSpace(object, 1)} }

// Next moves to the next member. It returns false after the last one.
func (w *Walker) Next() bool {
	i := w.next
	if w.object[i] == '}' {
		return false
	}
	end := skipString(w.object, i)
	w.Name = plainName(w.object[i:end:end])
	w.Start = skipColon(w.object, end)
	w.End = skipValue(w.object, w.Start)
	w.Value = w.object[w.Start:w.End:w.End]
	w.next = skipComma(w.object, w.End)
	return true
}

// Find returns the value of the member of a valid object with the given quoted name, or
// nil.
func Find(object []byte, quoted string) []byte { return find(object, []byte(quoted)) }

// find returns the value of the member of a valid object whose name has the same text as
// the quoted one, or nil. Both may have needless escapes.
func find(object, quoted []byte) []byte {
	for name, value := range members(object) {
		if string(name) == string(quoted) || sameText(name, quoted) {
			return value
		}
	}
	return nil
}

// sameText compares two names if one of them is written with escapes. Two names without
// escapes have the same text only if they are equal, which the caller has checked.
func sameText(a, b []byte) bool {
	_, plainA := Plain(a)
	_, plainB := Plain(b)
	return (!plainA || !plainB) && Text(a) == Text(b)
}

// FindEach finds several members of a valid object in one walk: values[i] becomes the
// value of the member with the quoted name names[i], and stays as it is if there is none.
func FindEach(object []byte, names []string, values [][]byte) {
	for name, value := range members(object) {
		for i := range names {
			if string(name) == names[i] || sameName(name, names[i]) {
				values[i] = value
				break
			}
		}
	}
}

// sameName compares a name with escapes to a plain quoted one. A name with escapes is
// longer than its text, which rules out most names without unquoting them.
func sameName(name []byte, plain string) bool {
	inner, ok := Plain(name)
	return !ok && len(inner)+2 > len(plain) && Text(name) == plain[1:len(plain)-1]
}

// Has reports whether a valid value has a member at a path of quoted names. A name of the
// path applies to an object, or to each of the objects in an array.
func Has(value []byte, path []string) bool {
	if len(path) == 0 {
		return true
	}
	switch Kind(value) {
	case '{':
		for name, member := range members(value) {
			if equalNames(name, path[0]) {
				return Has(member, path[1:])
			}
		}
	case '[':
		for element := range elements(value) {
			if Has(element, path) {
				return true
			}
		}
	}
	return false
}

// equalNames compares a name as written to a quoted one.
func equalNames(name []byte, quoted string) bool {
	if bytes.IndexByte(name, '\\') < 0 && strings.IndexByte(quoted, '\\') < 0 {
		return string(name) == quoted
	}
	return string(name) == quoted || sameText(name, []byte(quoted))
}

// HasNumber reports whether a valid list has an element that is a number.
func HasNumber(list []byte) bool {
	for i := 1; i < len(list); i++ {
		switch c := list[i]; {
		case c == ']', c == ',', isSpace(c):
		case IsNumber(list[i:]):
			return true
		default:
			i = skipValue(list, i) - 1
		}
	}
	return false
}
