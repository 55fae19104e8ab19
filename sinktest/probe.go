package sinktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
)

// patience is the deadline of a write that nothing holds up, as a handler would
// set it.
const patience = 10 * time.Second

// attempts is how often the suite writes an event that fails temporarily.
const attempts = 100

// A probe checks one clause on a sink of its own.
type probe struct {
	ctx    context.Context
	sink   inlet.Sink
	reader func(inlet.Sink) []*inlet.Event
	f      Features
}

func newProbe(ctx context.Context, s inlet.Sink, read func(inlet.Sink) []*inlet.Event, f Features) *probe {
	return &probe{ctx: ctx, sink: s, reader: read, f: f.withDefaults()}
}

// run checks c.
func (p *probe) run(c clause) error {
	if p.sink == nil {
		return errors.New("there is no sink to check")
	}
	return guard(func() error { return c.check(p) })
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

// bounded runs f under a context that ends after d, and waits for it no longer
// than the grace that the sink has then.
func (p *probe) bounded(ctx context.Context, d time.Duration, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- guard(func() error { return f(ctx) }) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(p.f.Grace)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("%s has not returned %v after its context was done", what, p.f.Grace)
	}
}

// close closes the sink.
func (p *probe) close() error {
	return p.bounded(p.ctx, patience, "Close", func(ctx context.Context) error { return inlet.Close(ctx, p.sink) })
}

// flush flushes the sink.
func (p *probe) flush() error {
	return p.bounded(p.ctx, patience, "Flush", func(ctx context.Context) error { return inlet.Flush(ctx, p.sink) })
}

// An answer is what one Write said about each of its events.
type answer struct {
	events []*inlet.Event
	err    error
	errs   []error // as of ItemErrors
}

// stored returns the events that the answer says are stored.
func (a answer) stored() (events []*inlet.Event) {
	return a.pick(func(err error) bool { return err == nil })
}

// temporary returns the events that failed and may be written again.
func (a answer) temporary() []*inlet.Event {
	return a.pick(func(err error) bool { return err != nil && !inlet.IsPermanent(err) })
}

func (a answer) pick(want func(error) bool) (events []*inlet.Event) {
	for i, e := range a.events {
		var err error
		if a.errs != nil {
			err = a.errs[i]
		}
		if want(err) {
			events = append(events, e)
		}
	}
	return events
}

// write lends the events for one Write with the given deadline. The error is a
// breach; that the sink could not store them is no breach and stands in the
// answer.
func (p *probe) write(ctx context.Context, d time.Duration, events []*inlet.Event) (answer, error) {
	l := lend(events)
	a, err := p.writeLoan(ctx, d, l)
	if err == nil {
		l.spoil()
	}
	return a, err
}

func (p *probe) writeLoan(ctx context.Context, d time.Duration, l *loan) (answer, error) {
	a := answer{events: l.want}
	if err := p.bounded(ctx, d, "Write", func(ctx context.Context) error {
		a.err = p.sink.Write(ctx, l.batch)
		return nil
	}); err != nil {
		return answer{events: l.want}, err // a may still be written to
	}
	a.errs = inlet.ItemErrors(a.err, len(l.want))
	return a, p.checkForm(a)
}

// checkForm says what is wrong with a batch error, if the answer is one.
func (p *probe) checkForm(a answer) error {
	batch, ok := batchErrorOf(a.err)
	if !ok {
		return nil
	}
	if err := batch.Validate(len(a.events)); err != nil {
		return fmt.Errorf("the error is malformed: %w", err)
	}
	if !p.f.Partial {
		return fmt.Errorf("the sink does not declare Partial and answered with %w", a.err)
	}
	return nil
}

// batchErrorOf looks through wrapped errors but not into joined ones, as
// [inlet.ItemErrors] does.
func batchErrorOf(err error) (*inlet.BatchError, bool) {
	for ; err != nil; err = errors.Unwrap(err) {
		if batch, ok := err.(*inlet.BatchError); ok {
			return batch, true
		}
	}
	return nil, false
}

// put writes events until the sink has stored all that it does not refuse for
// good, and returns the answers. Without [Features.Fails], a failure is a breach.
func (p *probe) put(events []*inlet.Event) (answers []answer, err error) {
	for range attempts + len(events) { // one that takes few at once needs many calls
		a, err := p.write(p.ctx, patience, p.head(events))
		if err != nil {
			return answers, err
		}
		if a.err != nil && !p.f.Fails {
			return answers, fmt.Errorf("good events were not stored: %w", a.err)
		}
		answers = append(answers, a)
		if events = append(a.temporary(), events[len(a.events):]...); len(events) == 0 {
			return answers, nil
		}
	}
	return answers, fmt.Errorf("%d events were not stored in %d attempts", len(events), attempts)
}

// head returns as many of the events as the sink takes at once.
func (p *probe) head(events []*inlet.Event) []*inlet.Event {
	if p.f.MaxBatch > 0 && len(events) > p.f.MaxBatch {
		return events[:p.f.MaxBatch]
	}
	return events
}

// storedOf returns all events that the answers say are stored.
func storedOf(answers []answer) (events []*inlet.Event) {
	for _, a := range answers {
		events = append(events, a.stored()...)
	}
	return events
}

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
func (p *probe) peek() map[string][]*inlet.Event {
	stored := make(map[string][]*inlet.Event)
	for _, e := range p.reader(p.sink) {
		stored[e.MessageID] = append(stored[e.MessageID], e)
	}
	return stored
}

// requireStored says which of the events are not stored, if they can be read:
// that is, which are missing, changed, or there more often than written.
func (p *probe) requireStored(want []*inlet.Event) error {
	if p.reader == nil {
		return nil
	}
	stored, err := p.read()
	if err != nil {
		return err
	}
	return p.compare(want, stored)
}

func (p *probe) compare(want []*inlet.Event, stored map[string][]*inlet.Event) error {
	missing := 0
	for _, e := range want {
		copies := stored[e.MessageID]
		if len(copies) == 0 {
			missing++
			continue
		}
		if len(copies) > 1 && !p.f.Fails {
			return fmt.Errorf("event %s was written once and is stored %d times", e.MessageID, len(copies))
		}
		if diff := difference(e, copies[0]); diff != "" {
			return errors.New(diff)
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
