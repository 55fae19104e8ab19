package wire

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

	fault   Fault // the first one of the current event
	members int   // the members of the current event so far, at all depths
	floor   int   // how many open values are around the current event
	faulty  int   // bytes of the names in faults
	tooDeep bool  // the root is too deep if the list of events is a part of it

	stack     []int32   // an entry per open value: where its names begin; -1 for an array
	names     []nameKey // the names of all open objects, those of inner ones last
	rewritten []byte    // the names with escapes, without needless ones
	table     nameTable // the names of open objects with many

	fingerprint uint64 // of the name that was read last
}

// maxNesting is how deep any body may be nested, whatever the limits.
const maxNesting = 10_000

func (x *indexer) reset(src []byte, limits Limits) {
	x.src, x.limits, x.failed, x.unpaired, x.refused = src, limits, false, x.unpaired[:0], nil
	x.fault, x.members, x.floor, x.faulty, x.tooDeep = Fault{}, 0, 0, 0, false
	x.stack, x.names, x.rewritten = x.stack[:0], x.names[:0], x.rewritten[:0]
	x.table.reset()
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
	first := int32(-1)
	if x.src[i] == '{' {
		first = int32(len(x.names))
	}
	if len(x.stack) == cap(x.stack) && !x.growStack(i) {
		return i
	}
	x.stack = append(x.stack, first)
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
	last := len(x.stack) - 1
	if first := x.stack[last]; first >= 0 {
		if x.table.used > 0 {
			x.table.remove(x.names, int(first))
		}
		x.names = x.names[:first]
	}
	x.stack = x.stack[:last]
	return i + 1
}

// inObject reports whether the innermost open value is an object.
func (x *indexer) inObject() bool { return x.stack[len(x.stack)-1] >= 0 }

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
	if x.at(i) != '"' {
		return s, x.fail(i)
	}
	end, fingerprint, escaped := x.scanString(i)
	if x.failed {
		return s, end
	}
	s.nameStart, s.nameEnd = uint32(i), uint32(end)
	if escaped && !x.bare {
		if s.nameStart, s.nameEnd, fingerprint = x.rewrite(x.src[i:end]); x.failed {
			return s, end
		}
	}
	x.fingerprint = fingerprint
	if x.fault.Kind == None { // a second fault does not matter
		x.addName(nameKey{uint32(fingerprint >> 32), s.nameStart, s.nameEnd})
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
	bottom := len(x.stack)
	for !x.failed {
		count(2) // the value's first byte, and what separates it from the next one
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
			if len(x.stack) == bottom {
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
