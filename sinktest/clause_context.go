package sinktest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
)

// short is the timeout of a call that is to be delayed beyond it.
const short = 10 * time.Millisecond

// returnsWithContext writes concurrently to a store that hangs, if there is a hook for
// that. One Write has a long timeout, so that calls which wait for it are detected too.
func returnsWithContext(p *probe) error {
	same := p.head(p.events(3))
	release := p.hang(same)
	answers, err := p.giveUp(same)
	hung, hungErr := release()
	if err := errors.Join(err, hungErr); err != nil {
		return err
	}
	answers = append(answers, hung)
	if err := p.honest(answers); err != nil {
		return err
	}
	return p.retryFailed(answers)
}

// hang makes the store hang, if there is a hook for that, and begins a Write with a long
// timeout. release ends the hang and returns the answer of that Write.
func (p *probe) hang(events []*inlet.Event) (release func() (answer, error)) {
	end := func() {}
	if p.f.Stall != nil {
		end = p.f.Stall(p.sink)
	}
	var a answer
	done := start(func() (err error) {
		a, err = p.write(p.ctx, p.f.Patience, events)
		return err
	})
	p.pause()
	return func() (answer, error) {
		end()
		err := <-done
		return a, err
	}
}

// giveUp makes concurrent Writes whose contexts end soon, and returns the answers. Half of
// them write the same events, and half of the contexts have a deadline, where the others are
// cancelled.
func (p *probe) giveUp(same []*inlet.Event) ([]answer, error) {
	answers := make([]answer, 8)
	var c crowd
	for i := range answers {
		c.run(func() (err error) {
			events := same
			if i%4 < 2 {
				events = p.head(p.events(3))
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

func handlesDoneContext(p *probe) error {
	ctx, cancel := context.WithCancelCause(p.ctx)
	cancel(inlet.Permanent(context.Canceled)) // the cause must not make it permanent
	a, err := p.write(ctx, p.f.Patience, p.head(p.events(3)))
	if err != nil {
		return err
	}
	if err := p.honest([]answer{a}); err != nil {
		return err
	}
	if err := p.putStored(p.events(3)); err != nil {
		return fmt.Errorf("in the next call: %w", err)
	}
	return p.retryFailed([]answer{a})
}

// honest requires that the events which the answers report as stored are, and that the
// failures are temporary.
func (p *probe) honest(answers []answer) error {
	if err := p.onlyTemporary(answers); err != nil {
		return err
	}
	return p.requirePresent(storedOf(answers))
}

// onlyTemporary requires that no event has failed permanently where the reason is not the
// event. The refusals of a flaky sink cannot be distinguished.
func (p *probe) onlyTemporary(answers []answer) error {
	for _, a := range answers {
		if len(a.refused()) > 0 && !p.f.Fails {
			return fmt.Errorf("the failure is permanent, so that the client would not retry: %w", a.err)
		}
	}
	return nil
}
