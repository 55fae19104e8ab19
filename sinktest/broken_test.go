package sinktest_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinks"
	"github.com/inlet-go/inlet/sinktest"
)

// A broken sink is a good one but for the one thing that its fields change.
type broken struct {
	sinks.Memory
	write      func(b *broken, ctx context.Context, events []*inlet.Event) error
	close      func(b *broken, ctx context.Context) error
	durability func(b *broken) inlet.Durability

	mu     sync.Mutex
	kept   [][]*inlet.Event // by those that store by themselves
	calls  atomic.Int64
	buffer []byte
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

func (b *broken) Durability() inlet.Durability {
	if b.durability != nil {
		return b.durability(b)
	}
	return b.Memory.Durability()
}

func (b *broken) Events() []*inlet.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Concat(append(b.kept, b.Memory.Events())...)
}

// keep stores the very slice, unless the sink is closed.
func (b *broken) keep(ctx context.Context, events []*inlet.Event) error {
	if err := b.Check(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, events)
	return nil
}

// The broken sinks.

func keepsSlice(b *broken, ctx context.Context, events []*inlet.Event) error {
	return b.keep(ctx, events)
}

func keepsPointers(b *broken, ctx context.Context, events []*inlet.Event) error {
	return b.keep(ctx, slices.Clone(events))
}

func keepsRaw(b *broken, ctx context.Context, events []*inlet.Event) error {
	copies := make([]*inlet.Event, len(events))
	for i, e := range events {
		shallow := *e
		copies[i] = &shallow
	}
	return b.keep(ctx, copies)
}

func dropsLast(b *broken, ctx context.Context, events []*inlet.Event) error {
	if len(events) == 1 {
		return b.Memory.Write(ctx, events)
	}
	return b.Memory.Write(ctx, events[:len(events)-1])
}

// ignoresContext has a store that hangs now and then, and waits for it.
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

func failsForGoodWithContext(b *broken, ctx context.Context, events []*inlet.Event) error {
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

func malformed(_ *broken, _ context.Context, events []*inlet.Event) error {
	return &inlet.BatchError{Items: []inlet.ItemError{{Index: len(events), Err: errors.New("no such event")}}}
}

func undeclaredPartial(b *broken, ctx context.Context, events []*inlet.Event) error {
	if len(events) == 1 || b.calls.Load()%2 == 0 {
		return b.Memory.Write(ctx, events)
	}
	if err := b.Memory.Write(ctx, events[1:]); err != nil {
		return err
	}
	return &inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: errors.New("not now")}}}
}

// storesFailed reports an event as failed that it has stored.
func storesFailed(b *broken, ctx context.Context, events []*inlet.Event) error {
	if err := b.Memory.Write(ctx, events); err != nil || b.calls.Load()%2 == 0 {
		return err
	}
	return &inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: errors.New("not now")}}}
}

// hidesFailed names one event of two that failed.
func hidesFailed(b *broken, ctx context.Context, events []*inlet.Event) error {
	if len(events) < 2 || b.calls.Load()%2 == 0 {
		return b.Memory.Write(ctx, events)
	}
	if err := b.Memory.Write(ctx, events[2:]); err != nil {
		return err
	}
	return &inlet.BatchError{Items: []inlet.ItemError{{Index: 0, Err: errors.New("not now")}}}
}

// refuser refuses events of the type that spoil gives them: with the batch, or
// by name and with the given error.
func refuser(spread bool, refusal error) func(*broken, context.Context, []*inlet.Event) error {
	return func(b *broken, ctx context.Context, events []*inlet.Event) error {
		bad := slices.IndexFunc(events, func(e *inlet.Event) bool { return e.Type == "spoilt" })
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

func storesAfterClose(b *broken, ctx context.Context, events []*inlet.Event) error {
	return b.keep(context.Background(), inlet.CloneEvents(events))
}

func failsForGoodAfterClose(b *broken, ctx context.Context, events []*inlet.Event) error {
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
	b.kept = append(now, inlet.CloneEvents(events))
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
	return b.keep(ctx, clones)
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

func closesOnce(b *broken, ctx context.Context) error {
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

func TestBrokenSinksAreCaught(t *testing.T) {
	t.Parallel()
	const (
		storesAll   = "a Sink must have stored every event when Write returns nil"
		unchanged   = "a Sink must store events unchanged"
		large       = "a Sink must take a batch of 2,500 events"
		order       = "a Sink must keep the order of the events within a call"
		duplicates  = "a Sink must not drop duplicates unless it says so"
		once        = "a Sink that dedupes must store a duplicate once and acknowledge it"
		wellFormed  = "a BatchError must be well-formed"
		truth       = "a BatchError must name exactly the events that are not stored"
		refusal     = "a Sink must refuse for good only what it can never store"
		contextDone = "a Sink must return soon after its context is done"
		doneAlready = "a Sink must take a context that is done already"
		keepsBatch  = "a Sink must not keep the batch after Write returns"
		keepsEvents = "a Sink must not keep events after Write returns"
		keepsBytes  = "a Sink must not keep raw JSON after Write returns"
		modifies    = "a Sink must not modify the events it is lent"
		overwrites  = "a Sink must not let one event overwrite another"
		concurrent  = "a Sink must take concurrent writes without losing events"
		durability  = "Durability must never change"
		idempotent  = "Close must be idempotent"
		closeBeside = "Close must run concurrently with Write"
		afterClose  = "a Write after Close must fail with ErrClosed and store nothing"
		closedError = "an error after Close must be temporary"
	)
	partial := sinktest.Features{Partial: true, Fails: true}
	refusing := sinktest.Features{Partial: true, Refuse: spoil}
	tests := []struct {
		name     string
		sink     *broken
		features sinktest.Features
		clause   string
	}{
		{name: "keeps the slice", sink: &broken{write: keepsSlice}, clause: keepsBatch},
		{name: "keeps event pointers", sink: &broken{write: keepsPointers}, clause: keepsEvents},
		{name: "keeps raw bytes", sink: &broken{write: keepsRaw}, clause: keepsBytes},
		{name: "drops the last event", sink: &broken{write: dropsLast}, clause: storesAll},
		{name: "ignores its context", sink: &broken{write: ignoresContext}, features: sinktest.Features{Grace: 50 * time.Millisecond}, clause: contextDone},
		{name: "acknowledges before it stores", sink: &broken{write: acknowledgesEarly}, clause: storesAll},
		{name: "acknowledges when its context is done", sink: &broken{write: acknowledgesDoneContext}, clause: doneAlready},
		{name: "fails for good when its context is done", sink: &broken{write: failsForGoodWithContext}, clause: doneAlready},
		{name: "modifies events", sink: &broken{write: modifiesStruct}, clause: modifies},
		{name: "modifies the source", sink: &broken{write: modifiesSource}, clause: modifies},
		{name: "sorts the slice", sink: &broken{write: modifiesSlice}, clause: modifies},
		{name: "appends to raw bytes", sink: &broken{write: appendsToRaw}, clause: modifies},
		{name: "changes numbers", sink: &broken{write: changesContent}, clause: unchanged},
		{name: "returns malformed batch errors", sink: &broken{write: malformed}, features: partial, clause: wellFormed},
		{name: "returns batch errors that it does not declare", sink: &broken{write: undeclaredPartial}, features: sinktest.Features{Fails: true}, clause: wellFormed},
		{name: "stores an event that it reports as failed", sink: &broken{write: storesFailed}, features: partial, clause: truth},
		{name: "reports an event as stored that is not", sink: &broken{write: hidesFailed}, features: partial, clause: truth},
		{name: "acknowledges what it should refuse", features: sinktest.Features{Refuse: func(e *inlet.Event) { e.Name = "refused" }}, clause: refusal},
		{name: "refuses good events with a bad one", sink: &broken{write: refuser(true, errBad)}, features: refusing, clause: refusal},
		{name: "refuses for good with a temporary error", sink: &broken{write: refuser(false, errors.New("bad"))}, features: refusing, clause: refusal},
		{name: "panics on a write after Close", sink: &broken{write: panicsAfterClose}, clause: afterClose},
		{name: "panics on a write beside Close", sink: &broken{write: panicsAfterClose}, clause: closeBeside},
		{name: "stores after Close", sink: &broken{write: storesAfterClose, close: func(*broken, context.Context) error { return nil }}, clause: afterClose},
		{name: "fails for good after Close", sink: &broken{write: failsForGoodAfterClose}, clause: closedError},
		{name: "returns an error of its own after Close", sink: &broken{write: otherErrorAfterClose}, clause: afterClose},
		{name: "closes only once", sink: &broken{close: closesOnce}, clause: idempotent},
		{name: "reorders", sink: &broken{write: reorders}, features: sinktest.Features{Ordered: true}, clause: order},
		{name: "loses events of concurrent writes", sink: &broken{write: racesUnseen}, clause: concurrent},
		{name: "shares a buffer between events", sink: &broken{write: sharesBuffer}, clause: overwrites},
		{name: "drops duplicates", sink: &broken{write: dropsDuplicates}, clause: duplicates},
		{name: "does not dedupe as it declares", features: sinktest.Features{Dedupes: true}, clause: once},
		{name: "does not take large batches", sink: &broken{write: smallBatches}, clause: large},
		{name: "changes its durability", sink: &broken{durability: changesDurability}, clause: durability},
		{name: "declares less durability than its features", features: sinktest.Features{Durability: inlet.DurabilityFsync}, clause: durability},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			newSink := func() inlet.Sink {
				if tt.sink == nil {
					return new(broken)
				}
				return &broken{write: tt.sink.write, close: tt.sink.close, durability: tt.sink.durability}
			}
			require.Contains(t, breaches(check(t, newSink, &tt.features)), tt.clause)
		})
	}
}

func check(t *testing.T, newSink func() inlet.Sink, f *sinktest.Features) error {
	return sinktest.Check(t.Context(), newSink, func(s inlet.Sink) []*inlet.Event {
		return s.(interface{ Events() []*inlet.Event }).Events()
	}, f)
}

// breaches returns the rules in an error of Check.
func breaches(err error) []string {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var rules []string
	for _, err := range joined.Unwrap() {
		rule := err.Error()
		if cause := errors.Unwrap(err); cause != nil {
			rule = rule[:len(rule)-len(": "+cause.Error())]
		}
		rules = append(rules, rule)
	}
	return rules
}

func TestGoodSinksHaveNoBreaches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		sink     func() inlet.Sink
		features sinktest.Features
	}{
		{"one that stores", func() inlet.Sink { return new(broken) }, sinktest.Features{Ordered: true}},
		{"one that takes few at once", func() inlet.Sink { return &broken{write: fewAtOnce} }, sinktest.Features{MaxBatch: 2}},
		{
			"one that refuses by name", func() inlet.Sink { return &broken{write: refuser(false, errBad)} },
			sinktest.Features{Partial: true, Refuse: spoil},
		},
		{
			"one that refuses by name and fails now and then", flakyRefuser,
			sinktest.Features{Partial: true, Fails: true, Refuse: spoil},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, check(t, tt.sink, &tt.features))
		})
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
