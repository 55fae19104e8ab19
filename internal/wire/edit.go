package wire

import (
	"bytes"
	"iter"
	"strings"
)

// Has reports whether a valid value has something at a path of quoted names. A
// name is that of a member of an object, or of the objects in an array.
func Has(value []byte, path []string) bool {
	if len(path) == 0 {
		return true
	}
	switch Kind(value) {
	case '{':
		for name, member := range members(value) {
			if sameAs(name, path[0]) {
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

// AppendEdited appends a valid value in which what stands at the path is replaced
// by what edit appends for it, or left out if edit returns nil. Everything else
// is copied as it stands, but for white space between tokens.
func AppendEdited(dst, value []byte, path []string, edit func(dst, value []byte) []byte) []byte {
	if len(path) == 0 {
		return edit(dst, value)
	}
	switch Kind(value) {
	case '{':
		return appendObject(dst, value, path, edit)
	case '[':
		return AppendElements(dst, value, func(dst, element []byte) []byte {
			return AppendEdited(dst, element, path, edit)
		})
	}
	return append(dst, value...)
}

func appendObject(dst, object []byte, path []string, edit func(dst, value []byte) []byte) []byte {
	dst = append(dst, '{')
	first := len(dst)
	for name, value := range members(object) {
		start := len(dst)
		dst = appendName(dst, first, name)
		if !sameAs(name, path[0]) {
			dst = append(dst, value...)
		} else if edited := AppendEdited(dst, value, path[1:], edit); edited != nil {
			dst = edited
		} else {
			dst = dst[:start]
		}
	}
	return append(dst, '}')
}

// AppendElements appends a valid array with what edit appends for each element,
// without those for which it returns nil.
func AppendElements(dst, array []byte, edit func(dst, value []byte) []byte) []byte {
	dst = append(dst, '[')
	first := len(dst)
	for element := range elements(array) {
		start := len(dst)
		if start > first {
			dst = append(dst, ',')
		}
		if edited := edit(dst, element); edited != nil {
			dst = edited
		} else {
			dst = dst[:start]
		}
	}
	return append(dst, ']')
}

// AppendSet appends a valid object whose member with the quoted name has the
// value: in the place of the member, or behind the others. A nil object has no
// members.
func AppendSet(dst, object []byte, name string, value []byte) []byte {
	dst = append(dst, '{')
	first, done := len(dst), false
	if object != nil {
		for old, kept := range members(object) {
			if sameAs(old, name) {
				kept, done = value, true
			}
			dst = AppendMember(dst, first, old, kept)
		}
	}
	if !done {
		dst = AppendMember(dst, first, []byte(name), value)
	}
	return append(dst, '}')
}

// sameAs compares a name that may be written with escapes to a quoted one.
func sameAs(name []byte, quoted string) bool {
	if bytes.IndexByte(name, '\\') < 0 && strings.IndexByte(quoted, '\\') < 0 {
		return string(name) == quoted
	}
	return string(name) == quoted || sameText(name, []byte(quoted))
}

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

// Trim returns a value without the white space around it, as the functions here
// want it.
func Trim(value []byte) []byte { return bytes.Trim(value, " \t\r\n") }
