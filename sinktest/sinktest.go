package sinktest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/inlet-go/inlet"
)

// A Harness is what [Run] needs to know about a sink.
type Harness struct {
	// New returns a sink that works. It is called once per clause; the suite closes the
	// sink. Required.
	New func(t testing.TB) inlet.Sink
	// Read returns the events in the store behind s, in order. It must work after s has been
	// closed, and may return events of other sinks too. The suite does not change the events
	// that it returns, but may append to their raw JSON. Defaults to nil: the clauses about
	// stored events are skipped.
	Read func(t testing.TB, s inlet.Sink) []*inlet.Event
	// Features are what the sink declares. Defaults to the zero value: a sink that stores
	// every good event and declares nothing else.
	Features Features
}

// Run checks the sink clause by clause, each in a subtest of its own. The name of the subtest
// is the rule of the contract; its failure is what was observed and how to fix it. Clauses
// that do not apply are skipped, with the reason.
func Run(t *testing.T, h Harness) {
	runAll(t, clauses(), func(t *testing.T) *probe {
		read := func(s inlet.Sink) []*inlet.Event { return h.Read(t, s) }
		if h.Read == nil {
			read = nil
		}
		return newProbe(t.Context(), h.New(t), read, h.Features)
	})
}

// Check checks the sinks that newSink returns, as [Run] does, and returns the joined errors of
// all broken clauses, or nil. read and f may be nil; see [Harness.Read] and
// [Harness.Features]. It stops when ctx is done.
func Check(ctx context.Context, newSink func() inlet.Sink, read func(inlet.Sink) []*inlet.Event, f *Features) error {
	if f == nil {
		f = new(Features)
	}
	return errors.Join(checkAll(ctx, clauses(), func() *probe { return newProbe(ctx, newSink(), read, *f) })...)
}

// runAll checks each clause in a subtest, with a probe of its own.
func runAll(t *testing.T, all []clause, newProbe func(*testing.T) *probe) {
	learned := new(experience)
	for _, c := range all {
		t.Run(c.rule, func(t *testing.T) {
			p := newProbe(t)
			p.learned = learned
			skipped, err := c.run(p)
			if skipped != "" {
				t.Skip(skipped)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// checkAll checks each clause with a probe of its own and returns the errors of those that are
// broken.
func checkAll(ctx context.Context, all []clause, newProbe func() *probe) (breaches []error) {
	learned := new(experience)
	for _, c := range all {
		if err := ctx.Err(); err != nil {
			return append(breaches, fmt.Errorf("sinktest: stopped before all clauses were checked: %w", err))
		}
		p := newProbe()
		p.learned = learned
		if _, err := c.run(p); err != nil {
			breaches = append(breaches, err)
		}
	}
	return breaches
}
