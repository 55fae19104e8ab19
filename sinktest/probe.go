package sinktest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/guard"
)

// maxAttempts is how often the suite retries events that fail temporarily if none of them is
// stored.
const maxAttempts = 100

// A probe checks one clause on a sink of its own.
type probe struct {
	ctx    context.Context
	sink   inlet.Sink
	reader func(inlet.Sink) []*inlet.Event
	f      Features
	panics bool // a panic of Write is not a breach

	learned *experience // of the run

	inner *inner                        // the sink of a decorator, nil without one
	again func(inlet.Durability) *probe // makes the probe of another decorator, of a sink with this durability
}

func newProbe(ctx context.Context, s inlet.Sink, read func(inlet.Sink) []*inlet.Event, f Features) *probe {
	return &probe{ctx: ctx, sink: s, reader: read, f: f.withDefaults(), learned: new(experience)}
}

// guarded calls f and returns a panic as an error, with its stack.
func guarded(f func() error) (err error) {
	guard.Call(&err, f)
	return err
}

// start calls f in a goroutine and returns the channel that receives its error, also if f ends
// the goroutine.
func start(f func() error) (done chan error) {
	done = make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		guard.Call(&err, f)
	}()
	return done
}

// bounded calls f with a context that ends after d, and waits for it until the sink's grace
// after that is over.
func (p *probe) bounded(ctx context.Context, d time.Duration, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	done := start(func() error { return f(ctx) })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	inTime, err := await(done, p.f.Grace)
	if !inTime {
		return fmt.Errorf("%s did not return within %v after its context was done", what, p.f.Grace)
	}
	return err
}

// unbounded calls f with a context without a deadline.
func (p *probe) unbounded(what string, f func(context.Context) error) error {
	inTime, err := await(start(func() error { return f(context.WithoutCancel(p.ctx)) }), p.f.Patience)
	if !inTime {
		return fmt.Errorf("%s did not return within %v", what, p.f.Patience)
	}
	return err
}

func await(done chan error, d time.Duration) (inTime bool, err error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err = <-done:
		return true, err
	case <-timer.C:
		return false, nil
	}
}

// pause gives calls time to begin before what they are to run concurrently with.
func (p *probe) pause() { p.sleep(time.Millisecond) }

// linger gives goroutines that should have ended time to show that they have not.
func (p *probe) linger() { p.sleep(10 * time.Millisecond) }

func (p *probe) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.ctx.Done():
	}
}

// An ability is an optional method of a sink.
type ability struct {
	name string
	of   func(inlet.Sink) bool
	ask  func(context.Context, inlet.Sink) error
}

var (
	flushing = ability{"Flush", has[inlet.Flusher], inlet.Flush}
	checking = ability{"Check", has[inlet.Checker], inlet.Check}
	closing  = ability{"Close", has[inlet.Closer], inlet.Close}
)

// abilities returns the abilities that the sink has, Close last.
func (p *probe) abilities() (all []ability) {
	for _, a := range []ability{flushing, checking, closing} {
		if a.of(p.sink) {
			all = append(all, a)
		}
	}
	return all
}

// ask calls an ability of the sink. The error is that of the sink, or a breach.
func (p *probe) ask(a ability) error {
	result, err := p.askFor(a, p.f.Patience)
	return cmp.Or(err, result)
}

// askFor is ask with a timeout, and with the error of the sink apart from a breach.
func (p *probe) askFor(a ability, d time.Duration) (result, breach error) {
	var got error
	if err := p.bounded(p.ctx, d, a.name, func(ctx context.Context) error {
		got = a.ask(ctx, p.sink)
		return nil
	}); err != nil {
		return nil, err // the call may still write to got
	}
	return got, nil
}

func (p *probe) flush() error { return p.ask(flushing) }
func (p *probe) close() error { return p.ask(closing) }

// read returns the stored events by message ID. A sink that buffers is flushed first.
func (p *probe) read() (map[string][]*inlet.Event, error) {
	if p.f.Buffers {
		if err := p.flush(); err != nil {
			return nil, fmt.Errorf("Flush before reading: %w", err)
		}
	}
	return p.peek(), nil
}

// peek is read without a flush.
func (p *probe) peek() map[string][]*inlet.Event { return byID(p.reader(p.sink)) }

func byID(events []*inlet.Event) map[string][]*inlet.Event {
	copies := make(map[string][]*inlet.Event)
	for _, e := range events {
		copies[e.MessageID] = append(copies[e.MessageID], e)
	}
	return copies
}

// requireStored returns an error if the events are not stored, changed, or stored more often
// than written, if they can be read.
func (p *probe) requireStored(want []*inlet.Event) error {
	return p.inspect(func(stored map[string][]*inlet.Event) error { return p.compare(want, stored) })
}

// requirePresent is requireStored for events that may be stored more often than written.
func (p *probe) requirePresent(want []*inlet.Event) error {
	return p.inspect(func(stored map[string][]*inlet.Event) error { return p.contains(stored, want) })
}

// inspect calls f with the stored events, if they can be read.
func (p *probe) inspect(f func(stored map[string][]*inlet.Event) error) error {
	if p.reader == nil {
		return nil
	}
	stored, err := p.read()
	if err != nil {
		return err
	}
	return f(stored)
}

// compare is requireStored for events that were read before. want has each event as often as
// it was written.
func (p *probe) compare(want []*inlet.Event, stored map[string][]*inlet.Event) error {
	for id, written := range byID(want) {
		if len(stored[id]) > len(written) && !p.f.Fails {
			return fmt.Errorf("event %s was written %d times and is stored %d times", id, len(written), len(stored[id]))
		}
	}
	return p.contains(stored, want)
}

// contains requires that the events are stored unchanged, at least once.
func (p *probe) contains(stored map[string][]*inlet.Event, want []*inlet.Event) error {
	missing := 0
	for _, e := range want {
		copies := stored[e.MessageID]
		if len(copies) == 0 {
			missing++
		}
		for _, c := range copies {
			if diff := p.difference(e, c); diff != "" {
				return errors.New(diff)
			}
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d acknowledged events are not stored", missing, len(want))
	}
	return nil
}

// difference describes how a stored event differs from the written one, "" if it does not.
func (p *probe) difference(written, stored *inlet.Event) string {
	if p.f.Same != nil && p.f.Same(written, stored) {
		return ""
	}
	return difference(written, stored)
}

// A crowd runs functions concurrently and keeps their first error.
type crowd struct {
	wg    sync.WaitGroup
	mu    sync.Mutex
	first error
}

func (c *crowd) run(f func() error) {
	c.wg.Go(func() {
		err := guarded(f)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.first == nil {
			c.first = err
		}
	})
}

func (c *crowd) wait() error {
	c.wg.Wait()
	return c.first
}
