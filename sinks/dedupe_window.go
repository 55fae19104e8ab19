package sinks

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"time"

	"github.com/inlet-go/inlet"
)

// An eventKey is the keyed hash of a Source's ID and a MessageID.
type eventKey [16]byte

// A hasher computes eventKeys under a key of its own.
type hasher struct{ secret [32]byte }

func newHasher() (h hasher) {
	rand.Read(h.secret[:]) // never fails
	return h
}

// sum returns the key of e. The hash includes the length of the source ID, so that the
// same text split differently into the two ids has another key. sum uses buf and returns
// it, for the next call.
func (h *hasher) sum(e *inlet.Event, buf []byte) (eventKey, []byte) {
	buf = append(buf[:0], h.secret[:]...)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(len(e.Source.ID)))
	buf = append(append(buf, e.Source.ID...), e.MessageID...)
	full := sha256.Sum256(buf)
	return eventKey(full[:16]), buf
}

// A window remembers the last keys that were added, each for a limited time. Its size is
// fixed: a ring buffer of the keys in order of time and, to find them, a hash table with
// linear probing of their positions in the ring. The table is never more than half full.
type window struct {
	life  time.Duration
	ring  []remembered // 24 bytes each
	next  int          // position in ring of the next key
	table []uint32     // two slots for each position in ring: position + 1, or 0 if free
}

// A remembered key, and the time at which it was added.
type remembered struct {
	key eventKey
	at  time.Duration
}

func newWindow(size int, life time.Duration) window {
	return window{life: life, ring: make([]remembered, size), table: make([]uint32, 2*size)}
}

// has reports whether key was added less than the window's life before now.
func (w *window) has(key eventKey, now time.Duration) bool {
	slot, ok := w.find(key)
	return ok && now-w.ring[w.table[slot]-1].at < w.life
}

// add remembers key. If the ring is full, it evicts the oldest.
func (w *window) add(key eventKey, now time.Duration) {
	w.evict(w.next)
	w.ring[w.next] = remembered{key, now}
	slot, _ := w.find(key) // an expired entry of the same key may still be there
	w.table[slot] = uint32(w.next) + 1
	w.next = (w.next + 1) % len(w.ring)
}

// find returns the slot of key, or the free one where it belongs.
func (w *window) find(key eventKey) (slot int, ok bool) {
	for slot = w.home(key); w.table[slot] != 0; slot = w.after(slot) {
		if w.ring[w.table[slot]-1].key == key {
			return slot, true
		}
	}
	return slot, false
}

// home returns the slot at which the search for key begins. Keys are hashes already: their
// first bits, scaled to the size of the table, are enough.
func (w *window) home(key eventKey) int {
	hi, _ := bits.Mul64(binary.LittleEndian.Uint64(key[:8]), uint64(len(w.table)))
	return int(hi)
}

func (w *window) after(slot int) int {
	if slot++; slot < len(w.table) {
		return slot
	}
	return 0
}

// evict removes the key at a position in ring from the table, unless the table does not
// have it or has it at a later position.
func (w *window) evict(position int) {
	slot, ok := w.find(w.ring[position].key)
	if !ok || w.table[slot] != uint32(position)+1 {
		return
	}
	w.clear(slot)
}

// clear frees a slot and moves up the keys behind it that a search would no longer find
// beyond the gap.
func (w *window) clear(gap int) {
	for slot := w.after(gap); w.table[slot] != 0; slot = w.after(slot) {
		home := w.home(w.ring[w.table[slot]-1].key)
		if w.distance(home, slot) >= w.distance(gap, slot) {
			w.table[gap] = w.table[slot]
			gap = slot
		}
	}
	w.table[gap] = 0
}

// distance returns the number of steps of a search from one slot to another.
func (w *window) distance(from, to int) int {
	if to < from {
		to += len(w.table)
	}
	return to - from
}
