package wire

import (
	"bytes"
	"unsafe"
)

// This file asks before memory is made for a document. Slices grow here, not by append: to
// what the rest of the body needs if it goes on as it began, and never beyond what it can
// need at all.

// A Meter is asked before memory is made. An error ends the pass, and is returned as it is.
type Meter interface {
	// Reserve asks for n bytes.
	Reserve(bytes int64) error
}

// SetMeter has m asked before the document makes memory; with nil it makes as much as it
// needs. It stays set until it is set again.
func (d *Document) SetMeter(m Meter) { d.index.meter = m }

// Memory returns how many bytes the document has made.
func (d *Document) Memory() int64 {
	x := &d.index
	return sizeOf(d.items) + sizeOf(d.twice) + sizeOf(d.rootSpans) + sizeOf(d.itemSpans) + sizeOf(x.stack) + sizeOf(x.names) +
		sizeOf(x.rewritten) + sizeOf(x.table.entries) + sizeOf(x.unpaired) +
		sizeOf(d.repair.text) + sizeOf(d.repair.positions) + int64(x.faulty)
}

// Memory returns how many bytes the outline has made, without those of its document.
func (o *Outline) Memory() int64 {
	return sizeOf(o.objects) + sizeOf(o.spans[0]) + sizeOf(o.spans[1])
}

func sizeOf[T any](s []T) int64 { return int64(cap(s)) * int64(unsafe.Sizeof(*new(T))) }

// Memory returns how many bytes the defaults have made.
func (d *Defaults) Memory() int64 {
	return sizeOf(d.objects) + sizeOf(d.members) + sizeOf(d.rewrite) + sizeOf(d.tight) + sizeOf(d.scratch) +
		sizeOf(d.hits) + sizeOf(d.left) + sizeOf(d.entries) + sizeOf(d.namePath)
}

// Bytes that an element takes in a body at least, with the comma.
const (
	minMember = len(`"":0,`)
	minItem   = len(`0,`)
	minTwice  = len(`{"":0,"":0},`)
)

// reserve asks the meter. After a refusal the pass fails.
func (x *indexer) reserve(bytes int64) bool {
	if x.meter == nil || x.refused != nil {
		return x.refused == nil
	}
	x.refused = x.meter.Reserve(bytes)
	return x.refused == nil
}

// outgrown returns s, which is full, with room for more elements: the next one begins at i
// of the body, and each takes so many bytes at least. It is s itself if that was refused:
// the pass fails.
func outgrown[T any](x *indexer, s []T, i, bytes int) []T {
	n, rest := len(s), len(x.src)-i
	if n = min(expected(n, i, len(x.src)), n+rest/bytes+1); !x.reserve(int64(n) * int64(unsafe.Sizeof(*new(T)))) {
		x.failed = true
		return s
	}
	return append(make([]T, 0, n), s...)
}

// minRoom is how many elements there is room for at first.
const minRoom = 16

// expected returns how many elements a body of that size has that has n up to i, and an
// eighth more, between one and a half times and four times n.
func expected(n, i, bytes int) int {
	whole := n * 9 / 8
	if i > 0 {
		whole = int(float64(n) / float64(i) * float64(bytes) * 9 / 8)
	}
	return max(minRoom, min(max(whole, n+n/2), 4*n))
}

// roomFor returns s with room for n elements more. It is s itself if that was refused: the pass
// fails.
func roomFor[T any](x *indexer, s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s
	}
	if n = max(2*cap(s), len(s)+n); !x.reserve(int64(n) * int64(unsafe.Sizeof(*new(T)))) {
		x.failed = true
		return s
	}
	return append(make([]T, 0, n), s...)
}

// clip returns memory for n elements, asking for what is lacking. It is nil if that
// was refused.
func clip[T any](x *indexer, s []T, n int) []T {
	if cap(s) >= n {
		return s[:0]
	}
	if !x.reserve(int64(n) * int64(unsafe.Sizeof(*new(T)))) {
		return nil
	}
	return make([]T, 0, n)
}

// DefaultsSize returns how much memory [Defaults] for an object need at most. The object is
// part of a document that was read with the limits.
func DefaultsSize(object []byte, limits Limits) int {
	members := bytes.Count(object, []byte{':'})
	if limits.Members > 0 {
		members = min(members, limits.Members)
	}
	const perMember = 2*int(unsafe.Sizeof(defaultMember{})+unsafe.Sizeof(defaultObject{})+unsafe.Sizeof(int32(0))) +
		4*int(unsafe.Sizeof(uint64(0))) // slices that grow by append, and the table
	size := 1<<10 + members*perMember
	if bytes.IndexByte(object, '\\') >= 0 {
		size += 2 * len(object)
	}
	if bytes.ContainsAny(object, " \n\r\t") {
		size += 2 * maxMergeDepth * len(object) // without white space, at each level
	}
	return size
}
