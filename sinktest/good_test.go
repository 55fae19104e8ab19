package sinktest_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinktest"
)

func TestGoodSinksHaveNoBreaches(t *testing.T) {
	t.Parallel()
	for _, s := range goodSinks() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, s.check(t))
		})
	}
}

func goodSinks() []specimen {
	buffer := func() inlet.Sink { return &buffering{declares: inlet.DurabilityMemory} }
	return []specimen{
		{name: "one that stores", sink: func() inlet.Sink { return new(broken) }, features: sinktest.Features{Ordered: true}},
		{name: "one that takes few at once", sink: writes(fewAtOnce), features: sinktest.Features{MaxBatch: 2}},
		{name: "one that refuses by name", sink: writes(refuser(false, errBad)), features: sinktest.Features{Partial: true, Refuse: spoil}},
		{name: "one that refuses by name and fails now and then", sink: flakyRefuser, features: sinktest.Features{Partial: true, Fails: true, Refuse: spoil}},
		{name: "one that drops what it does not want", sink: writes(dropsSpoilt), features: sinktest.Features{Drop: spoil}},
		{name: "one that buffers", sink: buffer, features: sinktest.Features{Buffers: true, Ordered: true}},
		{name: "one whose store hangs, panics and crashes", sink: func() inlet.Sink { return new(machine) }, features: machineFeatures()},
		{name: "a decorator that has Unwrap", decorator: func(inner inlet.Sink) inlet.Sink { return wrapper{Sink: inner} }, features: sinktest.Features{Ordered: true}},
		{name: "a decorator that has all abilities itself", decorator: newAble(func(*able) {}), features: sinktest.Features{Ordered: true}},
		{name: "a decorator that hands on to one that fails", decorator: func(inner inlet.Sink) inlet.Sink {
			return sinktest.Flaky(inner, nil)
		}, features: sinktest.Features{Partial: true, Fails: true}},
	}
}

var errBad = inlet.Permanent(errors.New("bad"))

// spoil makes e one that a refuser refuses.
func spoil(e *inlet.Event) { e.Type = "spoilt" }

func fewAtOnce(b *broken, ctx context.Context, events []*inlet.Event) error {
	if len(events) > 2 {
		return errors.New("too many at once")
	}
	return b.Memory.Write(ctx, events)
}

// dropsSpoilt stores what is not spoilt.
func dropsSpoilt(b *broken, ctx context.Context, events []*inlet.Event) error {
	left := slices.DeleteFunc(slices.Clone(events), isSpoilt)
	if len(left) == 0 {
		return b.Check(ctx)
	}
	return b.Memory.Write(ctx, left)
}

// flakyRefuser is a refuser over which a sink fails now and then.
func flakyRefuser() inlet.Sink {
	b := &broken{write: refuser(false, errBad)}
	return &flakyBroken{broken: b, outer: sinktest.Flaky(b, nil)}
}

type flakyBroken struct {
	*broken
	outer inlet.Sink
}

func (f *flakyBroken) Write(ctx context.Context, events []*inlet.Event) error {
	return f.outer.Write(ctx, events)
}
