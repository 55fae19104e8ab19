package sinktest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// A machine is a sink over a store that can hang, panic and crash.
type machine struct {
	sinks.Memory
	write func(m *machine, ctx context.Context, events []*inlet.Event) error
	close func(m *machine, ctx context.Context) error

	mu      sync.Mutex
	hold    chan struct{}   // nil if the store does not hang
	seen    map[string]bool // ids, of those that dedupe
	panics  atomic.Bool
	crashed func(m *machine) []*inlet.Event
	down    func(m *machine) error // while the store has ended; nil for a temporary error
	ended   atomic.Bool
	turn    chan struct{} // of those that write one after the other
	running atomic.Int64
}

func (m *machine) Write(ctx context.Context, events []*inlet.Event) error {
	if m.write != nil {
		return m.write(m, ctx, events)
	}
	return m.store(ctx, events)
}

func (m *machine) Close(ctx context.Context) error {
	if m.close != nil {
		return m.close(m, ctx)
	}
	if err := m.wait(ctx); err != nil {
		return err
	}
	return m.Memory.Close(ctx)
}

// store waits while the store hangs, until ctx is done.
func (m *machine) store(ctx context.Context, events []*inlet.Event) error {
	if err := m.wait(ctx); err != nil {
		return err
	}
	if m.ended.Load() {
		if m.down != nil {
			return m.down(m)
		}
		return errors.New("connection refused")
	}
	if m.panics.Load() {
		panic("the store is broken")
	}
	return m.Memory.Write(ctx, events)
}

func (m *machine) wait(ctx context.Context) error {
	m.mu.Lock()
	hold := m.hold
	m.mu.Unlock()
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

func (m *machine) set(hold chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hold = hold
}

func stallMachine(s inlet.Sink) (release func()) {
	m, hold := s.(*machine), make(chan struct{})
	m.set(hold)
	return func() {
		m.set(nil)
		close(hold)
	}
}

func panicMachine(s inlet.Sink) (calm func()) {
	m := s.(*machine)
	m.panics.Store(true)
	return func() { m.panics.Store(false) }
}

func restartMachine(s inlet.Sink) (start func()) {
	m := s.(*machine)
	m.ended.Store(true)
	return func() { m.ended.Store(false) }
}

func crashMachine(s inlet.Sink) (left []*inlet.Event) {
	m := s.(*machine)
	if m.crashed != nil {
		return m.crashed(m)
	}
	return m.Events()
}

// The broken ones.

// waitsForStore ignores its context.
func waitsForStore(m *machine, _ context.Context, events []*inlet.Event) error {
	return m.store(context.Background(), events)
}

// waitsForDeadline waits until the deadline, even if its context is cancelled.
func waitsForDeadline(m *machine, ctx context.Context, events []*inlet.Event) error {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	return m.store(ctx, events)
}

func closesWithStore(m *machine, ctx context.Context) error {
	m.wait(context.Background())
	return m.Memory.Close(ctx)
}

// storesBehind has a goroutine that continues when Write gives up.
func storesBehind(m *machine, ctx context.Context, events []*inlet.Event) error {
	if m.wait(ctx) == nil {
		return m.store(ctx, events)
	}
	go m.store(context.Background(), events)
	return ctx.Err()
}

func acknowledgesPanics(m *machine, ctx context.Context, events []*inlet.Event) (err error) {
	defer func() { recover() }()
	return m.store(ctx, events)
}

func refusesInPanic(m *machine, ctx context.Context, events []*inlet.Event) (err error) {
	defer func() {
		if recover() != nil {
			err = inlet.Permanent(errors.New("panic"))
		}
	}()
	return m.store(ctx, events)
}

// waitsForTurn waits for the calls before it and ignores its context, as with a
// mutex.
func waitsForTurn(m *machine, ctx context.Context, events []*inlet.Event) error {
	m.turn <- struct{}{}
	defer func() { <-m.turn }()
	return m.store(ctx, events)
}

// staysBroken has no connection any more once that has failed.
func staysBroken(m *machine, ctx context.Context, events []*inlet.Event) error {
	if m.running.Load() > 0 {
		return errors.New("broken pipe")
	}
	err := m.store(ctx, events)
	if m.ended.Load() {
		m.running.Add(1)
	}
	return err
}

// remembersPanicked treats an event as a duplicate if it was written before, and
// forgets it only if the store returns an error.
func remembersPanicked(m *machine, ctx context.Context, events []*inlet.Event) error {
	fresh := m.remember(events)
	if len(fresh) == 0 {
		return m.Check(ctx)
	}
	err := m.store(ctx, fresh)
	if err != nil {
		m.forget(fresh)
	}
	return err
}

func (m *machine) remember(events []*inlet.Event) (fresh []*inlet.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil {
		m.seen = make(map[string]bool)
	}
	for _, e := range events {
		if !m.seen[e.MessageID] {
			m.seen[e.MessageID], fresh = true, append(fresh, e)
		}
	}
	return fresh
}

func (m *machine) forget(events []*inlet.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range events {
		delete(m.seen, e.MessageID)
	}
}

// keepsTurnInPanic releases its turn only if the store returns.
func keepsTurnInPanic(m *machine, ctx context.Context, events []*inlet.Event) error {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := m.store(ctx, events)
	<-m.turn
	return err
}

// countsInPanic counts a call out only if the store returns.
func countsInPanic(m *machine, ctx context.Context, events []*inlet.Event) error {
	m.running.Add(1)
	err := m.store(ctx, events)
	m.running.Add(-1)
	return err
}

// closesWhenIdle waits for all calls.
func closesWhenIdle(m *machine, ctx context.Context) error {
	for m.running.Load() > 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(time.Millisecond)
	}
	return m.Memory.Close(ctx)
}

// machineFeatures are the features of machines.
func machineFeatures() sinktest.Features {
	return sinktest.Features{
		Patience: time.Second, Grace: 500 * time.Millisecond,
		Stall: stallMachine, Panic: panicMachine, Crash: crashMachine, Restart: restartMachine,
	}
}

func brokenStores() []specimen {
	broken := func(name string, newMachine func() *machine, breaks ...string) specimen {
		return specimen{name: name, sink: func() inlet.Sink { return newMachine() }, features: machineFeatures(), breaks: breaks}
	}
	deduping := func(s specimen) specimen {
		s.features.Dedupes = true
		return s
	}
	return []specimen{
		broken("waits for its store", func() *machine { return &machine{write: waitsForStore} }, contextDone, givesUp),
		broken("waits for its deadline", func() *machine { return &machine{write: waitsForDeadline} }, contextDone, givesUp),
		broken("waits for its turn", func() *machine {
			return &machine{write: waitsForTurn, turn: make(chan struct{}, 1)}
		}, contextDone, givesUp),
		broken("waits for its store to close", func() *machine { return &machine{close: closesWithStore} }, askedInVain),
		broken("stores lent events after giving up", func() *machine { return &machine{write: storesBehind} }, givesUp),
		broken("acknowledges a panic", func() *machine { return &machine{write: acknowledgesPanics} }, panicFails),
		broken("refuses permanently in a panic", func() *machine { return &machine{write: refusesInPanic} }, panicFails),
		deduping(broken("treats panicked events as stored", func() *machine {
			return &machine{write: remembersPanicked}
		}, panicFails)),
		broken("keeps a lock after a panic", func() *machine {
			return &machine{write: keepsTurnInPanic, turn: make(chan struct{}, 1)}
		}, panicFails, panicEnds),
		broken("waits forever for a panicked call", func() *machine {
			return &machine{write: countsInPanic, close: closesWhenIdle}
		}, panicEnds),
		broken("refuses permanently while its store is down", func() *machine {
			return &machine{down: func(*machine) error { return errBad }}
		}, restarts),
		broken("acknowledges while its store is down", func() *machine {
			return &machine{down: func(*machine) error { return nil }}
		}, restarts),
		broken("does not connect again", func() *machine { return &machine{write: staysBroken} }, restarts),
		broken("loses everything in a crash", func() *machine {
			return &machine{crashed: func(*machine) []*inlet.Event { return nil }}
		}, survives),
	}
}

// buffering acknowledges before it stores, and declares that. Its fields break it.
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

func losesDuringFlush(b *buffering, events []*inlet.Event) bool {
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

func failsDuringFlush(b *buffering, _ context.Context) error {
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
		buffer("declares Fsync and buffers", func() *buffering { return &buffering{declares: inlet.DurabilityFsync} }, durability),
		buffer("returns from Flush while another runs", func() *buffering { return &buffering{flush: leavesItToOthers} }, flushes),
		buffer("loses what is written during a flush", func() *buffering { return &buffering{flush: flushesSlowly, loses: losesDuringFlush} }, flushBeside),
		buffer("needs a deadline to flush", func() *buffering { return &buffering{flush: flushesByDeadline} }, background),
		buffer("flushes an open sink only", func() *buffering { return &buffering{flush: flushesOpenOnly} }, closeAmid, closedFlush),
		buffer("does not close during a flush", func() *buffering { return &buffering{flush: flushesSlowly, close: failsDuringFlush} }, closeAmid),
		buffer("writes to check", func() *buffering { return &buffering{check: checksByWriting} }, checks),
		among(buffer("flushes nothing", func() *buffering { return &buffering{flush: flushesNothing} }, flushes)),
		among(buffer("closes without a flush", func() *buffering { return &buffering{close: closesUnflushed} }, closes)),
		among(specimen{name: "buffers and does not declare it", sink: func() inlet.Sink { return new(buffering) }, breaks: []string{storesAll}}),
	}
}
