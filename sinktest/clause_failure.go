package sinktest

import (
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
)

// batchErrorWellFormed provokes answers; [probe.write] checks the form of each.
func batchErrorWellFormed(p *probe) error {
	for i := range 20 {
		events := p.head(Events(1 + i%5*4))
		if p.f.Refuse != nil {
			p.f.Refuse(events[i%len(events)])
		}
		if _, err := p.write(p.ctx, p.f.Patience, events); err != nil {
			return err
		}
	}
	return nil
}

// batchErrorTrue writes without a second attempt, so that what is said about
// each event is final.
func batchErrorTrue(p *probe) error {
	var said []answer
	for i := range 30 {
		events := p.head(Events(1 + i%7*2))
		if p.f.Refuse != nil && i%3 == 0 {
			p.f.Refuse(events[i%len(events)])
		}
		a, err := p.write(p.ctx, p.f.Patience, events)
		if err != nil {
			return err
		}
		said = append(said, a)
	}
	stored, err := p.read()
	if err != nil {
		return err
	}
	for _, a := range said {
		if err := a.holds(stored); err != nil {
			return err
		}
	}
	return nil
}

// holds compares an answer with what is stored. After an error that is no batch
// error, anything may be.
func (a answer) holds(stored map[string][]*inlet.Event) error {
	if _, ok := batchErrorOf(a.err); !ok && a.err != nil {
		return nil
	}
	for i, e := range a.events {
		failed := a.of(i) != nil
		switch there := len(stored[e.MessageID]) > 0; {
		case failed && there:
			return fmt.Errorf("the event at index %d of %d was named as failed and is stored", i, len(a.events))
		case !failed && !there:
			return fmt.Errorf("the event at index %d of %d was not named as failed and is not stored", i, len(a.events))
		}
	}
	return nil
}

func refusesOnlyBad(p *probe) error {
	events := p.head(Events(3))
	bad := len(events) / 2
	p.f.Refuse(events[bad])
	pending := events
	for range attempts {
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
	return errors.New("the bad event is not refused for good")
}

// refuses says whether the answer is right about the bad event and the others.
func (a answer) refuses(bad string, fails bool) error {
	_, partial := batchErrorOf(a.err)
	for i, e := range a.events {
		switch err := a.of(i); {
		case e.MessageID == bad && err == nil:
			return errors.New("an event that Features.Refuse spoiled is acknowledged")
		case e.MessageID == bad && partial && !fails && !inlet.IsPermanent(err):
			return fmt.Errorf("the error of a refused event is temporary: %w", err)
		case e.MessageID != bad && partial && !fails && err != nil:
			return fmt.Errorf("a good event failed with a bad one: %w", err)
		}
	}
	return nil
}
