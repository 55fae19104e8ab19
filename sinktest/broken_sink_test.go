package sinktest_test

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// A broken sink is a good one except for what one of its fields changes.
type broken struct {
	sinks.Memory
	write      func(b *broken, ctx context.Context, events []*inlet.Event) error
	close      func(b *broken, ctx context.Context) error
	check      func(b *broken, ctx context.Context) error
	durability func(b *broken) inlet.Durability

	mu     sync.Mutex
	kept   []func() []*inlet.Event // of sinks that store events themselves: returns them when they are read
	buffer []byte

	calls, running atomic.Int64
	spoilt         atomic.Bool
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
	for _, read := range b.kept {
		stored = append(stored, read()...)
	}
	return stored
}

// keep stores the events that read returns when the sink is read, unless it is closed.
func (b *broken) keep(ctx context.Context, read func() []*inlet.Event) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, read)
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
		{name: "cannot hold U+0000", sink: writes(withoutNUL(errors.New("unsupported Unicode escape sequence"))), breaks: []string{acceptsAll}},
		{name: "refuses U+0000", sink: writes(withoutNUL(errBad)), breaks: []string{acceptsAll}},
		{name: "replaces U+0000", sink: writes(replacesNUL), breaks: []string{unchanged}},
		{name: "normalises", sink: writes(normalises), breaks: []string{unchanged}},
		{name: "fails temporarily for what its store refuses", sink: writes(refusesBatch(errors.New("bad"))), features: sinktest.Features{Poison: spoil}, breaks: []string{poison}},
		{name: "acknowledges what its store refuses", sink: writes(dropsSpoilt), features: sinktest.Features{Poison: spoil}, breaks: []string{poison}},
		{name: "refuses everything after what its store refuses", sink: writes(refusesOn), features: sinktest.Features{Poison: spoil}, breaks: []string{poison}},
		{name: "stores the last call first", sink: func() inlet.Sink { return new(backwards) }, features: sinktest.Features{Order: userOf}, breaks: []string{keys}},
		{name: "declares NoNUL and fails temporarily", sink: writes(withoutNUL(errors.New("bad"))), features: sinktest.Features{NoNUL: true}, breaks: []string{nulRefused}},
		{name: "declares NoNUL and drops", sink: writes(withoutNUL(nil)), features: sinktest.Features{NoNUL: true}, breaks: []string{nulRefused}},
		{name: "declares Same, and changes numbers", sink: writes(changesContent), features: sinktest.Features{Same: sameValues}, breaks: []string{unchanged}},
		{name: "rejects large batches", sink: writes(smallBatches), breaks: []string{large}},
		{name: "truncates a batch above MaxBatch", sink: writes(truncates), features: sinktest.Features{MaxBatch: 10}, breaks: []string{beyond}},
		{name: "reorders", sink: writes(reorders), features: sinktest.Features{Ordered: true}, breaks: []string{order}},
		{name: "drops duplicates", sink: writes(dropsDuplicates), breaks: []string{duplicates}},
		{name: "does not dedupe as it declares", sink: good, features: sinktest.Features{Dedupes: true}, breaks: []string{once}},
		{name: "refuses what it should drop", sink: writes(refuser(false, errBad)), features: sinktest.Features{Partial: true, Drop: spoil}, breaks: []string{drops}},
		{name: "drops other events too", sink: writes(dropsAll), features: sinktest.Features{Drop: spoil}, breaks: []string{drops}},

		{name: "returns malformed batch errors", sink: writes(misnames), breaks: []string{wellFormed}},
		among(specimen{name: "returns a nil batch error", sink: writes(returnsNilBatchError), breaks: []string{wellFormed}}),
		{name: "returns undeclared batch errors", sink: writes(undeclaredPartial), breaks: []string{wellFormed}},
		{name: "stores an event that it names as failed", sink: writes(storesFailed), features: partial, breaks: []string{truth}},
		{name: "does not name an event that failed", sink: writes(hidesFailed), features: partial, breaks: []string{truth}},
		{name: "acknowledges what it should refuse", sink: good, features: sinktest.Features{Refuse: spoil}, breaks: []string{refusal}},
		{name: "refuses good events too", sink: writes(refuser(true, errBad)), features: refusing, breaks: []string{refusal}},
		{name: "refuses with a temporary error", sink: writes(refuser(false, errors.New("bad"))), features: refusing, breaks: []string{refusal}},

		{name: "ignores its context", sink: writes(ignoresContext), features: sinktest.Features{Grace: 50 * time.Millisecond}, breaks: []string{contextDone}},
		{name: "acknowledges when its context is done", sink: writes(acknowledgesDoneContext), breaks: []string{doneAlready}},
		{name: "fails permanently when its context is done", sink: writes(failsPermanentlyWithContext), breaks: []string{doneAlready}},

		{name: "keeps the slice", sink: writes(keepsSlice), breaks: []string{keepsBatch, keepsEvents, keepsBytes, overwrites}},
		{name: "keeps the order of the slice", sink: writes(keepsOrderOnly), breaks: []string{keepsBatch}},
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
		{name: "loses overlapping calls", sink: writes(overlaps), breaks: []string{concurrent}},

		{name: "changes its durability", sink: func() inlet.Sink { return &broken{durability: changesDurability} }, breaks: []string{durability}},
		{name: "declares less than Features.Durability", sink: good, features: sinktest.Features{Durability: inlet.DurabilityFsync}, breaks: []string{durability}},
		{name: "declares an unknown durability", sink: func() inlet.Sink { return &broken{durability: unknownDurability} }, breaks: []string{durability}},

		{name: "closes only once", sink: func() inlet.Sink { return &broken{close: closesOnlyOnce} }, breaks: []string{idempotent, closeBeside, closeAmid}},
		{name: "panics on a write after Close", sink: writes(panicsAfterClose), breaks: []string{closeBeside, closeAmid, closedWrite, closedError}},
		{name: "stores after Close", sink: writes(storesAfterClose), breaks: []string{closedWrite}},
		{name: "fails permanently after Close", sink: writes(failsPermanentlyAfterClose), breaks: []string{closeBeside, closeAmid, closedError}},
		{name: "returns another error after Close", sink: writes(otherErrorAfterClose), breaks: []string{closedWrite}},
		{name: "is ready after Close", sink: func() inlet.Sink { return &broken{check: alwaysReady} }, breaks: []string{closedCheck}},
	}
}

func keepsSlice(b *broken, ctx context.Context, events []*inlet.Event) error {
	return b.keep(ctx, func() []*inlet.Event { return events })
}

func keepsPointers(b *broken, ctx context.Context, events []*inlet.Event) error {
	kept := slices.Clone(events)
	return b.keep(ctx, func() []*inlet.Event { return kept })
}

// keepsOrderOnly stores copies, in the order that the slice has when it is read.
func keepsOrderOnly(b *broken, ctx context.Context, events []*inlet.Event) error {
	copies := make(map[*inlet.Event]*inlet.Event)
	for i, c := range inlet.CloneEvents(events) {
		copies[events[i]] = c
	}
	return b.keep(ctx, func() (stored []*inlet.Event) {
		for _, e := range events {
			stored = append(stored, cmp.Or(copies[e], e))
		}
		return stored
	})
}

// keepsStructs stores copies of the raw JSON only.
func keepsStructs(b *broken, ctx context.Context, events []*inlet.Event) error {
	kept, copies := slices.Clone(events), inlet.CloneEvents(events)
	return b.keep(ctx, func() (stored []*inlet.Event) {
		for i, c := range copies {
			e := *kept[i]
			e.Properties, e.Traits, e.Context, e.Integrations, e.Extra = c.Properties, c.Traits, c.Context, c.Integrations, c.Extra
			stored = append(stored, &e)
		}
		return stored
	})
}

func keepsRaw(b *broken, ctx context.Context, events []*inlet.Event) error {
	copies := make([]*inlet.Event, len(events))
	for i, e := range events {
		shallow := *e
		copies[i] = &shallow
	}
	return b.keep(ctx, func() []*inlet.Event { return copies })
}

func dropsLast(b *broken, ctx context.Context, events []*inlet.Event) error {
	if len(events) == 1 {
		return b.Memory.Write(ctx, events)
	}
	return b.Memory.Write(ctx, events[:len(events)-1])
}

// ignoresContext waits for a store that hangs at times.
func ignoresContext(b *broken, ctx context.Context, events []*inlet.Event) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < time.Second {
		time.Sleep(300 * time.Millisecond)
	}
	return b.Memory.Write(ctx, events)
}

func acknowledgesEarly(b *broken, ctx context.Context, events []*inlet.Event) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	clones := inlet.CloneEvents(events)
	time.AfterFunc(50*time.Millisecond, func() { b.Memory.Write(context.WithoutCancel(ctx), clones) })
	return nil
}

func acknowledgesDoneContext(b *broken, ctx context.Context, events []*inlet.Event) error {
	if ctx.Err() != nil {
		return nil
	}
	return b.Memory.Write(ctx, events)
}

func failsPermanentlyWithContext(b *broken, ctx context.Context, events []*inlet.Event) error {
	if err := ctx.Err(); err != nil {
		return inlet.Permanent(err)
	}
	return b.Memory.Write(ctx, events)
}

func modifiesStruct(b *broken, ctx context.Context, events []*inlet.Event) error {
	defer func() { events[0].UserID = "" }()
	return b.Memory.Write(ctx, events)
}

func modifiesSource(b *broken, ctx context.Context, events []*inlet.Event) error {
	defer func() { events[0].Source.Rate = 1 }()
	return b.Memory.Write(ctx, events)
}

func modifiesSlice(b *broken, ctx context.Context, events []*inlet.Event) error {
	defer slices.Reverse(events)
	return b.Memory.Write(ctx, events)
}

// appendsToRaw overwrites what lies behind the field that it appends to.
func appendsToRaw(b *broken, ctx context.Context, events []*inlet.Event) error {
	defer func() { _ = append(events[0].Properties, '\n') }()
	return b.Memory.Write(ctx, events)
}

func changesContent(b *broken, ctx context.Context, events []*inlet.Event) error {
	clones := inlet.CloneEvents(events)
	for _, e := range clones {
		for i := range e.Properties {
			if e.Properties[i] == '3' {
				e.Properties[i] = '2' // as 9007199254740993 does in a float64
			}
		}
	}
	return b.Memory.Write(ctx, clones)
}

// notNow is the error of a batch whose first event failed.
func notNow() error {
	return &inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: errors.New("not now")}}}
}

// misnames fails a call of 17 events with an index beyond the batch.
func misnames(b *broken, ctx context.Context, events []*inlet.Event) error {
	if len(events) != 17 {
		return b.Memory.Write(ctx, events)
	}
	return &inlet.BatchError{Items: []inlet.ItemError{{Index: len(events), Err: errors.New("no such event")}}}
}

// returnsNilBatchError returns a variable of that type, as careless code does.
func returnsNilBatchError(b *broken, ctx context.Context, events []*inlet.Event) error {
	var failed *inlet.BatchError
	if err := b.Memory.Write(ctx, events); err != nil {
		return err
	}
	return failed
}

func undeclaredPartial(b *broken, ctx context.Context, events []*inlet.Event) error {
	if len(events) != 17 {
		return b.Memory.Write(ctx, events)
	}
	return cmp.Or(b.Memory.Write(ctx, events[1:]), notNow())
}

// storesFailed reports an event as failed that it has stored.
func storesFailed(b *broken, ctx context.Context, events []*inlet.Event) error {
	if len(events) != 11 {
		return b.Memory.Write(ctx, events)
	}
	return cmp.Or(b.Memory.Write(ctx, events), notNow())
}

// hidesFailed names one event of two that failed.
func hidesFailed(b *broken, ctx context.Context, events []*inlet.Event) error {
	if len(events) != 11 {
		return b.Memory.Write(ctx, events)
	}
	return cmp.Or(b.Memory.Write(ctx, events[2:]), notNow())
}

// refuser refuses events of the type that spoil gives them: with the batch, or
// by name and with the given error.
func refuser(spread bool, refusal error) func(*broken, context.Context, []*inlet.Event) error {
	return func(b *broken, ctx context.Context, events []*inlet.Event) error {
		bad := slices.IndexFunc(events, isSpoilt)
		if bad < 0 {
			return b.Memory.Write(ctx, events)
		}
		batch := &inlet.BatchError{Items: []inlet.ItemError{{Index: bad, Err: refusal}}}
		if spread {
			batch.Items = nil
			for i := range events {
				batch.Items = append(batch.Items, inlet.ItemError{Index: i, Err: refusal})
			}
			return batch
		}
		rest := slices.Delete(slices.Clone(events), bad, bad+1)
		if len(rest) > 0 {
			if err := b.Memory.Write(ctx, rest); err != nil {
				return err
			}
		}
		return batch
	}
}

func panicsAfterClose(b *broken, ctx context.Context, events []*inlet.Event) error {
	if b.Check(ctx) != nil {
		panic("send on closed channel")
	}
	return b.Memory.Write(ctx, events)
}

func storesAfterClose(b *broken, _ context.Context, events []*inlet.Event) error {
	clones := inlet.CloneEvents(events)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, func() []*inlet.Event { return clones })
	return nil
}

func failsPermanentlyAfterClose(b *broken, ctx context.Context, events []*inlet.Event) error {
	return inlet.Permanent(b.Memory.Write(ctx, events))
}

func otherErrorAfterClose(b *broken, ctx context.Context, events []*inlet.Event) error {
	if b.Memory.Write(ctx, events) != nil {
		return errors.New("use of closed network connection")
	}
	return nil
}

func reorders(b *broken, ctx context.Context, events []*inlet.Event) error {
	clones := inlet.CloneEvents(events)
	slices.Reverse(clones)
	return b.Memory.Write(ctx, clones)
}

// racesUnseen loses events as an unsynchronised append does, in a way that the
// race detector cannot see: it is the suite that must.
func racesUnseen(b *broken, ctx context.Context, events []*inlet.Event) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	now := slices.Clone(b.kept)
	b.mu.Unlock()
	runtime.Gosched()
	b.mu.Lock()
	defer b.mu.Unlock()
	clones := inlet.CloneEvents(events)
	b.kept = append(now, func() []*inlet.Event { return clones })
	return nil
}

// sharesBuffer copies the raw JSON of every call into the same buffer.
func sharesBuffer(b *broken, ctx context.Context, events []*inlet.Event) error {
	clones := inlet.CloneEvents(events)
	b.mu.Lock()
	b.buffer = b.buffer[:0]
	for _, e := range clones {
		if e.Properties != nil && len(b.buffer)+len(e.Properties) < 4096 {
			b.buffer = append(slices.Grow(b.buffer, 4096-len(b.buffer)), e.Properties...)
			e.Properties = b.buffer[len(b.buffer)-len(e.Properties):]
		}
	}
	b.mu.Unlock()
	return b.keep(ctx, func() []*inlet.Event { return clones })
}

func dropsDuplicates(b *broken, ctx context.Context, events []*inlet.Event) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	if len(events) > 1 && events[0].MessageID == events[1].MessageID {
		events = events[:1]
	}
	return b.Memory.Write(ctx, events)
}

func smallBatches(b *broken, ctx context.Context, events []*inlet.Event) error {
	if len(events) > 1000 {
		return errors.New("too many parameters")
	}
	return b.Memory.Write(ctx, events)
}

func closesOnlyOnce(b *broken, ctx context.Context) error {
	if b.Check(ctx) != nil {
		return errors.New("close of closed channel")
	}
	return b.Memory.Close(ctx)
}

func changesDurability(b *broken) inlet.Durability {
	if b.calls.Load() > 0 {
		return inlet.DurabilityFsync
	}
	return inlet.DurabilityMemory
}

func unknownDurability(*broken) inlet.Durability { return -1 }

// alwaysReady ignores that the sink may be closed.
func alwaysReady(*broken, context.Context) error { return nil }

// truncates stores only the first events of a batch.
func truncates(b *broken, ctx context.Context, events []*inlet.Event) error {
	return b.Memory.Write(ctx, events[:min(len(events), 10)])
}

// dropsAll drops a whole call for one event in it.
func dropsAll(b *broken, ctx context.Context, events []*inlet.Event) error {
	if slices.ContainsFunc(events, isSpoilt) {
		return nil
	}
	return b.Memory.Write(ctx, events)
}

// overlaps loses calls of four events that overlap with others.
func overlaps(b *broken, ctx context.Context, events []*inlet.Event) error {
	b.running.Add(1)
	defer b.running.Add(-1)
	if len(events) == 4 {
		time.Sleep(time.Millisecond)
		if b.running.Load() > 1 {
			return b.Check(ctx)
		}
	}
	return b.Memory.Write(ctx, events)
}

// clipsNothing stores all raw JSON of a call in one array.
func clipsNothing(b *broken, ctx context.Context, events []*inlet.Event) error {
	clones := inlet.CloneEvents(events)
	var memory []byte
	for _, e := range clones {
		memory = append(memory, e.Properties...)
	}
	for _, e := range clones {
		if e.Properties != nil {
			e.Properties, memory = memory[:len(e.Properties)], memory[len(e.Properties):]
		}
	}
	return b.keep(ctx, func() []*inlet.Event { return clones })
}

// refusesOn refuses everything once it has refused something, as a transaction that has failed.
func refusesOn(b *broken, ctx context.Context, events []*inlet.Event) error {
	if b.spoilt.Load() || slices.ContainsFunc(events, isSpoilt) {
		b.spoilt.Store(true)
		return errBad
	}
	return b.Memory.Write(ctx, events)
}

// backwards is a store that has what was written last at the top.
type backwards struct{ broken }

func (b *backwards) Events() []*inlet.Event {
	events := b.broken.Events()
	slices.Reverse(events)
	return events
}
