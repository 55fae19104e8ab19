package sinks

import "github.com/inlet-go/inlet"

// An outcome gathers what becomes of each event of a call whose parts are
// written apart. It is not safe for concurrent use.
type outcome struct {
	n    int
	errs []error // of the n events, nil where stored; nil while none has failed
}

// newOutcome returns the outcome of a call of n events, none of which has failed.
func newOutcome(n int) *outcome { return &outcome{n: n} }

// fail notes err for the event at index i. An error that is there stays unless it
// is permanent and err is not: one temporary failure makes the event's outcome
// temporary.
func (o *outcome) fail(i int, err error) {
	if err == nil {
		return
	}
	if o.errs == nil {
		o.errs = make([]error, o.n)
	}
	if o.errs[i] == nil || inlet.IsPermanent(o.errs[i]) {
		o.errs[i] = err
	}
}

// add notes what a Write of the events at the given places said; err is its
// error, as of [inlet.Sink.Write].
func (o *outcome) add(places []int, err error) {
	for n, err := range inlet.ItemErrors(err, len(places)) {
		o.fail(places[n], err)
	}
}

// err returns the batch error of the events that failed, or nil.
func (o *outcome) err() error { return batchError(o.errs) }

// smallCall is up to how many events a call takes no memory for the places of
// its events.
const smallCall = 64

// at returns the events at the given places.
func at(events []*inlet.Event, places []int) []*inlet.Event {
	picked := make([]*inlet.Event, len(places))
	for n, i := range places {
		picked[n] = events[i]
	}
	return picked
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
