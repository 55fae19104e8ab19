package wire

import (
	"bytes"
	"hash/maphash"
)

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
