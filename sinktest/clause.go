package sinktest

import (
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
)

// A clause is one rule of the contract, and how to check it.
type clause struct {
	rule  string
	needs need
	check func(p *probe) error
	fix   string // what the author of a sink that breaks it should do
}

// A need is what a clause requires of the sink.
type need int

const (
	needRead need = 1 << iota
	needOrder
	needDedupe
	needNoDedupe
	needBound
	needClose
	needFlush
	needCheck
	needAbility
	needPartial
	needRefuse
	needDrop
	needStall
	needPanic
	needCrash
	needSteady
	needNoBuffer
	needNUL
	needRestart
	needPoison
	needKeys
)

// What several clauses advise.
const (
	fixClone   = "clone what you keep, with inlet.CloneEvents or Event.Clone"
	fixContext = "wait with a select that includes ctx.Done()"
	fixClosed  = "record in Close that the sink is closed, and return inlet.ErrClosed from Write"
	fixAbility = "implement the method, or Unwrap if the decorator has nothing to do in it"
	fixClass   = "wrap errors of the inner sink with %w, and keep the items of a BatchError"
)

// clauses returns the rules for every sink, in the order of the contract.
func clauses() []clause {
	return []clause{
		{"a Sink must accept every valid event", 0, acceptsEach, "escape what the store cannot hold, or declare NoNUL"},
		{"a Sink must have stored every event when Write returns nil", needRead, storesAll, "return an error, or declare Buffers"},
		{"a Sink must store events unchanged", needRead, storesUnchanged, "store the raw JSON as it is, without decoding it, or declare Same"},
		{"a Sink must accept a batch of 2,500 events", 0, acceptsLargeBatch, "split large batches in Write, or declare MaxBatch"},
		{"a Sink must store what it acknowledges of a batch above MaxBatch", needBound | needRead, honestBeyondBound, "fail the batch, or name the events beyond MaxBatch in a BatchError"},
		{"a Sink must keep the order of the events within a call", needRead | needOrder, keepsOrder, "store the events of a call in the order of the slice"},
		{"a Sink must keep the order of Writes within a key", needRead | needKeys, keepsOrderOfKeys, "write the events of a key one call after the other, or let Order be nil"},
		{"a Sink must not drop duplicates unless it declares Dedupes", needRead | needNoDedupe, keepsDuplicates, "leave duplicates to sinks.NewDedupe, or declare Dedupes"},
		{"a Sink that dedupes must store a duplicate once and acknowledge it", needRead | needDedupe, storesOnce, "recognise a duplicate by its MessageID, and return nil for it"},
		{"a Sink that drops an event must acknowledge it and drop no other", needDrop, dropsAlone, "write the other events of the call, and return nil if all are dropped"},
		{"acknowledged events must survive the crash that Durability covers", needCrash, survivesCrash, "declare a lower durability, or persist before Write returns"},

		{"a Sink must fail temporarily while its store is down, and work afterwards", needRestart | needNoBuffer, survivesRestart, "mark no error of a connection as permanent, and connect again in a later Write"},

		{"a BatchError must be well-formed", 0, batchErrorWellFormed, "name each index once, within the batch, with an error that is not nil"},
		{"a BatchError must name exactly the events that are not stored", needRead | needPartial, batchErrorTrue, "name every event that is not stored, and no other"},
		{"a Sink must permanently refuse only what it can never store", needRefuse, refusesOnlyBad, "name the refused event in a BatchError, with an inlet.Permanent error"},
		{"a Sink must permanently refuse what its store refuses, and store the rest", needPoison | needNoBuffer, isolatesPoison, "return an inlet.Permanent error for the batch or the event if the store refuses data, and only then"},

		{"a Sink that declares NoNUL must refuse U+0000 permanently or store the event", needNUL, refusesNUL, "return an inlet.Permanent error for the event, or replace U+0000"},

		{"a Sink must return soon after its context is done", 0, returnsWithContext, fixContext},
		{"a Sink must handle a context that is already done", 0, handlesDoneContext, "return the error of the context, not marked as permanent"},
		{"Flush, Check and Close must return soon after their context is done", needAbility | needStall, abilitiesReturn, fixContext},
		{"Flush, Check and Close must accept a context without a deadline", needAbility, abilitiesAcceptBackground, "use ctx.Deadline only if it reports a deadline"},

		{"a Sink must not keep the batch after Write returns", needRead, keepsNoSlice, fixClone},
		{"a Sink must not keep events after Write returns", needRead, keepsNoEvents, fixClone},
		{"a Sink must not keep raw JSON after Write returns", needRead, keepsNoRaw, fixClone},
		{"a Write that gives up must not read the batch afterwards", needRead | needStall, givesUpTheBatch, "clone the events before another goroutine gets them"},
		{"a Sink must not modify the events it is lent", 0, modifiesNothing, "change clones of the events"},
		{"a Sink must not let one event overwrite another", needRead, keepsApart, "do not reuse the buffer of events that are stored, and clip slices of it"},

		{"a Sink must not lose events of concurrent writes", 0, acceptsConcurrentWrites, "guard shared state with a mutex"},
		{"Flush must run concurrently with Write", needFlush, flushesConcurrently, "guard shared state with a mutex"},
		{"Flush must return only when everything before it is stored", needFlush | needRead, flushStores, "wait for a flush that already runs, then flush again"},

		{"a panic must count as a temporary failure of its call", needPanic | needNoBuffer, panicFailsItsCall, "let the panic pass, or return a temporary error for it"},
		{"a Sink must keep working after a panic", needPanic, worksOnAfterPanic, "release locks and counters in deferred calls"},

		{"Check must return and store nothing", needCheck, checkStoresNothing, "ask the store without writing to it"},
		{"Durability must never change", 0, durabilityConstant, "return a value that the constructor sets"},

		{"Close must be idempotent", needClose, closeIdempotent, "use a sync.Once, or return nil if the sink is closed"},
		{"Close must run concurrently with Write", needClose, closesBesideWrites, fixClosed},
		{"Close must run concurrently with Flush and Check", needClose, closesBesideAbilities, "guard shared state with a mutex, and let Close wait for calls in flight"},
		{"Close must store what was acknowledged", needClose | needRead, closeStores, "flush in Close"},
		{"a Write after Close must fail with ErrClosed and store nothing", needClose, closedRefuses, fixClosed},
		{"an error after Close must be temporary", needClose, closedIsTemporary, fixClosed},
		{"Check must fail after Close", needClose | needCheck, closedFailsCheck, "return inlet.ErrClosed from Check"},
		{"Flush must return after Close", needClose | needFlush, closedReturnsFromFlush, "return an error or nil if the sink is closed"},
	}
}

// decoratorClauses returns the rules for every decorator: those for every sink, then what it
// owes to its inner sink, and what it passes on from it.
func decoratorClauses() []clause {
	return append(clauses(), []clause{
		{"a decorator must never write an empty batch", 0, keepsRight(rightToEvents), "skip the inner Write if no event is left"},
		{"a decorator must write only events with all required fields", 0, keepsRight(rightToContent), "validate changed events, as sinks.NewTransform does"},
		{"a decorator must keep the order of a call in each inner Write", 0, keepsRight(rightToOrder), "append events in the order of the slice"},
		{"a decorator must pass on the values and the deadline of its context", 0, keepsRight(rightToContext), "derive the inner context from the caller's"},

		{"a decorator must keep a temporary failure temporary", needSteady | needNoBuffer, keepsTemporary, fixClass},
		{"a decorator must keep a refusal, or store the event elsewhere", needSteady | needNoBuffer, keepsRefusal, fixClass},
		{"a decorator must pass on RetryAfter", needSteady | needNoBuffer, keepsRetryAfter, fixClass},
		{"a decorator must treat a malformed BatchError as a failure of all events", needSteady | needNoBuffer, failsMalformed, "read errors with inlet.ItemErrors"},
		{"a decorator must not retry forever", needSteady, endsAttempts, "bound the attempts, and stop when the context is done"},

		{"a decorator must pass on Flush and its error", needSteady, passesOnFlush, fixAbility},
		{"a decorator must pass on Check and its error", needSteady, passesOnCheck, fixAbility},
		{"a decorator must pass on Close and its error", needSteady, passesOnClose, fixAbility},
		{"a decorator must close its inner sink exactly once", 0, closesOnce, "close the inner sink in Close, guarded by a sync.Once"},
		{"a decorator must not declare more durability than its inner sink", 0, declaresNoMore, "return inlet.DurabilityOf the inner sink, or less"},
		{"Unwrap must return a sink with the abilities of the decorator", 0, unwraps, "return the inner sink, or remove Unwrap"},
		{"a decorator must leave no goroutine after Close", 0, leavesNoGoroutine, "wait for goroutines in Close"},
	}...)
}

// run checks the clause, unless it does not apply, and closes the sink.
func (c clause) run(p *probe) (skipped string, breach error) {
	if p.sink == nil {
		return "", c.breach(errors.New("the constructor returned nil instead of a sink"))
	}
	defer p.close() // its error is for the clauses about Close
	if reason := c.skip(p); reason != "" {
		return reason, nil
	}
	return "", c.breach(guarded(func() error { return c.check(p) }))
}

// breach returns the error of a broken clause: its rule, what was observed, and what to do.
func (c clause) breach(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w (fix: %s)", c.rule, err, c.fix)
}

// skip returns why the clause does not apply to the sink, or "".
func (c clause) skip(p *probe) string {
	closes, flushes, checks := has[inlet.Closer](p.sink), has[inlet.Flusher](p.sink), has[inlet.Checker](p.sink)
	for _, n := range []struct {
		need   need
		met    bool
		reason string
	}{
		{needRead, p.reader != nil, "Read is nil: stored events cannot be read"},
		{needOrder, p.f.Ordered, "the sink does not declare Ordered"},
		{needDedupe, p.f.Dedupes, "the sink does not declare Dedupes"},
		{needNoDedupe, !p.f.Dedupes && !p.f.Fails, "the sink declares Dedupes, or Fails: a duplicate may be a retry"},
		{needBound, p.f.MaxBatch > 0, "the sink declares no MaxBatch"},
		{needClose, closes, "the sink has no Close"},
		{needFlush, flushes, "the sink has no Flush"},
		{needCheck, checks, "the sink has no Check"},
		{needAbility, closes || flushes || checks, "the sink has no Flush, Check or Close"},
		{needPartial, p.f.Partial, "the sink does not declare Partial"},
		{needRefuse, p.f.Refuse != nil, "Features.Refuse is nil"},
		{needNUL, p.f.NoNUL, "the sink does not declare NoNUL"},
		{needRestart, p.f.Restart != nil, "Features.Restart is nil"},
		{needPoison, p.f.Poison != nil, "Features.Poison is nil"},
		{needKeys, p.f.Order != nil, "Features.Order is nil"},
		{needDrop, p.f.Drop != nil, "Features.Drop is nil"},
		{needStall, p.f.Stall != nil, "Features.Stall is nil"},
		{needPanic, p.f.Panic != nil, "Features.Panic is nil"},
		{needCrash, p.f.Crash != nil, "Features.Crash is nil"},
		{needSteady, !p.f.Fails, "the sink declares Fails: its failures cannot be distinguished from those of the suite"},
		{needNoBuffer, !p.f.Buffers, "the sink declares Buffers: Write does not return its failures"},
	} {
		if c.needs&n.need != 0 && !n.met {
			return n.reason
		}
	}
	return ""
}

// has reports whether a sink in the chain of decorators has the ability T.
func has[T any](s inlet.Sink) bool {
	_, ok := inlet.As[T](s)
	return ok
}
