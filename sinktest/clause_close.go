package sinktest

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/inlet-go/inlet"
)

func closeIdempotent(p *probe) error {
	if _, err := p.put(Events(2)); err != nil {
		return err
	}
	for i := range 3 {
		if err := p.close(); err != nil {
			return fmt.Errorf("call %d: %w", i+1, err)
		}
	}
	if err := p.closeAtOnce(); err != nil {
		return fmt.Errorf("called concurrently: %w", err)
	}
	return nil
}

func (p *probe) closeAtOnce() error {
	var c crowd
	for range 4 {
		c.run(p.close)
	}
	return c.wait()
}

// closesBesideWrites closes the sink amid writes. Each of them must be stored or
// fail temporarily.
func closesBesideWrites(p *probe) error {
	var said ledger
	var c crowd
	var closed atomic.Bool
	for range writers {
		c.run(func() error { return p.untilClosed(&closed, func() error { return p.writeOne(&said) }) })
	}
	p.closeAmid(&c, &closed)
	if err := c.wait(); err != nil {
		return err
	}
	return p.afterClose(said.answers)
}

func (p *probe) writeOne(said *ledger) error {
	a, err := p.write(p.ctx, p.f.Patience, Events(1))
	said.add(a)
	return err
}

// untilClosed calls f again and again, the last time after Close.
func (p *probe) untilClosed(closed *atomic.Bool, f func() error) error {
	for i := 0; ; i++ {
		last := closed.Load()
		if err := f(); err != nil || last {
			return err
		}
		if i > 200 { // Close takes its time
			p.pause()
		}
	}
}

// closeAmid closes the sink twice at once when others have begun.
func (p *probe) closeAmid(c *crowd, closed *atomic.Bool) {
	for range 2 {
		c.run(func() error {
			defer closed.Store(true)
			p.pause()
			return p.close()
		})
	}
}

// afterClose is honest for a closed sink, which cannot be flushed any more.
func (p *probe) afterClose(answers []answer) error {
	if err := p.onlyTemporary(answers); err != nil || p.reader == nil {
		return err
	}
	return p.compare(storedOf(answers), p.peek())
}

// closesBesideAbilities closes the sink while it is flushed and asked, with
// events to flush. What these calls say does not matter, if only they return.
func closesBesideAbilities(p *probe) error {
	var said ledger
	var c crowd
	var closed atomic.Bool
	answers, err := p.put(Events(5))
	if err != nil {
		return err
	}
	said.add(answers...)
	for _, a := range []ability{flushing, checking} {
		for range 2 {
			c.run(func() error { return p.untilClosed(&closed, func() error { return p.askOnly(a) }) })
		}
	}
	c.run(func() error { return p.untilClosed(&closed, func() error { return p.writeOne(&said) }) })
	p.closeAmid(&c, &closed)
	if err := c.wait(); err != nil {
		return err
	}
	return p.afterClose(said.answers)
}

// askOnly asks for an ability and requires only that the call returns.
func (p *probe) askOnly(a ability) error {
	_, err := p.askFor(a, p.f.Patience)
	return err
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
	if err != nil {
		return err
	}
	return p.onlyTemporary([]answer{a})
}

// writeClosed writes to the sink after it has been used and closed.
func (p *probe) writeClosed() ([]*inlet.Event, answer, error) {
	if err := p.useAndClose(); err != nil {
		return nil, answer{}, err
	}
	events := p.head(Events(3))
	a, err := p.write(p.ctx, p.f.Patience, events)
	return events, a, err
}

func (p *probe) useAndClose() error {
	if _, err := p.put(Events(3)); err != nil {
		return err
	}
	if err := p.close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

func closedFailsCheck(p *probe) error {
	if err := p.useAndClose(); err != nil {
		return err
	}
	said, err := p.askFor(checking, p.f.Patience)
	if err == nil && said == nil {
		return errors.New("a closed sink says that it could store events")
	}
	return err
}

func closedTakesFlush(p *probe) error {
	if err := p.useAndClose(); err != nil {
		return err
	}
	return p.askOnly(flushing)
}
