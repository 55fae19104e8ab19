package wire

import (
	"bytes"
	"hash/maphash"

	"github.com/go-json-experiment/json/jsontext"
)

// An indexer walks text that is known to be valid JSON and looks for what the
// grammar allows and we do not: depth, many members, names that stand twice in
// one object. It is one linear pass, whatever the text.
type indexer struct {
	src    []byte
	limits Limits

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

// manyNames is from how many names on an object's are looked up in a table:
// below, comparing prints one by one is faster.
const manyNames = 32

func (x *indexer) reset(src []byte, limits Limits) {
	x.src, x.limits = src, limits
	x.fault, x.members, x.floor = Fault{}, 0, 0
	x.opened, x.names, x.rewritten = x.opened[:0], x.names[:0], x.rewritten[:0]
	x.large.clear()
}

// begin starts a new event inside of what is open and returns what end needs.
func (x *indexer) begin() (outer event) {
	outer = event{len(x.opened), len(x.names), x.floor}
	x.floor, x.members, x.fault = len(x.opened), 0, Fault{}
	return outer
}

// end forgets the event and its fault.
func (x *indexer) end(outer event) {
	x.opened, x.names = x.opened[:outer.open], x.names[:outer.names]
	x.floor, x.fault = outer.floor, Fault{}
}

// event is the state of an indexer around an event.
type event struct{ open, names, floor int }

// open enters an object or array; it reports false if that is too deep.
func (x *indexer) open(bracket byte) bool {
	if x.limits.Depth > 0 && len(x.opened)-x.floor >= x.limits.Depth {
		x.fault = Fault{Kind: TooDeep}
		return false
	}
	first := int32(-1)
	if bracket == '{' {
		first = int32(len(x.names))
	}
	x.opened = append(x.opened, first)
	return true
}

// close leaves the innermost object or array.
func (x *indexer) close() {
	last := len(x.opened) - 1
	if first := x.opened[last]; first >= 0 {
		x.names = x.names[:first]
	}
	x.opened = x.opened[:last]
}

// name reads the name at i of a member of the innermost object, notes it, and
// returns where it stands and where its value begins.
func (x *indexer) name(i int) (p place, value int) {
	end, print, escaped := scanString(x.src, i)
	p.nameStart, p.nameEnd = x.noteName(i, end, print, escaped)
	return p, skipSpace(x.src, skipSpace(x.src, end)+1) // over the colon
}

// noteName notes the name that stands from i to end, and returns its place.
func (x *indexer) noteName(i, end int, print uint64, escaped bool) (from, to uint32) {
	from, to = uint32(i), uint32(end)
	if escaped {
		from, to = x.rewrite(x.src[i:end])
		_, print, _ = scanString(x.rewritten, int(from&^rewritten))
	}
	x.note(nameKey{print, from, to})
	return from, to
}

// rewrite unquotes a name and quotes it again, so that names that say the same
// look the same.
func (x *indexer) rewrite(quoted []byte) (from, to uint32) {
	start := len(x.rewritten)
	x.plain, _ = jsontext.AppendUnquote(x.plain[:0], quoted)
	x.rewritten, _ = jsontext.AppendQuote(x.rewritten, x.plain)
	return uint32(start) | rewritten, uint32(len(x.rewritten))
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

// value checks the value at i and returns its end. It stops early at a fault.
func (x *indexer) value(i int) (end int) {
	switch x.src[i] {
	case '"':
		return stringEnd(x.src, i)
	case '{', '[':
		return x.composite(i)
	}
	return scalarEnd(x.src, i)
}

// composite checks the object or array at i and all that is in it.
func (x *indexer) composite(i int) (end int) {
	src, bottom := x.src, len(x.opened)
	atName := false // the next string is a name
	for i < len(src) {
		switch c := src[i]; c {
		case '"':
			if !atName {
				i = stringEnd(src, i)
				continue
			}
			end, print, escaped := scanString(src, i)
			x.noteName(i, end, print, escaped)
			if x.fault.Kind != None {
				return end
			}
			atName = false
			i = end
			continue
		case '{', '[':
			if !x.open(c) {
				return i
			}
			atName = c == '{'
		case '}', ']':
			x.close()
			if len(x.opened) == bottom {
				return i + 1
			}
			atName = false
		case ',':
			atName = x.opened[len(x.opened)-1] >= 0
		}
		i++
	}
	return i
}

// nameTable finds a name among those of the open objects with many: open
// addressing, entries of 32 bits of a keyed hash and the index of the name
// plus one. Entries of objects that are closed are left behind; they do no harm,
// as what an entry points to is always compared.
type nameTable struct {
	seed    maphash.Seed
	entries []uint64
	used    int
}

const smallestTable = 1 << 10

func (t *nameTable) clear() {
	if t.used > 0 {
		clear(t.entries)
		t.used = 0
	}
}

// has reports whether the object whose names begin at first has the name.
func (t *nameTable) has(x *indexer, first int, text []byte) bool {
	hash := maphash.Bytes(t.seed, text)
	mask := uint64(len(t.entries) - 1)
	for slot := hash & mask; t.entries[slot] != 0; slot = (slot + 1) & mask {
		if t.entries[slot]>>32 != hash>>32 {
			continue
		}
		i := int(uint32(t.entries[slot])) - 1
		if i < first || i >= len(x.names) {
			continue
		}
		if k := &x.names[i]; bytes.Equal(x.text(k.start, k.end), text) {
			return true
		}
	}
	return false
}

// add puts the i-th of all open names into the table.
func (t *nameTable) add(x *indexer, i int) {
	if t.used*2 >= len(t.entries) {
		t.rebuild(x, i)
	}
	k := &x.names[i]
	hash := maphash.Bytes(t.seed, x.text(k.start, k.end))
	mask := uint64(len(t.entries) - 1)
	slot := hash & mask
	for t.entries[slot] != 0 {
		slot = (slot + 1) & mask
	}
	t.entries[slot] = hash>>32<<32 | uint64(i+1)
	t.used++
}

// rebuild makes room: it forgets the entries of closed objects and keeps the
// names below i, in a table that they fill to a quarter at most.
func (t *nameTable) rebuild(x *indexer, i int) {
	size := max(smallestTable, len(t.entries))
	for size < 4*(i+1) {
		size *= 2
	}
	if size == len(t.entries) {
		clear(t.entries)
	} else {
		t.entries = make([]uint64, size)
		t.seed = maphash.MakeSeed()
	}
	t.used = 0
	for j := range i {
		t.add(x, j)
	}
}
