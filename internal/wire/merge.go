package wire

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"
	"sync"
)

// This file merges objects, in time linear in the object that gets members and in what is
// written, whatever the names are. The object whose members are given is read once, into a
// table of its names; copying what it gives costs no more than its bytes.

// maxMergeDepth limits how deep objects are merged: so far the table knows their names.
const maxMergeDepth = 4

// AppendMerged appends the object over with those members of the object under that it
// lacks. A member of both is over's, unless both values are objects: those are merged in
// turn, up to four levels deep. Both must be valid and without duplicate names. Their
// text is copied as written. To merge one object under many, use [Defaults].
func AppendMerged(dst, under, over []byte) []byte {
	return AppendMergedNoting(dst, under, over, "", nil)
}

// AppendPreferred is [AppendMerged] in which a value of the object over gives way to that of
// under wherever the function says so.
func AppendPreferred(dst, under, over []byte, givesWay func(own, value []byte) bool) []byte {
	d := defaults.Get().(*Defaults)
	d.Set(under)
	d.Prefer("", givesWay)
	dst, _, _ = d.AppendUnder(dst, over, "")
	d.Reset()
	defaults.Put(d)
	return dst
}

// AppendMergedNoting is [AppendMerged] that calls lost for each value of the object under
// that a different value of over replaces; nil is not called. The path is the one given,
// followed by the names of the objects and of the member, each after a dot; a name that would
// make it longer than 256 bytes is left out. Once the names in the paths are twice as long as
// over, together, all others are left out.
func AppendMergedNoting(dst, under, over []byte, path string, lost func(path string, value []byte)) []byte {
	d := defaults.Get().(*Defaults)
	d.Set(under)
	d.Note(path, lost)
	dst, _, _ = d.AppendUnder(dst, over, "")
	d.Reset()
	defaults.Put(d)
	return dst
}

var defaults = sync.Pool{New: func() any { return new(Defaults) }}

// maxPath is how long a path may be that is reported, unless the first part is longer. Each
// value that is lost has a path of its own.
const maxPath = 256

// Defaults is an object whose members other objects get if they lack them. Its names are
// read by the first of many merges. The zero value has no members.
//
// Its memory is reused. It must not be used concurrently.
type Defaults struct {
	text    []byte
	objects []defaultObject // the object itself first; none before the first merge
	members []defaultMember // in the order of the text
	rewrite []byte          // the names with escapes, without needless ones
	tight   []byte          // the objects that have white space between their members, without
	scratch []byte          // a name of the other object, without needless escapes
	hits    []uint64        // a bit for each member that the other object has, in an object in progress
	left    []int32         // members of the object itself that are left out

	// An open-addressing hash table of the members, as in names.go.
	key     hashKey
	entries []uint64

	lost     func(path string, value []byte) // may be nil
	ownPath  string                          // of the object, for lost
	namePath []byte                          // the names that the path of the object in progress has in addition

	// Whether a value of the other object is replaced by a default: nil for never.
	givesWay  func(own, value []byte) bool
	otherPath string // of the other object, for lost
}

// A defaultObject is an object whose names are known: the first, or one inside of it.
type defaultObject struct {
	text       []byte // from brace to brace, without white space around members
	first, end int32  // its members are among members[first:end], with those of inner ones
}

// A defaultMember is a member of a defaultObject.
type defaultMember struct {
	name       []byte // quoted, without needless escapes
	object     int32  // that it is a member of
	inner      int32  // the object that is its value, 0 if that is none or too deep
	start, end uint32 // where it is in the text of the object, from its name to its value
	value      uint32 // where its value is
	original   uint32 // where its value is in the text of the defaults
}

// Set makes object, which must be valid, the defaults. It is kept until the next call of
// Set or Reset. A nil object has no members.
func (d *Defaults) Set(object []byte) {
	clear(d.objects)
	clear(d.members)
	d.text, d.objects, d.members = object, d.objects[:0], d.members[:0]
	d.rewrite, d.tight, d.left, d.lost = d.rewrite[:0], d.tight[:0], d.left[:0], nil
	d.givesWay = nil
}

// SetInner is [Defaults.Set] for the i-th value of an object, whose members are known. Their
// names are written without needless escapes.
func (d *Defaults) SetInner(of Object, i int, members Object) {
	d.Set(of.Value(i))
	d.objects = append(d.objects, defaultObject{})
	base, end, tight := of.spans[i].start, uint32(1), true
	for k, s := range members.spans {
		count(1)
		start, value := s.nameStart-base, s.start-base
		if tight = tight && s.nameStart&rewritten == 0; !tight {
			start = value // tighten needs only the name
		}
		tight = tight && start == end && s.nameEnd+1 == s.start
		end = s.end - base + 1
		d.members = append(d.members, defaultMember{
			name: members.Name(k), start: start, value: value, end: end - 1, original: value,
		})
		if d.text[value] == '{' {
			at := len(d.members) - 1
			inner := int32(len(d.objects))
			d.add(d.text, int(value), 2)
			d.members[at].inner = inner
		}
	}
	d.objects[0] = defaultObject{text: d.text, end: int32(len(d.members))}
	if !tight || int(end) != len(d.text) {
		d.tighten(0, func(k int) []byte { return d.members[k].name })
	}
	d.makeTable()
}

// maxKeptDefaults is how many members one object may leave memory for to the next one.
const maxKeptDefaults = 1 << 10

// Reset releases the object. Memory is kept for the next one, unless this one was large.
func (d *Defaults) Reset() {
	if len(d.text) > maxKeptDefaults<<4 || cap(d.members) > maxKeptDefaults {
		*d = Defaults{}
	}
	d.Set(nil)
}

// Find returns the value of the member with a plain quoted name, a slice of the object, or
// nil.
func (d *Defaults) Find(quoted string) []byte {
	if d.text == nil {
		return nil
	}
	d.index()
	if k := d.lookup([]byte(quoted), 0); k >= 0 {
		return d.valueOf(k)
	}
	return nil
}

// Note has lost called for values that are replaced, as by [AppendMergedNoting], until the
// next call of Set or Reset.
func (d *Defaults) Note(path string, lost func(path string, value []byte)) {
	d.lost, d.ownPath, d.namePath = lost, path, d.namePath[:0]
}

// Prefer has a value of the other object give way to the one of the defaults wherever the
// function says so, until the next call of Set or Reset. What gave way is reported as
// [Defaults.Note] has it, with the path of the other object, which may be "". Two objects are
// merged without asking.
func (d *Defaults) Prefer(path string, givesWay func(own, value []byte) bool) {
	d.otherPath, d.givesWay = path, givesWay
}

// Leave leaves out the members of the defaults with the given plain quoted names, until the
// next call of Set or Reset.
func (d *Defaults) Leave(quoted ...string) {
	d.index()
	for _, name := range quoted {
		if k := d.lookup([]byte(name), 0); k >= 0 {
			d.left = append(d.left, k)
		}
	}
}

// AppendUnder appends the object over with those members of the defaults that it lacks, as
// [AppendMerged] does. The value of the result's member with a plain quoted name is then
// dst[start:end]; both are 0 if there is none.
func (d *Defaults) AppendUnder(dst, over []byte, quoted string) (_ []byte, start, end int) {
	d.index()
	m := merge{Defaults: d, over: over, wanted: quoted, known: -1, pathRoom: 2 * len(over)}
	if quoted != "" {
		m.known = d.lookup([]byte(quoted), 0)
	}
	dst, _ = m.append(dst, 0, 0)
	return dst, m.start, m.end
}

// index reads the names of the object, unless that is done.
func (d *Defaults) index() {
	if len(d.objects) > 0 {
		return
	}
	if d.text == nil {
		d.text = []byte("{}")
	}
	d.add(d.text, 0, 1)
	d.makeTable()
}

// makeTable makes the table of the members.
func (d *Defaults) makeTable() {
	words := len(d.members)/bitsPerWord + 1
	d.hits = slices.Grow(d.hits[:0], words)[:words]
	clear(d.hits)
	size := 16
	for size < 2*len(d.members) {
		size *= 2
	}
	if size > cap(d.entries) {
		d.entries = make([]uint64, size)
		d.key = newHashKey()
	} else {
		d.entries = d.entries[:size]
		clear(d.entries)
	}
	for k := range d.members {
		m := &d.members[k]
		hash, mask := d.hash(m.name, m.object), uint64(len(d.entries)-1)
		slot := hash & mask
		for d.entries[slot] != 0 {
			count(1)
			slot = (slot + 1) & mask
		}
		d.entries[slot] = hash>>32<<32 | uint64(k+1)
	}
}

// add adds the object at start of a text, which is so many levels deep, and returns where
// it ends.
func (d *Defaults) add(text []byte, start, level int) (end int) {
	object, first := len(d.objects), len(d.members)
	d.objects = append(d.objects, defaultObject{first: int32(first)})
	i := skipSpace(text, start+1)
	tight := i == start+1
	for text[i] != '}' {
		nameEnd := skipString(text, i)
		value := skipColon(text, nameEnd)
		tight = tight && value == nameEnd+1
		k := len(d.members)
		d.members = append(d.members, defaultMember{
			name: d.plain(text[i:nameEnd:nameEnd]), object: int32(object), start: uint32(i - start), value: uint32(value - start),
			original: uint32(value),
		})
		if text[value] == '{' && level < maxMergeDepth {
			d.members[k].inner = int32(len(d.objects))
			end = d.add(text, value, level+1)
		} else {
			end = skipValue(text, value)
			count(end - value)
		}
		d.members[k].end = uint32(end - start)
		count(skipping + (nameEnd-i)/hashed + value - nameEnd)
		i = skipComma(text, end)
		tight = tight && i <= end+1 && !isSpace(text[end])
	}
	d.objects[object].end = int32(len(d.members))
	d.objects[object].text = text[start : i+1 : i+1]
	if !tight {
		d.tighten(int32(object), func(k int) []byte {
			start := start + int(d.members[k].start)
			return text[start:skipString(text, start)]
		})
	}
	return i + 1
}

// plain returns a name without needless escapes.
func (d *Defaults) plain(quoted []byte) []byte {
	if !hasEscape(quoted) {
		return quoted
	}
	start := len(d.rewrite)
	d.rewrite = appendPlain(d.rewrite, quoted)
	return d.rewrite[start:len(d.rewrite):len(d.rewrite)]
}

// tighten replaces the text of an object by one without white space between its members,
// which have the given names.
func (d *Defaults) tighten(object int32, nameOf func(k int) []byte) {
	o := &d.objects[object]
	start := len(d.tight)
	d.tight = append(d.tight, '{')
	for k := o.first; k < o.end; k++ {
		m := &d.members[k]
		if m.object != object {
			continue
		}
		if len(d.tight) > start+1 {
			d.tight = append(d.tight, ',')
		}
		at := len(d.tight) - start
		name := nameOf(int(k))
		d.tight = append(append(append(d.tight, name...), ':'), o.text[m.value:m.end]...)
		m.start, m.value, m.end = uint32(at), uint32(at+len(name)+1), uint32(len(d.tight)-start)
	}
	d.tight = append(d.tight, '}')
	o.text = d.tight[start:len(d.tight):len(d.tight)]
	count(int(o.end-o.first) + len(o.text)/copied)
}

// hash returns the hash of a plain name in an object.
func (d *Defaults) hash(name []byte, object int32) uint64 {
	return d.key.hash(name, uint64(object))
}

// lookup returns the index of an object's member with a plain name, or -1.
func (d *Defaults) lookup(name []byte, object int32) int32 {
	hash, mask := d.hash(name, object), uint64(len(d.entries)-1)
	for slot := hash & mask; d.entries[slot] != 0; slot = (slot + 1) & mask {
		count(1)
		if d.entries[slot]>>32 != hash>>32 {
			continue
		}
		k := int32(uint32(d.entries[slot])) - 1
		if m := &d.members[k]; m.object == object && bytes.Equal(m.name, name) {
			count(1 + len(name)/hashed)
			return k
		}
	}
	return -1
}

// valueOf returns the value of a member, as a slice of the object that was set.
func (d *Defaults) valueOf(k int32) []byte {
	m := &d.members[k]
	end := m.original + m.end - m.value
	return d.text[m.original:end:end]
}

// A merge is one object in the course of getting defaults.
type merge struct {
	*Defaults
	over       []byte
	wanted     string // the name of a member of the result, or ""
	known      int32  // its index among the defaults, or -1
	start, end int    // where its value is in the result
	pathRoom   int    // how many bytes of names the paths of lost values may still have
}

// append appends the object at i of over with the members of one of the defaults' objects,
// and returns where it ends. It moves over the text once: an object inside of it is merged
// on the way.
func (m *merge) append(dst []byte, i int, object int32) (_ []byte, end int) {
	dst = append(dst, '{')
	first, path := len(dst), len(m.namePath)
	for i = skipSpace(m.over, i+1); m.over[i] != '}'; i = skipComma(m.over, i) {
		nameEnd := skipString(m.over, i)
		name := m.over[i:nameEnd]
		value := skipColon(m.over, nameEnd)
		count(skipping + len(name)/hashed + value - nameEnd)
		dst = appendName(dst, first, name)
		start := len(dst)
		if hasEscape(name) {
			m.scratch = appendPlain(m.scratch[:0], name)
			name = m.scratch
		}
		k := m.lookup(name, object)
		if k >= 0 {
			m.hits[k/bitsPerWord] |= 1 << (k % bitsPerWord)
		}
		wanted := object == 0 && m.wanted != "" && string(name) == m.wanted
		if k >= 0 && m.members[k].inner > 0 && m.over[value] == '{' {
			m.enter(name)
			dst, i = m.append(dst, value, m.members[k].inner)
			m.namePath = m.namePath[:path]
		} else {
			i = skipValue(m.over, value)
			own := m.over[value:i]
			if k >= 0 {
				own = m.choose(name, k, own)
			}
			dst = append(dst, own...)
			count(i - value + len(own)/copied)
		}
		if wanted {
			m.start, m.end = start, len(dst)
		}
	}
	if object == 0 {
		for _, k := range m.left {
			m.hits[k/bitsPerWord] |= 1 << (k % bitsPerWord)
		}
	}
	return append(m.appendRest(dst, first, object), '}'), i + 1
}

// bitsPerWord is how many members a word of hits is for.
const bitsPerWord = 64

// appendRest appends the members of a default object except those that the other one has,
// in as few pieces as possible, and forgets which those are.
func (m *merge) appendRest(dst []byte, first int, object int32) []byte {
	o := &m.objects[object]
	count(int(o.end-o.first) / bitsPerWord)
	from := uint32(1)
	for k := m.nextHit(o.first, o.end); k < o.end; k = m.nextHit(k+1, o.end) {
		count(1)
		m.hits[k/bitsPerWord] &^= 1 << (k % bitsPerWord)
		dst = m.appendPiece(dst, first, object, o.text, from, m.members[k].start)
		from = m.members[k].end + 1
	}
	return m.appendPiece(dst, first, object, o.text, from, uint32(len(o.text)))
}

// nextHit returns the first member from k on that the other object has, or end. Those of objects
// inside are forgotten by then.
func (m *merge) nextHit(k, end int32) int32 {
	for k < end {
		if rest := m.hits[k/bitsPerWord] >> (k % bitsPerWord); rest != 0 {
			return min(k+int32(bits.TrailingZeros64(rest)), end)
		}
		k = (k/bitsPerWord + 1) * bitsPerWord
	}
	return end
}

// appendPiece appends the members in the text of an object from one index to before
// another, which is that of the next member or after the closing brace.
func (m *merge) appendPiece(dst []byte, first int, object int32, text []byte, from, to uint32) []byte {
	if from+1 >= to { // the last byte is a comma or the brace
		return dst
	}
	if len(dst) > first {
		dst = append(dst, ',')
	}
	count(1 + int(to-from)/copied)
	if object == 0 && m.known >= 0 {
		if k := &m.members[m.known]; from <= k.start && k.end < to {
			m.start, m.end = len(dst)+int(k.value-from), len(dst)+int(k.end-from)
		}
	}
	return append(dst, text[from:to-1]...)
}

// enter adds a name to the path of the object in progress, for lost.
func (m *merge) enter(plain []byte) {
	if m.lost != nil {
		m.namePath = m.appendName(plain)
	}
}

// appendName appends a name to those of the path, unless that becomes too long. The result
// shares their memory.
func (m *merge) appendName(plain []byte) []byte {
	if len(m.ownPath)+len(m.namePath)+len(plain) > maxPath {
		return m.namePath
	}
	return AppendText(append(m.namePath, '.'), plain)
}

// choose returns a value of the other object, or that of the default in its place.
func (m *merge) choose(plain []byte, k int32, own []byte) []byte {
	if m.givesWay == nil || !m.givesWay(own, m.valueOf(k)) {
		m.reportLost(plain, k, own)
		return own
	}
	if m.lost != nil {
		m.lost(strings.TrimPrefix(m.pathTo(m.otherPath, plain), "."), own)
	}
	return m.valueOf(k)
}

// reportLost reports the value of a default that another value replaces.
func (m *merge) reportLost(plain []byte, k int32, value []byte) {
	if m.lost == nil {
		return
	}
	old := m.valueOf(k)
	if len(old) == len(value) {
		count(len(value) / hashed)
	}
	if !bytes.Equal(old, value) {
		m.lost(m.pathTo(m.ownPath, plain), old)
	}
}

// pathTo returns the path to a member of the object in progress, which begins with that of the
// object that was set or of the other one. A short member may have a long path, so the names in
// all paths together are bounded.
func (m *merge) pathTo(path string, plain []byte) string {
	count(1 + len(path)/copied)
	m.pathRoom -= len(m.namePath) + len(plain)
	if m.pathRoom < 0 {
		return path
	}
	count(len(m.namePath) + len(plain))
	return path + string(m.appendName(plain))
}
