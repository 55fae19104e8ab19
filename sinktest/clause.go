package sinktest

import (
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
	needClose
	needFlush
	needCheck
	needPartial
	needRefuse
)

// clauses returns all rules, in the order of the contract.
func clauses() []clause {
	return []clause{
		{"a Sink must have stored every event when Write returns nil", needRead, storesAll},
		{"a Sink must store events unchanged", needRead, storesUnchanged},
		{"a Sink must take a batch of 2,500 events", 0, takesLargeBatch},
		{"a Sink must keep the order of the events within a call", needRead | needOrder, keepsOrder},
		{"a Sink must not drop duplicates unless it says so", needRead | needNoDedupe, keepsDuplicates},
		{"a Sink that dedupes must store a duplicate once and acknowledge it", needRead | needDedupe, storesOnce},

		{"a BatchError must be well-formed", 0, batchErrorWellFormed},
		{"a BatchError must name exactly the events that are not stored", needRead | needPartial, batchErrorTrue},
		{"a Sink must refuse for good only what it can never store", needRefuse, refusesOnlyBad},

		{"a Sink must return soon after its context is done", 0, returnsWithContext},
		{"a Sink must take a context that is done already", 0, takesDoneContext},

		{"a Sink must not keep the batch after Write returns", needRead, keepsNoSlice},
		{"a Sink must not keep events after Write returns", needRead, keepsNoEvents},
		{"a Sink must not keep raw JSON after Write returns", needRead, keepsNoRaw},
		{"a Sink must not modify the events it is lent", 0, modifiesNothing},
		{"a Sink must not let one event overwrite another", needRead, keepsApart},

		{"a Sink must take concurrent writes without losing events", 0, takesConcurrentWrites},
		{"Flush must run concurrently with Write", needFlush, flushesConcurrently},
		{"Flush must return only when everything before it is stored", needFlush | needRead, flushStores},

		{"Check must answer and store nothing", needCheck, checkStoresNothing},
		{"Durability must never change", 0, durabilityConstant},

		{"Close must be idempotent", needClose, closeIdempotent},
		{"Close must run concurrently with Write", needClose, closesConcurrently},
		{"Close must store what was acknowledged", needClose | needRead, closeStores},
		{"a Write after Close must fail with ErrClosed and store nothing", needClose, closedRefuses},
		{"an error after Close must be temporary", needClose, closedIsTemporary},
	}
}

// skip returns why the clause does not apply to the sink, or "".
func (c clause) skip(p *probe) string {
	for _, n := range []struct {
		need   need
		met    bool
		reason string
	}{
		{needRead, p.reader != nil, "what is stored cannot be read"},
		{needOrder, p.f.Ordered, "the sink does not declare Ordered"},
		{needDedupe, p.f.Dedupes, "the sink does not declare Dedupes"},
		{needNoDedupe, !p.f.Dedupes && !p.f.Fails, "the sink declares Dedupes, or Fails: a duplicate may be a second attempt"},
		{needPartial, p.f.Partial, "the sink does not declare Partial"},
		{needRefuse, p.f.Refuse != nil, "Features.Refuse is nil"},
		{needClose, has[inlet.Closer](p.sink), "the sink has no Close"},
		{needFlush, has[inlet.Flusher](p.sink), "the sink has no Flush"},
		{needCheck, has[inlet.Checker](p.sink), "the sink has no Check"},
	} {
		if c.needs&n.need != 0 && !n.met {
			return n.reason
		}
	}
	return ""
}

// has reports whether a sink in the chain of decorators has the ability T.
func has[T any](s inlet.Sink) bool {
	for s != nil {
		if _, ok := s.(T); ok {
			return true
		}
		u, ok := s.(inlet.Unwrapper)
		if !ok {
			return false
		}
		s = u.Unwrap()
	}
	return false
}
