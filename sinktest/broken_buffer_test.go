package sinktest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinktest"
)

// buffering acknowledges before it stores, and says so. Its fields break it.
type buffering struct {
	declares inlet.Durability
	loses    func(b *buffering, events []*inlet.Event) bool
	flush    func(b *buffering, ctx context.Context) error
	close    func(b *buffering, ctx context.Context) error
	check    func(b *buffering) error

	flushing atomic.Int64

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
	if b.loses == nil || !b.loses(b, events) {
		b.buffer = append(b.buffer, inlet.CloneEvents(events)...)
	}
	return nil
}

func (b *buffering) Flush(ctx context.Context) error {
	if b.flush != nil {
		b.flushing.Add(1)
		defer b.flushing.Add(-1)
		return b.flush(b, ctx)
	}
	b.drain()
	return nil
}

func (b *buffering) drain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stored, b.buffer = append(b.stored, b.buffer...), nil
}

func (b *buffering) Close(ctx context.Context) error {
	if b.close != nil {
		return b.close(b, ctx)
	}
	return b.end()
}

func (b *buffering) end() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stored, b.buffer, b.closed = append(b.stored, b.buffer...), nil, true
	return nil
}

func (b *buffering) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}

func (b *buffering) Check(context.Context) error {
	if b.check != nil {
		return b.check(b)
	}
	if b.isClosed() {
		return inlet.ErrClosed
	}
	return nil
}

func (b *buffering) Durability() inlet.Durability { return b.declares }

func (b *buffering) Events() []*inlet.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.stored)
}

// The broken ones.

func flushesNothing(*buffering, context.Context) error { return nil }

// leavesItToOthers returns while another flush runs.
func leavesItToOthers(b *buffering, _ context.Context) error {
	if b.flushing.Load() > 1 {
		return nil
	}
	time.Sleep(time.Millisecond)
	b.drain()
	return nil
}

func flushesSlowly(b *buffering, _ context.Context) error {
	time.Sleep(time.Millisecond)
	b.drain()
	return nil
}

func losesBesideFlush(b *buffering, events []*inlet.Event) bool {
	return b.flushing.Load() > 0 && len(events) == 4
}

func flushesByDeadline(b *buffering, ctx context.Context) error {
	if deadline, _ := ctx.Deadline(); time.Until(deadline) < 0 {
		return context.DeadlineExceeded
	}
	b.drain()
	return nil
}

func flushesOpenOnly(b *buffering, _ context.Context) error {
	if b.isClosed() {
		panic("send on closed channel")
	}
	b.drain()
	return nil
}

func closesUnflushed(b *buffering, _ context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.buffer = true, nil
	return nil
}

func closesBesideNoFlush(b *buffering, _ context.Context) error {
	if b.flushing.Load() > 0 {
		return errors.New("a flush is under way")
	}
	return b.end()
}

func checksByWriting(b *buffering) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return inlet.ErrClosed
	}
	b.stored = append(b.stored, sinktest.Events(1)...)
	return nil
}

func brokenBuffers() []specimen {
	buffer := func(name string, b func() *buffering, breaks ...string) specimen {
		return specimen{
			name: name, sink: func() inlet.Sink { return b() }, breaks: breaks,
			features: sinktest.Features{Buffers: true, Ordered: true},
		}
	}
	return []specimen{
		buffer("buffers more durably than memory is", func() *buffering { return &buffering{declares: inlet.DurabilityFsync} }, durability),
		buffer("returns from a flush while another runs", func() *buffering { return &buffering{flush: leavesItToOthers} }, flushes),
		buffer("loses what is written beside a flush", func() *buffering { return &buffering{flush: flushesSlowly, loses: losesBesideFlush} }, flushBeside),
		buffer("needs a deadline to flush", func() *buffering { return &buffering{flush: flushesByDeadline} }, background),
		buffer("flushes an open sink only", func() *buffering { return &buffering{flush: flushesOpenOnly} }, closeAmid, closedFlush),
		buffer("does not close beside a flush", func() *buffering { return &buffering{flush: flushesSlowly, close: closesBesideNoFlush} }, closeAmid),
		buffer("writes to check", func() *buffering { return &buffering{check: checksByWriting} }, checks),
		among(buffer("flushes nothing", func() *buffering { return &buffering{flush: flushesNothing} }, flushes)),
		among(buffer("closes without a flush", func() *buffering { return &buffering{close: closesUnflushed} }, closes)),
		among(specimen{name: "buffers and does not say so", sink: func() inlet.Sink { return new(buffering) }, breaks: []string{storesAll}}),
	}
}
