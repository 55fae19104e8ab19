package sinktest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
)

// short is the time of a call that is to be held up.
const short = 10 * time.Millisecond

// returnsWithContext writes concurrently, to a store that hangs if the sink can
// be made to.
func returnsWithContext(p *probe) error {
	release := func() {}
	if p.f.Stall != nil {
		release = p.f.Stall(p.sink)
	}
	answers, err := p.giveUp()
	release()
	if err != nil {
		return err
	}
	return p.honest(answers)
}

// giveUp makes several Writes at once whose contexts end soon, and returns the
// answers. Every other context has a deadline, the others are cancelled.
func (p *probe) giveUp() ([]answer, error) {
	answers := make([]answer, 8)
	var c crowd
	for i := range answers {
		c.run(func() (err error) {
			ctx, cancel := context.WithCancel(p.ctx)
			defer cancel()
			d := short
			if i%2 == 1 {
				d = p.f.Patience
				defer time.AfterFunc(short, cancel).Stop()
			}
			answers[i], err = p.write(ctx, d, p.head(Events(3)))
			return err
		})
	}
	return answers, c.wait()
}

func takesDoneContext(p *probe) error {
	ctx, cancel := context.WithCancelCause(p.ctx)
	cancel(inlet.Permanent(context.Canceled)) // the cause must not make it permanent
	a, err := p.write(ctx, p.f.Patience, p.head(Events(3)))
	if err != nil {
		return err
	}
	if err := p.honest([]answer{a}); err != nil {
		return err
	}
	if err := p.putStored(Events(3)); err != nil {
		return fmt.Errorf("in the call after it: %w", err)
	}
	return nil
}

// honest requires that what the answers say is stored is, and that the failures
// are temporary.
func (p *probe) honest(answers []answer) error {
	if err := p.onlyTemporary(answers); err != nil {
		return err
	}
	return p.requireStored(storedOf(answers))
}

// onlyTemporary requires that no event has failed for good where it is no fault
// of the events. Those that a flaky sink refuses cannot be told apart.
func (p *probe) onlyTemporary(answers []answer) error {
	for _, a := range answers {
		if len(a.refused()) > 0 && !p.f.Fails {
			return fmt.Errorf("the failure is permanent, and the client would not come back: %w", a.err)
		}
	}
	return nil
}

// abilitiesReturn asks for each ability while the store hangs and a Write hangs in
// it. What they say does not matter; only a Close that succeeds makes a promise.
func abilitiesReturn(p *probe) error {
	answers, err := p.put(Events(2))
	if err != nil {
		return err
	}
	release := p.f.Stall(p.sink)
	hung := start(func() error {
		_, err := p.write(p.ctx, short, p.head(Events(2)))
		return err
	})
	p.pause()
	closed, err := p.askAll(short)
	release()
	err = errors.Join(err, <-hung)
	if err != nil || !closed || p.reader == nil {
		return err
	}
	return p.compare(storedOf(answers), p.peek())
}

// askAll asks for each ability, with so much time, and returns whether Close
// succeeded.
func (p *probe) askAll(d time.Duration) (closed bool, err error) {
	for _, a := range p.abilities() {
		said, err := p.askFor(a, d)
		if err != nil {
			return false, err
		}
		closed = a.name == closing.name && said == nil
	}
	return closed, nil
}

func abilitiesTakeBackground(p *probe) error {
	if _, err := p.put(Events(3)); err != nil {
		return err
	}
	for _, a := range p.abilities() {
		if err := p.unbounded(a.name, func(ctx context.Context) error { return a.ask(ctx, p.sink) }); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return nil
}
