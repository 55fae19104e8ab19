package sinks

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
	"github.com/inlet-go/inlet/internal/itemerrors"
)

// DedupeOptions configure [NewDedupe]. A nil pointer means all defaults.
type DedupeOptions struct {
	// Window is how long an id is remembered after its event has been stored. Defaults to
	// 24 hours.
	Window time.Duration
	// MaxIDs is how many ids are remembered, each in 32 bytes. When there are more within
	// the window, the oldest is evicted. Defaults to 1,000,000.
	MaxIDs int
	// Stored yields the events that the inner sink has stored already, the oldest first,
	// such as those of a journal's RecentIDs. Their ids are remembered as if they had been
	// written to this instance when they were received. NewDedupe reads MessageID, Source,
	// ReceivedAt and Warnings of each event before it asks for the next, and fails with the
	// first error that is yielded. Defaults to nil: duplicates of events from before a
	// restart are passed on.
	Stored iter.Seq2[*inlet.Event, error]
}

func (o *DedupeOptions) withDefaults() (DedupeOptions, error) {
	var f DedupeOptions
	if o != nil {
		f = *o
	}
	f.Window = cmp.Or(f.Window, 24*time.Hour)
	f.MaxIDs = cmp.Or(f.MaxIDs, 1_000_000)
	return f, check.Options("sinks", "DedupeOptions",
		check.AtLeast("Window", f.Window, 0),
		check.AtLeast("MaxIDs", f.MaxIDs, 1),
		check.AtMost("MaxIDs", f.MaxIDs, math.MaxInt32),
	)
}

// Dedupe is a decorator that passes each event on once: a later one with the same MessageID
// from the same Source is acknowledged and dropped, as long as the id is remembered. Make
// one with [NewDedupe].
//
// Safety: it never acknowledges an event because of another that is not stored. An id is
// remembered only after the inner Write has reported its event as stored. While that Write
// runs, its call claims the id: a Write with the same id first passes on its other events
// and then waits, without any claims, until the first one has ended. If that one failed,
// temporarily or permanently, the waiting Write tries itself. What it still waits for when
// its context is done fails with a temporary error.
//
// Within one call, a further event with an id is the duplicate of the first and shares its
// outcome: nil if that is stored, its error if not. The order of the other events stays,
// except for those that had to wait.
//
// Scope: the id alone names an event within its source. One with another type is a duplicate too,
// as in the vendors' servers.
//
// Generated ids: an event whose id was generated ([inlet.Event.GeneratedID]) cannot be a
// duplicate and is always passed on.
//
// Restarts: ids are remembered in this process only. After a restart, a duplicate is passed
// on, unless the new instance was given the stored events (DedupeOptions.Stored); in another
// process it always is.
//
// Security: what is remembered is a 128-bit hash of the Source's ID and the MessageID under
// a random key of the instance: SHA-256 over the key and both, truncated. No client can
// compute it, so none can craft an id that collides with one of another source, to have
// that source's event dropped; the probability of a collision by chance within a million
// ids is 10^-27. A hash for tables, such as hash/maphash, does not give this guarantee.
//
// Memory: 32 bytes for each of MaxIDs, allocated by NewDedupe and constant from then on, so
// that no Write waits for a table to grow. In addition, the ids of the events that are being
// written are kept. It has no goroutine.
//
// Abilities: those of the inner sink, by Unwrap; it stores nothing itself and acknowledges
// nothing early.
type Dedupe struct {
	inner      inlet.Sink
	hasher     hasher
	calls      sync.Pool // of *dedupeCall
	duplicates atomic.Uint64
	start      time.Time

	mu      sync.Mutex
	seen    window
	claimed map[eventKey]claim
}

// A claim is on an id whose event is being written by a call.
type claim struct {
	call  *dedupeCall
	index int // of the event in the call
}

// NewDedupe returns a decorator of inner. It returns an error if inner is nil, if an option
// is out of its bounds, and if DedupeOptions.Stored yields one.
func NewDedupe(inner inlet.Sink, o *DedupeOptions) (*Dedupe, error) {
	opts, err := o.withDefaults()
	if err := errors.Join(check.Options("sinks", "NewDedupe", check.NotNil("inner", inner == nil)), err); err != nil {
		return nil, err
	}
	d := &Dedupe{
		inner:   inner,
		hasher:  newHasher(),
		start:   time.Now(),
		seen:    newWindow(opts.MaxIDs, opts.Window),
		claimed: make(map[eventKey]claim),
	}
	if err := d.restore(opts.Stored); err != nil {
		return nil, check.Options("sinks", "DedupeOptions", check.Fault("Stored", "yields an error: %w", err))
	}
	return d, nil
}

// restore remembers the ids of events that were stored before.
func (d *Dedupe) restore(stored iter.Seq2[*inlet.Event, error]) error {
	if stored == nil {
		return nil
	}
	var key eventKey
	var buf []byte
	for e, err := range stored {
		if err != nil {
			return err
		}
		if !e.GeneratedID() {
			key, buf = d.hasher.sum(e, buf)
			d.seen.add(key, min(e.ReceivedAt.Sub(d.start), 0))
		}
	}
	return nil
}

// Write passes on the events that are not duplicates; if none is, it passes the caller's
// slice on. An error of the inner sink for a whole batch without duplicates is returned
// unchanged; every other failure is a [*inlet.BatchError].
func (d *Dedupe) Write(ctx context.Context, events []*inlet.Event) error {
	c := d.begin(events)
	err := d.writeRounds(ctx, c)
	d.end(c) // not deferred: after a panic it is left to the garbage collector
	return err
}

// writeRounds writes the pending events of c in rounds: claim the ids that are free, write
// their events, and only then wait for ids that other calls claim.
func (d *Dedupe) writeRounds(ctx context.Context, c *dedupeCall) error {
	d.reserve(c)
	if len(c.own) == len(c.events) {
		return c.wholeError(d.pass(ctx, c, c.events))
	}
	for {
		if len(c.own) > 0 {
			c.fail(c.own, inlet.ItemErrors(d.pass(ctx, c, pick(c.events, c.own)), len(c.own)))
		}
		if len(c.pending) == 0 {
			break
		}
		if err := c.wait(ctx); err != nil {
			c.failPending(err)
			break
		}
		d.reserve(c)
	}
	return d.outcome(c)
}

// reserve sorts the pending events of c into those that it now claims, those that are
// duplicates, and those that stay pending because another call claims their id.
func (d *Dedupe) reserve(c *dedupeCall) {
	c.own, c.blocker = c.own[:0], nil
	pending := c.pending[:0]
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Since(d.start)
	for _, i := range c.pending {
		switch holder, claimed := d.claimed[c.keys[i]]; {
		case c.events[i].GeneratedID():
			c.own = append(c.own, i)
		case claimed && holder.call == c:
			c.original[i] = holder.index
		case claimed:
			pending = append(pending, i)
			c.blocker = holder.call.doneChan()
		case d.seen.has(c.keys[i], now):
			c.original[i] = storedEarlier
		default:
			d.claimed[c.keys[i]] = claim{c, i}
			c.own = append(c.own, i)
		}
	}
	c.pending = pending
}

// pass writes the events that c claims and releases the claims, also if the inner sink
// panics.
func (d *Dedupe) pass(ctx context.Context, c *dedupeCall, events []*inlet.Event) (err error) {
	returned := false
	defer func() { d.release(c, returned, err) }()
	err = d.inner.Write(ctx, events)
	returned = true
	return err
}

// release drops the claims of c, remembers the ids whose events are stored and wakes the
// calls that wait. If the inner Write did not return, no event counts as stored.
func (d *Dedupe) release(c *dedupeCall, returned bool, err error) {
	errs := inlet.ItemErrors(err, len(c.own))
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Since(d.start)
	for n, i := range c.own {
		if c.events[i].GeneratedID() {
			continue
		}
		delete(d.claimed, c.keys[i])
		if returned && (errs == nil || errs[n] == nil) {
			d.seen.add(c.keys[i], now)
		}
	}
	c.wake()
}

// outcome counts the duplicates of c and returns the outcome of its events.
func (d *Dedupe) outcome(c *dedupeCall) error {
	duplicates := 0
	for i, original := range c.original {
		switch {
		case original == storedEarlier:
			duplicates++
		case original == i:
		case c.errs == nil || c.errs[original] == nil:
			duplicates++
		default:
			c.errs[i] = c.errs[original]
		}
	}
	d.duplicates.Add(uint64(duplicates))
	return itemerrors.Join(c.errs)
}

// Unwrap returns the inner sink.
func (d *Dedupe) Unwrap() inlet.Sink { return d.inner }

// DedupeStats is a snapshot of the counters of a [Dedupe].
type DedupeStats struct {
	// Duplicates is the number of events so far that were acknowledged without being passed
	// on, because another one with the same id was stored.
	Duplicates uint64
}

// Stats returns the current counters.
func (d *Dedupe) Stats() DedupeStats { return DedupeStats{Duplicates: d.duplicates.Load()} }
