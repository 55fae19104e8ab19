package wire

import "bytes"

// This file copies valid values with changes. Nothing is changed in place: the input may
// be shared, and what is appended to dst is the new value. All functions return the
// extended dst.

// AppendEdited appends a valid value in which each member at the path is replaced by what
// edit appends for its value, or removed if edit returns nil. Everything else is copied
// as written, except for white space between tokens.
//
// It moves over the text once, however long the path is and however deep the value.
func AppendEdited(dst, value []byte, path []string, edit func(dst, value []byte) []byte) []byte {
	switch {
	case len(path) == 0:
		return edit(dst, value)
	case len(value) == 0:
		return dst
	}
	e := editor{value, edit}
	dst, _ = e.append(dst, 0, path)
	return dst
}

// An editor copies a value with changes.
type editor struct {
	src  []byte
	edit func(dst, value []byte) []byte
}

// append appends the value at i, edited at a path that is not empty, and returns its end.
func (e *editor) append(dst []byte, i int, path []string) (_ []byte, end int) {
	switch e.src[i] {
	case '{':
		return e.appendObject(dst, i, path)
	case '[':
		dst = append(dst, '[')
		first := len(dst)
		for i = skipSpace(e.src, i+1); e.src[i] != ']'; i = skipComma(e.src, i) {
			if len(dst) > first {
				dst = append(dst, ',')
			}
			dst, i = e.append(dst, i, path)
		}
		return append(dst, ']'), i + 1
	}
	end = countedValue(e.src, i)
	return append(dst, e.src[i:end]...), end
}

func (e *editor) appendObject(dst []byte, i int, path []string) (_ []byte, end int) {
	dst = append(dst, '{')
	first := len(dst)
	for i = skipSpace(e.src, i+1); e.src[i] != '}'; i = skipComma(e.src, i) {
		name := e.src[i:skipString(e.src, i)]
		i = skipColon(e.src, i+len(name))
		count(len(name))
		start := len(dst)
		dst = appendName(dst, first, name)
		if !equalNames(name, path[0]) {
			end = countedValue(e.src, i)
			dst, i = append(dst, e.src[i:end]...), end
			continue
		}
		if len(path) > 1 {
			dst, i = e.append(dst, i, path[1:])
			continue
		}
		end = countedValue(e.src, i)
		if edited := e.edit(dst, e.src[i:end:end]); edited != nil {
			dst = edited
		} else {
			dst = dst[:start] // takes the name back, and the comma before it
		}
		i = end
	}
	return append(dst, '}'), i + 1
}

// AppendElements appends a valid array with what edit appends for each element, without
// those for which it returns nil.
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

// AppendSet appends a valid object in which the member with the quoted name has the
// value: in the place of the old value, or after the other members. A nil object has no
// members.
func AppendSet(dst, object []byte, name string, value []byte) []byte {
	dst = append(dst, '{')
	first, done := len(dst), false
	if object != nil {
		for old, kept := range members(object) {
			if equalNames(old, name) {
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

// AppendMember appends a member to an object whose members begin at dst[first].
func AppendMember(dst []byte, first int, name, value []byte) []byte {
	count(2 + (len(name)+len(value))/copied)
	return append(appendName(dst, first, name), value...)
}

// appendName appends a name and its colon to an object whose members begin at
// dst[first], after a comma unless it is the first.
func appendName(dst []byte, first int, name []byte) []byte {
	if len(dst) > first {
		dst = append(dst, ',')
	}
	return append(append(dst, name...), ':')
}

// AppendMembers appends the members of a JSON object without the braces, with a comma
// before the first. An empty or nil object appends nothing.
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

// AppendLine appends a JSON value on one line: unchanged if it is on one line, else
// without any white space between its tokens. A string cannot have a line break, which
// must be escaped in it.
func AppendLine(dst, value []byte) []byte {
	if bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0 {
		return append(dst, value...)
	}
	return appendCompact(dst, value)
}

// appendCompact appends valid JSON without the white space between its tokens.
func appendCompact(dst, src []byte) []byte {
	for i := 0; i < len(src); {
		switch src[i] {
		case ' ', '\t', '\n', '\r':
			i++
		case '"':
			end := skipString(src, i)
			dst = append(dst, src[i:end]...)
			i = end
		default:
			dst = append(dst, src[i])
			i++
		}
	}
	return dst
}

// AppendStringList appends a valid list in which every number has become a string of the
// same digits. White space and nested values are copied as written.
func AppendStringList(dst, list []byte) []byte {
	for i := 0; i < len(list); {
		switch c := list[i]; {
		case i == 0, c == ']', c == ',', isSpace(c):
			dst = append(dst, c)
			i++
		default:
			end := skipValue(list, i)
			dst = appendStringOf(dst, list[i:end])
			i = end
		}
	}
	return dst
}

// appendStringOf appends a value; if it is a number, as a string.
func appendStringOf(dst, value []byte) []byte {
	if !IsNumber(value) {
		return append(dst, value...)
	}
	return append(append(append(dst, '"'), value...), '"')
}
