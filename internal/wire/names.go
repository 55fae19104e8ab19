package wire

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"unicode/utf8"
)

// This file finds names that occur twice in one object, in time linear in the body.
//
// The names of all open objects are on one stack, indexer.names; those of the innermost
// object are the last ones. Three steps find a name among them, and most names need only the
// first:
//
// A name has one of 64 bits, by its fingerprint, which is a by-product of scanning the
// string. A name whose bit no other name of the object has is new.
//
// Else, in an object with few names, its fingerprint is compared to that of each of the
// others, and the texts are compared only when two names are probably equal. Names with
// equal fingerprints can be made on purpose: the first such pair moves the object's names to
// the table.
//
// There all names of an object are once it has minTableNames and two with the same bit. The
// table's hash has a seed that a client cannot know, so collisions cannot be made on purpose.
// One table serves all open objects.

// A nameKey is a name of an open object.
type nameKey struct {
	key        uint32 // of its fingerprint or, in the table, of its hash
	start, end uint32 // as in a span; the highest bit of the end is inTable
}

// inTable marks a name that is in the table. All names of an object are, or none.
const inTable = 1 << 31

func (k *nameKey) isInTable() bool { return k.end&inTable != 0 }

// bitOf returns the bit of a key in openValue.seen.
func bitOf(key uint32) uint64 { return 1 << (key % 64) }

// allBits are the bits of an object whose names are in the table: each is looked for there.
const allBits = ^uint64(0)

// minTableNames is how many names an object has at least when they move to the table: with
// fewer, comparing fingerprints one by one is faster.
const minTableNames = 16

// rewrite unquotes a name with escapes and quotes it again, so that names with the same
// text have the same bytes and the same fingerprint.
func (x *indexer) rewrite(quoted []byte) (from, to uint32, fingerprint uint64) {
	if x.rewritten = roomFor(x, x.rewritten, len(quoted)); x.failed { // it becomes no longer
		return 0, 0, 0
	}
	start := len(x.rewritten)
	x.rewritten = appendPlain(x.rewritten, quoted)
	return uint32(start) | rewritten, uint32(len(x.rewritten)), fingerprintOf(x.rewritten[start:])
}

// appendPlain appends a valid quoted string without needless escapes, as [AppendString]
// writes its text. An unpaired surrogate becomes U+FFFD.
func appendPlain(dst, quoted []byte) []byte {
	dst = append(dst, '"')
	for i, end := 1, len(quoted)-1; i < end; {
		if quoted[i] != '\\' {
			plain := bytes.IndexByte(quoted[i:end], '\\')
			if plain < 0 {
				plain = end - i
			}
			dst = append(dst, quoted[i:i+plain]...)
			count(1 + plain/hashed)
			i += plain
			continue
		}
		count(2)
		switch c := quoted[i+1]; c {
		case 'u':
			r, _ := unicodeEscape(quoted[i:])
			n := unicodeLength
			switch {
			case ' ' <= r && r < utf8.RuneSelf && r != '"' && r != '\\': // most often
				dst = append(dst, byte(r))
			case 0xD800 <= r && r <= 0xDFFF:
				r, n = escapedRune(quoted[i:])
				fallthrough
			default:
				dst = appendPlainRune(dst, r)
			}
			i += n
			count(n - 2)
			continue
		case '/':
			dst = append(dst, '/')
		default:
			dst = append(dst, '\\', c)
		}
		i += 2
	}
	return append(dst, '"')
}

// escapedRune returns the character of a valid escape \uXXXX, or of two of them, and their
// length. An unpaired surrogate is U+FFFD.
func escapedRune(text []byte) (r rune, length int) {
	length, paired := escape(text)
	switch r, _ = unicodeEscape(text); {
	case !paired:
		r = utf8.RuneError
	case length > unicodeLength:
		low, _ := unicodeEscape(text[unicodeLength:])
		r = (r-0xD800)<<10 | (low - 0xDC00) + 0x10000
	}
	return r, length
}

// appendPlainRune appends a character of a string, escaped only if it must be.
func appendPlainRune(dst []byte, r rune) []byte {
	const short = "\b\t\n\f\r" // with escapes of one letter
	const letters = "btnfr"
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case r >= ' ':
		return utf8.AppendRune(dst, r)
	}
	for i := range len(short) {
		if rune(short[i]) == r {
			return append(dst, '\\', letters[i])
		}
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
}

// text returns a quoted name by the positions in its span.
func (x *indexer) text(start, end uint32) []byte {
	if start&rewritten != 0 {
		return x.rewritten[start&^rewritten : end]
	}
	return x.src[start:end]
}

// addName adds a name to the innermost object that may not be new, is one too many, or needs
// memory; indexer.name adds all others. It is a fault if the object has the name already, or the
// event too many members.
func (x *indexer) addName(key nameKey) {
	switch bit := bitOf(key.key); {
	case x.members > x.maxMembers:
		x.fault = Fault{Kind: TooManyMembers}
	case x.inner.seen&bit != 0:
		x.addToMany(int(x.inner.first), key)
	case x.growNames(key):
		x.inner.seen |= bit
		x.names = append(x.names, key)
	}
}

// growNames makes room for a name and more. It returns false if that was refused.
func (x *indexer) growNames(key nameKey) bool {
	// A rewritten name is at least as far from the beginning of the body as of its buffer.
	x.names = outgrown(x, x.names, int(key.start&^rewritten), minMember)
	return !x.failed
}

// addToMany adds a name to an object one of whose names has its bit.
func (x *indexer) addToMany(first int, key nameKey) {
	if len(x.names) == cap(x.names) && !x.growNames(key) {
		return
	}
	last := len(x.names)
	x.names = append(x.names, key)
	isInTable := x.names[first].isInTable()
	twice, collides := false, false
	if !isInTable {
		twice, collides = x.compare(first, last)
	}
	switch {
	case twice:
	case isInTable:
		twice = x.table.add(x, first, last)
	case collides, last-first >= minTableNames-1:
		x.inner.seen = allBits
		for i := first; i <= last && !x.failed; i++ {
			x.table.add(x, first, i)
		}
	}
	if twice {
		x.names = x.names[:last]
		x.duplicate(x.text(key.start, key.end))
	}
}

// duplicate is the fault of an object that has a name twice. The copy of the name takes up to a
// quarter more than its length: memory is made in steps.
func (x *indexer) duplicate(name []byte) {
	size := len(name) + len(name)/4
	if !x.reserve(int64(size)) {
		x.failed = true
		return
	}
	x.faulty += size
	x.fault = Fault{Kind: Duplicate, Name: Text(name)}
}

// compare compares the last name to those of its object before it. It reports whether one
// is equal, or else whether one has the same key.
func (x *indexer) compare(first, last int) (twice, collides bool) {
	count(last - first)
	key := &x.names[last]
	for i := range x.names[first:last] {
		if k := &x.names[first+i]; k.key == key.key {
			if x.equal(k, key) {
				return true, false
			}
			collides = true
		}
	}
	return false, collides
}

func (x *indexer) equal(a, b *nameKey) bool {
	textA, textB := x.text(a.start, a.end&^inTable), x.text(b.start, b.end&^inTable)
	if len(textA) != len(textB) {
		return false
	}
	count(1 + len(textA)/hashed)
	return bytes.Equal(textA, textB)
}

// A nameTable finds a name among those of the open objects with many. It is a hash table
// with open addressing and linear probing. An entry is the index of the name plus one; 0 is a
// free slot. At least a quarter of the slots stay free, so a probe ends soon.
//
// Objects are closed in the reverse of the order in which they were opened. So the entries
// of an object that is closed are the newest ones, and freeing their slots, the newest
// first, leaves the table as it was before they were added.
type nameTable struct {
	key     hashKey
	entries []uint32 // the length is a power of two
	used    int
}

const minTableSize = 1 << 10

// slot returns where the i-th name, which has the hash, is, or the free slot for it.
func (t *nameTable) slot(hash uint32, i int) uint32 {
	mask := uint32(len(t.entries) - 1)
	slot := hash & mask
	for ; t.entries[slot] != 0 && t.entries[slot] != uint32(i+1); slot = (slot + 1) & mask {
		count(1)
	}
	return slot
}

// remove removes the names of the innermost object, which begin at first.
func (t *nameTable) remove(names []nameKey, first int) {
	for i := len(names) - 1; i >= first && names[i].isInTable(); i-- {
		t.entries[t.slot(names[i].key, i)] = 0
		t.used--
		count(1)
	}
}

// reset removes what the walk over an invalid body has left.
func (t *nameTable) reset() {
	if t.used > 0 {
		clear(t.entries)
		t.used = 0
	}
}

// add adds the i-th of all open names, one of the object whose names begin at first, unless
// that has the same name already. If there is no room, the pass has failed.
func (t *nameTable) add(x *indexer, first, i int) (twice bool) {
	if 4*t.used >= 3*len(t.entries) {
		if t.grow(x); x.failed {
			return false
		}
	}
	k := &x.names[i]
	hash := uint32(t.hash(x.text(k.start, k.end), first))
	mask := uint32(len(t.entries) - 1)
	slot := hash & mask
	for ; t.entries[slot] != 0; slot = (slot + 1) & mask {
		count(1)
		// A name of an object around this one is at an index below first, and does not count.
		if j := int(t.entries[slot]) - 1; j >= first && x.names[j].key == hash && x.equal(&x.names[j], k) {
			return true
		}
	}
	k.key, k.end = hash, k.end|inTable
	t.entries[slot] = uint32(i + 1)
	t.used++
	return false
}

// hash returns the hash of a name. It depends on the object, which is known by where its
// names begin: objects inside of each other may have the same names.
func (t *nameTable) hash(text []byte, first int) uint64 {
	return t.key.hash(text, uint64(first))
}

// A hashKey makes hashes that a client cannot foresee.
type hashKey struct {
	seed maphash.Seed
	a, b uint64
}

func newHashKey() hashKey {
	seed := maphash.MakeSeed()
	return hashKey{seed, maphash.String(seed, "a"), maphash.String(seed, "b")}
}

// hash returns the hash of a name in one of many objects. Most names are short: those are
// hashed by a product of their words with the key, as runtime does it where there are no
// instructions for AES.
func (k *hashKey) hash(name []byte, object uint64) uint64 {
	count(hashing + len(name)/hashed)
	n := len(name)
	var a, b uint64
	switch {
	case n > 2*word:
		a = maphash.Bytes(k.seed, name)
	case n >= word:
		a, b = binary.LittleEndian.Uint64(name), binary.LittleEndian.Uint64(name[n-word:])
	case n >= word/2:
		a, b = uint64(binary.LittleEndian.Uint32(name)), uint64(binary.LittleEndian.Uint32(name[n-word/2:]))
	case n > 0:
		a = uint64(name[0])<<16 | uint64(name[n/2])<<8 | uint64(name[n-1])
	}
	high, low := bits.Mul64(a^k.a, b^k.b^uint64(n))
	hash := (high ^ low ^ object) * mixer
	return hash ^ hash>>32
}

// grow doubles the table and adds the names again, in the same order.
func (t *nameTable) grow(x *indexer) {
	size := max(minTableSize, 2*len(t.entries))
	if !x.reserve(int64(4 * size)) {
		x.failed = true
		return
	}
	if t.entries == nil {
		t.key = newHashKey()
	}
	t.entries = make([]uint32, size)
	for i := range x.names {
		if k := &x.names[i]; k.isInTable() {
			t.entries[t.slot(k.key, i)] = uint32(i + 1)
		}
	}
	count(len(x.names))
}
