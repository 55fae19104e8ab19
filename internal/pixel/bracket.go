package pixel

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/inlet-go/inlet/internal/wire"
)

// Brackets makes an object of the parameters of a query, except those named in without.
// Brackets in their names nest them:
//
//	user[id]=7&items[0][product][id]=p1&items[0][quantity]=2&tags[]=a&tags[]=b
//
// is {"user":{"id":"7"},"items":[{"product":{"id":"p1"},"quantity":"2"}],"tags":["a","b"]}.
// A level whose names are all empty, or all numbers, is a list, without gaps. A name whose
// brackets do not match is taken literally. A name that is sent twice appears twice in the
// result, for the reader to refuse. The error is [ErrTooDeep] or [ErrTooManyLevels],
// before anything is made, or that of an invalid escape.
func Brackets(query string, without ...string) ([]byte, error) {
	if err := checkLevels(query, '['); err != nil {
		return nil, err
	}
	var root bracketLevel
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return nil, err
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(without, name) {
			root.put(bracketPath(name), value)
		}
	}
	return root.appendObject(nil), nil
}

// bracketPath splits "a[b][c]" into its names. A name whose brackets do not match is a
// single one.
func bracketPath(name string) []string {
	first, rest, found := strings.Cut(name, "[")
	if !found || first == "" || !strings.HasSuffix(rest, "]") {
		return []string{name}
	}
	path := append([]string{first}, strings.Split(rest[:len(rest)-1], "][")...)
	for _, part := range path {
		if strings.ContainsAny(part, "[]") {
			return []string{name}
		}
	}
	return path
}

// bracketLevel is a level of the object: its members in the order in which they were sent.
type bracketLevel struct {
	members []bracketMember
	levels  map[string]*bracketLevel
}

// bracketMember is a level, or a value if that is nil.
type bracketMember struct {
	name, value string
	level       *bracketLevel
}

func (l *bracketLevel) put(path []string, value string) {
	for _, name := range path[:len(path)-1] {
		l = l.below(name)
	}
	l.members = append(l.members, bracketMember{name: path[len(path)-1], value: value})
}

// below returns the level with a name, and creates it if there is none. The name "" is
// that of a new element each time.
func (l *bracketLevel) below(name string) *bracketLevel {
	if next := l.levels[name]; next != nil && name != "" {
		return next
	}
	if l.levels == nil {
		l.levels = map[string]*bracketLevel{}
	}
	next := new(bracketLevel)
	l.levels[name] = next
	l.members = append(l.members, bracketMember{name: name, level: next})
	return next
}

func (l *bracketLevel) appendJSON(dst []byte) []byte {
	if !l.isList() {
		return l.appendObject(dst)
	}
	dst = append(dst, '[')
	for i, m := range l.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = m.appendJSON(dst)
	}
	return append(dst, ']')
}

func (l *bracketLevel) appendObject(dst []byte) []byte {
	dst = append(dst, '{')
	for i, m := range l.members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = m.appendJSON(append(wire.AppendString(dst, m.name), ':'))
	}
	return append(dst, '}')
}

func (m *bracketMember) appendJSON(dst []byte) []byte {
	if m.level != nil {
		return m.level.appendJSON(dst)
	}
	return wire.AppendString(dst, m.value)
}

// isList reports whether the level is a list, and sorts one with numbers by them.
func (l *bracketLevel) isList() bool {
	if !slices.ContainsFunc(l.members, func(m bracketMember) bool { return m.name != "" }) {
		return true
	}
	if slices.ContainsFunc(l.members, func(m bracketMember) bool { return !isIndex(m.name) }) {
		return false
	}
	ordered := make([]numbered, len(l.members))
	for i, m := range l.members {
		n, _ := strconv.Atoi(m.name) // isIndex has read it
		ordered[i] = numbered{n, m}
	}
	slices.SortFunc(ordered, func(a, b numbered) int { return a.index - b.index })
	for i := range ordered[1:] {
		if ordered[i].index == ordered[i+1].index {
			return false
		}
	}
	for i := range ordered {
		l.members[i] = ordered[i].bracketMember
	}
	return true
}

// numbered is a member of a list with its place in it.
type numbered struct {
	index int
	bracketMember
}

// isIndex reports whether a name is a number in its only usual form, without sign or
// leading zeros.
func isIndex(name string) bool {
	n, err := strconv.Atoi(name)
	return err == nil && 0 <= n && n < 1e9 && strconv.Itoa(n) == name
}
