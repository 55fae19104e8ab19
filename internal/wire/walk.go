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
			count(end - i)
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
			count(end - i)
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
	// returns it. It is valid until the next call of Next.
	Name []byte
	// Value is its value, object[Start:End].
	Value      []byte
	Start, End int

	object  []byte
	next    int    // where the next member begins, or the closing brace
	rewrite []byte // a name with escapes, without needless ones
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
	if w.Name = w.object[i:end:end]; hasEscape(w.Name) {
		w.rewrite = appendPlain(w.rewrite[:0], w.Name)
		w.Name = w.rewrite
	}
	w.Start = skipColon(w.object, end)
	w.End = skipValue(w.object, w.Start)
	w.Value = w.object[w.Start:w.End:w.End]
	w.next = skipComma(w.object, w.End)
	count(w.next - i)
	return true
}

// Find returns the value of the member of a valid object with the given quoted name, or
// nil.
func Find(object []byte, quoted string) []byte {
	for name, value := range members(object) {
		if equalNames(name, quoted) {
			return value
		}
	}
	return nil
}

// equalNames compares a name as written to a plain quoted one.
func equalNames(name []byte, plain string) bool {
	return string(name) == plain || hasEscape(name) && unquotesTo(name, plain)
}

// unquotesTo reports whether a name with escapes is the plain one without needless ones. It
// rewrites no more of it than is equal.
func unquotesTo(name []byte, plain string) bool {
	i, end := 1, len(name)-1
	for plain = plain[1:]; i < end; {
		count(1)
		n := 1
		var buf [unicodeLength]byte
		char := append(buf[:0], name[i])
		if char[0] == '\\' {
			switch name[i+1] {
			case 'u':
				var r rune
				r, n = escapedRune(name[i:])
				char = appendPlainRune(char[:0], r)
			case '/':
				char, n = append(char[:0], '/'), 2
			default:
				char, n = append(char, name[i+1]), 2
			}
		}
		if !strings.HasPrefix(plain, string(char)) {
			return false
		}
		plain, i = plain[len(char):], i+n
	}
	return len(plain) == 1
}

// FindEach finds several members of a valid object in one walk: values[i] becomes the
// value of the member with the quoted name names[i], and stays as it is if there is none.
func FindEach(object []byte, names []string, values [][]byte) {
	for name, value := range members(object) {
		escapes := hasEscape(name)
		for i := range names {
			if string(name) == names[i] || escapes && unquotesTo(name, names[i]) {
				values[i] = value
				break
			}
		}
	}
}

// Has reports whether a valid value has a member at a path of plain quoted names. A name of
// the path applies to an object, or to each of the objects in an array.
func Has(value []byte, path []string) bool {
	if len(value) == 0 {
		return len(path) == 0
	}
	found, _ := has(value, 0, path)
	return found
}

// has reports whether the value at i has a member at a path, and returns its end unless it
// has. It moves over the text once.
func has(src []byte, i int, path []string) (found bool, end int) {
	if len(path) == 0 {
		return true, 0
	}
	switch src[i] {
	case '{':
		for i = skipSpace(src, i+1); src[i] != '}'; i = skipComma(src, i) {
			name := src[i:skipString(src, i)]
			if i = skipColon(src, i+len(name)); !equalNames(name, path[0]) {
				i = countedValue(src, i)
			} else if found, i = has(src, i, path[1:]); found {
				return true, 0
			}
		}
		return false, i + 1
	case '[':
		for i = skipSpace(src, i+1); src[i] != ']'; i = skipComma(src, i) {
			if found, i = has(src, i, path); found {
				return true, 0
			}
		}
		return false, i + 1
	}
	return false, countedValue(src, i)
}

// countedValue is skipValue that counts the value, and one step for what is around it.
func countedValue(src []byte, i int) (end int) {
	end = skipValue(src, i)
	count(1 + end - i)
	return end
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
