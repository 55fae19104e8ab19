package sinks

import (
	"context"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
)

// A fallbackTurn says whether the next events of a [Fallback] go to its front or to its back. It
// changes to the front only at a moment at which nothing is being written to the back and the front
// has everything that the back has: what a call has written to the back is then in the front before
// anything that is written after that call.
type fallbackTurn struct {
	returnToFront func(ctx context.Context) // ends after toFront has returned true

	mu      sync.Mutex
	back    bool
	held    chan struct{} // closed when it is known whose turn it is; nil if that is known now
	writing int           // calls that have entered the back
	idle    chan struct{} // closed when there is none, if toFront waits for that
	first   chan struct{} // closed when one has left the back; nil after that
	closed  bool
	cancel  context.CancelFunc // of the goroutine
	ended   chan struct{}      // closed when it has ended; nil if there never was one
}

func (t *fallbackTurn) init(returnToFront func(ctx context.Context)) { t.returnToFront = returnToFront }

// enter waits until it is known whose turn it is, and reports whether it is the back's. The caller
// must then call leaveBack.
func (t *fallbackTurn) enter(ctx context.Context) (back bool, err error) {
	for {
		t.mu.Lock()
		held := t.held
		if held == nil {
			if t.back {
				t.writing++
			}
			back = t.back
			t.mu.Unlock()
			return back, nil
		}
		t.mu.Unlock()
		if !await(ctx, held) {
			return false, ctx.Err()
		}
	}
}

// takeBack enters the back, which the front does not hold up. The lock is held.
func (t *fallbackTurn) takeBack() (changed bool, err error) {
	if t.closed && !t.back {
		return false, inlet.ErrClosed
	}
	if !t.back {
		t.first = make(chan struct{})
		t.begin(t.first)
		changed = true
	}
	t.writing++
	return changed, nil
}

// enterBack enters the back, whose turn it is from now on if it is not yet, which it reports. The
// caller must then call leaveBack.
func (t *fallbackTurn) enterBack(ctx context.Context) (changed bool, err error) {
	for {
		t.mu.Lock()
		held := t.held
		if held == nil {
			changed, err = t.takeBack()
			t.mu.Unlock()
			return changed, err
		}
		t.mu.Unlock()
		if !await(ctx, held) {
			return false, ctx.Err()
		}
	}
}

// leaveBack ends a call that has entered the back.
func (t *fallbackTurn) leaveBack() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writing--
	if t.first != nil {
		close(t.first)
		t.first = nil
	}
	if t.writing == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// toBack makes it the back's turn, which has events already.
func (t *fallbackTurn) toBack() {
	t.mu.Lock()
	defer t.mu.Unlock()
	ready := make(chan struct{})
	close(ready)
	t.begin(ready)
}

// begin makes it the back's turn, which was the front's. Once ready is closed, a goroutine waits
// for the front. The caller holds mu.
func (t *fallbackTurn) begin(ready <-chan struct{}) {
	t.back = true
	ctx, cancel := context.WithCancel(context.Background())
	before, ended := t.ended, make(chan struct{})
	t.cancel, t.ended = cancel, ended
	go func() {
		defer close(ended)
		defer cancel()
		if before != nil { // it is about to end
			<-before
		}
		// Before a call has written to the back there is nothing for which the front must work.
		if await(ctx, ready) {
			t.returnToFront(ctx)
		}
	}()
}

// toFront lets calls wait until nothing is written to the back and drain has returned. If that
// takes limit at most it is the front's turn, which it reports.
func (t *fallbackTurn) toFront(ctx context.Context, limit time.Duration, drain func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	idle := t.hold()
	drained := false
	defer func() { t.release(drained) }()
	drained = await(ctx, idle) && drain(ctx) == nil
	return drained
}

// hold lets calls wait that have not entered yet. The channel is closed when no call is in the
// back.
func (t *fallbackTurn) hold() (idle <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = make(chan struct{})
	t.idle = make(chan struct{})
	idle = t.idle
	if t.writing == 0 {
		close(t.idle)
		t.idle = nil
	}
	return idle
}

// release lets the calls continue that wait.
func (t *fallbackTurn) release(toFront bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if toFront {
		t.back = false
	}
	close(t.held)
	t.held, t.idle = nil, nil
}

// isBack reports whether it is the back's turn.
func (t *fallbackTurn) isBack() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.back
}

// close ends the goroutine, and lets none begin. The channel is closed when it has ended.
func (t *fallbackTurn) close() (ended <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.ended == nil {
		none := make(chan struct{})
		close(none)
		return none
	}
	t.cancel()
	return t.ended
}
