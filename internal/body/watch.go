package body

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/inlet-go/inlet/internal/guard"
	"github.com/inlet-go/inlet/internal/lanes"
)

// How bodies have deadlines.
//
// To set the deadline of a connection, and to lift it, costs as much as to read an ordinary body,
// which has arrived together with its header. So the deadline of a body is set only if the body
// takes a moment to arrive. Until then the body is on the list of a watch. The watch looks at its
// list periodically, and sets the deadline of each body that was there the last time. When that
// deadline passes depends on the terms of the body alone.

// lookTime is the time between two looks at the bodies that are on their way. A body has no
// deadline for one to two of them. If it may have to arrive sooner, its deadline is set at once.
const lookTime = 250 * time.Millisecond

// A watch sets the deadlines of bodies that take long to arrive. Its timer runs only while there
// are bodies. The zero value is ready.
type watch struct {
	mu      sync.Mutex
	first   *arrival
	looking bool
	_       [lanes.Apart - 24]byte
}

// add puts a body that is about to be read on the list, and sets its deadline if that has to be
// done at once.
func (w *watch) add(a *arrival, atOnce bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.watch, a.due = w, a.dueNow()
	if atOnce {
		a.arm()
	}
	if a.next = w.first; a.next != nil {
		a.next.prev = a
	}
	w.first = a
	if !w.looking {
		w.looking = true
		time.AfterFunc(lookTime, w.look)
	}
}

// remove takes a body off the list.
func (w *watch) remove(a *arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a.next != nil {
		a.next.prev = a.prev
	}
	if a.prev != nil {
		a.prev.next = a.next
	} else {
		w.first = a.next
	}
}

// look sets the deadlines of those bodies that were on the list the last time.
func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.looking = w.first != nil; !w.looking {
		return
	}
	for a := w.first; a != nil; a = a.next {
		if a.seen {
			a.arm()
		}
		a.seen = true
	}
	time.AfterFunc(lookTime, w.look)
}

// arm sets the deadline, unless that was done. It is called with the lock of the watch.
func (a *arrival) arm() {
	if a.armed || a.w == nil {
		return
	}
	a.armed = true
	var err error
	guard.Call(&err, func() error { return a.w.SetReadDeadline(a.due) }) // a panic of a host's writer would end the process
	if errors.Is(err, http.ErrNotSupported) {
		a.w = nil
	}
}

// move moves the deadline by what has arrived. It reports whether that came too late.
func (a *arrival) move() (late bool) {
	now := time.Now()
	a.watch.mu.Lock()
	defer a.watch.mu.Unlock()
	if !now.Before(a.due) {
		return true // a server without deadlines, or bytes that came just late
	}
	if due := a.dueNow(); !due.Equal(a.due) {
		a.due = due
		if a.armed {
			a.armed = false
			a.arm()
		}
	}
	return false
}
