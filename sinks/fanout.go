package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/inlet-go/inlet"
)

// A Leg is one of the sinks of a [Fanout].
type Leg struct {
	// Name stands in errors and in [LegStats]. Not empty, and no other leg's.
	Name string
	// Sink gets every event. The Fanout closes it.
	Sink inlet.Sink
	// BestEffort says that an event counts as stored without this leg: its
	// failures are counted and reported, and fail nobody. Defaults to false, the
	// leg is required.
	BestEffort bool
}

// FanoutOptions are the options of [NewFanout]. nil and the zero value stand for
// the defaults.
type FanoutOptions struct {
	// OnBestEffortFailure is told that a best-effort leg has failed: its name, how
	// many events of the call it did not store, 0 if the call was a Flush, and
	// why, as of [inlet.Sink.Write]. It is called inline, when all legs have
	// returned, by many calls at a time, and must not block. Defaults to nil,
	// nothing: they are only counted.
	OnBestEffortFailure func(ctx context.Context, leg string, events int, err error)
}

// Fanout is a decorator that writes every event to each of its legs, to all at
// once. Make one with [NewFanout].
//
// Acknowledgement: an event is stored when every required leg has stored it. One
// that has failed in any of them has failed, temporarily if it did so in one of
// them. It may come again to the legs that have stored it, with the same
// MessageID: give those a [Dedupe] where that matters. What a best-effort leg
// says never fails a Write.
//
// Errors: each says which leg it is of. If every required leg that fails does so
// as a whole, the call does; if one fails for some of the events only, what all of
// them say is joined, event by event, into one [*inlet.BatchError].
//
// Waiting: Write returns when all legs have, the best-effort ones too, since the
// events are lent to them. It takes as long as the slowest leg, and it is for
// each leg to return soon after the context is done. A destination that is slow,
// or often away, belongs behind the journal.
//
// Ownership: the legs share the slice and the events, which are read-only for all
// of them. A leg that is to change events is a [Transform].
//
// Panics: that of a required leg goes on in the goroutine that called Write, once
// all legs have returned, as an error with the leg's name, the cause and the
// leg's own stack. That of a best-effort leg is a failure of it; like a return,
// it must leave nobody who still looks at the events.
//
// Concurrency: one goroutine for each leg but the last, for the time of the call.
//
// Abilities: its own, made of those of its legs; see the methods. It has no
// Unwrap.
type Fanout struct {
	legs    []fanoutLeg
	report  func(ctx context.Context, leg string, events int, err error)
	closing closing
}

// NewFanout returns a decorator of the legs. An empty name, one that two legs
// have, a nil sink, and that no leg is required are errors.
func NewFanout(legs []Leg, o *FanoutOptions) (*Fanout, error) {
	if err := checkLegs(legs); err != nil {
		return nil, err
	}
	f := &Fanout{legs: make([]fanoutLeg, len(legs)), closing: newClosing()}
	for i, l := range legs {
		f.legs[i].Leg = l
	}
	if o != nil {
		f.report = o.OnBestEffortFailure
	}
	if f.report == nil {
		f.report = func(context.Context, string, int, error) {}
	}
	return f, nil
}

func checkLegs(legs []Leg) error {
	names := make([]string, len(legs))
	for i, l := range legs {
		names[i] = l.Name
	}
	if err := checkNames("Fanout: Leg", names); err != nil {
		return err
	}
	required := func(l Leg) bool { return !l.BestEffort }
	if !slices.ContainsFunc(legs, required) {
		return errors.New("sinks: Fanout: no Leg is required")
	}
	for _, l := range legs {
		if l.Sink == nil {
			return fmt.Errorf("sinks: Fanout: the Sink of the Leg %q is nil", l.Name)
		}
	}
	return nil
}

// Write writes the events to all legs and returns when all have returned. After
// Close it fails with [inlet.ErrClosed].
func (f *Fanout) Write(ctx context.Context, events []*inlet.Event) error {
	if f.closing.begun.Load() {
		return inlet.ErrClosed
	}
	errs := f.each(func(l *fanoutLeg) error { return l.Sink.Write(ctx, events) })
	for i, err := range errs {
		failed := f.legs[i].count(len(events), err)
		errs[i] = f.settle(ctx, i, failed, err)
	}
	f.repanic(errs)
	return f.outcome(errs, len(events))
}

// each calls do for all legs at once and returns their errors.
func (f *Fanout) each(do func(*fanoutLeg) error) []error {
	return together(len(f.legs), func(i int) error { return do(&f.legs[i]) })
}

// settle returns the error of the leg at i, unless that is best-effort: then its
// failure, of so many events, is reported and ends here.
func (f *Fanout) settle(ctx context.Context, i, events int, err error) error {
	l := &f.legs[i]
	if err == nil || !l.BestEffort {
		return err
	}
	f.report(ctx, l.Name, events, err)
	return nil
}

// repanic takes the panic of a leg to the caller, who must know that the events
// may still be in use.
func (f *Fanout) repanic(errs []error) {
	for i, err := range errs {
		if isPanic(err) {
			panic(prefixed(f.legs[i].title(), err))
		}
	}
}

// outcome joins what the legs have said about n events.
func (f *Fanout) outcome(errs []error, n int) error {
	var failed []error
	for i, err := range errs {
		if err != nil {
			failed = append(failed, named(f.legs[i].title(), err, n))
		}
	}
	if slices.ContainsFunc(failed, isPartial) {
		return perEvent(failed, n)
	}
	return errors.Join(failed...)
}

// isPartial reports whether an error that [named] has returned is one of some
// events.
func isPartial(err error) bool {
	_, ok := err.(*inlet.BatchError)
	return ok
}

// perEvent joins the errors of Writes of the same n events.
func perEvent(errs []error, n int) error {
	o := newOutcome(n)
	for _, err := range errs {
		for i, err := range inlet.ItemErrors(err, n) {
			o.fail(i, err)
		}
	}
	return o.err()
}

// Flush flushes all legs, at once. It fails if a required leg does; the failure of
// a best-effort leg is reported.
func (f *Fanout) Flush(ctx context.Context) error {
	errs := f.each(func(l *fanoutLeg) error { return inlet.Flush(ctx, l.Sink) })
	for i, err := range errs {
		errs[i] = f.settle(ctx, i, 0, err)
	}
	return f.join(errs)
}

// Close closes all legs, at once and each of them once, and makes every later
// Write fail with [inlet.ErrClosed]. It fails if any leg does, a best-effort one
// too. A later Close closes nothing, waits for the first and returns what that
// did.
func (f *Fanout) Close(ctx context.Context) error {
	return f.closing.run(ctx, func() error {
		return f.join(f.each(func(l *fanoutLeg) error { return inlet.Close(ctx, l.Sink) }))
	})
}

// Check asks the required legs, all at once. It fails if one does, and after
// Close.
func (f *Fanout) Check(ctx context.Context) error {
	if f.closing.begun.Load() {
		return inlet.ErrClosed
	}
	return f.join(f.each(func(l *fanoutLeg) error {
		if l.BestEffort {
			return nil
		}
		return inlet.Check(ctx, l.Sink)
	}))
}

// join joins the errors of the legs, with their names.
func (f *Fanout) join(errs []error) error {
	for i, err := range errs {
		errs[i] = prefixed(f.legs[i].title(), err)
	}
	return errors.Join(errs...)
}

// Durability returns the least that a required leg declares.
func (f *Fanout) Durability() inlet.Durability {
	least := inlet.DurabilityReplicated
	for i := range f.legs {
		if l := &f.legs[i]; !l.BestEffort {
			least = min(least, inlet.DurabilityOf(l.Sink))
		}
	}
	return least
}
