// Package verified tells a sink which raw JSON of the events that it gets was read by package
// wire already, so that a sink that must store valid JSON only need not read it again.
//
// The evidence is the memory itself: a [List] holds the slices of an event as they were when
// they had been read. A field that was set to anything else since, or that was copied, is not
// in the list. The list is among the values of a write's context.
package verified

import (
	"context"
	"encoding/json"
	"slices"
	"sync/atomic"
	"unsafe"
)

// Raw is the raw fields of an event, in an order that the writer and the reader of a list share.
type Raw [5]json.RawMessage

// Marks are where the raw fields of an event are in memory.
type Marks [5]mark

type mark struct {
	first *byte
	n     int
}

func markOf(raw json.RawMessage) mark {
	if len(raw) == 0 {
		return mark{}
	}
	return mark{&raw[0], len(raw)}
}

// At reports whether the i-th field is the same memory as raw.
func (m *Marks) At(i int, raw json.RawMessage) bool { return m[i] == markOf(raw) }

// A List is the events of a request. The zero value is empty. Its memory is reused.
//
// A write may go on after the request that it was for has ended. So a list is changed only while
// no reader has it; one that is read then is left to its readers.
type List struct {
	readers atomic.Int32 // -1 while no reader may read it
	events  []event      // changes only then

	_ [96]byte // no other list is in the same lines of a cache
}

// An event is known by the address of one of its fields.
type event struct {
	id    *json.RawMessage
	marks Marks
}

// EventBytes is how much memory an event in a list takes.
const EventBytes = int(unsafe.Sizeof(event{}))

// Bytes returns how much memory the list has.
func (l *List) Bytes() int { return cap(l.events) * EventBytes }

// Begin empties the list, for n events to be added, and closes it to readers until [List.End].
// It returns false, and does nothing, while the list is read.
func (l *List) Begin(n int) bool {
	if !l.close() {
		return false
	}
	l.events = slices.Grow(l.events[:0], n)
	return true
}

// Add adds an event between Begin and End, known by the address of one of its fields. Its marks
// are for the caller to set.
func (l *List) Add(id *json.RawMessage) *Marks {
	l.events = append(l.events, event{id: id})
	return &l.events[len(l.events)-1].marks
}

// Set sets the i-th mark.
func (m *Marks) Set(i int, raw json.RawMessage) { m[i] = markOf(raw) }

// End opens the list to readers.
func (l *List) End() { l.readers.Store(0) }

// Reset empties the list, releases what it holds, and closes it to readers until the next End. It
// returns false, and does nothing, while the list is read.
func (l *List) Reset() bool {
	if !l.close() {
		return false
	}
	clear(l.events)
	l.events = l.events[:0]
	return true
}

// close closes the list to readers, unless it is read.
func (l *List) close() bool { return l.readers.CompareAndSwap(0, -1) || l.readers.Load() < 0 }

// open adds a reader, unless the list is closed.
func (l *List) open() bool {
	for {
		n := l.readers.Load()
		if n < 0 {
			return false
		}
		if l.readers.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

type key struct{}

// With returns a context that has the list.
func With(ctx context.Context, l *List) context.Context { return context.WithValue(ctx, key{}, l) }

// IsKey reports whether a context is asked for its list.
func IsKey(k any) bool {
	_, ok := k.(key)
	return ok
}

// Read begins to read the list of a context, which may have none.
func Read(ctx context.Context) Reader {
	l, _ := ctx.Value(key{}).(*List)
	if l == nil || !l.open() {
		return Reader{}
	}
	return Reader{list: l}
}

// A Reader reads a list. It is not safe for concurrent use.
type Reader struct {
	list *List
	next int // the first event of the list that was not asked for
}

// Find returns where the raw fields of an event were when they had been read, nil if it is not
// in the list. Events must be asked for in the order in which they are in the list, else some
// are not found. Asking for all events of a write takes no longer than the list is.
func (r *Reader) Find(id *json.RawMessage) *Marks {
	if r.list == nil {
		return nil
	}
	for r.next < len(r.list.events) {
		e := &r.list.events[r.next]
		r.next++
		if e.id == id {
			return &e.marks
		}
	}
	return nil
}

// Close ends reading.
func (r *Reader) Close() {
	if r.list != nil {
		r.list.readers.Add(-1)
	}
}
