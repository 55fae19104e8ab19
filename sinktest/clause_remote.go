package sinktest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/inlet-go/inlet"
)

// The clauses about stores that are elsewhere: that end and start again, that refuse data, and
// that keep the order within keys.

// survivesRestart ends the store while nothing is written, and while other goroutines write.
func survivesRestart(p *probe) error {
	for _, busy := range []bool{false, true} {
		if err := p.restart(busy); err != nil {
			return err
		}
	}
	return nil
}

// restart ends the store, with concurrent Writes if wanted, and starts it again. What failed
// meanwhile must be temporary, and stored later; what was acknowledged must be stored still.
func (p *probe) restart(busy bool) error {
	var answered ledger
	before, err := p.put(p.events(5))
	if err != nil {
		return err
	}
	answered.add(before...)
	var c crowd
	if busy {
		for range writers {
			c.run(func() error { return p.writeRepeatedly(&answered, writesEach) })
		}
	}
	begin := p.f.Restart(p.sink)
	err = p.writeRepeatedly(&answered, 3)
	begin()
	if err := errors.Join(err, c.wait()); err != nil {
		return err
	}
	if err := p.onlyTemporary(answered.all()); err != nil {
		return err
	}
	if err := p.retryFailed(answered.all()); err != nil {
		return fmt.Errorf("after the store has started again: %w", err)
	}
	if err := p.requirePresent(answered.stored()); err != nil {
		return fmt.Errorf("after the store has started again: %w", err)
	}
	return p.eventually(p.events(3))
}

// writeRepeatedly makes n Writes that may fail, and records the answers.
func (p *probe) writeRepeatedly(answered *ledger, n int) error {
	for i := range n {
		a, err := p.write(p.ctx, p.f.Patience, p.head(p.events(1+i%4)))
		if err != nil {
			return err
		}
		answered.add(a)
	}
	return nil
}

// isolatesPoison writes batches with an event that the store refuses at several places, in ever
// smaller parts, as a dead letter decorator does.
func isolatesPoison(p *probe) error {
	for _, n := range []int{1, 2, 7, 20} {
		events := p.head(p.events(n))
		bad := len(events) / 2
		p.f.Poison(events[bad])
		good, err := p.narrow(events, events[bad].MessageID)
		if err != nil {
			return fmt.Errorf("in a batch with %d events: %w", len(events), err)
		}
		if slices.ContainsFunc(good, func(e *inlet.Event) bool { return e.MessageID == events[bad].MessageID }) {
			return fmt.Errorf("in a batch with %d events: the event that the store refuses is acknowledged", len(events))
		}
		if err := p.requirePresent(good); err != nil {
			return fmt.Errorf("in a batch with %d events: %w", len(events), err)
		}
	}
	return nil
}

// narrow writes events, one of which may be the bad one, and returns those that are stored.
func (p *probe) narrow(events []*inlet.Event, bad string) (stored []*inlet.Event, err error) {
	for range maxAttempts {
		a, err := p.write(p.ctx, p.f.Patience, events)
		if err != nil {
			return nil, err
		}
		stored = append(stored, a.stored()...)
		refused := a.refused()
		if len(refused) == len(events) && len(events) > 1 {
			middle := len(events) / 2
			first, err := p.narrow(events[:middle], bad)
			if err != nil {
				return nil, err
			}
			second, err := p.narrow(events[middle:], bad)
			return append(append(stored, first...), second...), err
		}
		for _, e := range refused {
			if e.MessageID != bad && !p.f.Fails {
				return nil, fmt.Errorf("a good event is permanently refused: %w", a.err)
			}
		}
		if events = a.temporary(); len(events) == 0 {
			return stored, nil
		}
		if !p.f.Fails {
			return nil, fmt.Errorf("the failure is temporary, so that the batch would be written again and again: %w", a.err)
		}
	}
	return nil, errors.New("the events never stop failing temporarily")
}

// keepsOrderOfKeys makes calls one after the other, and looks for the events of each key as a
// subsequence of what is stored.
func keepsOrderOfKeys(p *probe) error {
	written := map[string][]string{} // ids in order, by key
	for range 4 {
		for _, n := range batchSizes {
			answers, err := p.put(p.events(n))
			if err != nil {
				return err
			}
			for _, e := range storedOf(answers) {
				key := p.f.Order(e)
				written[key] = append(written[key], e.MessageID)
			}
		}
	}
	if _, err := p.read(); err != nil { // flushes
		return err
	}
	stored := p.reader(p.sink)
	for key, ids := range written {
		for _, e := range stored {
			if len(ids) > 0 && e.MessageID == ids[0] {
				ids = ids[1:]
			}
		}
		if len(ids) > 0 {
			return fmt.Errorf("event %s is not stored after the event with the same key %q that was written before it", ids[0], key)
		}
	}
	return nil
}
