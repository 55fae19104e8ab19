package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
)

// DeadLetterOptions are the options of [NewDeadLetter]. nil and the zero value
// stand for the defaults.
type DeadLetterOptions struct {
	// Name says in each letter which sink refused the event; see [Refusal.By].
	// Defaults to "", which is left out.
	Name string
	// OnLetter is called with each letter that has been stored, and the error
	// for which the inner sink refused the event. The letter is read-only and
	// lent until the call returns. It is called inline, by many Writes at a
	// time, and must not block. Defaults to nil, nothing.
	OnLetter func(ctx context.Context, letter *inlet.Event, err error)
}

// DeadLetter is a decorator that puts aside what its inner sink refuses for
// good: such an event is written to a second sink as a letter, which says why,
// and then counts as stored. So one event that can never be stored is neither
// lost nor in the way of those behind it. Make one with [NewDeadLetter].
//
// Letters: a letter is the event with one more member in Extra, "_refused"; see
// [Refusal]. [RefusalOf] reads it, [WithoutRefusal] gives the event back, to be
// sent again. A letter that is refused once more has the last reason only.
// Letters go to their sink as they are, each at least once: an event that comes
// again after the call failed for another one may be refused, and put aside,
// again. That sink should take what the inner one does not, such as a journal of
// its own, or [NDJSON] to a file.
//
// Safety: an event is acknowledged only when it or its letter is stored. If the
// sink of the letters fails, in whatever way, the event fails temporarily, never
// for good.
//
// Bisection: a permanent error that names single events, by a
// [*inlet.BatchError], is taken at its word. One that stands for a whole batch
// may be due to a single event in it: the halves of the batch are written again,
// first half first, and their halves, until the offenders stand alone. For k of
// them among n events that takes at most 1 + 2k⌈log₂ n⌉ writes. If the inner sink
// had stored some of a batch that it refused as a whole, it gets them twice.
//
// Temporary failures are returned. If one takes all the events of a write while
// bisecting, the sink may be down: the rest is not written but fails
// temporarily too, and what is known of the others stands.
//
// Context: is looked at before each further write. What was not written when it
// is done fails temporarily.
//
// Abilities: those of both sinks. Flush, Close and Check ask the inner sink and
// then that of the letters, and Durability is the lesser of the two.
type DeadLetter struct {
	inner, letters inlet.Sink
	name           string
	onLetter       func(ctx context.Context, letter *inlet.Event, err error)

	stored  atomic.Uint64
	closing closing
}

// NewDeadLetter returns a decorator of inner that writes to letters what inner
// refuses for good. Both are closed with it. A nil sink is an error.
func NewDeadLetter(inner, letters inlet.Sink, o *DeadLetterOptions) (*DeadLetter, error) {
	switch {
	case inner == nil:
		return nil, errors.New("sinks: DeadLetter: the inner sink is nil")
	case letters == nil:
		return nil, errors.New("sinks: DeadLetter: the sink of the letters is nil")
	case o == nil:
		o = new(DeadLetterOptions)
	}
	d := &DeadLetter{inner: inner, letters: letters, name: o.Name, onLetter: o.OnLetter, closing: newClosing()}
	if d.onLetter == nil {
		d.onLetter = func(context.Context, *inlet.Event, error) {}
	}
	return d, nil
}

// Write passes on the very slice. An error of the inner sink that refuses nothing
// for good is returned as it is; every other failure is a [*inlet.BatchError] of
// temporary errors.
func (d *DeadLetter) Write(ctx context.Context, events []*inlet.Event) error {
	if d.closing.begun.Load() {
		return inlet.ErrClosed
	}
	err := d.inner.Write(ctx, events)
	if !slices.ContainsFunc(inlet.ItemErrors(err, len(events)), inlet.IsPermanent) {
		return err
	}
	b := bisection{inner: d.inner, events: events, outcome: newOutcome(len(events))}
	b.settle(ctx, 0, len(events), err)
	d.putAside(ctx, events, b.outcome)
	return b.outcome.err()
}

// putAside writes the letters of the events that o says are refused; the outcome
// of each is then that of its letter.
func (d *DeadLetter) putAside(ctx context.Context, events []*inlet.Event, o *outcome) {
	places := o.refused()
	letters := d.lettersOf(events, places, o.errs)
	errs := inlet.ItemErrors(d.post(ctx, letters), len(letters))
	for n, i := range places {
		reason := o.errs[i]
		if errs != nil && errs[n] != nil {
			o.errs[i] = fmt.Errorf("%w: %w; the event was refused: %v", errNoLetter, errs[n], reason)
			continue
		}
		o.errs[i] = nil
		d.stored.Add(1)
		d.onLetter(ctx, letters[n], reason)
	}
}

// refused returns the places of the events that have failed for good.
func (o *outcome) refused() (places []int) {
	for i, err := range o.errs {
		if inlet.IsPermanent(err) {
			places = append(places, i)
		}
	}
	return places
}

// errNoLetter is temporary, and with it every error that it is joined to.
var errNoLetter = errors.New("sinks: DeadLetter: the letter was not stored")

func (d *DeadLetter) lettersOf(events []*inlet.Event, places []int, reasons []error) []*inlet.Event {
	now := time.Now().UTC()
	letters := make([]*inlet.Event, len(places))
	for n, i := range places {
		letters[n] = newLetter(events[i], Refusal{Error: clipReason(reasons[i].Error()), At: now, By: d.name})
	}
	return letters
}

func (d *DeadLetter) post(ctx context.Context, letters []*inlet.Event) error {
	if len(letters) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.letters.Write(ctx, letters)
}

// Letters returns how many letters have been stored.
func (d *DeadLetter) Letters() uint64 { return d.stored.Load() }

// Flush flushes the inner sink, then that of the letters.
func (d *DeadLetter) Flush(ctx context.Context) error {
	return errors.Join(inlet.Flush(ctx, d.inner), inlet.Flush(ctx, d.letters))
}

// Close closes the inner sink, then that of the letters, and makes every later
// Write fail with [inlet.ErrClosed]. A later Close closes nothing, waits for the
// first and returns what that did.
func (d *DeadLetter) Close(ctx context.Context) error {
	return d.closing.run(ctx, func() error {
		return errors.Join(inlet.Close(ctx, d.inner), inlet.Close(ctx, d.letters))
	})
}

// Check asks both sinks: without that of the letters, what the inner sink refuses
// could not be acknowledged. It fails after Close.
func (d *DeadLetter) Check(ctx context.Context) error {
	if d.closing.begun.Load() {
		return inlet.ErrClosed
	}
	return errors.Join(inlet.Check(ctx, d.inner), inlet.Check(ctx, d.letters))
}

// Durability returns the lesser of what the two sinks declare.
func (d *DeadLetter) Durability() inlet.Durability {
	return min(inlet.DurabilityOf(d.inner), inlet.DurabilityOf(d.letters))
}
