package wire

import "bytes"

// mergedLevels is how deep objects are merged. Each level is one more walk over
// the text below it, so that without a bound two deeply nested objects would cost
// the product of their depth and their size.
const mergedLevels = 4

// AppendMerged appends the object over with what the object under has beside it:
// a member of both is over's, or merged in turn if both are objects, four levels
// deep. Both must be valid and without duplicate names. Their own text is copied
// as it stands.
func AppendMerged(dst, under, over []byte) []byte {
	return new(merge).append(dst, under, over, "", mergedLevels)
}

// AppendMergedNoting is [AppendMerged] that calls lost for each value of the
// object under that a different one of over has taken the place of, with the
// names of the objects around it as path.
func AppendMergedNoting(dst, under, over []byte, path string, lost func(path string, value []byte)) []byte {
	m := merge{lost: lost}
	return m.append(dst, under, over, path, mergedLevels)
}

// merge is told of values that are lost, if somebody wants to know.
type merge struct {
	lost func(path string, value []byte)
}

func (m *merge) append(dst, under, over []byte, path string, levels int) []byte {
	dst = append(dst, '{')
	first := len(dst)
	below, above := finder(under), finder(over)
	for name, value := range members(over) {
		dst = appendName(dst, first, name)
		if low := below(name); levels > 1 && Kind(value) == '{' && Kind(low) == '{' {
			dst = m.append(dst, low, value, m.path(path, name), levels-1)
		} else {
			m.note(path, name, low, value)
			dst = append(dst, value...)
		}
	}
	for name, value := range members(under) {
		if above(name) == nil {
			dst = append(appendName(dst, first, name), value...)
		}
	}
	return append(dst, '}')
}

func (m *merge) path(path string, name []byte) string {
	if m.lost == nil {
		return ""
	}
	return path + "." + Text(name)
}

func (m *merge) note(path string, name, low, value []byte) {
	if m.lost != nil && low != nil && !bytes.Equal(low, value) {
		m.lost(m.path(path, name), low)
	}
}

// largeObject is the length from which on looking at every member for each name
// would take too long.
const largeObject = 1 << 10

// finder returns a function that finds members of an object by name.
func finder(object []byte) func(quoted []byte) []byte {
	if len(object) < largeObject {
		return func(quoted []byte) []byte { return find(object, quoted) }
	}
	values := map[string][]byte{}
	for name, value := range members(object) {
		values[Text(name)] = value
	}
	return func(quoted []byte) []byte { return values[Text(quoted)] }
}

// AppendMember appends a member to an object whose members begin at dst[first].
func AppendMember(dst []byte, first int, name, value []byte) []byte {
	return append(appendName(dst, first, name), value...)
}

func appendName(dst []byte, first int, name []byte) []byte {
	if len(dst) > first {
		dst = append(dst, ',')
	}
	return append(append(dst, name...), ':')
}

// members yields the quoted names and the values of a valid object.
func members(object []byte) func(yield func(name, value []byte) bool) {
	return func(yield func(name, value []byte) bool) {
		i := skipSpace(object, 1)
		for object[i] != '}' {
			name := object[i:stringEnd(object, i)]
			start := skipSpace(object, skipSpace(object, i+len(name))+1)
			end := skipValue(object, start)
			if !yield(name, object[start:end:end]) {
				return
			}
			i = skipComma(object, end)
		}
	}
}

// find returns the value of the member of a valid object whose name says the
// same as the quoted one, or nil.
func find(object, quoted []byte) []byte {
	for name, value := range members(object) {
		if string(name) == string(quoted) || sameText(name, quoted) {
			return value
		}
	}
	return nil
}

// sameText compares names of which one may be written with escapes.
func sameText(a, b []byte) bool {
	_, plainA := Plain(a)
	_, plainB := Plain(b)
	return (!plainA || !plainB) && Text(a) == Text(b)
}

// Find returns the value of the member of a valid object with the given quoted
// name, or nil.
func Find(object []byte, quoted string) []byte { return find(object, []byte(quoted)) }
