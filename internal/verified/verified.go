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
	"sync"
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
// What changes it waits for a reader: a write may go on after the request that it was for has
// ended.
type List struct {
	mu     sync.RWMutex
	events []event
}

// An event is known by the address of one of its fields.
type event struct {
	id    *json.RawMessage
	marks Marks
}

// EventBytes is how much memory an event in a list takes.
const EventBytes = int(unsafe.Sizeof(event{}))

// Bytes returns how much memory the list has.
func (l *List) Bytes() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return cap(l.events) * EventBytes
}

// Set makes the list one of n events. For the i-th, at returns the address of one of its fields,
// and its raw fields.
func (l *List) Set(n int, at func(i int) (id *json.RawMessage, raw Raw)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = slices.Grow(l.events[:0], n)[:n]
	for i := range l.events {
		id, raw := at(i)
		e := &l.events[i]
		e.id = id
		for k := range raw {
			e.marks[k] = markOf(raw[k])
		}
	}
}

// Reset empties the list and releases what it holds.
func (l *List) Reset() {
	l.mu.Lock()
	clear(l.events)
	l.events = l.events[:0]
	l.mu.Unlock()
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
	if l != nil {
		l.mu.RLock()
	}
	return Reader{list: l}
}

// A Reader reads a list. It is for one goroutine.
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
		r.list.mu.RUnlock()
	}
}
