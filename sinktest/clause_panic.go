package sinktest

import (
	"fmt"
	"sync/atomic"
)

// panicFailsItsCall has the store panic for one call, and then now and then while
// others are under way. The calls may panic too, or fail temporarily, and what
// is acknowledged is stored, also when it comes again.
func panicFailsItsCall(p *probe) error {
	p.panics = true
	a, err := p.writeInPanic()
	if err != nil {
		return err
	}
	if err := p.honest([]answer{a}); err != nil {
		return err
	}
	if err := p.comesAgain([]answer{a}); err != nil {
		return err
	}
	answers, err := p.panicNowAndThen()
	if err != nil {
		return err
	}
	if err := p.honest(answers); err != nil {
		return fmt.Errorf("of calls at once: %w", err)
	}
	return p.comesAgain(answers)
}

// writeInPanic makes a call while the store panics.
func (p *probe) writeInPanic() (answer, error) {
	calm := p.f.Panic(p.sink)
	defer calm()
	return p.write(p.ctx, p.f.Patience, p.head(Events(3)))
}

// panicNowAndThen has the store panic for short times while others write.
func (p *probe) panicNowAndThen() ([]answer, error) {
	var said ledger
	var c crowd
	var over atomic.Bool
	for range writers {
		c.run(func() error {
			for i := 0; i < writesEach || !over.Load() && i < 100*writesEach; i++ {
				a, err := p.write(p.ctx, p.f.Patience, p.head(Events(1+i%4)))
				if err != nil {
					return err
				}
				said.add(a)
			}
			return nil
		})
	}
	c.run(func() error {
		defer over.Store(true)
		for range 3 {
			calm := p.f.Panic(p.sink)
			p.pause()
			calm()
			p.pause()
		}
		return nil
	})
	err := c.wait()
	return said.answers, err
}

// worksOnAfterPanic asks everything of a sink whose store has panicked.
func worksOnAfterPanic(p *probe) error {
	p.panics = true
	for range 2 {
		if _, err := p.writeInPanic(); err != nil {
			return err
		}
		if p.f.Buffers { // what was acknowledged may be lost, and the next flush may say so
			if err := p.askOnly(flushing); err != nil {
				return err
			}
		}
		if err := p.putStored(Events(3)); err != nil {
			return err
		}
	}
	for _, a := range p.abilities() {
		if err := p.ask(a); err != nil && !p.f.Fails {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return nil
}
