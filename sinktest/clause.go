package sinktest

import (
	"errors"
	"fmt"

	"github.com/inlet-go/inlet"
)

// A clause is one rule of the contract and how to see whether it is kept.
type clause struct {
	rule  string
	needs need
	check func(p *probe) error
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
)

// clauses returns the rules for every sink, in the order of the contract.
func clauses() []clause {
	return []clause{
		{"a Sink must have stored every event when Write returns nil", needRead, storesAll},
		{"a Sink must store events unchanged", needRead, storesUnchanged},
		{"a Sink must take a batch of 2,500 events", 0, takesLargeBatch},
		{"a Sink must tell the truth about a batch that is larger than it takes", needBound | needRead, honestBeyondBound},
		{"a Sink must keep the order of the events within a call", needRead | needOrder, keepsOrder},
		{"a Sink must not drop duplicates unless it says so", needRead | needNoDedupe, keepsDuplicates},
		{"a Sink that dedupes must store a duplicate once and acknowledge it", needRead | needDedupe, storesOnce},
		{"a Sink that drops an event must acknowledge it and no other with it", needDrop, dropsAlone},
		{"what a Sink acknowledges must survive what its durability says", needCrash, survivesCrash},

		{"a BatchError must be well-formed", 0, batchErrorWellFormed},
		{"a BatchError must name exactly the events that are not stored", needRead | needPartial, batchErrorTrue},
		{"a Sink must refuse for good only what it can never store", needRefuse, refusesOnlyBad},

		{"a Sink must return soon after its context is done", 0, returnsWithContext},
		{"a Sink must take a context that is done already", 0, takesDoneContext},
		{"Flush, Check and Close must return soon after their context is done", needAbility | needStall, abilitiesReturn},
		{"Flush, Check and Close must take a context without a deadline", needAbility, abilitiesTakeBackground},

		{"a Sink must not keep the batch after Write returns", needRead, keepsNoSlice},
		{"a Sink must not keep events after Write returns", needRead, keepsNoEvents},
		{"a Sink must not keep raw JSON after Write returns", needRead, keepsNoRaw},
		{"a Sink that gives up must not look at the batch any more", needRead | needStall, givesUpTheBatch},
		{"a Sink must not modify the events it is lent", 0, modifiesNothing},
		{"a Sink must not let one event overwrite another", needRead, keepsApart},

		{"a Sink must take concurrent writes without losing events", 0, takesConcurrentWrites},
		{"Flush must run concurrently with Write", needFlush, flushesConcurrently},
		{"Flush must return only when everything before it is stored", needFlush | needRead, flushStores},

		{"a panic must count as a temporary failure of its call", needPanic | needNoBuffer, panicFailsItsCall},
		{"a Sink must work on after a panic", needPanic, worksOnAfterPanic},

		{"Check must answer and store nothing", needCheck, checkStoresNothing},
		{"Durability must never change", 0, durabilityConstant},

		{"Close must be idempotent", needClose, closeIdempotent},
		{"Close must run concurrently with Write", needClose, closesBesideWrites},
		{"Close must run concurrently with Flush and Check", needClose, closesBesideAbilities},
		{"Close must store what was acknowledged", needClose | needRead, closeStores},
		{"a Write after Close must fail with ErrClosed and store nothing", needClose, closedRefuses},
		{"an error after Close must be temporary", needClose, closedIsTemporary},
		{"Check must fail after Close", needClose | needCheck, closedFailsCheck},
		{"Flush must return after Close", needClose | needFlush, closedTakesFlush},
	}
}

// decoratorClauses returns the rules for every decorator: those for every sink,
// then what it owes to the sink that it wraps, and what it hands on from it.
func decoratorClauses() []clause {
	return append(clauses(), []clause{
		{"a decorator must never write an empty batch", 0, keepsRight(rightToEvents)},
		{"a decorator must write only events that have what every sink relies on", 0, keepsRight(rightToContent)},
		{"a decorator must keep the order of a call in what it writes at once", 0, keepsRight(rightToOrder)},
		{"a decorator must hand on the values and the deadline of its context", 0, keepsRight(rightToContext)},

		{"a decorator must keep a temporary failure temporary", needSteady | needNoBuffer, keepsTemporary},
		{"a decorator must keep a refusal, or store the event elsewhere", needSteady | needNoBuffer, keepsRefusal},
		{"a decorator must hand on RetryAfter", needSteady | needNoBuffer, keepsRetryAfter},
		{"a decorator must take a malformed BatchError for a failure of all events", needSteady | needNoBuffer, failsMalformed},
		{"a decorator must not write again without end", needSteady, endsAttempts},

		{"a decorator must hand on Flush and what it says", needSteady, handsOnFlush},
		{"a decorator must hand on Check and what it says", needSteady, handsOnCheck},
		{"a decorator must hand on Close and what it says", needSteady, handsOnClose},
		{"a decorator must close the sink that it wraps exactly once", 0, closesOnce},
		{"a decorator must not declare more durability than the sink that it wraps", 0, declaresNoMore},
		{"Unwrap must lead to a sink whose abilities are those of the decorator", 0, unwraps},
		{"a decorator must leave no goroutine behind after Close", 0, leavesNoGoroutine},
	}...)
}

// run checks the clause, unless it does not apply, and closes the sink.
func (c clause) run(p *probe) (skipped string, breach error) {
	if p.sink == nil {
		return "", c.breach(errors.New("there is no sink to check"))
	}
	defer p.close() // what it says is for the clauses about Close
	if reason := c.skip(p); reason != "" {
		return reason, nil
	}
	return "", c.breach(guard(func() error { return c.check(p) }))
}

func (c clause) breach(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", c.rule, err)
}

// skip returns why the clause does not apply to the sink, or "".
func (c clause) skip(p *probe) string {
	closes, flushes, checks := has[inlet.Closer](p.sink), has[inlet.Flusher](p.sink), has[inlet.Checker](p.sink)
	for _, n := range []struct {
		need   need
		met    bool
		reason string
	}{
		{needRead, p.reader != nil, "what is stored cannot be read"},
		{needOrder, p.f.Ordered, "the sink does not declare Ordered"},
		{needDedupe, p.f.Dedupes, "the sink does not declare Dedupes"},
		{needNoDedupe, !p.f.Dedupes && !p.f.Fails, "the sink declares Dedupes, or Fails: a duplicate may be a second attempt"},
		{needBound, p.f.MaxBatch > 0, "the sink declares no MaxBatch"},
		{needClose, closes, "the sink has no Close"},
		{needFlush, flushes, "the sink has no Flush"},
		{needCheck, checks, "the sink has no Check"},
		{needAbility, closes || flushes || checks, "the sink has no Flush, Check or Close"},
		{needPartial, p.f.Partial, "the sink does not declare Partial"},
		{needRefuse, p.f.Refuse != nil, "Features.Refuse is nil"},
		{needDrop, p.f.Drop != nil, "Features.Drop is nil"},
		{needStall, p.f.Stall != nil, "Features.Stall is nil"},
		{needPanic, p.f.Panic != nil, "Features.Panic is nil"},
		{needCrash, p.f.Crash != nil, "Features.Crash is nil"},
		{needSteady, !p.f.Fails, "the sink declares Fails: one failure cannot be told from another"},
		{needNoBuffer, !p.f.Buffers, "the sink declares Buffers: nobody waits for its failures"},
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
