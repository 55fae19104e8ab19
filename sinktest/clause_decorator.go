package sinktest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/inlet-go/inlet"
)

// keepsRight returns a check that the inner sink always has a right; see [right].
func keepsRight(which right) func(*probe) error {
	return func(p *probe) error {
		if err := p.workload(func(*loan) error { return nil }); err != nil {
			return err
		}
		return p.inner.rights.breach(which)
	}
}

// A verdict reports whether the error of the decorator fits the failure of its inner sink.
// Whether acknowledged events are stored, perhaps elsewhere, is checked in the store.
type verdict func(err error) bool

func isTemporary(err error) bool { return !inlet.IsPermanent(err) }

// keepsTemporary makes the inner sink fail temporarily, also with a permanent error joined
// to a temporary one.
func keepsTemporary(p *probe) error {
	for _, err := range []error{errInner, errors.Join(inlet.Permanent(errors.New("one of two")), errInner)} {
		if err := p.outcomesOf(err, isTemporary); err != nil {
			return err
		}
	}
	return nil
}

// keepsRefusal makes the inner sink refuse permanently. The reason must be kept, since it may
// be for the client.
func keepsRefusal(p *probe) error {
	return p.outcomesOf(inlet.Permanent(errInner), func(err error) bool {
		return inlet.IsPermanent(err) && errors.Is(err, errInner)
	})
}

// outcomesOf makes the inner sink fail with err, for all events of a call and then for one,
// with which no other may fail permanently.
func (p *probe) outcomesOf(err error, good verdict) error {
	p.inner.failAll(err)
	if err := p.outcomes(err, p.head(p.events(5)), func(string) verdict { return good }); err != nil {
		return err
	}
	events := p.head(p.events(5))
	failed := events[len(events)/2].MessageID
	p.inner.failOne(failed, err)
	return p.outcomes(err, events, func(id string) verdict {
		if id == failed {
			return good
		}
		return isTemporary
	})
}

// outcomes writes to an inner sink that fails with err, and applies the verdict of each
// event to its outcome.
func (p *probe) outcomes(err error, events []*inlet.Event, of func(id string) verdict) error {
	a, breach := p.answerTo(p.ctx, p.f.Patience, events)
	if breach != nil {
		return breach
	}
	for i, e := range a.events {
		if got := a.of(i); got != nil && !of(e.MessageID)(got) {
			return fmt.Errorf("the inner sink fails with %q, and the decorator with %q for the event at index %d", err, got, i)
		}
	}
	if err := p.requireStored(a.stored()); err != nil {
		return fmt.Errorf("when the inner sink fails: %w", err)
	}
	return nil
}

func keepsRetryAfter(p *probe) error {
	const asked = time.Hour
	err := inlet.RetryAfter(errInner, asked)
	p.inner.failAll(err)
	return p.outcomes(err, p.head(p.events(3)), func(string) verdict {
		return func(err error) bool {
			after, _ := inlet.RetryDelay(err)
			return after >= asked
		}
	})
}

// failsMalformed makes the inner sink fail with malformed batch errors. A decorator that
// trusts their items reports an event as refused, or as stored.
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
		if err := p.outcomes(err, p.head(p.events(3)), func(string) verdict { return isTemporary }); err != nil {
			return err
		}
	}
	return nil
}

// endsAttempts makes the inner sink fail immediately, every time, and requires that Write and
// Close return.
func endsAttempts(p *probe) error {
	p.inner.failAll(errInner)
	answers, err := p.giveUp(p.head(p.events(3)))
	if err != nil {
		return err
	}
	if err := p.askOnly(closing); err != nil {
		return err
	}
	return p.onlyTemporary(answers)
}

func passesOnFlush(p *probe) error { return p.passesOn(flushing) }
func passesOnCheck(p *probe) error { return p.passesOn(checking) }
func passesOnClose(p *probe) error { return p.passesOn(closing) }

// passesOn requires that an ability of the decorator calls that of the inner sink.
func (p *probe) passesOn(a ability) error {
	p.inner.set(func() { p.inner.failing = errInner })
	got, err := p.askFor(a, p.f.Patience)
	switch {
	case err != nil:
		return err
	case !errors.Is(got, errInner):
		return fmt.Errorf("%s of the inner sink fails, and that of the decorator returns %v", a.name, got)
	}
	return nil
}

// closesOnce closes the decorator with a context that is done, then several times, then
// concurrently. One that has the Close of its inner sink by Unwrap may call it each time.
func closesOnce(p *probe) error {
	if _, err := p.put(p.events(2)); err != nil {
		return err
	}
	for _, d := range []time.Duration{0, p.f.Patience, p.f.Patience} {
		if _, err := p.askFor(closing, d); err != nil {
			return err
		}
	}
	if err := p.closeConcurrently(); err != nil {
		return err
	}
	times := p.inner.timesClosed()
	if c, _ := inlet.As[inlet.Closer](p.sink); times == 1 || times > 1 && c == inlet.Closer(p.inner) {
		return nil
	}
	return fmt.Errorf("the inner sink was closed %d times", times)
}

// declaresNoMore checks decorators of sinks of every durability.
func declaresNoMore(p *probe) error {
	return p.eachDurability(func(q *probe, inner inlet.Durability) error {
		if declared := inlet.DurabilityOf(q.sink); declared > inner {
			return fmt.Errorf("the inner sink declares %v, the decorator %v", inner, declared)
		}
		return nil
	})
}

// eachDurability calls check for a decorator of a sink of every durability.
func (p *probe) eachDurability(check func(q *probe, inner inlet.Durability) error) error {
	for d := inlet.DurabilityUnknown; d <= inlet.DurabilityReplicated; d++ {
		q := p.again(d)
		err := check(q, d)
		q.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// unwraps checks a decorator that has Unwrap.
func unwraps(p *probe) error {
	if _, ok := p.sink.(inlet.Unwrapper); !ok {
		return nil
	}
	if p.f.Buffers {
		return errors.New("a decorator that declares Buffers has Unwrap")
	}
	if s, ok := inlet.As[*inner](p.sink); !ok || s != p.inner {
		return errors.New("it does not lead to the inner sink")
	}
	return p.eachDurability(func(q *probe, inner inlet.Durability) error {
		if declared := inlet.DurabilityOf(q.sink); declared != inner {
			return fmt.Errorf("the inner sink declares %v, the decorator %v", inner, declared)
		}
		return nil
	})
}

// leavesNoGoroutine makes, uses and closes a decorator under a profiler label, which its
// goroutines inherit, and looks for that label afterwards. The label is unique, so that other
// tests may run concurrently.
func leavesNoGoroutine(p *probe) error {
	label := rand.Text()
	var err error
	pprof.Do(p.ctx, pprof.Labels("sinktest", label), func(context.Context) {
		err = p.again(inlet.DurabilityMemory).useUp()
	})
	if err != nil {
		return err
	}
	return p.awaitEnd(label)
}

// useUp makes all kinds of calls, some of them while the store hangs, and closes the sink.
func (p *probe) useUp() error {
	if err := p.workload(func(*loan) error { return nil }); err != nil {
		return err
	}
	release := p.hang(p.head(p.events(3)))
	_, err := p.giveUp(p.head(p.events(3)))
	if _, hungErr := release(); err != nil || hungErr != nil {
		return errors.Join(err, hungErr)
	}
	return p.close()
}

// awaitEnd waits until no goroutine has the label. It asks ever less often, because that stops
// the program for a moment.
func (p *probe) awaitEnd(label string) error {
	deadline := time.Now().Add(p.f.Grace)
	for interval := time.Millisecond; ; interval = min(2*interval, p.f.Grace/10) {
		stacks, err := labelled(label)
		if err != nil || len(stacks) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%v after Close these goroutines still run:\n%s", p.f.Grace, strings.Join(stacks, "\n\n"))
		}
		time.Sleep(interval)
	}
}

// labelled returns the stacks of the goroutines that have the label.
func labelled(label string) (stacks []string, err error) {
	var text bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		return nil, fmt.Errorf("sinktest: goroutines: %w", err)
	}
	for stack := range strings.SplitSeq(text.String(), "\n\n") {
		if strings.Contains(stack, label) {
			stacks = append(stacks, stack)
		}
	}
	return stacks, nil
}
