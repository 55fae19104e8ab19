package sinktest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/testkit"
	"github.com/inlet-go/inlet/sinktest"
)

// The rules of all clauses.
const (
	acceptsAll  = "a Sink must accept every valid event"
	nulRefused  = "a Sink that declares NoNUL must refuse U+0000 permanently or store the event"
	storesAll   = "a Sink must have stored every event when Write returns nil"
	unchanged   = "a Sink must store events unchanged"
	large       = "a Sink must accept a batch of 2,500 events"
	beyond      = "a Sink must store what it acknowledges of a batch above MaxBatch"
	order       = "a Sink must keep the order of the events within a call"
	keys        = "a Sink must keep the order of Writes within a key"
	duplicates  = "a Sink must not drop duplicates unless it declares Dedupes"
	once        = "a Sink that dedupes must store a duplicate once and acknowledge it"
	drops       = "a Sink that drops an event must acknowledge it and drop no other"
	survives    = "acknowledged events must survive the crash that Durability covers"
	restarts    = "a Sink must fail temporarily while its store is down, and work afterwards"
	wellFormed  = "a BatchError must be well-formed"
	truth       = "a BatchError must name exactly the events that are not stored"
	refusal     = "a Sink must permanently refuse only what it can never store"
	poison      = "a Sink must permanently refuse what its store refuses, and store the rest"
	contextDone = "a Sink must return soon after its context is done"
	doneAlready = "a Sink must handle a context that is already done"
	askedInVain = "Flush, Check and Close must return soon after their context is done"
	background  = "Flush, Check and Close must accept a context without a deadline"
	keepsBatch  = "a Sink must not keep the batch after Write returns"
	keepsEvents = "a Sink must not keep events after Write returns"
	keepsBytes  = "a Sink must not keep raw JSON after Write returns"
	givesUp     = "a Write that gives up must not read the batch afterwards"
	modifies    = "a Sink must not modify the events it is lent"
	overwrites  = "a Sink must not let one event overwrite another"
	concurrent  = "a Sink must not lose events of concurrent writes"
	flushBeside = "Flush must run concurrently with Write"
	flushes     = "Flush must return only when everything before it is stored"
	panicFails  = "a panic must count as a temporary failure of its call"
	panicEnds   = "a Sink must keep working after a panic"
	checks      = "Check must return and store nothing"
	durability  = "Durability must never change"
	idempotent  = "Close must be idempotent"
	closeBeside = "Close must run concurrently with Write"
	closeAmid   = "Close must run concurrently with Flush and Check"
	closes      = "Close must store what was acknowledged"
	closedWrite = "a Write after Close must fail with ErrClosed and store nothing"
	closedError = "an error after Close must be temporary"
	closedCheck = "Check must fail after Close"
	closedFlush = "Flush must return after Close"

	neverEmpty   = "a decorator must never write an empty batch"
	complete     = "a decorator must write only events with all required fields"
	innerOrder   = "a decorator must keep the order of a call in each inner Write"
	innerContext = "a decorator must pass on the values and the deadline of its context"
	temporary    = "a decorator must keep a temporary failure temporary"
	permanent    = "a decorator must keep a refusal, or store the event elsewhere"
	retryAfter   = "a decorator must pass on RetryAfter"
	malformed    = "a decorator must treat a malformed BatchError as a failure of all events"
	endless      = "a decorator must not retry forever"
	innerFlush   = "a decorator must pass on Flush and its error"
	innerCheck   = "a decorator must pass on Check and its error"
	innerClose   = "a decorator must pass on Close and its error"
	closesOnce   = "a decorator must close its inner sink exactly once"
	declares     = "a decorator must not declare more durability than its inner sink"
	unwraps      = "Unwrap must return a sink with the abilities of the decorator"
	goroutines   = "a decorator must leave no goroutine after Close"
)

// A specimen is a sink or a decorator, and the rules that it breaks, if any.
type specimen struct {
	name      string
	sink      func() inlet.Sink
	decorator func(inner inlet.Sink) inlet.Sink // if sink is nil
	features  sinktest.Features
	breaks    []string // the broken rules, in the order of the contract
	among     bool     // breaks may be incomplete: other rules break too
}

// among marks that other rules break with those of s.
func among(s specimen) specimen {
	s.among = true
	return s
}

func allBroken() []specimen {
	return slices.Concat(brokenSinks(), brokenBuffers(), brokenStores(), brokenDecorators())
}

func TestBroken(t *testing.T) {
	t.Parallel()
	for _, s := range allBroken() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				defer time.Sleep(time.Minute) // for goroutines that a broken sink leaves
				err := s.check(t)
				if s.among {
					require.Subset(t, breaches(err), s.breaks)
					return
				}
				require.Equal(t, s.breaks, breaches(err), err)
			})
		})
	}
}

// TestRules tests that the suite can fail: for every rule there is a
// sink for which it names that rule.
func TestRules(t *testing.T) {
	t.Parallel()
	var broken []string
	for _, s := range allBroken() {
		broken = append(broken, s.breaks...)
	}
	for _, rule := range sinktest.Rules() {
		require.Contains(t, broken, rule, "no sink breaks this")
	}
}

func (s specimen) check(t *testing.T) error {
	if s.sink == nil {
		return sinktest.CheckDecorator(t.Context(), s.decorator, nil, &s.features)
	}
	return sinktest.Check(t.Context(), s.sink, func(s inlet.Sink) []*inlet.Event {
		return s.(interface{ Events() []*inlet.Event }).Events()
	}, &s.features)
}

// breaches returns the rules in an error of Check or CheckDecorator, each once.
func breaches(err error) (rules []string) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	for _, err := range joined.Unwrap() {
		for _, rule := range sinktest.Rules() {
			if strings.Contains(err.Error(), rule+": ") && !slices.Contains(rules, rule) {
				rules = append(rules, rule)
			}
		}
	}
	return rules
}

func TestGood(t *testing.T) {
	t.Parallel()
	for _, s := range goodSinks() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { require.NoError(t, s.check(t)) })
		})
	}
}

func goodSinks() []specimen {
	buffer := func() inlet.Sink { return &buffering{declares: inlet.DurabilityMemory} }
	return []specimen{
		{name: "a sink that stores", sink: func() inlet.Sink { return new(broken) }, features: sinktest.Features{Ordered: true}},
		{name: "a sink with a MaxBatch", sink: writes(fewAtOnce), features: sinktest.Features{MaxBatch: 2}},
		{name: "a sink that refuses events", sink: writes(refuser(false, errBad)), features: sinktest.Features{Partial: true, Refuse: spoil}},
		{name: "a sink that refuses events and fails at times", sink: flakyRefuser, features: sinktest.Features{Partial: true, Fails: true, Refuse: spoil}},
		{name: "a sink that drops events", sink: writes(dropsSpoilt), features: sinktest.Features{Drop: spoil}},
		{name: "a sink that cannot hold U+0000", sink: writes(withoutNUL(errBad)), features: sinktest.Features{NoNUL: true}},
		{name: "a sink that replaces U+0000", sink: writes(replacesNUL), features: sinktest.Features{NoNUL: true}},
		{name: "a sink whose store refuses batches", sink: writes(refusesBatch(errBad)), features: sinktest.Features{Poison: spoil}},
		{name: "a sink whose store refuses events", sink: writes(refuser(false, errBad)), features: sinktest.Features{Partial: true, Poison: spoil}},
		{name: "a sink whose store refuses events and fails at times", sink: flakyRefuser, features: sinktest.Features{Partial: true, Fails: true, Poison: spoil}},
		{name: "a sink that keeps the order of keys", sink: func() inlet.Sink { return new(broken) }, features: sinktest.Features{Order: userOf}},
		{name: "a sink that normalises", sink: writes(normalises), features: sinktest.Features{Same: sameValues}},
		{name: "a sink that buffers", sink: buffer, features: sinktest.Features{Buffers: true, Ordered: true}},
		{name: "a sink whose store hangs, panics and crashes", sink: func() inlet.Sink { return new(machine) }, features: machineFeatures()},
		{name: "a decorator with Unwrap", decorator: func(inner inlet.Sink) inlet.Sink { return wrapper{Sink: inner} }, features: sinktest.Features{Ordered: true}},
		{name: "a decorator with all abilities", decorator: newAble(func(*able) {}), features: sinktest.Features{Ordered: true}},
		{name: "a decorator that fails at times", decorator: func(inner inlet.Sink) inlet.Sink {
			return sinktest.Flaky(inner, nil)
		}, features: sinktest.Features{Partial: true, Fails: true}},
	}
}

var errBad = inlet.Permanent(errors.New("bad"))

// spoil makes e one that a refuser refuses.
func spoil(e *inlet.Event) { e.Type = "spoilt" }

func fewAtOnce(b *broken, ctx context.Context, events []*inlet.Event) error {
	if len(events) > 2 {
		return errors.New("too many events")
	}
	return b.Memory.Write(ctx, events)
}

// holdsNUL reports whether an event has U+0000 in it.
func holdsNUL(e *inlet.Event) bool {
	return bytes.Contains(e.AppendJSON(nil), []byte(`\u0000`))
}

// withoutNUL is a store such as jsonb.
func withoutNUL(refusal error) func(*broken, context.Context, []*inlet.Event) error {
	return func(b *broken, ctx context.Context, events []*inlet.Event) error {
		if slices.ContainsFunc(events, holdsNUL) {
			return refusal
		}
		return b.Memory.Write(ctx, events)
	}
}

// refusesBatch is a store that refuses a whole batch for one event.
func refusesBatch(refusal error) func(*broken, context.Context, []*inlet.Event) error {
	return func(b *broken, ctx context.Context, events []*inlet.Event) error {
		if slices.ContainsFunc(events, isSpoilt) {
			return refusal
		}
		return b.Memory.Write(ctx, events)
	}
}

func userOf(e *inlet.Event) string { return e.UserID }

func replacesNUL(b *broken, ctx context.Context, events []*inlet.Event) error {
	events = inlet.CloneEvents(events)
	for _, e := range events {
		e.Name = strings.ReplaceAll(e.Name, "\x00", "?")
		e.Properties = bytes.ReplaceAll(e.Properties, []byte(`\u0000`), []byte("?"))
	}
	return b.Memory.Write(ctx, events)
}

// normalises stores decoded JSON: without repeated white space, with the names in order.
func normalises(b *broken, ctx context.Context, events []*inlet.Event) error {
	events = inlet.CloneEvents(events)
	for _, e := range events {
		for _, raw := range []*json.RawMessage{&e.Properties, &e.Traits, &e.Context, &e.Integrations, &e.Extra} {
			*raw = normalised(*raw)
		}
	}
	return b.Memory.Write(ctx, events)
}

func normalised(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return nil
	}
	var value any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return raw
	}
	text, err := json.Marshal(value)
	if err != nil {
		return raw
	}
	return text
}

func sameValues(written, stored *inlet.Event) bool {
	w, s := written.Clone(), stored.Clone()
	for _, e := range []*inlet.Event{w, s} {
		for _, raw := range []*json.RawMessage{&e.Properties, &e.Traits, &e.Context, &e.Integrations, &e.Extra} {
			*raw = normalised(*raw)
		}
	}
	return w.Equal(s)
}

// dropsSpoilt stores what is not spoilt.
func dropsSpoilt(b *broken, ctx context.Context, events []*inlet.Event) error {
	left := slices.DeleteFunc(slices.Clone(events), isSpoilt)
	if len(left) == 0 {
		return b.Check(ctx)
	}
	return b.Memory.Write(ctx, left)
}

// flakyRefuser is a refuser below a sink that fails at times.
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

func TestMain(m *testing.M) { testkit.Main(m) }
