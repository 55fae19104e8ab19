package wire

import (
	"errors"
	"fmt"
	"strconv"
)

// This file finds and changes one value inside of another, by the names of members and the
// indices of elements on the way to it. It moves over what is before the value, and over
// nothing else. Text that is not valid JSON leads to no value, or to any; it does no harm.

// At returns the value at a path, without the space around it, and whether there is one. A
// name of the path is that of a member, unquoted, or the index of an element in decimal.
func At(value []byte, path []string) (found []byte, ok bool) {
	p := locate(value, path)
	if len(p.rest) > 0 || p.start >= p.end {
		return nil, false
	}
	return value[p.start:p.end:p.end], true
}

// SetAt returns a copy of a value in which the one at a path is another one, or none if that
// is nil. Objects that are missing on the way are made; null and nothing count as missing. In
// an array, the index after the last one appends.
func SetAt(value []byte, path []string, set []byte) ([]byte, error) {
	p := locate(value, path)
	if set == nil {
		return p.remove(), nil
	}
	switch {
	case len(p.rest) == 0, p.start >= p.end, p.kind() == 'n':
		return p.replace(p.start, p.end, appendNested(nil, p.rest, set)), nil
	case p.kind() == '{':
		return p.insert(append(AppendString(nil, p.rest[0]), ':'), p.rest[1:], set)
	case p.kind() != '[':
		return nil, fmt.Errorf("%q has no place: its parent is neither an object nor an array", p.rest[0])
	case indexOf(p.rest[0]) != p.elements:
		return nil, fmt.Errorf("%q has no place: its parent is an array of %d elements", p.rest[0], p.elements)
	}
	return p.insert(nil, p.rest[1:], set)
}

// A place is how far a path leads into a value.
type place struct {
	src        []byte
	start, end int      // of the last value on the path that is there
	rest       []string // of the path, that is not there
	elements   int      // how many elements the array at start has, if it is one
	// first is where the member or the element begins that has the value, and before is the
	// end of what precedes it.
	first, before int
}

func (p *place) kind() byte { return p.src[p.start] }

func locate(src []byte, path []string) place {
	p := place{src: src, rest: path}
	p.start = skipSpace(src, 0)
	p.end = p.endOf(p.start)
	for len(p.rest) > 0 && p.step() {
		p.rest = p.rest[1:]
	}
	return p
}

// endOf returns the end of the value at i, which is i if there is none.
func (p *place) endOf(i int) int {
	if i >= len(p.src) {
		return i
	}
	end := skipValue(p.src, i)
	count(1 + end - i)
	return end
}

// step moves to the member or element that the rest of the path begins with, if there is one.
func (p *place) step() bool {
	if p.start >= p.end || p.kind() != '{' && p.kind() != '[' {
		return false
	}
	object, name := p.kind() == '{', p.rest[0]
	quoted, index := string(AppendString(nil, name)), indexOf(name)
	before := p.start + 1
	p.elements = 0
	for i := skipSpace(p.src, before); i < p.end-1; p.elements++ {
		first, found := i, false
		if object {
			if p.src[i] != '"' {
				return false
			}
			end := min(skipString(p.src, i), p.end)
			if end-i < len(`""`) {
				return false
			}
			found = equalNames(p.src[i:end], quoted)
			i = skipSpace(p.src, skipSpace(p.src, end)+1)
		} else {
			found = index == p.elements
		}
		end := p.endOf(i)
		if end <= i || end >= p.end {
			return false
		}
		if found {
			p.start, p.end, p.first, p.before = i, end, first, before
			return true
		}
		before = end
		if i = skipSpace(p.src, end); i < p.end && p.src[i] == ',' {
			i = skipSpace(p.src, i+1)
		}
	}
	return false
}

// indexOf returns the index that a name is, or -1.
func indexOf(name string) int {
	if n, err := strconv.Atoi(name); err == nil && strconv.Itoa(n) == name {
		return n
	}
	return -1
}

// replace returns a copy with other text from i to j.
func (p *place) replace(i, j int, text []byte) []byte {
	out := make([]byte, 0, len(p.src)-(j-i)+len(text))
	return append(append(append(out, p.src[:i]...), text...), p.src[j:]...)
}

// insert returns a copy with one more member or element at the end of the object or array.
func (p *place) insert(name []byte, path []string, value []byte) ([]byte, error) {
	last := p.end - 1
	if last <= p.start {
		return nil, errors.New("the value around it is not valid JSON")
	}
	text := append([]byte(nil), name...)
	if skipSpace(p.src, p.start+1) < last {
		text = append([]byte{','}, text...)
	}
	return p.replace(last, last, appendNested(text, path, value)), nil
}

// remove returns a copy without the value, or the text as it is if there is none.
func (p *place) remove() []byte {
	if len(p.rest) > 0 || p.before == 0 {
		return p.src
	}
	i, j := p.before, p.end
	if p.src[i-1] == '{' || p.src[i-1] == '[' { // the first one: the comma behind goes, too
		if next := skipSpace(p.src, j); next < len(p.src) && p.src[next] == ',' {
			j = next + 1
		}
	}
	return p.replace(i, j, nil)
}

// appendNested appends a value in as many objects as the path has names.
func appendNested(dst []byte, path []string, value []byte) []byte {
	for _, name := range path {
		dst = append(AppendString(append(dst, '{'), name), ':')
	}
	dst = append(dst, value...)
	for range path {
		dst = append(dst, '}')
	}
	return dst
}
