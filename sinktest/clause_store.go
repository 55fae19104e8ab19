package sinktest

import (
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
)

// batchSizes are those of the calls that most clauses make.
var batchSizes = [...]int{1, 2, 7, 42, 3}

// storesAll only looks for the events: what they hold is for the next clause.
func storesAll(p *probe) error {
	for _, n := range batchSizes {
		answers, err := p.put(Events(n))
		if err != nil {
			return err
		}
		stored, err := p.read()
		if err != nil {
			return err
		}
		for _, e := range storedOf(answers) {
			if len(stored[e.MessageID]) == 0 {
				return fmt.Errorf("of a call with %d events, one is not stored: %s", n, e.MessageID)
			}
		}
	}
	return nil
}

func storesUnchanged(p *probe) error {
	answers, err := p.put(Events(3 * len(awkward) * 6))
	if err != nil {
		return err
	}
	return p.requireStored(storedOf(answers))
}

// largeBatch is the most events that a handler lets into one request by default.
const largeBatch = 2500

func takesLargeBatch(p *probe) error {
	answers, err := p.put(p.head(Events(largeBatch)))
	if err != nil {
		return err
	}
	return p.requireStored(storedOf(answers))
}

// keepsOrder looks for the events of each call as a subsequence of what is
// stored: between them may stand those of other calls, and copies of their own.
func keepsOrder(p *probe) error {
	for _, n := range batchSizes {
		answers, err := p.put(Events(n))
		if err != nil {
			return err
		}
		if err := p.inOrder(answers); err != nil {
			return err
		}
	}
	return nil
}

func (p *probe) inOrder(answers []answer) error {
	if _, err := p.read(); err != nil { // flushes what is buffered
		return err
	}
	for _, a := range answers {
		rest := a.stored()
		for _, e := range p.reader(p.sink) {
			if len(rest) > 0 && e.MessageID == rest[0].MessageID {
				rest = rest[1:]
			}
		}
		if len(rest) > 0 {
			return fmt.Errorf("event %s is not behind the one that was written before it", rest[0].MessageID)
		}
	}
	return nil
}

func keepsDuplicates(p *probe) error { return p.storedTimes(2) }
func storesOnce(p *probe) error      { return p.storedTimes(1) }

// storedTimes writes events in two calls, and another twice in one, and requires
// that each is stored so many times.
func (p *probe) storedTimes(want int) error {
	again, twice := Events(3), Events(1)
	written := make(map[string]int)
	for _, batch := range [][]*inlet.Event{again, again[1:], {twice[0], twice[0]}} {
		answers, err := p.put(batch)
		if err != nil {
			return err
		}
		for _, e := range storedOf(answers) {
			written[e.MessageID]++
		}
	}
	stored, err := p.read()
	if err != nil {
		return err
	}
	for id, times := range written {
		if n := len(stored[id]); n != min(want, times) {
			return fmt.Errorf("event %s was acknowledged %d times and is stored %d times", id, times, n)
		}
	}
	return nil
}

// batchErrorWellFormed provokes answers; [probe.write] checks the form of each.
func batchErrorWellFormed(p *probe) error {
	for i := range 20 {
		events := p.head(Events(1 + i%5*3))
		if p.f.Refuse != nil {
			p.f.Refuse(events[i%len(events)])
		}
		if _, err := p.write(p.ctx, patience, events); err != nil {
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
		a, err := p.write(p.ctx, patience, events)
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
		failed := a.errs != nil && a.errs[i] != nil
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
		a, err := p.write(p.ctx, patience, pending)
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
		var err error
		if a.errs != nil {
			err = a.errs[i]
		}
		switch {
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
