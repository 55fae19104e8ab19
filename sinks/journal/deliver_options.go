package journal

import (
	"cmp"
	"errors"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/internal/check"
)

// A FullPolicy decides what happens when the journal reaches its retention limit
// (Options.RetainBytes, Options.RetainAge) and a destination has not yet received the oldest
// segment.
type FullPolicy int

const (
	// Block retains what the destination has not received. Beyond Options.RetainBytes the
	// journal then refuses to write, with a temporary [ErrBehind], until the destination
	// has caught up: no event is lost, and clients wait.
	Block FullPolicy = iota
	// DropOldest allows the removal of what the destination has not received. Delivery
	// continues after the gap, which is logged and counted in DeliveryStats.Dropped.
	DropOldest
)

// DeliverOptions configure [Journal.Deliver] and [Journal.Replay]. A nil pointer means all
// defaults.
type DeliverOptions struct {
	// Start is where a destination without a cursor begins; one with a cursor continues
	// there. A replay always begins at Start. Defaults to FromOldest.
	Start Start
	// Filter reports whether the destination gets an event. It must not change the event, and
	// is not called concurrently. If it panics the delivery waits and calls it again; a replay
	// ends. Defaults to nil, all events.
	Filter func(*inlet.Event) bool

	// MaxEvents limits the events of a Write to the destination. Defaults to 500.
	MaxEvents int
	// MaxBytes limits a Write to the destination in bytes of canonical JSON; its last event
	// may exceed it. Defaults to 1 MiB.
	MaxBytes int
	// MinEvents and MaxDelay gather events, for destinations to which many small Writes are
	// expensive: a batch is written when it has MinEvents or MaxBytes, or when MaxDelay has passed
	// since the delivery has read its first event. [Delivery.Drain] does not wait for that; Stop
	// leaves such a batch to the next Deliver. A replay and a Redrive write what there is. Each
	// needs the other. Defaults to 1 and 0: what there is is written immediately.
	MinEvents int
	MaxDelay  time.Duration
	// StableBatches makes a restart cut the batch that was in flight as it was cut before, for
	// destinations that recognise a batch by [BatchSeq]: the same numbers are the same events,
	// as long as Filter gives the same answers and no [Erase] removes any. It costs a flush of a
	// file before each batch. A replay and a Redrive ignore it. Defaults to false: after a restart
	// the events are cut anew.
	StableBatches bool
	// Timeout is the deadline of a Write. Defaults to 30 seconds.
	Timeout time.Duration
	// MinBackoff and MaxBackoff limit the wait after a failed Write. It is random, up to
	// MinBackoff after the first failure and up to twice as much after each further one, but
	// at most MaxBackoff, and at least what the destination asks for by [inlet.RetryAfter].
	// Defaults to 100 milliseconds and 1 minute; if MinBackoff is longer than a minute,
	// MaxBackoff defaults to MinBackoff.
	MinBackoff, MaxBackoff time.Duration

	// MaxAttempts is how often an event is written alone that the destination fails with a
	// temporary error, before it becomes a dead letter, whose [sinks.Refusal] says so. While the
	// destination is down that happens to one event after the other, slowly: choose it so that
	// MaxAttempts times MaxBackoff is longer than an outage. A replay without DeadLetter ends
	// there. Defaults to 0, without a limit.
	MaxAttempts int

	// WhenFull decides what happens when the destination is further behind than the journal
	// is to retain. A replay ignores it. Defaults to Block.
	WhenFull FullPolicy
	// DeadLetter receives the events that the destination rejects permanently, each with the
	// reason (see [sinks.DeadLetter]). The caller owns it: it is not closed, and its size is
	// the caller's to bound. Defaults to a journal in dead/NAME below the directory, within
	// Options.DeadLetterBytes, and for a replay to nil: the first such event ends it.
	DeadLetter inlet.Sink
	// PauseAfter is after how many batches in a row the delivery pauses of which the
	// destination rejected every event permanently in the same words, ten events at least: it
	// is then probably the wrong destination, or lacks a setting. During a pause nothing becomes a
	// dead letter, except by [Delivery.Skip], which does not end it. It is logged as an error, and
	// then every ten minutes; DeliveryStats.Paused has the words. The destination is probed with
	// single events of the batch, in turn, at the intervals of MinBackoff and MaxBackoff, and the
	// pause ends when it accepts one or rejects it in other words. Words with digits do not count,
	// nor do the event's name and message id. If the rejections are right, stop, and deliver again
	// with a negative number, for which a delivery never pauses. A replay ignores it. Defaults
	// to 3.
	PauseAfter int
	// OnSkipped is called when events were removed, or could not be read, before they were
	// delivered: at most that many since its last call. It is called inline and must not
	// block. Defaults to nil: they are only counted in DeliveryStats.Dropped and logged, once a
	// minute for each cause.
	OnSkipped func(atMost uint64)
}

// Defaults; see DeliverOptions.
const (
	defaultMaxEvents  = 500
	defaultMaxBytes   = 1 << 20
	defaultTimeout    = 30 * time.Second
	defaultMinBackoff = 100 * time.Millisecond
	defaultMaxBackoff = time.Minute
	defaultPauseAfter = 3
)

// withDefaults returns a copy with the defaults filled in.
func (o *DeliverOptions) withDefaults() DeliverOptions {
	var f DeliverOptions
	if o != nil {
		f = *o
	}
	f.MaxEvents = cmp.Or(f.MaxEvents, defaultMaxEvents)
	f.MaxBytes = cmp.Or(f.MaxBytes, defaultMaxBytes)
	f.MinEvents = cmp.Or(f.MinEvents, 1)
	f.Timeout = cmp.Or(f.Timeout, defaultTimeout)
	f.MinBackoff = cmp.Or(f.MinBackoff, defaultMinBackoff)
	f.PauseAfter = cmp.Or(f.PauseAfter, defaultPauseAfter)
	f.MaxBackoff = cmp.Or(f.MaxBackoff, max(defaultMaxBackoff, f.MinBackoff))
	return f
}

// check returns all faults of the options and of the sink. It is called with the defaults
// filled in.
func (o *DeliverOptions) check(sink inlet.Sink) error {
	faults := check.Options("journal", "DeliverOptions",
		check.AtLeast("MaxEvents", o.MaxEvents, 1),
		check.AtLeast("MaxBytes", o.MaxBytes, 1),
		check.AtLeast("MinEvents", o.MinEvents, 1),
		check.AtMost("MinEvents", o.MinEvents, max(o.MaxEvents, 1)),
		check.AtLeast("MaxDelay", o.MaxDelay, 0),
		o.checkGather(),
		check.AtLeast("Timeout", o.Timeout, 1),
		check.AtLeast("MinBackoff", o.MinBackoff, 1),
		check.AtLeast("MaxBackoff", o.MaxBackoff, o.MinBackoff),
		check.AtLeast("MaxAttempts", o.MaxAttempts, 0),
		check.Known("WhenFull", o.WhenFull, Block, DropOldest),
	)
	if sink == nil {
		faults = errors.Join(errors.New("journal: sink is nil"), faults)
	}
	return faults
}

// checkGather returns a fault if one of the fields is set that need each other.
func (o *DeliverOptions) checkGather() error {
	switch {
	case o.MinEvents > 1 && o.MaxDelay == 0:
		return check.Fault("MinEvents", "is %d, needs MaxDelay", o.MinEvents)
	case o.MinEvents == 1 && o.MaxDelay > 0:
		return check.Fault("MaxDelay", "is %v, needs MinEvents", o.MaxDelay)
	}
	return nil
}
