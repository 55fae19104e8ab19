package sinktest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/inlet-go/inlet"
)

// A Harness tells [Run] how to make the sink and how to look into it.
type Harness struct {
	// New returns a sink that works. It is called once a clause; the suite
	// closes the sink. Required.
	New func(t testing.TB) inlet.Sink
	// Read returns what the store behind s holds now, in its order. It must work
	// after s has been closed, and may return events of other sinks too. The
	// suite changes nothing that it returns, but may append to raw JSON. Defaults to nil, not readable: the
	// clauses about what is stored are then skipped.
	Read func(t testing.TB, s inlet.Sink) []*inlet.Event
	// Features is what the sink declares. Defaults to the features of a sink
	// that stores every good event and promises no more than it must.
	Features Features
}

// Features are the abilities of a sink. The suite demands those that are
// declared, and makes allowance for those that are not.
type Features struct {
	// Durability is the least that the sink must declare by [inlet.Durable].
	// Defaults to [inlet.DurabilityUnknown].
	Durability inlet.Durability
	// Ordered says that Read returns the events of one call in the order in
	// which they were written. Defaults to false.
	Ordered bool
	// Dedupes says that an event which is written again is stored once. Without
	// it, every one must be stored: a sink that drops duplicates says so.
	// Defaults to false.
	Dedupes bool
	// Partial says that a Write may fail for some of its events, by a
	// [*inlet.BatchError]. Without it, every BatchError is a breach. Defaults to
	// false.
	Partial bool
	// Fails says that a Write may fail although nothing is wrong, as that of a
	// decorator over [Flaky] does. What failed temporarily is written again.
	// Without it, every failure of a good event is a breach. Defaults to false.
	Fails bool
	// Buffers says that nil from Write does not mean that Read sees the events:
	// the suite flushes before it reads, and the sink must declare no more than
	// [inlet.DurabilityMemory]. Defaults to false.
	Buffers bool
	// MaxBatch is the most events that one Write takes. Defaults to 0, no bound.
	MaxBatch int
	// Grace is how long a Write may take to return once its context is done.
	// Defaults to 5 seconds.
	Grace time.Duration
	// Stall makes the store behind the sink hang until release is called, so
	// that the suite can see whether Write returns with its context
	// nevertheless. Defaults to nil: it then only sees Writes that do not hang.
	Stall func(s inlet.Sink) (release func())
	// Refuse changes a good event into one that the sink refuses for good, such
	// as one that is too large for it. Defaults to nil, there is none.
	Refuse func(e *inlet.Event)
}

// Run checks the sink clause by clause, each in a subtest of its own. Clauses
// that do not apply are skipped, with the reason.
func Run(t *testing.T, h Harness) {
	for _, c := range clauses() {
		t.Run(c.rule, func(t *testing.T) {
			read := func(s inlet.Sink) []*inlet.Event { return h.Read(t, s) }
			if h.Read == nil {
				read = nil
			}
			p := newProbe(t.Context(), h.New(t), read, h.Features)
			defer p.close() // what it says is for the clauses about Close
			if reason := c.skip(p); reason != "" {
				t.Skip(reason)
			}
			if err := p.run(c); err != nil {
				t.Errorf("%s: %v", c.rule, err)
			}
		})
	}
}

// Check checks the sinks that newSink returns, as [Run] does, and returns the
// breaches of all clauses, joined, or nil. read and f may be nil; see
// [Harness.Read] and [Harness.Features]. It stops when ctx is done.
func Check(ctx context.Context, newSink func() inlet.Sink, read func(inlet.Sink) []*inlet.Event, f *Features) error {
	if f == nil {
		f = new(Features)
	}
	var breaches []error
	for _, c := range clauses() {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(breaches, fmt.Errorf("sinktest: stopped before the end: %w", err))...)
		}
		if err := checkClause(c, newProbe(ctx, newSink(), read, *f)); err != nil {
			breaches = append(breaches, fmt.Errorf("%s: %w", c.rule, err))
		}
	}
	return errors.Join(breaches...)
}

func checkClause(c clause, p *probe) error {
	defer p.close() // what it says is for the clauses about Close
	if c.skip(p) != "" {
		return nil
	}
	return p.run(c)
}

func (f Features) withDefaults() Features {
	f.Grace = cmp.Or(f.Grace, 5*time.Second)
	return f
}
