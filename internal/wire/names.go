package wire

import (
	"bytes"
	"hash/maphash"

	"github.com/go-json-experiment/json/jsontext"
)

// This file finds names that occur twice in one object, in time linear in the body.
//
// The names of all open objects are on one stack, indexer.names; those of the innermost
// object are the last ones. Two ways to find a name among them:
//
// In an object with few names, its fingerprint is compared to that of each of the others.
// The fingerprint is a by-product of scanning the string, so the texts are compared only
// when two names are probably equal. Names with equal fingerprints can be made on purpose,
// but with fewer than minTableNames of them that costs a constant factor.
//
// From minTableNames names on, an object's names are in a hash table. Its hash has a seed
// that a client cannot know, so collisions cannot be made on purpose. One table serves all
// open objects.

// A nameKey is a name of an open object.
type nameKey struct {
	fingerprint uint64
	start, end  uint32 // as in a span
}

// minTableNames is how many names an object has when they move to the table: with fewer,
// comparing fingerprints one by one is faster.
const minTableNames = 32

// rewrite unquotes a name with escapes and quotes it again, so that names with the same
// text have the same bytes and the same fingerprint.
func (x *indexer) rewrite(quoted []byte) (from, to uint32, fingerprint uint64) {
	start := len(x.rewritten)
	x.plain, _ = jsontext.AppendUnquote(x.plain[:0], quoted)
	x.rewritten, _ = jsontext.AppendQuote(x.rewritten, x.plain)
	return uint32(start) | rewritten, uint32(len(x.rewritten)), fingerprintOf(x.rewritten[start:])
}

// text returns a quoted name by the positions in its span.
func (x *indexer) text(start, end uint32) []byte {
	if start&rewritten != 0 {
		return x.rewritten[start&^rewritten : end]
	}
	return x.src[start:end]
}

// addName adds a name to the innermost object. It is a fault if the object has the name
// already, or the event too many members.
func (x *indexer) addName(key nameKey) {
	if x.members++; x.limits.Members > 0 && x.members > x.limits.Members {
		x.fault = Fault{Kind: TooManyMembers}
		return
	}
	first := int(x.stack[len(x.stack)-1])
	if x.hasName(first, key) {
		x.fault = Fault{Kind: Duplicate, Name: Text(x.text(key.start, key.end))}
		return
	}
	x.names = append(x.names, key)
	if n := len(x.names) - first; n >= minTableNames {
		x.addToTable(first, n)
	}
}

// hasName reports whether the object whose names begin at first has the name.
func (x *indexer) hasName(first int, key nameKey) bool {
	if len(x.names)-first >= minTableNames {
		return x.table.has(x, first, x.text(key.start, key.end))
	}
	for i := range x.names[first:] {
		if k := &x.names[first+i]; k.fingerprint == key.fingerprint && x.equal(*k, key) {
			return true
		}
	}
	return false
}

func (x *indexer) equal(a, b nameKey) bool {
	return bytes.Equal(x.text(a.start, a.end), x.text(b.start, b.end))
}

// addToTable adds the newest name of an object with n names to the table, or all of them
// if it has just reached minTableNames.
func (x *indexer) addToTable(first, n int) {
	from := len(x.names) - 1
	if n == minTableNames {
		from = first
	}
	for i := from; i < len(x.names); i++ {
		x.table.add(x, i)
	}
}

// A nameTable finds a name among those of the open objects with many. It is a hash table
// with open addressing and linear probing. An entry has the upper 32 bits of a name's hash
// and, in the lower 32 bits, the index of the name plus one; 0 is a free slot.
//
// When an object is closed its entries stay, since removing them would cost as much as
// adding them. They do no harm: an entry is only a hint where a name may be, and the name
// that is there now is always compared. Growing the table drops them.
type nameTable struct {
	seed    maphash.Seed
	entries []uint64 // the length is a power of two
	used    int      // entries that are not free, including those of closed objects
}

const minTableSize = 1 << 10

func (t *nameTable) clear() {
	if t.used > 0 {
		clear(t.entries)
		t.used = 0
	}
}

// has reports whether the object whose names begin at first has the name. A name of an
// object around it is at an index below first, so it does not count.
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

// add adds the i-th of all open names. At least half of the slots stay free, so a probe
// ends soon.
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

// rebuild drops the entries of closed objects and keeps the names below i, in a table of
// which they fill a quarter at most. So the next rebuild comes only after as many names
// again were added, which makes the cost of rebuilding linear in the names.
func (t *nameTable) rebuild(x *indexer, i int) {
	size := max(minTableSize, len(t.entries))
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
