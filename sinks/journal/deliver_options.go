package journal

import (
	"cmp"
	"errors"
	"time"

	"github.com/inlet-go/inlet"
)

// A FullPolicy says what happens when the journal holds as much as it is to
// retain (Options.RetainBytes, Options.RetainAge) and a destination has not had
// the oldest of it yet.
type FullPolicy int

const (
	// Block retains what the destination has not had. Beyond Options.RetainBytes
	// the journal then refuses to write, with a temporary [ErrBehind], until the
	// destination has come further: nothing is lost, and clients wait.
	Block FullPolicy = iota
	// DropOldest lets what the destination has not had be removed. It goes on
	// behind the gap, which is logged and counted in DeliveryStats.Dropped.
	DropOldest
)

// DeliverOptions are the choices of [Journal.Deliver] and [Journal.Replay].
type DeliverOptions struct {
	// Start is where a destination begins that has no cursor yet; one that has
	// goes on where it was. A replay always begins here. Defaults to FromOldest.
	Start Start
	// Filter says which events the destination gets. It must not change them, and
	// is called for one event at a time. If it panics the delivery waits, and asks
	// it again; a replay ends. Defaults to nil, all events.
	Filter func(*inlet.Event) bool

	// MaxEvents bounds a Write to the destination, in events. Defaults to 500.
	MaxEvents int
	// MaxBytes bounds it in bytes of canonical JSON; the last event may go beyond.
	// Defaults to 1 MiB.
	MaxBytes int
	// Timeout is the deadline of a Write. Defaults to 30 seconds.
	Timeout time.Duration
	// MinBackoff and MaxBackoff bound the wait after a failed Write: random, up to
	// MinBackoff after the first failure, doubled with each more that follows, up to
	// MaxBackoff; and never shorter than the destination asks for by
	// [inlet.RetryAfter]. They default to 100 milliseconds and 1 minute, or
	// MinBackoff if that is more.
	MinBackoff, MaxBackoff time.Duration

	// WhenFull is what happens when the destination is further behind than the
	// journal is to retain. It has no meaning for a replay. Defaults to Block.
	WhenFull FullPolicy
	// DeadLetter gets the events that the destination refuses for good, each with
	// the reason (see [sinks.DeadLetter]). It stays the caller's: it is not closed.
	// Defaults to a journal of its own in dead/NAME below the directory; for a
	// replay to nil, and the first such event then ends it.
	DeadLetter inlet.Sink
}

// Defaults; see DeliverOptions.
const (
	defaultMaxEvents  = 500
	defaultMaxBytes   = 1 << 20
	defaultTimeout    = 30 * time.Second
	defaultMinBackoff = 100 * time.Millisecond
	defaultMaxBackoff = time.Minute
)

// withDefaults returns a filled copy.
func (o *DeliverOptions) withDefaults() DeliverOptions {
	var f DeliverOptions
	if o != nil {
		f = *o
	}
	f.MaxEvents = cmp.Or(f.MaxEvents, defaultMaxEvents)
	f.MaxBytes = cmp.Or(f.MaxBytes, defaultMaxBytes)
	f.Timeout = cmp.Or(f.Timeout, defaultTimeout)
	f.MinBackoff = cmp.Or(f.MinBackoff, defaultMinBackoff)
	f.MaxBackoff = cmp.Or(f.MaxBackoff, max(defaultMaxBackoff, f.MinBackoff))
	return f
}

// check names the first field that can never work.
func (o *DeliverOptions) check(sink inlet.Sink) error {
	switch {
	case sink == nil:
		return errors.New("journal: the destination's sink is nil")
	case o.MaxEvents < 0:
		return invalid("DeliverOptions.MaxEvents", o.MaxEvents)
	case o.MaxBytes < 0:
		return invalid("DeliverOptions.MaxBytes", o.MaxBytes)
	case o.Timeout < 0:
		return invalid("DeliverOptions.Timeout", o.Timeout)
	case o.MinBackoff < 0:
		return invalid("DeliverOptions.MinBackoff", o.MinBackoff)
	case o.MaxBackoff < o.MinBackoff:
		return invalid("DeliverOptions.MaxBackoff", o.MaxBackoff)
	case o.WhenFull < Block || o.WhenFull > DropOldest:
		return invalid("DeliverOptions.WhenFull", int(o.WhenFull))
	}
	return nil
}
