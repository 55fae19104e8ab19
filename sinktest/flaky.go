package sinktest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/inlet-go/inlet"
)

// ErrFlaky is in every error that [Flaky] makes.
var ErrFlaky = errors.New("sinktest: failed on purpose")

// FlakyOptions say when the sink that [Flaky] makes fails. nil stands for a plan
// that has some of everything; the zero value never fails.
type FlakyOptions struct {
	// Script is the outcome of the first Writes, one after the other: nil passes
	// the batch on, a [*inlet.BatchError] passes on what it does not name (an
	// index beyond the batch is ignored), any other error fails the call. The
	// other options take over when it is used up. Defaults to nil.
	Script []error
	// Call makes every nth Write fail as a whole, temporarily. Defaults to 0,
	// none.
	Call int
	// Event makes every nth event fail temporarily, by a [*inlet.BatchError].
	// Defaults to 0, none.
	Event int
	// Refuse makes every nth event fail permanently, by a [*inlet.BatchError].
	// Defaults to 0, none.
	Refuse int
}

// Flaky returns a decorator of inner that fails now and then, and tells the
// truth about it: what it says has failed has not reached inner. For the tests of
// decorators, which must hand on what a sink says. Writes are counted in the
// order in which they begin.
func Flaky(inner inlet.Sink, o *FlakyOptions) inlet.Sink {
	if o == nil {
		o = defaultPlan()
	}
	return &flaky{inner: inner, o: *o}
}

// defaultPlan has some of everything.
func defaultPlan() *FlakyOptions { return &FlakyOptions{Call: 7, Event: 5, Refuse: 31} }

type flaky struct {
	inner inlet.Sink
	o     FlakyOptions

	mu     sync.Mutex
	calls  int
	events int
}

// Unwrap returns the inner sink.
func (f *flaky) Unwrap() inlet.Sink { return f.inner }

// Write fails as planned and passes on the rest.
func (f *flaky) Write(ctx context.Context, events []*inlet.Event) error {
	errs, err := f.plan(len(events))
	if err != nil {
		return err
	}
	var pass []*inlet.Event
	var places []int
	for i, e := range events {
		if errs[i] == nil {
			pass, places = append(pass, e), append(places, i)
		}
	}
	if len(pass) > 0 {
		for n, err := range inlet.ItemErrors(f.inner.Write(ctx, pass), len(pass)) {
			errs[places[n]] = err
		}
	}
	return batchError(errs)
}

// plan decides what becomes of a call with n events: of all of it, or of each.
func (f *flaky) plan(n int) ([]error, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.calls <= len(f.o.Script) {
		return scripted(f.o.Script[f.calls-1], n)
	}
	if due(f.calls, f.o.Call) {
		return nil, fmt.Errorf("call %d: %w", f.calls, ErrFlaky)
	}
	errs := make([]error, n)
	for i := range errs {
		f.events++
		switch {
		case due(f.events, f.o.Refuse):
			errs[i] = inlet.Permanent(fmt.Errorf("event %d: %w", f.events, ErrFlaky))
		case due(f.events, f.o.Event):
			errs[i] = fmt.Errorf("event %d: %w", f.events, ErrFlaky)
		}
	}
	return errs, nil
}

func due(count, every int) bool { return every > 0 && count%every == 0 }

// scripted returns what a line of the script says about n events.
func scripted(err error, n int) ([]error, error) {
	errs := make([]error, n)
	batch, ok := batchErrorOf(err)
	if !ok {
		return errs, err
	}
	for _, it := range batch.Items {
		if it.Index >= 0 && it.Index < n {
			errs[it.Index] = it.Err
		}
	}
	return errs, nil
}

// batchError returns the batch error of the events that failed, or nil.
func batchError(errs []error) error {
	var items []inlet.ItemError
	for i, err := range errs {
		if err != nil {
			items = append(items, inlet.ItemError{Index: i, Err: err})
		}
	}
	if items == nil {
		return nil
	}
	return &inlet.BatchError{Items: items}
}
