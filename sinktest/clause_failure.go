package sinktest

import (
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
)

// batchErrorWellFormed makes calls of several sizes; [probe.write] checks the form of each
// answer.
func batchErrorWellFormed(p *probe) error {
	for i := range 20 {
		events := p.head(p.events(1 + i%5*4))
		if p.f.Refuse != nil {
			p.f.Refuse(events[i%len(events)])
		}
		if _, err := p.write(p.ctx, p.f.Patience, events); err != nil {
			return err
		}
	}
	return nil
}

// batchErrorTrue writes without retries, so that the answer about each event is final.
func batchErrorTrue(p *probe) error {
	var answers []answer
	for i := range 30 {
		events := p.head(p.events(1 + i%7*2))
		if p.f.Refuse != nil && i%3 == 0 {
			p.f.Refuse(events[i%len(events)])
		}
		a, err := p.write(p.ctx, p.f.Patience, events)
		if err != nil {
			return err
		}
		answers = append(answers, a)
	}
	stored, err := p.read()
	if err != nil {
		return err
	}
	for _, a := range answers {
		if err := a.matches(stored); err != nil {
			return err
		}
	}
	return nil
}

// matches compares an answer with what is stored. After an error that is not a batch error,
// anything may be.
func (a answer) matches(stored map[string][]*inlet.Event) error {
	if _, ok := itemerrors.Find(a.err); !ok && a.err != nil {
		return nil
	}
	for i, e := range a.events {
		failed := a.of(i) != nil
		switch there := len(stored[e.MessageID]) > 0; {
		case failed && there:
			return fmt.Errorf("the error names the event at index %d of %d as failed, but it is stored", i, len(a.events))
		case !failed && !there:
			return fmt.Errorf("the error does not name the event at index %d of %d as failed, but it is not stored", i, len(a.events))
		}
	}
	return nil
}

func refusesOnlyBad(p *probe) error {
	events := p.head(p.events(3))
	bad := len(events) / 2
	p.f.Refuse(events[bad])
	pending := events
	for range maxAttempts {
		a, err := p.write(p.ctx, p.f.Patience, pending)
		if err != nil {
			return err
		}
		if err := a.refuses(events[bad].MessageID, p.f.Fails); err != nil {
			return err
		}
		if pending = a.temporary(); len(pending) == 0 || !p.f.Fails {
			return nil
		}
	}
	return errors.New("the refused event never fails permanently")
}

// refuses returns an error if the answer is wrong about the bad event or the others.
func (a answer) refuses(bad string, fails bool) error {
	_, partial := itemerrors.Find(a.err)
	for i, e := range a.events {
		switch err := a.of(i); {
		case e.MessageID == bad && err == nil:
			return errors.New("an event that Features.Refuse changed is acknowledged")
		case e.MessageID == bad && partial && !fails && !inlet.IsPermanent(err):
			return fmt.Errorf("the error of the refused event is temporary: %w", err)
		case e.MessageID != bad && partial && !fails && err != nil:
			return fmt.Errorf("a good event failed together with the refused one: %w", err)
		}
	}
	return nil
}

// panicFailsItsCall makes the store panic for one call, and then repeatedly during
// concurrent calls. The calls may panic too, or fail temporarily; what is acknowledged must
// be stored, also after a retry.
func panicFailsItsCall(p *probe) error {
	p.panics = true
	a, err := p.writeInPanic()
	if err != nil {
		return err
	}
	if err := p.honest([]answer{a}); err != nil {
		return err
	}
	if err := p.retryFailed([]answer{a}); err != nil {
		return err
	}
	answers, err := p.panicRepeatedly()
	if err != nil {
		return err
	}
	if err := p.honest(answers); err != nil {
		return fmt.Errorf("in concurrent calls: %w", err)
	}
	return p.retryFailed(answers)
}

// writeInPanic makes a call while the store panics.
func (p *probe) writeInPanic() (answer, error) {
	calm := p.f.Panic(p.sink)
	defer calm()
	return p.write(p.ctx, p.f.Patience, p.head(p.events(3)))
}

// panicRepeatedly makes concurrent writes, during which the store panics three times for a
// while. How long is counted in writes, so that some of them fall into every phase.
func (p *probe) panicRepeatedly() ([]answer, error) {
	const phases = 3 * 2
	answered := make(chan answer, writers*writesEach)
	wait := func() {
		for range writers * writesEach / phases {
			<-answered
		}
	}
	toggled := start(func() error {
		for range phases / 2 {
			calm := p.f.Panic(p.sink)
			wait()
			calm()
			wait()
		}
		return nil
	})
	var answers ledger
	var c crowd
	for range writers {
		c.run(func() error {
			for i := range writesEach {
				a, err := p.write(p.ctx, p.f.Patience, p.head(p.events(1+i%4)))
				if err != nil {
					return err
				}
				answers.add(a)
				answered <- a
			}
			return nil
		})
	}
	err := c.wait()
	close(answered)
	return answers.all(), errors.Join(err, <-toggled)
}

// worksOnAfterPanic calls all methods of a sink whose store has panicked.
func worksOnAfterPanic(p *probe) error {
	p.panics = true
	for range 2 {
		if _, err := p.writeInPanic(); err != nil {
			return err
		}
		if p.f.Buffers { // acknowledged events may be lost, and the next flush may fail for them
			if err := p.askOnly(flushing); err != nil {
				return err
			}
		}
		if err := p.putStored(p.events(3)); err != nil {
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
