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
// be made to. One Write has time, so that others that wait for it are seen too.
func returnsWithContext(p *probe) error {
	same := p.head(Events(3))
	release := p.hang(same)
	answers, err := p.giveUp(same)
	held, heldErr := release()
	if err := errors.Join(err, heldErr); err != nil {
		return err
	}
	answers = append(answers, held)
	if err := p.honest(answers); err != nil {
		return err
	}
	return p.comesAgain(answers)
}

// hang makes the store hang, if the sink can be made to, and a Write in it that
// has time. What that said is known when the store does not hang any more.
func (p *probe) hang(events []*inlet.Event) (release func() (answer, error)) {
	end := func() {}
	if p.f.Stall != nil {
		end = p.f.Stall(p.sink)
	}
	var a answer
	held := start(func() (err error) {
		a, err = p.write(p.ctx, p.f.Patience, events)
		return err
	})
	p.pause()
	return func() (answer, error) {
		end()
		err := <-held
		return a, err
	}
}

// giveUp makes several Writes at once whose contexts end soon, and returns the
// answers. Half of them write the same events, and half of the contexts have a
// deadline, where the others are cancelled.
func (p *probe) giveUp(same []*inlet.Event) ([]answer, error) {
	answers := make([]answer, 8)
	var c crowd
	for i := range answers {
		c.run(func() (err error) {
			events := same
			if i%4 < 2 {
				events = p.head(Events(3))
			}
			answers[i], err = p.writeBriefly(events, i%2 == 1)
			return err
		})
	}
	return answers, c.wait()
}

// writeBriefly writes with a context that ends soon, by its deadline or before.
func (p *probe) writeBriefly(events []*inlet.Event, cancelled bool) (answer, error) {
	if !cancelled {
		return p.write(p.ctx, short, events)
	}
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	defer time.AfterFunc(short, cancel).Stop()
	return p.write(ctx, p.f.Patience, events)
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
	return p.comesAgain([]answer{a})
}

// honest requires that what the answers say is stored is, and that the failures
// are temporary.
func (p *probe) honest(answers []answer) error {
	if err := p.onlyTemporary(answers); err != nil {
		return err
	}
	return p.requirePresent(storedOf(answers))
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
	release := p.hang(p.head(Events(2)))
	closed, err := p.askAll(short)
	_, heldErr := release()
	err = errors.Join(err, heldErr)
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
