package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// DeadLetterOptions configure [NewDeadLetter]. A nil pointer means all defaults.
type DeadLetterOptions struct {
	// Name is the name of this decorator in each letter, [Refusal.By]. Defaults to "",
	// which is left out.
	Name string
	// OnLetter receives each letter that has been stored, and the error with which the
	// inner sink refused the event. The letter is read-only, and lent until the function
	// returns. It is called inline, may run concurrently, and must not block. Defaults to
	// nil: letters are only counted.
	OnLetter func(ctx context.Context, letter *inlet.Event, err error)
}

// DeadLetter is a decorator that stores elsewhere what its inner sink permanently refuses:
// such an event is written to a second sink as a letter, which holds the reason, and then
// counts as stored. So an event that can never be stored is neither lost nor does it block
// those behind it. Make one with [NewDeadLetter].
//
// Letters: a letter is the event with one more member in Extra, "_refused"; see [Refusal].
// [RefusalOf] reads it; [WithoutRefusal] returns the event, to be sent again. A letter that
// is refused again has the last reason only. Each letter is written at least once: an event
// that is written again after the call failed for another event may be refused, and stored
// as a letter, again. The sink of the letters should accept what the inner sink does not,
// such as a journal of its own, or [NDJSON] to a file.
//
// Safety: an event is acknowledged only when it or its letter is stored. If the sink of the
// letters fails, temporarily or permanently, the event fails temporarily.
//
// Bisection: a permanent error that is a [*inlet.BatchError] names the refused events. Any
// other permanent error may be due to a single event of the batch: the batch is split in
// halves, which are written one after the other and split again, until the refused events
// are alone. For k of them among n events that takes at most 1 + 2k⌈log₂ n⌉ writes. If the
// inner sink had stored a part of a batch that it refused as a whole, it receives that part
// twice.
//
// Temporary failures are returned. If one hits all events of a write during the bisection,
// the sink may be down: the remaining events are not written and fail temporarily too, and
// the outcomes so far stay.
//
// Context: it is checked before each further write. What was not written when it is done
// fails temporarily.
//
// Abilities: those of both sinks. Flush, Close and Check call the inner sink and then that
// of the letters; Durability is the lower of the two.
type DeadLetter struct {
	inner, letters inlet.Sink
	name           string
	onLetter       func(ctx context.Context, letter *inlet.Event, err error)

	stored  atomic.Uint64
	closing closeOnce
}

// NewDeadLetter returns a decorator of inner that writes to letters what inner permanently
// refuses. It closes both. It returns an error if one of them is nil.
func NewDeadLetter(inner, letters inlet.Sink, o *DeadLetterOptions) (*DeadLetter, error) {
	if err := check.Options("sinks", "NewDeadLetter",
		check.NotNil("inner", inner == nil),
		check.NotNil("letters", letters == nil),
	); err != nil {
		return nil, err
	}
	if o == nil {
		o = new(DeadLetterOptions)
	}
	d := &DeadLetter{inner: inner, letters: letters, name: o.Name, onLetter: o.OnLetter, closing: newCloseOnce()}
	if d.onLetter == nil {
		d.onLetter = func(context.Context, *inlet.Event, error) {}
	}
	return d, nil
}

// Write passes the caller's slice on. An error of the inner sink without a permanent
// failure is returned unchanged; every other failure is a [*inlet.BatchError] of temporary
// errors.
func (d *DeadLetter) Write(ctx context.Context, events []*inlet.Event) error {
	if d.closing.begun.Load() {
		return inlet.ErrClosed
	}
	err := d.inner.Write(ctx, events)
	if !slices.ContainsFunc(inlet.ItemErrors(err, len(events)), inlet.IsPermanent) {
		return err
	}
	b := bisection{inner: d.inner, events: events, outcome: newOutcome(len(events))}
	b.narrow(ctx, 0, len(events), err)
	d.storeLetters(ctx, events, b.outcome)
	return b.outcome.err()
}

// storeLetters writes the letters of the events that o has as refused. The outcome of each
// becomes that of its letter.
func (d *DeadLetter) storeLetters(ctx context.Context, events []*inlet.Event, o *outcome) {
	refused := o.refused()
	letters := d.lettersOf(events, refused, o.errs)
	errs := inlet.ItemErrors(d.writeLetters(ctx, letters), len(letters))
	for n, i := range refused {
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

// errNoLetter is temporary, and so is every error that it is joined to.
var errNoLetter = errors.New("sinks: DeadLetter: letter not stored")

func (d *DeadLetter) lettersOf(events []*inlet.Event, indices []int, reasons []error) []*inlet.Event {
	now := time.Now().UTC()
	letters := make([]*inlet.Event, len(indices))
	for n, i := range indices {
		letters[n] = newLetter(events[i], reasons[i], now, d.name)
	}
	return letters
}

func (d *DeadLetter) writeLetters(ctx context.Context, letters []*inlet.Event) error {
	if len(letters) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.letters.Write(ctx, letters)
}

// Flush flushes the inner sink, then that of the letters.
func (d *DeadLetter) Flush(ctx context.Context) error {
	return errors.Join(inlet.Flush(ctx, d.inner), inlet.Flush(ctx, d.letters))
}

// Close closes the inner sink, then that of the letters, and makes every later Write fail
// with [inlet.ErrClosed]. Further calls close nothing; they wait for the first and return
// the same error.
func (d *DeadLetter) Close(ctx context.Context) error {
	return d.closing.do(ctx, func() error {
		return errors.Join(inlet.Close(ctx, d.inner), inlet.Close(ctx, d.letters))
	})
}

// Check checks both sinks: without that of the letters, a refused event could not be
// acknowledged. It fails after Close.
func (d *DeadLetter) Check(ctx context.Context) error {
	if d.closing.begun.Load() {
		return inlet.ErrClosed
	}
	return errors.Join(inlet.Check(ctx, d.inner), inlet.Check(ctx, d.letters))
}

// Durability returns the lower durability of the two sinks.
func (d *DeadLetter) Durability() inlet.Durability {
	return min(inlet.DurabilityOf(d.inner), inlet.DurabilityOf(d.letters))
}

// DeadLetterStats is a snapshot of the counters of a [DeadLetter].
type DeadLetterStats struct {
	// Letters is the number of letters that were stored so far.
	Letters uint64
}

// Stats returns the current counters.
func (d *DeadLetter) Stats() DeadLetterStats { return DeadLetterStats{Letters: d.stored.Load()} }
