package inlet

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/inlet-go/inlet/internal/wire"
)

// actsPixel makes the payload of a pixel of its query.
func actsPixel(r *http.Request) ([]byte, error) {
	if len(r.URL.RawQuery) > longestQuery {
		return nil, tooLarge(longestQuery)
	}
	return bracketObject(r.URL.RawQuery, querySite, queryToken)
}

// decodeActsPixel reads the event that actsPixel made. Broken text was repaired
// there already, which only the query still shows.
func decodeActsPixel(in *Input) error {
	item := in.doc.AsItem()
	text, _ := url.QueryUnescape(in.Request.URL.RawQuery) // actsPixel has read it
	item.Repaired = item.Repaired || !utf8.ValidString(text)
	return in.addOnlyActs(item)
}

// bracketObject makes a JSON object of the parameters of a query, but for those to
// leave out. Brackets in their names say where they belong:
//
//	user[id]=7&items[0][product][id]=p1&items[0][quantity]=2&tags[]=a&tags[]=b
//
// is {"user":{"id":"7"},"items":[{"product":{"id":"p1"},"quantity":"2"}],"tags":["a","b"]}.
// All values are strings. A level whose names are all empty, or all numbers, is a
// list, without gaps. A name with brackets that do not match is taken as it stands.
// What stands twice stands twice in the result, too, for the reader to refuse.
func bracketObject(query string, without ...string) ([]byte, error) {
	var root bracketLevel
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return nil, queryError(err)
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return nil, queryError(err)
		}
		if !slices.Contains(without, name) {
			root.put(bracketPath(name), value)
		}
	}
	return root.appendObject(nil), nil
}

func queryError(err error) *Error {
	return &Error{Code: CodeInvalidRequest, Message: "the query cannot be read", Err: err}
}

// bracketPath splits "a[b][c]" into its names. A name whose brackets do not match
// is one.
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

// bracketLevel is a level of the object: its members in the order in which they
// came.
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

// below returns the level with a name, which is a new one each time for the name
// of a new element, "".
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

// isList reports whether the level is a list, and brings one with numbers into
// their order.
func (l *bracketLevel) isList() bool {
	if !slices.ContainsFunc(l.members, func(m bracketMember) bool { return m.name != "" }) {
		return true
	}
	if slices.ContainsFunc(l.members, func(m bracketMember) bool { return !isIndex(m.name) }) {
		return false
	}
	ordered := slices.Clone(l.members)
	slices.SortFunc(ordered, func(a, b bracketMember) int { return indexOf(a.name) - indexOf(b.name) })
	for i := range ordered[1:] {
		if ordered[i].name == ordered[i+1].name {
			return false
		}
	}
	l.members = ordered
	return true
}

// isIndex reports whether a name is a number as one writes it, of which there is
// one way each.
func isIndex(name string) bool {
	n, err := strconv.Atoi(name)
	return err == nil && 0 <= n && n < 1e9 && strconv.Itoa(n) == name
}

func indexOf(name string) int {
	n, _ := strconv.Atoi(name) // isIndex has read it
	return n
}
