package sinks

import (
	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/itemerrors"
)

// An outcome collects the outcome of each event of a call whose parts are written
// separately. It is not safe for concurrent use.
type outcome struct {
	n    int
	errs []error // of the n events, nil where stored; nil while none has failed
}

// newOutcome returns the outcome of a call of n events, none of which has failed.
func newOutcome(n int) *outcome { return &outcome{n: n} }

// fail records err for the event at index i. An earlier error stays unless it is permanent
// and err is not: one temporary failure makes the outcome of the event temporary.
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

// add records err, as of [inlet.Sink.Write], for a Write of the events with the given
// indices.
func (o *outcome) add(indices []int, err error) {
	for n, err := range inlet.ItemErrors(err, len(indices)) {
		o.fail(indices[n], err)
	}
}

// refused returns the indices of the events that have failed permanently.
func (o *outcome) refused() (indices []int) {
	for i, err := range o.errs {
		if inlet.IsPermanent(err) {
			indices = append(indices, i)
		}
	}
	return indices
}

// err returns the batch error of the events that failed, or nil.
func (o *outcome) err() error { return itemerrors.Join(o.errs) }

// smallCall is the largest call, in events, that needs no allocation for the indices of its
// events.
const smallCall = 64

// pick returns the events with the given indices.
func pick(events []*inlet.Event, indices []int) []*inlet.Event {
	picked := make([]*inlet.Event, len(indices))
	for n, i := range indices {
		picked[n] = events[i]
	}
	return picked
}
