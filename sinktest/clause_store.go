package sinktest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/inlet-go/inlet"
)

// batchSizes are the sizes of the calls in most clauses.
var batchSizes = [...]int{1, 2, 7, 42, 3}

// storesAll only looks for the events: the next clause compares their content.
func storesAll(p *probe) error {
	for _, n := range batchSizes {
		answers, err := p.put(p.events(n))
		if err != nil {
			return err
		}
		stored, err := p.read()
		if err != nil {
			return err
		}
		for _, e := range storedOf(answers) {
			if len(stored[e.MessageID]) == 0 {
				return fmt.Errorf("in a call with %d events, event %s is not stored", n, e.MessageID)
			}
		}
	}
	return nil
}

// storesUnchanged names one event that was changed. Its content and that of the others is left
// to this clause.
func storesUnchanged(p *probe) error {
	events := p.events(3 * cycle)
	places := make(map[string]int, len(events))
	for i, e := range events {
		places[e.MessageID] = i % cycle
	}
	answers, err := p.put(events)
	if err != nil {
		return err
	}
	written := storedOf(answers)
	stored, err := p.read()
	if err != nil {
		return err
	}
	changed := map[int]bool{}
	for _, e := range written {
		for _, found := range stored[e.MessageID] {
			if p.difference(e, found) != "" {
				changed[places[e.MessageID]] = true
			}
		}
	}
	p.learned.learn(changed)
	if err := p.compare(written, stored); err != nil && len(changed) > 0 {
		return fmt.Errorf("%d of %d kinds of content are changed: %w", len(changed), cycle, err)
	} else if err != nil {
		return err
	}
	return nil
}

// acceptsEach writes events one by one. An event fails because of its content if it fails again
// although one that did not fail is stored again in between; other clauses are about other
// failures.
func acceptsEach(p *probe) error {
	failed, good := map[int]bool{}, -1
	for place, e := range p.events(cycle) {
		if p.accepts(e) != nil {
			failed[place] = true
		} else {
			good = place
		}
	}
	if good < 0 {
		return nil
	}
	var first error
	for _, place := range slices.Sorted(maps.Keys(failed)) {
		again := p.events(cycle)
		if p.accepts(again[good]) != nil {
			return nil
		}
		if err := p.accepts(again[place]); err == nil {
			return nil
		} else if first == nil {
			first = fmt.Errorf("%w, for %.300q", err, compact(again[place]))
		}
	}
	p.learned.learn(failed)
	if first == nil {
		return nil
	}
	return fmt.Errorf("%d of %d kinds of content fail, the first with: %w", len(failed), cycle, first)
}

// accepts returns why a good event is not stored, or nil.
func (p *probe) accepts(e *inlet.Event) error {
	for range maxAttempts {
		a, err := p.write(p.ctx, p.f.Patience, []*inlet.Event{e})
		if err != nil || a.err == nil || !p.f.Fails {
			return cmp.Or(err, a.err)
		}
	}
	return nil
}

// refusesNUL writes an event with U+0000 alone: it must not be sent again and again.
func refusesNUL(p *probe) error {
	e := p.events(1)[0]
	addNUL(e)
	err := p.accepts(e)
	if err != nil && !inlet.IsPermanent(err) {
		return fmt.Errorf("an event with U+0000 fails temporarily: %w", err)
	}
	if err == nil && p.reader != nil {
		stored, err := p.read()
		if err != nil {
			return err
		}
		if len(stored[e.MessageID]) == 0 {
			return errors.New("an event with U+0000 is acknowledged and not stored")
		}
	}
	if err := p.putStored(p.events(1)); err != nil {
		return fmt.Errorf("in the next call: %w", err)
	}
	return nil
}

// largeBatch is the default maximum number of events in one request of a handler.
const largeBatch = 2500

func acceptsLargeBatch(p *probe) error { return p.putStored(p.head(p.events(largeBatch))) }

// honestBeyondBound writes more than MaxBatch. The call may fail in any way, but what it
// acknowledges must be stored, and the next call must work.
func honestBeyondBound(p *probe) error {
	for _, n := range []int{p.f.MaxBatch + 1, 3*p.f.MaxBatch + 2} {
		a, err := p.write(p.ctx, p.f.Patience, p.events(n))
		if err != nil {
			return err
		}
		if err := p.requireStored(a.stored()); err != nil {
			return fmt.Errorf("in a call with %d events: %w", n, err)
		}
	}
	if err := p.putStored(p.events(1)); err != nil {
		return fmt.Errorf("in the next call: %w", err)
	}
	return nil
}

// keepsOrder looks for the events of each call as a subsequence of what is stored: events of
// other calls and duplicates may be between them.
func keepsOrder(p *probe) error {
	for _, n := range batchSizes {
		answers, err := p.put(p.events(n))
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
	if _, err := p.read(); err != nil { // flushes
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
			return fmt.Errorf("event %s is not stored after the event that was written before it", rest[0].MessageID)
		}
	}
	return nil
}

func keepsDuplicates(p *probe) error { return p.storedTimes(2) }
func storesOnce(p *probe) error      { return p.storedTimes(1) }

// storedTimes writes events in two calls, and another one twice in one call, and requires
// that each is stored want times.
func (p *probe) storedTimes(want int) error {
	var batches [][]*inlet.Event
	for range 5 {
		again, twice := p.events(3), p.events(1)
		batches = append(batches, again, again[1:], []*inlet.Event{twice[0], twice[0]})
	}
	written := make(map[string]int)
	for _, batch := range batches {
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

// dropsAlone requires that one event of each call is dropped and the others are stored.
func dropsAlone(p *probe) error {
	for i := range 10 {
		events := p.head(p.events(5))
		dropped := events[i%len(events)]
		p.f.Drop(dropped)
		answers, err := p.put(events)
		if err != nil {
			return err
		}
		if err := p.requireStored(slices.DeleteFunc(storedOf(answers), func(e *inlet.Event) bool {
			return e.MessageID == dropped.MessageID
		})); err != nil {
			return err
		}
	}
	return nil
}

// survivesCrash compares what is left after a crash with what several calls, of which the
// last were concurrent, have acknowledged.
func survivesCrash(p *probe) error {
	var answered ledger
	for _, n := range batchSizes {
		answers, err := p.put(p.events(n))
		if err != nil {
			return err
		}
		answered.add(answers...)
	}
	if err := p.writeConcurrently(&answered).wait(); err != nil {
		return err
	}
	return p.compare(answered.stored(), byID(p.f.Crash(p.sink)))
}

const (
	writers    = 8
	writesEach = 25
)

// writeConcurrently begins to write from several goroutines, and records the answers.
func (p *probe) writeConcurrently(answered *ledger) *crowd {
	c := new(crowd)
	for range writers {
		c.run(func() error {
			for i := range writesEach {
				answers, err := p.put(p.events(1 + i%4))
				if err != nil {
					return err
				}
				answered.add(answers...)
			}
			return nil
		})
	}
	return c
}

func acceptsConcurrentWrites(p *probe) error {
	var answered ledger
	if err := p.writeConcurrently(&answered).wait(); err != nil {
		return err
	}
	return p.requireStored(answered.stored())
}
