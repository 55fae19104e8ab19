package sinks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
)

// DedupeOptions are the options of [NewDedupe]. nil and the zero value stand for
// the defaults.
type DedupeOptions struct {
	// Window is how long an id is remembered after its event has been stored.
	// Defaults to 24 hours.
	Window time.Duration
	// MaxIDs is how many ids are remembered. When there are more within the
	// window, the oldest is forgotten. Each takes 32 bytes. Defaults to
	// 1,000,000.
	MaxIDs int
	// Stored are the events that the inner sink has stored already, the oldest
	// first, such as those of a journal's RecentIDs: their ids are remembered, as
	// if they had come to this instance when they were received. NewDedupe reads
	// MessageID, Source, ReceivedAt and Warnings of each before it asks for the
	// next, and fails with the first error that is among them. Defaults to nil,
	// none: what comes again after a restart is then passed on again.
	Stored iter.Seq2[*inlet.Event, error]
}

func (o *DedupeOptions) withDefaults() (DedupeOptions, error) {
	var d DedupeOptions
	if o != nil {
		d = *o
	}
	switch {
	case d.Window < 0:
		return d, fmt.Errorf("sinks: DedupeOptions.Window: %v is negative", d.Window)
	case d.MaxIDs < 0 || d.MaxIDs > math.MaxInt32:
		return d, fmt.Errorf("sinks: DedupeOptions.MaxIDs: %d is not within 0 and %d", d.MaxIDs, math.MaxInt32)
	}
	if d.Window == 0 {
		d.Window = 24 * time.Hour
	}
	if d.MaxIDs == 0 {
		d.MaxIDs = 1_000_000
	}
	return d, nil
}

// Dedupe is a decorator that passes an event on once, however often it comes:
// a later one with the same MessageID from the same Source is acknowledged and
// dropped, as long as the id is remembered. Make one with [NewDedupe].
//
// Safety: it never acknowledges an event on the strength of another that is not
// stored. An id is remembered only after the inner Write has reported its event
// stored. While that Write runs, the id is held: a Write that brings it again
// first passes on its own events and then waits, holding nothing, until the
// other one has ended. If that one failed, temporarily or for good, the waiting
// Write tries itself. What it still waits for when its context is done fails
// with a temporary error.
//
// Within one call the second event with an id is the duplicate of the first and
// shares its outcome: nil if that is stored, its error if not. The others keep
// their order, but for those that had to wait.
//
// Generated ids: an event whose id is ours ([inlet.Event.GeneratedID]) cannot be
// a duplicate and passes unseen.
//
// Restarts: the memory is of this process. An event that comes again after a
// restart is passed on again, unless the new instance was told what is stored
// (DedupeOptions.Stored); one that comes to another process always is.
//
// Secrecy: what is remembered is a 128-bit hash of the Source's ID and the
// MessageID under a random key of the instance: SHA-256 over the key and both,
// cut short. No client can compute it, so none can craft an id that claims
// another source's, which would drop that one's event; a chance collision
// within a million ids has a probability of 10^-27. A hash made for tables, such
// as hash/maphash, promises no such thing.
//
// Memory: 32 bytes for each of MaxIDs, taken when the instance is made and never
// more or less, so that no Write ever waits for a table to grow. Beside it only
// the ids that are being written now are held. It has no goroutine.
//
// Abilities: those of the inner sink, by Unwrap; it stores nothing itself and
// acknowledges nothing early.
type Dedupe struct {
	inner      inlet.Sink
	hasher     hasher
	calls      sync.Pool // of *dedupeCall
	duplicates atomic.Uint64
	start      time.Time

	mu   sync.Mutex
	seen window
	held map[eventKey]claim
}

// A claim is on an id whose event is being written by a call.
type claim struct {
	call  *dedupeCall
	index int // of the event in the call
}

// NewDedupe returns a decorator of inner. A nil inner sink and options out of
// their bounds are errors.
func NewDedupe(inner inlet.Sink, o *DedupeOptions) (*Dedupe, error) {
	if inner == nil {
		return nil, errors.New("sinks: Dedupe: the inner sink is nil")
	}
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &Dedupe{
		inner:  inner,
		hasher: newHasher(),
		start:  time.Now(),
		seen:   newWindow(opts.MaxIDs, opts.Window),
		held:   make(map[eventKey]claim),
	}
	if err := d.restore(opts.Stored); err != nil {
		return nil, fmt.Errorf("sinks: DedupeOptions.Stored: %w", err)
	}
	return d, nil
}

// restore remembers the ids of events that were stored before.
func (d *Dedupe) restore(stored iter.Seq2[*inlet.Event, error]) error {
	if stored == nil {
		return nil
	}
	var key eventKey
	var text []byte
	for e, err := range stored {
		if err != nil {
			return err
		}
		if !e.GeneratedID() {
			key, text = d.hasher.sum(e, text)
			d.seen.add(key, min(e.ReceivedAt.Sub(d.start), 0))
		}
	}
	return nil
}

// Write passes on the events that are not duplicates; without any, it passes on
// the very slice. An error that the inner sink gives for a whole batch without
// duplicates is returned as it is; every other failure is a [*inlet.BatchError].
func (d *Dedupe) Write(ctx context.Context, events []*inlet.Event) error {
	c := d.begin(events)
	err := d.run(ctx, c)
	d.end(c) // not deferred: after a panic it is left to the collector
	return err
}

// run goes through the open events of c in rounds: claim what is free, write it,
// and only then wait for what others hold.
func (d *Dedupe) run(ctx context.Context, c *dedupeCall) error {
	d.reserve(c)
	if len(c.own) == len(c.events) {
		return c.wholeError(d.pass(ctx, c, c.events))
	}
	for {
		if len(c.own) > 0 {
			c.fail(c.own, inlet.ItemErrors(d.pass(ctx, c, c.ownEvents()), len(c.own)))
		}
		if len(c.open) == 0 {
			break
		}
		if err := c.wait(ctx); err != nil {
			c.failOpen(err)
			break
		}
		d.reserve(c)
	}
	return d.outcome(c)
}

// reserve sorts the open events of c into those that it now owns, those that are
// duplicates, and those that stay open because another call holds their id.
func (d *Dedupe) reserve(c *dedupeCall) {
	c.own, c.blocker = c.own[:0], nil
	still := c.open[:0]
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Since(d.start)
	for _, i := range c.open {
		switch holder, held := d.held[c.keys[i]]; {
		case c.events[i].GeneratedID():
			c.own = append(c.own, i)
		case held && holder.call == c:
			c.first[i] = holder.index
		case held:
			still = append(still, i)
			c.blocker = holder.call.doneChan()
		case d.seen.has(c.keys[i], now):
			c.first[i] = seenBefore
		default:
			d.held[c.keys[i]] = claim{c, i}
			c.own = append(c.own, i)
		}
	}
	c.open = still
}

// pass writes the events that c owns and settles their ids, also if the inner
// sink panics.
func (d *Dedupe) pass(ctx context.Context, c *dedupeCall, events []*inlet.Event) (err error) {
	returned := false
	defer func() { d.settle(c, returned, err) }()
	err = d.inner.Write(ctx, events)
	returned = true
	return err
}

// settle gives up the claims of c, remembers the ids whose events are stored and
// wakes whoever waits. If the inner Write did not return, none is.
func (d *Dedupe) settle(c *dedupeCall, returned bool, err error) {
	errs := inlet.ItemErrors(err, len(c.own))
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Since(d.start)
	for n, i := range c.own {
		if c.events[i].GeneratedID() {
			continue
		}
		delete(d.held, c.keys[i])
		if returned && (errs == nil || errs[n] == nil) {
			d.seen.add(c.keys[i], now)
		}
	}
	c.release()
}

// outcome counts the duplicates of c and joins what became of its events.
func (d *Dedupe) outcome(c *dedupeCall) error {
	duplicates := 0
	for i, first := range c.first {
		switch {
		case first == seenBefore:
			duplicates++
		case first == i:
		case c.errs == nil || c.errs[first] == nil:
			duplicates++
		default:
			c.errs[i] = c.errs[first]
		}
	}
	d.duplicates.Add(uint64(duplicates))
	return batchError(c.errs)
}

// Duplicates returns how many events have been acknowledged without being passed
// on, because another one with the same id was stored.
func (d *Dedupe) Duplicates() uint64 { return d.duplicates.Load() }

// Unwrap returns the inner sink.
func (d *Dedupe) Unwrap() inlet.Sink { return d.inner }
