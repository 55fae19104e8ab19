package sinktest_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinktest"
)

// buffering acknowledges before it stores, and says so. Its fields break it.
type buffering struct {
	declares   inlet.Durability
	noFlush    bool // Flush does nothing
	noClose    bool // Close forgets what is buffered
	checkWrite bool // Check stores an event

	mu     sync.Mutex
	closed bool
	buffer []*inlet.Event
	stored []*inlet.Event
}

func (b *buffering) Write(_ context.Context, events []*inlet.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return inlet.ErrClosed
	}
	b.buffer = append(b.buffer, inlet.CloneEvents(events)...)
	return nil
}

func (b *buffering) Flush(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.noFlush {
		b.stored, b.buffer = append(b.stored, b.buffer...), nil
	}
	return nil
}

func (b *buffering) Close(ctx context.Context) error {
	if !b.noClose {
		b.Flush(ctx)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.buffer = true, nil
	return nil
}

func (b *buffering) Check(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.checkWrite {
		b.stored = append(b.stored, sinktest.Events(1)...)
	}
	return nil
}

func (b *buffering) Durability() inlet.Durability { return b.declares }

func (b *buffering) Events() []*inlet.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.stored)
}

func TestBufferingSinks(t *testing.T) {
	t.Parallel()
	const (
		flushes    = "Flush must return only when everything before it is stored"
		closes     = "Close must store what was acknowledged"
		checks     = "Check must answer and store nothing"
		durability = "Durability must never change"
		storesAll  = "a Sink must have stored every event when Write returns nil"
	)
	tests := []struct {
		name       string
		make       func() *buffering
		undeclared bool
		clause     string // "" is a good sink
	}{
		{name: "a good one passes", make: func() *buffering { return &buffering{declares: inlet.DurabilityMemory} }},
		{name: "it must declare Buffers", make: func() *buffering { return new(buffering) }, undeclared: true, clause: storesAll},
		{name: "it must declare no more than memory", make: func() *buffering { return &buffering{declares: inlet.DurabilityFsync} }, clause: durability},
		{name: "a flush that returns early is caught", make: func() *buffering { return &buffering{noFlush: true} }, clause: flushes},
		{name: "a Close that forgets is caught", make: func() *buffering { return &buffering{noClose: true} }, clause: closes},
		{name: "a Check that writes is caught", make: func() *buffering { return &buffering{checkWrite: true} }, clause: checks},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := check(t, func() inlet.Sink { return tt.make() }, &sinktest.Features{Buffers: !tt.undeclared, Ordered: true})
			if tt.clause == "" {
				require.NoError(t, err)
				return
			}
			require.Contains(t, breaches(err), tt.clause)
		})
	}
}

// stalling is a sink whose store can hang. It waits for it with its context, or
// without.
type stalling struct {
	broken
	store   sync.RWMutex
	ignores bool
}

func (s *stalling) Write(ctx context.Context, events []*inlet.Event) error {
	for !s.store.TryRLock() {
		if !s.ignores && ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(time.Millisecond)
	}
	defer s.store.RUnlock()
	return s.broken.Write(ctx, events)
}

func TestStallShowsWhoIgnoresItsContext(t *testing.T) {
	t.Parallel()
	for _, ignores := range []bool{false, true} {
		f := sinktest.Features{
			Grace: 200 * time.Millisecond,
			Stall: func(s inlet.Sink) (release func()) {
				store := &s.(*stalling).store
				store.Lock()
				return store.Unlock
			},
		}
		err := check(t, func() inlet.Sink { return &stalling{ignores: ignores} }, &f)
		require.Equal(t, ignores, slices.Contains(breaches(err), "a Sink must return soon after its context is done"), err)
	}
}

func TestCheckWithoutReadAndFeatures(t *testing.T) {
	t.Parallel()
	newSink := func() inlet.Sink { return &broken{write: panicsAfterClose} }
	require.Contains(t, breaches(sinktest.Check(t.Context(), newSink, nil, nil)), "Close must run concurrently with Write")
	require.NoError(t, sinktest.Check(t.Context(), func() inlet.Sink { return new(broken) }, nil, nil))
	require.ErrorContains(t, sinktest.Check(t.Context(), func() inlet.Sink { return nil }, nil, nil), "there is no sink")
}

func TestCheckStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := sinktest.Check(ctx, func() inlet.Sink {
		if calls++; calls == 3 {
			cancel()
		}
		return new(broken)
	}, nil, nil)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 3, calls)
}
