package sinktest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
)

// ErrFlaky is wrapped by every error that the sink of [Flaky] makes itself.
var ErrFlaky = errors.New("sinktest: failed on purpose")

// FlakyOptions configure [Flaky]. A nil pointer means all defaults. Those fail every 7th Write
// and every 5th event, and refuse every 31st. The zero value never fails.
type FlakyOptions struct {
	// Script has the outcomes of the first Writes, in order: nil passes the batch on, a
	// [*inlet.BatchError] passes on the events that it does not name (an index beyond the
	// batch is ignored), any other error fails the call. The other options apply to the
	// Writes after these. Defaults to nil.
	Script []error
	// Call makes every nth Write fail as a whole, temporarily. Defaults to 0: none.
	Call int
	// Event makes every nth event fail temporarily, with a [*inlet.BatchError]. Defaults to
	// 0: none.
	Event int
	// Refuse makes every nth event fail permanently, with a [*inlet.BatchError]. Defaults to
	// 0: none.
	Refuse int
}

// Flaky returns a decorator of inner that fails at times and keeps the contract: events that
// it reports as failed have not reached inner. It is for tests of decorators, which must pass
// on the errors of a sink. Writes are counted in the order in which they begin.
func Flaky(inner inlet.Sink, o *FlakyOptions) inlet.Sink {
	if o == nil {
		o = defaultPlan()
	}
	return &flaky{inner: inner, o: *o}
}

// defaultPlan has failures of all kinds.
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

// Write fails as planned and passes on the other events.
func (f *flaky) Write(ctx context.Context, events []*inlet.Event) error {
	errs, err := f.plan(len(events))
	if err != nil {
		return err
	}
	var pass []*inlet.Event
	var indices []int
	for i, e := range events {
		if errs[i] == nil {
			pass, indices = append(pass, e), append(indices, i)
		}
	}
	if len(pass) > 0 {
		for n, err := range inlet.ItemErrors(f.inner.Write(ctx, pass), len(pass)) {
			errs[indices[n]] = err
		}
	}
	return itemerrors.Join(errs)
}

// plan returns the planned outcome of a call with n events: of each event, or of the call.
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

// scripted returns the outcome of n events as of an element of the script.
func scripted(err error, n int) ([]error, error) {
	errs := make([]error, n)
	batch, ok := itemerrors.Find(err)
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
