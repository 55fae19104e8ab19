package sinktest

import (
	"cmp"
	"time"

	"github.com/inlet-go/inlet"
)

// Features are the abilities of a sink. The suite demands those that are
// declared, and makes allowance for those that are not. The hooks among them
// reach behind the sink or say what it makes of an event; without one, the
// clauses that need it are skipped.
type Features struct {
	// Durability is the least that the sink must declare by [inlet.Durable].
	// Defaults to [inlet.DurabilityUnknown].
	Durability inlet.Durability
	// Ordered says that Read returns the events of one call in the order in
	// which they were written. Defaults to false.
	Ordered bool
	// Dedupes says that an event which is written again is stored once. Without
	// it, every one must be stored: a sink that drops duplicates says so.
	// Defaults to false.
	Dedupes bool
	// Partial says that a Write may fail for some of its events, by a
	// [*inlet.BatchError]. Without it, every BatchError is a breach. Defaults to
	// false.
	Partial bool
	// Fails says that a Write may fail although nothing is wrong, as that of a
	// decorator over [Flaky] does. What failed temporarily is written again.
	// Without it, every failure of a good event is a breach. Defaults to false.
	Fails bool
	// Buffers says that nil from Write does not mean that Read sees the events:
	// the suite flushes before it reads, and the sink must declare no more than
	// [inlet.DurabilityMemory]. Defaults to false.
	Buffers bool
	// Gathers says of a decorator that one inner Write may hold the events of
	// several Writes. It then has a context of its own, with a deadline, but
	// without the values of a request. Defaults to false.
	Gathers bool
	// Bounds says of a decorator that its Write returns with its context also if
	// that of its sink looks at none. Defaults to false.
	Bounds bool
	// MaxBatch is the most events that one Write takes. Defaults to 0, no bound.
	MaxBatch int

	// Patience is how long a call has that nothing holds up: the deadline of its
	// context. Defaults to 10 seconds.
	Patience time.Duration
	// Grace is how long a call may take to return once its context is done.
	// Defaults to 5 seconds.
	Grace time.Duration

	// Stall makes the store behind the sink hang until release is called, so
	// that the suite can see whether calls return with their context
	// nevertheless. Defaults to nil: it then only sees calls that do not hang.
	Stall func(s inlet.Sink) (release func())
	// Panic makes the store behind the sink panic whenever a Write reaches it,
	// until calm is called. Defaults to nil, it does not.
	Panic func(s inlet.Sink) (calm func())
	// Crash does to the store behind the sink what its durability survives, the
	// end of the process or the loss of power, and returns what is left. Nothing
	// is done to the sink after it but Close, whose answer does not matter.
	// Defaults to nil, there is no such thing.
	Crash func(s inlet.Sink) (left []*inlet.Event)
	// Refuse changes a good event into one that the sink refuses for good, such
	// as one that is too large for it. Defaults to nil, there is none.
	Refuse func(e *inlet.Event)
	// Drop changes a good event into one that the sink acknowledges and stores
	// nowhere, as a filter does. Defaults to nil, there is none.
	Drop func(e *inlet.Event)
}

func (f Features) withDefaults() Features {
	f.Patience = cmp.Or(f.Patience, 10*time.Second)
	f.Grace = cmp.Or(f.Grace, 5*time.Second)
	return f
}
