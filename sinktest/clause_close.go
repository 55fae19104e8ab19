package sinktest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
)

func closeIdempotent(p *probe) error {
	if _, err := p.put(p.events(2)); err != nil {
		return err
	}
	for i := range 3 {
		if err := p.close(); err != nil {
			return fmt.Errorf("call %d: %w", i+1, err)
		}
	}
	if err := p.closeConcurrently(); err != nil {
		return fmt.Errorf("concurrent calls: %w", err)
	}
	return nil
}

func (p *probe) closeConcurrently() error {
	var c crowd
	for range 4 {
		c.run(p.close)
	}
	return c.wait()
}

// closesBesideWrites closes the sink during concurrent writes. Each of them must be stored
// or fail temporarily.
func closesBesideWrites(p *probe) error {
	var answers ledger
	a := newAmid(p)
	for range writers {
		a.repeat(func() error { return p.writeOne(&answers) })
	}
	if err := a.close(2 * writers); err != nil {
		return err
	}
	return p.afterClose(answers.all())
}

func (p *probe) writeOne(answers *ledger) error {
	a, err := p.write(p.ctx, p.f.Patience, p.events(1))
	answers.add(a)
	return err
}

// An amid closes a sink during concurrent calls.
type amid struct {
	p      *probe
	calls  crowd
	made   chan struct{} // receives an element per call, if close waits for it
	closed atomic.Bool
}

func newAmid(p *probe) *amid { return &amid{p: p, made: make(chan struct{})} }

// repeat calls f repeatedly in a goroutine, the last time after Close.
func (a *amid) repeat(f func() error) {
	a.calls.run(func() error {
		for i := 0; ; i++ {
			last := a.closed.Load()
			if err := f(); err != nil || last {
				return err
			}
			select {
			case a.made <- struct{}{}:
			default:
			}
			if i > 200 { // Close is slow
				a.p.pause()
			}
		}
	})
}

// close closes the sink twice concurrently, each time after n calls or, if these are slow, a
// short time. It returns when all calls have returned, with their first error.
func (a *amid) close(n int) error {
	for range 2 {
		a.calls.run(func() error {
			defer a.closed.Store(true)
			slow := time.NewTimer(short)
			defer slow.Stop()
			for range n {
				select {
				case <-a.made:
				case <-slow.C:
					return a.p.close()
				}
			}
			return a.p.close()
		})
	}
	return a.calls.wait()
}

// afterClose is honest for a closed sink, which can no longer be flushed.
func (p *probe) afterClose(answers []answer) error {
	if err := p.onlyTemporary(answers); err != nil || p.reader == nil {
		return err
	}
	return p.compare(storedOf(answers), p.peek())
}

// closesBesideAbilities closes the sink during concurrent Flush and Check, with events to
// flush. The errors of these calls do not matter, but they must return.
func closesBesideAbilities(p *probe) error {
	var answers ledger
	stored, err := p.put(p.events(5))
	if err != nil {
		return err
	}
	answers.add(stored...)
	a := newAmid(p)
	for _, ability := range []ability{flushing, checking} {
		for range 2 {
			a.repeat(func() error { return p.askOnly(ability) })
		}
	}
	a.repeat(func() error { return p.writeOne(&answers) })
	if err := a.close(2 * writers); err != nil {
		return err
	}
	return p.afterClose(answers.all())
}

// askOnly calls an ability and requires only that the call returns.
func (p *probe) askOnly(a ability) error {
	_, err := p.askFor(a, p.f.Patience)
	return err
}

func closeStores(p *probe) error {
	answers, err := p.put(p.events(12))
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
		return errors.New("Write returned nil")
	case !p.f.Fails && !errors.Is(a.err, inlet.ErrClosed):
		return fmt.Errorf("Write returned another error: %w", a.err)
	case p.reader == nil:
		return nil
	}
	stored := p.peek()
	for _, e := range events {
		if len(stored[e.MessageID]) > 0 {
			return fmt.Errorf("event %s is stored nevertheless", e.MessageID)
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
	events := p.head(p.events(3))
	a, err := p.write(p.ctx, p.f.Patience, events)
	return events, a, err
}

func (p *probe) useAndClose() error {
	if _, err := p.put(p.events(3)); err != nil {
		return err
	}
	if err := p.close(); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	return nil
}

func closedFailsCheck(p *probe) error {
	if err := p.useAndClose(); err != nil {
		return err
	}
	result, err := p.askFor(checking, p.f.Patience)
	if err == nil && result == nil {
		return errors.New("Check of a closed sink returned nil")
	}
	return err
}

func closedReturnsFromFlush(p *probe) error {
	if err := p.useAndClose(); err != nil {
		return err
	}
	return p.askOnly(flushing)
}
