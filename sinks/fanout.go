package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/guard"
)

// A Leg is one of the sinks of a [Fanout].
type Leg struct {
	// Name identifies the leg in errors and in [LegStats]. Required, and unique in the
	// Fanout.
	Name string
	// Sink receives every event. The Fanout closes it. Required.
	Sink inlet.Sink
	// BestEffort means that events count as stored without this leg: its failures are
	// counted and reported, and no Write fails because of them. Defaults to false: the leg
	// is required.
	BestEffort bool
}

// FanoutOptions configure [NewFanout]. A nil pointer means all defaults.
type FanoutOptions struct {
	// OnBestEffortFailure receives the failure of a best-effort leg: the name of the leg,
	// the number of events of the call that it did not store, 0 if the call was a Flush, and
	// the error, as of [inlet.Sink.Write]. It is called inline, when all legs have returned,
	// may run concurrently, and must not block. Defaults to nil: failures are only counted.
	OnBestEffortFailure func(ctx context.Context, leg string, events int, err error)
}

// Fanout is a decorator that writes every event to each of its legs, concurrently. Make one
// with [NewFanout].
//
// Acknowledgement: an event is stored when every required leg has stored it. An event that
// any of them failed to store has failed, temporarily if it failed temporarily in any of
// them. The client may then send it again, and the legs that have stored it receive it
// twice, with the same MessageID: give those a [Dedupe] where that matters. A best-effort
// leg never fails a Write.
//
// Errors: each names its leg. If all required legs that fail do so for the whole batch, the
// call fails as a whole; if one fails for some of the events only, the errors of all legs
// are joined, event by event, into one [*inlet.BatchError].
//
// Waiting: Write returns when all legs have, including the best-effort ones, since the
// events are lent to them. It takes as long as the slowest leg; each leg must return soon
// after the context is done. A destination that is slow or often unavailable belongs behind
// the journal.
//
// Ownership: the legs share the slice and the events, which are read-only for all of them.
// A leg that changes events must be a [Transform].
//
// Panics: that of a required leg continues in the goroutine that called Write, once all legs
// have returned, as an error with the name of the leg, the cause and the stack of the leg.
// That of a best-effort leg is a failure of that leg; as after a return, no goroutine of the
// leg may still read the events.
//
// Concurrency: one goroutine for each leg except the last, for the duration of the call.
//
// Abilities: Flush, Close, Check and Durability are its own and combine those of its legs.
// It has no Unwrap.
type Fanout struct {
	legs    []fanoutLeg
	report  func(ctx context.Context, leg string, events int, err error)
	closing closeOnce
}

// A fanoutLeg is a leg and its counters.
type fanoutLeg struct {
	Leg
	stored, failed atomic.Uint64 // events
}

// title returns the name of the leg in errors.
func (l *fanoutLeg) title() string { return fmt.Sprintf("Fanout: leg %q", l.Name) }

// count counts the outcome of a Write of n events to the leg, and returns how many failed.
func (l *fanoutLeg) count(n int, err error) (failed int) {
	for _, err := range inlet.ItemErrors(err, n) {
		if err != nil {
			failed++
		}
	}
	l.failed.Add(uint64(failed))
	l.stored.Add(uint64(n - failed))
	return failed
}

// NewFanout returns a decorator of the legs, of which at least one must be required. It
// returns an error if a name is empty or used twice, if a sink is nil, or if no leg is
// required.
func NewFanout(legs []Leg, o *FanoutOptions) (*Fanout, error) {
	if err := checkLegs(legs); err != nil {
		return nil, err
	}
	f := &Fanout{legs: make([]fanoutLeg, len(legs)), closing: newCloseOnce()}
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
	var names []string
	var faults []error
	required := false
	for i, l := range legs {
		names = append(names, l.Name)
		faults = append(faults, check.NotNil(fmt.Sprintf("legs[%d].Sink", i), l.Sink == nil))
		required = required || !l.BestEffort
	}
	if !required {
		faults = append(faults, check.Fault("legs", "has no required leg"))
	}
	return check.Options("sinks", "NewFanout", append(faults, checkNames("legs", names))...)
}

// Write writes the events to all legs and returns when all have returned. After Close it
// fails with [inlet.ErrClosed].
func (f *Fanout) Write(ctx context.Context, events []*inlet.Event) error {
	if f.closing.begun.Load() {
		return inlet.ErrClosed
	}
	errs := f.each(func(l *fanoutLeg) error { return l.Sink.Write(ctx, events) })
	for i, err := range errs {
		failed := f.legs[i].count(len(events), err)
		errs[i] = f.requiredError(ctx, i, failed, err)
	}
	f.repanic(errs)
	return f.outcome(errs, len(events))
}

// each calls do for all legs concurrently and returns their errors.
func (f *Fanout) each(do func(*fanoutLeg) error) []error {
	return concurrently(len(f.legs), func(i int) error { return do(&f.legs[i]) })
}

// requiredError returns the error of leg i if that is required. If not, it reports the
// failure, for a number of events, and returns nil.
func (f *Fanout) requiredError(ctx context.Context, i, events int, err error) error {
	l := &f.legs[i]
	if err == nil || !l.BestEffort {
		return err
	}
	f.report(ctx, l.Name, events, err)
	return nil
}

// repanic continues the panic of a leg in the caller, who must know that the events may
// still be in use.
func (f *Fanout) repanic(errs []error) {
	for i, err := range errs {
		if _, ok := guard.Panicked(err); ok {
			panic(prefixed(f.legs[i].title(), err))
		}
	}
}

// outcome joins the errors of the legs for n events.
func (f *Fanout) outcome(errs []error, n int) error {
	var failed []error
	for i, err := range errs {
		if err != nil {
			failed = append(failed, named(f.legs[i].title(), err, n))
		}
	}
	if slices.ContainsFunc(failed, isBatchError) {
		return joinPerEvent(failed, n)
	}
	return errors.Join(failed...)
}

// isBatchError reports whether an error that [named] has returned is a batch error.
func isBatchError(err error) bool {
	_, ok := err.(*inlet.BatchError)
	return ok
}

// joinPerEvent joins the errors of several Writes of the same n events.
func joinPerEvent(errs []error, n int) error {
	o := newOutcome(n)
	for _, err := range errs {
		for i, err := range inlet.ItemErrors(err, n) {
			o.fail(i, err)
		}
	}
	return o.err()
}

// Flush flushes all legs concurrently. It fails if a required leg does; the failure of a
// best-effort leg is reported.
func (f *Fanout) Flush(ctx context.Context) error {
	errs := f.each(func(l *fanoutLeg) error { return inlet.Flush(ctx, l.Sink) })
	for i, err := range errs {
		errs[i] = f.requiredError(ctx, i, 0, err)
	}
	return f.join(errs)
}

// Close closes all legs concurrently, each of them once, and makes every later Write fail
// with [inlet.ErrClosed]. It fails if any leg does, including the best-effort ones. Further
// calls close nothing; they wait for the first and return the same error.
func (f *Fanout) Close(ctx context.Context) error {
	return f.closing.do(ctx, func() error {
		return f.join(f.each(func(l *fanoutLeg) error { return inlet.Close(ctx, l.Sink) }))
	})
}

// Check checks the required legs concurrently. It fails if any of them does, and after
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

// Durability returns the lowest durability of the required legs.
func (f *Fanout) Durability() inlet.Durability {
	lowest := inlet.DurabilityReplicated
	for i := range f.legs {
		if l := &f.legs[i]; !l.BestEffort {
			lowest = min(lowest, inlet.DurabilityOf(l.Sink))
		}
	}
	return lowest
}

// FanoutStats is a snapshot of the counters of a [Fanout].
type FanoutStats struct {
	// Legs are the counters of the legs, in the order that NewFanout was given.
	Legs []LegStats
}

// LegStats are the counters of a leg of a [Fanout]. An event counts once for each Write
// that it was part of.
type LegStats struct {
	// Name is the name of the leg.
	Name string
	// Stored is the number of events that the leg has stored so far.
	Stored uint64
	// Failed is the number of events that the leg has not stored.
	Failed uint64
}

// Stats returns the current counters.
func (f *Fanout) Stats() FanoutStats {
	stats := FanoutStats{Legs: make([]LegStats, len(f.legs))}
	for i := range f.legs {
		l := &f.legs[i]
		stats.Legs[i] = LegStats{Name: l.Name, Stored: l.stored.Load(), Failed: l.failed.Load()}
	}
	return stats
}
