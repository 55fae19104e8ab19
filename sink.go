package inlet

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Sink is where accepted events go.
//
// Acknowledgement: Write returns nil only when every event is stored as durably as the sink
// declares (see [Durable]). The client's 200 means this.
//
// Partial failure: a [*BatchError] names the events that failed by their index in the slice;
// those that it does not name are stored. After any other error nothing may be assumed
// stored. A malformed BatchError (an index out of range or named twice, a nil error) counts as
// a failure of the whole batch.
//
// Errors: an unclassified error is temporary. [Permanent] marks one that retrying cannot fix,
// [RetryAfter] sets when to retry.
//
// Context: carries the values of the request and the handler's deadline, and outlives the
// client's connection, so that a closed tab does not abort a commit. Write must return soon
// after the context is done. What was stored then is unknown, and the error is temporary.
//
// Ownership: the slice, the Event structs and their raw JSON are lent until Write returns, and
// are read-only. Strings and the Source may be kept as they are; to keep an event,
// [Event.Clone] it (or [CloneEvents] all of them).
//
// Concurrency: Write runs concurrently with itself and with Flush. Within one call the events
// are in the client's order; across calls there is no order.
//
// Duplicates: the same event may come again, after an error or because the client sent it
// twice. Its MessageID is then the same.
//
// Policy: a sink does not retry without bound, drop duplicates or store elsewhere what it
// cannot store; decorators do that, and they are sinks too.
//
// Panics: count as a temporary failure of that call; the process continues.
//
// What a sink may rely on: the batch is never empty, no event is nil, every event has passed
// its checks and has a Type, a MessageID, a ReceivedAt and a Source.
//
// Package sinktest checks all of this for a sink of your own.
type Sink interface {
	Write(ctx context.Context, events []*Event) error
}

// SinkFunc is a function as a [Sink].
type SinkFunc func(ctx context.Context, events []*Event) error

// Write calls f.
func (f SinkFunc) Write(ctx context.Context, events []*Event) error { return f(ctx, events) }

// Durability is what an acknowledged event survives. Higher is safer.
type Durability int

const (
	// DurabilityUnknown is that of a sink that does not implement [Durable].
	DurabilityUnknown Durability = iota
	// DurabilityMemory survives nothing: the events are in the memory of this process.
	DurabilityMemory
	// DurabilityOSBuffer survives the end of the process, not of the machine.
	DurabilityOSBuffer
	// DurabilityFsync survives a power cut: the events are on stable storage.
	DurabilityFsync
	// DurabilityReplicated survives the loss of a machine.
	DurabilityReplicated
)

// String returns the name of d as the documents use it, such as "fsync".
func (d Durability) String() string {
	names := [...]string{"unknown", "memory", "OS buffer", "fsync", "replicated"}
	if d < 0 || int(d) >= len(names) {
		return fmt.Sprintf("Durability(%d)", int(d))
	}
	return names[d]
}

// Optional abilities of a sink. The functions [Flush], [Close], [Check] and [DurabilityOf] find
// the outermost implementer of a chain of decorators, and [As] that of any ability.
type (
	// A Flusher returns after everything written before the call is stored as durably as
	// the sink declares, or soon after ctx is done. It may run concurrently with Write, with
	// itself and with Close.
	Flusher interface {
		// Flush waits until what was written is stored.
		Flush(ctx context.Context) error
	}

	// A Closer stops the sink: it flushes what it holds within ctx and frees what it owns.
	// Close is idempotent, may run concurrently with Write, and a Write after it returns
	// [ErrClosed]. A decorator closes the sink that it wraps exactly once.
	Closer interface {
		// Close stops the sink.
		Close(ctx context.Context) error
	}

	// A Checker reports whether the sink could store events now; after Close it could not.
	// Readiness is built on it. It should return quickly, soon after ctx is done at the
	// latest, and store nothing. It may run concurrently with everything else.
	Checker interface {
		// Check returns nil if the sink could store events now.
		Check(ctx context.Context) error
	}

	// A Durable sink declares what an acknowledged event survives. The value never changes.
	// A decorator that acknowledges before the sink that it wraps has stored must declare
	// its own, lower durability.
	Durable interface {
		// Durability returns what an acknowledged event survives.
		Durability() Durability
	}

	// An Unwrapper is a decorator that neither stores nor acknowledges early: it has the
	// abilities of the sink that it wraps, except those that it implements itself.
	Unwrapper interface {
		// Unwrap returns the sink that the decorator wraps.
		Unwrap() Sink
	}
)

// Flush flushes the outermost [Flusher] of s. Without one it returns nil.
func Flush(ctx context.Context, s Sink) error {
	if f, ok := As[Flusher](s); ok {
		return f.Flush(ctx)
	}
	return nil
}

// Close closes the outermost [Closer] of s. Without one it returns nil.
func Close(ctx context.Context, s Sink) error {
	if c, ok := As[Closer](s); ok {
		return c.Close(ctx)
	}
	return nil
}

// Check asks the outermost [Checker] of s whether it could store events now. Without one it
// returns nil.
func Check(ctx context.Context, s Sink) error {
	if c, ok := As[Checker](s); ok {
		return c.Check(ctx)
	}
	return nil
}

// DurabilityOf returns what the outermost [Durable] of s declares, or [DurabilityUnknown].
func DurabilityOf(s Sink) Durability {
	if d, ok := As[Durable](s); ok {
		return d.Durability()
	}
	return DurabilityUnknown
}

// As returns the outermost sink in the chain of decorators s that is a T, and whether
// there is one. T is an optional ability such as [Flusher], an interface of a host's own,
// or the type of a sink. The chain is followed through [Unwrapper].
func As[T any](s Sink) (found T, ok bool) {
	for s != nil {
		if t, ok := s.(T); ok {
			return t, true
		}
		u, ok := s.(Unwrapper)
		if !ok {
			break
		}
		s = u.Unwrap()
	}
	return found, false
}

// Errors that a sink returns for the two most common temporary conditions.
var (
	// ErrClosed is returned by a Write after Close.
	ErrClosed = errors.New("inlet: sink is closed")
	// ErrOverloaded is returned when more writes wait than a sink can accept.
	ErrOverloaded = errors.New("inlet: sink is overloaded")
)

// A BatchError is returned by [Sink.Write] when some events of a batch failed. Every event that
// Items does not name is stored.
type BatchError struct {
	// Items names the failed events, each once, in any order.
	Items []ItemError
}

// An ItemError is why one event of a batch failed.
type ItemError struct {
	// Index is the index of the event in the slice that was given to Write.
	Index int
	// Err is never nil. It has a class of its own, temporary or permanent.
	Err error
}

// Error counts the failures and quotes the first.
func (e *BatchError) Error() string {
	if len(e.Items) == 0 {
		return "inlet: batch error without items"
	}
	first := e.Items[0]
	return fmt.Sprintf("inlet: %d events failed, first at index %d: %v", len(e.Items), first.Index, first.Err)
}

// Unwrap returns the errors of all items.
func (e *BatchError) Unwrap() []error {
	errs := make([]error, len(e.Items))
	for i, it := range e.Items {
		errs[i] = it.Err
	}
	return errs
}

// validate returns an error unless e is well-formed for a batch of n events: at least one item,
// every index within the batch and named once, no nil error.
func (e *BatchError) validate(n int) error {
	if e == nil || len(e.Items) == 0 {
		return errors.New("inlet: batch error without items")
	}
	seen := make([]bool, n)
	for _, it := range e.Items {
		switch {
		case it.Index < 0 || it.Index >= n:
			return fmt.Errorf("inlet: batch error names index %d of %d events", it.Index, n)
		case seen[it.Index]:
			return fmt.Errorf("inlet: batch error names index %d twice", it.Index)
		case it.Err == nil:
			return fmt.Errorf("inlet: batch error has no error for index %d", it.Index)
		}
		seen[it.Index] = true
	}
	return nil
}

// ItemErrors splits the result of a Write of n events into one error per event, nil for a
// stored one. A nil slice means that all are stored. An error that is not a well-formed
// [*BatchError] is the error of every event; a malformed one is temporary, whatever the class
// of its items.
func ItemErrors(err error, n int) []error {
	if err == nil {
		return nil
	}
	errs := make([]error, n)
	batch, ok := asBatchError(err)
	if ok {
		if bad := batch.validate(n); bad != nil {
			err, ok = bad, false
		}
	}
	if !ok {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	for _, it := range batch.Items {
		errs[it.Index] = it.Err
	}
	return errs
}

// asBatchError unwraps wrapped errors but not joined ones: if there is another error, events
// that the batch error does not name need not be stored.
func asBatchError(err error) (*BatchError, bool) {
	for err != nil {
		if batch, ok := err.(*BatchError); ok {
			return batch, true
		}
		err = errors.Unwrap(err)
	}
	return nil, false
}

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// Permanent marks err as one that retrying cannot fix: the event is refused, and its client
// is not asked to send it again. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// IsPermanent reports whether err was marked by [Permanent]. Joined errors are permanent only if
// every one of them is, so that a permanent failure never turns a temporary one permanent.
func IsPermanent(err error) bool {
	switch e := err.(type) {
	case nil:
		return false
	case permanentError:
		return true
	case interface{ Unwrap() error }:
		return IsPermanent(e.Unwrap())
	case interface{ Unwrap() []error }:
		return allPermanent(e.Unwrap())
	}
	return false
}

func allPermanent(errs []error) bool {
	for _, err := range errs {
		if !IsPermanent(err) {
			return false
		}
	}
	return len(errs) > 0
}

type retryAfterError struct {
	error
	after time.Duration
}

func (e retryAfterError) Unwrap() error { return e.error }

// RetryAfter marks err with the time to wait before the write is retried. It does not change the
// class of err. RetryAfter(nil, d) is nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return retryAfterError{err, d}
}

// RetryDelay returns the longest wait that [RetryAfter] put into err, and whether there is one.
func RetryDelay(err error) (time.Duration, bool) {
	switch e := err.(type) {
	case nil:
		return 0, false
	case retryAfterError:
		inner, _ := RetryDelay(e.error)
		return max(e.after, inner), true
	case interface{ Unwrap() error }:
		return RetryDelay(e.Unwrap())
	case interface{ Unwrap() []error }:
		return longestDelay(e.Unwrap())
	}
	return 0, false
}

func longestDelay(errs []error) (longest time.Duration, found bool) {
	for _, err := range errs {
		if d, ok := RetryDelay(err); ok {
			longest, found = max(longest, d), true
		}
	}
	return longest, found
}
