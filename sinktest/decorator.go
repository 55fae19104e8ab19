package sinktest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/inlet-go/inlet"
)

// A DecoratorHarness is what [RunDecorator] needs to know about a decorator.
type DecoratorHarness struct {
	// New returns a decorator of inner, which declares [inlet.DurabilityMemory] in most
	// clauses. It is called at least once per clause; the suite closes what it returns.
	// Required.
	New func(t testing.TB, inner inlet.Sink) inlet.Sink
	// Read returns the events that were stored through s; stored are those in the inner
	// sink. See [Harness.Read]. Only decorators that store events elsewhere too, or in
	// several sinks, need it. Defaults to a function that returns stored.
	Read func(t testing.TB, s inlet.Sink, stored []*inlet.Event) []*inlet.Event
	// Features are what the decorator declares over a sink that always works. Stall and
	// Panic default to those of the inner sink. Over a sink that fails, the suite adds
	// Partial and Fails, and leaves out Ordered. Defaults to the zero value.
	Features Features
}

// RunDecorator checks a decorator over an inner sink of the suite: all clauses of [Run],
// and those on what a decorator owes to its inner sink and must pass on from it. It does so
// twice, over a sink that works and over one that fails at times as that of [Flaky] does.
// Both hang and panic where a clause requires it.
func RunDecorator(t *testing.T, h DecoratorHarness) {
	for _, s := range setups() {
		t.Run(s.name, func(t *testing.T) {
			if reason := s.skip(h.Features); reason != "" {
				t.Skip(reason)
			}
			runAll(t, decoratorClauses(), func(t *testing.T) *probe {
				return h.decoration(t).probe(t.Context(), s.plan, inlet.DurabilityMemory)
			})
		})
	}
}

// CheckDecorator checks the decorators that newDecorator returns, as [RunDecorator] does,
// and returns the joined errors of all broken clauses, or nil. read and f may be nil; see
// [DecoratorHarness]. It stops when ctx is done.
func CheckDecorator(ctx context.Context, newDecorator func(inner inlet.Sink) inlet.Sink,
	read func(s inlet.Sink, stored []*inlet.Event) []*inlet.Event, f *Features,
) error {
	d := decoration{new: newDecorator, read: read}
	if f != nil {
		d.f = *f
	}
	var breaches []error
	for _, s := range setups() {
		if s.skip(d.f) != "" {
			continue
		}
		for _, err := range checkAll(ctx, decoratorClauses(), func() *probe {
			return d.probe(ctx, s.plan, inlet.DurabilityMemory)
		}) {
			breaches = append(breaches, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	return errors.Join(breaches...)
}

// A setup is a kind of inner sink over which decorators are checked.
type setup struct {
	name string
	plan *FlakyOptions // of the inner sink; nil for one that never fails
}

func setups() []setup {
	return []setup{
		{"over a sink that works", nil},
		{"over a sink that fails at times", defaultPlan()},
	}
}

// skip returns why decorators with these features are not checked there, or "".
func (s setup) skip(f Features) string {
	if s.plan != nil && f.Buffers {
		return "the decorator declares Buffers: failures after the acknowledgement are not retried"
	}
	return ""
}

// A decoration is how to make decorators and how to read their events.
type decoration struct {
	new  func(inner inlet.Sink) inlet.Sink
	read func(s inlet.Sink, stored []*inlet.Event) []*inlet.Event // nil: the events in the inner sink
	f    Features
}

// decoration returns that of h, for one test.
func (h DecoratorHarness) decoration(t testing.TB) decoration {
	d := decoration{new: func(inner inlet.Sink) inlet.Sink { return h.New(t, inner) }, f: h.Features}
	if h.Read != nil {
		d.read = func(s inlet.Sink, stored []*inlet.Event) []*inlet.Event { return h.Read(t, s, stored) }
	}
	return d
}

// probe returns the probe of a decorator of a new inner sink, with a plan of failures and a
// durability.
func (d decoration) probe(ctx context.Context, plan *FlakyOptions, durability inlet.Durability) *probe {
	s := newInner(durability, plan, d.f)
	p := newProbe(ctx, d.new(s), d.reader(s), d.features(s, plan))
	p.inner = s
	p.again = func(durability inlet.Durability) *probe { return d.probe(ctx, plan, durability) }
	return p
}

func (d decoration) reader(s *inner) func(inlet.Sink) []*inlet.Event {
	return func(outer inlet.Sink) []*inlet.Event {
		if d.read == nil {
			return s.stored()
		}
		return d.read(outer, s.stored())
	}
}

// features returns the features of a decorator of s.
func (d decoration) features(s *inner, plan *FlakyOptions) Features {
	f := d.f
	if f.Stall == nil {
		f.Stall = s.stall
	}
	if f.Panic == nil {
		f.Panic = s.panic
	}
	if plan != nil {
		f.Partial, f.Fails, f.Ordered = true, true, false
	}
	return f
}
