package wire

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// An indexer walks a body once. It checks the grammar and, on the way, what the
// grammar allows and we do not: depth, many members, names that stand twice in
// one object. Its work is linear in the text, whatever that is.
//
// The methods that move over a piece of text return where it ends. At a syntax
// error they set failed, and return where it is; what they return after that
// means nothing. A fault does not stop them: the text behind it must be valid,
// too.
type indexer struct {
	src    []byte
	limits Limits
	failed bool
	broken bool // there was half a surrogate pair

	fault   Fault
	members int // names of the current event so far
	floor   int // open values that are not part of the current event

	opened    []int32   // for each open value, where its names begin; -1 for an array
	names     []nameKey // the names of all open objects, the inner ones last
	rewritten []byte    // names that were escaped, quoted again without need
	plain     []byte    // scratch for them
	large     nameTable // the names of open objects that have many
}

// nameKey is a name of an open object. The print tells most names apart without
// a look at their text.
type nameKey struct {
	print      uint64
	start, end uint32
}

const (
	// manyNames is from how many names on an object's are looked up in a table:
	// below, comparing prints one by one is faster.
	manyNames = 32
	// deepest is how deep any body may be nested, as a limit of last resort.
	deepest = 10_000
)

func (x *indexer) reset(src []byte, limits Limits) {
	x.src, x.limits, x.failed, x.broken = src, limits, false, false
	x.fault, x.members, x.floor = Fault{}, 0, 0
	x.opened, x.names, x.rewritten = x.opened[:0], x.names[:0], x.rewritten[:0]
	x.large.clear()
}

// outerEvent is the state of an indexer around an event.
type outerEvent struct {
	floor, members int
	fault          Fault
}

// begin starts a new event inside of what is open and returns what end needs.
func (x *indexer) begin() outerEvent {
	outer := outerEvent{x.floor, x.members, x.fault}
	x.floor, x.members, x.fault = len(x.opened), 0, Fault{}
	return outer
}

// end goes back to what was around the event.
func (x *indexer) end(outer outerEvent) {
	x.floor, x.members, x.fault = outer.floor, outer.members, outer.fault
}

// fail notes a syntax error at i.
func (x *indexer) fail(i int) int {
	x.failed = true
	return i
}

// at returns the byte at i, 0 behind the end: a byte that is valid nowhere.
func (x *indexer) at(i int) byte {
	if i < len(x.src) {
		return x.src[i]
	}
	return 0
}

// space moves over white space.
func (x *indexer) space(i int) int {
	for i < len(x.src) && x.src[i] <= ' ' && isSpace(x.src[i]) {
		i++
	}
	return i
}

// open enters the object or array at i and moves to what is in it.
func (x *indexer) open(i int) int {
	if len(x.opened) >= deepest {
		return x.fail(i)
	}
	if x.limits.Depth > 0 && len(x.opened)-x.floor >= x.limits.Depth && x.fault.Kind == None {
		x.fault = Fault{Kind: TooDeep}
	}
	first := int32(-1)
	if x.src[i] == '{' {
		first = int32(len(x.names))
	}
	x.opened = append(x.opened, first)
	return x.space(i + 1)
}

// close leaves the innermost object or array, whose last byte is at i.
func (x *indexer) close(i int) int {
	last := len(x.opened) - 1
	if first := x.opened[last]; first >= 0 {
		x.names = x.names[:first]
	}
	x.opened = x.opened[:last]
	return i + 1
}

// inObject reports whether the innermost open value is an object.
func (x *indexer) inObject() bool { return x.opened[len(x.opened)-1] >= 0 }

// closer is the bracket that closes the innermost open value.
func (x *indexer) closer() byte {
	if x.inObject() {
		return '}'
	}
	return ']'
}

// next moves from the end of an element to the next one; more is false at the
// bracket that closes the list.
func (x *indexer) next(i int) (at int, more bool) {
	i = x.space(i)
	switch x.at(i) {
	case ',':
		return x.space(i + 1), true
	case x.closer():
		return i, false
	}
	return x.fail(i), false
}

// name reads the name at i of a member of the innermost object, notes it, and
// moves to its value.
func (x *indexer) name(i int) (p place, value int) {
	if x.at(i) != '"' {
		return p, x.fail(i)
	}
	end, print, escaped := x.scanString(i)
	if x.failed {
		return p, end
	}
	p.nameStart, p.nameEnd = uint32(i), uint32(end)
	if escaped {
		p.nameStart, p.nameEnd, print = x.rewrite(x.src[i:end])
	}
	if x.fault.Kind == None {
		x.note(nameKey{print, p.nameStart, p.nameEnd})
	}
	if end = x.space(end); x.at(end) != ':' {
		return p, x.fail(end)
	}
	return p, x.space(end + 1)
}

// value moves over the value at i, of any kind.
func (x *indexer) value(i int) (end int) {
	switch c := x.at(i); c {
	case '"':
		return x.skipString(i)
	case '{', '[':
		return x.composite(i)
	}
	return x.scalar(i)
}

// composite moves over the object or array at i.
func (x *indexer) composite(i int) (end int) {
	bottom := len(x.opened)
	for !x.failed {
		switch x.at(i) {
		case '{', '[':
			if i = x.open(i); x.failed {
				return i
			}
			if x.at(i) != x.closer() {
				if x.inObject() {
					_, i = x.name(i)
				}
				continue
			}
			i = x.close(i)
		case '"':
			i = x.skipString(i)
		default:
			i = x.scalar(i)
		}
		for more := false; !more && !x.failed; {
			if len(x.opened) == bottom {
				return i
			}
			if i, more = x.next(i); !more && !x.failed {
				i = x.close(i)
			} else if more && x.inObject() {
				_, i = x.name(i)
			}
		}
	}
	return i
}

// rewrite unquotes a name and quotes it again, so that names that say the same
// look the same.
func (x *indexer) rewrite(quoted []byte) (from, to uint32, print uint64) {
	start := len(x.rewritten)
	x.plain, _ = jsontext.AppendUnquote(x.plain[:0], quoted)
	x.rewritten, _ = jsontext.AppendQuote(x.rewritten, x.plain)
	return uint32(start) | rewritten, uint32(len(x.rewritten)), printOf(x.rewritten[start:])
}

// text returns a name as its place says.
func (x *indexer) text(start, end uint32) []byte {
	if start&rewritten != 0 {
		return x.rewritten[start&^rewritten : end]
	}
	return x.src[start:end]
}

// note adds a name to the innermost object, and a fault if it stands there
// already or is one too many.
func (x *indexer) note(key nameKey) {
	if x.members++; x.limits.Members > 0 && x.members > x.limits.Members {
		x.fault = Fault{Kind: TooManyMembers}
		return
	}
	first := int(x.opened[len(x.opened)-1])
	if x.seen(first, key) {
		x.fault = Fault{Kind: Duplicate, Name: Text(x.text(key.start, key.end))}
		return
	}
	x.names = append(x.names, key)
	if n := len(x.names) - first; n >= manyNames {
		x.remember(first, n)
	}
}

// seen reports whether the object whose names begin at first has the name.
func (x *indexer) seen(first int, key nameKey) bool {
	if len(x.names)-first >= manyNames {
		return x.large.has(x, first, x.text(key.start, key.end))
	}
	for i := range x.names[first:] {
		if k := &x.names[first+i]; k.print == key.print && x.same(*k, key) {
			return true
		}
	}
	return false
}

func (x *indexer) same(a, b nameKey) bool {
	return bytes.Equal(x.text(a.start, a.end), x.text(b.start, b.end))
}

// remember puts the newest name of an object with n names into the table, or
// all of them if it has just become one with many.
func (x *indexer) remember(first, n int) {
	from := len(x.names) - 1
	if n == manyNames {
		from = first
	}
	for i := from; i < len(x.names); i++ {
		x.large.add(x, i)
	}
}
