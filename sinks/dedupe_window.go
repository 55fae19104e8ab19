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

// sum returns the key of e. The length of the source ID is part of it, so that
// no other division of the same text into the two ids is the same. It uses
// text as room and returns it, grown if need be.
func (h *hasher) sum(e *inlet.Event, text []byte) (eventKey, []byte) {
	text = append(text[:0], h.secret[:]...)
	text = binary.LittleEndian.AppendUint64(text, uint64(len(e.Source.ID)))
	text = append(append(text, e.Source.ID...), e.MessageID...)
	full := sha256.Sum256(text)
	return eventKey(full[:16]), text
}

// A window remembers the last keys that were added, each for a while. Its size
// is fixed: a ring of the keys in order of time and, to find them, an open hash
// table of their places that is never more than half full.
type window struct {
	life  time.Duration
	ring  []remembered // 24 bytes each
	next  int          // place in ring of the next key
	table []uint32     // two per place in ring: place + 1, or 0
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

// add remembers key, in the place of the oldest if there is no other.
func (w *window) add(key eventKey, now time.Duration) {
	w.forget(w.next)
	w.ring[w.next] = remembered{key, now}
	slot, _ := w.find(key) // an expired one may still be there
	w.table[slot] = uint32(w.next) + 1
	w.next = (w.next + 1) % len(w.ring)
}

// find returns the slot of key, or the one where it belongs.
func (w *window) find(key eventKey) (slot int, ok bool) {
	for slot = w.home(key); w.table[slot] != 0; slot = w.after(slot) {
		if w.ring[w.table[slot]-1].key == key {
			return slot, true
		}
	}
	return slot, false
}

// home returns the slot at which the search for key begins. Keys are hashes
// already: their first bits, scaled to the size of the table, are enough.
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

// forget takes the key at a place in ring out of the table, unless the table
// has no such key or has it at a later place.
func (w *window) forget(place int) {
	slot, ok := w.find(w.ring[place].key)
	if !ok || w.table[slot] != uint32(place)+1 {
		return
	}
	w.empty(slot)
}

// empty clears a slot and moves up the keys behind it that would no longer be
// found across the gap.
func (w *window) empty(gap int) {
	for slot := w.after(gap); w.table[slot] != 0; slot = w.after(slot) {
		home := w.home(w.ring[w.table[slot]-1].key)
		if w.distance(home, slot) >= w.distance(gap, slot) {
			w.table[gap] = w.table[slot]
			gap = slot
		}
	}
	w.table[gap] = 0
}

// distance returns how many steps a search makes from one slot to another.
func (w *window) distance(from, to int) int {
	if to < from {
		to += len(w.table)
	}
	return to - from
}
