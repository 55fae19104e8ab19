package sinktest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
)

// attempts is how often the suite writes events that fail temporarily, without
// that any of them is stored.
const attempts = 100

// A probe checks one clause on a sink of its own.
type probe struct {
	ctx    context.Context
	sink   inlet.Sink
	reader func(inlet.Sink) []*inlet.Event
	f      Features
	panics bool // a panic of Write is an answer

	inner *inner                        // the sink of a decorator, nil without one
	again func(inlet.Durability) *probe // of another decorator, of a sink that declares so much
}

func newProbe(ctx context.Context, s inlet.Sink, read func(inlet.Sink) []*inlet.Event, f Features) *probe {
	return &probe{ctx: ctx, sink: s, reader: read, f: f.withDefaults()}
}

// guard returns a panic of f as an error.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("it panicked: %v", v)
		}
	}()
	return f()
}

// start calls f in a goroutine and returns where its error comes.
func start(f func() error) (done chan error) {
	done = make(chan error, 1)
	go func() { done <- guard(f) }()
	return done
}

// bounded runs f under a context that ends after d, and waits for it no longer
// than the grace that the sink has then.
func (p *probe) bounded(ctx context.Context, d time.Duration, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	done := start(func() error { return f(ctx) })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	err, inTime := await(done, p.f.Grace)
	if !inTime {
		return fmt.Errorf("%s has not returned %v after its context was done", what, p.f.Grace)
	}
	return err
}

// unbounded runs f under a context without a deadline.
func (p *probe) unbounded(what string, f func(context.Context) error) error {
	err, inTime := await(start(func() error { return f(context.WithoutCancel(p.ctx)) }), p.f.Patience)
	if !inTime {
		return fmt.Errorf("%s has not returned within %v", what, p.f.Patience)
	}
	return err
}

func await(done chan error, d time.Duration) (err error, inTime bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err = <-done:
		return err, true
	case <-timer.C:
		return nil, false
	}
}

// pause lets calls begin before what they are to run beside.
func (p *probe) pause() { p.sleep(time.Millisecond) }

// linger lets what runs behind our back do what it should not.
func (p *probe) linger() { p.sleep(10 * time.Millisecond) }

func (p *probe) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.ctx.Done():
	}
}

// An ability is one of those that a sink may have beside Write.
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

// abilities returns those that the sink has, Close last.
func (p *probe) abilities() (all []ability) {
	for _, a := range []ability{flushing, checking, closing} {
		if a.of(p.sink) {
			all = append(all, a)
		}
	}
	return all
}

// ask asks the sink for an ability. The error is what the sink says, or a breach.
func (p *probe) ask(a ability) error {
	said, err := p.askFor(a, p.f.Patience)
	return cmp.Or(err, said)
}

// askFor is ask with so much time, and tells what was said from a breach.
func (p *probe) askFor(a ability, d time.Duration) (said, breach error) {
	var answer error
	if err := p.bounded(p.ctx, d, a.name, func(ctx context.Context) error {
		answer = a.ask(ctx, p.sink)
		return nil
	}); err != nil {
		return nil, err // answer may still be written to
	}
	return answer, nil
}

func (p *probe) flush() error { return p.ask(flushing) }
func (p *probe) close() error { return p.ask(closing) }

// read returns what is stored, by message ID. A sink that buffers is flushed
// first.
func (p *probe) read() (map[string][]*inlet.Event, error) {
	if p.f.Buffers {
		if err := p.flush(); err != nil {
			return nil, fmt.Errorf("flush before reading: %w", err)
		}
	}
	return p.peek(), nil
}

// peek is read without the flush.
func (p *probe) peek() map[string][]*inlet.Event { return byID(p.reader(p.sink)) }

func byID(events []*inlet.Event) map[string][]*inlet.Event {
	copies := make(map[string][]*inlet.Event)
	for _, e := range events {
		copies[e.MessageID] = append(copies[e.MessageID], e)
	}
	return copies
}

// requireStored says which of the events are not stored, if they can be read:
// that is, which are missing, changed, or there more often than written.
func (p *probe) requireStored(want []*inlet.Event) error {
	return p.inspect(func(stored map[string][]*inlet.Event) error { return p.compare(want, stored) })
}

// requirePresent is requireStored for events that may have been stored more often.
func (p *probe) requirePresent(want []*inlet.Event) error {
	return p.inspect(func(stored map[string][]*inlet.Event) error { return contains(stored, want) })
}

// inspect shows what is stored, if that can be read.
func (p *probe) inspect(look func(stored map[string][]*inlet.Event) error) error {
	if p.reader == nil {
		return nil
	}
	stored, err := p.read()
	if err != nil {
		return err
	}
	return look(stored)
}

// compare is requireStored for what has been read. An event stands in want as
// often as it was written.
func (p *probe) compare(want []*inlet.Event, stored map[string][]*inlet.Event) error {
	for id, written := range byID(want) {
		if len(stored[id]) > len(written) && !p.f.Fails {
			return fmt.Errorf("event %s was written %d times and is stored %d times", id, len(written), len(stored[id]))
		}
	}
	return contains(stored, want)
}

// contains requires that the events are stored, and unchanged, however often.
func contains(stored map[string][]*inlet.Event, want []*inlet.Event) error {
	missing := 0
	for _, e := range want {
		copies := stored[e.MessageID]
		if len(copies) == 0 {
			missing++
		}
		for _, c := range copies {
			if diff := difference(e, c); diff != "" {
				return errors.New(diff)
			}
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d acknowledged events are not stored", missing, len(want))
	}
	return nil
}

// A crowd runs functions concurrently and keeps their first error.
type crowd struct {
	wg    sync.WaitGroup
	mu    sync.Mutex
	first error
}

func (c *crowd) run(f func() error) {
	c.wg.Go(func() {
		err := guard(f)
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
