package sinktest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/inlet-go/inlet"
)

// A DecoratorHarness tells [RunDecorator] how to make the decorator.
type DecoratorHarness struct {
	// New returns a decorator of inner, which declares
	// [inlet.DurabilityMemory] for most clauses. It is called at least once a
	// clause; the suite closes what it returns. Required.
	New func(t testing.TB, inner inlet.Sink) inlet.Sink
	// Read returns what has been stored through s, given what is stored in the
	// inner sink; see [Harness.Read]. A decorator needs it that stores events
	// elsewhere too, or counts on several sinks. Defaults to what is stored in
	// the inner sink.
	Read func(t testing.TB, s inlet.Sink, stored []*inlet.Event) []*inlet.Event
	// Features is what the decorator declares over a sink that always works.
	// Stall and Panic default to those of the inner sink. Over one that fails,
	// the suite adds Partial and Fails, and leaves out Ordered.
	Features Features
}

// RunDecorator checks a decorator on an inner sink of the suite's: all clauses
// that [Run] knows, and those about what it owes to the sink that it wraps and
// hands on from it. It does so twice, over a sink that works and over one that
// fails now and then as that of [Flaky] does. Both hang and panic where a clause
// is about that.
func RunDecorator(t *testing.T, h DecoratorHarness) {
	for _, g := range grounds() {
		t.Run(g.name, func(t *testing.T) {
			if reason := g.skip(h.Features); reason != "" {
				t.Skip(reason)
			}
			runAll(t, decoratorClauses(), func(t *testing.T) *probe {
				return h.decoration(t).probe(t.Context(), g.plan, inlet.DurabilityMemory)
			})
		})
	}
}

// CheckDecorator checks the decorators that newDecorator returns, as
// [RunDecorator] does, and returns the breaches of all clauses, joined, or nil.
// read and f may be nil; see [DecoratorHarness]. It stops when ctx is done.
func CheckDecorator(ctx context.Context, newDecorator func(inner inlet.Sink) inlet.Sink,
	read func(s inlet.Sink, stored []*inlet.Event) []*inlet.Event, f *Features,
) error {
	d := decoration{new: newDecorator, read: read}
	if f != nil {
		d.f = *f
	}
	var breaches []error
	for _, g := range grounds() {
		if g.skip(d.f) != "" {
			continue
		}
		for _, err := range checkAll(ctx, decoratorClauses(), func() *probe {
			return d.probe(ctx, g.plan, inlet.DurabilityMemory)
		}) {
			breaches = append(breaches, fmt.Errorf("%s: %w", g.name, err))
		}
	}
	return errors.Join(breaches...)
}

// A ground is what decorators are checked on.
type ground struct {
	name string
	plan *FlakyOptions // of the inner sink; nil for one that never fails
}

func grounds() []ground {
	return []ground{
		{"over a sink that works", nil},
		{"over a sink that fails now and then", defaultPlan()},
	}
}

// skip returns why decorators with such features are not checked there, or "".
func (g ground) skip(f Features) string {
	if g.plan != nil && f.Buffers {
		return "the decorator declares Buffers: nobody writes again what fails after the acknowledgement"
	}
	return ""
}

// A decoration is how to make decorators and how to look into them.
type decoration struct {
	new  func(inner inlet.Sink) inlet.Sink
	read func(s inlet.Sink, stored []*inlet.Event) []*inlet.Event // nil: what is stored in the inner sink
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

// probe returns one of a decorator of a new inner sink, which fails as planned and
// declares so much durability.
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

// features returns those of a decorator of s.
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
