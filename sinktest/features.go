package sinktest

import (
	"cmp"
	"time"

	"github.com/inlet-go/inlet"
)

// Features are what a sink declares about itself, and hooks. The suite checks what is
// declared and tolerates the opposite where it is not. The hooks control the store behind the
// sink, or change an event into one that the sink treats specially; the clauses that need a
// hook which is nil are skipped.
type Features struct {
	// Durability is the lowest durability that the sink may declare by [inlet.Durable].
	// Defaults to [inlet.DurabilityUnknown].
	Durability inlet.Durability
	// Ordered means that Read returns the events of one call in the order in which they
	// were written. Defaults to false.
	Ordered bool
	// Dedupes means that an event which is written again is stored once. Without it, every
	// duplicate must be stored. Defaults to false.
	Dedupes bool
	// Partial means that a Write may fail for some of its events, with a
	// [*inlet.BatchError]. Without it, every BatchError breaks the contract. Defaults to
	// false.
	Partial bool
	// Fails means that a Write may fail without a cause in the test, as that of a decorator
	// over [Flaky] does. The suite retries temporary failures. Without it, every failure of a
	// good event breaks the contract. Defaults to false.
	Fails bool
	// Buffers means that Write returns nil before Read returns the events: the suite flushes
	// before it reads, and the sink must declare at most [inlet.DurabilityMemory]. Defaults
	// to false.
	Buffers bool
	// Gathers means, for a decorator, that one inner Write may hold the events of several
	// Writes. Its context then has a deadline, but not the values of a request. Defaults to
	// false.
	Gathers bool
	// Bounds means, for a decorator, that its Write returns with its context even if the
	// inner sink ignores the context. Defaults to false.
	Bounds bool
	// NoNUL means that the store cannot hold U+0000, as jsonb cannot. The suite writes events
	// without it, and one with it, which the sink must refuse permanently or store changed.
	// Defaults to false.
	NoNUL bool
	// MaxBatch is the maximum number of events of one Write. Defaults to 0: no maximum.
	MaxBatch int

	// Patience is the timeout of a call that nothing delays: the deadline of its context.
	// Defaults to 10 seconds.
	Patience time.Duration
	// Grace is the maximum time until a call returns after its context is done. Defaults to 5
	// seconds.
	Grace time.Duration

	// Stall makes the store behind the sink hang until release is called: calls must return
	// with their context nevertheless. Defaults to nil: only calls that do not hang are
	// checked.
	Stall func(s inlet.Sink) (release func())
	// Panic makes the store behind the sink panic in every Write that reaches it, until calm
	// is called. Defaults to nil.
	Panic func(s inlet.Sink) (calm func())
	// Crash simulates, for the store behind the sink, the crash that its durability survives,
	// such as the end of the process or a power cut, and returns the events that are left.
	// Afterwards the suite only closes the sink, and ignores the error. Defaults to nil.
	Crash func(s inlet.Sink) (left []*inlet.Event)
	// Restart ends the store behind the sink, as when a server is killed, until start is called,
	// which returns when the store works again. Writes in between must fail temporarily, and those
	// after it work, with what was acknowledged before still stored. Defaults to nil.
	Restart func(s inlet.Sink) (start func())
	// Poison changes a good event into one that the store refuses, perhaps with the whole batch
	// that it is in. The sink must refuse it permanently once it is alone, so that what writes to
	// it can find it, and store the others. Defaults to nil.
	Poison func(e *inlet.Event)
	// Order returns the key of an event within which the store keeps the order of Writes that
	// follow each other, such as the partition of a stream. Defaults to nil: the order of Writes is
	// not checked.
	Order func(e *inlet.Event) string
	// Same reports whether an event of Read is the one that was written, for a store that
	// normalises JSON: that orders names, or writes numbers in another form. It must not
	// change or keep them. Defaults to nil: they may differ in white space only.
	Same func(written, stored *inlet.Event) bool
	// Refuse changes a good event into one that the sink permanently refuses, such as one
	// that is too large for it. Defaults to nil.
	Refuse func(e *inlet.Event)
	// Drop changes a good event into one that the sink acknowledges without storing it, as a
	// filter does. Defaults to nil.
	Drop func(e *inlet.Event)
}

func (f Features) withDefaults() Features {
	f.Patience = cmp.Or(f.Patience, 10*time.Second)
	f.Grace = cmp.Or(f.Grace, 5*time.Second)
	return f
}
