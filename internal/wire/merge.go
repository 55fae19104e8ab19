package wire

import "bytes"

// maxMergeDepth limits how deep objects are merged. Each level walks over the text below
// it once more: without a limit, two deeply nested objects would cost the product of
// their depth and their size.
const maxMergeDepth = 4

// AppendMerged appends the object over with those members of the object under that it
// lacks. A member of both is over's, unless both values are objects: those are merged in
// turn, up to four levels deep. Both must be valid and without duplicate names. Their
// text is copied as written.
func AppendMerged(dst, under, over []byte) []byte {
	return new(merger).append(dst, under, over, "", maxMergeDepth)
}

// AppendMergedNoting is [AppendMerged] that calls lost for each value of the object under
// that a different value of over replaces. The path is the one given, followed by the
// names of the objects and of the member, each after a dot.
func AppendMergedNoting(dst, under, over []byte, path string, lost func(path string, value []byte)) []byte {
	m := merger{lost: lost}
	return m.append(dst, under, over, path, maxMergeDepth)
}

// A merger merges two objects and reports values that are lost.
type merger struct {
	lost func(path string, value []byte) // may be nil
}

func (m *merger) append(dst, under, over []byte, path string, levels int) []byte {
	dst = append(dst, '{')
	first := len(dst)
	findUnder, findOver := finder(under), finder(over)
	for name, value := range members(over) {
		dst = appendName(dst, first, name)
		if old := findUnder(name); levels > 1 && Kind(value) == '{' && Kind(old) == '{' {
			dst = m.append(dst, old, value, m.join(path, name), levels-1)
		} else {
			m.reportLost(path, name, old, value)
			dst = append(dst, value...)
		}
	}
	for name, value := range members(under) {
		if findOver(name) == nil {
			dst = append(appendName(dst, first, name), value...)
		}
	}
	return append(dst, '}')
}

// join returns the path of a member. It is not computed unless it is reported.
func (m *merger) join(path string, name []byte) string {
	if m.lost == nil {
		return ""
	}
	return path + "." + Text(name)
}

// reportLost reports the old value of a member if it is lost: if there is one, and the new
// one differs.
func (m *merger) reportLost(path string, name, old, value []byte) {
	if m.lost != nil && old != nil && !bytes.Equal(old, value) {
		m.lost(m.join(path, name), old)
	}
}

// minIndexedObject is the size in bytes from which on a map of an object's members is
// worth its allocations. Below, a lookup walks over all of them; above, that would make
// merging quadratic.
const minIndexedObject = 1 << 10

// finder returns a function that finds members of an object by name.
func finder(object []byte) func(quoted []byte) []byte {
	if len(object) < minIndexedObject {
		return func(quoted []byte) []byte { return find(object, quoted) }
	}
	values := map[string][]byte{}
	for name, value := range members(object) {
		values[Text(name)] = value
	}
	return func(quoted []byte) []byte { return values[Text(quoted)] }
}
