package wire

import "math"

// This file walks over a body that may be anything.
//
// The state of the walk is the index of the next byte, which each method takes and
// returns, and the stack of open objects and arrays. A method moves over one piece of the
// grammar and returns where it ends:
//
//	open   the bracket that opens an object or array, and white space
//	name   a member's name and colon, and white space
//	value  a whole value of any kind
//	next   the comma after an element, and white space; or the end of the list
//	close  the bracket that closes an object or array
//
// At a syntax error a method sets failed and returns where the error is. After that its
// callers return as soon as they can, without moving on; what else the methods return then
// has no meaning. The walk never moves backwards and the stack replaces recursion, so that
// the time and the memory are linear in the body and nesting cannot exhaust the
// goroutine's stack.
//
// What the grammar permits and this package does not, is a fault: nesting and members
// beyond the limits, duplicate names. The first fault of an event is kept and does not
// stop the walk. Not checked here: whether text is valid UTF-8. Surrogates in escapes are
// paired by scan.go, which records unpaired ones.

// An indexer walks over a body once and checks it.
type indexer struct {
	src      []byte
	limits   Limits
	failed   bool     // there was a syntax error, or the meter has refused
	unpaired []uint32 // where the escapes of unpaired surrogates are, ascending
	bare     bool     // nothing is kept of the body
	meter    Meter
	refused  error // of the meter

	itemStart int // where the current item of the list begins

	fault      Fault // the first one of the current event
	members    int   // the members of the current event so far, at all depths
	maxMembers int   // how many it may have
	floor      int   // how many open values are around the current event
	faulty     int   // bytes of the names in faults
	tooDeep    bool  // the root is too deep if the list of events is a part of it

	inner     openValue     // the innermost open value
	stack     []packedValue // those around it, and before them the one that is around the body
	names     []nameKey     // the names of all open objects, those of inner ones last
	rewritten []byte        // the names with escapes, without needless ones
	table     nameTable     // the names of open objects with many

	fingerprint uint64 // of the name that was read last
}

// An openValue is an object or array whose end has not been reached.
type openValue struct {
	first int32  // where its names begin; -1 for an array
	seen  uint64 // the bits of its names, each of which may be that of several: see names.go
}

// A packedValue is an openValue on the stack, in 12 bytes instead of 16: a body may open one
// with each of its bytes.
type packedValue struct {
	first     int32
	low, high uint32 // the halves of seen
}

func (o openValue) packed() packedValue {
	return packedValue{o.first, uint32(o.seen), uint32(o.seen >> 32)}
}

func (p packedValue) open() openValue { return openValue{p.first, uint64(p.high)<<32 | uint64(p.low)} }

// maxNesting is how deep any body may be nested, whatever the limits.
const maxNesting = 10_000

func (x *indexer) reset(src []byte, limits Limits) {
	x.src, x.limits, x.failed, x.unpaired, x.refused = src, limits, false, x.unpaired[:0], nil
	x.fault, x.members, x.floor, x.faulty, x.tooDeep = Fault{}, 0, 0, 0, false
	x.inner, x.stack, x.names, x.rewritten = openValue{}, x.stack[:0], x.names[:0], x.rewritten[:0]
	x.table.reset()
	if x.maxMembers = limits.Members; x.maxMembers == 0 {
		x.maxMembers = math.MaxInt
	}
}

// outerEvent is the state of an indexer outside of an event.
type outerEvent struct {
	floor, members int
	fault          Fault
}

// beginEvent starts to count for an event within the open values. It returns what
// endEvent needs.
func (x *indexer) beginEvent() outerEvent {
	outer := outerEvent{x.floor, x.members, x.fault}
	x.floor, x.members, x.fault = len(x.stack), 0, Fault{}
	return outer
}

// endEvent continues to count for what is around the event.
func (x *indexer) endEvent(outer outerEvent) {
	x.floor, x.members, x.fault = outer.floor, outer.members, outer.fault
}

// fail records a syntax error at i.
func (x *indexer) fail(i int) int {
	x.failed = true
	return i
}

// at returns the byte at i. After the end it is 0, which is valid nowhere.
func (x *indexer) at(i int) byte {
	if i < len(x.src) {
		return x.src[i]
	}
	return 0
}

// space moves over white space. Most bytes are not, which the first comparison decides.
func (x *indexer) space(i int) int {
	for i < len(x.src) && x.src[i] <= ' ' && isSpace(x.src[i]) {
		i++
	}
	return i
}

// open opens the object or array at i and moves to its content.
func (x *indexer) open(i int) int {
	if len(x.stack) >= maxNesting {
		return x.fail(i)
	}
	if x.limits.Depth > 0 && len(x.stack) >= x.limits.Depth {
		x.deepen()
	}
	if len(x.stack) == cap(x.stack) && !x.growStack(i) {
		return i
	}
	x.stack = append(x.stack, x.inner.packed())
	x.inner = openValue{first: -1}
	if x.src[i] == '{' {
		x.inner.first = int32(len(x.names))
	}
	return x.space(i + 1)
}

// growStack makes room for the value that opens at i and more. It returns false if that was
// refused.
func (x *indexer) growStack(i int) bool {
	x.stack = outgrown(x, x.stack, i, 1)
	return !x.failed
}

// deepen notes that a value opens which is too deep for the root, and maybe for the event.
func (x *indexer) deepen() {
	x.tooDeep = true
	if len(x.stack)-x.floor >= x.limits.Depth && x.fault.Kind == None {
		x.fault = Fault{Kind: TooDeep}
	}
}

// close closes the innermost object or array, whose last byte is at i, and forgets its
// names.
func (x *indexer) close(i int) int {
	if first := x.inner.first; first >= 0 {
		if x.table.used > 0 {
			x.table.remove(x.names, int(first))
		}
		x.names = x.names[:first]
	}
	last := len(x.stack) - 1
	x.inner, x.stack = x.stack[last].open(), x.stack[:last]
	return i + 1
}

// inObject reports whether the innermost open value is an object.
func (x *indexer) inObject() bool { return x.inner.first >= 0 }

// closer returns the bracket that closes the innermost open value.
func (x *indexer) closer() byte {
	if x.inObject() {
		return '}'
	}
	return ']'
}

// next moves from the end of an element to the next one; more is false at the bracket
// that closes the list. After a comma it does not look for that bracket: that an element
// is missing there is for name or value to find out.
func (x *indexer) next(i int) (at int, more bool) {
	if i+1 < len(x.src) && x.src[i] == ',' && x.src[i+1] > ' ' { // most often
		return i + 1, true
	}
	i = x.space(i)
	switch x.at(i) {
	case ',':
		return x.space(i + 1), true
	case x.closer():
		return i, false
	}
	return x.fail(i), false
}

// name reads the name at i of a member of the innermost object, checks that it is new, and
// moves to its value.
func (x *indexer) name(i int) (s span, value int) {
	src := x.src
	if x.at(i) != '"' {
		return s, x.fail(i)
	}
	end, fingerprint, found := scanPlain(src, i+1)
	count(end - i)
	escaped := false
	if found && src[end] == '"' {
		end++
	} else if end, fingerprint, escaped = x.scanTail(end, fingerprint); x.failed {
		return s, end
	}
	s.nameStart, s.nameEnd = uint32(i), uint32(end)
	if escaped && !x.bare {
		if s.nameStart, s.nameEnd, fingerprint = x.rewrite(src[i:end]); x.failed {
			return s, end
		}
	}
	x.fingerprint = fingerprint
	if x.fault.Kind == None { // a second fault does not matter
		count(1) // for its bit
		x.members++
		key, n := uint32(fingerprint>>32), len(x.names)
		if bit := bitOf(key); x.inner.seen&bit == 0 && x.members <= x.maxMembers && n < cap(x.names) { // most often
			count(1)
			x.inner.seen |= bit
			x.names = x.names[:n+1]
			k := &x.names[n] // field by field: a copy of a nameKey waits for what was just written
			k.key, k.start, k.end = key, s.nameStart, s.nameEnd
		} else {
			x.addName(nameKey{key, s.nameStart, s.nameEnd})
		}
	}
	if end+1 < len(src) && src[end] == ':' && src[end+1] > ' ' { // most often
		return s, end + 1
	}
	if end = x.space(end); x.at(end) != ':' {
		return s, x.fail(end)
	}
	return s, x.space(end + 1)
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

// composite moves over the object or array at i and everything in it.
//
// Each turn of the outer loop moves over one value: it opens an object or array, or skips
// a scalar. A value that was opened continues with its first element. One that is complete
// may complete those around it, which the inner loop closes, up to an element that
// follows or to the end of the first object or array.
func (x *indexer) composite(i int) (end int) {
	src, bottom := x.src, len(x.stack)
	for !x.failed {
		count(2) // the value's first byte, and what separates it from the next one
		switch c := x.at(i); c {
		case '"':
			i = x.skipString(i)
		case '{', '[':
			var elements bool
			if i, elements = x.begin(i, c); elements {
				continue
			}
		default:
			i = x.scalar(i)
		}
		for more := false; !more; {
			if x.failed || len(x.stack) == bottom {
				return i
			}
			if i+1 < len(src) && src[i] == ',' && src[i+1] > ' ' { // most often
				i, more = i+1, true
			} else if i, more = x.next(i); !more && !x.failed {
				i = x.close(i)
			}
		}
		if x.inObject() && !x.failed {
			_, i = x.name(i)
		}
	}
	return i
}

// begin opens the object or array at i, which c begins, and moves to its first element. One that
// has none is closed again.
func (x *indexer) begin(i int, c byte) (at int, elements bool) {
	i = x.open(i)
	switch {
	case x.failed:
	case x.at(i) == c+2: // its closing bracket
		return x.close(i), false
	case c == '{':
		_, i = x.name(i)
	}
	return i, true
}
