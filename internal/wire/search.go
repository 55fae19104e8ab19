package wire

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sync"
	"unicode/utf8"
)

// This file searches a body that may be anything, from a client that is still unknown, and
// keeps no part of it. [Searcher.Search] finds members without checking the grammar, which
// is the least that can be done; [Check] checks the grammar, to tell what is wrong with a
// body in which nothing was found.

// A Searcher looks for members by their names, which are ASCII without escapes. It may be used
// concurrently.
type Searcher struct{ names []string } // quoted

// NewSearcher returns a searcher for members with the quoted names.
func NewSearcher(quoted []string) *Searcher { return &Searcher{quoted} }

// Search calls found with each such member of the root object of a body, as item -1, and
// of each object in its list: which of the names it has, and its value, a slice of the body.
// It ends when found returns false. A list "" means that there is no list.
//
// It never panics. In a body that is not JSON it finds what is before the error and, where
// the error does not matter to it, what is after. A value that begins as a string is one.
func (s *Searcher) Search(body []byte, list string, found func(item, name int, value []byte) bool) {
	f := finding{names: s.names, src: body, found: found}
	f.space()
	f.object(-1, list)
}

// tail is how many bytes at the end of a body are looked at before all others.
const tail = 256

// Tail returns the value of the member of the root object that has the first of the names,
// if that is a string near the end of the body, where many clients have it, or nil. What is
// before it is not looked at: in the rest of a body that is JSON as many brackets are closed
// as are open before.
func (s *Searcher) Tail(body []byte) []byte {
	if len(s.names) == 0 {
		return nil
	}
	from := max(0, len(body)-tail)
	i := from + bytes.LastIndex(body[from:], []byte(s.names[0]))
	if i < from || isEscaped(body[:i]) {
		return nil
	}
	f := finding{src: body, next: i + len(s.names[0])}
	if !f.token(':') || f.at() != '"' {
		return nil
	}
	start := f.next
	if !f.text() {
		return nil
	}
	value := body[start:f.next:f.next]
	if !f.closes() {
		return nil
	}
	return value
}

// closes reports whether what follows ends with the bracket that closes an object, and
// closes nothing else that is open before.
func (f *finding) closes() bool {
	for {
		if f.space(); f.at() == '}' {
			return f.token('}') && f.next == len(f.src)
		}
		if !f.token(',') || f.at() != '"' || !f.text() || !f.token(':') || !f.value() {
			return false
		}
	}
}

// finding is a search on its way. Its methods move over what they are called after, and
// return false where the search ends.
type finding struct {
	names []string
	found func(item, name int, value []byte) bool
	src   []byte
	next  int // the index of the next byte
}

// at returns the next byte, 0 at the end.
func (f *finding) at() byte {
	if f.next < len(f.src) {
		return f.src[f.next]
	}
	return 0
}

func (f *finding) space() { f.next = skipSpace(f.src, f.next) }

// token moves over c, if that is what follows, and white space around it.
func (f *finding) token(c byte) bool {
	f.space()
	if f.at() != c {
		return false
	}
	f.next++
	f.space()
	return true
}

// object searches an object.
func (f *finding) object(item int, list string) bool {
	if !f.token('{') {
		return false
	}
	if f.at() == '}' {
		return f.token('}')
	}
	for {
		start := f.next
		if f.at() != '"' || !f.text() {
			return false
		}
		name := f.src[start:f.next]
		if !f.token(':') {
			return false
		}
		start = f.next
		if list != "" && f.at() == '[' && f.is(name, list) {
			if !f.items() {
				return false
			}
		} else if !f.value() || !f.match(item, name, f.src[start:f.next:f.next]) {
			return false
		}
		if !f.token(',') {
			return f.token('}')
		}
	}
}

// items searches the objects of a list.
func (f *finding) items() bool {
	f.token('[')
	if f.at() == ']' {
		return f.token(']')
	}
	for item := 0; ; item++ {
		if f.at() == '{' {
			if !f.object(item, "") {
				return false
			}
		} else if !f.value() {
			return false
		}
		if !f.token(',') {
			return f.token(']')
		}
	}
}

// match calls found if a name is one of those that are looked for.
func (f *finding) match(item int, name, value []byte) bool {
	for i := range f.names {
		count(1)
		if f.is(name, f.names[i]) {
			return f.found(item, i, value)
		}
	}
	return true
}

// is reports whether a name as written has the text of a quoted one, which has no escapes. It
// looks at no more of it than is equal.
func (f *finding) is(name []byte, quoted string) bool {
	if len(name) <= len(quoted) {
		return string(name) == quoted
	}
	plain := quoted[1:]
	for i, end := 1, len(name)-1; i < end; {
		count(1)
		char, n := rune(name[i]), 1
		if char == '\\' {
			switch n, _ = escape(name[i:end]); {
			case n == 0:
				return false
			case name[i+1] == 'u':
				char, _ = unicodeEscape(name[i:])
			default:
				char = rune(name[i+1]) // a quote or backslash, or a control character: in no name
				if char != '/' {
					return false
				}
			}
		}
		if char >= utf8.RuneSelf || byte(char) != plain[0] {
			return false
		}
		if plain, i = plain[1:], i+n; len(plain) == 1 {
			return i == end
		}
	}
	return false
}

// value moves over a value: to the end of a string or of as many brackets, of any kind, as
// it opens, or to what ends a number or literal.
func (f *finding) value() bool {
	switch f.at() {
	case '"':
		return f.text()
	case '{', '[':
		return f.composite()
	}
	start := f.next
	for f.next < len(f.src) && !isSpace(f.src[f.next]) && f.src[f.next] != ',' && f.src[f.next] != '}' && f.src[f.next] != ']' {
		f.next++
	}
	count(f.next - start)
	return f.next > start
}

// composite moves over an object or array.
func (f *finding) composite() bool {
	src, i := f.src, f.next
	for depth := 0; i < len(src); {
		count(1)
		switch c := src[i]; {
		case c == '"':
			i = endOfText(src, i+1)
			continue
		case c < 'Z': // most of what is between strings
		case c|0x20 == '{': // or [
			depth++
		case c|0x20 == '}':
			if depth--; depth == 0 {
				f.next = i + 1
				return true
			}
		}
		i++
	}
	return false
}

// text moves over a string.
func (f *finding) text() bool {
	f.next = endOfText(f.src, f.next+1)
	return f.next <= len(f.src)
}

// endOfText returns the end of the string whose text begins at i: more than the length of
// src if it has none.
func endOfText(src []byte, i int) int {
	for i < len(src) {
		count(1)
		if i+word <= len(src) {
			m := specialBytes(binary.LittleEndian.Uint64(src[i:]))
			if m == 0 {
				count(word - 1)
				i += word
				continue
			}
			n := bits.TrailingZeros64(m) / word
			count(n)
			i += n
		}
		switch src[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
		i++
	}
	return len(src) + 1
}

// Check returns the error that [Document.Read] has for a body as a whole, with the limit of
// items: [ErrNotObject], [ErrTooManyItems] or a [*SyntaxError]. Faults are not looked for.
func Check(body []byte, list string, items int) error {
	x := checking.Get().(*indexer)
	defer checking.Put(x)
	x.reset(body, Limits{Items: items})
	defer x.reset(nil, Limits{})
	x.fault.Kind = ignored
	start, isObject := x.space(0), true
	end := start
	if isObject = x.at(start) == '{'; isObject {
		var err error
		if end, err = x.checkRoot(start, list); err != nil {
			return err
		}
	} else {
		end = x.value(start)
	}
	if !x.failed {
		if end = x.space(end); end < len(body) {
			x.fail(end) // text after the root
		}
	}
	switch {
	case x.failed:
		return explain(body, int64(end))
	case !isObject:
		return ErrNotObject
	}
	return nil
}

// ignored is a fault before all others, so that no names are kept.
const ignored = FaultKind(255)

var checking = sync.Pool{New: func() any { return &indexer{bare: true} }}

// checkRoot moves over the root object, and counts the items of its list.
func (x *indexer) checkRoot(start int, list string) (end int, err error) {
	i := x.open(start)
	for more := x.at(i) != '}'; more; {
		var s span
		if s, i = x.name(i); x.failed {
			return i, nil
		}
		if x.at(i) == '[' && string(x.src[s.nameStart:s.nameEnd]) == list {
			i, err = x.checkItems(i)
		} else {
			i = x.value(i)
		}
		if err != nil || x.failed {
			return i, err
		}
		if i, more = x.next(i); x.failed {
			return i, nil
		}
	}
	return x.close(i), nil
}

func (x *indexer) checkItems(start int) (end int, err error) {
	i, n := x.open(start), 0
	for more := x.at(i) != ']'; more; n++ {
		if x.limits.Items > 0 && n == x.limits.Items {
			return i, ErrTooManyItems
		}
		if i = x.value(i); x.failed {
			return i, nil
		}
		if i, more = x.next(i); x.failed {
			return i, nil
		}
	}
	return x.close(i), nil
}
