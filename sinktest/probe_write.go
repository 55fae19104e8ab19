package sinktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
)

// An answer is the outcome of one Write for each of its events.
type answer struct {
	lent   *loan
	events []*inlet.Event // of the loan, before the Write
	err    error
	errs   []error // as of ItemErrors
}

// of returns the error of the event at index i.
func (a answer) of(i int) error {
	if a.errs == nil {
		return nil
	}
	return a.errs[i]
}

// stored returns the events that the answer reports as stored.
func (a answer) stored() []*inlet.Event {
	return a.pick(func(err error) bool { return err == nil })
}

// temporary returns the events that failed temporarily.
func (a answer) temporary() []*inlet.Event {
	return a.pick(func(err error) bool { return err != nil && !inlet.IsPermanent(err) })
}

// refused returns the events that failed permanently.
func (a answer) refused() []*inlet.Event { return a.pick(inlet.IsPermanent) }

func (a answer) pick(want func(error) bool) (events []*inlet.Event) {
	for i, e := range a.events {
		if want(a.of(i)) {
			events = append(events, e)
		}
	}
	return events
}

// storedOf returns all events that the answers report as stored.
func storedOf(answers []answer) (events []*inlet.Event) {
	for _, a := range answers {
		events = append(events, a.stored()...)
	}
	return events
}

// errPanicked is the outcome of a Write that panicked.
var errPanicked = errors.New("sinktest: Write panicked")

// A callKey is the key of the deadline of a call in its context.
type callKey struct{}

// write lends the events to one Write with a timeout. The error is a breach; a failure of the
// sink is not, and is in the answer.
func (p *probe) write(ctx context.Context, d time.Duration, events []*inlet.Event) (answer, error) {
	a, err := p.answerTo(ctx, d, events)
	if err != nil {
		return a, err
	}
	return a, p.checkForm(a)
}

// answerTo is write without a check of the error's form.
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
		return a, errors.New("Write returned a nil *BatchError, which is not nil as an error; return a plain nil")
	}
	a.errs = inlet.ItemErrors(a.err, len(l.want))
	return a, nil
}

// call calls Write with a context by which the inner sink can check that it was passed on.
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

// checkForm returns an error if the answer is a malformed or undeclared batch error.
func (p *probe) checkForm(a answer) error {
	batch, ok := itemerrors.Find(a.err)
	if !ok {
		return nil
	}
	if err := itemerrors.Validate(batch, len(a.events)); err != nil {
		return fmt.Errorf("the batch error is malformed: %w", err)
	}
	if !p.f.Partial {
		return fmt.Errorf("Write returned a batch error, but the sink does not declare Partial: %w", a.err)
	}
	return nil
}

// put writes events until the sink has stored all that it does not permanently refuse, and
// returns the answers. Without [Features.Fails], a failure is a breach.
func (p *probe) put(events []*inlet.Event) ([]answer, error) {
	return p.insist(events, func(a answer) error {
		if p.f.Fails {
			return nil
		}
		return fmt.Errorf("Write failed for valid events: %w", a.err)
	})
}

// insist retries events that fail temporarily, as long as some of them get stored and failed
// allows it.
func (p *probe) insist(events []*inlet.Event, failed func(answer) error) (answers []answer, err error) {
	for vain := 0; len(events) > 0; {
		begun := time.Now()
		a, err := p.write(p.ctx, p.f.Patience, p.head(events[:min(len(events), largeBatch)]))
		if err != nil {
			return answers, err
		}
		answers = append(answers, a)
		left := append(a.temporary(), events[len(a.events):]...)
		if vain++; len(left) < len(events) {
			vain = 0
		}
		if events = left; a.err == nil {
			continue
		}
		if err := failed(a); err != nil {
			return answers, err
		}
		if vain == maxAttempts || time.Since(begun) >= p.f.Patience {
			return answers, fmt.Errorf("%d events are not stored after %d attempts: %w", len(left), vain, a.err)
		}
	}
	return answers, nil
}

// putStored is put, and requires that the acknowledged events are stored.
func (p *probe) putStored(events []*inlet.Event) error {
	answers, err := p.put(events)
	if err != nil {
		return err
	}
	return p.requireStored(storedOf(answers))
}

// retryFailed retries what has failed temporarily, as clients do, until it is stored. By then
// the cause of the failures is gone.
func (p *probe) retryFailed(answers []answer) error {
	var failed []*inlet.Event
	for _, a := range answers {
		failed = append(failed, a.temporary()...)
	}
	if err := p.eventually(failed); err != nil {
		return fmt.Errorf("for retried events: %w", err)
	}
	return nil
}

// eventually writes events until they are stored or permanently refused, with pauses between
// the attempts.
func (p *probe) eventually(events []*inlet.Event) error {
	answers, err := p.insist(events, func(answer) error {
		p.linger()
		return nil
	})
	if err != nil {
		return err
	}
	return p.requirePresent(storedOf(answers))
}

// head returns the first MaxBatch of the events.
func (p *probe) head(events []*inlet.Event) []*inlet.Event {
	if p.f.MaxBatch > 0 && len(events) > p.f.MaxBatch {
		return events[:p.f.MaxBatch]
	}
	return events
}

// A ledger collects the answers of concurrent Writes.
type ledger struct {
	mu      sync.Mutex
	answers []answer
}

// all returns the answers so far.
func (l *ledger) all() []answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answers
}

func (l *ledger) add(answers ...answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers = append(l.answers, answers...)
}

// stored returns the events that the answers report as stored.
func (l *ledger) stored() []*inlet.Event { return storedOf(l.all()) }

// workload makes calls of all kinds: of all sizes, with duplicates, with events that are
// refused or dropped, with a context that is done, and concurrent ones. It calls then with
// each loan once its Write has returned.
func (p *probe) workload(then func(*loan) error) error {
	write := func(ctx context.Context, events []*inlet.Event) error {
		a, err := p.write(ctx, p.f.Patience, events)
		if err != nil {
			return err
		}
		return then(a.lent)
	}
	again := p.head(p.events(5))
	for _, events := range p.calls(again) {
		if err := write(p.ctx, events); err != nil {
			return err
		}
	}
	done, cancel := context.WithCancel(p.ctx)
	cancel()
	if err := write(done, p.head(p.events(2))); err != nil {
		return err
	}
	return p.writeSame(again, func(events []*inlet.Event) error { return write(p.ctx, events) })
}

// calls returns the events of the consecutive calls, several of which are again.
func (p *probe) calls(again []*inlet.Event) (calls [][]*inlet.Event) {
	for _, n := range append(batchSizes[:], 300) {
		calls = append(calls, p.head(p.events(n)))
	}
	calls = append(calls, again, again, p.head([]*inlet.Event{again[0], again[0]}))
	for _, change := range []func(*inlet.Event){p.f.Refuse, p.f.Drop} {
		if change == nil {
			continue
		}
		all, mixed := p.head(p.events(3)), p.head(p.events(5))
		for _, e := range all {
			change(e)
		}
		change(mixed[len(mixed)/2])
		calls = append(calls, all, mixed)
	}
	return calls
}

// writeSame writes the same events from several goroutines, in between others.
func (p *probe) writeSame(same []*inlet.Event, write func([]*inlet.Event) error) error {
	var c crowd
	for range 4 {
		c.run(func() error {
			for i := range 5 {
				for _, events := range [][]*inlet.Event{p.head(p.events(1 + i%4)), same} {
					if err := write(events); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return c.wait()
}
