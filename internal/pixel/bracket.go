package pixel

import (
	"slices"
	"strconv"
	"strings"

	"github.com/inlet-go/inlet/internal/form"
	"github.com/inlet-go/inlet/internal/wire"
)

// Brackets makes an object of the parameters of a query, except those that drop reports, by
// the names of their levels. Brackets in their names nest them:
//
//	user[id]=7&items[0][product][id]=p1&items[0][quantity]=2&tags[]=a&tags[]=b
//
// is {"user":{"id":"7"},"items":[{"product":{"id":"p1"},"quantity":"2"}],"tags":["a","b"]}.
// Empty brackets are the number after the highest one of their level before them. A level
// whose names are all numbers is a list, without gaps. A name whose brackets do not match is
// taken literally. A name that is both a value and a level is a level; of a name that is sent
// twice the first value counts. All values are strings. The error is [ErrTooDeep] or
// [ErrTooManyLevels], before anything is made.
func Brackets(query string, drop func(path []string) bool) ([]byte, error) {
	if err := checkLevels(query, '['); err != nil {
		return nil, err
	}
	var root bracketLevel
	for escaped, value := range form.Pairs(query) {
		if path := bracketPath(form.Text(escaped)); !drop(path) {
			root.put(path, form.Text(value))
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
	index   map[string]int // of the members, by their names, where they are many
	next    int            // the number of the next empty brackets
}

// bracketMember is a level, or a value if that is nil.
type bracketMember struct {
	name, value string
	sent        bool // the value
	level       *bracketLevel
}

func (l *bracketLevel) put(path []string, value string) {
	member := l.member(path[0])
	for _, name := range path[1:] {
		if member.level == nil {
			member.level = new(bracketLevel)
		}
		if l = member.level; name == "" {
			name = strconv.Itoa(l.next)
		}
		member = l.member(name)
	}
	if !member.sent {
		member.value, member.sent = value, true
	}
}

// member returns the member with a name, and creates it if there is none.
func (l *bracketLevel) member(name string) *bracketMember {
	i := l.find(name)
	if i < 0 {
		i = len(l.members)
		l.members = append(l.members, bracketMember{name: name})
		if l.index != nil {
			l.index[name] = i
		}
		if isIndex(name) {
			n, _ := strconv.Atoi(name) // isIndex has read it
			l.next = max(l.next, n+1)
		}
	}
	return &l.members[i]
}

// fewMembers is how many members are looked through for a name.
const fewMembers = 8

// find returns the place of a member, -1 if there is none.
func (l *bracketLevel) find(name string) int {
	if len(l.members) <= fewMembers {
		return slices.IndexFunc(l.members, func(m bracketMember) bool { return m.name == name })
	}
	if l.index == nil {
		l.index = make(map[string]int, 2*len(l.members))
		for i := range l.members {
			l.index[l.members[i].name] = i
		}
	}
	if i, ok := l.index[name]; ok {
		return i
	}
	return -1
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

// isList reports whether all names of the level are numbers, and sorts it by them.
func (l *bracketLevel) isList() bool {
	if slices.ContainsFunc(l.members, func(m bracketMember) bool { return !isIndex(m.name) }) {
		return false
	}
	ordered := make([]numbered, len(l.members))
	for i, m := range l.members {
		n, _ := strconv.Atoi(m.name) // isIndex has read it
		ordered[i] = numbered{n, m}
	}
	slices.SortFunc(ordered, func(a, b numbered) int { return a.index - b.index })
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
	for _, c := range []byte(name) {
		if c < '0' || '9' < c {
			return false
		}
	}
	return name == "0" || 0 < len(name) && len(name) < len("1000000000") && name[0] != '0'
}
