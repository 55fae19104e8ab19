package sinks

import (
	"context"
	"slices"
	"sync"

	"github.com/inlet-go/inlet"
)

// Memory is a sink that keeps copies of all events in memory, in the order in which they
// were written, until Reset. Its zero value is an empty sink, ready to use; it must not be
// copied after the first use. All methods may be called concurrently.
//
// A Write stores all of its events or, if the sink is closed or full, none. It never waits,
// and therefore stores them even if its context is already done.
type Memory struct {
	// Capacity is the maximum number of events; a Write that would exceed it fails with
	// [inlet.ErrOverloaded]. Do not change it after the first use. Defaults to 0: no
	// maximum.
	Capacity int

	mu     sync.Mutex
	events []*inlet.Event
	closed bool
}

// Write keeps a copy of each event. It fails with [inlet.ErrClosed] after Close
// and with [inlet.ErrOverloaded] if not all of them fit.
func (m *Memory) Write(_ context.Context, events []*inlet.Event) error {
	clones := inlet.CloneEvents(events)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkLocked(len(clones)); err != nil {
		return err
	}
	m.events = append(m.events, clones...)
	return nil
}

// checkLocked returns an error if n more events cannot be kept. The caller holds mu.
func (m *Memory) checkLocked(n int) error {
	switch {
	case m.closed:
		return inlet.ErrClosed
	case m.Capacity > 0 && len(m.events)+n > m.Capacity:
		return inlet.ErrOverloaded
	}
	return nil
}

// Events returns what is stored now. The caller owns the slice; the events are shared with
// the sink and read-only.
func (m *Memory) Events() []*inlet.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

// Reset removes all events. It does not reopen a closed sink.
func (m *Memory) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = nil
}

// Check returns the error that a Write of one event would fail with now, or nil.
func (m *Memory) Check(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.checkLocked(1)
}

// Close makes every later Write fail with [inlet.ErrClosed]. Stored events can still be
// read. It always returns nil.
func (m *Memory) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// Durability returns [inlet.DurabilityMemory].
func (m *Memory) Durability() inlet.Durability { return inlet.DurabilityMemory }
