package sinktest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
)

// An inner is the inner sink of a decorator that is checked. It keeps the contract, records
// how the decorator treats it, and hangs, panics and fails when a clause requires it.
type inner struct {
	durability inlet.Durability
	next       inlet.Sink // stores, or fails at times
	rights     rights
	deaf       bool // a Write that hangs ignores its context

	mu      sync.Mutex
	events  []*inlet.Event
	closed  bool
	closes  int           // calls of Close
	failing error         // returned by Flush, Check and Close
	hold    chan struct{} // closed when the hang ends; nil if the sink does not hang
	panics  bool
	answer  func(events []*inlet.Event) (pass []*inlet.Event, err error) // nil passes all
}

// newInner returns a sink that fails as planned, or never if the plan is nil.
func newInner(d inlet.Durability, plan *FlakyOptions, f Features) *inner {
	s := &inner{durability: d, deaf: f.Bounds}
	s.rights.gathers = f.Gathers
	s.next = inlet.SinkFunc(s.store)
	if plan != nil {
		s.next = Flaky(s.next, plan)
	}
	return s
}

// Write stores the events, unless a clause requires something else.
func (s *inner) Write(ctx context.Context, events []*inlet.Event) error {
	s.rights.record(ctx, events)
	waiting := ctx
	if s.deaf {
		waiting = context.WithoutCancel(ctx)
	}
	if err := s.wait(waiting); err != nil {
		return err
	}
	return s.next.Write(ctx, events)
}

// wait waits until the sink does not hang, or returns an error when ctx is done.
func (s *inner) wait(ctx context.Context) error {
	s.mu.Lock()
	hold := s.hold
	s.mu.Unlock()
	if hold == nil {
		return nil
	}
	select {
	case <-hold:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *inner) store(_ context.Context, events []*inlet.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.panics:
		panic("sinktest: the inner sink panics on purpose")
	case s.closed:
		return inlet.ErrClosed
	}
	var err error
	if s.answer != nil {
		events, err = s.answer(events)
	}
	isNil := func(e *inlet.Event) bool { return e == nil } // recorded as a breach
	s.events = append(s.events, inlet.CloneEvents(slices.DeleteFunc(slices.Clone(events), isNil))...)
	return err
}

// Flush has nothing to do.
func (s *inner) Flush(ctx context.Context) error { return s.respond(ctx, false) }

// Check fails after Close.
func (s *inner) Check(ctx context.Context) error { return s.respond(ctx, true) }

// respond is a call of an ability, of one that requires an open sink or not.
func (s *inner) respond(ctx context.Context, open bool) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if open && s.closed {
		return inlet.ErrClosed
	}
	return s.failing
}

// Close makes later Writes fail.
func (s *inner) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.closes++
	s.mu.Unlock()
	return s.respond(ctx, false)
}

// Durability returns the durability that newInner was given.
func (s *inner) Durability() inlet.Durability { return s.durability }

// stored returns the stored events in order.
func (s *inner) stored() []*inlet.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

func (s *inner) timesClosed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closes
}

// set changes the behaviour of the sink.
func (s *inner) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// stall is a [Features.Stall].
func (s *inner) stall(inlet.Sink) (release func()) {
	hold := make(chan struct{})
	s.set(func() { s.hold = hold })
	return func() {
		s.set(func() { s.hold = nil })
		close(hold)
	}
}

// panic is a [Features.Panic].
func (s *inner) panic(inlet.Sink) (calm func()) {
	s.set(func() { s.panics = true })
	return func() { s.set(func() { s.panics = false }) }
}

// errInner is wrapped by every failure of the inner sink that a clause requires.
var errInner = errors.New("sinktest: the inner sink failed on purpose")

// failAll makes every Write fail as a whole.
func (s *inner) failAll(err error) {
	s.set(func() {
		s.answer = func([]*inlet.Event) ([]*inlet.Event, error) { return nil, err }
	})
}

// failOne makes every Write fail for the events with an id, with a batch error.
func (s *inner) failOne(id string, err error) {
	s.set(func() {
		s.answer = func(events []*inlet.Event) (pass []*inlet.Event, _ error) {
			errs := make([]error, len(events))
			for i, e := range events {
				if e.MessageID == id {
					errs[i] = err
				} else {
					pass = append(pass, e)
				}
			}
			return pass, itemerrors.Join(errs)
		}
	})
}
