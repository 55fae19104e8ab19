package sinktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/inlet-go/inlet"
)

func (p *probe) askCheck(ctx context.Context) error { return inlet.Check(ctx, p.sink) }

func closeIdempotent(p *probe) error {
	if _, err := p.put(Events(2)); err != nil {
		return err
	}
	for i := range 3 {
		if err := p.close(); err != nil {
			return fmt.Errorf("call %d: %w", i+1, err)
		}
	}
	var c crowd
	for range 4 {
		c.run(p.close)
	}
	if err := c.wait(); err != nil {
		return fmt.Errorf("called concurrently: %w", err)
	}
	return nil
}

// closesConcurrently closes the sink amid writes. Each of them must be stored or
// fail temporarily.
func closesConcurrently(p *probe) error {
	var c crowd
	var mu sync.Mutex
	var answers []answer
	var closed atomic.Bool
	for range writers {
		c.run(func() error {
			for range 200 {
				last := closed.Load()
				a, err := p.write(p.ctx, patience, Events(1))
				mu.Lock()
				answers = append(answers, a)
				mu.Unlock()
				if err != nil || last {
					return err
				}
			}
			return nil
		})
	}
	for range 2 {
		c.run(func() error {
			defer closed.Store(true)
			p.pause()
			return p.close()
		})
	}
	if err := c.wait(); err != nil {
		return err
	}
	return p.afterClose(answers)
}

// afterClose is honest for a closed sink, which cannot be flushed any more.
func (p *probe) afterClose(answers []answer) error {
	for _, a := range answers {
		if inlet.IsPermanent(a.err) && !p.f.Fails {
			return fmt.Errorf("a write beside Close failed for good: %w", a.err)
		}
	}
	if p.reader == nil {
		return nil
	}
	return p.compare(storedOf(answers), p.peek())
}

func closeStores(p *probe) error {
	answers, err := p.put(Events(12))
	if err != nil {
		return err
	}
	if err := p.close(); err != nil {
		return err
	}
	return p.compare(storedOf(answers), p.peek())
}

func closedRefuses(p *probe) error {
	events, a, err := p.writeClosed()
	switch {
	case err != nil:
		return err
	case a.err == nil:
		return errors.New("it returned nil")
	case !p.f.Fails && !errors.Is(a.err, inlet.ErrClosed):
		return fmt.Errorf("it returned another error: %w", a.err)
	case p.reader == nil:
		return nil
	}
	stored := p.peek()
	for _, e := range events {
		if len(stored[e.MessageID]) > 0 {
			return fmt.Errorf("event %s is stored", e.MessageID)
		}
	}
	return nil
}

func closedIsTemporary(p *probe) error {
	_, a, err := p.writeClosed()
	switch {
	case err != nil:
		return err
	case !p.f.Fails && inlet.IsPermanent(a.err):
		return fmt.Errorf("the client would not come back after %w", a.err)
	}
	return nil
}

// writeClosed writes to the sink after it has been used and closed.
func (p *probe) writeClosed() ([]*inlet.Event, answer, error) {
	if _, err := p.put(Events(3)); err != nil {
		return nil, answer{}, err
	}
	if err := p.close(); err != nil {
		return nil, answer{}, fmt.Errorf("close: %w", err)
	}
	events := p.head(Events(3))
	a, err := p.write(p.ctx, patience, events)
	return events, a, err
}
