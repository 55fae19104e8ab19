package sinktest

import (
	"errors"
	"fmt"
	"time"

	"github.com/inlet-go/inlet"
)

// keepsRight returns a check that the inner sink always gets what it may rely on.
func keepsRight(which right) func(*probe) error {
	return func(p *probe) error {
		if err := p.workload(func(*loan) error { return nil }); err != nil {
			return err
		}
		return p.inner.rights.breach(which)
	}
}

// A verdict says whether a failure that the decorator reports goes with that of
// its sink. Whether what it acknowledges is stored, perhaps elsewhere, is seen in
// the store.
type verdict func(said error) bool

func isTemporary(said error) bool { return !inlet.IsPermanent(said) }

// keepsTemporary has the inner sink fail temporarily, also with a permanent error
// beside a temporary one.
func keepsTemporary(p *probe) error {
	for _, err := range []error{errInner, errors.Join(inlet.Permanent(errors.New("one of two")), errInner)} {
		if err := p.outcomesOf(err, isTemporary); err != nil {
			return err
		}
	}
	return nil
}

// keepsRefusal has the inner sink refuse for good. Why must still be there, since
// it may be for the client.
func keepsRefusal(p *probe) error {
	return p.outcomesOf(inlet.Permanent(errInner), func(said error) bool {
		return inlet.IsPermanent(said) && errors.Is(said, errInner)
	})
}

// outcomesOf has the inner sink fail with err, for all events of a call and then
// for one, with which no other may fail for good.
func (p *probe) outcomesOf(err error, good verdict) error {
	p.inner.failAll(err)
	if err := p.outcomes(err, p.head(Events(5)), func(string) verdict { return good }); err != nil {
		return err
	}
	events := p.head(Events(5))
	failed := events[len(events)/2].MessageID
	p.inner.failOne(failed, err)
	return p.outcomes(err, events, func(id string) verdict {
		if id == failed {
			return good
		}
		return isTemporary
	})
}

// outcomes writes to an inner sink that fails with err, and judges the outcome of
// each event.
func (p *probe) outcomes(err error, events []*inlet.Event, of func(id string) verdict) error {
	a, breach := p.answerTo(p.ctx, p.f.Patience, events)
	if breach != nil {
		return breach
	}
	for i, e := range a.events {
		if said := a.of(i); said != nil && !of(e.MessageID)(said) {
			return fmt.Errorf("where the inner sink fails with %q, the outcome of the event at index %d is %q", err, i, said)
		}
	}
	if err := p.requireStored(a.stored()); err != nil {
		return fmt.Errorf("where the inner sink fails: %w", err)
	}
	return nil
}

func keepsRetryAfter(p *probe) error {
	const asked = time.Hour
	err := inlet.RetryAfter(errInner, asked)
	p.inner.failAll(err)
	return p.outcomes(err, p.head(Events(3)), func(string) verdict {
		return func(said error) bool {
			after, _ := inlet.RetryDelay(said)
			return after >= asked
		}
	})
}

// failsMalformed has the inner sink fail with batch errors that are none. Whoever
// believes one of their items takes an event for refused, or for stored.
func failsMalformed(p *probe) error {
	bad := inlet.Permanent(errInner)
	for _, items := range [][]inlet.ItemError{
		nil,
		{{Index: 0, Err: bad}, {Index: largeBatch, Err: bad}},
		{{Index: 0, Err: bad}, {Index: -1, Err: bad}},
		{{Index: 0, Err: bad}, {Index: 0, Err: bad}},
		{{Index: 0, Err: nil}},
	} {
		err := &inlet.BatchError{Items: items}
		p.inner.failAll(err)
		if err := p.outcomes(err, p.head(Events(3)), func(string) verdict { return isTemporary }); err != nil {
			return err
		}
	}
	return nil
}

// endsAttempts has the inner sink fail at once, always, and looks whether Write
// and Close return.
func endsAttempts(p *probe) error {
	p.inner.failAll(errInner)
	answers, err := p.giveUp(p.head(Events(3)))
	if err != nil {
		return err
	}
	if err := p.askOnly(closing); err != nil {
		return err
	}
	return p.onlyTemporary(answers)
}

func handsOnFlush(p *probe) error { return p.handsOn(flushing) }
func handsOnCheck(p *probe) error { return p.handsOn(checking) }
func handsOnClose(p *probe) error { return p.handsOn(closing) }

// handsOn requires that asking the decorator for an ability asks the inner sink.
func (p *probe) handsOn(a ability) error {
	p.inner.set(func() { p.inner.failing = errInner })
	said, err := p.askFor(a, p.f.Patience)
	switch {
	case err != nil:
		return err
	case !errors.Is(said, errInner):
		return fmt.Errorf("that of the inner sink fails, and that of the decorator says: %v", said)
	}
	return nil
}

// closesOnce closes the decorator with a context that is done, then several times,
// then at once. One that has the Close of its sink by Unwrap makes as many calls.
func closesOnce(p *probe) error {
	if _, err := p.put(Events(2)); err != nil {
		return err
	}
	for _, d := range []time.Duration{0, p.f.Patience, p.f.Patience} {
		if _, err := p.askFor(closing, d); err != nil {
			return err
		}
	}
	if err := p.closeAtOnce(); err != nil {
		return err
	}
	times := p.inner.timesClosed()
	if c, _ := inlet.As[inlet.Closer](p.sink); times == 1 || times > 1 && c == inlet.Closer(p.inner) {
		return nil
	}
	return fmt.Errorf("it was closed %d times", times)
}

// declaresNoMore looks at decorators of sinks of every durability.
func declaresNoMore(p *probe) error {
	return p.eachDurability(func(q *probe, inner inlet.Durability) error {
		if declared := inlet.DurabilityOf(q.sink); declared > inner {
			return fmt.Errorf("the inner sink declares %v, the decorator %v", inner, declared)
		}
		return nil
	})
}

// eachDurability looks at decorators of sinks of every durability.
func (p *probe) eachDurability(look func(q *probe, inner inlet.Durability) error) error {
	for d := inlet.DurabilityUnknown; d <= inlet.DurabilityReplicated; d++ {
		q := p.again(d)
		err := look(q, d)
		q.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// unwraps looks at a decorator that has Unwrap, if it does.
func unwraps(p *probe) error {
	if _, ok := p.sink.(inlet.Unwrapper); !ok {
		return nil
	}
	if p.f.Buffers {
		return errors.New("a decorator that acknowledges before its sink has stored must not have Unwrap")
	}
	if s, ok := inlet.As[*inner](p.sink); !ok || s != p.inner {
		return errors.New("it does not lead to the sink that is wrapped")
	}
	return p.eachDurability(func(q *probe, inner inlet.Durability) error {
		if declared := inlet.DurabilityOf(q.sink); declared != inner {
			return fmt.Errorf("the inner sink declares %v, the decorator %v", inner, declared)
		}
		return nil
	})
}
