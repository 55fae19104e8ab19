package sinktest_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// A broken sink is a good one but for the one thing that its fields change.
type broken struct {
	sinks.Memory
	write      func(b *broken, ctx context.Context, events []*inlet.Event) error
	close      func(b *broken, ctx context.Context) error
	check      func(b *broken, ctx context.Context) error
	durability func(b *broken) inlet.Durability

	mu     sync.Mutex
	kept   []func() []*inlet.Event // by those that store by themselves: what they have when they are read
	buffer []byte

	calls, running atomic.Int64
}

func (b *broken) Write(ctx context.Context, events []*inlet.Event) error {
	b.calls.Add(1)
	if b.write != nil {
		return b.write(b, ctx, events)
	}
	return b.Memory.Write(ctx, events)
}

func (b *broken) Close(ctx context.Context) error {
	if b.close != nil {
		return b.close(b, ctx)
	}
	return b.Memory.Close(ctx)
}

func (b *broken) Check(ctx context.Context) error {
	if b.check != nil {
		return b.check(b, ctx)
	}
	return b.Memory.Check(ctx)
}

func (b *broken) Durability() inlet.Durability {
	if b.durability != nil {
		return b.durability(b)
	}
	return b.Memory.Durability()
}

func (b *broken) Events() []*inlet.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	stored := b.Memory.Events()
	for _, look := range b.kept {
		stored = append(stored, look()...)
	}
	return stored
}

// keep stores what look returns whenever the sink is read, unless it is closed.
func (b *broken) keep(ctx context.Context, look func() []*inlet.Event) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, look)
	return nil
}

// writes makes sinks that are broken in Write.
func writes(write func(*broken, context.Context, []*inlet.Event) error) func() inlet.Sink {
	return func() inlet.Sink { return &broken{write: write} }
}

func brokenSinks() []specimen {
	partial := sinktest.Features{Partial: true, Fails: true}
	refusing := sinktest.Features{Partial: true, Refuse: spoil}
	good := func() inlet.Sink { return new(broken) }
	return []specimen{
		among(specimen{name: "drops the last event", sink: writes(dropsLast), breaks: []string{storesAll}}),
		among(specimen{name: "acknowledges before it stores", sink: writes(acknowledgesEarly), breaks: []string{storesAll}}),
		among(specimen{name: "changes numbers", sink: writes(changesContent), breaks: []string{unchanged}}),
		{name: "does not take large batches", sink: writes(smallBatches), breaks: []string{large}},
		{name: "cuts off what is too much at once", sink: writes(truncates), features: sinktest.Features{MaxBatch: 10}, breaks: []string{beyond}},
		{name: "reorders", sink: writes(reorders), features: sinktest.Features{Ordered: true}, breaks: []string{order}},
		{name: "drops duplicates", sink: writes(dropsDuplicates), breaks: []string{duplicates}},
		{name: "does not dedupe as it declares", sink: good, features: sinktest.Features{Dedupes: true}, breaks: []string{once}},
		{name: "does not acknowledge what it is to drop", sink: writes(refuser(false, errBad)), features: sinktest.Features{Partial: true, Drop: spoil}, breaks: []string{drops}},
		{name: "drops others with one", sink: writes(dropsAll), features: sinktest.Features{Drop: spoil}, breaks: []string{drops}},

		{name: "returns malformed batch errors", sink: writes(misnames), breaks: []string{wellFormed}},
		among(specimen{name: "returns a nil batch error", sink: writes(returnsNilBatchError), breaks: []string{wellFormed}}),
		{name: "returns batch errors that it does not declare", sink: writes(undeclaredPartial), breaks: []string{wellFormed}},
		{name: "stores an event that it reports as failed", sink: writes(storesFailed), features: partial, breaks: []string{truth}},
		{name: "reports an event as stored that is not", sink: writes(hidesFailed), features: partial, breaks: []string{truth}},
		{name: "acknowledges what it should refuse", sink: good, features: sinktest.Features{Refuse: spoil}, breaks: []string{refusal}},
		{name: "refuses good events with a bad one", sink: writes(refuser(true, errBad)), features: refusing, breaks: []string{refusal}},
		{name: "refuses for good with a temporary error", sink: writes(refuser(false, errors.New("bad"))), features: refusing, breaks: []string{refusal}},

		{name: "ignores its context", sink: writes(ignoresContext), features: sinktest.Features{Grace: 50 * time.Millisecond}, breaks: []string{contextDone}},
		{name: "acknowledges when its context is done", sink: writes(acknowledgesDoneContext), breaks: []string{doneAlready}},
		{name: "fails for good when its context is done", sink: writes(failsForGoodWithContext), breaks: []string{doneAlready}},

		{name: "keeps the slice", sink: writes(keepsSlice), breaks: []string{keepsBatch, keepsEvents, keepsBytes, overwrites}},
		{name: "keeps the order that is in the slice", sink: writes(keepsOrderOnly), breaks: []string{keepsBatch}},
		{name: "keeps event pointers", sink: writes(keepsPointers), breaks: []string{keepsEvents, keepsBytes, overwrites}},
		{name: "keeps structs", sink: writes(keepsStructs), breaks: []string{keepsEvents}},
		{name: "keeps raw bytes", sink: writes(keepsRaw), breaks: []string{keepsBytes, overwrites}},
		{name: "modifies events", sink: writes(modifiesStruct), breaks: []string{modifies}},
		{name: "modifies the source", sink: writes(modifiesSource), breaks: []string{modifies}},
		{name: "sorts the slice", sink: writes(modifiesSlice), breaks: []string{modifies}},
		{name: "appends to raw bytes", sink: writes(appendsToRaw), breaks: []string{modifies}},
		{name: "stores without clipping", sink: writes(clipsNothing), breaks: []string{overwrites}},
		among(specimen{name: "shares a buffer between events", sink: writes(sharesBuffer), breaks: []string{overwrites}}),

		among(specimen{name: "loses events of concurrent writes", sink: writes(racesUnseen), breaks: []string{concurrent}}),
		{name: "loses calls that overlap with others", sink: writes(overlaps), breaks: []string{concurrent}},

		{name: "changes its durability", sink: func() inlet.Sink { return &broken{durability: changesDurability} }, breaks: []string{durability}},
		{name: "declares less durability than its features", sink: good, features: sinktest.Features{Durability: inlet.DurabilityFsync}, breaks: []string{durability}},
		{name: "declares no known durability", sink: func() inlet.Sink { return &broken{durability: unknownDurability} }, breaks: []string{durability}},

		{name: "closes only once", sink: func() inlet.Sink { return &broken{close: closesOnlyOnce} }, breaks: []string{idempotent, closeBeside, closeAmid}},
		{name: "panics on a write after Close", sink: writes(panicsAfterClose), breaks: []string{closeBeside, closeAmid, closedWrite, closedError}},
		{name: "stores after Close", sink: writes(storesAfterClose), breaks: []string{closedWrite}},
		{name: "fails for good after Close", sink: writes(failsForGoodAfterClose), breaks: []string{closeBeside, closeAmid, closedError}},
		{name: "returns an error of its own after Close", sink: writes(otherErrorAfterClose), breaks: []string{closedWrite}},
		{name: "is ready after Close", sink: func() inlet.Sink { return &broken{check: alwaysReady} }, breaks: []string{closedCheck}},
	}
}
