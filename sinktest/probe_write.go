package sinktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
)

// An answer is what one Write said about each of its events.
type answer struct {
	lent   *loan
	events []*inlet.Event // those of the loan, as they were
	err    error
	errs   []error // as of ItemErrors
}

// of returns what was said of the event at index i.
func (a answer) of(i int) error {
	if a.errs == nil {
		return nil
	}
	return a.errs[i]
}

// stored returns the events that the answer says are stored.
func (a answer) stored() []*inlet.Event {
	return a.pick(func(err error) bool { return err == nil })
}

// temporary returns the events that failed and may be written again.
func (a answer) temporary() []*inlet.Event {
	return a.pick(func(err error) bool { return err != nil && !inlet.IsPermanent(err) })
}

// refused returns the events that failed for good.
func (a answer) refused() []*inlet.Event { return a.pick(inlet.IsPermanent) }

func (a answer) pick(want func(error) bool) (events []*inlet.Event) {
	for i, e := range a.events {
		if want(a.of(i)) {
			events = append(events, e)
		}
	}
	return events
}

// storedOf returns all events that the answers say are stored.
func storedOf(answers []answer) (events []*inlet.Event) {
	for _, a := range answers {
		events = append(events, a.stored()...)
	}
	return events
}

// errPanicked is what the caller of a sink makes of a panic.
var errPanicked = errors.New("sinktest: Write panicked")

// A callKey finds in the context of a call the deadline that it was given.
type callKey struct{}

// write lends the events for one Write with so much time. The error is a breach;
// that the sink could not store them is none and stands in the answer.
func (p *probe) write(ctx context.Context, d time.Duration, events []*inlet.Event) (answer, error) {
	a, err := p.answerTo(ctx, d, events)
	if err != nil {
		return a, err
	}
	return a, p.checkForm(a)
}

// answerTo is write for an answer of any form.
func (p *probe) answerTo(ctx context.Context, d time.Duration, events []*inlet.Event) (answer, error) {
	l := lend(events)
	a := answer{lent: l, events: l.want}
	if err := p.bounded(ctx, d, "Write", func(ctx context.Context) error {
		a.err = p.call(ctx, l.batch)
		return nil
	}); err != nil {
		return answer{lent: l, events: l.want}, err // a may still be written to
	}
	if batch, ok := a.err.(*inlet.BatchError); ok && batch == nil {
		return a, errors.New("Write returned a nil *BatchError, which as an error is not nil")
	}
	a.errs = inlet.ItemErrors(a.err, len(l.want))
	return a, nil
}

// call calls Write, with a context from which an inner sink can tell whether it
// was passed on.
func (p *probe) call(ctx context.Context, events []*inlet.Event) (err error) {
	if p.panics {
		defer func() {
			if recover() != nil {
				err = errPanicked
			}
		}()
	}
	deadline, _ := ctx.Deadline()
	return p.sink.Write(context.WithValue(ctx, callKey{}, deadline), events)
}

// checkForm says what is wrong with a batch error, if the answer is one.
func (p *probe) checkForm(a answer) error {
	batch, ok := batchErrorOf(a.err)
	if !ok {
		return nil
	}
	if err := batch.Validate(len(a.events)); err != nil {
		return fmt.Errorf("the error is malformed: %w", err)
	}
	if !p.f.Partial {
		return fmt.Errorf("the sink does not declare Partial and answered with %w", a.err)
	}
	return nil
}

// batchErrorOf looks through wrapped errors but not into joined ones, as
// [inlet.ItemErrors] does.
func batchErrorOf(err error) (*inlet.BatchError, bool) {
	for ; err != nil; err = errors.Unwrap(err) {
		if batch, ok := err.(*inlet.BatchError); ok {
			return batch, true
		}
	}
	return nil, false
}

// put writes events until the sink has stored all that it does not refuse for
// good, and returns the answers. Without [Features.Fails], a failure is a breach.
func (p *probe) put(events []*inlet.Event) ([]answer, error) {
	return p.insist(events, func(a answer) error {
		if p.f.Fails {
			return nil
		}
		return fmt.Errorf("good events were not stored: %w", a.err)
	})
}

// insist writes what has failed temporarily again, as long as anything comes of it
// and failed allows it.
func (p *probe) insist(events []*inlet.Event, failed func(answer) error) (said []answer, err error) {
	for vain := 0; len(events) > 0; {
		begun := time.Now()
		a, err := p.write(p.ctx, p.f.Patience, p.head(events[:min(len(events), largeBatch)]))
		if err != nil {
			return said, err
		}
		said = append(said, a)
		left := append(a.temporary(), events[len(a.events):]...)
		if vain++; len(left) < len(events) {
			vain = 0
		}
		if events = left; a.err == nil {
			continue
		}
		if err := failed(a); err != nil {
			return said, err
		}
		if vain == attempts || time.Since(begun) >= p.f.Patience {
			return said, fmt.Errorf("%d events were not stored in %d attempts: %w", len(left), vain, a.err)
		}
	}
	return said, nil
}

// putStored is put, and requires that what was acknowledged is stored.
func (p *probe) putStored(events []*inlet.Event) error {
	answers, err := p.put(events)
	if err != nil {
		return err
	}
	return p.requireStored(storedOf(answers))
}

// comesAgain writes again what has failed temporarily, as clients do, until it is
// stored: soon after what was in the way has gone.
func (p *probe) comesAgain(answers []answer) error {
	var failed []*inlet.Event
	for _, a := range answers {
		failed = append(failed, a.temporary()...)
	}
	if err := p.eventually(failed); err != nil {
		return fmt.Errorf("of events that came again: %w", err)
	}
	return nil
}

// eventually writes events until they are stored or refused for good, with time
// between the attempts for what was in the way.
func (p *probe) eventually(events []*inlet.Event) error {
	said, err := p.insist(events, func(answer) error {
		p.linger()
		return nil
	})
	if err != nil {
		return err
	}
	return p.requirePresent(storedOf(said))
}

// head returns as many of the events as the sink takes at once.
func (p *probe) head(events []*inlet.Event) []*inlet.Event {
	if p.f.MaxBatch > 0 && len(events) > p.f.MaxBatch {
		return events[:p.f.MaxBatch]
	}
	return events
}

// A ledger gathers the answers of concurrent Writes.
type ledger struct {
	mu      sync.Mutex
	answers []answer
}

func (l *ledger) add(answers ...answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = append(l.answers, answers...)
}

// stored returns the events that any of the answers says are stored.
func (l *ledger) stored() []*inlet.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return storedOf(l.answers)
}
