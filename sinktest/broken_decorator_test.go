package sinktest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/inlet-go/inlet"
	"github.com/inlet-go/inlet/sinktest"
)

// A wrapper is a good decorator except for what its fields change. It has the
// abilities of its sink by Unwrap.
type wrapper struct {
	inlet.Sink
	write  func(ctx context.Context, inner inlet.Sink, events []*inlet.Event) error
	unwrap func(inner inlet.Sink) inlet.Sink
}

func (w wrapper) Write(ctx context.Context, events []*inlet.Event) error {
	if w.write != nil {
		return w.write(ctx, w.Sink, events)
	}
	return w.Sink.Write(ctx, events)
}

func (w wrapper) Unwrap() inlet.Sink {
	if w.unwrap != nil {
		return w.unwrap(w.Sink)
	}
	return w.Sink
}

// An able decorator has all abilities itself.
type able struct {
	inlet.Sink
	flush, check, close func(context.Context, inlet.Sink) error
	durability          func(inlet.Sink) inlet.Durability
	closing             *sync.Once
}

// newAble makes an able decorator; change breaks it.
func newAble(change func(a *able)) func(inlet.Sink) inlet.Sink {
	return func(inner inlet.Sink) inlet.Sink {
		a := &able{Sink: inner, flush: inlet.Flush, check: inlet.Check, durability: inlet.DurabilityOf, closing: new(sync.Once)}
		a.close = func(ctx context.Context, inner inlet.Sink) (err error) {
			a.closing.Do(func() { err = inlet.Close(ctx, inner) })
			return err
		}
		change(a)
		return a
	}
}

func (a *able) Flush(ctx context.Context) error { return a.flush(ctx, a.Sink) }
func (a *able) Check(ctx context.Context) error { return a.check(ctx, a.Sink) }
func (a *able) Close(ctx context.Context) error { return a.close(ctx, a.Sink) }
func (a *able) Durability() inlet.Durability    { return a.durability(a.Sink) }

// The broken ones.

func isSpoilt(e *inlet.Event) bool { return e.Type == "spoilt" }

// filtersToNothing also writes if no event is left.
func filtersToNothing(ctx context.Context, inner inlet.Sink, events []*inlet.Event) error {
	if !slices.ContainsFunc(events, isSpoilt) {
		return inner.Write(ctx, events)
	}
	if err := inner.Write(ctx, slices.DeleteFunc(slices.Clone(events), isSpoilt)); err != nil {
		return errors.New(err.Error()) // of all events: a batch error would name others
	}
	return nil
}

// filtersToNil leaves nil events.
func filtersToNil(ctx context.Context, inner inlet.Sink, events []*inlet.Event) error {
	left := slices.Clone(events)
	for i, e := range left {
		if isSpoilt(e) {
			left[i] = nil
		}
	}
	return inner.Write(ctx, left)
}

func writesBackwards(ctx context.Context, inner inlet.Sink, events []*inlet.Event) error {
	turned := slices.Clone(events)
	slices.Reverse(turned)
	errs := inlet.ItemErrors(inner.Write(ctx, turned), len(events))
	slices.Reverse(errs)
	return joined(errs)
}

// joined makes a batch error of the errors of events, or nil.
func joined(errs []error) error {
	batch := new(inlet.BatchError)
	for i, err := range errs {
		if err != nil {
			batch.Items = append(batch.Items, inlet.ItemError{Index: i, Err: err})
		}
	}
	if batch.Items == nil {
		return nil
	}
	return batch
}

// losesValues has a context that ends with the caller's.
func losesValues(ctx context.Context, inner inlet.Sink, events []*inlet.Event) error {
	deadline, _ := ctx.Deadline()
	own, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	return inner.Write(own, events)
}

// losesDeadline has a context that is cancelled with the caller's.
func losesDeadline(ctx context.Context, inner inlet.Sink, events []*inlet.Event) error {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	return inner.Write(own, events)
}

// putsOffDeadline has a context that is cancelled with the caller's.
func putsOffDeadline(ctx context.Context, inner inlet.Sink, events []*inlet.Event) error {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Hour)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	return inner.Write(own, events)
}

// acknowledgesFailures hides the errors of the inner sink.
func acknowledgesFailures(ctx context.Context, inner inlet.Sink, events []*inlet.Event) error {
	if err := inner.Write(ctx, events); isOver(err) {
		return err
	}
	return nil
}

// takesTheWorst treats joined errors as permanent if one of them is.
func takesTheWorst(ctx context.Context, inner inlet.Sink, events []*inlet.Event) error {
	err := inner.Write(ctx, events)
	if several, ok := err.(interface{ Unwrap() []error }); ok && slices.ContainsFunc(several.Unwrap(), inlet.IsPermanent) {
		if _, partial := err.(*inlet.BatchError); !partial {
			return inlet.Permanent(err)
		}
	}
	return err
}

func losesClass(ctx context.Context, inner inlet.Sink, events []*inlet.Event) error {
	err := inner.Write(ctx, events)
	if inlet.IsPermanent(err) {
		return errors.New(err.Error())
	}
	return err
}

func losesCause(ctx context.Context, inner inlet.Sink, events []*inlet.Event) error {
	err := inner.Write(ctx, events)
	if inlet.IsPermanent(err) {
		return inlet.Permanent(errors.New("refused"))
	}
	return err
}

func losesDelay(ctx context.Context, inner inlet.Sink, events []*inlet.Event) error {
	err := inner.Write(ctx, events)
	if _, ok := inlet.RetryDelay(err); ok {
		return errors.New(err.Error())
	}
	return err
}

// trustsItems uses the items of a batch error without validating it.
func trustsItems(ctx context.Context, inner inlet.Sink, events []*inlet.Event) error {
	err := inner.Write(ctx, events)
	batch, ok := err.(*inlet.BatchError)
	if !ok {
		return err
	}
	errs := make([]error, len(events))
	for _, it := range batch.Items {
		if it.Index >= 0 && it.Index < len(errs) {
			errs[it.Index] = it.Err
		}
	}
	return joined(errs)
}

// neverGivesUp retries what has failed as a whole; a bound ends it, so that the
// test ends.
func neverGivesUp(ctx context.Context, inner inlet.Sink, events []*inlet.Event) (err error) {
	for range 3000 {
		err = inner.Write(ctx, events)
		if _, partial := err.(*inlet.BatchError); partial || err == nil || inlet.IsPermanent(err) || isOver(err) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return err
}

func isOver(err error) bool {
	return errors.Is(err, inlet.ErrClosed) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func says(context.Context, inlet.Sink) error { return nil }

func closesSilently(ctx context.Context, inner inlet.Sink) error {
	_ = inlet.Close(ctx, inner)
	return nil
}

func brokenDecorators() []specimen {
	wrap := func(name string, w wrapper, breaks ...string) specimen {
		return specimen{name: name, breaks: breaks, decorator: func(inner inlet.Sink) inlet.Sink {
			return wrapper{Sink: inner, write: w.write, unwrap: w.unwrap}
		}}
	}
	own := func(name string, change func(a *able), breaks ...string) specimen {
		return specimen{name: name, breaks: breaks, decorator: newAble(change)}
	}
	with := func(f sinktest.Features, c specimen) specimen {
		c.features = f
		return c
	}
	dropping := sinktest.Features{Drop: spoil}
	bounding := sinktest.Features{Bounds: true, Patience: time.Second, Grace: 500 * time.Millisecond}
	hasty := sinktest.Features{Patience: time.Second, Grace: 500 * time.Millisecond}
	return []specimen{
		with(dropping, wrap("writes empty batches", wrapper{write: filtersToNothing}, neverEmpty)),
		with(dropping, wrap("leaves nil events in a batch", wrapper{write: filtersToNil}, complete)),
		with(sinktest.Features{Partial: true}, wrap("reverses the order", wrapper{write: writesBackwards}, innerOrder)),
		wrap("loses the values of the context", wrapper{write: losesValues}, innerContext),
		wrap("loses the deadline", wrapper{write: losesDeadline}, innerContext),
		wrap("extends the deadline", wrapper{write: putsOffDeadline}, innerContext),
		among(wrap("acknowledges failed events", wrapper{write: acknowledgesFailures}, storesAll, temporary, permanent, retryAfter, malformed)),
		wrap("makes joined errors permanent", wrapper{write: takesTheWorst}, temporary),
		wrap("makes a refusal temporary", wrapper{write: losesClass}, permanent),
		wrap("hides the reason of a refusal", wrapper{write: losesCause}, permanent, malformed),
		wrap("loses RetryAfter", wrapper{write: losesDelay}, retryAfter),
		wrap("trusts a malformed batch error", wrapper{write: trustsItems}, malformed),
		with(bounding, wrap("declares Bounds and does not bound", wrapper{}, contextDone, givesUp, goroutines)),
		with(hasty, wrap("never gives up", wrapper{write: neverGivesUp}, temporary, retryAfter, endless)),
		own("has a Flush that flushes nothing", func(a *able) { a.flush = says }, innerFlush),
		own("has a Check without a call", func(a *able) { a.check = says }, closedCheck, innerCheck),
		own("has a Close that hides failures", func(a *able) { a.close = closesSilently }, innerClose, closesOnce),
		own("closes its sink several times", func(a *able) { a.close = inlet.Close }, closesOnce),
		own("declares more durability than its sink", func(a *able) {
			a.durability = func(inlet.Sink) inlet.Durability { return inlet.DurabilityFsync }
		}, declares),
		wrap("unwraps to something else", wrapper{unwrap: func(inner inlet.Sink) inlet.Sink {
			return inlet.SinkFunc(inner.Write)
		}}, innerFlush, innerCheck, innerClose, closesOnce, unwraps),
		with(sinktest.Features{Buffers: true}, wrap("unwraps although it buffers", wrapper{}, unwraps)),
		with(hasty, specimen{name: "leaves a goroutine", breaks: []string{goroutines}, decorator: func(inner inlet.Sink) inlet.Sink {
			go time.Sleep(5 * time.Second)
			return inner
		}}),
		{name: "hides the abilities of its sink", breaks: []string{innerFlush, innerCheck, innerClose, closesOnce}, decorator: func(inner inlet.Sink) inlet.Sink {
			return inlet.SinkFunc(inner.Write)
		}},
	}
}
